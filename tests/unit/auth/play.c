#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

void
play_begin(struct bench *b, struct end *pam, unsigned what, const char *service)
{
	const struct msg_pam_begin *m;

	bench_pam_play(b, pam);
	m = &end_expect(b, pam, MSG_PAM_BEGIN)->pam_begin;
	assert_int_equal(m->what, what);
	assert_true(bytes_are(m->service, service));
	assert_true(bytes_are(m->user, "alice"));
}

void
play_ask(struct end *pam)
{
	struct wire prompts = {0};

	wire_put_u8(&prompts, 0);
	wire_put_text(&prompts, bytes_text("Verification code: "));
	peer_post(pam->peer, PAM_PROMPTS, pam_prompts, .count = 1, .prompts = wire_bytes(&prompts));
	wire_free(&prompts);
}

void
play_says(struct end *pam, enum reason reason)
{
	peer_post(pam->peer, PAM_RESULT, pam_result, .good = reason == REASON_NONE, .reason = (uint16_t)reason,
	    .pam_error = reason == REASON_NONE ? 0 : 7, .user = bytes_text("alice"), .delay_ms = 0);
}

void
play_code(struct visit *v, struct end *pam, uint32_t ask, enum reason reason)
{
	static unsigned number; /* never the same code twice */
	struct wire w = {0};
	char code[16];

	play_ask(pam);
	visit_prompt(v, ask);
	snprintf(code, sizeof(code), "%06u", ++number);
	wire_put_text(&w, bytes_text(code));
	peer_post(v->s.peer, ANSWERS, answers, .ask = ask, .count = 1, .answers = wire_bytes(&w));
	wire_free(&w);
	(void)end_expect(v->b, pam, MSG_PAM_ANSWERS);
	play_says(pam, reason);
}

void
play_key(struct visit *v)
{
	assert_true(visit_prove(v, &v->b->alice, bytes_of(v->id, sizeof(v->id)), v->login, v->b->host_key));
	visit_step(v, LOGIN_PUBLICKEY);
	policy_person(v, "alice", REASON_NONE);
	policy_event(v, "publickey", REASON_NONE);
}

void
play_login(struct visit *v, struct end *pam, unsigned what)
{
	play_key(v);
	visit_result(v, LOGIN_PARTIAL, REASON_NONE);
	visit_step(v, LOGIN_KEYBOARD);
	play_begin(v->b, pam, what, "lodge");
	play_code(v, pam, v->ask, REASON_NONE);
	policy_event(v, "keyboard-interactive", REASON_NONE);
	policy_identity(v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	policy_held(v, REASON_NONE);
	visit_result(v, LOGIN_SUCCESS, REASON_NONE);
}
