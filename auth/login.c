/*
 * What moves a login: the table of who may ask what in which state, and the steps between the states of visitor.h.
 *
 * Default is no.  A name that nobody has and a key that is not theirs look the same, take the same time and count the
 * same.  Who somebody is comes from the text they signed; the session's word only chooses which request it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loginname.h"
#include "proof.h"
#include "visitor.h"

#define POLICY_MS 10000	   /* policy answers within this time, or is away */
#define NO_LEAST_MS 20	   /* a no takes at least this long: longer than a look into policy's database */
#define OFFERS_MAX 64	   /* keys that a client may ask about before it proves one */
#define AFTER_OVER_MAX 16  /* requests after a disconnect was ordered, before the link is closed */

static const char *const state_names[LOGIN_STATES] = {"fresh", "open", "keyed", "talking", "vouching", "in", "over"};

static const struct {
	enum login_state from;
	enum login_state to;
} moves[] = {
    {LOGIN_FRESH, LOGIN_OPEN},
    {LOGIN_OPEN, LOGIN_KEYED},
    {LOGIN_OPEN, LOGIN_VOUCHING},
    {LOGIN_KEYED, LOGIN_TALKING},
    {LOGIN_TALKING, LOGIN_KEYED},
    {LOGIN_TALKING, LOGIN_VOUCHING},
    {LOGIN_VOUCHING, LOGIN_IN},
    {LOGIN_FRESH, LOGIN_OVER},
    {LOGIN_OPEN, LOGIN_OVER},
    {LOGIN_KEYED, LOGIN_OVER},
    {LOGIN_TALKING, LOGIN_OVER},
    {LOGIN_VOUCHING, LOGIN_OVER},
};

static void
state_move(struct visitor *v, enum login_state to)
{
	enum login_state from = v->kept.state;

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (moves[i].from == from && moves[i].to == to) {
			log_debug("connection %llu: %s -> %s", (unsigned long long)v->kept.conn, state_names[from],
			    state_names[to]);
			v->kept.state = (uint8_t)to;
			visitor_keep(v);
			return;
		}
	log_fatal("connection %llu: no step from %s to %s", (unsigned long long)v->kept.conn, state_names[from],
	    state_names[to]);
}

/* What the states promise.  Checked at each entry, in every build: a broken promise here would let somebody in. */
static void
state_check(const struct visitor *v)
{
	const struct live_state *k = &v->kept;
	int ok = k->state < LOGIN_STATES && (k->state == LOGIN_TALKING) == v->talk.is_on;

	if (k->state != LOGIN_FRESH && k->state != LOGIN_OVER)
		ok = ok && k->login[0] != '\0';
	if (k->state == LOGIN_KEYED || k->state == LOGIN_TALKING || k->state == LOGIN_VOUCHING || k->state == LOGIN_IN)
		ok = ok && (k->factors & FACTOR_KEY) != 0 && k->fingerprint[0] != '\0' && k->person[0] != '\0';
	if (k->state == LOGIN_VOUCHING || k->state == LOGIN_IN)
		ok = ok && (!v->house->wants_code || (k->factors & (FACTOR_PAM | FACTOR_GRACE)) != 0);
	if (!ok)
		log_fatal("connection %llu: state %u does not hold what it promises", (unsigned long long)k->conn, k->state);
}

/* ---- answers ---- */

static const char *
methods_left(const struct visitor *v)
{
	return (v->kept.state == LOGIN_KEYED || v->kept.state == LOGIN_TALKING ? "keyboard-interactive" : "publickey");
}

static void
result_post(struct visitor *v, uint32_t ask, enum login_outcome outcome, enum reason reason)
{
	char line[256] = "";

	if (reason != REASON_NONE)
		snprintf(line, sizeof(line), "lodge: denied [%s] %s%s%s", reason_code(reason), reason_what(reason),
		    reason_todo(reason)[0] == '\0' ? "" : "; ", reason_todo(reason));
	peer_post(v->link, LOGIN_RESULT, login_result, .ask = ask, .outcome = (uint8_t)outcome,
	    .methods = bytes_text(outcome == LOGIN_FAILURE || outcome == LOGIN_PARTIAL ? methods_left(v) : ""),
	    .person = bytes_text(outcome == LOGIN_SUCCESS ? v->kept.person : ""), .reason = (uint16_t)reason,
	    .message = bytes_text(line));
}

