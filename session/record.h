/*
 * The writing end of the recording: frames into the ring (base/ring.h), nothing else.  What stands in the ring outlives
 * this process; so a byte is recorded once record_put or record_bytes came back, and only then may it be delivered.
 *
 * A full ring is the back-pressure: while record_is_clear says no, nothing is forwarded either way.
 */
#ifndef SESSION_RECORD_H
#define SESSION_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"
#include "contract/tables.h"

struct record;
struct loop;

/* Called from the loop when the recorder made room. */
typedef void record_on_room(void *ctx);

/* Opens the ring; the three descriptors are given.  NULL: the ring is not one. */
struct record *record_open(struct loop *loop, int ring, int filled, int freed, record_on_room *on_room, void *ctx);
void record_close(struct record *r); /* NULL is fine */

/* Bytes of a peer's that one record_bytes would take now, 0..RING_FRAME_MAX; some room is kept for the small frames. */
size_t record_room(const struct record *r);
/* At most record_room() bytes: they stand in the ring afterwards. */
void record_bytes(struct record *r, enum frame_type type, uint32_t stream, uint32_t channel, struct bytes payload);

/* A small frame (a resize, an end): into the ring, or into memory until there is room; then record_is_clear says no. */
void record_put(struct record *r, enum frame_type type, uint32_t stream, uint32_t channel, struct bytes payload);
int record_is_clear(const struct record *r); /* 1: all that was put stands in the ring */

/* For how long the ring has had no room when it was asked, in ms of the boot clock; 0: it has.  Asked at every tick. */
int64_t record_stuck_ms(struct record *r);

#endif
