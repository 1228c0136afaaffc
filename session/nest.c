#include "nest.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libssh/callbacks.h>

#include "base/clock.h"
#include "base/log.h"
#include "inner_login.h"

#define BUFFER (64 * 1024)
#define TURN (256 * 1024) /* bytes one way in one turn, so that everybody gets theirs */

/* Bytes that one side gave and the other has not taken yet. */
struct held {
	uint8_t at[BUFFER];
	size_t from, to;
};

struct nest {
	struct door *outer;  /* lent; outlives us */
	ssh_channel carrier; /* its channel */
	struct ssh_channel_callbacks_struct calls;
	int is_closed; /* by the client */
	int fd;        /* our end of the pair */
	struct watch *watch;
	struct held up, down; /* to the inner server, and from it */
	int up_ended, down_ended;
};

static void
on_carrier_close(ssh_session ssh, ssh_channel carrier, void *ctx)
{
	struct nest *n = ctx;

	(void)ssh;
	(void)carrier;
	n->is_closed = 1;
	session_wake(n->outer->session);
}

static void
on_ready(int fd, int events, void *ctx)
{
	(void)fd;
	(void)events;
	session_wake(((struct nest *)ctx)->outer->session);
}

/* ---- opening ---- */

/* A number that no door has; 0: there is none. */
static uint8_t
number_free(const struct session *s)
{
	for (uint8_t number = 1; number <= NESTS_MAX; number++) {
		const struct door *d = s->door;

		while (d != NULL && d->number != number)
			d = d->next;
		if (d == NULL)
			return (number);
	}
	return (0);
}

static struct nest *
nest_new(struct door *outer, int fd)
{
	struct nest *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return (NULL);
	n->outer = outer;
	n->fd = fd;
	if ((n->watch = watch_begin(outer->session->loop, fd, WATCH_READ, on_ready, n)) == NULL) {
		free(n);
		return (NULL);
	}
	return (n);
}

/* "osv1", or "osv1+srx" as in a login name. */
static int
host_read(struct door *outer, const char *host, struct loginname *name)
{
	struct loginname parts;

	*name = (struct loginname){0};
	if (loginname_split(bytes_text(host), &parts) == -1 || parts.account[0] != '\0')
		return (-1);
	memcpy(name->person, outer->session->person, sizeof(name->person));
	memcpy(name->target, parts.person, sizeof(name->target));
	memcpy(name->account, parts.target, sizeof(name->account));
	return (0);
}

enum reason
nest_open(struct door *outer, ssh_message m, const char *host)
{
	struct session *s = outer->session;
	uint8_t number = number_free(s);
	struct loginname name;
	struct door *d;
	struct nest *n;
	int pair[2];

	if (host_read(outer, host, &name) == -1)
		return (REASON_UNKNOWN_TARGET);
	if (number == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == -1)
		return (REASON_LIMIT);
	if ((n = nest_new(outer, pair[0])) == NULL) {
		close(pair[0]);
		close(pair[1]);
		return (REASON_LIMIT);
	}
	if ((d = door_new(s, number, pair[1])) == NULL || /* takes pair[1] */
	    (d->inner = inner_login_new()) == NULL ||
	    (n->carrier = ssh_message_channel_request_open_reply_accept(m)) == NULL) {
		if (d != NULL)
			d->leg.over = 1; /* swept */
		nest_free(n);
		return (REASON_LIMIT);
	}
	n->calls.userdata = n;
	n->calls.channel_close_function = on_carrier_close;
	ssh_callbacks_init(&n->calls);
	(void)ssh_add_channel_callbacks(n->carrier, &n->calls);
	d->name = name;
	d->nest = n;
	d->login_by_ms = clock_boot_ms() + s->set.login_grace_time;
	return (REASON_NONE);
}

/* ---- carrying ---- */

static size_t
held_len(const struct held *h)
{
	return (h->to - h->from);
}

