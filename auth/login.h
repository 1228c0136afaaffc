/*
 * Between the files that move a login: moves.c (states), answer.c (answers and their price), admit.c (keys), vouch.c
 * (policy's word), invite.c and fresh.c (two ways to a code), login.c (what is asked).  Everybody else uses visitor.h.
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
/* Their key, as policy told of it.  0: it is none of theirs. */
struct persons_key {
	enum reason reason; /* why it may not be used now */
	uint8_t options;    /* bits of enum key_option */
	uint32_t counter;   /* the highest that policy knows of */
};
int vouch_person_key(const struct person *p, struct bytes key, struct persons_key *to);
/* v->person is filled: goes on with what waited for it. */
void vouch_person_came(struct visitor *v);
/* All that is wanted was shown: tells policy who this is, unless policy said why not to let them in. */
void vouch(struct visitor *v);
/* The same, after PAM has examined the account: for whoever was not asked for a code just now. */
void vouch_examined(struct visitor *v);

/* Why this proved key does not let them in; NONE: it does.  Remembers how far a FIDO key has counted. */
enum reason admit_key(struct visitor *v, const struct remembered *proof);
/* policy hears that it did. */
void admit_key_used(struct visitor *v, uint32_t counter);
/* The same of the offered key, which proved nothing: NONE when a proof of it is worth the while. */
enum reason admit_offer(struct visitor *v);

#endif
