/* request, withdraw, requests: what engineers ask for, and the list of it. */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "times.h"
#include "verb.h"
#include "walk.h"

#define AHEAD_MS (90 * TIMES_DAY_MS) /* a window begins at most so far ahead */

/* ---- request ---- */

/* Which rule failed, when one before those about windows did. */
struct failing {
	const char *rule;
};

static void
on_rule(void *ctx, const char *rule, int passed, const char *seen)
{
	struct failing *f = ctx;

	(void)seen;
	/* A full shelf, a window missing or a clock behind opens nothing now; asking for later is another matter. */
	if (!passed && strcmp(rule, "window") != 0 && strcmp(rule, "recording") != 0 && strcmp(rule, "clock") != 0)
		f->rule = rule;
}

/* May they ask for this at all?  -1: refused. */
static int
request_examine(struct verb *v, struct facts_held *h)
{
	struct failing failing = {.rule = NULL};
	struct verdict_made d;
	const char *todo;

	h->facts.source = v->who.source;
	d = decide_explain(&h->facts, on_rule, &failing);
	if (failing.rule != NULL) {
		todo = reason_todo(d.reason);
		verb_refuse(v, d.reason, "%s%s%s", d.text, todo[0] == '\0' ? "" : "; ", todo);
		return (-1);
	}
	if (h->facts.pending_count > 0) {
		verb_refuse(v, REASON_STATE,
		    "request %lld of yours for %s as %s waits for an answer already; to change it: withdraw %lld",
		    (long long)h->facts.pending[0].id, h->target.name, h->account,
		    (long long)h->facts.pending[0].id);
		return (-1);
	}
	if (h->facts.open_requests >= DECIDE_OPEN_REQUESTS) {
		verb_refuse(v, REASON_LIMIT, "%zu requests of yours wait for an answer already; withdraw some",
		    h->facts.open_requests);
		return (-1);
	}
	return (0);
}

/* --forward: each of them to be approved by host and port.  -1: usage was said. */
static int
forwards_ask(struct verb *v, struct request *r)
{
	const char *value = call_value(&v->call, "--forward"), *list;
	char why[FORWARD_WHY], name[ROW_NAME], text[FORWARD_TEXT];
	struct forward f;

	if (value == NULL)
		return (0);
	if (forwards_read(r->forwards, sizeof(r->forwards), value, why) == -1) {
		verb_usage(v, "--forward %.400s: %s", value, why);
		return (-1);
	}
	for (list = r->forwards; (list = forwards_next(list, &f)) != NULL;)
		if (forward_is_ssh(v->policy, &f, name) != NULL) {
			forward_print(&f, text);
			verb_usage(
			    v, "--forward %s: that is the ssh of %s, which is visited, not forwarded", text, name);
			return (-1);
		}
	r->capabilities |= CAPABILITY_FORWARD;
	return (0);
}

/* --with: what nobody gets without asking.  -1: usage was said. */
static int
unusual_ask(struct verb *v, struct request *r)
{
	const char *value = call_value(&v->call, "--with");
	unsigned more;

	if (value == NULL)
		return (0);
	if (capabilities_parse(value, &more) == -1 || (more & ~(unsigned)CAPABILITIES_UNUSUAL) != 0) {
		verb_usage(v,
		    "--with %.64s: what may be asked for besides the usual is agent, x11, reverse, socket; a "
		    "forward "
		    "by --forward HOST:PORT",
		    value);
		return (-1);
	}
	r->capabilities |= (int64_t)more;
	return (0);
}

