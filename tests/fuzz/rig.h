/*
 * What the fuzzers of transfers share: an input is one byte of settings, then pieces, each behind a u16: the highest bit
 * says who sends it (set: the target), the rest how long it is.  The unit tests write such inputs (LODGE_SEEDS).
 */
#ifndef TESTS_FUZZ_RIG_H
#define TESTS_FUZZ_RIG_H

#include "transfer.h"

enum { PIECES_WHOLE, PIECES_OF_ONE };

/* What came out. */
struct played {
	struct fifo to_target, to_engineer;
	struct fifo from_engineer, from_target; /* what was fed until it broke */
	struct wire facts;
	char trouble[128];
};

/* Feeds the pieces behind the settings, ends the transfer, and looks that every fact is what transfer.h says. */
void play(struct played *p, struct transfer_of of, struct bytes pieces, int how);
void played_free(struct played *p);
/* Stops unless both came out the same. */
void played_must_equal(const struct played *a, const struct played *b);
void must(int truth, const char *what);

#endif
