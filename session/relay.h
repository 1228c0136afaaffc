/*
 * Bytes of a running channel: recorded, then delivered.  delivered <= recorded <= received, always, is an assertion in
 * every build.
 *
 * A flow reads only what the ring has room for and what the receiver's window takes; what libssh did not take (a key
 * exchange is under way) is held here, and nothing more is read until it is gone.  So memory is bounded by the ring, one
 * piece a flow and libssh's windows, whoever stops reading.
 */
#ifndef SESSION_RELAY_H
#define SESSION_RELAY_H

#include <stdint.h>

struct channel;

#define RELAY_PIECE (32 * 1024)
#define RELAY_TURN (256 * 1024) /* bytes of one flow in one turn, so that everybody gets theirs */

/* Zero is a flow that has not begun. */
struct flow {
	uint64_t received, recorded, delivered; /* bytes */
	uint8_t *held;                          /* RELAY_PIECE bytes, made when needed */
	uint32_t held_from, held_to;
};

/* A turn of a RUNNING channel: 1 when something moved. */
int relay_turn(struct channel *c);
/* 1 when all that the target sent was delivered to the engineer. */
int relay_is_drained(const struct channel *c);
void relay_free(struct channel *c);

#endif
