/*
 * Connections beside shells and commands, through the visit's own SSH leg: a unix socket on the target (ssh -L to a
 * path), a port on which the target listens (-R), and what the target opens back: an agent, an X11 client, a connection
 * to that port.  Each needs its capability, which nobody has without asking; each is recorded in the visit, as a channel.
 */
#ifndef SESSION_BESIDE_H
#define SESSION_BESIDE_H

#include "channel.h"

/* The target asks for a channel.  1: m is taken; 0: the target was not told that it may. */
int beside_back(struct visit *v, ssh_message m);
int beside_entering_turn(struct channel *c); /* ENTERING: 1 when something moved */
int beside_running_turn(struct channel *c);
void beside_leave(struct channel *c);

#endif
