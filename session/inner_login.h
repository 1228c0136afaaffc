/*
 * Logging in at a door inside a jump (nest.h).  The person was vouched for outside, and any way of logging in succeeds; but
 * policy is told first where it leads (INTENT), and where that wants a code of its own the inner client asks for it.
 */
#ifndef SESSION_INNER_LOGIN_H
#define SESSION_INNER_LOGIN_H

#include "door.h"

struct inner_login;

struct inner_login *inner_login_new(void); /* NULL: no memory */
void inner_login_free(struct door *d);     /* what it was asked last is answered with nothing */

/* A message of the inner client's about logging in, given. */
void inner_login_try(struct door *d, ssh_message m);
int inner_login_waits(
    const struct inner_login *l); /* 1 while it waits for an answer: no further message is taken */

/* auth's PROMPTS: 1 when they were for an inner login. */
int inner_login_on_prompts(struct session *s, const struct msg_prompts *m);
void inner_login_on_answer(struct session *s, const struct msg_intent_answer *m);
/* policy is back: what it has not answered is asked again. */
void inner_logins_policy_anew(struct session *s);

#endif
