/* Codes given anew; see fresh.h. */
#include <stdio.h>
#include <stdlib.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "fresh.h"
#include "outbox.h"
#include "verbs.h"

#define WANTS_MAX 32 /* of one connection; more is nobody's who can type */

/* One thing that waits for a code.  Its number is the session's own, for verbs and inner logins alike. */
struct want {
	struct want *next;
	uint32_t ask;
	int is_verb;
	char target[ROW_NAME], account[ROW_NAME]; /* of an inner login */
	int64_t lapse_boot;                       /* 0: not with auth yet */
};

static struct want *
want_find(struct connection *c, uint32_t ask)
{
	struct want *w;

	for (w = c->wants; w != NULL && w->ask != ask; w = w->next)
		;
	return (w);
}

static size_t
wants_count(const struct connection *c)
{
	size_t n = 0;

	for (const struct want *w = c->wants; w != NULL; w = w->next)
		n++;
	return (n);
}

static void
want_drop(struct want **at)
{
	struct want *gone = *at;

	*at = gone->next;
	free(gone);
}

void
fresh_forget(struct connection *c, uint32_t ask)
{
	struct want **at;

	for (at = &c->wants; *at != NULL && (*at)->ask != ask; at = &(*at)->next)
		;
	if (*at != NULL)
		want_drop(at);
}

void
fresh_free(struct connection *c)
{
	while (c->wants != NULL)
		want_drop(&c->wants);
}

void
fresh_tell(struct connection *c)
{
	struct want *w = c->wants;

	if (w == NULL || w->lapse_boot != 0 || c->policy->auth == NULL)
		return;
	w->lapse_boot = clock_boot_ms() + FRESH_MS;
	peer_post(c->policy->auth, FRESH_CODE_WANTED, fresh_code_wanted, .conn = c->conn, .ask = w->ask);
}

static struct want *
want_make(struct connection *c, uint32_t ask)
{
	struct want *w = calloc(1, sizeof(*w)), **last;

	if (w == NULL)
		log_fatal("out of memory");
	w->ask = ask;
	for (last = &c->wants; *last != NULL; last = &(*last)->next)
		;
	return (*last = w);
}

void
fresh_want(struct verb *v)
{
	if (v->policy->auth == NULL) {
		verb_refuse_noted(v, REASON_AUTH_AWAY, 0, "");
		return;
	}
	v->waits_for_code = 1;
	want_make(v->connection, v->ask)->is_verb = 1;
	policy_advance(v->policy);
}

/* ---- logins ---- */

static int
target_wants_code(struct policy *p, const char *name)
{
	struct target t = {.port = 0};

	TEXT_COPY(t.name, name);
	return (name[0] != '\0' && must(p, target_get(p->store, &t)) == 1 && t.fresh_code != 0);
}

int
fresh_is_wanted(struct connection *c, int64_t factors)
{
	return (code_of(factors) != CODE_OWN && target_wants_code(c->policy, c->intent));
}

static void
intent_answer(struct connection *c, uint32_t ask, enum reason reason)
{
	peer_post(c->session, INTENT_ANSWER, intent_answer, .ask = ask, .reason = (uint16_t)reason);
}

void
on_intent(struct connection *c, const struct msg_intent *m)
{
	char target[ROW_NAME], account[ROW_NAME];
	struct want *w;

	text_clean(target, sizeof(target), m->target);
	text_clean(account, sizeof(account), m->account);
	if (m->ask == 0)
		TEXT_COPY(c->intent, target);
	else if (c->visitor.number == 0)
		intent_answer(c, m->ask, REASON_AUTH_AWAY);
	else if (code_of(c->visitor.factors) == CODE_OWN || !target_wants_code(c->policy, target))
		intent_answer(c, m->ask, REASON_NONE);
	else if (c->policy->auth == NULL)
		intent_answer(c, m->ask, REASON_AUTH_AWAY);
	else if (wants_count(c) >= WANTS_MAX)
		intent_answer(c, m->ask, REASON_LIMIT);
	else if (want_find(c, m->ask) == NULL) {
		w = want_make(c, m->ask);
		TEXT_COPY(w->target, target);
		TEXT_COPY(w->account, account);
		policy_advance(c->policy);
	}
}

