#include "reel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/ring.h"
#include "base/secret.h"
#include "contract/tables.h"
#include "format/blob.h"
#include "format/framecast.h"
#include "tape.h"
#include "wal.h"

#define RUNS_MAX 64 /* records of one batch */

struct run {
	struct tape *tape;
	uint32_t stream;
	size_t at; /* of its frames in `frames`: the memory there moves while it grows */
	struct tape_run part;
};

/* What one look takes out of the ring. */
struct batch {
	struct blob frames;
	struct run runs[RUNS_MAX];
	size_t count;
	uint64_t to,
	    next_frame; /* how far the ring was read: the reel is there when the log has the batch, and not before */
	struct tape *ended; /* an END frame of this tape is the last one */
	uint16_t reason;
};

struct reel {
	const struct reel_house *house;
	uint64_t conn;

	/* The ring and its two bells. */
	struct ring *ring;
	int filled, freed;
	struct watch *watch;

	/* How far: everything before `position` is in the log. */
	uint64_t position, next_frame;
	uint64_t sync_to; /* strict: what the sync under way makes durable */

	enum { READING, DRAINING, HALTED, DRAINED } state;
	int strict, waking, syncing;
	enum { UNTROUBLED, TROUBLED, TOLD } trouble;
	enum reel_trouble what;
	char why[96];
	int dead; /* freed when nothing comes back to it any more */
};

static uint8_t payload[RING_FRAME_MAX]; /* one frame, copied out of the ring; wiped after each batch */
static struct batch batch;

static void
reel_release(struct reel *r)
{
	if (r->dead && !r->waking && !r->syncing)
		free(r);
}

/* What is in hand is finished first: reel_tell() ends it. */
static void
reel_trouble(struct reel *r, enum reel_trouble trouble, const char *why)
{
	if (r->state == READING)
		r->state = HALTED;
	if (r->trouble != UNTROUBLED)
		return;
	r->trouble = TROUBLED;
	r->what = trouble;
	(void)snprintf(r->why, sizeof r->why, "%s", why);
}

static void
reel_tell(struct reel *r)
{
	if (r->trouble != TROUBLED)
		return;
	r->trouble = TOLD;
	r->house->on_trouble(r->house->ctx, r->conn, r->what, r->why);
}

/* --- Out of the ring -------------------------------------------------------------------------------------- */

/* Puts a frame behind the last run of its stream and track, or begins one.  0; -1: no memory. */
static int
batch_add(struct batch *b, struct tape *t, const struct ring_frame *f, uint64_t from)
{
	enum journal_track track = framecast_track(f->type);
	struct run *last = b->count == 0 ? NULL : &b->runs[b->count - 1];

	if (blob_reserve(&b->frames, JOURNAL_FRAME_HEAD + f->len) == -1)
		return (-1);
	if (last == NULL || last->tape != t || last->part.track != track) {
		last = &b->runs[b->count++];
		*last = (struct run){
		    .tape = t, .stream = f->stream, .at = b->frames.size, .part = {.track = track, .from = from}};
	}
	b->frames.size += journal_frame_write(b->frames.at + b->frames.size, f);
	last->part.size = b->frames.size - last->at;
	return (0);
}

/*
 * Takes frames until there are no more, the batch is full, or a stream ends.  1: there may be more; 0: the ring is empty;
 * -1: the ring is not to be read on.
 */
static int
batch_take(struct reel *r, struct batch *b)
{
	while (b->count < RUNS_MAX && b->frames.size < REEL_BATCH && b->ended == NULL) {
		uint64_t from = ring_taken_position(r->ring);
		struct ring_frame f;
		struct tape *t;
		int got = ring_take(r->ring, &f, payload);

		if (got == 0)
			return (0);
		if (got == -1 || f.sequence != b->next_frame || f.type == FRAME_BEGIN) {
			reel_trouble(r, REEL_BROKEN, "its ring breaks the rules");
			return (-1);
		}
		if ((t = r->house->tape_of(r->house->ctx, r->conn, f.stream)) == NULL && r->state != DRAINING) {
			(void)ring_seek(r->ring, from);
			reel_trouble(r, REEL_BROKEN, "it wrote of a stream that is not recorded");
			return (-1);
		}
		if (t != NULL && tape_backlog(t) > TAPE_BACKLOG_MAX) {
			(void)ring_seek(r->ring, from); /* it is sealed slower than it comes: reel_wake goes on */
			return (b->count > 0);
		}
		if (t != NULL && batch_add(b, t, &f, from) == -1) {
			reel_trouble(r, REEL_NO_LOG, "no memory");
			return (-1);
		}
		b->next_frame++;
		b->to = ring_taken_position(r->ring);
		if (t == NULL)
			continue;
		b->runs[b->count - 1].part.to = b->to;
		b->runs[b->count - 1].part.next_frame = b->next_frame;
		if (f.type == FRAME_END) {
			b->ended = t;
			b->reason = (uint16_t)(f.len >= 2 ? f.at[0] << 8 | f.at[1] : REASON_DONE);
		}
	}
	return (1);
}

