/*
 * The ring: one megabyte of memory shared by a session, which writes frames, and the recorder, which reads them; gateway
 * makes it, keeps a descriptor and never reads it.  What was put is there for the recorder whoever dies.
 *
 * Positions are byte counts since the ring was made, and never turn back: freed <= taken <= put.  The writer trusts
 * nothing but `freed` (bounded by its own put and by room); the reader trusts nothing at all: it copies out, then checks.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_ROOM (1024 * 1024)    /* bytes of frames */
#define RING_FRAME_MAX (32 * 1024) /* bytes of one payload */
#define RING_HEADER 32             /* bytes before each payload; frames start at multiples of 8 */

struct ring_frame {
	uint16_t type; /* frames.def */
	uint32_t stream;
	uint32_t channel;
	uint64_t sequence; /* of the connection, from 1 without a gap */
	int64_t boot_us;
	const uint8_t *at; /* payload, lent */
	uint32_t len;
};

struct ring; /* one end of it */

/* gateway: a new memfd, size sealed; -1 and errno. */
int ring_create(void);
/* Maps fd (lent: the caller closes it or keeps it).  NULL when it has not the right size or seals. */
struct ring *ring_open(int fd);
void ring_close(struct ring *r);

/* The writer's.  ring_put: 1 when the frame stands in the ring, 0 when there is no room now. */
int ring_put(struct ring *r, const struct ring_frame *f);
size_t ring_space(
    const struct ring *r); /* payload bytes that one ring_put would take now, at most RING_FRAME_MAX; 0: none */
uint64_t ring_put_position(const struct ring *r);
uint64_t ring_freed_position(const struct ring *r);
uint64_t ring_last_sequence(const struct ring *r); /* of the frames put; the writer's own count */

/*
 * The reader's.  ring_seek sets where reading goes on: only a position that the log says.  -1 when it is not between what
 * was freed and what was put.
 * ring_take copies the next frame's payload to `into` (RING_FRAME_MAX bytes) and fills *f (f->at = into): 1 a frame, 0 none now,
 * -1 the ring is broken (lengths, positions or order): its session must end.
 * ring_free tells the writer that everything before position is safe.
 */
int ring_seek(struct ring *r, uint64_t position);
int ring_take(struct ring *r, struct ring_frame *f, uint8_t *into);
uint64_t ring_taken_position(const struct ring *r);
void ring_free(struct ring *r, uint64_t position);

#endif
