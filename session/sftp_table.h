/*
 * What an SFTP channel has open, and what it has asked and not been answered: bounded tables.  A handle is open from the
 * target's HANDLE until CLOSE goes on; its file is entered in the ledger when CLOSE and all that was asked with it before
 * have their answers.
 */
#ifndef SESSION_SFTP_TABLE_H
#define SESSION_SFTP_TABLE_H

#include "sftp_file.h"

#define SFTP_FILES_MAX 256         /* handles, those that were asked for included */
#define SFTP_ASKED_MAX 4096        /* requests without an answer */
#define SFTP_NAMES_MAX (96 * 1024) /* bytes of names of what is open, and in requests that change something */

/* A request that went on to the target and has no answer yet. */
struct sftp_asked {
	uint32_t id; /* the key */
	const struct sftp_row *row;
	struct sftp_file *file, *into; /* NULL: none */
	char *path, *to;               /* when the row opens or changes something */
	size_t names;                  /* bytes of both */
	uint64_t offset;               /* of READ; of FSETSTAT: how much had been written by then */
	uint32_t number;               /* READ: bytes asked for; OPEN: flags */
	struct sftp_attrs attrs;
	int64_t at_ms;
};

/* Zero is a valid empty one. */
struct sftp_table {
	struct sftp_file *files[SFTP_FILES_MAX];
	unsigned opened; /* handles there are, and those that were asked for */
	void *asked;     /* tsearch(3) tree of struct sftp_asked, by id */
	unsigned outstanding;
	size_t names;
	struct image_budget budget;
};

/* The file or directory that is open as this handle now; NULL: none. */
struct sftp_file *sftp_table_file(const struct sftp_table *t, struct bytes handle);
/* What was asked under this id and has no answer; NULL: nothing. */
struct sftp_asked *sftp_table_asked(const struct sftp_table *t, uint32_t id);
/* How many bytes of names this request would keep. */
size_t sftp_ask_names(const struct sftp_ask *a);

/* Notes that a request goes on at at_ms.  The caller has seen that there is room.  -1: no memory. */
int sftp_table_ask(struct sftp_table *t, const struct sftp_ask *a, int64_t at_ms);
/* OPEN or OPENDIR was answered by this handle, at most SFTP_HANDLE_MAX bytes.  -1: no memory. */
int sftp_table_open(struct sftp_table *t, struct sftp_asked *a, struct bytes handle);
/* The request has its answer: forgets it, and enters the files that are over by that. */
void sftp_table_answered(struct sftp_table *t, struct sftp_asked *a, struct ledger *l, int64_t now_ms);
void sftp_table_free(struct sftp_table *t);

#endif
