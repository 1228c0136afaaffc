/*
 * Answers to auth that wait until the book holds what they rest on.  They go with auth's link: what it asked over an older
 * one it asks again.
 */
#ifndef POLICY_PROMISES_H
#define POLICY_PROMISES_H
#include "policy.h"

#define PROMISE_TEXT 640

struct promise {
	struct promise *next;
	int64_t event;
	enum { PROMISE_SECRET_MAY, PROMISE_INVITE_HELD } what;
	uint64_t ask;
	enum reason reason;
	/* of SECRET_MAY */
	char text[PROMISE_TEXT], who[ROW_NAME], pam_user[ROW_NAME];
};

void promise_make(struct policy *p, const struct promise *all_but_next);
/* Says those whose event is held. */
void promises_keep(struct policy *p);
void promises_forget(struct policy *p);
#endif