/* Answers what is asked, now. */
static void
answer(struct visitor *v, enum login_outcome outcome, enum reason reason)
{
	struct request *r = &v->request;

	timer_stop(v->reply);
	if (r->kind == REQUEST_STEP)
		result_post(v, r->ask, outcome, reason);
	if (r->kind == REQUEST_OFFER) {
		peer_post(v->link, KEY_ANSWER, key_answer, .ask = r->ask, .acceptable = r->acceptable);
		/* An answer to an offer has no room for an order to disconnect. */
		if (outcome == LOGIN_DISCONNECT)
			result_post(v, 0, outcome, reason);
	}
	r->kind = REQUEST_NONE;
}

static void
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

static void
answer_no(struct visitor *v)
{
	answer_at(v, LOGIN_FAILURE, REASON_NONE, v->request.at_boot_ms + NO_LEAST_MS);
}

void
login_on_reply_due(struct visitor *v)
{
	if (v->request.late)
		answer(v, v->request.outcome, v->request.reason);
}

static void
attempt_tell(struct visitor *v, const char *method, enum reason reason, const char *fingerprint)
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
	else
		log_escape(a.login, sizeof(a.login), v->kept.login, strlen(v->kept.login));
	snprintf(a.source, sizeof(a.source), "%s", v->kept.source);
	snprintf(a.fingerprint, sizeof(a.fingerprint), "%s", fingerprint);
	house_attempt(v->house, &a);
}

/* Refused for good: whatever is asked, now or later, is answered with a disconnect. */
static void
refuse(struct visitor *v, enum reason reason, int64_t boot_ms)
{
	talk_end(v);
	timer_stop(v->deadline);
	state_move(v, LOGIN_OVER);
	if (v->request.kind == REQUEST_NONE)
		v->request = (struct request){.kind = REQUEST_STEP, .ask = 0};
	v->request.acceptable = 0;
	answer_at(v, LOGIN_DISCONNECT, reason, boot_ms);
}

/* Counts a failed try; 1 when it was the last one allowed. */
static int
failure_count(struct visitor *v, const char *method, enum reason reason, const char *fingerprint)
{
	attempt_tell(v, method, reason, fingerprint);
	if (v->kept.state == LOGIN_FRESH || v->kept.state == LOGIN_OPEN)
		penalty_add(v->house->penalties, PENALTY_SOURCE, v->kept.source, clock_boot_ms());
	v->kept.tries++;
	visitor_keep(v);
	return (v->kept.tries >= (uint32_t)v->house->set->max_auth_tries);
}

/* A failed try, answered at boot_ms; `shown` is told to the engineer, NONE where it would tell who exists. */
static void
fail_at(struct visitor *v, const char *method, enum reason reason, enum reason shown, int64_t boot_ms)
{
	const char *fingerprint = v->kept.fingerprint[0] != '\0' ? v->kept.fingerprint : v->proof.fingerprint;

	if (failure_count(v, method, reason, fingerprint))
		refuse(v, REASON_TOO_MANY_TRIES, boot_ms);
	else
		answer_at(v, LOGIN_FAILURE, shown, boot_ms);
}

static void
fail(struct visitor *v, const char *method, enum reason reason)
{
	fail_at(v, method, reason, REASON_NONE, v->request.at_boot_ms + NO_LEAST_MS);
}

/* ---- who that is ---- */

static void
person_ask(struct visitor *v)
{
	if (v->kept.person[0] == '\0') {
		v->person = (struct person){.here = 1}; /* no name that anybody can have */
		return;
	}
	peer_post(v->house->policy, PERSON_WANTED, person_wanted, .ask = v->kept.conn,
	    .login = bytes_text(v->kept.person), .source = bytes_text(v->kept.source));
}

/* Fixes the name at the first request.  -1 when the request must not be looked at: it has been answered. */
static int
name_take(struct visitor *v, struct bytes login)
{
	struct loginname name;

	state_check(v);
	if (v->kept.state == LOGIN_OVER)
		return (0);
	if (v->kept.state != LOGIN_FRESH) {
		if (bytes_are(login, v->kept.login))
			return (0);
		if (v->kept.state == LOGIN_IN)
			visitor_cut(v, "changed its name after the login");
		else {
			attempt_tell(v, "", REASON_PROTOCOL, "");
			refuse(v, REASON_PROTOCOL, clock_boot_ms());
		}
		return (-1);
	}
	if (login.len == 0 || bytes_copy(v->kept.login, sizeof(v->kept.login), login) == -1) {
		refuse(v, REASON_PROTOCOL, clock_boot_ms());
		return (-1);
	}
	if (loginname_split(login, &name) == 0)
		snprintf(v->kept.person, sizeof(v->kept.person), "%s", name.person);
	if (penalty_left(v->house->penalties, PENALTY_SOURCE, v->kept.source, clock_boot_ms()) > 0) {
		attempt_tell(v, "", REASON_PENALTY, "");
		refuse(v, REASON_PENALTY, clock_boot_ms());
		return (-1);
	}
	state_move(v, LOGIN_OPEN);
	person_ask(v);
	return (0);
}

