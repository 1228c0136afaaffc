#include "beside.h"

#include "asked.h"
#include "base/log.h"
#include "forward.h"
#include "ssh_more.h"
#include "visit.h"

#define TEXT_MAX 255 /* bytes of what a target says of where from and where to */

static void
on_there_close(ssh_session ssh, ssh_channel there, void *ctx)
{
	struct channel *c = ctx;

	(void)ssh;
	(void)there;
	c->there_closed = 1;
	session_wake(c->session);
}

static const char *
port_of(const char *place)
{
	return (strrchr(place, ':') + 1);
}

/* ---- what the target opens ---- */

/* The target was told of it; that it said yes may not have been looked at yet. */
static int
was_told(const struct channel *c)
{
	return (c->state == CHANNEL_RUNNING ||
	        (c->state == CHANNEL_ENTERING && (c->way == WAY_LISTEN || c->step > ENTRY_X11)));
}

/* The channel of this visit that said it may. */
static struct channel *
asker_of(const struct visit *v, ssh_message m)
{
	int port = ssh_message_channel_request_open_destination_port(m);

	for (struct channel *c = v->session->channels; c != NULL; c = c->next) {
		if (c->visit != v || !was_told(c))
			continue;
		switch (ssh_message_subtype(m)) {
		case SSH_CHANNEL_X11:
			if (c->x11_on)
				return (c);
			break;
		case SSH_CHANNEL_AUTH_AGENT:
			if (c->agent_on)
				return (c);
			break;
		case SSH_CHANNEL_FORWARDED_TCPIP:
			if (c->way == WAY_LISTEN && strtol(port_of(c->command), NULL, 10) == port)
				return (c);
			break;
		default:
			break;
		}
	}
	return (NULL);
}

static char *
name_of(const struct channel *asker, int type)
{
	char name[64];

	snprintf(name, sizeof(name), "engineer:%s",
	    type == SSH_CHANNEL_X11          ? "x11"
	    : type == SSH_CHANNEL_AUTH_AGENT ? "agent"
	                                     : port_of(asker->command));
	return (bytes_dup(bytes_text(name)));
}

static int
is_sound(const char *text)
{
	return (text == NULL || strlen(text) <= TEXT_MAX);
}

/* 1: m is taken; 0: the target was not told that it may. */
static int
back_begin(struct visit *v, ssh_message m)
{
	struct channel *asker = asker_of(v, m), *c;

	if (asker == NULL || !is_sound(ssh_message_channel_request_open_originator(m)) ||
	    !is_sound(ssh_message_channel_request_open_destination(m)) || (c = channel_add(asker->door)) == NULL)
		return (0);
	c->way = WAY_BACK;
	c->visit = v;
	c->opening = m;
	c->back_type = ssh_message_subtype(m);
	c->command = name_of(asker, c->back_type);
	c->originator = asked_place(
	    ssh_message_channel_request_open_originator(m), ssh_message_channel_request_open_originator_port(m));
	if (c->command == NULL)
		log_fatal("out of memory");
	channel_step(c, CHANNEL_ENTERING);
	return (1);
}

/* A target opens what it was told it may, and asks for nothing. */
int
beside_messages(struct visit *v)
{
	size_t waiting = v->leg.over ? 0 : ssh_more_messages(v->leg.ssh); /* as at a door */
	ssh_message m;
	int moved = 0;

	while (waiting-- > 0 && !v->leg.over && (m = ssh_message_get(v->leg.ssh)) != NULL) {
		moved = 1;
		if (ssh_message_type(m) == SSH_REQUEST_CHANNEL_OPEN && back_begin(v, m))
			continue; /* taken */
		if (ssh_message_type(m) == SSH_REQUEST_CHANNEL_OPEN)
			(void)ssh_more_refuse_channel(
			    m, OPEN_PROHIBITED, "the target was not told that it may open this");
		else
			(void)ssh_message_reply_default(m);
		ssh_message_free(m);
	}
	return (moved);
}

/* As ssh_channel_open_x11: SSH_OK, SSH_AGAIN, SSH_ERROR. */
static int
back_open(struct channel *c)
{
	const char *from = ssh_message_channel_request_open_originator(c->opening),
	           *to = ssh_message_channel_request_open_destination(c->opening);
	int port = ssh_message_channel_request_open_originator_port(c->opening);
	ssh_channel here;

	if (c->here == NULL) {
		if ((here = ssh_channel_new(c->door->leg.ssh)) == NULL)
			return (SSH_ERROR);
		channel_take_here(c, here);
	}
	if (c->back_type == SSH_CHANNEL_X11)
		return (ssh_channel_open_x11(c->here, from == NULL ? "" : from, port));
	if (c->back_type == SSH_CHANNEL_AUTH_AGENT)
		return (ssh_channel_open_auth_agent(c->here));
	return (ssh_channel_open_reverse_forward(c->here, to == NULL ? "" : to,
	    ssh_message_channel_request_open_destination_port(c->opening), from == NULL ? "" : from, port));
}

/* ---- entering ---- */

/* The target's end is there, or about to be: we hear of its closing. */
static void
take_there(struct channel *c, ssh_channel there)
{
	c->there = there;
	c->there_calls.userdata = c;
	c->there_calls.channel_close_function = on_there_close;
	ssh_callbacks_init(&c->there_calls);
	(void)ssh_add_channel_callbacks(there, &c->there_calls);
}

