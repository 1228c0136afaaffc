/*
 * What a login asks, and who may ask what in which state.
 *
 * Default is no.  A name that nobody has and a key that is not theirs look the same, take the same time and count the
 * same.  Who somebody is comes from the text they signed; the session's word only chooses which request it is.
 */
#include "login.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loginname.h"
#include "proof.h"

#define OFFERS_MAX 64     /* keys that a client may ask about before it proves one */
#define AFTER_OVER_MAX 16 /* requests after a disconnect was ordered, before the link is closed */

/* ---- the name ---- */

/* Fixes the name at the first request.  -1 when the request must not be looked at: it has been answered. */
static int
name_take(struct visitor *v, struct bytes login)
{
	struct loginname name;

	login_check(v);
	if (v->kept.state == LOGIN_OVER)
		return (0);
	if (v->kept.state != LOGIN_FRESH) {
		if (bytes_are(login, v->kept.login))
			return (0);
		if (v->kept.state == LOGIN_IN)
			visitor_cut(v, "changed its name after the login");
		else {
			answer_attempt(v, "", REASON_PROTOCOL, "");
			answer_refuse(v, REASON_PROTOCOL, clock_boot_ms());
		}
		return (-1);
	}
	if (login.len == 0 || bytes_copy(v->kept.login, sizeof(v->kept.login), login) == -1) {
		answer_refuse(v, REASON_PROTOCOL, clock_boot_ms());
		return (-1);
	}
	if (loginname_split(login, &name) == 0) {
		snprintf(v->kept.person, sizeof(v->kept.person), "%s", name.person);
		v->kept.invited = (uint8_t)invite_name(&name);
	}
	if (penalty_left(v->house->penalties, PENALTY_SOURCE, v->kept.source, clock_boot_ms()) > 0) {
		answer_attempt(v, "", REASON_PENALTY, "");
		answer_refuse(v, REASON_PENALTY, clock_boot_ms());
		return (-1);
	}
	login_move(v, LOGIN_OPEN);
	vouch_person_ask(v);
	return (0);
}

/* ---- the steps ---- */

/* 1 when that no says that the key is one of theirs, which its proof has shown. */
static int
key_is_theirs(enum reason reason)
{
	return (reason == REASON_KEY_EXPIRED || reason == REASON_KEY_SOURCE || reason == REASON_NO_VERIFICATION ||
	        reason == REASON_KEY_COUNTER || reason == REASON_NOT_HOST_BOUND);
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
	else if (strcmp(proof.login, k->login) != 0) {
		/* Both stand in the one request that the client sent: only a session can tell them apart. */
		visitor_suspect(v, "presented a proof made for another name");
		reason = REASON_PROTOCOL;
	} else
		reason = admit_key(v, &proof);
	if (reason != REASON_NONE) {
		memcpy(v->proof.fingerprint, proof.fingerprint, sizeof(proof.fingerprint));
		/* Whoever has proved a key of theirs may hear why it does not count, and nobody else. */
		answer_fail_at(v, "publickey", reason, key_is_theirs(reason) ? reason : REASON_NONE,
		    v->request.at_boot_ms + LOGIN_NO_LEAST_MS);
		return;
	}
	k->factors =
	    FACTOR_KEY | (proof.token.is_token ? FACTOR_TOUCH : 0u) | (proof.token.verified ? FACTOR_VERIFIED : 0u);
	live_identifier_use(v->house->live, k->legs[0].at, k->legs[0].len);
	k->role = v->person.role;
	k->wants_code = v->house->roles.rules[k->role].wants_code;
	k->host_bound = (uint8_t)proof.host_bound;
	memcpy(k->fingerprint, proof.fingerprint, sizeof(k->fingerprint));
	memcpy(k->key_type, proof.key_type, sizeof(k->key_type));
	if (k->invited)
		invite_take_key(v, bytes_of(proof.key, proof.key_len), proof.token.counter);
	else
		admit_key_used(v, proof.token.counter);
	answer_attempt(v, "publickey", REASON_NONE, k->fingerprint);
	if (k->wants_code && !k->invited &&
	    live_grace(v->house->live, k->person, k->fingerprint, k->source) > clock_boot_ms())
		k->factors |= FACTOR_GRACE;
	if (k->wants_code && (k->factors & FACTOR_GRACE) == 0) {
		login_move(v, LOGIN_KEYED);
		answer(v, LOGIN_PARTIAL, REASON_NONE);
	} else if (k->invited)
		invite_use(v);
	else
		vouch_examined(v);
}

