#include "visit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
is_text(struct bytes b, const char *text)
{
	if (!bytes_are(b, text))
		fail_msg("\"%.*s\" where \"%s\" was expected", (int)b.len, (const char *)b.at, text);
}

void
visit_relink(struct visit *v, const char *source)
{
	const struct message *m;

	bench_session(v->b, &v->s, v->conn, source);
	m = end_expect(v->b, &v->s, MSG_HOST_KEY);
	assert_true(bytes_equal(m->host_key.blob, bytes_of(v->b->host_key, 51)));
}

void
visit_sign(struct visit *v, uint8_t fill)
{
	const struct message *m;
	uint8_t hash[32];

	memset(hash, fill, sizeof(hash));
	peer_post(v->s.peer, SIGN, sign, .ask = ++v->ask, .leg = 0, .hash = bytes_of(hash, sizeof(hash)));
	m = end_expect(v->b, &v->s, MSG_SIGNED);
	assert_int_equal(m->signed_.ask, v->ask);
	assert_true(signature_is(v->b->host_key, m->signed_.signature, bytes_of(hash, sizeof(hash))));
}

void
visit_begin(struct visit *v, struct bench *b, uint64_t conn, const char *source, uint8_t fill)
{
	*v = (struct visit){.b = b, .conn = conn, .login = "alice+osv1"};
	memset(v->id, fill, sizeof(v->id));
	visit_relink(v, source);
	visit_sign(v, fill);
}

void
visit_end(struct visit *v)
{
	end_close(&v->s);
	peer_post(v->b->gateway.peer, SESSION_GONE, session_gone, .conn = v->conn);
}

uint32_t
visit_step(struct visit *v, enum login_method method)
{
	peer_post(v->s.peer, LOGIN_STEP, login_step, .ask = ++v->ask, .login = bytes_text(v->login),
	    .method = (uint8_t)method);
	return (v->ask);
}

static void
result_check(struct visit *v, uint32_t ask, enum login_outcome outcome, enum reason reason)
{
	const struct msg_login_result *r = &end_expect(v->b, &v->s, MSG_LOGIN_RESULT)->login_result;

	if (r->outcome != outcome || r->reason != reason)
		fail_msg("outcome %u [%s] where %d [%s] was expected", r->outcome, reason_code(r->reason),
		    (int)outcome, reason_code(reason));
	assert_int_equal(r->ask, ask);
	is_text(r->person, outcome == LOGIN_SUCCESS ? "alice" : "");
	if (outcome == LOGIN_PARTIAL)
		is_text(r->methods, "keyboard-interactive");
	assert_int_equal(r->message.len > 0, reason != REASON_NONE);
}

void
visit_result(struct visit *v, enum login_outcome outcome, enum reason reason)
{
	result_check(v, v->ask, outcome, reason);
}

void
visit_disconnected(struct visit *v, enum reason reason)
{
	result_check(v, 0, LOGIN_DISCONNECT, reason);
}

int
visit_offer(struct visit *v, const char *algorithm, struct bytes key)
{
	const struct message *m;

	peer_post(v->s.peer, KEY_OFFER, key_offer, .ask = ++v->ask, .login = bytes_text(v->login),
	    .algorithm = bytes_text(algorithm), .key = key);
	m = end_expect(v->b, &v->s, MSG_KEY_ANSWER);
	assert_int_equal(m->key_answer.ask, v->ask);
	return (m->key_answer.acceptable);
}

int
visit_prove(
    struct visit *v, const struct person_key *k, struct bytes identifier, const char *user, const uint8_t *host)
{
	struct wire text = {0}, signature = {0};
	int good;

	proof_make(k, identifier, user, host, &text, &signature);
	good = visit_proof(v, bytes_of(k->blob, sizeof(k->blob)), wire_bytes(&text), wire_bytes(&signature));
	wire_free(&text);
	wire_free(&signature);
	return (good);
}

int
visit_proof(struct visit *v, struct bytes key, struct bytes text, struct bytes signature)
{
	const struct message *m;

	peer_post(v->s.peer, PROOF, proof, .ask = ++v->ask, .leg = 0, .key = key, .signature = signature,
	    .signed_data = text);
	m = end_expect(v->b, &v->s, MSG_PROOF_RESULT);
	assert_int_equal(m->proof_result.ask, v->ask);
	return (m->proof_result.good);
}

void
visit_prompt(struct visit *v, uint32_t ask)
{
	const struct msg_prompts *p = &end_expect(v->b, &v->s, MSG_PROMPTS)->prompts;
	struct reader r = reader_of(p->prompts);

	assert_int_equal(p->ask, ask);
	assert_int_equal(p->count, 1);
	assert_int_equal(reader_get_u8(&r), 0); /* what is typed is not shown */
	is_text(reader_get_text(&r), "Verification code: ");
	assert_true(reader_end(&r));
}

