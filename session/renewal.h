/*
 * An account's password changed by the target's own passwd, after the visit and over its recorded leg, when nobody is in it
 * any more.  auth keeps both passwords before a byte is typed, and learns what came of it; whatever happens, one of them
 * opens the account, and the next login tries both.
 *
 *     ASKED ──auth gave old and new──▶ OPEN ──▶ PTY ──▶ EXEC ──▶ TALK ──its end──▶ over
 *
 * The terminal has no echo, and what passwd says is recorded with both passwords blotted out; what is typed is no frame, but
 * a fact that says how much.  RENEWAL_MS at most, and never past the visit's own end.
 */
#ifndef SESSION_RENEWAL_H
#define SESSION_RENEWAL_H

#include "session.h"

#define RENEWAL_MS 30000

struct renewal;
struct visit;

/* Asks auth.  NULL: this visit had no password, its leg or auth is gone, or there is no time left. v is lent. */
struct renewal *renewal_new(struct visit *v);
/* Tells auth and the record what came of it, if it had begun; wipes.  NULL is fine. */
void renewal_free(struct renewal *r);

/* ROTATION or CREDENTIAL_REFUSED. */
void renewal_on_auth(struct session *s, const struct message *m);
/* auth is back. */
void renewal_ask_again(const struct renewal *r);

/* Goes on, without waiting; 1 when it is over. */
int renewal_turn(struct renewal *r);
/* 1 once auth said that there is something to change: nobody waits for the recording's end. */
int renewal_has_begun(const struct renewal *r);

#endif
