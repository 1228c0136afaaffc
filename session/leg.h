/*
 * One SSH leg under the loop: libssh's session, its socket, and the pump that moves packets in and out.
 *
 * libssh is let do its own polling (an EAGAIN of its own is fatal to it), each leg with an ssh_event of its own; the
 * loop watches a duplicate of the descriptor, because libssh closes its own whenever it likes.  O_NONBLOCK is forced
 * again at each pump, for libssh takes it away at connecting.  Nothing is freed inside a callback of libssh.
 */
#ifndef SESSION_LEG_H
#define SESSION_LEG_H

#include <stddef.h>
#include <stdint.h>

#include <libssh/libssh.h>

#define LEG_UNSENT_MAX (256 * 1024) /* bytes that libssh may hold for a peer who does not read */
#define LEG_UNSENT_LOST \
	(2 * 1024 * 1024)       /* only answers get so many: it asks and asks, and reads none; it is left */
#define LEG_MESSAGES_LOST 16384 /* wait while none is taken, more than two pumps bring: it is left too */

struct loop;
struct settings;
struct watch;

/* Something may have moved: the owner takes its turn. */
typedef void leg_on_wake(void *ctx);

struct leg {
	struct loop *loop;
	ssh_session ssh;
	ssh_event event; /* NULL until leg_listen */
	int fd;          /* libssh's; known so that its flags can be set */
	int watched;     /* our duplicate */
	struct watch *watch;
	leg_on_wake *wake;
	void *ctx;
	int over;   /* the connection is gone */
	int silent; /* at the end no SSH_MSG_DISCONNECT: it would overtake the exit status in an OpenSSH client */
	/* Is the peer there? */
	uint64_t packets_seen;
	int64_t heard_ms; /* boot clock */
	int64_t asked_ms;
	int unanswered;
};

/* ssh and fd are given; leg_end frees both.  -1: no memory or descriptors (ssh and fd are freed). */
int leg_begin(struct leg *l, struct loop *loop, ssh_session ssh, int fd, leg_on_wake *wake, void *ctx);
/* When a leg makes its keys anew (RekeyBytes, RekeyInterval; RFC 4253 9).  0 or -1. */
int leg_rekey(ssh_session ssh, const struct settings *set);
/* libssh has a poll of its own after the first step of its key exchange: from now on leg_pump works. 0 or -1. */
int leg_listen(struct leg *l);
/* Before and after each step of libssh's that touches the socket. */
void leg_unblock(const struct leg *l);
/* Takes in and gives out what can be without waiting, a bounded amount.  1 when something moved. */
int leg_pump(struct leg *l);
/* Says to the loop what the leg waits for; after each turn. */
void leg_watch(struct leg *l);
/* Payload bytes that may be written now, so that memory stays bounded; 0 also during a key exchange. */
size_t leg_room(const struct leg *l);
size_t leg_unsent(const struct leg *l);
/* Asks the peer whether it lives when it has been silent for interval_ms.  1: it has not answered `most` times. */
int leg_alive_check(struct leg *l, int64_t interval_ms, int64_t most);
/* Says farewell (text: what the client prints; NULL: nothing special) and closes.  A leg that never began is fine. */
void leg_end(struct leg *l, const char *text);

#endif
