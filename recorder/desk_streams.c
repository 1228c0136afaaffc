/* Connections and their streams: from the permission to record until the last one is sealed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/secret.h"
#include "contract/tables.h"
#include "desk_own.h"
#include "wal.h"

struct connection *
connection_find(struct desk *d, uint64_t conn)
{
	for (struct connection *c = d->connections; c != NULL; c = c->next)
		if (c->conn == conn)
			return (c);
	return (NULL);
}

struct connection *
connection_get(struct desk *d, uint64_t conn)
{
	struct connection *c = connection_find(d, conn);

	if (c != NULL)
		return (c);
	if ((c = calloc(1, sizeof *c)) == NULL || (c->reel = reel_new(&d->reels, conn)) == NULL)
		log_fatal("no memory");
	c->conn = conn;
	c->next = d->connections;
	d->connections = c;
	return (c);
}

struct stream *
stream_find(struct connection *c, uint32_t stream)
{
	for (struct stream *s = c == NULL ? NULL : c->streams; s != NULL; s = s->next)
		if (s->stream == stream)
			return (s);
	return (NULL);
}

static struct stream *
stream_add(struct connection *c, uint32_t stream, const uint8_t id[16])
{
	struct stream *s = calloc(1, sizeof *s);

	if (s == NULL)
		log_fatal("no memory");
	s->stream = stream;
	s->fd = -1;
	memcpy(s->id, id, sizeof s->id);
	s->next = c->streams;
	c->streams = s;
	return (s);
}

static void
facts_wipe(struct stream *s)
{
	if (s->facts != NULL)
		secret_wipe(s->facts, strlen(s->facts));
	free(s->facts);
	s->facts = NULL;
}

static void
fd_drop(struct stream *s)
{
	if (s->fd != -1)
		(void)close(s->fd);
	s->fd = -1;
}

/* It came to nothing, or its tape is to end with a word of ours. */
static void
stream_end(struct desk *d, struct stream *s, uint16_t reason)
{
	fd_drop(s);
	facts_wipe(s);
	if (s->tape == NULL)
		s->over = 1;
	else if (!s->over)
		tape_end(s->tape, reason, TAPE_END_WRITE);
	desk_sweep(d);
}

static struct stream *
stream_of_tape(struct desk *d, const struct tape *t, struct connection **c)
{
	struct stream *s;

	*c = connection_find(d, tape_conn(t));
	s = stream_find(*c, tape_stream(t));
	return (s != NULL && s->tape == t ? s : NULL);
}

/* --- Beginning -------------------------------------------------------------------------------------------- */

static void
ready_tell(struct desk *d, uint64_t conn, uint32_t stream, enum reason reason)
{
	peer_post(
	    d->policy, STREAM_READY, stream_ready, .conn = conn, .stream = stream, .reason = (uint16_t)reason);
}

void
stream_begun_tell(struct desk *d, const struct connection *c, const struct stream *s)
{
	peer_post(d->policy, STREAM_BEGUN, stream_begun, .conn = c->conn, .stream = s->stream,
	    .at_wall_ms = clock_wall_ms());
}

/* Gives the session its target, when the recording has begun and the session is there. */
static void
stream_hand(struct desk *d, struct connection *c, struct stream *s)
{
	if (s->fd == -1 || s->tape == NULL || s->over || c->session == NULL || tape_state(s->tape) != TAPE_LIVE ||
	    ledger_waits(d->ledger, LEDGER_START, s->id, 0, 0))
		return;
	peer_post_fd(c->session, s->fd, TARGET, target, .stream = s->stream);
	s->fd = -1;
	s->held = 1;
	stream_begun_tell(d, c, s);
}

void
streams_hand(struct desk *d, struct connection *c)
{
	for (struct stream *s = c->streams; s != NULL; s = s->next)
		stream_hand(d, c, s);
}