/* --- Into the log ----------------------------------------------------------------------------------------- */

static void
reel_free_to(struct reel *r, uint64_t position)
{
	static const uint64_t one = 1;

	ring_free(r->ring, position);
	if (write(r->freed, &one, sizeof one) == -1)
		return; /* the counter is full: the session is awake already */
}

static void
on_durable(void *ctx, int error)
{
	struct reel *r = ctx;

	r->syncing = 0;
	if (r->dead) {
		reel_release(r);
		return;
	}
	if (error != 0) {
		reel_trouble(r, REEL_NO_LOG, strerror(error));
		reel_wake(r);
		return;
	}
	reel_free_to(r, r->sync_to);
	if (r->position > r->sync_to) {
		r->syncing = 1;
		r->sync_to = r->position;
		wal_sync(r->house->wal, on_durable, r);
	}
}

static void
reel_committed(struct reel *r)
{
	if (!r->strict)
		reel_free_to(r, r->position);
	else if (!r->syncing) {
		r->syncing = 1;
		r->sync_to = r->position;
		wal_sync(r->house->wal, on_durable, r);
	}
}

/* All of the batch into the log with one write.  The log's file, or 0 and errno. */
static uint32_t
batch_append(const struct reel *r, struct batch *b)
{
	struct blob records = {0};
	uint32_t file = 0;

	if (b->ended != NULL && tape_ends(b->ended, b->reason, b->to, &records) == -1) {
		errno = ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < b->count; i++) {
		b->runs[i].part.frames = b->frames.at + b->runs[i].at;
		if (tape_records(b->runs[i].tape, &b->runs[i].part, &records) == -1) {
			errno = ENOMEM;
			goto out;
		}
	}
	file = wal_append(r->house->wal, records.at, records.size);
	if (file == 0 && (errno == ENOSPC || errno == EDQUOT) && r->house->on_full(r->house->ctx))
		file = wal_append(r->house->wal, records.at, records.size);
out:
	blob_free(&records);
	return (file);
}

/* 0; -1: the log or memory did not take it, and the reel is halted. */
static int
batch_keep(struct reel *r, struct batch *b)
{
	uint32_t file = 0;

	if (b->count > 0 && (file = batch_append(r, b)) == 0) {
		reel_trouble(r, REEL_NO_LOG, strerror(errno));
		(void)ring_seek(
		    r->ring, r->position); /* reel_drain finds them again, and comes to the ring's end */
		return (-1);
	}
	/*
	 * Only now: while the log took the batch it may have begun a new file, in which it noted position and next frame for
	 * a successor.  Both must be those of the log, not of what is in hand.
	 */
	r->position = b->to;
	r->next_frame = b->next_frame;
	if (b->count == 0)
		return (0);
	reel_committed(r);
	for (size_t i = 0; i < b->count; i++)
		if (tape_keep(b->runs[i].tape, &b->runs[i].part, file) == -1) {
			reel_trouble(r, REEL_NO_LOG, "no memory");
			return (-1);
		}
	for (size_t i = 0; i < b->count; i++)
		tape_settle(b->runs[i].tape);
	if (b->ended != NULL)
		r->house->on_end(r->house->ctx, b->ended, b->reason);
	return (0);
}

/* --- Waking ----------------------------------------------------------------------------------------------- */

