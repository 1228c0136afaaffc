/*
 * A sealed segment: one file that is age( zstd( plaintext ) ), made in memory and put on the shelf whole or not
 * at all (tmp, fsync, rename, fsync of the directory).  `age -d -i KEY 000000.cast.zst.age | zstd -d` opens it.
 * No globals and no locks: seals may run in a thread pool, one per thread.
 */
#ifndef FORMAT_SEGMENT_H
#define FORMAT_SEGMENT_H

#include "format/age.h"

enum {
	SEGMENT_NAME_MAX = 64,
	SEGMENT_NUMBER_MAX = 999999,
	SEGMENT_PLAIN_MAX = 64 * 1024 * 1024,  /* a reader stops past this many plain bytes */
	SEGMENT_SEALED_MAX = 80 * 1024 * 1024, /* and past this many bytes of file */
	SEGMENT_SHA256 = 32
};

enum segment_track { SEGMENT_OUTPUT, SEGMENT_INPUT };

/* "000012.cast.zst.age", "input.000012.cast.zst.age". 0, or -1 past SEGMENT_NUMBER_MAX. */
int segment_name(char out[SEGMENT_NAME_MAX], enum segment_track track, uint32_t number);

/* What a recorder that was killed had in its log of that segment (format/journal.h): "000012.wal", "input.000012.wal". */
int segment_recovered_name(char out[SEGMENT_NAME_MAX], enum segment_track track, uint32_t number);

enum segment_form { SEGMENT_FORM_SEALED, SEGMENT_FORM_RECOVERED };

/* The reverse, strictly: 0, or -1 when `name` is not exactly what one of the two above makes. */
int segment_name_parse(const char *name, enum segment_track *track, uint32_t *number, enum segment_form *form);

/* Recipients and the file key that wraps to them. */
struct segment_seal {
	int dir;                                /* lent: the session's directory */
	const char *name;                       /* file to make; EEXIST if it is there */
	const struct blob *plain;               /* lent */
	const unsigned char *file_key;          /* lent, AGE_FILE_KEY_SIZE; NULL: a fresh one */
	const struct blob *header;              /* lent: an age header over file_key; NULL: made here */
	const struct age_recipient *recipients; /* lent; used when header is NULL */
	size_t count;
};

/* What the book and SHA256SUMS say of the file: of the bytes on the disk, not of the plaintext. */
struct segment_sealed {
	unsigned char sha256[SEGMENT_SHA256];
	uint64_t size;
};

/* 0; or -1 and errno, and no file of that name. */
int segment_seal(const struct segment_seal *seal, struct segment_sealed *out);

/* The same bytes, appended to `to` instead of a file. */
int segment_seal_blob(const struct segment_seal *seal, struct blob *to, struct segment_sealed *out);

/* Puts `content` into dir/name the same careful way, as it is.  0; or -1 and errno. */
int segment_put(int dir, const char *name, const struct blob *content, struct segment_sealed *out);

/* Where a reading failed. */
enum segment_fault {
	SEGMENT_OK = 0,
	SEGMENT_AGE,  /* see `age` and `chunk` */
	SEGMENT_ZSTD, /* not one whole zstd frame */
	SEGMENT_TOO_LONG,
	SEGMENT_SINK,
	SEGMENT_FILE,   /* see errno */
	SEGMENT_RECORD, /* a record of a recovered log does not open or is not whole: see `chunk` */
	SEGMENT_FAILED  /* memory */
};
struct segment_report {
	enum segment_fault fault;
	enum age_error age;
	uint64_t chunk; /* 64 KiB chunk of the age payload, or record of the log, from 0 */
};

/* One line without newline: "64 KiB chunk 3: chunk authentication failed". */
void segment_report_text(const struct segment_report *report, char *out, size_t room);

/* Opening, pushed in pieces of any size: file bytes in, plain bytes to the sink. */
struct segment_reader;
struct segment_reader *segment_reader_new(struct age_keyring ring, age_sink sink, void *to);
enum segment_fault segment_reader_add(struct segment_reader *r, const unsigned char *bytes, size_t size);
enum segment_fault segment_reader_end(struct segment_reader *r);
struct segment_report segment_reader_report(const struct segment_reader *r);
void segment_reader_free(struct segment_reader *r);

/* Opens a whole file into `plain` (appended). */
enum segment_fault segment_open(
    int dir, const char *name, struct age_keyring ring, struct blob *plain, struct segment_report *report);

#endif
