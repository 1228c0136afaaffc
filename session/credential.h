/*
 * What lets us in to a target (enum target_login): asked of auth, shown to the target, and gone when its login is over.
 *
 *     ASKED ──auth gave it──▶ SHOWN ──the target's answer──▶ IN, or OUT
 *       ▲───── a password was refused: the other one, if auth has one ─────┘
 *
 * A certificate is over a key that is made here for this visit; a key never comes here, its agent signs once; a password is
 * in this process's memory only until the login is over: ours and libssh's copies are wiped.
 */
#ifndef SESSION_CREDENTIAL_H
#define SESSION_CREDENTIAL_H

#include "session.h"

struct credential;
struct visit;

enum credential_state { CREDENTIAL_ASKED, CREDENTIAL_SHOWN, CREDENTIAL_IN, CREDENTIAL_OUT };

/* Asks auth for what v->how says; the leg's key exchange is done.  v is lent.  NULL: no memory. */
struct credential *credential_new(struct visit *v);
void credential_free(struct credential *c); /* wipes; NULL is fine */

/* auth's CERT, AGENT, PASSWORD or CREDENTIAL_REFUSED; a descriptor in m is taken. */
void credential_on_auth(struct session *s, struct message *m);
/* auth is back: what it had not answered is asked again. */
void credential_ask_again(struct credential *c);

/* Goes on with the target, without waiting. */
enum credential_state credential_turn(struct credential *c);
/* The target is gone: OUT. */
void credential_lost(struct credential *c);
/* When OUT: why, and the engineer's words ("": the reason's own). */
enum reason credential_reason(const struct credential *c);
const char *credential_text(const struct credential *c);

/* "certificate", as `target change --login` names it; the method of the protocol by which it is shown. */
const char *credential_name(enum target_login how);
const char *credential_method(enum target_login how);
int credential_is_password(enum target_login how);

#endif
