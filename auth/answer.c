/* What a login is told, when, and what that costs: see login.h. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "login.h"

static const char *
methods_left(const struct visitor *v)
{
	return (
	    v->kept.state == LOGIN_KEYED || v->kept.state == LOGIN_TALKING ? "keyboard-interactive" : "publickey");
}

static void
result_post(struct visitor *v, uint32_t ask, enum login_outcome outcome, enum reason reason)
{
	char line[256] = "";

	if (outcome == LOGIN_SUCCESS && (v->kept.factors & FACTOR_INVITED) != 0)
		snprintf(line, sizeof(line), "lodge: you are enrolled as %s; from now on: ssh %s@lodge",
		    v->kept.person, v->kept.person);
	if (reason != REASON_NONE)
		snprintf(line, sizeof(line), "lodge: denied [%s] %s%s%s", reason_code(reason), reason_what(reason),
		    reason_todo(reason)[0] == '\0' ? "" : "; ", reason_todo(reason));
	peer_post(v->link, LOGIN_RESULT, login_result, .ask = ask, .outcome = (uint8_t)outcome,
	    .methods = bytes_text(outcome == LOGIN_FAILURE || outcome == LOGIN_PARTIAL ? methods_left(v) : ""),
	    .person = bytes_text(outcome == LOGIN_SUCCESS ? v->kept.person : ""), .reason = (uint16_t)reason,
	    .message = bytes_text(line));
}

void
answer(struct visitor *v, enum login_outcome outcome, enum reason reason)
{
	struct request *r = &v->request;

	timer_stop(v->reply);
	if (r->kind == REQUEST_STEP)
		result_post(v, r->ask, outcome, reason);
	/* A client that hears no to its last key leaves at once, and would not hear why it is sent away. */
	else if (r->kind == REQUEST_OFFER && outcome == LOGIN_DISCONNECT)
		result_post(v, 0, outcome, reason);
	else if (r->kind == REQUEST_OFFER)
		peer_post(v->link, KEY_ANSWER, key_answer, .ask = r->ask, .acceptable = r->acceptable);
	r->kind = REQUEST_NONE;
}

void
answer_at(struct visitor *v, enum login_outcome outcome, enum reason reason, int64_t boot_ms)
{
	v->request.late = 1;
	v->request.outcome = (uint8_t)outcome;
	v->request.reason = reason;
	if (boot_ms <= clock_boot_ms())
		answer(v, outcome, reason);
	else
		timer_set(v->reply, boot_ms);
}

void
answer_no(struct visitor *v)
{
	answer_at(v, LOGIN_FAILURE, REASON_NONE, v->request.at_boot_ms + LOGIN_NO_LEAST_MS);
}

void
login_on_reply_due(struct visitor *v)
{
	if (v->request.late)
		answer(v, v->request.outcome, v->request.reason);
}

void
answer_attempt(struct visitor *v, const char *method, enum reason reason, const char *fingerprint)
{
	struct attempt a = {
	    .conn = v->kept.conn,
	    .method = method,
	    .reason = reason,
	    .port = v->kept.port,
	    .at_wall_ms = clock_wall_ms(),
	};

	if (v->kept.person[0] != '\0')
		snprintf(a.login, sizeof(a.login), "%s", v->kept.person);
	else if (invite_looks(v->kept.login)) /* what is wrong with it may be one letter beside a good code */
		snprintf(a.login, sizeof(a.login), INVITE_NAME);
	else
		log_escape(a.login, sizeof(a.login), v->kept.login, strlen(v->kept.login));
	snprintf(a.source, sizeof(a.source), "%s", v->kept.source);
	snprintf(a.fingerprint, sizeof(a.fingerprint), "%s", fingerprint);
	house_attempt(v->house, &a);
}

void
answer_refuse(struct visitor *v, enum reason reason, int64_t boot_ms)
{
	talk_end(v);
	talk_stay_end(v);
	invite_end(v);
	timer_stop(v->deadline);
	login_move(v, LOGIN_OVER);
	v->over = reason;
	if (v->request.kind == REQUEST_NONE)
		v->request = (struct request){.kind = REQUEST_STEP, .ask = 0}; /* nobody asked: ask 0 */
	v->request.acceptable = 0;
	answer_at(v, LOGIN_DISCONNECT, reason, boot_ms);
}

int
answer_count(struct visitor *v, const char *method, enum reason reason, const char *fingerprint)
{
	answer_attempt(v, method, reason, fingerprint);
	if (v->kept.state == LOGIN_FRESH || v->kept.state == LOGIN_OPEN)
		penalty_add(v->house->penalties, PENALTY_SOURCE, v->kept.source, clock_boot_ms());
	v->kept.tries++;
	visitor_keep(v);
	return (v->kept.tries >= (uint32_t)v->house->set->max_auth_tries);
}

void
answer_fail_at(struct visitor *v, const char *method, enum reason reason, enum reason shown, int64_t boot_ms)
{
	const char *fingerprint = v->kept.fingerprint[0] != '\0' ? v->kept.fingerprint : v->proof.fingerprint;

	if (answer_count(v, method, reason, fingerprint))
		answer_refuse(v, REASON_TOO_MANY_TRIES, boot_ms);
	else
		answer_at(v, LOGIN_FAILURE, shown, boot_ms);
}

void
answer_fail(struct visitor *v, const char *method, enum reason reason)
{
	answer_fail_at(v, method, reason, REASON_NONE, v->request.at_boot_ms + LOGIN_NO_LEAST_MS);
}
