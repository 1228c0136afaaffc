/*
 * Between the files that move a login: moves.c (states), answer.c (answers and their price), vouch.c (policy's word),
 * login.c (what is asked).  Everybody else uses visitor.h.
 */
#ifndef AUTH_LOGIN_H
#define AUTH_LOGIN_H
#include "visitor.h"

#define LOGIN_POLICY_MS 10000 /* policy answers within this time, or is away */
#define LOGIN_NO_LEAST_MS 20  /* a no takes at least this long: longer than a look into policy's database */

/* Steps, and writes it down for a restart.  A step that is not in the table ends this process. */
void login_move(struct visitor *v, enum login_state to);
/* Asserts what the state promises, in every build: a broken promise here would let somebody in. */
void login_check(const struct visitor *v);
/* Looks at the request at hand, or waits for policy's word about the person first. */
void login_request_take(struct visitor *v);

/* Answers the request at hand: now, at `boot_ms` (at once when that is past), or with a no that takes its time. */
void answer(struct visitor *v, enum login_outcome outcome, enum reason reason);
void answer_at(struct visitor *v, enum login_outcome outcome, enum reason reason, int64_t boot_ms);
void answer_no(struct visitor *v);
/* One attempt for the book, good (NONE) or not. */
void answer_attempt(struct visitor *v, const char *method, enum reason reason, const char *fingerprint);
/* Counts a failed try; 1 when it was the last one allowed. */
int answer_count(struct visitor *v, const char *method, enum reason reason, const char *fingerprint);
/* A failed try, counted and answered; `shown` is told to the engineer, NONE where it would tell who exists. */
void answer_fail(struct visitor *v, const char *method, enum reason reason);
void answer_fail_at(struct visitor *v, const char *method, enum reason reason, enum reason shown, int64_t boot_ms);
/* Refused for good: whatever is asked, now or later, is answered with a disconnect. */
void answer_refuse(struct visitor *v, enum reason reason, int64_t boot_ms);

/* Asks policy who the name is; its answer comes to login_on_person(). */
void vouch_person_ask(struct visitor *v);
int vouch_person_has(const struct person *p, struct bytes key);
/* All that is wanted was shown: tells policy who this is, unless policy said why not to let them in. */
void vouch(struct visitor *v);

#endif
