/*
 * What sessions ask, and what is answered: each question is decided once, and its answer kept by the transaction that
 * decided, so that the same question asked again after a relink gets the same answer.
 */
#ifndef POLICY_ASKS_H
#define POLICY_ASKS_H
#include "facts.h"
#include "forwards.h"
#include "visits.h"

#define FORWARDS_AT_ONCE 64 /* forwarded connections of one connection */
/* The target whose ssh is there: it is visited, not forwarded.  NULL: none; else its name, in `name`. */
const char *forward_is_ssh(struct policy *p, const struct forward *f, char name[ROW_NAME]);

void on_ask(struct connection *c, const struct msg_ask *m);
void on_ask_ended(struct connection *c, const struct msg_ask_ended *m);

/* Tells what may be told now; drops what has had its last answer. */
void questions_tell(struct connection *c);

/* ---- within a transaction ---- */
/* Makes a request of r (person, target, account, capabilities, asked_for ... filled in): number, lapse, event.  Gives the event. */
int64_t request_make(struct policy *p, struct request *r);
/* Answers every question that waits for this request: no, for `reason`; or, with REASON_NONE, as it weighs now. */
void questions_answer(
    struct policy *p, const struct request *r, enum reason reason, const char *text, int64_t event);
/* The same for those whose stream (of c) came to nothing. */
void questions_fail(struct connection *c, uint32_t stream, enum reason reason, const char *text, int64_t event);
/* Answers those that have waited for as long as they may.  Gives how many. */
int questions_lapse(struct policy *p);
#endif
