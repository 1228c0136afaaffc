/*
 * Bytes of a running channel: recorded, then delivered.  delivered <= recorded <= received, always, is an assertion in
 * every build; what we put in of our own (an answer to a refused operation of sftp) is counted apart.
 *
 * A flow reads only what the ring has room for and what the receiver's window takes; what was not taken (a key exchange
 * is under way, a socket is full) is held here, and nothing more is read until it is gone.  So memory is bounded by the
 * ring, one piece a flow and libssh's windows, whoever stops reading.
 */
#ifndef SESSION_RELAY_H
#define SESSION_RELAY_H

#include <stdint.h>

#include "contract/tables.h"
#include "text.h"

struct channel;

#define RELAY_PIECE (32 * 1024)
#define RELAY_TURN (256 * 1024) /* bytes of one flow in one turn, so that everybody gets theirs */

/* Zero is a flow that has not begun. */
struct flow {
	uint64_t received, recorded, delivered; /* bytes */
	uint64_t added;                         /* of ours, among those delivered */
	uint8_t *piece; /* RELAY_PIECE bytes, made when needed; what is held of the last one: */
	uint32_t from, to;
	uint32_t unruled_from, unruled_to; /* of a flow that is ruled: what of the piece was not yet */
	uint8_t first[4];                  /* of a forwarded connection: what it said first */
	size_t first_len;
	struct fifo due; /* of a flow that is ruled (transfer.h): what may go on, in its stead */
};

/* A turn of a RUNNING channel to a target's channel, or to a socket: 1 when something moved. */
int relay_turn(struct channel *c);
int relay_socket_turn(struct channel *c);
/* 1 when nothing read is held on its way to the target. */
int relay_in_is_clear(const struct channel *c);
/* 1 when more of a socket's bytes could be taken. */
int relay_socket_has_room(const struct channel *c);
/* 1 when all that the target sent was delivered to the engineer. */
int relay_is_drained(const struct channel *c);
void relay_free(struct channel *c);

#endif
