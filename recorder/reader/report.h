/*
 * What verify says: a line a recording with its badge, or one JSON object of all.  Never just green: each line says
 * how much was looked at, the last ones say under whose key, and what nobody has proven.
 */
#ifndef READER_REPORT_H
#define READER_REPORT_H

#include <jansson.h>

#include "format/evidence.h"
#include "format/note.h"

enum { REPORT_FAULTS = 16, REPORT_WHAT = 256 };

/* One recording.  Zero, with state EVIDENCE_SEALED and no fault, is a good one. */
struct verdict {
	char id[REPORT_WHAT]; /* or what stands in an identifier's place on the shelf, made safe */
	enum evidence_state state;
	uint64_t files, bytes, opened, leaves;
	int64_t started_ms;
	size_t faults; /* found; the first REPORT_FAULTS are kept */
	struct {
		char file[REPORT_WHAT], what[REPORT_WHAT];
	} fault[REPORT_FAULTS];
};

/* A good one of this name, made fit for a terminal. */
void verdict_begin(struct verdict *v, const char *id);

/* An evidence_on_fault: ctx is the verdict. */
void verdict_fault(void *ctx, const char *file, const char *what);

struct report {
	const char *line_end; /* lent */
	json_t *json;         /* array; NULL: as text */
	size_t state[EVIDENCE_FAILED + 1];
	size_t beginnings; /* directories in which a recording never began */
};

/* 0 or -1 (no memory). */
int report_recording(struct report *r, const struct verdict *v, struct blob *out);
/* key "": the book could not be read. */
int report_end(struct report *r, const struct checkpoint *at, const struct note_key *key, struct blob *out);
size_t report_count(const struct report *r);

#endif
