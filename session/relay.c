#include "relay.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "channel.h"
#include "entry.h"
#include "forward.h"
#include "ssh_more.h"
#include "transfer.h"
#include "visit.h"

#define RULED_MAX (128 * 1024) /* bytes of a ruled flow, and of our own answers, that may wait */
#define RULED_SLICE 1024

/* Where bytes come from or go to: a channel, or the socket of a forwarded connection. */
struct end {
	ssh_channel channel; /* NULL: the socket */
	int is_stderr;
	const struct leg *leg; /* the channel's */
	struct visit *visit;   /* the socket's */
};

/* One direction, with all that it needs. */
struct way {
	struct flow *flow;
	enum frame_type type;
	struct end from, to;
};

static void
flow_check(const struct flow *f)
{
	if (f->delivered > f->recorded + f->added || f->recorded > f->received)
		log_fatal("a byte was delivered that is not recorded");
}

/* ---- what is held ---- */

static struct bytes
held_bytes(const struct flow *f)
{
	if (f->from < f->to)
		return (bytes_of(f->piece + f->from, f->to - f->from));
	return (fifo_bytes(&f->due));
}

static void
held_take(struct flow *f, size_t len)
{
	if (f->from < f->to)
		f->from += (uint32_t)len;
	else
		fifo_take(&f->due, len);
	f->delivered += len;
	flow_check(f);
}

/* ---- ends ---- */

/* Bytes read; 0: none now, or none any more. */
static int
end_read(const struct end *e, void *to, uint32_t room)
{
	ssize_t got;

	if (e->channel != NULL && e->leg->over) /* what came before it was gone */
		return ((int)ssh_more_read(e->channel, e->is_stderr, to, room));
	if (e->channel != NULL)
		return (ssh_channel_read_nonblocking(e->channel, to, room, e->is_stderr));
	if (e->visit->socket_ended)
		return (0);
	got = recv(e->visit->socket, to, room, 0);
	if (got == 0 || (got == -1 && errno != EAGAIN && errno != EINTR))
		e->visit->socket_ended = 1;
	return (got > 0 ? (int)got : 0);
}

static int
end_write(const struct end *e, struct bytes b)
{
	uint32_t len = b.len > RELAY_PIECE ? RELAY_PIECE : (uint32_t)b.len;
	ssize_t wrote;

	if (e->channel != NULL) {
		if (leg_room(e->leg) == 0)
			return (0);
		return (e->is_stderr ? ssh_channel_write_stderr(e->channel, b.at, len)
		                     : ssh_channel_write(e->channel, b.at, len));
	}
	wrote = send(e->visit->socket, b.at, len, MSG_NOSIGNAL);
	if (wrote == -1 && errno != EAGAIN && errno != EINTR)
		e->visit->socket_broken = 1;
	return (wrote > 0 ? (int)wrote : 0);
}

static size_t
end_room(const struct end *e)
{
	size_t room, limit;

	if (e->channel == NULL)
		return (RELAY_PIECE);
	room = leg_room(e->leg);
	limit = ssh_channel_window_size(e->channel);
	return (limit < room ? limit : room);
}

/* ---- moving ---- */

/* Gives on what is held; 1 when all of it is gone. */
static int
held_deliver(const struct channel *c, const struct way *w)
{
	struct bytes b;
	int wrote;

	if (channel_is_forward(c) && forward_speaks_ssh(w->flow))
		return (0);
	while ((b = held_bytes(w->flow)).len > 0) {
		if ((wrote = end_write(&w->to, b)) <= 0)
			return (0);
		held_take(w->flow, (size_t)wrote);
	}
	return (1);
}

/* How much may be taken in now. */
static uint32_t
way_room(const struct channel *c, const struct way *w)
{
	size_t room = RELAY_PIECE, limit = record_room(c->session->record);

	if (limit < room)
		room = limit;
	limit = end_room(&w->to);
	return ((uint32_t)(limit < room ? limit : room));
}

static void
piece_record(struct channel *c, const struct way *w, struct bytes piece)
{
	struct flow *f = w->flow;

	f->received += piece.len;
	if (channel_is_forward(c))
		forward_see(f, piece);
	if (!channel_is_forward(c) || c->session->set.forward_contents)
		record_bytes(c->session->record, w->type, c->visit->stream, c->number, piece);
	f->recorded += piece.len;
}