void
stream_allowed(struct desk *d, const struct msg_stream_allowed *m)
{
	struct connection *c = connection_find(d, m->conn);
	struct stream *s = stream_find(c, m->stream);

	if (m->id.len != 16 || (s != NULL && memcmp(s->id, m->id.at, 16) != 0)) {
		ready_tell(d, m->conn, m->stream, REASON_PROTOCOL);
		return;
	}
	if (d->stopping || (s != NULL && s->over) || (c == NULL ? d->told : c->gone || c->troubled)) {
		ready_tell(d, m->conn, m->stream, d->stopping ? REASON_HOUSE_CLOSING : REASON_RECORDER);
		return;
	}
	if (s == NULL && room_state(d->room) >= SHELF_ROOM_CRITICAL) {
		ready_tell(d, m->conn, m->stream, REASON_DISK_FULL);
		return;
	}
	c = connection_get(d, m->conn);
	if (s == NULL) {
		s = stream_add(c, m->stream, m->id.at);
		if ((s->facts = bytes_dup(m->facts)) == NULL)
			log_fatal("no memory");
	}
	if (m->strict)
		reel_strict(c->reel);
	ready_tell(d, m->conn, m->stream, REASON_NONE);
	if (s->held) /* asked again, by a policy that missed it */
		stream_begun_tell(d, c, s);
}

void
stream_dropped(struct desk *d, const struct msg_stream_dropped *m)
{
	struct stream *s = stream_find(connection_find(d, m->conn), m->stream);

	/* A session that has its target ends it by itself, and says how. */
	if (s != NULL && !s->held && !s->over)
		stream_end(d, s, m->reason);
}

void
stream_descriptor(struct desk *d, const struct msg_descriptor *m, int fd)
{
	struct connection *c = connection_find(d, m->conn);
	struct stream *s = stream_find(c, m->stream);
	struct tape_about about;

	if (fd == -1)
		return;
	if (s == NULL || s->over || s->held || s->fd != -1 || c->gone || d->stopping) {
		(void)close(fd);
		if (s != NULL && s->held && !s->over)
			stream_begun_tell(d, c, s);
		return;
	}
	s->fd = fd;
	if (s->tape != NULL) {
		stream_hand(d, c, s);
		return;
	}
	about = (struct tape_about){.conn = m->conn, .stream = m->stream, .facts = s->facts};
	memcpy(about.id, s->id, sizeof about.id);
	if ((s->tape = tape_begin(&d->house, &about)) == NULL) {
		int error = errno;

		log_error("a recording cannot begin: %s", strerror(error));
		if (error == ENOSPC || error == EDQUOT)
			(void)room_full(d->room);
		stream_end(d, s, REASON_RECORDER);
		ready_tell(
		    d, m->conn, m->stream, error == ENOSPC || error == EDQUOT ? REASON_DISK_FULL : REASON_RECORDER);
		return;
	}
	facts_wipe(s);
}

void
stream_held(struct desk *d, struct connection *c, uint32_t stream)
{
	struct stream *s = stream_find(c, stream);

	if (s == NULL || s->over || s->held)
		return;
	s->held = 1; /* a predecessor of ours handed it over */
	fd_drop(s);
	stream_begun_tell(d, c, s);
}

/* --- Ending ----------------------------------------------------------------------------------------------- */

static void
streams_end(struct desk *d, struct connection *c, uint16_t reason)
{
	for (struct stream *s = c->streams; s != NULL; s = s->next)
		stream_end(d, s, reason);
	desk_sweep(d);
}

void
connection_gone(struct connection *c, uint16_t reason)
{
	if (c->gone)
		return;
	c->gone = 1;
	c->gone_reason = reason;
	peer_close(c->session);
	c->session = NULL;
	for (struct stream *s = c->streams; s != NULL; s = s->next)
		fd_drop(s);
	reel_drain(c->reel);
}

void
connection_trouble(struct desk *d, struct connection *c, uint16_t reason, const char *text)
{
	if (c->troubled)
		return;
	c->troubled = 1;
	reel_halt(c->reel);
	peer_post(c->session, RECORDER_TROUBLE, recorder_trouble, .stream = 0, .reason = reason,
	    .text = bytes_text(text));
	streams_end(d, c, reason);
}

void
receipt_tell(struct desk *d, const struct receipt *r)
{
	struct connection *c = connection_find(d, r->conn);
	struct msg_sealed m = {.conn = r->conn,
	    .stream = r->stream,
	    .id = bytes_of(r->id, sizeof r->id),
	    .digest = bytes_of(r->of.digest, sizeof r->of.digest),
	    .segments = r->of.segments,
	    .bytes_out = r->of.bytes_out,
	    .bytes_in = r->of.bytes_in,
	    .state = r->state,
	    .reason = r->of.reason,
	    .at_wall_ms = r->of.at_wall_ms};

	peer_send(d->policy, &(struct message){.type = MSG_SEALED, .fd = -1, .sealed = m});
	if (c != NULL)
		peer_send(c->session, &(struct message){.type = MSG_SEALED, .fd = -1, .sealed = m});
}