static void
reel_look(struct reel *r)
{
	uint64_t before = r->position;
	int more;

	reel_tell(r);
	if (!reel_is_whole(r) || r->state == HALTED || r->state == DRAINED)
		return;
	batch.frames.size = batch.count = 0;
	batch.ended = NULL;
	batch.to = r->position;
	batch.next_frame = r->next_frame;
	more = batch_take(r, &batch);
	if (batch_keep(r, &batch) == -1)
		more = -1;
	secret_wipe(payload, sizeof payload);
	blob_clear(&batch.frames);
	reel_tell(r);
	if (more == 1 && r->state != HALTED)
		reel_wake(r);
	else if (r->state == DRAINING && (more == -1 || r->position == ring_put_position(r->ring))) {
		r->state = DRAINED;
		r->house->on_drained(r->house->ctx, r->conn);
	} else if (r->state == DRAINING && r->position != before)
		reel_wake(r);
}

static void
on_wake(void *ctx)
{
	struct reel *r = ctx;

	r->waking = 0;
	if (r->dead)
		reel_release(r);
	else
		reel_look(r);
}

void
reel_wake(struct reel *r)
{
	if (r->waking)
		return;
	r->waking = 1;
	loop_defer(r->house->loop, on_wake, r);
}

static void
on_filled(int fd, int events, void *ctx)
{
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof count) == -1 && errno != EAGAIN)
		return;
	reel_look(ctx);
}

/* --- Life ------------------------------------------------------------------------------------------------- */

struct reel *
reel_new(const struct reel_house *house, uint64_t conn)
{
	struct reel *r = calloc(1, sizeof *r);

	if (r == NULL)
		return (NULL);
	*r = (struct reel){.house = house, .conn = conn, .filled = -1, .freed = -1, .next_frame = 1};
	return (r);
}

void
reel_free(struct reel *r)
{
	if (r == NULL)
		return;
	watch_end(r->watch);
	ring_close(r->ring);
	if (r->filled != -1)
		(void)close(r->filled);
	if (r->freed != -1)
		(void)close(r->freed);
	r->watch = NULL;
	r->ring = NULL;
	r->dead = 1;
	reel_release(r);
}

void
reel_seek(struct reel *r, uint64_t position, uint64_t next_frame)
{
	r->position = position;
	r->next_frame = next_frame;
}

int
reel_is_whole(const struct reel *r)
{
	return (r->ring != NULL && r->filled != -1 && r->freed != -1);
}

static void
reel_begin(struct reel *r)
{
	if (ring_seek(r->ring, r->position) == -1) {
		reel_trouble(r, REEL_BROKEN, "its ring is not where the log left it");
		reel_wake(r);
		return;
	}
	if (r->position > 0)
		reel_free_to(r, r->position); /* a predecessor may have died between the log and the bell */
	if ((r->watch = watch_begin(r->house->loop, r->filled, WATCH_READ, on_filled, r)) == NULL)
		log_fatal("no memory");
	reel_wake(r);
}

void
reel_memory(struct reel *r, enum memory_kind what, int fd)
{
	int *at = what == MEMORY_RING_FILLED ? &r->filled : what == MEMORY_RING_FREED ? &r->freed : NULL;

	if (reel_is_whole(r) || fd == -1 || (what == MEMORY_RING ? r->ring != NULL : at == NULL || *at != -1)) {
		if (fd != -1)
			(void)close(fd);
		return;
	}
	if (what == MEMORY_RING) {
		if ((r->ring = ring_open(fd)) == NULL)
			log_fatal("a ring from lodge-gateway cannot be mapped: %s", strerror(errno));
		(void)close(fd);
	} else
		*at = fd;
	if (reel_is_whole(r))
		reel_begin(r);
}

void
reel_strict(struct reel *r)
{
	r->strict = 1;
}

void
reel_drain(struct reel *r)
{
	if (r->state == DRAINED)
		return;
	r->state = DRAINING;
	if (!reel_is_whole(r)) {
		r->state = DRAINED;
		r->house->on_drained(r->house->ctx, r->conn);
		return;
	}
	reel_wake(r);
}

void
reel_halt(struct reel *r)
{
	if (r->state == READING)
		r->state = HALTED;
}

uint64_t
reel_position(const struct reel *r)
{
	return (r->position);
}

uint64_t
reel_next_frame(const struct reel *r)
{
	return (r->next_frame);
}
