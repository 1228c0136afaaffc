/*
 * Connections beside shells and commands, through the visit's own SSH leg: a unix socket on the target (ssh -L to a
 * path), a port on which the target listens (-R), and what the target opens back: an agent, an X11 client, a connection
 * to that port.  Each needs its capability, which nobody has without asking; each is recorded in the visit, as a channel.
 */
#ifndef SESSION_BESIDE_H
#define SESSION_BESIDE_H

#include "channel.h"

/* Takes what the target asks for: a channel that it was told it may open, and nothing else.  1 when something moved. */
int beside_messages(struct visit *v);
int beside_entering_turn(struct channel *c); /* ENTERING: 1 when something moved */
int beside_running_turn(struct channel *c);
void beside_leave(struct channel *c);

#endif
