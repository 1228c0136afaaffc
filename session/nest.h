/*
 * A door inside a door: ssh -J alice@lodge srx@osv1.  The outer client asks for a TCP connection to a target's name,
 * port 22; nothing is dialled for it.  A pair of sockets takes the place of that connection: libssh, as a server, has
 * one end, and what comes and goes at the other is carried in the channel.  Nesting goes one deep.
 *
 * Whoever is inside was vouched for outside; its user name is the account (inner_login.h).  What is carried here is the
 * inner connection's own cipher text; it is recorded where it is plain, in the inner channels.
 */
#ifndef SESSION_NEST_H
#define SESSION_NEST_H

#include "door.h"

#define NESTS_MAX 16 /* at once in one connection; auth knows so many legs */

struct nest;

/* m (lent) asks `outer` for host, port 22.  0: accepted, a new door stands in it; else the reason to refuse it with. */
enum reason nest_open(struct door *outer, ssh_message m, const char *host);

int nest_turn(struct door *d); /* 1 when something moved */
void nest_watch(struct door *d);
size_t nest_unsent(const struct nest *n);
int nest_is_done(const struct door *d); /* 1 when all that a closed door said is on its way */
void nest_free(struct nest *n);         /* closes the channel; NULL is fine */

#endif
