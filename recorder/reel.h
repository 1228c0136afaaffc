/*
 * One connection's ring, read.  Frames that follow each other in one stream and track become one record of the log;
 * once the log has them the ring is freed, which is what lets the session deliver them.
 *
 * Promises: nothing is freed before the log has it (for a strict reel: before it is durable); frames are taken in their
 * order, each once; a ring that breaks its rules, or a frame of a stream that is not being recorded, ends this reel's
 * session and nobody else's.
 */
#ifndef RECORDER_REEL_H
#define RECORDER_REEL_H

#include <stdint.h>

#include "contract/messages.h"

#define REEL_BATCH (128u * 1024u) /* bytes of frames between two looks at everything else */

struct loop;
struct reel;
struct tape;
struct wal;

enum reel_trouble { REEL_BROKEN, REEL_NO_LOG };

/* What every reel works with. */
struct reel_house {
	struct loop *loop;
	struct wal *wal;
	/* The tape that takes frames of this stream now; NULL: nobody allowed it, or it is over. */
	struct tape *(*tape_of)(void *ctx, uint64_t conn, uint32_t stream);
	/* An END frame of this stream is in the log. */
	void (*on_end)(void *ctx, struct tape *t, uint16_t reason);
	/* The ring is read no more: `why` for the operator.  Called once, from the loop. */
	void (*on_trouble)(void *ctx, uint64_t conn, enum reel_trouble trouble, const char *why);
	/* The log met a full disk: 1 when it was given room, and trying again makes sense. */
	int (*on_full)(void *ctx);
	/* reel_drain: everything in the ring has been read. */
	void (*on_drained)(void *ctx, uint64_t conn);
	void *ctx;
};

struct reel *reel_new(const struct reel_house *house, uint64_t conn); /* house is lent; NULL: no memory */
void reel_free(struct reel *r);                                       /* NULL is fine */

/* Where a predecessor's log ended; before the ring comes. */
void reel_seek(struct reel *r, uint64_t position, uint64_t next_frame);

/* One of the ring's three parts, fd given, any order; reading begins with the third.  Parts that came already: closed. */
void reel_memory(struct reel *r, enum memory_kind what, int fd);
int reel_is_whole(const struct reel *r);

void reel_strict(struct reel *r); /* from now on: free what is durable, not what is written */
void reel_wake(struct reel *r);   /* looks again, soon: a tape has room for more, or may begin */
void reel_drain(
    struct reel *r); /* its session is gone: read to the end, then on_drained; frames of no tape are dropped */
void reel_halt(struct reel *r); /* leaves the ring alone until reel_drain: nothing more is delivered */

uint64_t reel_position(const struct reel *r); /* of the ring, as the log has it */
uint64_t reel_next_frame(const struct reel *r);

#endif
