/*
 * One event loop a process (libuv inside).  Timers are on CLOCK_BOOTTIME by timerfd, so that a suspended machine does
 * not stretch a window, and follow the clock that tests turn (base/clock.h).
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>

struct loop;
struct watch;
struct timer;
struct uv_loop_s;

enum watch_for { WATCH_READ = 1, WATCH_WRITE = 2 };

struct loop *loop_new(void); /* NULL: no memory or descriptors */
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);  /* until loop_stop */
void loop_stop(struct loop *loop); /* the run ends after the present handlers */
/* The libuv loop inside, for uv_queue_work and uv_poll of your own. */
struct uv_loop_s *loop_uv(struct loop *loop);

/* Calls fn when fd (lent; must stay open until watch_end) can be read or written, per `events` (enum watch_for bits, may be 0). */
typedef void watch_fn(int fd, int events, void *ctx);
struct watch *watch_begin(struct loop *loop, int fd, int events, watch_fn *fn, void *ctx);
void watch_change(struct watch *w, int events);
void watch_end(struct watch *w); /* NULL is fine; allowed inside its own handler; fd may be closed right after */

/* A timer, not set at first.  fn is called once for each setting. */
typedef void timer_fn(void *ctx);
struct timer *timer_new(struct loop *loop, timer_fn *fn, void *ctx);
void timer_set(struct timer *t, int64_t boot_ms);   /* at this time on the boot clock; in the past: soon */
void timer_after(struct timer *t, int64_t span_ms); /* from now */
void timer_stop(struct timer *t);
void timer_free(struct timer *t); /* NULL is fine; allowed inside its own handler */

/* Calls fn once, after the present handlers. */
typedef void defer_fn(void *ctx);
void loop_defer(struct loop *loop, defer_fn *fn, void *ctx);
/* Takes back what was deferred with this ctx and has not been called yet.  How many. */
int loop_forget(struct loop *loop, const void *ctx);

/* Calls fn on each SIGTERM, SIGINT (and SIGHUP, SIGCHLD when asked): from the loop, never from a handler. */
typedef void signal_fn(int signum, void *ctx);
int loop_on_signal(struct loop *loop, int signum, signal_fn *fn, void *ctx); /* 0 or -1 */

#endif