static int
person_has(const struct person *p, struct bytes key)
{
	struct reader r = reader_of(bytes_of(p->keys, p->keys_len));

	while (p->known && r.left > 0 && !r.failed)
		if (bytes_equal(reader_get_bytes(&r), key) && !r.failed)
			return (1);
	return (0);
}

/* ---- the steps ---- */

static void
vouch(struct visitor *v)
{
	struct live_state *k = &v->kept;

	if (v->person.reason != REASON_NONE) {
		attempt_tell(v, "", v->person.reason, k->fingerprint);
		refuse(v, v->person.reason, clock_boot_ms());
		return;
	}
	k->role = v->person.role;
	k->at_wall_ms = clock_wall_ms();
	state_move(v, LOGIN_VOUCHING);
	login_restate(v);
}

static void
try_key(struct visitor *v)
{
	struct remembered proof = v->proof;
	struct live_state *k = &v->kept;
	enum reason reason = REASON_NONE;

	v->proof = (struct remembered){0};
	if (proof.failed) {
		answer_no(v); /* counted when it came */
		return;
	}
	if (!proof.is_there)
		reason = REASON_BAD_SIGNATURE;
	else if (strcmp(proof.login, k->login) != 0)
		reason = REASON_PROTOCOL;
	else if (!v->person.known)
		reason = REASON_UNKNOWN_PERSON;
	else if (!person_has(&v->person, bytes_of(proof.key, proof.key_len)))
		reason = REASON_UNKNOWN_KEY;
	if (reason != REASON_NONE) {
		memcpy(v->proof.fingerprint, proof.fingerprint, sizeof(proof.fingerprint));
		fail(v, "publickey", reason);
		return;
	}
	k->factors = FACTOR_KEY | (proof.is_token ? FACTOR_TOUCH : 0u);
	k->host_bound = (uint8_t)proof.host_bound;
	memcpy(k->fingerprint, proof.fingerprint, sizeof(k->fingerprint));
	memcpy(k->key_type, proof.key_type, sizeof(k->key_type));
	attempt_tell(v, "publickey", REASON_NONE, k->fingerprint);
	if (v->house->wants_code &&
	    live_grace(v->house->live, k->person, k->fingerprint, k->source) > clock_boot_ms())
		k->factors |= FACTOR_GRACE;
	if (v->house->wants_code && (k->factors & FACTOR_GRACE) == 0) {
		state_move(v, LOGIN_KEYED);
		answer(v, LOGIN_PARTIAL, REASON_NONE);
	} else
		vouch(v);
}

static void
try_keyboard(struct visitor *v)
{
	if (penalty_left(v->house->penalties, PENALTY_NAME, v->kept.person, clock_boot_ms()) > 0) {
		fail_at(v, "keyboard-interactive", REASON_PENALTY, REASON_PENALTY, clock_boot_ms() + v->house->delay_ms);
		return;
	}
	if (v->house->talks >= HOUSE_TALKS_MAX) {
		fail_at(v, "keyboard-interactive", REASON_LIMIT, REASON_LIMIT, clock_boot_ms() + v->house->delay_ms);
		return;
	}
	talk_begin(v);
	state_move(v, LOGIN_TALKING);
	timer_after(v->deadline, v->house->set->pam_timeout);
}

static void
judge_offer(struct visitor *v)
{
	struct request *r = &v->request;
	enum key_fault fault;
	struct key *k = key_parse(bytes_of(r->key, r->key_len), &fault);

	/* The same work for everybody, known or not. */
	r->acceptable = k != NULL && key_may_use(k, bytes_text(r->algorithm));
	r->acceptable = (uint8_t)(person_has(&v->person, bytes_of(r->key, r->key_len)) && r->acceptable);
	key_free(k);
	if (r->acceptable)
		answer(v, LOGIN_FAILURE, REASON_NONE);
	else
		answer_no(v);
}