void
visit_prompted(struct visit *v)
{
	visit_step(v, LOGIN_KEYBOARD);
	bench_pam(v->b);
	visit_prompt(v, v->ask);
}

void
visit_answer(struct visit *v, const char *text)
{
	struct wire w = {0};

	wire_put_text(&w, bytes_text(text));
	peer_post(v->s.peer, ANSWERS, answers, .ask = v->ask, .count = 1, .answers = wire_bytes(&w));
	wire_free(&w);
}

void
policy_person(struct visit *v, const char *login, enum reason reason)
{
	const struct msg_person_wanted *w = &end_expect(v->b, &v->b->policy, MSG_PERSON_WANTED)->person_wanted;
	int known = bytes_are(w->login, "alice");
	struct bytes theirs[] = {bytes_text("another key of hers"),
	    v->key.len > 0 ? v->key : bytes_of(v->b->alice.blob, sizeof(v->b->alice.blob))};
	struct wire keys = {0};

	is_text(w->login, login);
	for (size_t i = 0; i < 2; i++) {
		wire_put_bytes(&keys, theirs[i]);
		wire_put_u16(&keys, (uint16_t)v->key_reason);
		wire_put_u8(&keys, v->key_options);
		wire_put_u32(&keys, v->key_counter);
	}
	peer_post(v->b->policy.peer, PERSON, person, .ask = w->ask, .known = (uint8_t)known,
	    .role = (uint8_t)(!known         ? ROLE_NONE
	                      : v->role == 0 ? ROLE_ENGINEER
	                                     : v->role),
	    .login = w->login, .pam_user = bytes_text(""), .reason = (uint16_t)reason,
	    .keys = known ? wire_bytes(&keys) : bytes_of(NULL, 0));
	wire_free(&keys);
}

void
policy_event(struct visit *v, const char *method, enum reason reason)
{
	const struct msg_login_event *e = &end_expect(v->b, &v->b->policy, MSG_LOGIN_EVENT)->login_event;

	if (e->reason != reason || e->conn != v->conn)
		fail_msg("event of %llu [%s] where %llu [%s] was expected", (unsigned long long)e->conn,
		    reason_code(e->reason), (unsigned long long)v->conn, reason_code(reason));
	is_text(e->method, method);
	assert_true(e->at_wall_ms > 1600000000000);
}

void
policy_key_used(struct visit *v, uint32_t counter)
{
	const struct msg_key_used *k = &end_expect(v->b, &v->b->policy, MSG_KEY_USED)->key_used;

	is_text(k->login, "alice");
	assert_int_equal(k->counter, counter);
	assert_int_equal(k->fingerprint.len, 50);
	assert_true(k->source.len > 0);
	assert_true(k->at_wall_ms > 1600000000000);
}

void
policy_suspect(struct visit *v)
{
	const struct msg_suspect *s = &end_expect(v->b, &v->b->policy, MSG_SUSPECT)->suspect;

	assert_int_equal(s->conn, v->conn);
	assert_true(s->what.len > 0);
}

void
policy_identity(struct visit *v, uint32_t factors, int host_bound, int restated)
{
	const struct msg_identity *i = &end_expect(v->b, &v->b->policy, MSG_IDENTITY)->identity;

	assert_int_equal(i->conn, v->conn);
	is_text(i->login, "alice");
	assert_true(i->key_type.len > 0);
	assert_int_equal(i->role, v->role == 0 ? ROLE_ENGINEER : v->role);
	assert_int_equal(i->factors, factors);
	assert_int_equal(i->host_bound, host_bound);
	assert_int_equal(i->restated, restated);
	assert_int_equal(i->fingerprint.len, 50);
	assert_int_equal(i->port, 50000);
}

void
policy_held(struct visit *v, enum reason reason)
{
	peer_post(v->b->policy.peer, IDENTITY_HELD, identity_held, .conn = v->conn, .reason = (uint16_t)reason);
}

void
visit_key(struct visit *v)
{
	assert_true(visit_prove(v, &v->b->alice, bytes_of(v->id, sizeof(v->id)), v->login, v->b->host_key));
	visit_step(v, LOGIN_PUBLICKEY);
	policy_person(v, "alice", REASON_NONE);
	policy_key_used(v, 0);
	policy_event(v, "publickey", REASON_NONE);
	visit_result(v, LOGIN_PARTIAL, REASON_NONE);
}

void
visit_login(struct visit *v, int steps)
{
	char code[16];

	visit_key(v);
	visit_prompted(v);
	bench_code(code, steps);
	visit_answer(v, code);
	policy_event(v, "keyboard-interactive", REASON_NONE);
	policy_identity(v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	policy_held(v, REASON_NONE);
	visit_result(v, LOGIN_SUCCESS, REASON_NONE);
	assert_int_equal(end_expect(v->b, &v->b->gateway, MSG_LOGGED_IN)->logged_in.conn, v->conn);
}
