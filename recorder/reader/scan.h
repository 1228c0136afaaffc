/*
 * One walk over the whole book: every leaf under one checkpoint is read and hashed, and what the leaves say of
 * recordings is believed only when their root is the one that the checkpoint signs.  So a leaf that was changed, left
 * out, added or moved shows here, whichever recording it spoke of.  Works in slices: a step takes one entry bundle.
 */
#ifndef READER_SCAN_H
#define READER_SCAN_H

#include "format/evidence.h"
#include "format/note.h"
#include "format/proof.h"

/* A recording that the book knows. */
struct found {
	char rec[LEAF_REC_TEXT];
	int64_t started_ms; /* session.start's; meaningful when it has one */
	uint64_t start_index, end_index;
	struct claims *claims; /* of those that were wanted, else NULL */
	int contradicted;      /* two leaves of it cannot both be true */
};

struct scan;

/* The book lies in `dir` (lent).  NULL: no memory. */
struct scan *scan_new(int dir, const struct checkpoint *at);
void scan_free(struct scan *s);

/* Everything that the book says of this one is wanted.  Before the first step.  0; -1: no memory. */
int scan_want(struct scan *s, const char *rec);

enum scan_more { SCAN_MORE, SCAN_DONE, SCAN_FAILED };
enum scan_more scan_step(struct scan *s);
const char *scan_why(const struct scan *s); /* FAILED: "tile/entries/000.p/7: what is wrong with it" */

/* After DONE.  NULL: the book has no leaf of it. */
const struct found *scan_find(const struct scan *s, const char *rec);
/* The i-th recording in the book's order; NULL past the last. */
const struct found *scan_at(const struct scan *s, size_t i);

/* A leaf's bytes (appended) and its place under the checkpoint, proven from the tiles.  0 or -1. */
int scan_prove(const struct scan *s, uint64_t index, struct blob *entry, struct proof *proof);

#endif
