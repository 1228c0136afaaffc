/*
 * approve, deny, extend, revoke: the deciding verbs.  Each looks, decides and writes in one transaction; the step of the
 * state (states.def) is the check that nobody was faster, so that of two managers one has decided and the other reads [state].
 */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "times.h"
#include "verb.h"
#include "walk.h"

#define TEXT_TOLD 400 /* what they read of it */

/* Separation of duties, as it is now and not as it was at the login.  -1: refused, and the book hears of it. */
static int
may_decide(struct verb *v, const struct request *r)
{
	struct policy *p = v->policy;
	struct facts_held mine, theirs;
	enum reason reason;

	facts_load(p, &mine, v->who.login, "", "");
	facts_load(p, &theirs, r->person, "", "");
	reason = decide_answer(v->who.role == ROLE_MANAGER ? mine.facts.person : NULL, mine.facts.vendor, r,
	    theirs.facts.person != NULL ? theirs.person.vendor : "", clock_wall_ms());
	facts_free(&mine);
	facts_free(&theirs);
	if (reason == REASON_NONE)
		return (0);
	verb_refuse_noted(v, reason, r->id, "");
	return (-1);
}

/* Loads the request, and sees that this speaker may decide on it.  -1: refused. */
static int
decision_begin(struct verb *v, struct request *r)
{
	return (verb_request_load(v, r) == -1 || may_decide(v, r) == -1 || verb_is_fresh(v) == -1 ? -1 : 0);
}

static void
decision_keep(
    struct verb *v, const struct request *r, const char *what, const char *why, int64_t begins, int64_t ends)
{
	struct decision d = {.request = r->id, .at = clock_wall_ms(), .begins_at = begins, .ends_at = ends};

	TEXT_COPY(d.who, v->who.login);
	TEXT_COPY(d.what, what);
	TEXT_COPY(d.why, why);
	must(v->policy, decision_add(v->policy->store, &d));
}

static struct happening
happening_of(const struct verb *v, enum event_type type, const struct request *r)
{
	return ((struct happening){.type = type,
	    .who = v->who.login,
	    .about = r->person,
	    .vendor = r->vendor,
	    .source = v->who.source,
	    .session = v->who.session,
	    .request = r->id,
	    .target = r->target,
	    .account = r->account,
	    .ticket = r->ticket});
}

/* ---- approve ---- */

/* No window outlives the contract or the person's own time.  Gives the earlier end. */
static int64_t
end_capped(struct policy *p, const struct request *r, int64_t ends)
{
	struct person who = {.role = 0};
	struct vendor vendor = {.suspended = 0};

	TEXT_COPY(who.login, r->person);
	if (must(p, person_get(p->store, &who)) == 1 && who.valid_until != 0 && who.valid_until < ends)
		ends = who.valid_until;
	TEXT_COPY(vendor.name, who.vendor);
	if (vendor.name[0] != '\0' && must(p, vendor_get(p->store, &vendor)) == 1 && vendor.valid_until != 0 &&
	    vendor.valid_until < ends)
		ends = vendor.valid_until;
	return (ends);
}

static int
capabilities_read(struct verb *v, const struct request *r, struct grant *g)
{
	const char *without = call_value(&v->call, "--without");
	unsigned less = 0;

	if (without != NULL && capabilities_parse(without, &less) == -1) {
		verb_usage(v,
		    "--without %s: what may be left out is shell, exec, upload, download, forward, agent, x11, "
		    "reverse, socket",
		    without);
		return (-1);
	}
	g->capabilities = r->capabilities & ~(int64_t)less;
	TEXT_COPY(g->forwards, g->capabilities & CAPABILITY_FORWARD ? r->forwards : "");
	if (g->capabilities != 0)
		return (0);
	verb_usage(v, "--without %s leaves nothing; see: deny", without);
	return (-1);
}

/* The window and what may be done in it, from the request and the options.  -1: usage was said. */
static int
window_read(struct verb *v, const struct request *r, struct grant *g)
{
	struct policy *p = v->policy;
	int64_t now = clock_wall_ms(), span = r->asked_for, until = 0;
	char most[64];

	g->begins_at = r->from_wall;
	if (verb_span(v, "--for", TIMES_SECOND_MS, p->set.max_window, &span) == -1 ||
	    verb_moment(v, "--from", &g->begins_at) == -1 || verb_moment(v, "--until", &until) == -1 ||
	    capabilities_read(v, r, g) == -1)
		return (-1);
	if (until != 0 && call_value(&v->call, "--for") != NULL) {
		verb_usage(v, "--for and --until say the same twice");
		return (-1);
	}
	if (g->begins_at < now)
		g->begins_at = now;
	g->ends_at = until != 0 ? until : g->begins_at + span;
	if (g->ends_at <= g->begins_at) {
		verb_usage(v, "the window would end before it begins");
		return (-1);
	}
	if (g->ends_at - g->begins_at > p->set.max_window) {
		span_print(p->set.max_window, most, sizeof(most));
		verb_usage(v, "a window is at most %s long (MaxWindow)", most);
		return (-1);
	}
	g->ends_at = end_capped(p, r, g->ends_at);
	if (g->ends_at > g->begins_at)
		return (0);
	verb_refuse(v, REASON_VENDOR_ENDED,
	    "the contract of %s, or the person's own time, ends before the window begins",
	    r->vendor[0] == '\0' ? r->person : r->vendor);
	return (-1);
}