/* What the rules of a channel that carries files let through, in the piece's stead; 0, or -1 when the channel was cut. */
static int
piece_rule(struct channel *c, const struct way *w, struct bytes piece)
{
	struct fifo *out = &c->flow_out.due;
	size_t before = fifo_bytes(out).len, passed;
	int rc;

	if (w->type == FRAME_IN) {
		rc = transfer_from_engineer(c->transfer, piece, clock_wall_ms(), &c->flow_in.due, out);
		c->flow_out.added += fifo_bytes(out).len - before;
	} else {
		rc = transfer_from_target(c->transfer, piece, clock_wall_ms(), out);
		passed = fifo_bytes(out).len - before;
		if (passed > piece.len)
			c->flow_out.added += passed - piece.len;
	}
	if (rc == -1) {
		channel_cut(c, REASON_PROTOCOL, transfer_trouble(c->transfer));
		entry_leave(c);
	}
	return (rc);
}

/*
 * What of the last piece was not ruled yet goes through the rules, a little at a time: each byte may be the end of a
 * file, and a fact of thousands.  1 when all of it went; 0 when the record must be written first; -1 when the channel was cut.
 */
static int
unruled_pass(struct channel *c, const struct way *w)
{
	struct flow *f = w->flow;
	uint32_t len;

	while (f->unruled_from < f->unruled_to) {
		if (!record_is_clear(c->session->record) || fifo_bytes(&f->due).len > RULED_MAX)
			return (0);
		len = f->unruled_to - f->unruled_from;
		if (len > RULED_SLICE)
			len = RULED_SLICE;
		if (piece_rule(c, w, bytes_of(f->piece + f->unruled_from, len)) == -1)
			return (-1);
		f->unruled_from += len;
	}
	return (1);
}

/* 1: the flow is ruled, and the piece went through the rules; else it is held as it is. */
static int
piece_pass(struct channel *c, const struct way *w, struct bytes piece)
{
	if (c->transfer == NULL || w->type == FRAME_ERR) {
		w->flow->from = 0;
		w->flow->to = (uint32_t)piece.len;
		return (0);
	}
	w->flow->unruled_from = 0;
	w->flow->unruled_to = (uint32_t)piece.len;
	return (unruled_pass(c, w));
}

/* A ruled flow puts answers of ours into the other one: that must have room for them. */
static int
answers_have_room(const struct channel *c, const struct way *w)
{
	return (c->transfer == NULL || w->type != FRAME_IN || fifo_bytes(&c->flow_out.due).len < RULED_MAX);
}

/* What was typed ahead comes first. */
static int
way_read(struct channel *c, const struct way *w, uint32_t room)
{
	struct bytes ahead = fifo_bytes(&c->ahead);

	if (w->type != FRAME_IN || ahead.len == 0)
		return (end_read(&w->from, w->flow->piece, room));
	if (ahead.len > room)
		ahead.len = room;
	memcpy(w->flow->piece, ahead.at, ahead.len);
	fifo_take(&c->ahead, ahead.len);
	return ((int)ahead.len);
}

static int
way_move(struct channel *c, const struct way *w)
{
	struct flow *f = w->flow;
	uint32_t moved = 0, room;
	int got;

	if (f->piece == NULL && (f->piece = malloc(RELAY_PIECE)) == NULL)
		return (0);
	while (moved < RELAY_TURN && c->state == CHANNEL_RUNNING && unruled_pass(c, w) == 1 && held_deliver(c, w) &&
	       answers_have_room(c, w) && (room = way_room(c, w)) > 0 && (got = way_read(c, w, room)) > 0) {
		struct bytes piece = bytes_of(f->piece, (size_t)got);

		piece_record(c, w, piece);
		if (w->type == FRAME_OUT && c->has_pty)
			screen_see(&c->screen, piece);
		moved += (uint32_t)got;
		if (piece_pass(c, w, piece) == -1)
			return (1);
	}
	return (moved > 0);
}

/* What an engineer's client sends as extended data has no meaning (RFC 4254 5.2) and would keep its end from being seen. */
static void
extended_discard(struct channel *c)
{
	uint8_t nowhere[4096];

	while (ssh_more_read(c->here, 1, nowhere, sizeof(nowhere)) > 0)
		;
}