/* `none` asks what there is; another method than ours gets the same answer.  Not a try, but not without end. */
static void
say_methods(struct visitor *v)
{
	if (++v->offers > OFFERS_MAX)
		refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
	else
		answer(v, LOGIN_FAILURE, REASON_NONE);
}

/* A method that is not its turn. */
static void
say_no(struct visitor *v)
{
	fail(v, v->request.method == LOGIN_KEYBOARD ? "keyboard-interactive" : "publickey", REASON_PROTOCOL);
}

static void
say_not_now(struct visitor *v)
{
	v->request.acceptable = 0;
	answer_no(v);
}

/* The identity is on its way to policy: its answer answers this. */
static void
say_later(struct visitor *v)
{
	(void)v;
}

/* Asked again after auth was restarted: the answer is still yes. */
static void
say_in(struct visitor *v)
{
	answer(v, LOGIN_SUCCESS, REASON_NONE);
}

static void
say_over(struct visitor *v)
{
	v->request.acceptable = 0;
	answer(v, LOGIN_DISCONNECT, REASON_PROTOCOL);
	if (++v->after_over > AFTER_OVER_MAX)
		visitor_cut(v, "goes on after the end of its login");
}

/* RFC 4252 §5.1: a new request gives the conversation up.  That was a try. */
static void
give_up_talk(struct visitor *v)
{
	talk_end(v);
	timer_stop(v->deadline);
	state_move(v, LOGIN_KEYED);
	if (failure_count(v, "keyboard-interactive", REASON_PROTOCOL, v->kept.fingerprint))
		refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
	else if (v->request.kind == REQUEST_STEP && v->request.method == LOGIN_KEYBOARD)
		try_keyboard(v);
	else
		say_not_now(v);
}

/* Who may ask what, in which state. */
enum door { DOOR_METHODS, DOOR_KEY, DOOR_KEYBOARD, DOOR_OFFER, DOORS };
typedef void door_fn(struct visitor *v);
static door_fn *const doors[LOGIN_STATES][DOORS] = {
    /* methods, key, keyboard, offer */
    [LOGIN_FRESH] = {say_not_now, say_not_now, say_not_now, say_not_now},
    [LOGIN_OPEN] = {say_methods, try_key, say_no, judge_offer},
    [LOGIN_KEYED] = {say_methods, say_no, try_keyboard, say_not_now},
    [LOGIN_TALKING] = {give_up_talk, give_up_talk, give_up_talk, give_up_talk},
    [LOGIN_VOUCHING] = {say_later, say_later, say_later, say_not_now},
    [LOGIN_IN] = {say_in, say_in, say_in, say_not_now},
    [LOGIN_OVER] = {say_over, say_over, say_over, say_over},
};

static void
request_take(struct visitor *v)
{
	struct request *r = &v->request;
	enum door door = DOOR_METHODS;

	if (r->kind == REQUEST_OFFER)
		door = DOOR_OFFER;
	else if (r->method == LOGIN_PUBLICKEY)
		door = DOOR_KEY;
	else if (r->method == LOGIN_KEYBOARD)
		door = DOOR_KEYBOARD;
	/* Who that is decides what follows, and policy has not said yet. */
	if (door != DOOR_METHODS && (v->kept.state == LOGIN_OPEN || v->kept.state == LOGIN_KEYED) && !v->person.here) {
		timer_after(v->deadline, POLICY_MS);
		return;
	}
	doors[v->kept.state][door](v);
	state_check(v);
}

/* ---- what comes in ---- */

static void
request_new(struct visitor *v, enum request_kind kind, uint32_t ask)
{
	timer_stop(v->reply);
	v->request = (struct request){.kind = kind, .ask = ask, .at_boot_ms = clock_boot_ms()};
}

void
login_on_offer(struct visitor *v, const struct msg_key_offer *m)
{
	struct request *r = &v->request;

	request_new(v, REQUEST_OFFER, m->ask);
	if (name_take(v, m->login) == -1)
		return;
	if (v->kept.state != LOGIN_OVER && ++v->offers > OFFERS_MAX) {
		attempt_tell(v, "publickey", REASON_TOO_MANY_TRIES, "");
		if (v->kept.state == LOGIN_IN)
			visitor_cut(v, "offers keys without end");
		else
			refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
		return;
	}
	if (bytes_copy(r->algorithm, sizeof(r->algorithm), m->algorithm) == 0 && m->key.len <= sizeof(r->key)) {
		memcpy(r->key, m->key.at, m->key.len);
		r->key_len = m->key.len;
	}
	request_take(v);
}