static void
try_keyboard(struct visitor *v)
{
	if (penalty_left(v->house->penalties, PENALTY_NAME, v->kept.person, clock_boot_ms()) > 0) {
		answer_fail_at(v, "keyboard-interactive", REASON_PENALTY, REASON_PENALTY,
		    clock_boot_ms() + v->house->delay_ms);
		return;
	}
	if (v->house->talks >= HOUSE_TALKS_MAX) {
		answer_fail_at(
		    v, "keyboard-interactive", REASON_LIMIT, REASON_LIMIT, clock_boot_ms() + v->house->delay_ms);
		return;
	}
	if (invite_is(v)) {
		invite_begin(v);
		return;
	}
	talk_begin(v, TALK_LOGIN, v->request.ask);
	login_move(v, LOGIN_TALKING);
	timer_after(v->deadline, v->house->set->pam_timeout);
}

static void
judge_offer(struct visitor *v)
{
	struct request *r = &v->request;
	enum reason reason = admit_offer(v);

	r->acceptable = reason == REASON_NONE;
	if (r->acceptable) {
		answer(v, LOGIN_FAILURE, REASON_NONE);
		return;
	}
	v->refused_for = reason;
	key_fingerprint(bytes_of(r->key, r->key_len), v->refused);
	answer_no(v);
}

/* `none` asks what there is: not a try, but not without end. */
static void
say_methods(struct visitor *v)
{
	if (++v->offers > OFFERS_MAX)
		answer_refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
	else
		answer(v, LOGIN_FAILURE, REASON_NONE);
}

/* A method that Lodge does not have, or whose turn it is not. */
static void
say_no(struct visitor *v)
{
	static const char *const names[] = {
	    [LOGIN_PUBLICKEY] = "publickey", [LOGIN_KEYBOARD] = "keyboard-interactive", [LOGIN_OTHER] = "other"};
	enum login_method method = v->request.method;

	answer_fail(v, method == LOGIN_PUBLICKEY || method == LOGIN_KEYBOARD ? names[method] : names[LOGIN_OTHER],
	    REASON_PROTOCOL);
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
	answer(v, LOGIN_DISCONNECT, v->over == REASON_NONE ? REASON_PROTOCOL : v->over);
	if (++v->after_over > AFTER_OVER_MAX)
		visitor_cut(v, "goes on after the end of its login");
}

static void
talk_leave(struct visitor *v)
{
	talk_end(v);
	timer_stop(v->deadline);
	login_move(v, LOGIN_KEYED);
}

/* RFC 4252 §5.1: a new request gives the conversation up.  That was a try. */
static void
give_up_talk(struct visitor *v)
{
	talk_leave(v);
	if (answer_count(v, "keyboard-interactive", REASON_PROTOCOL, v->kept.fingerprint))
		answer_refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
	else if (v->request.kind == REQUEST_STEP && v->request.method == LOGIN_KEYBOARD)
		try_keyboard(v);
	else
		say_not_now(v);
}

/* Who may ask what, in which state. */
enum door { DOOR_METHODS, DOOR_KEY, DOOR_KEYBOARD, DOOR_OTHER, DOOR_OFFER, DOORS };
typedef void door_fn(struct visitor *v);
static door_fn *const doors[LOGIN_STATES][DOORS] = {
    /* methods, key, keyboard, other, offer */
    [LOGIN_FRESH] = {say_not_now, say_not_now, say_not_now, say_not_now, say_not_now},
    [LOGIN_OPEN] = {say_methods, try_key, say_no, say_no, judge_offer},
    [LOGIN_KEYED] = {say_methods, say_no, try_keyboard, say_no, say_not_now},
    [LOGIN_TALKING] = {give_up_talk, give_up_talk, give_up_talk, give_up_talk, give_up_talk},
    [LOGIN_ENROLLING] = {say_later, say_later, say_later, say_later, say_not_now},
    [LOGIN_CHECKING] = {say_later, say_later, say_later, say_later, say_not_now},
    [LOGIN_VOUCHING] = {say_later, say_later, say_later, say_later, say_not_now},
    [LOGIN_IN] = {say_in, say_in, say_in, say_in, say_not_now},
    [LOGIN_OVER] = {say_over, say_over, say_over, say_over, say_over},
};

