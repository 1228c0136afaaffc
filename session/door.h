/*
 * A door: an SSH server towards the engineer's client (RFC 4253, RFC 4254).  The outer one stands on the TCP connection;
 * nested ones inside its direct-tcpip channels to a target's name (nest.h).  The host key's private half is not here:
 * auth signs each exchange hash.  Tries of logging in go to login.h, channels to asked.h.
 *
 * The message queue of libssh is the only way in, and while auth has not answered a try no further message is taken
 * from it.
 */
#ifndef SESSION_DOOR_H
#define SESSION_DOOR_H

#include <libssh/server.h>

#include "base/loginname.h"
#include "leg.h"
#include "session.h"

struct inner_login;
struct login;
struct nest;

enum door_state { DOOR_EXCHANGE, DOOR_LOGIN, DOOR_OPEN };

struct door {
	struct door *next; /* the outer one is the first */
	struct session *session;
	uint8_t number; /* as auth knows its leg: 0 the outer one */
	enum door_state state;
	struct leg leg;
	ssh_bind bind;
	struct loginname name; /* whom and where its channels go; valid once OPEN */
	struct login *login;   /* the outer one's */
	/* a nested one's */
	struct nest *nest;
	struct inner_login *inner;
	int64_t login_by_ms; /* boot clock; it is OPEN by then, or is closed */
};

/* Once in the warm parent's life: what can be made before a byte was met. */
void door_warm(void);

/* Takes s->client_fd; the key exchange of the outer door begins.  -1: it cannot. */
int door_open(struct session *s);
/* A server on fd (given), in s's list.  NULL: no memory. */
struct door *door_new(struct session *s, uint8_t number, int fd);
static inline int
door_is_nested(const struct door *d)
{
	return (d->number != 0);
}

/* Asks auth and waits for its answer of `type`: over again when auth was renewed meanwhile.  0 or -1. */
struct answer_taken {
	enum message_type type;
	uint32_t ask;
	int good;
	uint8_t *signature; /* of SIGNED; malloc'd, yours */
	size_t len;
};
int door_auth_ask(struct session *s, struct message *question, struct answer_taken *t);

/* Moves what can be moved at every door; 1 when something was. */
int doors_turn(struct session *s);
void doors_tick(struct session *s);
void doors_watch(struct session *s);
/* Frees nested doors that are over and have no channel any more. */
void doors_sweep(struct session *s);
size_t doors_unsent(const struct session *s); /* bytes of ours on their way to the engineer */
void doors_close(struct session *s);

#endif
