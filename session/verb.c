#include "verb.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "fresh.h"

#define WAITING_MAX (128 * 1024) /* bytes of a stream that wait for the engineer's client */
#define PIECE 16384

static void
verb_post(struct channel *c)
{
	struct session *s = c->session;
	/* A terminal that does not say how wide it is is one all the same. */
	uint32_t columns = c->columns == 0 ? 80 : c->columns;

	if (!c->has_pty)
		columns = 0;
	peer_post(s->policy, VERB, verb, .ask = c->verb_ask, .argv = 0,
	    .words = bytes_text(c->command == NULL ? "" : c->command),
	    .columns = (uint16_t)(columns > UINT16_MAX ? UINT16_MAX : columns), .time_zone = bytes_text(c->zone));
}

void
verb_begin(struct channel *c)
{
	c->verb_ask = session_ask(c->session);
	verb_post(c);
}

static struct channel *
verb_channel(struct session *s, uint32_t ask)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->state == CHANNEL_VERB && c->verb_ask == ask)
			return (c);
	return (NULL);
}

void
verb_on_out(struct session *s, const struct msg_verb_out *m)
{
	struct channel *c = verb_channel(s, m->ask);
	struct bytes text = m->output;
	size_t which = m->to == 1 ? 0 : 1, skip;

	if (c == NULL)
		return;
	/* policy was renewed and answers from the beginning. */
	skip = c->verb_skip[which] < text.len ? c->verb_skip[which] : text.len;
	c->verb_skip[which] -= skip;
	text = bytes_of(text.at + skip, text.len - skip);
	c->verb_seen[which] += text.len;
	channel_put(c, m->to == 1 ? 1 : 2, text);
	session_wake(s);
}

static void
stream_close(struct channel *c)
{
	watch_end(c->verb_watch);
	c->verb_watch = NULL;
	if (c->verb_fd != -1)
		close(c->verb_fd);
	c->verb_fd = -1;
}

static void
on_stream_ready(int fd, int events, void *ctx)
{
	struct channel *c = ctx;

	(void)fd;
	(void)events;
	session_wake(c->session);
}

void
verb_on_stream(struct session *s, uint32_t ask, int fd)
{
	struct channel *c = verb_channel(s, ask);
	int flags = fcntl(fd, F_GETFL);

	if (c == NULL || c->verb_fd != -1 || flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    (c->verb_watch = watch_begin(s->loop, fd, WATCH_READ, on_stream_ready, c)) == NULL) {
		close(fd);
		return;
	}
	c->verb_fd = fd;
	session_wake(s);
}

void
verb_on_end(struct session *s, const struct msg_verb_end *m)
{
	struct channel *c = verb_channel(s, m->ask);

	if (c == NULL)
		return;
	c->verb_ended = 1;
	c->verb_status = m->status;
	session_wake(s);
}

/* Takes in what the reader gives, while the client takes it. */
static int
stream_move(struct channel *c)
{
	uint8_t piece[PIECE];
	ssize_t got;
	int moved = 0;

	while (c->verb_fd != -1 && fifo_bytes(&c->out).len < WAITING_MAX) {
		got = read(c->verb_fd, piece, sizeof(piece));
		if (got > 0) {
			channel_put(c, 1, bytes_of(piece, (size_t)got));
			moved = 1;
			continue;
		}
		if (got == -1 && (errno == EAGAIN || errno == EINTR))
			break;
		stream_close(c);
		moved = 1;
	}
	if (c->verb_watch != NULL)
		watch_change(c->verb_watch, fifo_bytes(&c->out).len < WAITING_MAX ? WATCH_READ : 0);
	return (moved);
}

int
verb_turn(struct channel *c)
{
	int moved = fresh_turn(c);

	if (c->here_closed) {
		channel_step(c, CHANNEL_OVER); /* verb_free tells policy */
		return (1);
	}
	moved |= stream_move(c);
	if (c->verb_fd == -1 && (c->verb_ended || c->verb_lost)) {
		if (!c->verb_ended) {
			channel_refuse(c, REASON_POLICY_AWAY, "how this ended is not known; look again");
			return (1);
		}
		c->has_status = 1;
		c->status = c->verb_status;
		channel_finish(c);
		moved = 1;
	}
	return (moved);
}

void
verbs_policy_anew(struct session *s)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next) {
		if (c->state != CHANNEL_VERB || c->verb_ended)
			continue;
		if (c->verb_fd != -1) { /* a reading goes on without policy; its status is lost */
			c->verb_lost = 1;
			continue;
		}
		for (size_t i = 0; i < 2; i++)
			c->verb_skip[i] = c->verb_seen[i];
		verb_post(c);
	}
}

void
verb_free(struct channel *c)
{
	if (c->verb_ask != 0 && !c->verb_ended)
		peer_post(c->session->policy, VERB_GONE, verb_gone, .ask = c->verb_ask);
	stream_close(c);
	fresh_free(c->fresh);
	c->fresh = NULL;
}
