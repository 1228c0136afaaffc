#include "lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "channel.h"
#include "visit.h"

#define MINUTE_MS ((int64_t)60 * 1000)

static const int64_t distances_ms[] = {30 * MINUTE_MS, 15 * MINUTE_MS, 5 * MINUTE_MS, 1 * MINUTE_MS};

int64_t
lease_left_ms(const struct lease *l)
{
	int64_t boot_ms = l->ends_boot_ms - clock_boot_ms(), wall_ms = l->ends_wall_ms - clock_wall_ms();

	return (boot_ms < wall_ms ? boot_ms : wall_ms);
}

static struct lease *
lease_get(const struct session *s, uint64_t grant)
{
	struct lease *l = s->leases;

	while (l != NULL && l->grant != grant)
		l = l->next;
	return (l);
}

const struct lease *
lease_find(const struct session *s, uint64_t grant)
{
	const struct lease *l = lease_get(s, grant);

	return (l != NULL && lease_left_ms(l) > 0 ? l : NULL);
}

void
lease_on_lease(struct session *s, const struct msg_lease *m)
{
	struct lease *l = lease_get(s, m->grant);
	int is_new = l == NULL;

	if (is_new) {
		if ((l = calloc(1, sizeof(*l))) == NULL)
			log_fatal("out of memory");
		l->grant = m->grant;
		l->next = s->leases;
		s->leases = l;
	}
	if (is_new || m->ends_boot_ms != l->ends_boot_ms || m->ends_wall_ms != l->ends_wall_ms) {
		l->begins_wall_ms = m->begins_wall_ms;
		l->ends_wall_ms = m->ends_wall_ms;
		l->ends_boot_ms = m->ends_boot_ms;
		l->hard_end_boot_ms = m->hard_end_boot_ms;
		l->span_ms = lease_left_ms(l);
		l->warned_ms = INT64_MAX;
	}
	text_safe(l->approver, sizeof(l->approver), m->approver);
	peer_post(
	    s->policy, LEASE_HELD, lease_held, .conn = s->conn, .grant = l->grant, .ends_boot_ms = l->ends_boot_ms);
	session_wake(s);
}

/* The next distance at which to warn: the largest that is less than the one warned at; a short window's is its half. */
static int64_t
warning_next_ms(const struct lease *l)
{
	size_t count = sizeof(distances_ms) / sizeof(distances_ms[0]);

	if (l->span_ms <= distances_ms[count - 1])
		return (l->warned_ms == INT64_MAX ? l->span_ms / 2 : 0);
	for (size_t i = 0; i < count; i++)
		if (distances_ms[i] < l->span_ms && distances_ms[i] < l->warned_ms)
			return (distances_ms[i]);
	return (0);
}

static void
lease_warn(const struct session *s, const struct lease *l, int64_t left_ms)
{
	char line[256], left[32], at[32];
	const struct visit *v = NULL;

	text_span(left, sizeof(left), left_ms);
	text_time(at, sizeof(at), l->ends_wall_ms);
	for (struct channel *c = s->channels; c != NULL; c = c->next) {
		v = c->visit;
		if (c->state != CHANNEL_RUNNING || !c->has_pty || v == NULL || v->grant != l->grant)
			continue;
		snprintf(line, sizeof(line), "\nlodge: %s left: the window on %s ends at %s", left, v->target, at);
		channel_say(c, line);
	}
}

/* A warning waits where it would fall into somebody's editor. */
static int
warning_fits(const struct session *s, const struct lease *l)
{
	for (const struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->state == CHANNEL_RUNNING && c->visit != NULL && c->visit->grant == l->grant && c->has_pty &&
		    c->screen.alternate)
			return (0);
	return (1);
}

void
leases_tick(struct session *s)
{
	for (struct lease *l = s->leases; l != NULL; l = l->next) {
		int64_t left_ms = lease_left_ms(l), warn_ms = warning_next_ms(l);
		char text[160], at[32];

		if (left_ms <= 0) {
			text_time(at, sizeof(at), l->ends_wall_ms);
			snprintf(text, sizeof(text),
			    "the approved window ended at %s; ask for another: request TARGET", at);
			visits_end(s, l->grant, REASON_WINDOW_ENDED, text);
		} else if (left_ms <= warn_ms && warning_fits(s, l)) {
			lease_warn(s, l, left_ms);
			l->warned_ms = warn_ms;
		}
	}
}

int64_t
leases_due_ms(const struct session *s)
{
	int64_t due_ms = INT64_MAX;

	for (const struct lease *l = s->leases; l != NULL; l = l->next) {
		int64_t left_ms = lease_left_ms(l);

		if (left_ms > 0 && clock_boot_ms() + left_ms < due_ms)
			due_ms = clock_boot_ms() + left_ms;
	}
	return (due_ms);
}

void
leases_free(struct session *s)
{
	struct lease *l;

	while ((l = s->leases) != NULL) {
		s->leases = l->next;
		free(l);
	}
}
