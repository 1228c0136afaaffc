/*
 * Codes given anew by somebody who is in: for a deciding verb of theirs, or for an inner login to a target that wants a
 * code of its own.  Policy asks auth, auth asks the person by way of their session, and says what came of it; until then
 * nothing is done.
 *
 * One want of a connection is with auth at a time; a code that was good answers all of them, and is remembered with the
 * visitor (FACTOR_FRESH).  A want lapses FRESH_MS after it was told; when auth died meanwhile it is told again.  After a
 * restart of ours the session says its verb and its inner login again.
 */
#ifndef POLICY_FRESH_H
#define POLICY_FRESH_H
#include "verb.h"

#define FRESH_MS 60000

/* The verb waits for a code: verb_resume or its refusal follows.  It has said and done nothing yet. */
void fresh_want(struct verb *v);
/* Nobody waits for that number any more. */
void fresh_forget(struct connection *c, uint32_t ask);
/* Asks auth for the next, when none is with it. */
void fresh_tell(struct connection *c);
void fresh_free(struct connection *c);

/* What a login, the outer one or an inner one, is for. */
void on_intent(struct connection *c, const struct msg_intent *m);
/* What they come for wants a code of its own, and `factors` have none. */
int fresh_is_wanted(struct connection *c, int64_t factors);

void on_fresh_code(struct policy *p, const struct msg_fresh_code *m);
void fresh_auth_anew(struct policy *p);

/* Refuses those that are due.  Gives the boot-clock time of the next; INT64_MAX: none waits. */
int64_t fresh_lapse(struct policy *p);
#endif
