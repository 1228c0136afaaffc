/* What desk.c (links and messages), desk_streams.c (connections and their streams), desk_recover.c share; for no other file. */
#ifndef RECORDER_DESK_OWN_H
#define RECORDER_DESK_OWN_H

#include "desk.h"
#include "ledger.h"
#include "recover.h"
#include "reel.h"
#include "room.h"
#include "tape.h"

#define RECEIPTS_MAX 1024 /* told again to a policy that comes back */

/* A recording that policy allowed. */
struct stream {
	struct stream *next;
	uint32_t stream;
	uint8_t id[16];
	char *facts;       /* NULL once the tape has them */
	struct tape *tape; /* NULL before DESCRIPTOR came, and after it is freed */
	int fd;            /* the target's socket; -1: not here */
	int held;          /* its session has the socket */
	int over;          /* sealed, failed or dropped: nothing more will come of it */
};

struct connection {
	struct connection *next;
	uint64_t conn;
	struct peer *session; /* NULL: away */
	struct reel *reel;
	struct stream *streams;
	int known;    /* gateway told us of it (a ring or a link) */
	int gone;     /* its process ended: the ring is drained, then all is ended with gone_reason */
	int drained;  /* nothing more comes out of the ring */
	int troubled; /* told its session that it is over */
	uint16_t gone_reason;
};

struct receipt {
	uint64_t conn;
	uint32_t stream;
	uint8_t id[16], state;
	struct tape_receipt of;
};

struct desk {
	struct loop *loop;
	struct peer *gateway;                /* lent */
	struct peer *policy, *dialer, *book; /* NULL: away */
	struct shelf *shelf;                 /* lent */

	struct wal *wal;
	struct ledger *ledger;
	struct works *works;
	struct room *room;
	struct tape_house house;
	struct reel_house reels;
	struct timer *tick;

	struct connection *connections;
	struct receipt receipts[RECEIPTS_MAX]; /* a circle */
	size_t receipt_count;                  /* ever */

	int told; /* LINKS_TOLD came */
	int sweeping;
	int log_error; /* errno of a sync that failed */
	enum { STOP_NOT, STOP_DRAINING, STOP_HANDING_OVER } stopping;
	int64_t stop_boot_ms, full_boot_ms; /* 0: not */
};

struct connection *connection_find(struct desk *d, uint64_t conn);
struct connection *connection_get(
    struct desk *d, uint64_t conn); /* makes one; never NULL: no memory ends the process */
void connection_gone(struct connection *c, uint16_t reason);
/* Ends this connection's recordings now, telling its session why (0: all streams). */
void connection_trouble(struct desk *d, struct connection *c, uint16_t reason, const char *text);

struct stream *stream_find(struct connection *c, uint32_t stream);
void stream_allowed(struct desk *d, const struct msg_stream_allowed *m);
void stream_dropped(struct desk *d, const struct msg_stream_dropped *m);
void stream_descriptor(struct desk *d, const struct msg_descriptor *m, int fd);             /* given */
void stream_begun_tell(struct desk *d, const struct connection *c, const struct stream *s); /* to policy */
void stream_held(struct desk *d, struct connection *c, uint32_t stream);
void streams_hand(struct desk *d, struct connection *c); /* gives what waits for its session's link */

/* Takes up what recover() found.  0; -1: no memory. */
int streams_recover(struct desk *d, const struct recovered *r);

/* Callbacks of tapes, reels, ledger and log; ctx is the desk. */
void streams_house(struct desk *d);
void desk_on_leaf_held(void *ctx, const struct ledger_leaf *leaf);
int desk_renote(void *ctx); /* everything a successor must know, into the log's new file */

void desk_sweep(struct desk *d); /* soon: frees what is over, says RING_SEALED, ends an orderly end */
void receipt_tell(struct desk *d, const struct receipt *r);

#endif