/* What the options say.  -1: usage was said. */
static int
request_read(struct verb *v, struct request *r)
{
	const struct policy *p = v->policy;
	int64_t now = clock_wall_ms();
	char longest[64];

	if (forwards_ask(v, r) == -1 || unusual_ask(v, r) == -1 ||
	    verb_span(v, "--for", TIMES_SECOND_MS, p->set.max_window, &r->asked_for) == -1 ||
	    verb_moment(v, "--from", &r->from_wall) == -1 || VERB_TEXT(v, "--why", r->why) == -1 ||
	    VERB_TEXT(v, "--ticket", r->ticket) == -1)
		return (-1);
	if (r->from_wall != 0 && r->from_wall <= now) {
		if (r->from_wall < now - TIMES_MINUTE_MS) {
			verb_usage(v, "--from %s has passed", call_value(&v->call, "--from"));
			return (-1);
		}
		r->from_wall = 0;
	}
	if (r->from_wall > now + AHEAD_MS) {
		span_print(AHEAD_MS, longest, sizeof(longest));
		verb_usage(v, "--from %s is more than %s ahead", call_value(&v->call, "--from"), longest);
		return (-1);
	}
	return (0);
}

static void
request_say(struct verb *v, const struct request *r)
{
	char span[64], from[TIMES_TEXT] = "now", until[TIMES_TEXT], deciders[256];

	span_print(r->asked_for, span, sizeof(span));
	if (r->from_wall != 0)
		moment_print(r->from_wall, from);
	moment_print(r->lapse_at, until);
	deciders_print(v->policy, r, deciders, sizeof(deciders));
	verb_answer(v, r, "request %lld: %s as %s for %s from %s%s%s; asked of %s; it lapses %s", (long long)r->id,
	    r->target, r->account, span, from, r->forwards[0] == '\0' ? "" : ", with forwards to ", r->forwards,
	    deciders, until);
}

void
verb_request(struct verb *v)
{
	struct request r = {.capabilities = CAPABILITIES_CARRIED};
	struct facts_held h;
	const char *account = call_value(&v->call, "--account");

	if (request_read(v, &r) == -1)
		return;
	facts_load(v->policy, &h, v->who.login, v->call.argument[0], account == NULL ? "" : account);
	if (request_examine(v, &h) == 0) {
		TEXT_COPY(r.person, v->who.login);
		TEXT_COPY(r.vendor, v->who.vendor);
		TEXT_COPY(r.target, h.target.name);
		TEXT_COPY(r.account, h.account);
		TEXT_COPY(r.source, v->who.source);
		if (v->connection != NULL) {
			r.conn = (int64_t)v->connection->conn;
			TEXT_COPY(r.fingerprint, v->who.visitor->fingerprint);
		}
		policy_begin(v->policy);
		verb_changed(v, request_make(v->policy, &r));
		request_say(v, &r);
		verb_commit(v);
	}
	facts_free(&h);
}

/* ---- withdraw ---- */

/* Not yet answered: it is withdrawn.  Within a transaction. */
static int64_t
request_withdraw(struct verb *v, struct request *r)
{
	struct policy *p = v->policy;
	int64_t event;

	if (state_step(&r->state, STATE_WITHDRAWN, "request", r->id) == -1)
		return (0);
	r->decided_at = clock_wall_ms();
	TEXT_COPY(r->decided_by, v->who.login);
	must(p, request_set(p->store, r));
	event = event_note(p, &(struct happening){.type = EVENT_REQUEST_WITHDRAWN,
	                          .who = v->who.login,
	                          .vendor = r->vendor,
	                          .source = v->who.source,
	                          .session = v->who.session,
	                          .request = r->id,
	                          .target = r->target,
	                          .account = r->account});
	questions_answer(p, r, REASON_WITHDRAWN, "", event);
	return (event);
}

