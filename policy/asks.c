/* What sessions ask, and what is answered; see asks.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "keys.h"
#include "outbox.h"
#include "targets.h"
#include "times.h"
#include "verb.h"
#include "walk.h"
#include "words.h"

static void
asking_keep(struct policy *p, const struct asking *a)
{
	must(p, asking_set(p->store, a));
	p->askings++;
}

/* ---- deciding ---- */

int64_t
request_make(struct policy *p, struct request *r)
{
	struct happening h;
	int64_t now = clock_wall_ms();

	r->asked_at = now;
	r->lapse_at = now + p->set.approval_timeout;
	r->lapse_boot = clock_boot_ms() + p->set.approval_timeout;
	if (r->asked_for == 0)
		r->asked_for = p->set.default_window;
	must(p, request_add(p->store, r));
	if (state_step(&r->state, STATE_ASKED, "request", r->id) == -1)
		abort();
	must(p, request_set(p->store, r));
	h = (struct happening){.type = EVENT_REQUEST_ASKED,
	    .who = r->person,
	    .vendor = r->vendor,
	    .source = r->source,
	    .fingerprint = r->fingerprint,
	    .request = r->id,
	    .target = r->target,
	    .account = r->account,
	    .why = r->why,
	    .ticket = r->ticket,
	    .capabilities = r->capabilities,
	    .forwards = r->forwards,
	    .begins_at = r->from_wall};
	return (event_note(p, &h));
}

/* What was asked for, as events, lists and recordings name it. */
static void
what_print(const struct asking *a, char what[ROW_WORDS])
{
	static const char *const before[] = {[ASK_SHELL] = "shell",
	    [ASK_SFTP] = "sftp",
	    [ASK_SUBSYSTEM] = "subsystem ",
	    [ASK_FORWARD] = "forward ",
	    [ASK_SOCKET] = "socket ",
	    [ASK_REVERSE] = "reverse "};
	int known = a->kind > 0 && a->kind < (int64_t)(sizeof(before) / sizeof(before[0]));
	char words[ROW_WORDS + 16];

	(void)snprintf(words, sizeof(words), "%s%s", known && before[a->kind] != NULL ? before[a->kind] : "",
	    a->kind == ASK_SHELL || a->kind == ASK_SFTP ? "" : a->command);
	text_clean(what, ROW_WORDS, bytes_text(words)); /* cut between letters */
}

static int64_t
refusal_note(struct connection *c, const struct asking *a)
{
	char what[ROW_WORDS];
	struct happening h = {.type = EVENT_VISIT_REFUSED,
	    .reason = (enum reason)a->reason,
	    .who = c->visitor.person,
	    .vendor = c->visitor.vendor,
	    .source = c->source,
	    .port = c->port,
	    .session = c->visitor.number,
	    .request = a->request,
	    .target = a->target,
	    .account = a->account,
	    .what = what,
	    .why = a->text};

	what_print(a, what);
	return (event_note(c->policy, &h));
}

/* Says it in words that stand alone: what exactly, and what to do. */
static void
asking_refuse(struct connection *c, struct asking *a, enum reason reason, const char *text)
{
	const char *todo = reason_todo(reason);

	a->state = ASKING_DENIED;
	a->reason = (int64_t)reason;
	snprintf(a->text, sizeof(a->text), "%.400s%s%.100s", text[0] != '\0' ? text : reason_what(reason),
	    todo[0] != '\0' ? "; " : "", todo);
	a->event = refusal_note(c, a);
}

static void
asking_enter(struct connection *c, struct asking *a, const struct grant *g, const struct forward *to)
{
	struct grant entered = *g;
	char what[ROW_WORDS];
	uint32_t stream;

	what_print(a, what);
	walk_begin(c, g, what, to, &stream);
	a->state = ASKING_ENTERING;
	a->grant = g->id;
	a->request = g->request;
	a->stream = stream;
	if (entered.entered_at != 0 && entered.state == STATE_OPEN)
		return;
	if (entered.state == STATE_SCHEDULED && state_step(&entered.state, STATE_OPEN, "grant", entered.id) == -1)
		abort();
	if (entered.entered_at == 0)
		entered.entered_at = clock_wall_ms();
	must(c->policy, grant_set(c->policy->store, &entered));
}

