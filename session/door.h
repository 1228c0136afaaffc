/*
 * The door: the SSH server towards the engineer.  It carries tries of logging in to auth and auth's answers back
 * (RFC 4252, RFC 4256), and hands channels to channel.h.  The host key's private half is not here: auth signs.
 *
 * The message queue of libssh is the only way in, and while auth has not answered a try no further message is taken
 * from it.
 * One file: each try that libssh hides or shows ends in the same answer, and the order of both is the point.
 */
#ifndef SESSION_DOOR_H
#define SESSION_DOOR_H

#include "session.h"

/* Once in the warm parent's life: what can be made before a byte was met. */
void door_warm(void);

/* Takes s->client_fd; the key exchange begins.  -1: it cannot. */
int door_open(struct session *s);
/* Moves what can be moved; 1 when something was. */
int door_turn(struct session *s);
void door_on_auth(struct session *s, const struct message *m);
/* auth has a new link: what it had not answered is asked again. */
void door_auth_anew(struct session *s);
void door_close(struct session *s);

#endif
