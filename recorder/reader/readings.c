#include "readings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "shelves.h"
#include "task.h"

#define LOOK_MS 1000 /* while a task waits: is anybody there? */

/*
 *	WORKING <-> WAITING (for a time)
 *	   |   \
 *	   |    <-> FULL (the asker is slow)
 *	   v
 *	CLOSING (the task is over; what waits is written)
 */
enum reading_state { READING_WORKING, READING_WAITING, READING_FULL, READING_CLOSING };

struct reading {
	struct reading *next, **back;
	struct readings *all;
	uint64_t number;
	int detached; /* of a policy that is gone */
	enum reading_state state;

	/* What was asked, and the work. */
	char *id;
	json_t *options;
	const struct task_kind *kind;
	void *task;
	uint64_t wait_ms; /* still to be waited */
	struct task_end end;

	/* Who asked. */
	int fd;
	struct watch *watch;
	struct timer *timer;
	struct blob out;
	size_t sent;
};

struct readings {
	struct loop *loop;         /* lent */
	struct holdings *holdings; /* lent */
	struct peer *policy;
	struct reading *first;
	size_t count;
	int turning; /* a turn is deferred */
};

static void readings_turn(void *ctx);

/* ---- the end of one ---- */

static void
reading_free(struct reading *r)
{
	if (r->task != NULL)
		r->kind->free(r->task);
	watch_end(r->watch);
	timer_free(r->timer);
	if (r->fd != -1)
		(void)close(r->fd);
	blob_free(&r->out);
	json_decref(r->options);
	free(r->id);
	*r->back = r->next;
	if (r->next != NULL)
		r->next->back = r->back;
	r->all->count--;
	free(r);
}

/* The descriptor first: who reads until its end has then seen all when the status comes. */
static void
reading_over(struct reading *r)
{
	if (r->fd != -1)
		(void)close(r->fd);
	watch_end(r->watch);
	r->watch = NULL;
	r->fd = -1;
	if (!r->detached)
		peer_post(r->all->policy, READ_DONE, read_done, .reading = r->number,
		    .status = (uint8_t)r->end.status, .summary = bytes_text(r->end.summary));
	reading_free(r);
}

static void
reading_lost(struct reading *r)
{
	(void)task_over(&r->end, TASK_CANNOT, "lodge: nobody reads on");
	reading_over(r);
}

/* ---- steps ---- */

static void
turn_soon(struct readings *all)
{
	if (all->turning)
		return;
	all->turning = 1;
	loop_defer(all->loop, readings_turn, all);
}

static void
reading_go(struct reading *r, enum reading_state state)
{
	r->state = state;
	watch_change(r->watch, state == READING_FULL || state == READING_CLOSING ? WATCH_WRITE : 0);
	if (state == READING_WORKING)
		turn_soon(r->all);
	else if (state == READING_WAITING)
		timer_after(r->timer, r->wait_ms < LOOK_MS ? (int64_t)r->wait_ms : LOOK_MS);
}

/* Writes what the socket takes.  0; -1: nobody reads on. */
static int
reading_write(struct reading *r)
{
	ssize_t put;

	while (r->sent < r->out.size) {
		put = write(r->fd, r->out.at + r->sent, r->out.size - r->sent);
		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1)
			return (errno == EAGAIN ? 0 : -1);
		r->sent += (size_t)put;
	}
	blob_clear(&r->out);
	r->sent = 0;
	return (0);
}

/* One step, and what follows from it.  r may be gone afterwards. */
static void
reading_step(struct reading *r)
{
	enum task_more more;

	if (r->sent > 0) {
		blob_drop(&r->out, r->sent);
		r->sent = 0;
	}
	r->wait_ms = 0;
	more = r->kind->step(r->task, &r->out, &r->wait_ms, &r->end);
	if (reading_write(r) == -1)
		reading_lost(r);
	else if (more == TASK_OVER && r->out.size == 0)
		reading_over(r);
	else if (more == TASK_OVER)
		reading_go(r, READING_CLOSING);
	else if (more == TASK_WAIT)
		reading_go(r, READING_WAITING);
	else
		reading_go(r, r->out.size - r->sent > READINGS_OUT_MOST ? READING_FULL : READING_WORKING);
}

static void
readings_turn(void *ctx)
{
	struct readings *all = ctx;

	all->turning = 0;
	for (struct reading *r = all->first, *next; r != NULL; r = next) {
		next = r->next;
		if (r->state == READING_WORKING)
			reading_step(r);
	}
}

