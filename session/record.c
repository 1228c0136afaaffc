#include "record.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/ring.h"

#define ROOM_KEPT 8192 /* of the ring, for small frames */
#define LATE_MAX \
	(16 * 1024 * 1024) /* bytes of small frames that wait (64 ledgers at their end); more: it is broken */

/* A small frame that waits for room. */
struct late {
	struct late *next;
	struct ring_frame frame;
	uint8_t at[];
};

struct record {
	struct ring *ring;
	int filled, freed;
	struct watch *watch;
	record_on_room *on_room;
	void *ctx;
	struct late *first, **last;
	size_t late_bytes;
	int64_t stuck_since_ms; /* 0: not */
};

static void
filled_tell(const struct record *r)
{
	static const uint64_t one = 1;

	/* The counter cannot be full in a lifetime; if it were, the recorder is awake already. */
	if (write(r->filled, &one, sizeof(one)) == -1)
		return;
}

/* 1 when the frame stands in the ring. */
static int
frame_put(struct record *r, struct ring_frame *f)
{
	f->boot_us = clock_boot_us();
	if (!ring_put(r->ring, f))
		return (0);
	filled_tell(r);
	return (1);
}

static void
late_flush(struct record *r)
{
	struct late *l;

	while ((l = r->first) != NULL && frame_put(r, &l->frame)) {
		r->first = l->next;
		if (r->first == NULL)
			r->last = &r->first;
		r->late_bytes -= l->frame.len;
		free(l);
	}
}

static void
on_freed(int fd, int events, void *ctx)
{
	struct record *r = ctx;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == -1)
		return;
	late_flush(r);
	r->on_room(r->ctx);
}

struct record *
record_open(struct loop *loop, int ring, int filled, int freed, record_on_room *on_room, void *ctx)
{
	struct record *r = calloc(1, sizeof(*r));

	if (r == NULL)
		goto no_memory;
	r->filled = filled;
	r->freed = freed;
	r->last = &r->first;
	r->on_room = on_room;
	r->ctx = ctx;
	if ((r->ring = ring_open(ring)) == NULL)
		goto no_ring;
	if ((r->watch = watch_begin(loop, freed, WATCH_READ, on_freed, r)) == NULL)
		goto no_watch;
	close(ring);
	return (r);

no_watch:
	ring_close(r->ring);
no_ring:
	free(r);
no_memory:
	close(ring);
	close(filled);
	close(freed);
	return (NULL);
}

void
record_close(struct record *r)
{
	struct late *l;

	if (r == NULL)
		return;
	late_flush(r);
	while ((l = r->first) != NULL) {
		r->first = l->next;
		free(l);
	}
	watch_end(r->watch);
	ring_close(r->ring);
	close(r->filled);
	close(r->freed);
	free(r);
}

size_t
record_room(const struct record *r)
{
	uint64_t used = ring_put_position(r->ring) - ring_freed_position(r->ring);
	size_t space;

	if (r->first != NULL || used + ROOM_KEPT >= RING_ROOM)
		return (0);
	space = (size_t)(RING_ROOM - ROOM_KEPT - used);
	if (space > ring_space(r->ring))
		space = ring_space(r->ring);
	return (space < 256 ? 0 : space);
}

void
record_bytes(struct record *r, enum frame_type type, uint32_t stream, uint32_t channel, struct bytes payload)
{
	struct ring_frame f = {.type = (uint16_t)type,
	    .stream = stream,
	    .channel = channel,
	    .at = payload.at,
	    .len = (uint32_t)payload.len};

	/* record_room promised it; delivering what is not recorded is what must never happen. */
	if (r->first != NULL || !frame_put(r, &f))
		log_fatal("the ring took less than it promised");
}

void
record_put(struct record *r, enum frame_type type, uint32_t stream, uint32_t channel, struct bytes payload)
{
	struct ring_frame f = {.type = (uint16_t)type,
	    .stream = stream,
	    .channel = channel,
	    .at = payload.at,
	    .len = (uint32_t)payload.len};
	struct late *l;

	if (r->first == NULL && frame_put(r, &f))
		return;
	if (r->late_bytes + payload.len > LATE_MAX || (l = malloc(sizeof(*l) + payload.len)) == NULL)
		log_fatal("the recorder takes nothing and memory is short");
	l->next = NULL;
	l->frame = f;
	memcpy(l->at, payload.at, payload.len);
	l->frame.at = l->at;
	*r->last = l;
	r->last = &l->next;
	r->late_bytes += payload.len;
}

int
record_is_clear(const struct record *r)
{
	return (r->first == NULL);
}

int64_t
record_stuck_ms(struct record *r)
{
	if (r->first == NULL && record_room(r) > 0)
		r->stuck_since_ms = 0;
	else if (r->stuck_since_ms == 0)
		r->stuck_since_ms = clock_boot_ms();
	return (r->stuck_since_ms == 0 ? 0 : clock_boot_ms() - r->stuck_since_ms);
}
