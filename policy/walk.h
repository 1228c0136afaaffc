/*
 * The walk "a yes" (design.md 2): the decision stands in the book -> lease to session and gateway -> the recorder may
 * -> auth may certify (of a forward there is nothing to) -> the dial.
 *
 * It is driven by what is, not by what came last: walk_advance looks at each stream and does what can be done next, so
 * that what was lost with a process that died is simply said again.  Every receiver takes everything twice.
 */
#ifndef POLICY_WALK_H
#define POLICY_WALK_H
#include "forwards.h"
#include "visits.h"

struct walk *walk_find(struct connection *c, uint32_t stream);
/*
 * The stream of this connection under this grant: the one that is there, or (within a transaction) a new one.  Sets
 * *stream; its walk begins when the book holds all that is noted by then.  A forwarded connection (to: NULL for a visit)
 * has always one of its own, which needs no certificate, and which nobody else is given.
 */
void walk_begin(
    struct connection *c, const struct grant *g, const char *what, const struct forward *to, uint32_t *stream);
/* Forwarded connections that are on their way or there. */
size_t walk_forwards(const struct connection *c);
/* All have agreed but the dialer: auth may certify; of a forward, the recorder may record. */
int walk_is_permitted(const struct walk *w);
/* Finds the walks of a connection again in the database; after a restart of ours. */
void walks_load(struct connection *c);
/* Does for c all that can be done next. */
void walks_advance(struct connection *c);
/* The session's link is a new one: leases are told again, and ends. */
void walks_session_anew(struct connection *c);
void walks_recorder_anew(struct policy *p);
void walks_auth_anew(struct policy *p);
void walks_dialer_anew(struct policy *p);
void walks_free(struct connection *c);

/* After the commit that ended the grant: whoever is in is told to leave now, and gateway sees to it. */
void grant_cut(struct policy *p, const struct grant *g, enum reason reason, const char *text);
/* After the commit that moved its end: the leases say so. */
void grant_restate(struct policy *p, const struct grant *g);

void on_lease_held(struct policy *p, enum process by, const struct msg_lease_held *m);
void on_stream_ready(struct policy *p, const struct msg_stream_ready *m);
void on_stream_begun(struct policy *p, const struct msg_stream_begun *m);
void on_certify_held(struct policy *p, const struct msg_certify_held *m);
void on_dialed(struct policy *p, const struct msg_dialed *m);
#endif