static void
asking_wait(struct connection *c, struct asking *a, int64_t request)
{
	struct request r = {.id = request};

	if (must(c->policy, request_get(c->policy->store, &r)) == 0)
		abort();
	if (a->lapse_boot == 0) {
		a->lapse_boot = clock_boot_ms() + c->policy->set.approval_timeout;
		a->lapse_at = clock_wall_ms() + c->policy->set.approval_timeout;
	}
	if (r.state == STATE_ASKED && r.lapse_boot < a->lapse_boot) {
		a->lapse_boot = r.lapse_boot;
		a->lapse_at = r.lapse_at;
	}
	a->state = ASKING_WAITING;
	a->request = request;
}

static void
asking_ask(struct connection *c, struct asking *a)
{
	struct request r = {.capabilities = CAPABILITIES_CARRIED, .conn = (int64_t)c->conn};

	TEXT_COPY(r.person, c->visitor.person);
	TEXT_COPY(r.vendor, c->visitor.vendor);
	TEXT_COPY(r.target, a->target);
	TEXT_COPY(r.account, a->account);
	TEXT_COPY(r.fingerprint, c->visitor.fingerprint);
	TEXT_COPY(r.source, c->source);
	a->event = request_make(c->policy, &r);
	asking_wait(c, a, r.id);
}

/* The facts must be freed: the verdict points into them. */
static struct verdict_made
asking_decide(struct connection *c, struct asking *a, struct facts_held *h)
{
	facts_load(c->policy, h, c->visitor.person, a->target, a->account);
	h->facts.source = c->source;
	h->facts.fingerprint = c->visitor.fingerprint;
	h->facts.code = code_of(c->visitor.factors);
	if (need_of((unsigned)a->kind, &h->facts.need) == -1)
		abort(); /* on_ask let no other in */
	if (a->kind == ASK_FORWARD)
		h->facts.need.forward = a->command;
	h->facts.patience = a->wait_ok ? ASKER_WAITS : ASKER_LEAVES;
	TEXT_COPY(a->account, h->account);
	return (decide(&h->facts));
}

/* ---- forwards: never waited for, and each has a stream of its own ---- */

const char *
forward_is_ssh(struct policy *p, const struct forward *f, char name[ROW_NAME])
{
	char text[FORWARD_TEXT], why[FORWARD_WHY];
	struct rows found;
	struct forward at;
	int is = 0;

	must(p, store_list_all(p->store, QUERY_TARGETS, &found));
	for (size_t i = 0; i < found.count && !is; i++) {
		const struct target *t = rows_at(&found, target, i);

		if (t->port != f->port)
			continue;
		(void)snprintf(text, sizeof(text), strchr(t->host, ':') != NULL ? "[%s]:%u" : "%s:%u", t->host,
		    (unsigned)f->port);
		is = forward_read(&at, text, why) == 0 && strcmp(at.host, f->host) == 0;
		text_copy(name, ROW_NAME, t->name);
	}
	rows_free(&found);
	return (is ? name : NULL);
}

/* What decide said of this target; a refusal is kept in *no, for others may be tried. */
struct refusal {
	enum reason reason;
	char text[DECIDE_TEXT];
};

static void
forward_try(struct connection *c, struct asking *a, const struct forward *to, struct refusal *no)
{
	struct facts_held h;
	struct verdict_made v = asking_decide(c, a, &h);

	if (v.outcome == OUTCOME_ENTER) {
		asking_enter(c, a, v.grant, to);
	} else {
		no->reason = v.reason;
		TEXT_COPY(no->text, v.text);
	}
	facts_free(&h);
}

