/*
 * SHA256SUMS as coreutils' sha256sum writes and checks it: 64 hex digits, two spaces, a name.  Strict: names are
 * relative, have no empty, "." or ".." part, no backslash and no control byte; none appears twice; lines are
 * sorted by name (bytewise), so that one set of files has one spelling.
 */
#ifndef FORMAT_SUMS_H
#define FORMAT_SUMS_H

#include "format/blob.h"

enum {
	SUMS_NAME_MAX = 200,
	SUMS_LINES_MAX = 100000,
	SUMS_MAX = 32 * 1024 * 1024, /* bytes of the file */
	SUMS_SHA256 = 32
};
#define SUMS_FILE "SHA256SUMS"

struct sums_line {
	unsigned char sha256[SUMS_SHA256];
	char *name;
};

/* Zero is the empty list. */
struct sums {
	struct sums_line *lines;
	size_t count;
	size_t room;
};

int sums_name_ok(const char *name); /* 1 or 0 */

/* Adds at its place; 0, -1 for a bad or double name or no memory. */
int sums_add(struct sums *sums, const char *name, const unsigned char sha256[SUMS_SHA256]);

int sums_write(const struct sums *sums, struct blob *to);

/* Parses a whole file; 0, or -1 and *line (from 1). `sums` is empty after a failure. */
int sums_parse(struct sums *sums, const void *text, size_t size, unsigned *line);

const struct sums_line *sums_find(const struct sums *sums, const char *name); /* or NULL */
void sums_free(struct sums *sums);

/* SHA-256 of bytes, and of a regular file's content by name in `dir` (no link followed). 0; -1 and errno. */
int sha256_of(unsigned char out[SUMS_SHA256], const void *bytes, size_t size);
int sha256_of_file(unsigned char out[SUMS_SHA256], int dir, const char *name, uint64_t *size);

#endif
