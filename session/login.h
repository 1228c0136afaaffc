/*
 * Logging in at the outer door: tries go to auth and auth's answers back (RFC 4252, RFC 4256).  Each try that libssh
 * hides or shows ends in an answer, and in the same one.  policy is told where it leads before auth has anything to decide
 * (INTENT), for a target may want a code of its own.
 */
#ifndef SESSION_LOGIN_H
#define SESSION_LOGIN_H

#include "door.h"

struct login;
struct prompts;

struct login *login_new(void); /* NULL: no memory */
void login_free(struct login *l);

/* A message of the client's about logging in, given. */
void login_try(struct door *d, ssh_message m);
int login_waits(const struct login *l); /* 1 while auth owes an answer: no further message is taken */
void login_on_auth(struct session *s, const struct message *m);
/* auth has a new link: what it had not answered is asked again. */
void login_auth_anew(struct session *s);
/* policy has one: where the login leads is told again. */
void login_policy_anew(struct session *s);

/* Of any door: the answer to a try of keyboard-interactive; the client's own to that, appended to w as repeated {text} (gives
 * how many, or -1); lines of ours, which clients show before the login. */
void login_prompts_send(ssh_message m, const struct prompts *p);
int login_answers_read(ssh_session ssh, struct wire *w);
void login_banner_send(struct door *d, struct bytes lines);

/* From inside libssh (ssh_more.h): a key's proof, 1 when auth found it good; and a try that cannot be read. */
int login_on_proof(void *door, struct bytes key, struct bytes signature, struct bytes signed_data);
void login_on_unreadable(void *door, struct bytes user);

#endif
