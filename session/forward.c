#include "forward.h"

#include <jansson.h>

#include "base/log.h"
#include "ssh_more.h"
#include "visit.h"

void
forward_begun_record(const struct channel *c)
{
	struct wire w = {0};

	wire_put_raw(&w, c->command, strlen(c->command));
	wire_put_raw(&w, " ", 1);
	wire_put_raw(&w, c->originator, strlen(c->originator));
	record_put(c->session->record, FRAME_FORWARD, c->visit->stream, c->number, wire_bytes(&w));
	wire_free(&w);
}

int
forward_entering_turn(struct channel *c)
{
	ssh_channel here;

	if (c->door->leg.over) {
		visit_end(c->visit, REASON_CLIENT_GONE, NULL); /* which refuses it */
		return (1);
	}
	if (c->visit->state != VISIT_OPEN || !record_is_clear(c->session->record))
		return (0);
	forward_begun_record(c);
	here = ssh_message_channel_request_open_reply_accept(c->opening);
	ssh_message_free(c->opening);
	c->opening = NULL;
	if (here == NULL) {
		visit_end(c->visit, REASON_LIMIT, NULL);
		channel_step(c, CHANNEL_OVER);
		return (1);
	}
	channel_take_here(c, here);
	channel_step(c, CHANNEL_RUNNING);
	return (1);
}

void
forward_see(struct flow *f, struct bytes piece)
{
	for (size_t i = 0; i < piece.len && f->first_len < FORWARD_FIRST; i++)
		f->first[f->first_len++] = piece.at[i];
}

int
forward_speaks_ssh(const struct flow *f)
{
	return (f->first_len == FORWARD_FIRST && memcmp(f->first, "SSH-", FORWARD_FIRST) == 0); /* RFC 4253 4.2 */
}

static int
is_over(const struct channel *c)
{
	const struct visit *v = c->visit;

	if (c->door->leg.over)
		return (1);
	if (v->socket_broken) /* it takes no more; what it still says is heard */
		return (c->here_closed || c->out_ended);
	if (c->here_closed)
		return (relay_in_is_clear(c) && ssh_channel_poll(c->here, 0) <= 0);
	return (c->in_ended && c->out_ended);
}

int
forward_running_turn(struct channel *c)
{
	int moved = relay_socket_turn(c);

	if (c->state != CHANNEL_RUNNING)
		return (1);
	if (forward_speaks_ssh(&c->flow_in) || forward_speaks_ssh(&c->flow_out)) {
		visit_end(c->visit, REASON_FORWARD, "SSH is not forwarded; visit the target by its name");
		return (1);
	}
	if (!is_over(c))
		return (moved);
	visit_end(c->visit, REASON_DONE, NULL);
	channel_finish(c);
	return (1);
}

void
forward_watch(const struct channel *c)
{
	const struct visit *v = c->visit;
	int events = 0;

	if (c->state != CHANNEL_RUNNING || v->socket_watch == NULL)
		return;
	if (!relay_in_is_clear(c))
		events |= WATCH_WRITE;
	if (!v->socket_ended && relay_socket_has_room(c))
		events |= WATCH_READ;
	watch_change(v->socket_watch, events);
}

void
forward_leave(struct channel *c)
{
	char to[1024], from[1024], *text = NULL;
	json_t *o;

	if (c->visit == NULL || !c->visit->has_socket || (c->here == NULL && c->way != WAY_LISTEN))
		return;
	/* Whatever a client or a target calls itself. */
	text_safe(to, sizeof(to), bytes_text(c->command));
	text_safe(from, sizeof(from), bytes_text(c->originator));
	o = json_pack("{s:{s:s, s:s, s:I, s:I, s:b}}", "forward", "to", to, "from", from, "bytes_in",
	    (json_int_t)c->flow_in.delivered, "bytes_out", (json_int_t)c->flow_out.delivered, "contents",
	    (int)(!channel_is_forward(c) || c->session->set.forward_contents));
	if (o == NULL || (text = json_dumps(o, JSON_COMPACT)) == NULL)
		log_fatal("out of memory");
	json_decref(o);
	record_put(c->session->record, FRAME_FACT, c->visit->stream, c->number, bytes_text(text));
	record_put(c->session->record, FRAME_CLOSE, c->visit->stream, c->number, bytes_of(NULL, 0));
	free(text);
}
