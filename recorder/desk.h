/*
 * The recorder's desk: every link ends here, and what each says is brought to the reels and tapes.
 *
 *	STREAM_ALLOWED -> STREAM_READY -> DESCRIPTOR -> first records durable, session.start in the book -> TARGET, STREAM_BEGUN
 *	-> frames -> END, or the session is gone -> sealed, session.end in the book -> SEALED -> RING_SEALED when it was the last
 *
 * Promises: a target's socket goes to its session only after the recording has begun, and once; a connection's ring is let
 * go only when all its recordings are sealed (or failed, and then the log has them); trouble with one session ends that
 * one; what policy missed while it was away is told again.
 */
#ifndef RECORDER_DESK_H
#define RECORDER_DESK_H

#include "contract/peer.h"
#include "contract/settings.h"
#include "shelf.h"

#define DESK_LOG_FILE_BYTES (8u << 20)
#define DESK_FAREWELL_MS \
	1500              /* an orderly end: sessions may say farewell for so long; then they are our successor's */
#define DESK_STOP_MS 6000 /* an orderly end takes no longer: what is not sealed then, the log has */
#define DESK_FULL_MS 5000 /* the shelf is full: sessions may say farewell for so long */

struct desk;
struct loop;

struct desk_about {
	struct loop *loop;
	struct peer *gateway;                      /* lent */
	struct shelf *shelf;                       /* lent */
	const char *recipients, *input_recipients; /* words; lent */
};

/* Reads what a predecessor left and takes it up.  NULL, and one line in `why`. */
struct desk *desk_open(const struct desk_about *about, char *why, size_t why_size);
void desk_close(struct desk *d);

/* LINK, MEMORY, SESSION_GONE, LINKS_TOLD; ctx: where the desk will stand (struct desk **). */
peer_on_message desk_on_gateway;
/* Drains, seals, and stops the loop.  Sessions that still live are left to a successor, who takes their rings over. */
void desk_stop(struct desk *d);

#endif
