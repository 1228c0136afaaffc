/*
 * What a run left, held against what was said: the recording's files against the book's leaves (format/evidence.h), and
 * its opened content against the session's script.
 */
#ifndef CRASH_JUDGE_H
#define CRASH_JUDGE_H

#include "house.h"

enum judge_how {
	JUDGE_ALL,   /* the session said all of its script */
	JUDGE_PUT,   /* it died: all that stood in its ring is there */
	JUDGE_PREFIX /* it was ended before: all that was delivered is there, and nothing that was not said */
};

/* Faults go to house_fault(). */
void judge(struct house *h, enum judge_how how);

#endif
