/*
 * A visit: one stream of this connection to one target, recorded as one.  (A forwarded connection is one too: it has a
 * plain socket in place of an SSH leg, and is OPEN when that is there.)  Its socket comes from the recorder, after the
 * first frame is durable; what lets it in from auth (credential.h); its host key must be a pinned one at the first exchange,
 * and the same at each later one (host_keys.h).
 *
 *     AWAITED ──socket──▶ EXCHANGE ──pinned key──▶ LOGIN ──▶ OPEN ─────────────────────────▶ OVER
 *                                                             └──in order──▶ ROTATING ──────▶┘
 *
 * ROTATING   the engineer has left; the account's password is changed where auth wants that (renewal.h).
 */
#ifndef SESSION_VISIT_H
#define SESSION_VISIT_H

#include <libssh/libssh.h>

#include "host_keys.h"
#include "leg.h"
#include "session.h"
#include "transfer.h"

#define VISIT_ENTER_MS 60000 /* from the yes to the target's shell, at most */

#define VISIT_LEGACY_MAX 1023 /* bytes of a name-list of old algorithms */

struct channel;
struct credential;
struct renewal;

enum visit_state { VISIT_AWAITED, VISIT_EXCHANGE, VISIT_LOGIN, VISIT_OPEN, VISIT_ROTATING, VISIT_OVER };

struct visit {
	struct visit *next;
	struct session *session;
	uint32_t stream;
	uint64_t grant;
	char target[LOGINNAME_PART_MAX + 1], account[LOGINNAME_PART_MAX + 1];
	struct host_keys host_keys;
	enum target_login how;
	char legacy[VISIT_LEGACY_MAX + 1]; /* a name-list: what this target needs beyond the modern algorithms */
	uint32_t capabilities;             /* bits of enum capability, of the grant */
	enum visit_state state;
	int64_t enter_by_ms; /* boot clock */

	/* the target's leg */
	int has_socket;
	struct leg leg;
	struct credential *credential; /* until its login is over */
	struct renewal *renewal;       /* while it is ROTATING */

	struct channel *global; /* lent: whose global request the target has not answered */

	/* a forwarded connection's socket */
	int is_plain;
	int socket; /* -1 */
	struct watch *socket_watch;
	int socket_ended, socket_broken; /* it sends no more; it takes no more */

	int was_open;
	struct transfer_counts transfers; /* of channels that have ended, for the receipt */
	enum reason reason;               /* why it is OVER */

	/* the recorder's last word */
	int has_ended; /* its END stands in the ring: nothing may follow it there */
	int is_sealed;
	char recording[33], digest[65];
	uint32_t segments;
};

/* NULL: there is none for this stream. */
struct visit *visit_of(const struct session *s, uint32_t stream);
/* policy said yes to a channel of that kind: the visit that carries it, a new one or the one that stream has.  NULL: no memory. */
struct visit *visit_join(struct session *s, const struct msg_verdict *m, enum ask_kind kind);
void visit_on_target(struct session *s, uint32_t stream, int fd); /* fd given */
/* The siblings are back: what lives, and what ended, is said again. */
void visits_auth_anew(struct session *s);
void visits_policy_anew(struct session *s);
void visits_recorder_anew(struct session *s);

/* Leaves the target at once and ends the recording.  Channels in it are refused with reason and text; NONE: without a word. */
void visit_end(struct visit *v, enum reason reason, const char *text);
/* The same for one whose end is nobody's order: the password of a visit that had one is changed first, where auth wants it. */
void visit_close(struct visit *v, enum reason reason);
/* All visits under a grant (0: any). */
void visits_end(struct session *s, uint64_t grant, enum reason reason, const char *text);
void visits_close(struct session *s, enum reason reason);
int visits_rotate(const struct session *s);   /* 1 while one of them is ROTATING */
size_t visit_channels(const struct visit *v); /* that ENTER or RUN in it */

int visits_turn(struct session *s);
void visits_tick(struct session *s);
/* Frees those that nobody asks after any more: over, sealed, and without a channel. */
void visits_sweep(struct session *s);
void visits_free(struct session *s);

#endif