static void
eof_record(struct channel *c, enum frame_type type)
{
	record_put(c->session->record, type, c->visit->stream, c->number, bytes_of(NULL, 0));
}

/* ---- to a target's channel ---- */

int
relay_turn(struct channel *c)
{
	const struct leg *here = &c->door->leg, *there = &c->visit->leg;
	const struct way out = {&c->flow_out, FRAME_OUT, {c->there, 0, there, NULL}, {c->here, 0, here, NULL}};
	const struct way err = {&c->flow_err, FRAME_ERR, {c->there, 1, there, NULL}, {c->here, 1, here, NULL}};
	const struct way in = {&c->flow_in, FRAME_IN, {c->here, 0, here, NULL}, {c->there, 0, there, NULL}};
	int moved = 0;

	if (!record_is_clear(c->session->record))
		return (0);
	if (!c->here_closed) {
		moved |= way_move(c, &out);
		moved |= way_move(c, &err);
	}
	if (!c->there_closed && c->state == CHANNEL_RUNNING) {
		moved |= way_move(c, &in);
		extended_discard(c);
	}
	if (c->state != CHANNEL_RUNNING)
		return (1);
	if (!c->in_ended && !c->there_closed && ssh_channel_is_eof(c->here) && relay_in_is_clear(c)) {
		eof_record(c, FRAME_EOF_IN);
		(void)ssh_channel_send_eof(c->there);
		c->in_ended = 1;
		moved = 1;
	}
	if (!c->out_ended && !c->here_closed && ssh_channel_is_eof(c->there) && relay_is_drained(c)) {
		eof_record(c, FRAME_EOF_OUT);
		/* On a terminal our own last lines come behind it; its end is said by the closing. */
		if (!c->has_pty)
			(void)ssh_channel_send_eof(c->here);
		c->out_ended = 1;
		moved = 1;
	}
	return (moved);
}

/* ---- to a socket ---- */

int
relay_socket_turn(struct channel *c)
{
	struct visit *v = c->visit;
	const struct leg *here = &c->door->leg;
	const struct way out = {&c->flow_out, FRAME_OUT, {NULL, 0, NULL, v}, {c->here, 0, here, NULL}};
	const struct way in = {&c->flow_in, FRAME_IN, {c->here, 0, here, NULL}, {NULL, 0, NULL, v}};
	int moved = 0;

	if (!record_is_clear(c->session->record))
		return (0);
	if (!c->here_closed)
		moved |= way_move(c, &out);
	if (!v->socket_broken)
		moved |= way_move(c, &in);
	extended_discard(c);
	if (!c->in_ended && relay_in_is_clear(c) && ssh_channel_is_eof(c->here)) {
		eof_record(c, FRAME_EOF_IN);
		(void)shutdown(v->socket, SHUT_WR);
		c->in_ended = 1;
		moved = 1;
	}
	if (!c->out_ended && v->socket_ended && held_bytes(&c->flow_out).len == 0) {
		eof_record(c, FRAME_EOF_OUT);
		if (!c->here_closed)
			(void)ssh_channel_send_eof(c->here);
		c->out_ended = 1;
		moved = 1;
	}
	return (moved);
}

int
relay_socket_has_room(const struct channel *c)
{
	const struct end here = {c->here, 0, &c->door->leg, NULL};

	return (held_bytes(&c->flow_out).len == 0 && record_room(c->session->record) > 0 && end_room(&here) > 0);
}

int
relay_in_is_clear(const struct channel *c)
{
	return (held_bytes(&c->flow_in).len == 0 && fifo_bytes(&c->ahead).len == 0 &&
	        c->flow_in.unruled_from == c->flow_in.unruled_to);
}

int
relay_is_drained(const struct channel *c)
{
	return (held_bytes(&c->flow_out).len == 0 && held_bytes(&c->flow_err).len == 0 &&
	        c->flow_out.unruled_from == c->flow_out.unruled_to && ssh_more_unread(c->there, 0) == 0 &&
	        ssh_more_unread(c->there, 1) == 0);
}

void
relay_free(struct channel *c)
{
	struct flow *flows[] = {&c->flow_in, &c->flow_out, &c->flow_err};

	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		free(flows[i]->piece);
		flows[i]->piece = NULL;
		fifo_free(&flows[i]->due);
	}
}
