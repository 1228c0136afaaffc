#include "works.h"

#include <stdlib.h>
#include <uv.h>

#include "base/loop.h"

struct job {
	uv_work_t work;
	struct job *next;
	struct works *works;
	void (*begin)(void *ctx);
	void (*done)(void *ctx);
	void *ctx;
};

struct works {
	struct loop *loop;
	struct job *first, **last; /* those that wait */
	size_t running, waiting;
};

struct works *
works_new(struct loop *loop)
{
	struct works *w = calloc(1, sizeof *w);

	if (w == NULL)
		return (NULL);
	w->loop = loop;
	w->last = &w->first;
	return (w);
}

void
works_free(struct works *w)
{
	free(w);
}

static void works_go(struct works *w);

static void
on_work(uv_work_t *work)
{
	struct job *j = work->data;

	j->begin(j->ctx);
}

static void
on_work_done(uv_work_t *work, int status)
{
	struct job *j = work->data;
	struct works *w = j->works;

	(void)status; /* nothing cancels */
	w->running--;
	works_go(w);
	j->done(j->ctx);
	free(j);
}

static void
works_go(struct works *w)
{
	struct job *j;

	while (w->running < WORKS_AT_ONCE && (j = w->first) != NULL) {
		if (uv_queue_work(loop_uv(w->loop), &j->work, on_work, on_work_done) != 0)
			return; /* cannot be: all arguments are set */
		if ((w->first = j->next) == NULL)
			w->last = &w->first;
		w->waiting--;
		w->running++;
	}
}

int
works_add(struct works *w, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
	struct job *j = calloc(1, sizeof *j);

	if (j == NULL)
		return (-1);
	*j = (struct job){.works = w, .begin = work, .done = done, .ctx = ctx};
	j->work.data = j;
	*w->last = j;
	w->last = &j->next;
	w->waiting++;
	works_go(w);
	return (0);
}

size_t
works_count(const struct works *w)
{
	return (w->running + w->waiting);
}
