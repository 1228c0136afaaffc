/*
 * What a recording says was carried: files and what became of them, refusals, forwarded connections, and between them
 * the commands, subsystems and shells that they belong to, and the end; in their order, one row each, as a table for
 * people or as one JSON array.  Pulled: each step opens one segment.  What does not open or is not there is a row of its
 * own, and the rest is listed all the same.
 *
 * In the table nothing acts on a terminal, whatever a file is called; in JSON every text is exact, and all but ASCII
 * stands as \u escapes.
 */
#ifndef FORMAT_FILES_H
#define FORMAT_FILES_H

#include "format/segment.h"

enum { FILES_WIDE = 132 }; /* columns from which a digest is shown whole */
enum files_form { FILES_TABLE, FILES_JSON };

struct files_about {
	int dir;                 /* lent: segments lie here */
	struct age_keyring ring; /* lent */
	enum files_form form;
	unsigned columns;     /* of the terminal; 0: none */
	const char *line_end; /* lent: "\n", or "\r\n" for a terminal */
};

struct files;

/* Finds the main track's segments in the directory.  NULL and errno (ENOENT: there are none). */
struct files *files_new(const struct files_about *about);

enum files_step { FILES_MORE, FILES_END, FILES_FAILED /* no memory */ };
enum files_step files_step(struct files *f, struct blob *out);

/* After END: "" when all of a closed recording was read, else what is to be said of it.  missing: segments. */
const char *files_says(const struct files *f);
unsigned files_missing(const struct files *f);
void files_free(struct files *f);

#endif
