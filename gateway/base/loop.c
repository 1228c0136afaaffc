#include "base/loop.h"

#include <errno.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/log.h"

#define TEST_CLOCK_CHECK_MS 20

struct watch {
	uv_poll_t poll;
	int fd;
	int ended;
	watch_fn *fn;
	void *ctx;
};

struct timer {
	struct timer *next, **back; /* in loop->timers, whether set or not */
	struct loop *loop;
	int set;
	int64_t at_boot_ms;
	timer_fn *fn;
	void *ctx;
};

struct deferred {
	struct deferred *next;
	defer_fn *fn;
	void *ctx;
};

struct caught {
	uv_signal_t signal;
	struct caught *next;
	signal_fn *fn;
	void *ctx;
};

struct loop {
	uv_loop_t uv;
	uv_idle_t idle; /* runs while something is deferred */
	struct deferred *deferred, **deferred_end;
	struct caught *caught;
	/* Every timer, and the one timerfd that wakes us for the earliest. */
	int timer_fd;
	struct watch *timer_watch;
	struct timer *timers;
	struct timer *walking; /* the next timer while they are being run */
#ifdef LODGE_TEST
	uv_timer_t test_clock;
	int64_t test_offset_ms;
#endif
};

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	int got = 0;

	if (w->ended)
		return;
	if (status < 0) /* an error or a hang-up: reading or writing will tell which */
		got = WATCH_READ | WATCH_WRITE;
	if (events & (UV_READABLE | UV_DISCONNECT))
		got |= WATCH_READ;
	if (events & UV_WRITABLE)
		got |= WATCH_WRITE;
	w->fn(w->fd, got, w->ctx);
}

struct watch *
watch_begin(struct loop *loop, int fd, int events, watch_fn *fn, void *ctx)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return (NULL);
	if (uv_poll_init(&loop->uv, &w->poll, fd) != 0) {
		free(w);
		return (NULL);
	}
	w->poll.data = w;
	w->fd = fd;
	w->fn = fn;
	w->ctx = ctx;
	watch_change(w, events);
	return (w);
}

void
watch_change(struct watch *w, int events)
{
	int uv = 0;

	if (events & WATCH_READ)
		uv |= UV_READABLE;
	if (events & WATCH_WRITE)
		uv |= UV_WRITABLE;
	if (uv == 0)
		uv_poll_stop(&w->poll);
	else
		uv_poll_start(&w->poll, uv, on_poll);
}

static void
on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void
watch_end(struct watch *w)
{
	if (w == NULL || w->ended)
		return;
	w->ended = 1;
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

/* Arms the timerfd for the earliest timer. */
static void
timers_arm(struct loop *loop)
{
	struct itimerspec when = {0};
	int64_t earliest = INT64_MAX, left;

	for (struct timer *t = loop->timers; t != NULL; t = t->next)
		if (t->set && t->at_boot_ms < earliest)
			earliest = t->at_boot_ms;
	if (earliest != INT64_MAX) {
		left = earliest - clock_boot_ms();
		if (left < 1)
			left = 1;
		when.it_value.tv_sec = (time_t)(left / 1000);
		when.it_value.tv_nsec = (long)(left % 1000) * 1000000;
	}
	if (timerfd_settime(loop->timer_fd, 0, &when, NULL) == -1)
		log_fatal("timerfd_settime: %s", strerror(errno));
}

static void
timers_run(struct loop *loop)
{
	int64_t now = clock_boot_ms();

	for (struct timer *t = loop->timers; t != NULL; t = loop->walking) {
		loop->walking = t->next;
		if (!t->set || t->at_boot_ms > now)
			continue;
		t->set = 0;
		t->fn(t->ctx);
	}
	loop->walking = NULL;
	timers_arm(loop);
}

static void
on_timerfd(int fd, int events, void *ctx)
{
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == -1 && errno != EAGAIN)
		log_fatal("timerfd: %s", strerror(errno));
	timers_run(ctx);
}

#ifdef LODGE_TEST
static void
on_test_clock(uv_timer_t *timer)
{
	struct loop *loop = timer->data;
	struct timespec ts;
	int64_t offset;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	offset = clock_boot_ms() - ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
	if (offset - loop->test_offset_ms > 5 || loop->test_offset_ms - offset > 5) {
		loop->test_offset_ms = offset;
		timers_run(loop);
	}
}
#endif

struct timer *
timer_new(struct loop *loop, timer_fn *fn, void *ctx)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return (NULL);
	t->loop = loop;
	t->fn = fn;
	t->ctx = ctx;
	t->next = loop->timers;
	t->back = &loop->timers;
	if (t->next != NULL)
		t->next->back = &t->next;
	loop->timers = t;
	return (t);
}

