/*
 * Codes given after the login (step-up): policy wants one for what a session numbered, and is not told which it was, nor
 * does this file know for what.  One conversation at a time; a code that is given is good for all that waited then.
 *
 * Each wrong one costs as at a login: time, a try, and a penalty by name.  As many tries as a login has (MaxAuthTries),
 * over the whole connection; then it is cut.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "login.h"

static void
verdict_post(struct visitor *v, uint32_t ask, enum reason reason)
{
	peer_post(
	    v->house->policy, FRESH_CODE, fresh_code, .conn = v->kept.conn, .ask = ask, .reason = (uint16_t)reason);
}

static int
is_spent(const struct visitor *v)
{
	return (v->kept.fresh_tries >= (uint32_t)v->house->set->max_auth_tries);
}

/* The first that waits begins, when there is somebody to ask and it is known whom PAM asks. */
static void
fresh_begin(struct visitor *v)
{
	struct house *h = v->house;

	if (v->fresh.count == 0 || v->fresh.is_judged || v->talk.is_on || v->link == NULL)
		return;
	if (!v->person.here) {
		vouch_person_ask(v);
		timer_after(v->deadline, LOGIN_POLICY_MS);
		return;
	}
	v->talk.answered_boot_ms = clock_boot_ms();
	if (!v->person.known || v->person.reason != REASON_NONE)
		fresh_on_talked(v, v->person.known ? v->person.reason : REASON_UNKNOWN_PERSON);
	else if (penalty_left(h->penalties, PENALTY_NAME, v->kept.person, clock_boot_ms()) > 0)
		fresh_on_talked(v, REASON_PENALTY);
	else if (h->talks >= HOUSE_TALKS_MAX)
		fresh_on_talked(v, REASON_LIMIT);
	else {
		talk_begin(v, TALK_FRESH, v->fresh.asks[0]);
		timer_after(v->deadline, h->set->pam_timeout);
	}
}

void
fresh_on_wanted(struct visitor *v, uint32_t ask)
{
	struct fresh *f = &v->fresh;

	login_check(v);
	for (size_t i = 0; i < f->count; i++)
		if (f->asks[i] == ask)
			return; /* said again after a relink */
	if (v->kept.state != LOGIN_IN || ask == 0)
		verdict_post(v, ask, REASON_PROTOCOL);
	else if (ask == f->good)
		verdict_post(v, ask, REASON_NONE); /* that answer was lost */
	else if (is_spent(v))
		verdict_post(v, ask, REASON_TOO_MANY_TRIES);
	else if (f->count == VISITOR_FRESH)
		verdict_post(v, ask, REASON_LIMIT);
	else {
		f->asks[f->count++] = ask;
		fresh_begin(v);
	}
}

void
fresh_on_link(struct visitor *v)
{
	fresh_begin(v);
}

void
fresh_on_person(struct visitor *v)
{
	if (v->talk.is_on || v->fresh.count == 0)
		return;
	timer_stop(v->deadline);
	fresh_begin(v);
}

void
fresh_on_talked(struct visitor *v, enum reason reason)
{
	struct house *h = v->house;
	int64_t due_ms = v->talk.answered_boot_ms + h->delay_ms;

	talk_end(v);
	timer_stop(v->deadline);
	if (v->fresh.count == 0)
		return;
	v->fresh.is_judged = 1;
	v->fresh.verdict = reason;
	if (reason == REASON_NONE) {
		v->kept.factors |= FACTOR_FRESH;
		penalty_clear(h->penalties, PENALTY_NAME, v->kept.person);
		visitor_keep(v);
		fresh_on_due(v);
		return;
	}
	if (reason == REASON_WRONG_CODE || reason == REASON_REPLAYED_CODE)
		penalty_add(h->penalties, PENALTY_NAME, v->kept.person, clock_boot_ms());
	v->kept.fresh_tries++;
	visitor_keep(v);
	log_info("connection %llu: no fresh code of %s: %s", (unsigned long long)v->kept.conn, v->kept.person,
	    reason_code(reason));
	timer_set(v->fresh_due, due_ms);
}

/* The last try is over: policy and the session hear so, and the session's link is closed. */
static void
fresh_cut(struct visitor *v)
{
	char line[256];

	for (size_t i = 0; i < v->fresh.count; i++)
		verdict_post(v, v->fresh.asks[i], REASON_TOO_MANY_TRIES);
	snprintf(line, sizeof(line), "lodge: denied [%s] %s; %s", reason_code(REASON_TOO_MANY_TRIES),
	    reason_what(REASON_TOO_MANY_TRIES), reason_todo(REASON_TOO_MANY_TRIES));
	log_warning("connection %llu: %s gave no fresh code in %u tries; it is cut",
	    (unsigned long long)v->kept.conn, v->kept.person, v->kept.fresh_tries);
	peer_post(v->link, LOGIN_RESULT, login_result, .ask = 0, .outcome = LOGIN_DISCONNECT,
	    .methods = bytes_text(""), .person = bytes_text(""), .reason = REASON_TOO_MANY_TRIES,
	    .message = bytes_text(line));
	visitor_unlink(v);
}

void
fresh_on_due(struct visitor *v)
{
	struct fresh *f = &v->fresh;

	if (!f->is_judged || f->count == 0)
		return;
	f->is_judged = 0;
	if (f->verdict != REASON_NONE && is_spent(v)) {
		fresh_cut(v);
		return;
	}
	if (f->verdict == REASON_NONE)
		f->good = f->asks[0];
	for (size_t i = 0; i < f->count && (i == 0 || f->verdict == REASON_NONE); i++)
		verdict_post(v, f->asks[i], f->verdict);
	f->count = f->verdict == REASON_NONE ? 0 : f->count - 1;
	memmove(f->asks, f->asks + 1, f->count * sizeof(f->asks[0]));
	fresh_begin(v);
}

void
fresh_end(struct visitor *v)
{
	uint32_t good = v->fresh.good;

	if (v->talk.is_on && v->talk.what == TALK_FRESH) {
		talk_end(v);
		timer_stop(v->deadline);
	}
	timer_stop(v->fresh_due);
	v->fresh = (struct fresh){.good = good};
}