void
login_on_step(struct visitor *v, const struct msg_login_step *m)
{
	request_new(v, REQUEST_STEP, m->ask);
	v->request.method = m->method;
	if (name_take(v, m->login) == -1)
		return;
	request_take(v);
}

static enum reason
proof_judge(struct visitor *v, const struct msg_proof *m, struct remembered *to)
{
	struct live_identifier *id = &v->kept.legs[0];
	struct key_token token;
	enum key_fault fault;
	struct proof proof;
	struct key *k;

	key_fingerprint(m->key, to->fingerprint);
	switch (proof_parse(m->signed_data, bytes_of(id->at, id->len), signer_public(v->house->host_key), &proof)) {
	case PROOF_GOOD:
		break;
	case PROOF_MALFORMED:
		return (REASON_PROTOCOL);
	default:
		return (REASON_BAD_SIGNATURE);
	}
	if (!bytes_equal(proof.key, m->key))
		return (REASON_BAD_SIGNATURE);
	if ((k = key_parse(proof.key, &fault)) == NULL)
		return (fault == KEY_WEAK ? REASON_WEAK_KEY : REASON_PROTOCOL);
	fault = key_verify(k, proof.algorithm, m->signature, m->signed_data, &token);
	snprintf(to->key_type, sizeof(to->key_type), "%s", key_kind(k));
	key_free(k);
	if (fault != KEY_GOOD)
		return (fault == KEY_WEAK ? REASON_WEAK_KEY
					  : fault == KEY_NO_TOUCH ? REASON_NO_TOUCH : REASON_BAD_SIGNATURE);
	memcpy(to->login, proof.user, sizeof(to->login));
	memcpy(to->key, proof.key.at, proof.key.len);
	to->key_len = proof.key.len;
	to->host_bound = proof.host_bound;
	to->is_token = token.is_token;
	to->is_there = 1;
	return (REASON_NONE);
}

void
login_on_proof(struct visitor *v, const struct msg_proof *m)
{
	struct remembered to = {0};
	enum reason reason;

	state_check(v);
	/* Only the outer leg logs in, and only once. */
	if (m->leg != 0 || v->kept.state == LOGIN_VOUCHING || v->kept.state == LOGIN_IN || v->kept.state == LOGIN_OVER) {
		peer_post(v->link, PROOF_RESULT, proof_result, .ask = m->ask, .good = 0);
		return;
	}
	reason = proof_judge(v, m, &to);
	to.failed = reason != REASON_NONE;
	v->proof = to;
	peer_post(v->link, PROOF_RESULT, proof_result, .ask = m->ask, .good = reason == REASON_NONE);
	if (to.failed && failure_count(v, "publickey", reason, to.fingerprint))
		refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
}

void
login_on_unreadable(struct visitor *v, const struct msg_login_unreadable *m)
{
	enum reason reason = m->reason == REASON_NONE ? REASON_PROTOCOL : (enum reason)m->reason;

	state_check(v);
	if (v->kept.state == LOGIN_OVER) {
		if (++v->after_over > AFTER_OVER_MAX)
			visitor_cut(v, "goes on after the end of its login");
		return;
	}
	if (v->kept.state == LOGIN_VOUCHING || v->kept.state == LOGIN_IN)
		return;
	request_new(v, REQUEST_NONE, 0);
	if (name_take(v, m->login) == -1)
		return;
	if (v->proof.failed) {
		v->proof = (struct remembered){0}; /* this is how a bad proof ends; counted when it came */
		return;
	}
	if (failure_count(v, "publickey", reason, ""))
		refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
}