static void
on_writable(int fd, int events, void *ctx)
{
	struct reading *r = ctx;

	(void)fd;
	(void)events;
	if (reading_write(r) == -1)
		reading_lost(r);
	else if (r->out.size > 0)
		return;
	else if (r->state == READING_CLOSING)
		reading_over(r);
	else if (r->state == READING_FULL)
		reading_go(r, READING_WORKING);
}

/* The other end is closed?  (Our end was shut for reading, so that only the hang-up tells.) */
static int
is_left(const struct reading *r)
{
	struct pollfd p = {.fd = r->fd, .events = 0};

	return (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0);
}

static void
on_time(void *ctx)
{
	struct reading *r = ctx;

	r->wait_ms -= r->wait_ms < LOOK_MS ? r->wait_ms : LOOK_MS;
	if (is_left(r) || reading_write(r) == -1)
		reading_lost(r);
	else
		reading_go(r, r->wait_ms > 0 ? READING_WAITING : READING_WORKING);
}

/* ---- the beginning of one ---- */

/* 0, or -1 and r->end says why. */
static int
reading_begin(struct reading *r, const struct msg_read_ *m)
{
	struct task_call call = {.holdings = r->all->holdings};
	char verb[16];

	r->id = bytes_dup(m->id);
	r->options = json_loadb((const char *)m->options.at, m->options.len, JSON_REJECT_DUPLICATES, NULL);
	if (bytes_copy(verb, sizeof(verb), m->verb) == -1 || (r->kind = task_of(verb)) == NULL || r->id == NULL ||
	    !json_is_object(r->options) || (*r->id != '\0' && !shelves_id_ok(r->id)) ||
	    (*r->id == '\0' && r->kind != &task_verify)) {
		(void)task_over(&r->end, TASK_CANNOT, "lodge: lodge-policy asked the reader for what it cannot do");
		return (-1);
	}
	call.id = r->id;
	call.options = r->options;
	call.line_end = json_integer_value(json_object_get(r->options, "columns")) != 0 ? "\r\n" : "\n";
	return ((r->task = r->kind->begin(&call, &r->end)) == NULL ? -1 : 0);
}

/* fd is given. */
static void
reading_new(struct readings *all, const struct msg_read_ *m, int fd)
{
	struct reading *r = calloc(1, sizeof(*r));
	int flags = fcntl(fd, F_GETFL);

	if (r == NULL)
		log_fatal("out of memory");
	*r = (struct reading){.all = all, .number = m->reading, .fd = fd, .next = all->first, .back = &all->first};
	if (r->next != NULL)
		r->next->back = &r->next;
	all->first = r;
	all->count++;
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    (r->watch = watch_begin(all->loop, fd, 0, on_writable, r)) == NULL ||
	    (r->timer = timer_new(all->loop, on_time, r)) == NULL)
		(void)task_over(&r->end, TASK_CANNOT, "lodge: the reader has no room for this reading");
	else if (all->count > READINGS_MOST)
		(void)task_over(&r->end, TASK_CANNOT, "lodge: too many readings at once; try again in a minute");
	else if (reading_begin(r, m) == 0) {
		reading_go(r, READING_WORKING);
		return;
	}
	reading_over(r);
}

/* ---- the link ---- */

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	if (m->type != MSG_READ)
		return;
	reading_new(ctx, &m->read_, m->fd);
	m->fd = -1;
}

static void
policy_left(struct readings *all)
{
	for (struct reading *r = all->first; r != NULL; r = r->next)
		r->detached = 1;
	peer_close(all->policy);
	all->policy = NULL;
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	if (*why != '\0')
		log_fatal("the link to lodge-policy broke: %s", why);
	policy_left(ctx);
}

void
readings_link(struct readings *r, int fd)
{
	policy_left(r);
	r->policy = peer_open(r->loop, fd, PROCESS_READER, PROCESS_POLICY, 0, on_message, on_closed, r);
	if (r->policy == NULL)
		log_fatal("out of memory");
}

struct readings *
readings_new(struct loop *loop, struct holdings *holdings)
{
	struct readings *r = calloc(1, sizeof(*r));

	if (r != NULL)
		*r = (struct readings){.loop = loop, .holdings = holdings};
	return (r);
}

void
readings_free(struct readings *r)
{
	if (r == NULL)
		return;
	while (r->first != NULL)
		reading_free(r->first);
	peer_close(r->policy);
	(void)loop_forget(r->loop, r);
	free(r);
}