void
login_request_take(struct visitor *v)
{
	struct request *r = &v->request;
	enum door door = DOOR_METHODS;

	if (r->kind == REQUEST_OFFER)
		door = DOOR_OFFER;
	else if (r->method == LOGIN_PUBLICKEY)
		door = DOOR_KEY;
	else if (r->method == LOGIN_KEYBOARD)
		door = DOOR_KEYBOARD;
	else if (r->method != LOGIN_NONE)
		door = DOOR_OTHER;
	/* Who that is decides what follows, and policy has not said yet. */
	if (door != DOOR_METHODS && door != DOOR_OTHER &&
	    (v->kept.state == LOGIN_OPEN || v->kept.state == LOGIN_KEYED) && !v->person.here) {
		timer_after(v->deadline, LOGIN_POLICY_MS);
		return;
	}
	doors[v->kept.state][door](v);
	login_check(v);
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
	v->proof.failed = 0; /* that try was answered */
	if (name_take(v, m->login) == -1)
		return;
	if (v->kept.state != LOGIN_OVER && ++v->offers > OFFERS_MAX) {
		answer_attempt(v, "publickey", REASON_TOO_MANY_TRIES, "");
		if (v->kept.state == LOGIN_IN)
			visitor_cut(v, "offers keys without end");
		else
			answer_refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
		return;
	}
	if (bytes_copy(r->algorithm, sizeof(r->algorithm), m->algorithm) == 0 && m->key.len <= sizeof(r->key)) {
		memcpy(r->key, m->key.at, m->key.len);
		r->key_len = m->key.len;
	}
	login_request_take(v);
}

void
login_on_step(struct visitor *v, const struct msg_login_step *m)
{
	request_new(v, REQUEST_STEP, m->ask);
	v->request.method = m->method;
	if (name_take(v, m->login) == -1)
		return;
	login_request_take(v);
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
	case PROOF_WRONG_SESSION:
		/* The client signs this text, but its identifier is the session's own word. */
		visitor_suspect(v, "presented a proof made for another connection");
		return (REASON_BAD_SIGNATURE);
	default:
		return (REASON_BAD_SIGNATURE);
	}
	if (!bytes_equal(proof.key, m->key)) {
		visitor_suspect(v, "presented a proof by another key than it says");
		return (REASON_BAD_SIGNATURE);
	}
	if ((k = key_parse(proof.key, &fault)) == NULL)
		return (fault == KEY_WEAK ? REASON_WEAK_KEY : REASON_PROTOCOL);
	fault = key_verify(k, proof.algorithm, m->signature, m->signed_data, &token);
	snprintf(to->key_type, sizeof(to->key_type), "%s", key_kind(k));
	key_free(k);
	if (fault != KEY_GOOD)
		return (fault == KEY_WEAK       ? REASON_WEAK_KEY
		        : fault == KEY_NO_TOUCH ? REASON_NO_TOUCH
		                                : REASON_BAD_SIGNATURE);
	memcpy(to->login, proof.user, sizeof(to->login));
	memcpy(to->key, proof.key.at, proof.key.len);
	to->key_len = proof.key.len;
	to->host_bound = proof.host_bound;
	to->token = token;
	to->is_there = 1;
	return (REASON_NONE);
}

void
login_on_proof(struct visitor *v, const struct msg_proof *m)
{
	struct remembered to = {0};
	enum reason reason;

	login_check(v);
	if (m->leg != 0)
		visitor_suspect(v, "presented a proof for a leg that logs nobody in");
	/* Only the outer leg logs in, and only once.  (After a restart an honest session says its last proof again.) */
	if (m->leg != 0 || v->kept.state >= LOGIN_ENROLLING) {
		peer_post(v->link, PROOF_RESULT, proof_result, .ask = m->ask, .good = 0);
		return;
	}
	reason = proof_judge(v, m, &to);
	to.failed = reason != REASON_NONE;
	v->proof = to;
	peer_post(v->link, PROOF_RESULT, proof_result, .ask = m->ask, .good = reason == REASON_NONE);
	if (to.failed && answer_count(v, "publickey", reason, to.fingerprint))
		answer_refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
}

void
login_on_unreadable(struct visitor *v, const struct msg_login_unreadable *m)
{
	enum reason reason = m->reason == REASON_NONE ? REASON_PROTOCOL : (enum reason)m->reason;

	login_check(v);
	if (v->kept.state == LOGIN_OVER) {
		if (++v->after_over > AFTER_OVER_MAX)
			visitor_cut(v, "goes on after the end of its login");
		return;
	}
	if (v->kept.state >= LOGIN_ENROLLING)
		return;
	if (v->kept.state == LOGIN_TALKING)
		talk_leave(v); /* session has answered for itself, and asks for no code any more */
	request_new(v, REQUEST_NONE, 0);
	/* An empty name: nothing that could be read said one yet.  An invitation's: the session leaves its code out. */
	if (m->login.len > 0 && !bytes_are(m->login, INVITE_NAME) && name_take(v, m->login) == -1)
		return;
	if (v->proof.failed) {
		v->proof = (struct remembered){0}; /* this is how a bad proof ends; counted when it came */
		return;
	}
	if (answer_count(v, "publickey", reason, ""))
		answer_refuse(v, REASON_TOO_MANY_TRIES, clock_boot_ms());
}