/* A window that nobody needs any more is closed. */
static int64_t
window_close(struct verb *v, const struct request *r, struct grant *g)
{
	struct policy *p = v->policy;
	int64_t event;

	if (state_step(&g->state, STATE_CLOSED, "grant", g->id) == -1)
		return (0);
	g->ended_at = clock_wall_ms();
	TEXT_COPY(g->end_by, v->who.login);
	TEXT_COPY(g->end_why, "given back");
	must(p, grant_set(p->store, g));
	event = event_note(p, &(struct happening){.type = EVENT_REQUEST_WITHDRAWN,
	                          .who = v->who.login,
	                          .vendor = r->vendor,
	                          .source = v->who.source,
	                          .session = v->who.session,
	                          .request = r->id,
	                          .grant = g->id,
	                          .target = r->target,
	                          .account = r->account,
	                          .why = g->end_why});
	questions_answer(p, r, REASON_WITHDRAWN, "", event);
	return (event);
}

void
verb_withdraw(struct verb *v)
{
	struct policy *p = v->policy;
	struct request r;
	struct grant g;
	int64_t event;

	if (verb_request_load(v, &r) == -1)
		return;
	(void)request_state(p, &r, &g);
	policy_begin(p);
	event = g.id != 0 ? window_close(v, &r, &g) : request_withdraw(v, &r);
	if (event == 0) {
		store_rollback(p->store);
		verb_refuse_state(v, &r);
		return;
	}
	verb_changed(v, event);
	verb_answer(v, &r, g.id != 0 ? "request %lld: the window is given back" : "request %lld is withdrawn",
	    (long long)r.id);
	verb_commit(v);
	if (g.id != 0)
		grant_cut(p, &g, REASON_WITHDRAWN, "you gave the window back");
}

/* ---- requests ---- */

/* The newest below `before`, newest first; one more than is shown, when there are more. */
static void
requests_find(struct verb *v, int64_t since, int64_t before, struct rows *found)
{
	struct policy *p = v->policy;
	const char *vendor = v->who.vendor;

	if (since != 0)
		must(p, store_list(p->store, QUERY_REQUESTS_LATELY, found, ARG_INT(before), ARG_INT(STATE_ASKED),
		            ARG_INT(since), ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN), ARG_TEXT(vendor),
		            ARG_INT(VERB_PAGE + 1)));
	else if (vendor[0] != '\0')
		must(p, store_list(p->store, QUERY_REQUESTS_OF_VENDOR_BEFORE, found, ARG_TEXT(vendor),
		            ARG_INT(before), ARG_INT(VERB_PAGE + 1)));
	else
		must(
		    p, store_list(p->store, QUERY_REQUESTS_BEFORE, found, ARG_INT(before), ARG_INT(VERB_PAGE + 1)));
}

void
requests_list(struct verb *v, int64_t since, int64_t before)
{
	struct sheet *s = sheet_new();
	struct rows found;
	int waiting = 0;
	size_t n;

	requests_find(v, since, before, &found);
	if ((n = found.count) > VERB_PAGE)
		verb_older(v, since == 0 ? "requests --all" : "requests",
		    rows_at(&found, request, --n - 1)->id); /* the page's first */
	while (n-- > 0) {
		request_row(v->policy, s, rows_at(&found, request, n));
		waiting += rows_at(&found, request, n)->state == STATE_ASKED;
	}
	sheet_table(s, v->form, v->columns,
	    before != INT64_MAX ? "there are no older ones"
	    : since == 0        ? "nobody has asked for anything yet"
	                        : "nobody waits, and nothing was decided within a day",
	    &v->out);
	if (v->form == SHEET_TEXT && waiting > 0 && v->who.role == ROLE_MANAGER)
		text_add(&v->out,
		    "%d wait%s for a yes.  All about one: show NO   Decide: approve NO [--for SPAN] | deny NO "
		    "--why \"...\"\n",
		    waiting, waiting == 1 ? "s" : "");
	if (v->form == SHEET_TEXT)
		target_warnings_put(v);
	sheet_free(s);
	rows_free(&found);
}

void
verb_requests(struct verb *v)
{
	int64_t before;

	if (verb_before(v, &before) == 0)
		requests_list(
		    v, call_value(&v->call, "--all") != NULL ? 0 : clock_wall_ms() - REQUESTS_LATELY_MS, before);
}
