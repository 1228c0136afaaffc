/* What time does by itself; see deadlines.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "deadlines.h"
#include "fresh.h"
#include "outbox.h"
#include "walk.h"

#define LOOK_BUSY_MS 500   /* while something waits or is open */
#define LOOK_IDLE_MS 30000 /* else: for the high-water mark */
#define STEP_MS 2000       /* a wall clock that moved by more against the boot clock was set */

/* The boot-clock time at which the wall clock will show wall_ms, as the two stand now. */
static int64_t
boot_of_wall(int64_t wall_ms)
{
	return (clock_boot_ms() + (wall_ms - clock_wall_ms()));
}

static int64_t
sooner(int64_t a, int64_t b)
{
	return (a < b ? a : b);
}

/* Another boot: the old boot clock says nothing any more.  Ends are counted anew from the wall clock, which the high-water mark guards. */
static void
boot_adopt(struct policy *p)
{
	struct rows found;

	must(p, store_list(p->store, QUERY_GRANTS_LIVE, &found, ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	for (size_t i = 0; i < found.count; i++) {
		struct grant *g = rows_at(&found, grant, i);

		g->ends_boot = boot_of_wall(g->ends_at);
		g->hard_end_boot = g->ends_boot;
		TEXT_COPY(g->boot_id, p->boot_id);
		must(p, grant_set(p->store, g));
	}
	rows_free(&found);
	must(p, store_list(p->store, QUERY_REQUESTS_IN_STATE, &found, ARG_INT(STATE_ASKED)));
	for (size_t i = 0; i < found.count; i++) {
		struct request *r = rows_at(&found, request, i);

		r->lapse_boot = boot_of_wall(r->lapse_at);
		must(p, request_set(p->store, r));
	}
	rows_free(&found);
	must(p, meta_put(p->store, "boot", 0, p->boot_id));
}

void
deadlines_begin(struct policy *p)
{
	struct meta mark, boot, clean;
	char id[37];

	clock_boot_id(id);
	TEXT_COPY(p->boot_id, id);
	must(p, meta_read(p->store, "high-water", &mark));
	must(p, meta_read(p->store, "boot", &boot));
	must(p, meta_read(p->store, "clean", &clean));
	p->high_water_ms = mark.number;
	p->wall_less_boot = clock_wall_ms() - clock_boot_ms();
	policy_begin(p);
	if (strcmp(boot.text, p->boot_id) != 0)
		boot_adopt(p);
	/* Whether we end in order is written when we do: "clean" missing means that somebody killed us. */
	(void)event_note(p,
	    &(struct happening){
	        .type = clean.number != 0 || boot.text[0] == '\0' ? EVENT_GATEWAY_START : EVENT_PROCESS_RESTARTED,
	        .what = "lodge-policy"});
	must(p, meta_put(p->store, "clean", 0, ""));
	policy_commit(p);
}

static void
step_note(struct policy *p)
{
	int64_t difference = clock_wall_ms() - clock_boot_ms(), step = difference - p->wall_less_boot;
	char text[64];

	p->wall_less_boot = difference;
	if (step <= STEP_MS && step >= -STEP_MS)
		return;
	snprintf(text, sizeof(text), "%+lld ms", (long long)step);
	log_warning("the wall clock was set by %s", text);
	policy_begin(p);
	(void)event_note(p, &(struct happening){.type = EVENT_CLOCK_STEP, .what = text});
	policy_commit(p);
}

/* What is due among requests; within a transaction.  Gives how many lapsed. */
static int
requests_lapse(struct policy *p)
{
	struct rows found;
	int n = 0;

	must(p, store_list(p->store, QUERY_REQUESTS_LAPSING, &found, ARG_INT(STATE_ASKED), ARG_INT(clock_wall_ms()),
	            ARG_INT(clock_boot_ms())));
	for (size_t i = 0; i < found.count; i++) {
		struct request *r = rows_at(&found, request, i);
		int64_t event;

		if (state_step(&r->state, STATE_LAPSED, "request", r->id) == -1)
			abort();
		r->decided_at = clock_wall_ms();
		must(p, request_set(p->store, r));
		event = event_note(p, &(struct happening){.type = EVENT_REQUEST_LAPSED,
		                          .outcome = "failure",
		                          .reason = REASON_LAPSED,
		                          .about = r->person,
		                          .vendor = r->vendor,
		                          .request = r->id,
		                          .target = r->target,
		                          .account = r->account});
		questions_answer(p, r, REASON_LAPSED, "", event);
		n++;
	}
	rows_free(&found);
	return (n);
}

static void
grant_expire(struct policy *p, struct grant *g)
{
	if (state_step(&g->state, STATE_EXPIRED, "grant", g->id) == -1)
		abort();
	g->ended_at = clock_wall_ms();
	TEXT_COPY(g->end_why, grant_is_missed(g, g->ended_at) ? "nobody came in time" : "");
	must(p, grant_set(p->store, g));
	(void)event_note(p, &(struct happening){.type = EVENT_GRANT_EXPIRED,
	                        .about = g->person,
	                        .request = g->request,
	                        .grant = g->id,
	                        .target = g->target,
	                        .account = g->account,
	                        .why = g->end_why,
	                        .begins_at = g->begins_at,
	                        .ends_at = g->ends_at});
}

/* Windows that begin or end now.  Those that ended are kept in *ended for after the commit (g->state says so). */
static int
grants_turn(struct policy *p, struct rows *live)
{
	int64_t wall = clock_wall_ms(), boot = clock_boot_ms();
	int n = 0;

	must(p, store_list(p->store, QUERY_GRANTS_TURNING, live, ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN),
	            ARG_INT(wall), ARG_INT(boot)));
	for (size_t i = 0; i < live->count; i++) {
		struct grant *g = rows_at(live, grant, i);
		struct request r = {.id = g->request};

		if (grant_is_over(g, wall, boot) || (g->state == STATE_OPEN && grant_is_missed(g, wall))) {
			grant_expire(p, g);
			must(p, request_get(p->store, &r));
			questions_answer(p, &r, REASON_WINDOW_ENDED, "", 0);
			n++;
		} else if (g->state == STATE_SCHEDULED && wall >= g->begins_at) {
			if (state_step(&g->state, STATE_OPEN, "grant", g->id) == -1)
				abort();
			must(p, grant_set(p->store, g));
			must(p, request_get(p->store, &r));
			questions_answer(p, &r, REASON_NONE, "", 0);
			n++;
		}
	}
	return (n);
}

/* The grant of this state that is first to end, or (QUERY_GRANT_BEGINS_NEXT) to begin.  0: there is none. */
static int
grant_next(struct policy *p, enum query query, int64_t state, struct grant *g)
{
	struct rows found;
	int n = must(p, store_list(p->store, query, &found, ARG_INT(state)));

	if (n > 0)
		*g = *rows_at(&found, grant, 0);
	rows_free(&found);
	return (n);
}

/* When to look again: often while anything is alive, and at the moment at which the next of it is due. */
static int64_t
next_look(struct policy *p)
{
	int64_t now = clock_boot_ms(), next = now + LOOK_IDLE_MS, busy = now + LOOK_BUSY_MS;
	struct rows found;
	struct grant g;

	if (must(p, store_list(p->store, QUERY_REQUEST_LAPSES_NEXT, &found, ARG_INT(STATE_ASKED))) > 0)
		next = sooner(busy, rows_at(&found, request, 0)->lapse_boot);
	rows_free(&found);
	if (grant_next(p, QUERY_GRANT_ENDS_NEXT, STATE_OPEN, &g))
		next = sooner(next, sooner(busy, g.ends_boot));
	if (grant_next(p, QUERY_GRANT_ENDS_NEXT, STATE_SCHEDULED, &g))
		next = sooner(next, sooner(busy, g.ends_boot));
	if (grant_next(p, QUERY_GRANT_BEGINS_NEXT, STATE_SCHEDULED, &g))
		next = sooner(next, boot_of_wall(g.begins_at));
	return (next > now ? next : now + 1);
}

void
deadlines_look(struct policy *p)
{
	int64_t lapses, looks;
	struct rows live;
	int turned, changed;

	step_note(p);
	policy_begin(p);
	changed = requests_lapse(p);
	changed += turned = grants_turn(p, &live);
	changed += questions_lapse(p);
	if (changed != 0 || clock_wall_ms() > p->high_water_ms + LOOK_IDLE_MS)
		policy_commit(p);
	else
		store_rollback(p->store);
	for (size_t i = 0; turned != 0 && i < live.count; i++)
		if (rows_at(&live, grant, i)->state == STATE_EXPIRED)
			grant_cut(p, rows_at(&live, grant, i), REASON_WINDOW_ENDED, "");
	rows_free(&live);
	lapses = fresh_lapse(p);
	looks = next_look(p);
	timer_set(p->timer, sooner(lapses, looks));
	if (changed != 0)
		policy_advance(p);
}
