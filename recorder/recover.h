/*
 * What a predecessor left in the log.  Read once, at start: every file, the longest valid prefix of each segment, the
 * notes.  Segments that no sealed file covers are put on the shelf as they are (NNNNNN.wal, input.NNNNNN.wal); nothing
 * is decrypted, nothing is thrown away, and doing it twice gives the same files.
 * One file: it is one reading, from the first log file to the last.
 */
#ifndef RECORDER_RECOVER_H
#define RECORDER_RECOVER_H

#include <stddef.h>
#include <stdint.h>

#include "tape.h"

/* Where a connection's ring was read to: what lies behind is in the log, what comes is not. */
struct recovered_conn {
	uint64_t conn, to, next_frame;
};

struct recovered_tape {
	struct tape_found found;
	int end_held;                  /* the book holds session.end; nobody was told */
	struct tape_segment *segments; /* found.segments */
};

struct recovered {
	struct recovered_conn *conns;
	size_t conn_count;
	struct recovered_tape *tapes;
	size_t tape_count;
	uint32_t *files; /* numbers, ascending */
	size_t file_count;
	uint32_t next_file;
	size_t torn; /* files that ended in a cut or damaged record */
};

/* Reads the log, fills the ledger with leaves that the book may not hold, copies segments.  0; -1 and one line in `why`. */
int recover(struct shelf *shelf, struct ledger *ledger, struct recovered *out, char *why, size_t why_size);
void recovered_free(struct recovered *r);

#endif
