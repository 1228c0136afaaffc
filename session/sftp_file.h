/*
 * One file that an SFTP channel has open: what moved through its handle, and what the ledger says of it in the end.  Never
 * more is said than what passed here: an answer that did not come, a length that nobody told, stay unknown.
 */
#ifndef SESSION_SFTP_FILE_H
#define SESSION_SFTP_FILE_H

#include "ledger.h"
#include "sftp_ask.h"

struct sftp_file {
	/* Fixed when it was opened. */
	uint8_t handle[SFTP_HANDLE_MAX];
	size_t handle_len;
	char *path;
	int is_directory; /* it has no image and is not entered */
	uint32_t flags;   /* of OPEN */
	struct sftp_attrs attrs;
	int64_t from_ms;

	/* Its life. */
	uint32_t pending; /* requests with it that have no answer yet */
	int closing;      /* CLOSE went on: whoever names the handle now means another */
	int closed;       /* and was answered */

	/* What is known. */
	struct image *image;
	uint64_t read, written; /* bytes */
	uint64_t eof_at;        /* the lowest offset at which the target said end of file; UINT64_MAX: none */
	uint64_t length;        /* when length_known: what the file was cut or set to before what is written now */
	int length_known;
	uint32_t failed; /* the first status that was not what it should be */
	int has_failed;
};

/* What these flags of OPEN let a handle do.  Without WRITE sftp-server opens for reading, whatever else stands there. */
int sftp_flags_read(uint32_t flags);
int sftp_flags_write(uint32_t flags);  /* through the handle */
int sftp_flags_change(uint32_t flags); /* by opening, or through the handle */
const char *sftp_flags_op(uint32_t flags);

/* NULL: no memory.  path is given; also when it fails. */
struct sftp_file *sftp_file_new(
    struct image_budget *budget, struct bytes handle, char *path, uint32_t flags, const struct sftp_attrs *attrs);
struct sftp_file *sftp_directory_new(struct bytes handle, char *path);

/* len bytes from offset on begin to pass, and pass. */
void sftp_file_begin_read(struct sftp_file *f, uint64_t offset, uint32_t len);
void sftp_file_begin_write(struct sftp_file *f, uint64_t offset, uint32_t len);
void sftp_file_read(struct sftp_file *f, struct bytes piece);
void sftp_file_write(struct sftp_file *f, struct bytes piece);

/* The target's answers: to READ, to WRITE, to CLOSE; and to setting the size, when `written` had been written by then. */
void sftp_file_read_status(struct sftp_file *f, uint64_t offset, uint32_t status);
void sftp_file_write_status(struct sftp_file *f, uint32_t status);
void sftp_file_close_status(struct sftp_file *f, uint32_t status);
void sftp_file_resized(struct sftp_file *f, uint64_t size, uint64_t written);

/* Enters it, closed or, when it is not closed, as unfinished. */
void sftp_file_enter(struct sftp_file *f, struct ledger *l, int64_t to_ms);
/* Enters one that was never opened: result is given. */
void sftp_unopened_enter(struct ledger *l, const char *path, uint32_t flags, const struct sftp_attrs *attrs,
    int64_t from_ms, int64_t to_ms, json_t *result);
void sftp_file_free(struct sftp_file *f);

/* "failed: no such file" and the like, or "ok". */
json_t *sftp_result(uint32_t status);
/* The same where ok is not what a target may answer. */
json_t *sftp_failure(uint32_t status);
/* What is set by these attributes, as members of a fact; gives an object.  NULL: no memory. */
json_t *sftp_attrs_json(const struct sftp_attrs *a);

#endif
