/*
 * What one lodge-session holds: one engineer's connection, from its TCP descriptor to its end.  One loop, one thread, no
 * file and no socket of its own; every descriptor was handed to it.
 *
 *     ARRIVED ──ring, links, host key──▶ EXCHANGE ──▶ LOGIN ──auth's word──▶ OPEN ──▶ LEAVING ──▶ (the process ends)
 *
 * ARRIVED   waits for gateway's gifts.   EXCHANGE  the first key exchange; a missing auth ends it.
 * LOGIN     auth answers each try.       OPEN      channels are asked for, wait, run.
 * LEAVING   targets are left, last words are on their way to the engineer; at most LEAVE_MS.
 *
 * Promises: no byte is delivered that the ring does not hold (relay.h); no channel runs without a lease (lease.h); what
 * a sibling asks twice is answered twice; what this process asked and was not answered is asked again over a new link.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "base/loginname.h"
#include "base/loop.h"
#include "contract/daemon.h"
#include "contract/tables.h"
#include "record.h"

#define SESSION_CHANNELS_MAX 64  /* open at once in one connection */
#define SESSION_DENIALS_MAX 4096 /* channels that policy denied, after which a connection gets no more */
#define SESSION_TICK_MS 250      /* deadlines and clocks are looked at this often while somebody is in */
#define SESSION_LEAVE_MS 900     /* last words may take so long */
#define SESSION_STUCK_MS 20000   /* the recorder may take nothing for so long, before the connection ends */

struct channel;
struct door;
struct visit;
struct lease;

enum session_state { SESSION_ARRIVED, SESSION_EXCHANGE, SESSION_LOGIN, SESSION_OPEN, SESSION_LEAVING };

struct session {
	/* for the whole life */
	struct loop *loop;
	struct settings set;
	struct peer *gateway;
	uint64_t conn;
	char source[64];
	uint16_t port;
	enum session_state state;

	/* links; NULL while away */
	struct peer *auth, *policy, *recorder;
	uint32_t last_ask;

	/* the recording */
	int memory[3]; /* until the record is open: ring, filled, freed; -1 */
	struct record *record;

	/* the engineer's legs */
	int client_fd; /* until the door is open */
	uint8_t *host_key;
	size_t host_key_len;
	struct door *door; /* the outer one, then those nested in it */
	char person[LOGINNAME_PART_MAX + 1];

	/* what runs in it */
	struct channel *channels;
	struct visit *visits;
	struct lease *leases;
	uint32_t last_channel;
	uint32_t refusals; /* channels and requests that we refused by ourselves */
	uint32_t denials;  /* channels that policy denied */

	/* the turn */
	int turn_due;
	struct timer *tick;
	int64_t leave_by_ms; /* boot clock, LEAVING */
	int client_leaves;   /* LEAVING: its channels were told; until leave_by_ms it may leave by itself */
	char farewell[256];  /* said in the disconnect */
};

/* The warm parent's clone goes on here: fd is its link to gateway.  Returns when the connection is over. */
void session_run(int fd);

/* Something moved: everybody gets a turn, after the present handlers. */
void session_wake(struct session *s);

/* A number of its own for each question of this session. */
uint32_t session_ask(struct session *s);

/* Ends the connection: targets are left, each channel that still runs is told, and the farewell said. */
void session_leave(struct session *s, enum reason reason, const char *text);

/* auth is away and libssh waits: takes what gateway sends until auth is linked again.  0; -1 after timeout_ms. */
int session_await_auth(struct session *s, int timeout_ms);

#endif
