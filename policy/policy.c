/* The heart of lodge-policy: transactions, and everybody's turn after news; see policy.h. */
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "deadlines.h"
#include "fresh.h"
#include "outbox.h"
#include "policy.h"
#include "promises.h"
#include "verbs.h"
#include "visits.h"
#include "walk.h"

int
must(struct policy *p, int rc)
{
	if (rc == -1)
		daemon_failed(p->gateway, "the database: %s", store_trouble(p->store));
	return (rc);
}

void
policy_begin(struct policy *p)
{
	must(p, store_begin(p->store));
}

void
policy_commit(struct policy *p)
{
	int64_t wall_ms = clock_wall_ms();

	if (wall_ms > p->high_water_ms) {
		p->high_water_ms = wall_ms;
		must(p, meta_put(p->store, "high-water", wall_ms, ""));
	}
	if (p->book_held > p->book_marked) {
		must(p, events_hold(p->store, p->book_held));
		p->book_marked = p->book_held;
	}
	must(p, store_commit(p->store));
	outbox_pump(p);
}

int64_t
policy_latest_ms(const struct policy *p)
{
	int64_t wall_ms = clock_wall_ms();

	return (wall_ms > p->high_water_ms ? wall_ms : p->high_water_ms);
}

static void
on_advance(void *ctx)
{
	struct policy *p = ctx;

	p->advance_due = 0;
	for (struct connection *c = p->connections; c != NULL; c = c->next) {
		fresh_tell(c);
		walks_advance(c);
		questions_tell(c);
	}
	promises_keep(p);
	verbs_advance(p);
	if (p->timer != NULL)
		deadlines_look(p);
}

void
policy_advance(struct policy *p)
{
	if (p->advance_due++)
		return;
	loop_defer(p->loop, on_advance, p);
}

void
shelf_take(struct policy *p, const struct msg_shelf *m)
{
	static const char *const names[] = {"OK", "LOW", "CRITICAL", "FULL"};
	enum shelf_state state = m->state <= SHELF_FULL ? (enum shelf_state)m->state : SHELF_FULL;

	p->shelf_free = m->free_bytes;
	if (state == p->shelf)
		return;
	p->shelf = state;
	policy_begin(p);
	(void)event_note(p, &(struct happening){.type = EVENT_SHELF_STATE,
	                        .outcome = state == SHELF_OK ? "success" : "failure",
	                        .what = names[state]});
	policy_commit(p);
	policy_advance(p);
}

void
text_copy(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}