/* Gives the inner server what is held; 1 when all of it is gone. */
static int
up_give(struct nest *n)
{
	struct held *h = &n->up;

	while (held_len(h) > 0) {
		ssize_t wrote = send(n->fd, h->at + h->from, held_len(h), MSG_NOSIGNAL);

		if (wrote == -1) {
			if (errno != EAGAIN && errno != EINTR)
				h->from = h->to = 0; /* nobody is there any more */
			return (0);
		}
		h->from += (size_t)wrote;
	}
	h->from = h->to = 0;
	return (1);
}

static int
up_move(struct nest *n)
{
	size_t moved = 0;
	int got;

	while (moved < TURN && up_give(n) &&
	       (got = ssh_channel_read_nonblocking(n->carrier, n->up.at, BUFFER, 0)) > 0) {
		n->up.to = (size_t)got;
		moved += (size_t)got;
	}
	if (!n->up_ended && held_len(&n->up) == 0 &&
	    (ssh_channel_is_eof(n->carrier) || n->is_closed || n->outer->leg.over)) {
		n->up_ended = 1;
		(void)shutdown(n->fd, SHUT_WR);
		return (1);
	}
	return (moved > 0);
}

/* Gives the client what is held; 1 when all of it is gone. */
static int
down_give(struct nest *n)
{
	struct held *h = &n->down;

	while (held_len(h) > 0) {
		int wrote;

		if (leg_room(&n->outer->leg) == 0 ||
		    (wrote = ssh_channel_write(n->carrier, h->at + h->from, (uint32_t)held_len(h))) <= 0)
			return (0);
		h->from += (size_t)wrote;
	}
	h->from = h->to = 0;
	return (1);
}

static size_t
down_room(const struct nest *n)
{
	size_t room = BUFFER, limit = leg_room(&n->outer->leg);

	if (limit < room)
		room = limit;
	limit = ssh_channel_window_size(n->carrier);
	return (limit < room ? limit : room);
}

static int
down_move(struct nest *n)
{
	size_t moved = 0, room;
	ssize_t got;

	if (n->is_closed || n->outer->leg.over) {
		n->down.from = n->down.to = 0;
		n->down_ended = 1;
		return (0);
	}
	while (moved < TURN && down_give(n) && !n->down_ended && (room = down_room(n)) > 0) {
		got = recv(n->fd, n->down.at, room, 0);
		if (got == -1)
			break;
		if (got == 0) {
			n->down_ended = 1;
			(void)ssh_channel_send_eof(n->carrier);
			break;
		}
		n->down.to = (size_t)got;
		moved += (size_t)got;
	}
	return (moved > 0);
}

int
nest_turn(struct door *d)
{
	int moved = up_move(d->nest);

	return (down_move(d->nest) | moved);
}

void
nest_watch(struct door *d)
{
	struct nest *n = d->nest;
	int events = 0;

	if (held_len(&n->up) > 0)
		events |= WATCH_WRITE;
	if (!n->down_ended && held_len(&n->down) == 0 && down_room(n) > 0)
		events |= WATCH_READ;
	watch_change(n->watch, events);
}

size_t
nest_unsent(const struct nest *n)
{
	return (n->is_closed ? 0 : held_len(&n->down));
}

int
nest_is_done(const struct door *d)
{
	struct nest *n = d->nest;
	uint8_t one;

	if (n == NULL || n->is_closed || n->down_ended || n->outer->leg.over)
		return (1);
	return (held_len(&n->down) == 0 && recv(n->fd, &one, 1, MSG_PEEK) <= 0);
}

void
nest_free(struct nest *n)
{
	if (n == NULL)
		return;
	watch_end(n->watch);
	close(n->fd);
	if (n->carrier != NULL) {
		if (!n->outer->leg.over && ssh_channel_close(n->carrier) == SSH_AGAIN)
			(void)ssh_channel_close(n->carrier);
		ssh_channel_free(n->carrier);
	}
	free(n);
}