/* They name no target: of all windows that name this place the one that ends last serves. */
static void
forward_try_all(struct connection *c, struct asking *a, const struct forward *to, struct refusal *no)
{
	struct policy *p = c->policy;
	struct rows found;

	must(p, store_list(p->store, QUERY_GRANTS_OF_PERSON_LIVE, &found, ARG_TEXT(c->visitor.person),
	            ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	no->reason = found.count > 0 ? REASON_FORWARD : REASON_NO_GRANT;
	(void)snprintf(no->text, sizeof(no->text), "no approved window for %s%s%.270s", c->visitor.person,
	    found.count > 0 ? " names a forward to " : "", found.count > 0 ? a->command : "");
	for (size_t i = 0; i < found.count && a->state == ASKING_NEW; i++) {
		const struct grant *g = rows_at(&found, grant, i);

		if (!forwards_hold(g->forwards, a->command))
			continue;
		TEXT_COPY(a->target, g->target);
		TEXT_COPY(a->account, g->account);
		forward_try(c, a, to, no);
	}
	rows_free(&found);
}

static void
asking_forward(struct connection *c, struct asking *a)
{
	struct refusal no = {.reason = REASON_FORWARD};
	char why[FORWARD_WHY], target[ROW_NAME];
	struct forward to;

	if (forward_read(&to, a->command, why) == -1) {
		asking_refuse(c, a, REASON_FORWARD, why);
		return;
	}
	forward_print(&to, a->command);
	if (forward_is_ssh(c->policy, &to, target) != NULL)
		(void)snprintf(no.text, sizeof(no.text), "%.270s is the ssh of %s: visit it", a->command, target);
	else if (walk_forwards(c) >= FORWARDS_AT_ONCE)
		no = (struct refusal){REASON_LIMIT, "as many connections are forwarded as may be at once"};
	else if (a->target[0] != '\0')
		forward_try(c, a, &to, &no);
	else
		forward_try_all(c, a, &to, &no);
	if (a->state == ASKING_NEW)
		asking_refuse(c, a, no.reason, no.text);
}

/* Decides one question as things stand now; within a transaction.  The row is changed, not yet written. */
static void
asking_weigh(struct connection *c, struct asking *a)
{
	struct verdict_made v;
	struct facts_held h;

	if (a->kind == ASK_FORWARD) {
		asking_forward(c, a);
		return;
	}
	v = asking_decide(c, a, &h);
	if (v.outcome == OUTCOME_WAIT && v.grant != NULL &&
	    v.grant->begins_at - h.facts.wall_ms > c->policy->set.approval_timeout)
		v.outcome = OUTCOME_REFUSE; /* it begins too late to wait for */
	switch (v.outcome) {
	case OUTCOME_ENTER:
		asking_enter(c, a, v.grant, NULL);
		break;
	case OUTCOME_WAIT:
		asking_wait(c, a, v.grant != NULL ? v.grant->request : v.request->id);
		break;
	case OUTCOME_ASK:
		asking_ask(c, a);
		break;
	case OUTCOME_REFUSE:
		asking_refuse(c, a, v.reason, v.text);
		break;
	}
	facts_free(&h);
}

static void
question_keep(struct connection *c, uint32_t ask)
{
	struct question *q;

	for (q = c->questions; q != NULL; q = q->next)
		if (q->ask == ask)
			break;
	if (q == NULL) {
		if ((q = calloc(1, sizeof(*q))) == NULL)
			log_fatal("out of memory");
		q->ask = ask;
		q->next = c->questions;
		c->questions = q;
	}
	q->told_waiting = q->told_yes = 0;
}

static void
asking_fill(struct asking *a, const struct msg_ask *m)
{
	a->kind = m->kind;
	a->pty = m->pty != 0;
	a->wait_ok = m->wait_ok != 0;
	text_clean(a->target, sizeof(a->target), m->target);
	text_clean(a->account, sizeof(a->account), m->account);
	text_clean(a->command, sizeof(a->command), m->command);
}

void
on_ask(struct connection *c, const struct msg_ask *m)
{
	struct policy *p = c->policy;
	struct asking a = {.conn = (int64_t)c->conn, .ask = m->ask};
	struct need need;

	if (must(p, asking_get(p->store, &a)) == 0) {
		asking_fill(&a, m);
		policy_begin(p);
		if (c->visitor.number == 0)
			asking_refuse(c, &a, REASON_AUTH_AWAY, "");
		else if (need_of(m->kind, &need) == -1)
			asking_refuse(c, &a, REASON_NOT_SUPPORTED, "");
		else
			asking_weigh(c, &a);
		must(p, asking_add(p->store, &a));
		policy_commit(p);
	}
	question_keep(c, m->ask);
	policy_advance(p);
}

void
on_ask_ended(struct connection *c, const struct msg_ask_ended *m)
{
	struct asking a = {.conn = (int64_t)c->conn, .ask = m->ask};

	for (struct question **q = &c->questions; *q != NULL; q = &(*q)->next)
		if ((*q)->ask == m->ask) {
			struct question *gone = *q;

			*q = gone->next;
			free(gone);
			break;
		}
	if (must(c->policy, asking_get(c->policy->store, &a)) == 1 && a.state == ASKING_WAITING) {
		policy_begin(c->policy);
		a.state = ASKING_LEFT;
		asking_keep(c->policy, &a);
		policy_commit(c->policy);
	}
	policy_advance(c->policy);
}

/* ---- answers that come later; within a transaction ---- */

void
questions_answer(struct policy *p, const struct request *r, enum reason reason, const char *text, int64_t event)
{
	struct connection *c;
	struct rows found;

	must(p, store_list(p->store, QUERY_ASKINGS_OF_REQUEST, &found, ARG_INT(r->id), ARG_INT(ASKING_WAITING)));
	for (size_t i = 0; i < found.count; i++) {
		struct asking *a = rows_at(&found, asking, i);

		if ((c = connection_find(p, (uint64_t)a->conn)) == NULL)
			a->state = ASKING_LEFT;
		else if (reason != REASON_NONE)
			asking_refuse(c, a, reason, text);
		else
			asking_weigh(c, a);
		if (a->event < event)
			a->event = event;
		asking_keep(p, a);
	}
	rows_free(&found);
}

void
questions_fail(struct connection *c, uint32_t stream, enum reason reason, const char *text, int64_t event)
{
	struct rows found;

	must(c->policy, store_list(c->policy->store, QUERY_ASKINGS_OF_STREAM, &found, ARG_INT((int64_t)c->conn),
	                    ARG_INT(stream), ARG_INT(ASKING_ENTERING)));
	for (size_t i = 0; i < found.count; i++) {
		struct asking *a = rows_at(&found, asking, i);

		a->state = ASKING_DENIED;
		a->reason = (int64_t)reason;
		snprintf(a->text, sizeof(a->text), "%s", text);
		a->event = event;
		asking_keep(c->policy, a);
	}
	rows_free(&found);
}

int
questions_lapse(struct policy *p)
{
	struct connection *c;
	struct rows found;
	int lapsed = 0;

	must(p, store_list(p->store, QUERY_ASKINGS_LAPSING, &found, ARG_INT(ASKING_WAITING),
	            ARG_INT(clock_wall_ms()), ARG_INT(clock_boot_ms())));
	for (size_t i = 0; i < found.count; i++) {
		struct asking *a = rows_at(&found, asking, i);

		if ((c = connection_find(p, (uint64_t)a->conn)) == NULL)
			a->state = ASKING_LEFT;
		else
			asking_refuse(c, a, REASON_LAPSED, "");
		asking_keep(p, a);
		lapsed++;
	}
	rows_free(&found);
	return (lapsed);
}

/* ---- telling ---- */

static void
waiting_text(struct policy *p, const struct asking *a, char *text, size_t size)
{
	struct request r = {.id = a->request};
	struct rows found;
	char until[TIMES_TEXT], begins[TIMES_TEXT], deciders[128];

	must(p, request_get(p->store, &r));
	moment_print_clock(a->lapse_at, until);
	if (r.state == STATE_APPROVED &&
	    must(p, store_list(p->store, QUERY_GRANT_OF_REQUEST, &found, ARG_INT(r.id))) == 1) {
		moment_print(rows_at(&found, grant, 0)->begins_at, begins);
		snprintf(text, size, "request %lld was approved by %s; the window begins %s", (long long)r.id,
		    r.decided_by, begins);
		rows_free(&found);
		return;
	}
	deciders_print(p, &r, deciders, sizeof(deciders));
	snprintf(text, size, "request %lld for %s as %s: asked of %s; waiting for a yes until %s", (long long)r.id,
	    r.target, r.account, deciders, until);
}

static void
tell_waiting(struct connection *c, struct question *q, const struct asking *a)
{
	char text[ROW_WORDS];

	q->seen = c->policy->askings;
	if (q->told_waiting)
		return;
	waiting_text(c->policy, a, text, sizeof(text));
	peer_post(c->session, VERDICT, verdict, .ask = q->ask, .verdict = VERDICT_WAIT, .reason = REASON_WAITING,
	    .text = bytes_text(text), .request = (uint64_t)a->request, .target = bytes_text(a->target),
	    .account = bytes_text(a->account), .until_wall_ms = a->lapse_at);
	q->lapse_boot = a->lapse_boot;
	q->told_waiting = 1;
}

static void
tell_no(struct connection *c, const struct question *q, const struct asking *a)
{
	peer_post(c->session, VERDICT, verdict, .ask = q->ask, .verdict = VERDICT_DENY,
	    .reason = (uint16_t)a->reason, .text = bytes_text(a->text), .request = (uint64_t)a->request,
	    .target = bytes_text(a->target), .account = bytes_text(a->account));
}

/* The pinned host keys by which the session knows the target. */
static void
host_keys_put(struct policy *p, const char *target, struct wire *w)
{
	unsigned char blob[KEY_BLOB_MAX];
	struct rows keys;
	size_t len;

	must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(target)));
	for (size_t i = 0; i < keys.count; i++)
		if ((len = key_blob(rows_at(&keys, target_key, i)->blob, blob, sizeof(blob))) != 0)
			wire_put_bytes(w, bytes_of(blob, len));
	rows_free(&keys);
}