static int
socket_open(struct channel *c)
{
	ssh_channel there;

	if (c->there == NULL) {
		if ((there = ssh_channel_new(c->visit->leg.ssh)) == NULL)
			return (SSH_ERROR);
		take_there(c, there);
	}
	return (ssh_channel_open_forward_unix(c->there, c->command, "127.0.0.1", 0));
}

static void
opened(struct channel *c)
{
	ssh_channel accepted = ssh_message_channel_request_open_reply_accept(c->opening);

	ssh_message_free(c->opening);
	c->opening = NULL;
	if (accepted == NULL) {
		channel_finish(c);
		return;
	}
	if (c->way == WAY_BACK)
		take_there(c, accepted);
	else
		channel_take_here(c, accepted);
	channel_step(c, CHANNEL_RUNNING);
}

/* The record holds what is tried, whatever comes of it. */
static void
try_record(struct channel *c)
{
	if (c->is_recorded)
		return;
	c->is_recorded = 1;
	forward_begun_record(c);
}

static void
try_failed(struct channel *c, const char *why)
{
	record_put(c->session->record, FRAME_NOTICE, c->visit->stream, c->number, bytes_text(why));
	record_put(c->session->record, FRAME_CLOSE, c->visit->stream, c->number, bytes_of(NULL, 0));
	channel_refuse(c, REASON_TARGET_GONE, why);
}

/* libssh knows one global request of ours at a time, and whose answer comes is told by order alone. */
static int
global_take(struct channel *c)
{
	if (c->visit->global != NULL && c->visit->global != c)
		return (0);
	if (c->visit->global == NULL && c->visit->leg.unanswered > 0) /* a keepalive's answer comes first */
		return (0);
	c->visit->global = c;
	return (1);
}

static int
listen_step(struct channel *c)
{
	const char *address = ssh_message_global_request_address(c->opening);
	int port = ssh_message_global_request_port(c->opening), rc;

	if (!global_take(c) ||
	    (rc = ssh_channel_listen_forward(c->visit->leg.ssh, address, port, NULL)) == SSH_AGAIN)
		return (0);
	c->visit->global = NULL;
	if (rc != SSH_OK) {
		try_failed(c, "the target does not listen there");
		return (1);
	}
	(void)ssh_message_global_request_reply_success(c->opening, (uint16_t)port);
	ssh_message_free(c->opening);
	c->opening = NULL;
	channel_step(c, CHANNEL_RUNNING);
	return (1);
}

static int
open_step(struct channel *c)
{
	int rc = c->way == WAY_BACK ? back_open(c) : socket_open(c);

	if (rc == SSH_AGAIN)
		return (0);
	if (rc == SSH_OK)
		opened(c);
	else
		try_failed(c,
		    c->way == WAY_BACK ? "the engineer's client does not open it" : "the target does not open it");
	return (1);
}

int
beside_entering_turn(struct channel *c)
{
	/* Whose answer is under way is waited for, so that nobody takes it for their own. */
	if (c->door->leg.over && c->visit->global != c) {
		channel_refuse(c, REASON_CLIENT_GONE, NULL);
		return (1);
	}
	if (c->visit->state != VISIT_OPEN || c->visit->leg.over || !record_is_clear(c->session->record))
		return (0);
	try_record(c);
	return (c->way == WAY_LISTEN ? listen_step(c) : open_step(c));
}

/* ---- running ---- */

/* Tells the target to listen no more.  1 when it has answered, or cannot. */
static int
listen_end(struct channel *c)
{
	const char *place = c->command;
	char host[TEXT_MAX + 3];
	size_t len = (size_t)(port_of(place) - 1 - place);

	if (c->visit->state != VISIT_OPEN || c->visit->leg.over)
		return (1);
	if (!global_take(c))
		return (0);
	if (place[0] == '[') { /* as it was asked for */
		place++;
		len -= 2;
	}
	snprintf(host, sizeof(host), "%.*s", (int)len, place);
	if (ssh_channel_cancel_forward(c->visit->leg.ssh, host, (int)strtol(port_of(c->command), NULL, 10)) ==
	    SSH_AGAIN)
		return (0);
	c->visit->global = NULL;
	return (1);
}

/* Until it is cancelled, its door closes, or the visit ends. */
static int
listening_turn(struct channel *c)
{
	if ((!c->here_closed && !c->door->leg.over) || !listen_end(c))
		return (0);
	beside_leave(c);
	channel_step(c, CHANNEL_OVER);
	return (1);
}

int
beside_running_turn(struct channel *c)
{
	int moved;

	if (c->way == WAY_LISTEN)
		return (listening_turn(c));
	moved = relay_turn(c);
	if ((c->there_closed && (c->here_closed || relay_is_drained(c))) ||
	    (c->here_closed && relay_in_is_clear(c) && ssh_channel_poll(c->here, 0) <= 0)) {
		beside_leave(c);
		channel_finish(c);
		return (1);
	}
	return (moved);
}

void
beside_leave(struct channel *c)
{
	struct visit *v = c->visit;

	if (v != NULL && v->global == c)
		v->global = NULL;
	if (c->state != CHANNEL_RUNNING && c->state != CHANNEL_ENDING)
		return;
	if (c->there == NULL && c->way != WAY_LISTEN)
		return;
	forward_leave(c);
	if (c->there == NULL)
		return;
	if (!v->leg.over && ssh_channel_close(c->there) == SSH_AGAIN)
		(void)ssh_channel_close(c->there);
	if (v->leg.ssh != NULL)
		ssh_channel_free(c->there);
	c->there = NULL;
}
