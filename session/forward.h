/*
 * A forwarded TCP connection (ssh -L, -D; RFC 4254 7.2): a channel of the engineer's and a socket that the dialer
 * connected to a host and port that the grant names.  It is a recording of its own: its bytes (ForwardContents), and a
 * fact with the counts.
 *
 * The channel is not open for its client before the socket is there; so a refusal is one of the channel, with our words
 * in it.  A connection on which either side speaks SSH is ended: a target is visited by its name, where it is recorded
 * in clear.
 */
#ifndef SESSION_FORWARD_H
#define SESSION_FORWARD_H

#include "channel.h"

/* Looks at what one side of a connection says first. */
#define FORWARD_FIRST 4 /* bytes that tell */
void forward_see(struct flow *f, struct bytes piece);
int forward_speaks_ssh(const struct flow *f);

/* The record says where a connection goes, before its first byte does (also of those beside.h has). */
void forward_begun_record(const struct channel *c);
int forward_entering_turn(struct channel *c); /* ENTERING: 1 when something moved */
int forward_running_turn(struct channel *c);
void forward_watch(const struct channel *c); /* after each turn */
/* The connection is over for this channel: the record says how much it carried (also of those beside.h has). */
void forward_leave(struct channel *c);

#endif