static void
tell_yes(struct connection *c, struct question *q, const struct asking *a)
{
	struct policy *p = c->policy;
	struct grant g = {.id = a->grant};
	struct target t = {.port = 0};
	struct wire keys = {.at = NULL};

	TEXT_COPY(t.name, a->target);
	(void)must(p, target_get(p->store, &t)); /* removed just now: its grant is revoked, and says so */
	if (a->kind != ASK_FORWARD)
		host_keys_put(p, a->target, &keys);
	if (must(p, grant_get(p->store, &g)) == 0)
		abort();
	peer_post(c->session, VERDICT, verdict, .ask = q->ask, .verdict = VERDICT_ALLOW, .reason = REASON_NONE,
	    .request = (uint64_t)a->request, .grant = (uint64_t)a->grant, .stream = (uint32_t)a->stream,
	    .target = bytes_text(a->target), .account = bytes_text(a->account), .host_keys = wire_bytes(&keys),
	    .until_wall_ms = g.ends_at, .capabilities = (uint32_t)g.capabilities,
	    .login = (uint8_t)target_login(&t), .algorithms = bytes_text(t.legacy));
	wire_free(&keys);
	q->told_yes = 1;
}

/* The stream that it was to share ended before they were told of it: what they ask is weighed anew. */
static void
asking_renew(struct connection *c, struct asking *a)
{
	a->state = ASKING_NEW;
	policy_begin(c->policy);
	asking_weigh(c, a);
	asking_keep(c->policy, a);
	policy_commit(c->policy);
	policy_advance(c->policy);
}

