#include "relay.h"

#include "base/log.h"
#include "channel.h"
#include "visit.h"

/* One direction, with all that it needs. */
struct way {
	struct flow *flow;
	enum frame_type type;
	ssh_channel from, to;
	int from_stderr, to_stderr;
	const struct leg *leg; /* of `to` */
};

static void
flow_check(const struct flow *f)
{
	if (f->delivered > f->recorded || f->recorded > f->received)
		log_fatal("a byte was delivered that is not recorded");
}

/* Gives libssh what is held; 1 when all of it is gone. */
static int
held_deliver(const struct way *w)
{
	struct flow *f = w->flow;

	while (f->held_from < f->held_to) {
		uint32_t len = f->held_to - f->held_from;
		int wrote;

		if (leg_room(w->leg) == 0)
			return (0);
		wrote = w->to_stderr ? ssh_channel_write_stderr(w->to, f->held + f->held_from, len)
		                     : ssh_channel_write(w->to, f->held + f->held_from, len);
		if (wrote <= 0)
			return (0);
		f->held_from += (uint32_t)wrote;
		f->delivered += (uint32_t)wrote;
		flow_check(f);
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
	limit = leg_room(w->leg);
	if (limit < room)
		room = limit;
	limit = ssh_channel_window_size(w->to);
	if (limit < room)
		room = limit;
	return ((uint32_t)room);
}

static int
way_move(struct channel *c, const struct way *w)
{
	struct flow *f = w->flow;
	uint32_t moved = 0, room;
	int got;

	if (f->held == NULL && (f->held = malloc(RELAY_PIECE)) == NULL)
		return (0);
	if (f->held_from < f->held_to && !held_deliver(w))
		return (0);
	while (moved < RELAY_TURN && f->held_from == f->held_to && (room = way_room(c, w)) > 0 &&
	       (got = ssh_channel_read_nonblocking(w->from, f->held, room, w->from_stderr)) > 0) {
		struct bytes piece = bytes_of(f->held, (size_t)got);

		f->received += (uint32_t)got;
		record_bytes(c->session->record, w->type, c->visit->stream, c->number, piece);
		f->recorded += (uint32_t)got;
		if (w->type == FRAME_OUT && c->has_pty)
			screen_see(&c->screen, piece);
		f->held_from = 0;
		f->held_to = (uint32_t)got;
		moved += (uint32_t)got;
		(void)held_deliver(w);
	}
	return (moved > 0);
}

/* What an engineer's client sends as extended data has no meaning (RFC 4254 5.2) and would keep its end from being seen. */
static void
extended_discard(struct channel *c)
{
	uint8_t nowhere[256];

	while (ssh_channel_read_nonblocking(c->here, nowhere, sizeof(nowhere), 1) > 0)
		;
}

int
relay_turn(struct channel *c)
{
	const struct way out = {&c->flow_out, FRAME_OUT, c->there, c->here, 0, 0, &c->session->door};
	const struct way err = {&c->flow_err, FRAME_ERR, c->there, c->here, 1, 1, &c->session->door};
	const struct way in = {&c->flow_in, FRAME_IN, c->here, c->there, 0, 0, &c->visit->leg};
	int moved = 0;

	if (!record_is_clear(c->session->record))
		return (0);
	if (!c->here_closed) {
		moved |= way_move(c, &out);
		moved |= way_move(c, &err);
	}
	if (!c->there_closed) {
		moved |= way_move(c, &in);
		extended_discard(c);
	}
	if (!c->in_ended && !c->there_closed && ssh_channel_is_eof(c->here) &&
	    c->flow_in.held_from == c->flow_in.held_to) {
		record_put(c->session->record, FRAME_EOF_IN, c->visit->stream, c->number, bytes_of(NULL, 0));
		(void)ssh_channel_send_eof(c->there);
		c->in_ended = 1;
		moved = 1;
	}
	if (!c->out_ended && !c->here_closed && ssh_channel_is_eof(c->there) && relay_is_drained(c)) {
		record_put(c->session->record, FRAME_EOF_OUT, c->visit->stream, c->number, bytes_of(NULL, 0));
		/* On a terminal our own last lines come behind it; its end is said by the closing. */
		if (!c->has_pty)
			(void)ssh_channel_send_eof(c->here);
		c->out_ended = 1;
		moved = 1;
	}
	return (moved);
}

int
relay_is_drained(const struct channel *c)
{
	return (c->flow_out.held_from == c->flow_out.held_to && c->flow_err.held_from == c->flow_err.held_to &&
	        ssh_channel_poll(c->there, 0) <= 0 && ssh_channel_poll(c->there, 1) <= 0);
}

void
relay_free(struct channel *c)
{
	struct flow *flows[] = {&c->flow_in, &c->flow_out, &c->flow_err};

	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		free(flows[i]->held);
		flows[i]->held = NULL;
	}
}