/* Ends on both clocks, and until when somebody must have come. */
static void
grant_time(struct policy *p, struct grant *g)
{
	g->ends_boot = clock_boot_ms() + (g->ends_at - clock_wall_ms());
	g->hard_end_boot = g->ends_boot; /* at_end "cut": nothing goes on behind the end */
	g->connect_by =
	    g->begins_at + p->set.connect_within < g->ends_at ? g->begins_at + p->set.connect_within : g->ends_at;
}

static void
grant_make(struct verb *v, const struct request *r, struct grant *g)
{
	struct policy *p = v->policy;

	g->request = r->id;
	TEXT_COPY(g->person, r->person);
	TEXT_COPY(g->fingerprint, r->fingerprint);
	TEXT_COPY(g->target, r->target);
	TEXT_COPY(g->account, r->account);
	TEXT_COPY(g->boot_id, p->boot_id);
	TEXT_COPY(g->approver, v->who.login);
	g->approved_at = clock_wall_ms();
	grant_time(p, g);
	g->state = STATE_APPROVED;
	if (state_step(&g->state, STATE_SCHEDULED, "grant of request", r->id) == -1 ||
	    (g->begins_at <= g->approved_at && state_step(&g->state, STATE_OPEN, "grant of request", r->id) == -1))
		abort();
	must(p, grant_add(p->store, g));
}

static void
approval_say(struct verb *v, const struct request *r, const struct grant *g)
{
	char begins[TIMES_TEXT], ends[TIMES_TEXT], can[MAY_TEXT];

	moment_print(g->begins_at, begins);
	moment_print(g->ends_at, ends);
	may_print(g->capabilities, g->forwards, can);
	verb_answer(v, r, "request %lld is approved: %s on %s as %s (%s), from %s until %s", (long long)r->id,
	    r->person, r->target, r->account, can, g->state == STATE_OPEN ? "now" : begins, ends);
}

void
verb_approve(struct verb *v)
{
	struct policy *p = v->policy;
	struct request r;
	struct grant g = {.id = 0};
	struct happening h;
	int64_t event;

	if (decision_begin(v, &r) == -1)
		return;
	policy_begin(p);
	if (r.state != STATE_ASKED || window_read(v, &r, &g) == -1 ||
	    state_step(&r.state, STATE_APPROVED, "request", r.id) == -1) {
		store_rollback(p->store);
		if (v->status == 0)
			verb_refuse_state(v, &r);
		return;
	}
	r.decided_at = clock_wall_ms();
	TEXT_COPY(r.decided_by, v->who.login);
	must(p, request_set(p->store, &r));
	grant_make(v, &r, &g);
	decision_keep(v, &r, "approved", "", g.begins_at, g.ends_at);
	h = happening_of(v, EVENT_REQUEST_APPROVED, &r);
	h.grant = g.id;
	h.begins_at = g.begins_at;
	h.ends_at = g.ends_at;
	h.capabilities = g.capabilities;
	h.forwards = g.forwards;
	h.why = r.why;
	event = event_note(p, &h);
	/* Those who wait are weighed again: they enter, or go on waiting for the beginning. */
	questions_answer(p, &r, REASON_NONE, "", event);
	verb_changed(v, event);
	approval_say(v, &r, &g);
	verb_commit(v);
}

/* ---- deny ---- */

void
verb_deny(struct verb *v)
{
	struct policy *p = v->policy;
	struct request r;
	struct happening h;
	char why[ROW_WORDS], line[ROW_WORDS + 2 * ROW_NAME], text[TEXT_TOLD];
	int64_t event;

	if (VERB_TEXT(v, "--why", why) == -1 || decision_begin(v, &r) == -1)
		return;
	policy_begin(p);
	if (state_step(&r.state, STATE_DENIED, "request", r.id) == -1) {
		store_rollback(p->store);
		verb_refuse_state(v, &r);
		return;
	}
	r.decided_at = clock_wall_ms();
	TEXT_COPY(r.decided_by, v->who.login);
	TEXT_COPY(r.decided_why, why);
	must(p, request_set(p->store, &r));
	decision_keep(v, &r, "denied", why, 0, 0);
	h = happening_of(v, EVENT_REQUEST_DENIED, &r);
	h.why = why;
	event = event_note(p, &h);
	(void)snprintf(line, sizeof(line), "%s denied request %lld%s%s", v->who.login, (long long)r.id,
	    why[0] == '\0' ? "" : ": ", why);
	text_clean(text, sizeof(text), bytes_text(line)); /* cut between letters */
	questions_answer(p, &r, REASON_DENIED, text, event);
	verb_changed(v, event);
	verb_answer(v, &r, "request %lld of %s for %s is denied%s%s", (long long)r.id, r.person, r.target,
	    why[0] == '\0' ? "" : ": ", why);
	verb_commit(v);
}

