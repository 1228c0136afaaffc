/* What sessions ask, and what is answered; see asks.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "keys.h"
#include "outbox.h"
#include "times.h"
#include "verb.h"
#include "walk.h"
#include "words.h"

/* ---- facts ---- */

void
facts_load(struct policy *p, struct facts_held *h, const char *login, const char *target, const char *account)
{
	struct facts *f = &h->facts;
	struct rows open;

	*h = (struct facts_held){.facts = {.source = "", .fingerprint = ""}};
	TEXT_COPY(h->person.login, login);
	TEXT_COPY(h->target.name, target);
	f->person = must(p, person_get(p->store, &h->person)) ? &h->person : NULL;
	TEXT_COPY(h->vendor.name, h->person.vendor);
	f->vendor = f->person != NULL && h->vendor.name[0] != '\0' && must(p, vendor_get(p->store, &h->vendor))
	                ? &h->vendor
	                : NULL;
	f->target = must(p, target_get(p->store, &h->target)) ? &h->target : NULL;
	if (f->target == NULL || account_resolve(h->target.accounts, account, h->account) == -1)
		TEXT_COPY(h->account, account);
	f->account = h->account;
	f->grant_count = (size_t)must(
	    p, store_list(p->store, QUERY_GRANTS_FOR, &h->grants, ARG_TEXT(login), ARG_TEXT(h->target.name),
	           ARG_TEXT(h->account), ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	f->grants = rows_at(&h->grants, grant, 0);
	f->pending_count =
	    (size_t)must(p, store_list(p->store, QUERY_REQUESTS_FOR, &h->pending, ARG_TEXT(login),
	                        ARG_TEXT(h->target.name), ARG_TEXT(h->account), ARG_INT(STATE_ASKED)));
	f->pending = rows_at(&h->pending, request, 0);
	f->open_requests = (size_t)must(p,
	    store_list(p->store, QUERY_REQUESTS_OF_PERSON_IN_STATE, &open, ARG_TEXT(login), ARG_INT(STATE_ASKED)));
	rows_free(&open);
	f->patience = ASKER_WAITS;
	f->capabilities = CAPABILITY_SHELL;
	f->wall_ms = clock_wall_ms();
	f->boot_ms = clock_boot_ms();
	f->high_water_ms = p->high_water_ms;
	f->shelf = p->shelf;
}

void
facts_free(struct facts_held *h)
{
	rows_free(&h->grants);
	rows_free(&h->pending);
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
	    .begins_at = r->from_wall};
	return (event_note(p, &h));
}

static int64_t
refusal_note(struct connection *c, const struct asking *a)
{
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
	    .what = a->command,
	    .why = a->text};

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
asking_enter(struct connection *c, struct asking *a, const struct grant *g)
{
	struct grant entered = *g;
	uint32_t stream;

	walk_begin(c, g, a->kind == ASK_EXEC ? a->command : "shell", &stream);
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

/* Decides one question as things stand now; within a transaction.  The row is changed, not yet written. */
static void
asking_weigh(struct connection *c, struct asking *a)
{
	struct verdict_made v;
	struct facts_held h;

	facts_load(c->policy, &h, c->visitor.person, a->target, a->account);
	h.facts.source = c->source;
	h.facts.fingerprint = c->visitor.fingerprint;
	h.facts.capabilities = a->kind == ASK_EXEC ? CAPABILITY_EXEC : CAPABILITY_SHELL;
	h.facts.patience = a->wait_ok ? ASKER_WAITS : ASKER_LEAVES;
	TEXT_COPY(a->account, h.account);
	v = decide(&h.facts);
	if (v.outcome == OUTCOME_WAIT && v.grant != NULL &&
	    v.grant->begins_at - h.facts.wall_ms > c->policy->set.approval_timeout)
		v.outcome = OUTCOME_REFUSE; /* it begins too late to wait for */
	switch (v.outcome) {
	case OUTCOME_ENTER:
		asking_enter(c, a, v.grant);
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

	if (must(p, asking_get(p->store, &a)) == 0) {
		asking_fill(&a, m);
		policy_begin(p);
		if (c->visitor.number == 0)
			asking_refuse(c, &a, REASON_AUTH_AWAY, "");
		else if (m->kind != ASK_SHELL && m->kind != ASK_EXEC)
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
		must(c->policy, asking_set(c->policy->store, &a));
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
		must(p, asking_set(p->store, a));
	}
	rows_free(&found);
}

void
questions_fail(struct connection *c, uint32_t stream, enum reason reason, const char *text, int64_t event)
{
	struct rows found;

	must(c->policy, store_list(c->policy->store, QUERY_ASKINGS_OF_CONN, &found, ARG_INT((int64_t)c->conn)));
	for (size_t i = 0; i < found.count; i++) {
		struct asking *a = rows_at(&found, asking, i);

		if (a->state != ASKING_ENTERING || a->stream != stream)
			continue;
		a->state = ASKING_DENIED;
		a->reason = (int64_t)reason;
		snprintf(a->text, sizeof(a->text), "%s", text);
		a->event = event;
		must(c->policy, asking_set(c->policy->store, a));
	}
	rows_free(&found);
}

int
questions_lapse(struct policy *p)
{
	struct connection *c;
	struct rows found;
	int lapsed = 0;

	must(p, store_list(p->store, QUERY_ASKINGS_IN_STATE, &found, ARG_INT(ASKING_WAITING)));
	for (size_t i = 0; i < found.count; i++) {
		struct asking *a = rows_at(&found, asking, i);

		if (clock_boot_ms() < a->lapse_boot && clock_wall_ms() < a->lapse_at)
			continue;
		if ((c = connection_find(p, (uint64_t)a->conn)) == NULL)
			a->state = ASKING_LEFT;
		else
			asking_refuse(c, a, REASON_LAPSED, "");
		must(p, asking_set(p->store, a));
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

/* The pinned host key by which the session knows the target: of several the ed25519 one, else the oldest. */
static size_t
host_key_pick(struct policy *p, const char *target, unsigned char *blob, size_t size)
{
	const char *pick = NULL;
	struct rows keys;
	size_t len = 0;

	must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(target)));
	for (size_t i = 0; i < keys.count; i++)
		if (pick == NULL || strcmp(rows_at(&keys, target_key, i)->type, "ssh-ed25519") == 0)
			pick = rows_at(&keys, target_key, i)->blob;
	if (pick != NULL)
		len = key_blob(pick, blob, size);
	rows_free(&keys);
	return (len);
}

static void
tell_yes(struct connection *c, struct question *q, const struct asking *a)
{
	struct policy *p = c->policy;
	struct grant g = {.id = a->grant};
	unsigned char blob[KEY_BLOB_MAX];
	size_t len = host_key_pick(p, a->target, blob, sizeof(blob));

	if (must(p, grant_get(p->store, &g)) == 0)
		abort();
	peer_post(c->session, VERDICT, verdict, .ask = q->ask, .verdict = VERDICT_ALLOW, .reason = REASON_NONE,
	    .request = (uint64_t)a->request, .grant = (uint64_t)a->grant, .stream = (uint32_t)a->stream,
	    .target = bytes_text(a->target), .account = bytes_text(a->account), .host_key = bytes_of(blob, len),
	    .until_wall_ms = g.ends_at);
	q->told_yes = 1;
}

/* Gives 1 when the question has had its last answer. */
static int
question_tell(struct connection *c, struct question *q)
{
	struct asking a = {.conn = (int64_t)c->conn, .ask = q->ask};
	struct walk *w;

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
		if (w == NULL || w->auth != STEP_DONE)
			return (0);
		if (!q->told_yes)
			tell_yes(c, q, &a);
		return (w->stage == WALK_BEGUN);
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
