/* Whom policy knows, and how it hears who is here: see login.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "login.h"

void
vouch_person_ask(struct visitor *v)
{
	if (v->kept.person[0] == '\0') {
		v->person = (struct person){.here = 1}; /* no name that anybody can have */
		return;
	}
	if (invite_is(v) && v->kept.state != LOGIN_IN) {
		invite_person_ask(v);
		return;
	}
	peer_post(v->house->policy, PERSON_WANTED, person_wanted, .ask = v->kept.conn,
	    .login = bytes_text(v->kept.person), .source = bytes_text(v->kept.source));
}

static struct bytes
key_read(struct reader *r, struct persons_key *k)
{
	struct bytes blob = reader_get_bytes(r);

	k->reason = (enum reason)reader_get_u16(r);
	k->options = reader_get_u8(r);
	k->counter = reader_get_u32(r);
	return (blob);
}

int
vouch_person_key(const struct person *p, struct bytes key, struct persons_key *to)
{
	struct reader r = reader_of(bytes_of(p->keys, p->keys_len));
	struct persons_key one;

	while (p->known && r.left > 0 && !r.failed) {
		struct bytes blob = key_read(&r, &one);

		if (r.failed || !bytes_equal(blob, key))
			continue;
		*to = one;
		return (1);
	}
	return (0);
}

void
vouch(struct visitor *v)
{
	struct live_state *k = &v->kept;

	if (v->person.reason != REASON_NONE) {
		answer_attempt(v, "", v->person.reason, k->fingerprint);
		answer_refuse(v, v->person.reason, clock_boot_ms());
		return;
	}
	k->role = v->person.role;
	k->at_wall_ms = clock_wall_ms();
	login_move(v, LOGIN_VOUCHING);
	login_restate(v);
}

void
vouch_examined(struct visitor *v)
{
	if (v->person.reason != REASON_NONE) {
		vouch(v); /* says so */
		return;
	}
	talk_begin(v, TALK_ACCOUNT, 0);
	login_move(v, LOGIN_CHECKING);
	timer_after(v->deadline, v->house->set->pam_timeout);
}

void
vouch_person_came(struct visitor *v)
{
	if (v->kept.state == LOGIN_IN) {
		fresh_on_person(v);
		return;
	}
	if (v->request.kind == REQUEST_NONE || v->request.late)
		return;
	if (v->kept.state == LOGIN_OPEN || v->kept.state == LOGIN_KEYED) {
		timer_stop(v->deadline);
		login_request_take(v);
	}
}

void
login_on_person(struct visitor *v, const struct msg_person *m)
{
	struct reader r = reader_of(m->keys);
	struct person *p = &v->person;
	struct persons_key one;

	login_check(v);
	while (r.left > 0 && !r.failed)
		(void)key_read(&r, &one);
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
	vouch_person_came(v);
}

/* What they come for wants a code of its own, and theirs was an earlier one, or none: they are asked, whatever their role. */
static void
grace_is_not_enough(struct visitor *v)
{
	v->kept.factors &= ~(uint32_t)FACTOR_GRACE;
	v->kept.wants_code = 1;
	talk_stay_end(v);
	login_move(v, LOGIN_KEYED);
	answer(v, LOGIN_PARTIAL, REASON_NONE);
}

void
login_on_held(struct visitor *v, enum reason reason)
{
	struct house *h = v->house;
	struct live_state *k = &v->kept;

	login_check(v);
	if (k->state != LOGIN_VOUCHING)
		return; /* an identity said again */
	timer_stop(v->deadline);
	if (reason == REASON_FRESH_CODE && (k->factors & FACTOR_PAM) == 0) {
		grace_is_not_enough(v);
		return;
	}
	if (reason != REASON_NONE) {
		answer_refuse(v, reason, clock_boot_ms());
		return;
	}
	/* First, so that an auth killed here says it again: gateway's LoginGraceTime must not end a visit. */
	peer_post(h->gateway, LOGGED_IN, logged_in, .conn = k->conn);
	login_move(v, LOGIN_IN);
	if ((k->factors & FACTOR_PAM) != 0 && h->set->mfa_grace > 0)
		live_grace_give(h->live, k->person, k->fingerprint, k->source, clock_boot_ms() + h->set->mfa_grace);
	invite_end(v);
	log_info("connection %llu: %s is in, by %s %s%s", (unsigned long long)k->conn, k->person, k->key_type,
	    k->fingerprint, (k->factors & FACTOR_PAM) != 0 ? " and a code" : "");
	answer(v, LOGIN_SUCCESS, REASON_NONE);
}

void
login_restate(struct visitor *v)
{
	const struct live_state *k = &v->kept;

	if ((k->state == LOGIN_OPEN || k->state == LOGIN_KEYED) && !v->person.here)
		vouch_person_ask(v);
	invite_restate(v);
	if (k->state != LOGIN_VOUCHING && k->state != LOGIN_IN)
		return;
	if (k->state == LOGIN_VOUCHING)
		timer_after(v->deadline, LOGIN_POLICY_MS);
	peer_post(v->house->policy, IDENTITY, identity, .conn = k->conn, .login = bytes_text(k->person),
	    .role = k->role, .fingerprint = bytes_text(k->fingerprint), .key_type = bytes_text(k->key_type),
	    .factors = k->factors, .host_bound = k->host_bound, .source = bytes_text(k->source), .port = k->port,
	    .at_wall_ms = k->at_wall_ms, .restated = k->state == LOGIN_IN);
}
