/*
 * Logging in at the outer door: tries go to auth and auth's answers back (RFC 4252, RFC 4256).  Each try that libssh
 * hides or shows ends in an answer, and in the same one.
 */
#ifndef SESSION_LOGIN_H
#define SESSION_LOGIN_H

#include "door.h"

struct login;

struct login *login_new(void); /* NULL: no memory */
void login_free(struct login *l);

/* A message of the client's about logging in, given. */
void login_try(struct door *d, ssh_message m);
int login_waits(const struct login *l); /* 1 while auth owes an answer: no further message is taken */
void login_on_auth(struct session *s, const struct message *m);
/* auth has a new link: what it had not answered is asked again. */
void login_auth_anew(struct session *s);

/* From inside libssh (ssh_more.h): a key's proof, 1 when auth found it good; and a try that cannot be read. */
int login_on_proof(void *door, struct bytes key, struct bytes signature, struct bytes signed_data);
void login_on_unreadable(void *door, struct bytes user);

#endif