/* ---- answers ---- */

static struct verb *
verb_waiting(const struct connection *c, uint32_t ask)
{
	struct verb *v;

	for (v = c->policy->verbs; v != NULL; v = v->next)
		if (v->connection == c && v->ask == ask && v->waits_for_code)
			break;
	return (v);
}

/* Takes the first want out, and lets who waits for it go on, or not. */
static void
want_settle(struct connection *c, enum reason reason)
{
	struct want w = *c->wants;
	struct verb *v = w.is_verb ? verb_waiting(c, w.ask) : NULL;

	want_drop(&c->wants);
	if (!w.is_verb)
		intent_answer(c, w.ask, reason);
	else if (v != NULL && reason == REASON_NONE)
		verb_resume(v);
	else if (v != NULL) {
		v->waits_for_code = 0;
		verb_refuse_noted(v, reason, 0, "");
	}
}

/* For the book: who, for what, and how it went. */
static int64_t
code_note(struct connection *c, const struct want *w, enum reason reason)
{
	const struct verb *v = w->is_verb ? verb_waiting(c, w->ask) : NULL;

	return (event_note(c->policy, &(struct happening){.type = EVENT_FRESH_CODE,
	                                  .reason = reason,
	                                  .who = c->visitor.person,
	                                  .vendor = c->visitor.vendor,
	                                  .source = c->visitor.source,
	                                  .port = c->visitor.port,
	                                  .session = c->visitor.number,
	                                  .target = w->target,
	                                  .account = w->account,
	                                  .what = v == NULL ? "login" : command_verb(v->call.command)}));
}

/* The first want is answered; a good code answers those behind it too. */
static void
wants_answer(struct connection *c, enum reason reason)
{
	struct policy *p = c->policy;

	policy_begin(p);
	(void)code_note(c, c->wants, reason);
	if (reason == REASON_NONE) {
		c->visitor.factors |= FACTOR_FRESH;
		must(p, visitor_set(p->store, &c->visitor));
	}
	policy_commit(p);
	/* A verb that goes on wants no other: its visitor has one now. */
	do {
		want_settle(c, reason == REASON_NONE ? REASON_NONE : REASON_FRESH_CODE);
	} while (reason == REASON_NONE && c->wants != NULL);
	policy_advance(p);
}

void
on_fresh_code(struct policy *p, const struct msg_fresh_code *m)
{
	struct connection *c = connection_find(p, m->conn);

	/* The one with auth is the first; of one that nobody waits for any more the answer counts no more. */
	if (c == NULL || c->wants == NULL || c->wants->ask != m->ask || c->wants->lapse_boot == 0)
		return;
	wants_answer(c, (enum reason)m->reason);
}

void
fresh_auth_anew(struct policy *p)
{
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		if (c->wants != NULL && c->wants->lapse_boot != 0)
			peer_post(
			    p->auth, FRESH_CODE_WANTED, fresh_code_wanted, .conn = c->conn, .ask = c->wants->ask);
}

int64_t
fresh_lapse(struct policy *p)
{
	int64_t now = clock_boot_ms(), next = INT64_MAX;

	for (struct connection *c = p->connections; c != NULL; c = c->next) {
		if (c->wants != NULL && c->wants->lapse_boot != 0 && c->wants->lapse_boot <= now)
			wants_answer(c, REASON_FRESH_CODE);
		if (c->wants != NULL && c->wants->lapse_boot != 0 && c->wants->lapse_boot < next)
			next = c->wants->lapse_boot;
	}
	return (next);
}