void
login_on_person(struct visitor *v, const struct msg_person *m)
{
	struct reader r = reader_of(m->keys);
	struct person *p = &v->person;

	state_check(v);
	while (r.left > 0 && !r.failed)
		(void)reader_get_bytes(&r);
	if (r.failed || m->role > ROLE_OPERATOR)
		log_fatal("policy's answer about a person does not read");
	free(p->keys);
	*p = (struct person){.here = 1, .known = m->known != 0, .role = m->role, .reason = m->reason};
	if (bytes_copy(p->pam_user, sizeof(p->pam_user), m->pam_user) == -1)
		log_fatal("policy's answer about a person has a PAM user that is too long");
	if (p->pam_user[0] == '\0')
		memcpy(p->pam_user, v->kept.person, sizeof(v->kept.person));
	if (m->keys.len > 0 && (p->keys = malloc(m->keys.len)) != NULL) {
		memcpy(p->keys, m->keys.at, m->keys.len);
		p->keys_len = m->keys.len;
	}
	if (v->request.kind == REQUEST_NONE || v->request.late)
		return;
	if (v->kept.state == LOGIN_OPEN || v->kept.state == LOGIN_KEYED) {
		timer_stop(v->deadline);
		request_take(v);
	}
}

void
login_on_held(struct visitor *v, enum reason reason)
{
	struct house *h = v->house;
	struct live_state *k = &v->kept;

	state_check(v);
	if (k->state != LOGIN_VOUCHING)
		return; /* an identity said again */
	timer_stop(v->deadline);
	if (reason != REASON_NONE) {
		refuse(v, reason, clock_boot_ms());
		return;
	}
	state_move(v, LOGIN_IN);
	if ((k->factors & FACTOR_PAM) != 0 && h->set->mfa_grace > 0)
		live_grace_give(h->live, k->person, k->fingerprint, k->source, clock_boot_ms() + h->set->mfa_grace);
	log_info("connection %llu: %s is in, by %s %s%s", (unsigned long long)k->conn, k->person, k->key_type,
	    k->fingerprint, (k->factors & FACTOR_PAM) != 0 ? " and a code" : "");
	peer_post(h->gateway, LOGGED_IN, logged_in, .conn = k->conn);
	answer(v, LOGIN_SUCCESS, REASON_NONE);
}

void
login_on_talked(struct visitor *v, enum reason reason)
{
	struct house *h = v->house;
	int64_t due_ms = v->talk.answered_boot_ms + h->delay_ms;

	state_check(v);
	talk_end(v);
	timer_stop(v->deadline);
	if (reason == REASON_NONE) {
		v->kept.factors |= FACTOR_PAM;
		attempt_tell(v, "keyboard-interactive", REASON_NONE, v->kept.fingerprint);
		penalty_clear(h->penalties, PENALTY_NAME, v->kept.person);
		vouch(v);
		return;
	}
	if (reason == REASON_WRONG_CODE || reason == REASON_REPLAYED_CODE)
		penalty_add(h->penalties, PENALTY_NAME, v->kept.person, clock_boot_ms());
	state_move(v, LOGIN_KEYED);
	fail_at(v, "keyboard-interactive", reason, reason, due_ms);
}

void
login_on_unlinked(struct visitor *v)
{
	talk_end(v);
	timer_stop(v->reply);
	v->request = (struct request){0};
	v->proof = (struct remembered){0};
	if (v->kept.state == LOGIN_TALKING) {
		timer_stop(v->deadline);
		state_move(v, LOGIN_KEYED);
	}
}

void
login_on_deadline(struct visitor *v)
{
	switch (v->kept.state) {
	case LOGIN_TALKING:
		login_on_talked(v, REASON_PAM_TROUBLE);
		break;
	case LOGIN_OPEN:
	case LOGIN_KEYED:
	case LOGIN_VOUCHING:
		attempt_tell(v, "", REASON_POLICY_AWAY, v->kept.fingerprint);
		refuse(v, REASON_POLICY_AWAY, clock_boot_ms());
		break;
	default:
		break;
	}
}

void
login_restate(struct visitor *v)
{
	const struct live_state *k = &v->kept;

	if ((k->state == LOGIN_OPEN || k->state == LOGIN_KEYED) && !v->person.here)
		person_ask(v);
	if (k->state != LOGIN_VOUCHING && k->state != LOGIN_IN)
		return;
	if (k->state == LOGIN_VOUCHING)
		timer_after(v->deadline, POLICY_MS);
	peer_post(v->house->policy, IDENTITY, identity, .conn = k->conn, .login = bytes_text(k->person),
	    .role = k->role, .fingerprint = bytes_text(k->fingerprint), .key_type = bytes_text(k->key_type),
	    .factors = k->factors, .host_bound = k->host_bound, .source = bytes_text(k->source), .port = k->port,
	    .at_wall_ms = k->at_wall_ms, .restated = k->state == LOGIN_IN);
}