/* Gives 1 when the question has had its last answer. */
static int
question_tell(struct connection *c, struct question *q)
{
	struct asking a = {.conn = (int64_t)c->conn, .ask = q->ask};
	struct walk *w;

	if (q->told_waiting && q->seen == c->policy->askings)
		return (0); /* hundreds may wait, and each turn comes by all of them */
	if (must(c->policy, asking_get(c->policy->store, &a)) == 0 || a.state == ASKING_LEFT)
		return (1);
	if (c->policy->book_held < a.event)
		return (0);
	switch ((enum asking_state)a.state) {
	case ASKING_WAITING:
		tell_waiting(c, q, &a);
		return (0);
	case ASKING_DENIED:
		tell_no(c, q, &a);
		return (1);
	case ASKING_ENTERING:
		w = walk_find(c, (uint32_t)a.stream);
		if (w == NULL || w->stage == WALK_OVER) {
			if (!q->told_yes)
				asking_renew(c, &a);
			return (q->told_yes);
		}
		if (!walk_is_permitted(w))
			return (0);
		if (!q->told_yes)
			tell_yes(c, q, &a);
		return (w->stage != WALK_GOING);
	default:
		return (1);
	}
}

void
questions_tell(struct connection *c)
{
	struct question **at = &c->questions, *q;

	if (c->session == NULL)
		return;
	while ((q = *at) != NULL) {
		if (question_tell(c, q)) {
			*at = q->next;
			free(q);
			continue;
		}
		at = &q->next;
	}
}
