/*
 * What the engineer's client asks for at a door: channels (RFC 4254 5.1), requests in them (6) and global ones (4).  Each
 * is taken, or refused with its reason, in words where the client shows them and as an event; a refusal never ends what
 * else the client does.
 */
#ifndef SESSION_ASKED_H
#define SESSION_ASKED_H

#include "door.h"

void asked_open(struct door *d, ssh_message m); /* given */
void asked_request(struct door *d, ssh_message m);
void asked_global(struct door *d, ssh_message m); /* given */
/* A request that libssh does not know, seen inside libssh; answers SSH_MORE_*. */
int asked_unknown_request(struct door *d, ssh_channel here, struct bytes name, struct bytes payload);
/* An event: something was refused by this session itself. */
void asked_refused_tell(struct session *s, const char *what, enum reason reason, const char *detail);
/* "cmp:443", "[2001:db8::1]:443": as ASK has it; malloc'd. */
char *asked_place(const char *host, int port);
size_t asked_channels(const struct door *d); /* that stand at this door */

#endif