/* ---- extend ---- */

/* The new end, not past MaxWindow nor the contract.  -1: refused. */
static int
end_move(struct verb *v, const struct request *r, struct grant *g, int64_t by)
{
	struct policy *p = v->policy;
	int64_t was = g->ends_at, capped;
	char most[64];

	if (g->ends_at + by - g->begins_at > p->set.max_window) {
		span_print(p->set.max_window, most, sizeof(most));
		verb_usage(v, "the window would be longer than %s (MaxWindow)", most);
		return (-1);
	}
	if ((capped = end_capped(p, r, was + by)) <= was) {
		verb_refuse(
		    v, REASON_VENDOR_ENDED, "the contract of %s, or the person's own time, ends then", r->vendor);
		return (-1);
	}
	g->ends_at = capped;
	/* Both clocks move by the same: stepping the wall clock has no part in it. */
	g->ends_boot += capped - was;
	g->hard_end_boot += capped - was;
	return (0);
}

static int
grant_is_live(const struct grant *g)
{
	return (g->id != 0 && (g->state == STATE_OPEN || g->state == STATE_SCHEDULED) &&
	        !grant_is_over(g, clock_wall_ms(), clock_boot_ms()));
}

void
verb_extend(struct verb *v)
{
	struct policy *p = v->policy;
	struct request r;
	struct grant g;
	struct happening h;
	char ends[TIMES_TEXT];
	int64_t by = 0;

	if (verb_span(v, "--for", TIMES_SECOND_MS, p->set.max_window, &by) == -1)
		return;
	if (by == 0) {
		verb_usage(v, "by how much? extend %s --for 30m", v->call.argument[0]);
		return;
	}
	if (decision_begin(v, &r) == -1)
		return;
	(void)request_state(p, &r, &g);
	if (!grant_is_live(&g)) {
		verb_refuse_state(v, &r);
		return;
	}
	if (end_move(v, &r, &g, by) == -1)
		return;
	policy_begin(p);
	must(p, grant_set(p->store, &g));
	decision_keep(v, &r, "extended", "", g.begins_at, g.ends_at);
	h = happening_of(v, EVENT_GRANT_EXTENDED, &r);
	h.grant = g.id;
	h.begins_at = g.begins_at;
	h.ends_at = g.ends_at;
	verb_changed(v, event_note(p, &h));
	v->restate = g.id; /* told to who is in when the book holds it */
	moment_print(g.ends_at, ends);
	verb_answer(v, &r, "request %lld: the window now ends %s", (long long)r.id, ends);
	verb_commit(v);
}

/* ---- revoke ---- */

void
verb_revoke(struct verb *v)
{
	struct policy *p = v->policy;
	struct request r;
	struct grant g;
	struct happening h;
	char why[ROW_WORDS], line[ROW_WORDS + 2 * ROW_NAME], text[TEXT_TOLD];
	int64_t event;

	/* Whoever may stop it may stop it: no separation of duties, for it takes away only. */
	if (VERB_TEXT(v, "--why", why) == -1 || verb_request_load(v, &r) == -1 || verb_is_fresh(v) == -1)
		return;
	(void)request_state(p, &r, &g);
	policy_begin(p);
	if (g.id == 0 || state_step(&g.state, STATE_REVOKED, "grant", g.id) == -1) {
		store_rollback(p->store);
		verb_refuse_state(v, &r);
		return;
	}
	g.ended_at = clock_wall_ms();
	TEXT_COPY(g.end_by, v->who.login);
	TEXT_COPY(g.end_why, why);
	must(p, grant_set(p->store, &g));
	decision_keep(v, &r, "revoked", why, g.begins_at, g.ends_at);
	h = happening_of(v, EVENT_GRANT_REVOKED, &r);
	h.grant = g.id;
	h.why = why;
	event = event_note(p, &h);
	(void)snprintf(
	    line, sizeof(line), "%s took the approval back%s%s", v->who.login, why[0] == '\0' ? "" : ": ", why);
	text_clean(text, sizeof(text), bytes_text(line)); /* cut between letters */
	questions_answer(p, &r, REASON_REVOKED, text, event);
	verb_changed(v, event);
	verb_answer(v, &r, "request %lld: the approval is taken back; %s is cut off %s", (long long)r.id, r.person,
	    r.target);
	verb_commit(v);
	grant_cut(p, &g, REASON_REVOKED, text);
}
