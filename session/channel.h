/*
 * One channel of the engineer's (RFC 4254 5, 6, 7.2): what was asked for in it, what policy said, and what runs in it.
 *
 *     GATHERING ──shell, exec, subsystem──▶ ASKING ──yes──▶ ENTERING ──target started it──▶ RUNNING ──▶ SEALING ─┐
 *         │                                   │ no, given up   │ target refused              │ cut, over        │
 *         └──words of a person──▶ VERB ───────┴────────────────┴─▶ ENDING ◀───────────────────┴──────────────────┘──▶ OVER
 *
 * GATHERING  terminal and environment are noted.        ASKING   nothing flows; the engineer sees why.
 * ENTERING   the target's own channel is made ready.    RUNNING  bytes flow, recorded first (relay.h).
 * VERB       policy answers a person's words.           SEALING  waits, briefly, for the recording's digest: the receipt.
 * ENDING     our last words, the exit status, close.    OVER     to be freed at the end of the turn.
 *
 * Connections beside shells and commands are channels too: forwarded ones (forward.h), and those that lead through the
 * target or come back from it (beside.h).  They have no words of ours, and are not open for their asker before they RUN.
 */
#ifndef SESSION_CHANNEL_H
#define SESSION_CHANNEL_H

#include <libssh/callbacks.h>

#include "door.h"
#include "relay.h"
#include "screen.h"
#include "session.h"
#include "text.h"

struct fresh;

#define CHANNEL_ENV_MAX 32
#define CHANNEL_COMMAND_MAX 32000 /* bytes: one frame */

enum channel_state {
	CHANNEL_GATHERING,
	CHANNEL_ASKING,
	CHANNEL_ENTERING,
	CHANNEL_RUNNING,
	CHANNEL_SEALING,
	CHANNEL_VERB,
	CHANNEL_ENDING,
	CHANNEL_OVER
};

/* In this order. */
enum entry_step { ENTRY_OPEN, ENTRY_PTY, ENTRY_AGENT, ENTRY_X11, ENTRY_ENV, ENTRY_START };

/* A session of RFC 4254 6; a TCP connection of the dialer's; a unix socket on the target; what the target opened; a port
 * on which the target listens. */
enum channel_way { WAY_SESSION, WAY_FORWARD, WAY_SOCKET, WAY_BACK, WAY_LISTEN };

struct channel {
	struct channel *next;
	struct session *session;
	struct door *door; /* lent; outlives us */
	uint32_t number;
	enum channel_way way;
	enum channel_state state;

	/* the engineer's end */
	ssh_channel here;
	ssh_message
	    opening; /* with which it was asked for, the engineer's or (WAY_BACK) the target's, until it is answered */
	struct ssh_channel_callbacks_struct here_calls;
	int here_closed;      /* the engineer closed it */
	struct fifo out, err; /* our own words, on their way */

	/* what was asked for */
	int has_pty;
	char term[64];
	uint32_t columns, rows, pixel_width, pixel_height;
	uint8_t *modes;
	size_t modes_len;
	struct {
		char *name, *value;
	} env[CHANNEL_ENV_MAX];
	size_t env_count;
	char zone[64];
	enum ask_kind kind; /* once it is ASKING */
	char *command;      /* as ASK has it; NULL for a shell */
	char *originator;   /* of a connection, as whoever asks for it states it */
	int wants_agent;
	struct {
		int wanted, single;
		char *protocol, *cookie;
		uint32_t screen;
	} x11;

	/* the question */
	uint32_t ask;
	int ask_due; /* when no visit is ROTATING any more */
	int wont_wait;
	int is_waiting;
	uint64_t request;
	int64_t asked_boot_ms, until_wall_ms;
	struct fifo ahead;    /* typed before the wait was shown */
	int64_t shown_second; /* of the line that lives */
	int shown_width;

	int is_recorded; /* of those of beside.h: the record says what is tried */
	int back_type;   /* WAY_BACK: libssh's name of what the target opens */

	/* the target's end */
	struct visit *visit; /* lent; outlives us */
	ssh_channel there;
	struct ssh_channel_callbacks_struct there_calls;
	int there_closed;
	int64_t enter_by_ms; /* boot clock; it has ENTERed by then, or is given up */
	enum entry_step step;
	size_t env_next;
	int resize_due, eow_due, break_due;
	uint32_t break_ms;
	char signal_due[32];
	struct flow flow_in, flow_out, flow_err;
	int agent_on, x11_on;      /* the target was told that it may */
	struct transfer *transfer; /* rules and ledger of a channel that carries files; or NULL */
	int in_ended, out_ended;   /* EOF was passed on */
	struct screen screen;
	int told; /* policy was told that it runs */

	/* how it ended */
	int has_status;
	uint32_t status;
	char signal[32];
	int core_dumped;
	int64_t seal_by_ms; /* boot clock; SEALING */

	/* a person's words */
	uint32_t verb_ask;
	int verb_fd;
	struct watch *verb_watch;
	size_t verb_seen[2], verb_skip[2]; /* bytes of policy's answer that came, and that come again */
	int verb_ended, verb_lost;
	uint8_t verb_status;
	struct fresh *fresh; /* while a code is wanted for it */
};

/* The one way from state to state; a step that the table in channel.c does not know is a bug and ends the process. */
void channel_step(struct channel *c, enum channel_state to);

/* In GATHERING, at the end of the session's list.  NULL: too many, or no memory. */
struct channel *channel_add(struct door *d);
/* The engineer's end is open: it is ours now, and we hear of its closing, and of signals. */
void channel_take_here(struct channel *c, ssh_channel here);
int channel_is_forward(const struct channel *c);
int channel_has_words(const struct channel *c); /* a session: it has a place for them, and an exit status */
/* The engineer's end can be spoken to. */
int channel_hears(const struct channel *c);

/* A line of ours on the engineer's standard error, its line end added as a terminal wants it. */
void channel_say(struct channel *c, const char *line);
/* Our bytes on standard output (1) or standard error (2), as a terminal wants line ends. */
void channel_put(struct channel *c, int to, struct bytes text);
/* The line for reason (text as for text_reason), its exit status, close. */
void channel_refuse(struct channel *c, enum reason reason, const char *text);
/* The same for what ran, at the end of its visit: on a terminal the receipt follows. */
void channel_cut(struct channel *c, enum reason reason, const char *text);
/* Takes a line that lives off the terminal. */
void channel_line_clear(struct channel *c);
/* It leaves its visit, whose end (or its own) is at hand: what runs is told to stop, the record to close. */
void channel_leave(struct channel *c);
/* Exit status (or the signal noted in c), close, after what waits in its fifos. */
void channel_finish(struct channel *c);

/* 1 when something moved. */
int channels_turn(struct session *s);
void channels_tick(struct session *s);
/* Frees those that are OVER; all: whatever their state, without a word. */
void channels_sweep(struct session *s);
void channels_free(struct session *s);

#endif
