/*
 * What auth asks and tells about secrets, without telling one: verbs at its own door (may this Unix user?), what became of
 * them, and what it gave of its credentials, or would not give, to whom.  All of it is for the book, and a yes waits for it.
 */
#ifndef POLICY_SECRETS_H
#define POLICY_SECRETS_H
#include "visits.h"

/* Of one connection; one more, and it is cut off. */
#define SUSPICIONS_MOST 16

void on_secret_asked(struct policy *p, const struct msg_secret_asked *m);
/* Noted where it went wrong, and for what nobody asked for at the door: a rotation after a visit, an invitation's code. */
void on_secret_done(struct policy *p, const struct msg_secret_done *m);
void on_credential(struct policy *p, const struct msg_credential *m);
void on_suspect(struct policy *p, const struct msg_suspect *m);
/* The same where policy sees it itself: c's process said what is not its own.  Not within a transaction; `what` is clean text. */
void suspect_note(struct connection *c, const char *what);
#endif