/* --- What tapes and reels say ----------------------------------------------------------------------------- */

static void
on_begun(void *ctx, struct tape *t)
{
	struct connection *c;
	struct stream *s = stream_of_tape(ctx, t, &c);

	if (s != NULL)
		stream_hand(ctx, c, s);
}

static void
on_sealed(void *ctx, struct tape *t)
{
	struct desk *d = ctx;
	struct connection *c;
	struct stream *s = stream_of_tape(d, t, &c);
	struct receipt *r = &d->receipts[d->receipt_count++ % RECEIPTS_MAX];
	const struct tape_receipt *of = tape_receipt(t);

	*r = (struct receipt){.conn = tape_conn(t),
	    .stream = tape_stream(t),
	    .of = *of,
	    .state = of->failed      ? SEALED_FAILED
	             : of->recovered ? SEALED_RECOVERED
	                             : SEALED_WHOLE};
	memcpy(r->id, tape_id(t), sizeof r->id);
	receipt_tell(d, r);
	if (d->policy != NULL) /* else policy_tell() */
		tape_told(t);
	if (s == NULL)
		return;
	s->over = 1;
	fd_drop(s);
	desk_sweep(d);
	if (of->failed && !c->gone) /* nothing more of it can be recorded, so nothing more is delivered */
		connection_trouble(d, c, of->reason == REASON_DISK_FULL ? REASON_DISK_FULL : REASON_RECORDER,
		    "the recording cannot be kept");
}

static void
on_full(void *ctx)
{
	struct desk *d = ctx;

	(void)room_full(d->room);
}

static void
on_relief(void *ctx, struct tape *t)
{
	struct connection *c = connection_find(ctx, tape_conn(t));

	if (c != NULL)
		reel_wake(c->reel);
}

static struct tape *
tape_of(void *ctx, uint64_t conn, uint32_t stream)
{
	const struct stream *s = stream_find(connection_find(ctx, conn), stream);

	return (s != NULL && s->tape != NULL && !s->over && tape_state(s->tape) == TAPE_LIVE ? s->tape : NULL);
}

static void
on_end(void *ctx, struct tape *t, uint16_t reason)
{
	(void)ctx;
	tape_end(t, reason, TAPE_END_SAID);
}

static void
on_trouble(void *ctx, uint64_t conn, enum reel_trouble trouble, const char *why)
{
	struct desk *d = ctx;
	struct connection *c = connection_find(d, conn);

	log_error("session %" PRIu64 ": %s: %s", conn,
	    trouble == REEL_BROKEN ? "it is not listened to any more" : "the log does not take its frames", why);
	if (c == NULL)
		return;
	if (trouble == REEL_BROKEN)
		connection_trouble(ctx, c, REASON_SUSPECT, "the session's frames break the rules");
	else if (room_state(d->room) == SHELF_ROOM_FULL)
		connection_trouble(ctx, c, REASON_DISK_FULL, "the disk that recordings are kept on is full");
	else
		connection_trouble(ctx, c, REASON_RECORDER, "the log cannot be written");
}

static int
on_log_full(void *ctx)
{
	struct desk *d = ctx;

	return (room_full(d->room));
}

static void
on_drained(void *ctx, uint64_t conn)
{
	struct connection *c = connection_find(ctx, conn);

	if (c == NULL)
		return;
	c->drained = 1;
	streams_end(ctx, c, c->gone_reason);
}

void
streams_house(struct desk *d)
{
	d->house.on_begun = on_begun;
	d->house.on_sealed = on_sealed;
	d->house.on_full = on_full;
	d->house.on_relief = on_relief;
	d->house.ctx = d;
	d->reels = (struct reel_house){.loop = d->loop,
	    .tape_of = tape_of,
	    .on_end = on_end,
	    .on_trouble = on_trouble,
	    .on_full = on_log_full,
	    .on_drained = on_drained,
	    .ctx = d};
}

void
desk_on_leaf_held(void *ctx, const struct ledger_leaf *leaf)
{
	struct desk *d = ctx;

	for (struct connection *c = d->connections; c != NULL; c = c->next)
		for (struct stream *s = c->streams; s != NULL; s = s->next)
			if (s->tape != NULL && memcmp(s->id, leaf->id, sizeof s->id) == 0) {
				tape_held(s->tape, leaf);
				stream_hand(d, c, s);
				break;
			}
	wal_release(d->wal, leaf->wal_file);
}
