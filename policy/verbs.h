/*
 * The verbs of people, whichever door they come through: a session's ssh channel, or the control socket.  One parser, one
 * role check, one list of handlers.  A verb that changed something answers only after the book holds what it did, and what
 * it answered is kept by the transaction that did it, so that the same verb asked again over a new link does nothing twice.
 */
#ifndef POLICY_VERBS_H
#define POLICY_VERBS_H
#include "visits.h"

void verbs_from_session(struct connection *c, const struct msg_verb *m);
void verbs_gone(struct connection *c, uint32_t ask); /* nobody listens any more */
void verbs_connection_over(struct connection *c);    /* its link or the connection itself is gone */
void verbs_advance(struct policy *p);                /* those that wait for the book answer now */
void verbs_free(struct policy *p);
#endif
