/*
 * One recording's directory, checked against what the book says of it.  The claims come from leaves whose place in the
 * book was proven before (by the reader against the tiles, by lodge-replay against a bundle's proofs); here every file
 * is held against them.  Works in slices: each step takes at most one file.
 *
 * With a keyring each segment is opened as well, so that damage is named to its 64 KiB chunk; without one the hashes
 * alone decide.  A track that is sealed to other recipients is no fault.
 */
#ifndef FORMAT_EVIDENCE_H
#define FORMAT_EVIDENCE_H

#include "format/leaf.h"
#include "format/segment.h"

/* What the book says of one recording. */
struct claims {
	char rec[LEAF_REC_TEXT];
	struct leaf start, end; /* kind LEAF_OTHER: the book has none */
	struct leaf *segments;  /* in any order */
	size_t count, room;
	enum { CLAIMS_ENDS, CLAIMS_ALL } known; /* are all segment leaves here, or only start and end? */
};

/* Takes one leaf of `rec` (set it first); leaves of others are ignored.  -1: it contradicts one taken before; no memory. */
int claims_add(struct claims *claims, const struct leaf *leaf);
void claims_free(struct claims *claims);

/* Told of each fault as it is found.  file "" when it is none of a file. */
typedef void evidence_on_fault(void *ctx, const char *file, const char *what);

struct evidence_about {
	int dir;                                        /* lent */
	const struct claims *claims;                    /* lent */
	struct age_keyring ring;                        /* count 0: none */
	enum { EVIDENCE_SHELF, EVIDENCE_BUNDLE } place; /* a bundle has files of its own beside the recording's */
	evidence_on_fault *on_fault;
	void *ctx;
};

enum evidence_state {
	EVIDENCE_SEALED,     /* whole: every file is what the book says */
	EVIDENCE_RECOVERED,  /* the same, and some segments were recovered after a crash */
	EVIDENCE_INCOMPLETE, /* no session.end in the book (it is live, or was cut off); what there is, is good */
	EVIDENCE_FAILED
};
const char *evidence_state_text(enum evidence_state state); /* "sealed", "incomplete (live)", ... */

struct evidence_result {
	enum evidence_state state;
	uint64_t files, bytes; /* looked at */
	uint64_t opened;       /* segments decrypted whole */
	uint64_t faults;
};

struct evidence;
struct evidence *evidence_new(const struct evidence_about *about); /* NULL: no memory */
enum evidence_more { EVIDENCE_DONE, EVIDENCE_MORE } evidence_step(struct evidence *e);
struct evidence_result evidence_result(const struct evidence *e);
void evidence_free(struct evidence *e);

#endif
