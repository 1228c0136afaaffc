/*
 * What a killed policy left, held against what was said before: the database as the next one will find it.  It is looked at
 * in a copy, for opening it would already recover it.
 */
#ifndef POLICY_CRASH_JUDGE_H
#define POLICY_CRASH_JUDGE_H
#include "house.h"

#define TOLD_MOST 256

/* What left policy towards a session, and must therefore stand in the database. */
struct told {
	size_t count;
	struct {
		enum { TOLD_LEASE, TOLD_ALLOW, TOLD_WAIT, TOLD_DENY } what;
		int64_t request, grant, ends_at;
	} of[TOLD_MOST];
};

/* For house.on_told. */
void told_note(struct told *t, const struct message *m);

/* After a death at script step `now`: nothing lost, nothing invented, events whole and as the book has them. */
void judge_death(struct house *h, const struct told *t, size_t now);

/* After an orderly end: all that was decided, as text without times; the caller frees it. */
char *judge_dump(struct house *h);
#endif
