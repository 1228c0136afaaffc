/*
 * Invitations: a code by which somebody who is known here, and has no key yet, comes once: ssh invite+CODE@lodge.  The key
 * that they prove becomes theirs, and auth makes them a secret for codes.
 *
 * The code is 128 random bits in base32 (RFC 4648 6; lower case, no padding).  What is kept of it is its SHA-256; it is shown
 * once, to who made it, and stands in no event, log or database.  A newer invitation for the same person takes the place of an
 * older one.  To the outside every invitation that is no good is the same; the book says what was wrong.
 */
#ifndef POLICY_INVITES_H
#define POLICY_INVITES_H
#include "keep.h"

/* person invite LOGIN, when the speaker may: makes it and says how to come. */
void invite_make(struct verb *v, const struct person *who);
/* Within a transaction: theirs that are still good are so no more. */
void invites_void(struct policy *p, const char *login);
/* The one by which they could come now.  0: there is none. */
int invite_pending(struct policy *p, const char *login, struct invite *found);

void on_invite_wanted(struct policy *p, const struct msg_invite_wanted *m);
void on_invite_used(struct policy *p, const struct msg_invite_used *m);
#endif