void
login_on_talked(struct visitor *v, enum reason reason)
{
	struct house *h = v->house;
	int64_t due_ms = v->talk.answered_boot_ms + h->delay_ms;
	enum talk_for what = v->talk.what;

	login_check(v);
	talk_end(v);
	timer_stop(v->deadline);
	if (reason == REASON_NONE) {
		v->kept.factors |= FACTOR_PAM;
		answer_attempt(v, "keyboard-interactive", REASON_NONE, v->kept.fingerprint);
		penalty_clear(h->penalties, PENALTY_NAME, v->kept.person);
		if (invite_is(v))
			invite_use(v);
		else
			vouch(v);
		return;
	}
	/* Of a secret that they were shown there is nothing to guess. */
	if (what != TALK_INVITED && (reason == REASON_WRONG_CODE || reason == REASON_REPLAYED_CODE))
		penalty_add(h->penalties, PENALTY_NAME, v->kept.person, clock_boot_ms());
	login_move(v, LOGIN_KEYED);
	answer_fail_at(v, "keyboard-interactive", reason, reason, due_ms);
}

void
login_on_examined(struct visitor *v, enum reason reason)
{
	login_check(v);
	talk_end(v);
	timer_stop(v->deadline);
	if (reason == REASON_NONE) {
		vouch(v);
		return;
	}
	/* Perhaps a password must be changed: that takes the whole conversation. */
	if (reason == REASON_PAM_ACCOUNT && (v->kept.factors & FACTOR_GRACE) != 0) {
		v->kept.factors &= ~(uint32_t)FACTOR_GRACE;
		login_move(v, LOGIN_KEYED);
		answer(v, LOGIN_PARTIAL, REASON_NONE);
		return;
	}
	answer_attempt(v, "", reason, v->kept.fingerprint);
	answer_refuse(v, reason, clock_boot_ms());
}

/* What a proved key gave is taken back: it must be proved again. */
static void
key_forget(struct live_state *k)
{
	k->factors = 0;
	k->host_bound = 0;
	memset(k->fingerprint, 0, sizeof(k->fingerprint));
	memset(k->key_type, 0, sizeof(k->key_type));
	if (k->invited)
		snprintf(k->person, sizeof(k->person), "%s", INVITE_NAME);
}

void
login_on_unlinked(struct visitor *v)
{
	if (v->kept.state == LOGIN_TALKING)
		talk_leave(v);
	if (v->kept.state == LOGIN_ENROLLING || v->kept.state == LOGIN_CHECKING) {
		talk_end(v);
		talk_stay_end(v);
		timer_stop(v->deadline);
		key_forget(&v->kept);
		login_move(v, LOGIN_OPEN);
	}
	invite_end(v);
	fresh_end(v);
	timer_stop(v->reply);
	v->request = (struct request){0};
	v->proof = (struct remembered){0};
}

void
login_adopt(struct visitor *v)
{
	struct live_state *k = &v->kept;

	if (k->state == LOGIN_TALKING)
		k->state = LOGIN_KEYED;
	/* An invitation's key is not in the table, and its secret is gone. */
	if (k->state == LOGIN_ENROLLING || k->state == LOGIN_CHECKING || (k->state == LOGIN_KEYED && k->invited)) {
		key_forget(k);
		k->state = LOGIN_OPEN;
	}
}

/* Somebody who asked about keys, got a no to each, and left without a try is an attempt too. */
void
login_on_gone(struct visitor *v)
{
	if (v->kept.state != LOGIN_OPEN || v->refused[0] == '\0' || v->kept.tries > 0)
		return;
	(void)answer_count(v, "publickey", v->refused_for, v->refused);
}

void
login_on_deadline(struct visitor *v)
{
	if (v->talk.is_on) {
		talk_verdict(v, v->talk.turn != 0 ? REASON_LIMIT : REASON_PAM_TROUBLE);
		return;
	}
	switch (v->kept.state) {
	case LOGIN_IN:
		fresh_on_talked(v, REASON_POLICY_AWAY);
		break;
	case LOGIN_OPEN:
	case LOGIN_KEYED:
	case LOGIN_ENROLLING:
	case LOGIN_VOUCHING:
		answer_attempt(v, "", REASON_POLICY_AWAY, v->kept.fingerprint);
		answer_refuse(v, REASON_POLICY_AWAY, clock_boot_ms());
		break;
	default:
		break;
	}
}