void
timer_set(struct timer *t, int64_t boot_ms)
{
	t->set = 1;
	t->at_boot_ms = boot_ms;
	timers_arm(t->loop);
}

void
timer_after(struct timer *t, int64_t span_ms)
{
	timer_set(t, clock_boot_ms() + span_ms);
}

void
timer_stop(struct timer *t)
{
	t->set = 0;
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	if (t->loop->walking == t)
		t->loop->walking = t->next;
	*t->back = t->next;
	if (t->next != NULL)
		t->next->back = t->back;
	free(t);
}

static void
on_idle(uv_idle_t *idle)
{
	struct loop *loop = idle->data;
	struct deferred *d = loop->deferred, *next;

	loop->deferred = NULL;
	loop->deferred_end = &loop->deferred;
	for (; d != NULL; d = next) {
		next = d->next;
		d->fn(d->ctx);
		free(d);
	}
	if (loop->deferred == NULL)
		uv_idle_stop(idle);
}

void
loop_defer(struct loop *loop, defer_fn *fn, void *ctx)
{
	struct deferred *d = calloc(1, sizeof(*d));

	if (d == NULL)
		log_fatal("out of memory");
	d->fn = fn;
	d->ctx = ctx;
	*loop->deferred_end = d;
	loop->deferred_end = &d->next;
	uv_idle_start(&loop->idle, on_idle);
}

int
loop_forget(struct loop *loop, const void *ctx)
{
	struct deferred **at = &loop->deferred, *d;
	int count = 0;

	while ((d = *at) != NULL) {
		if (d->ctx != ctx) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		free(d);
		count++;
	}
	loop->deferred_end = at;
	return (count);
}

static void
on_signal(uv_signal_t *signal, int signum)
{
	struct caught *c = signal->data;

	c->fn(signum, c->ctx);
}

int
loop_on_signal(struct loop *loop, int signum, signal_fn *fn, void *ctx)
{
	struct caught *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return (-1);
	if (uv_signal_init(&loop->uv, &c->signal) != 0) {
		free(c);
		return (-1);
	}
	c->signal.data = c;
	c->fn = fn;
	c->ctx = ctx;
	c->next = loop->caught;
	loop->caught = c;
	return (uv_signal_start(&c->signal, on_signal, signum) == 0 ? 0 : -1);
}

struct loop *
loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return (NULL);
	if (uv_loop_init(&loop->uv) != 0)
		goto no_loop;
	if ((loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) == -1)
		goto no_timer;
	loop->deferred_end = &loop->deferred;
	uv_idle_init(&loop->uv, &loop->idle);
	loop->idle.data = loop;
	if ((loop->timer_watch = watch_begin(loop, loop->timer_fd, WATCH_READ, on_timerfd, loop)) == NULL)
		goto no_watch;
#ifdef LODGE_TEST
	uv_timer_init(&loop->uv, &loop->test_clock);
	loop->test_clock.data = loop;
	if (getenv("LODGE_TEST_CLOCK") != NULL) {
		uv_timer_start(&loop->test_clock, on_test_clock, TEST_CLOCK_CHECK_MS, TEST_CLOCK_CHECK_MS);
		uv_unref((uv_handle_t *)&loop->test_clock);
	}
#endif
	return (loop);

no_watch:
	close(loop->timer_fd);
no_timer:
	(void)uv_loop_close(&loop->uv);
no_loop:
	free(loop);
	return (NULL);
}

void
loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void
loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

struct uv_loop_s *
loop_uv(struct loop *loop)
{
	return (&loop->uv);
}

static void
on_walk(uv_handle_t *handle, void *arg)
{
	struct loop *loop = arg;

	if (uv_is_closing(handle))
		return;
	if (handle->type == UV_POLL)
		watch_end(handle->data);
	else if (handle == (uv_handle_t *)&loop->idle)
		uv_close(handle, NULL);
#ifdef LODGE_TEST
	else if (handle == (uv_handle_t *)&loop->test_clock)
		uv_close(handle, NULL);
#endif
	else if (handle->type == UV_SIGNAL)
		uv_close(handle, NULL);
}

void
loop_free(struct loop *loop)
{
	struct caught *next;
	struct deferred *d;

	if (loop == NULL)
		return;
	uv_walk(&loop->uv, on_walk, loop);
	while (uv_run(&loop->uv, UV_RUN_ONCE) != 0)
		;
	(void)uv_loop_close(&loop->uv);
	close(loop->timer_fd);
	while (loop->timers != NULL)
		timer_free(loop->timers);
	for (; loop->caught != NULL; loop->caught = next) {
		next = loop->caught->next;
		free(loop->caught);
	}
	while ((d = loop->deferred) != NULL) {
		loop->deferred = d->next;
		free(d);
	}
	free(loop);
}
