/*
 * Codes of their own (step-up), by lodge-auth as it is started: a login whose earlier code is not enough is asked again;
 * somebody who is in gives one more for what their session numbered; what wrong ones cost; what a restart leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "play.h"

#define CODES "publickey,keyboard-interactive"
#define NO_WAIT "PenaltyLeast 0\n"

static void
wanted(struct bench *b, uint64_t conn, uint32_t ask)
{
	peer_post(b->policy.peer, FRESH_CODE_WANTED, fresh_code_wanted, .conn = conn, .ask = ask);
}

static void
told(struct bench *b, uint64_t conn, uint32_t ask, enum reason reason)
{
	const struct msg_fresh_code *m = &end_expect(b, &b->policy, MSG_FRESH_CODE)->fresh_code;

	if (m->conn != conn || m->ask != ask || m->reason != reason)
		fail_msg("fresh code of %llu, %u [%s] where %llu, %u [%s] was expected",
		    (unsigned long long)m->conn, m->ask, reason_code(m->reason), (unsigned long long)conn, ask,
		    reason_code(reason));
}

/* policy: what they come for wants a code of its own. */
static void
grace_is_not_enough(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_login(&v, &pam, PAM_WHAT_AUTHENTICATE);
	visit_end(&v);
	visit_begin(&v, &b, 2, SOURCE, 2);
	play_key(&v);
	play_begin(&b, &pam, 0, "lodge");
	play_says(&pam, REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_GRACE, 1, 0);
	policy_held(&v, REASON_FRESH_CODE);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 50);
	visit_step(&v, LOGIN_KEYBOARD);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, v.ask, REASON_NONE);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	policy_held(&v, REASON_NONE);
	visit_result(&v, LOGIN_SUCCESS, REASON_NONE);
	visit_end(&v);
	/* whose code was their own hears the no */
	visit_begin(&v, &b, 3, "192.0.2.9", 3);
	play_key(&v);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	visit_step(&v, LOGIN_KEYBOARD);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, v.ask, REASON_NONE);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	policy_held(&v, REASON_FRESH_CODE);
	visit_result(&v, LOGIN_DISCONNECT, REASON_FRESH_CODE);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

/* A role that gives no codes is asked for one all the same, where what they come for wants it. */
static void
a_role_without_codes(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, "publickey", NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_key(&v);
	play_begin(&b, &pam, 0, "lodge");
	play_says(&pam, REASON_NONE);
	policy_identity(&v, FACTOR_KEY, 1, 0);
	policy_held(&v, REASON_FRESH_CODE);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	visit_step(&v, LOGIN_KEYBOARD);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, v.ask, REASON_NONE);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	policy_held(&v, REASON_NONE);
	visit_result(&v, LOGIN_SUCCESS, REASON_NONE);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

static void
one_more(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	/* nobody is there; or not in yet */
	wanted(&b, 5, 1);
	told(&b, 5, 1, REASON_CLIENT_GONE);
	visit_begin(&v, &b, 1, SOURCE, 1);
	wanted(&b, 1, 1);
	told(&b, 1, 1, REASON_PROTOCOL);
	play_login(&v, &pam, PAM_WHAT_AUTHENTICATE);
	/* wanted twice is wanted once; a second want waits; one good code answers both */
	wanted(&b, 1, 40);
	wanted(&b, 1, 40);
	wanted(&b, 1, 41);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_ask(&pam);
	visit_prompt(&v, 40);
	visit_answer(&v, "000000"); /* to the login's number: nobody asked */
	end_expect_none(&b, &pam, MSG_PAM_ANSWERS, 50);
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 0);
	play_ask(&pam); /* a second prompt while one is open is none of lodge-pam's: over, and a no */
	told(&b, 1, 40, REASON_PAM_TROUBLE);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge"); /* the one that waited */
	play_code(&v, &pam, 41, REASON_NONE);
	told(&b, 1, 41, REASON_NONE);
	/* said again because the answer was lost: it is still good, and nobody is asked */
	wanted(&b, 1, 41);
	told(&b, 1, 41, REASON_NONE);
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 50);
	/* another is another; those that wait are answered with it */
	wanted(&b, 1, 42);
	wanted(&b, 1, 43);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, 42, REASON_NONE);
	told(&b, 1, 42, REASON_NONE);
	told(&b, 1, 43, REASON_NONE);
	/* not without end */
	for (uint32_t i = 50; i < 59; i++)
		wanted(&b, 1, i);
	told(&b, 1, 58, REASON_LIMIT);
	/* the session is gone in the middle: its conversation too */
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	visit_end(&v);
	end_expect_closed(&b, &pam);
	end_expect_none(&b, &b.policy, MSG_FRESH_CODE, 50);
	end_close(&pam);
	bench_end(&b);
}

/* Three tries; the last one cuts the connection, whatever its session does then. */
static void
too_many(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;
	int64_t began_ms;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT "MaxAuthTries 3\n");
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_login(&v, &pam, PAM_WHAT_AUTHENTICATE);
	for (uint32_t i = 1; i <= 3; i++) {
		wanted(&b, 1, i);
		play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
		began_ms = clock_boot_ms();
		play_code(&v, &pam, i, REASON_WRONG_CODE);
		told(&b, 1, i, i < 3 ? REASON_WRONG_CODE : REASON_TOO_MANY_TRIES);
		assert_true(clock_boot_ms() - began_ms >= 2000);
	}
	visit_disconnected(&v, REASON_TOO_MANY_TRIES);
	end_expect_closed(&b, &v.s);
	wanted(&b, 1, 9);
	told(&b, 1, 9, REASON_TOO_MANY_TRIES);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

/* auth dies while somebody types: policy asks again, and so does the new one; tries are not forgotten. */
static void
a_restart_in_the_middle(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT "MaxAuthTries 2\n");
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_login(&v, &pam, PAM_WHAT_AUTHENTICATE);
	wanted(&b, 1, 7);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, 7, REASON_WRONG_CODE);
	told(&b, 1, 7, REASON_WRONG_CODE);
	wanted(&b, 1, 7); /* policy gives them another try */
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_ask(&pam);
	visit_prompt(&v, 7);
	bench_auth_kill(&b);
	bench_auth_start(&b);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 1);
	wanted(&b, 1, 7); /* before its session's link is there */
	visit_relink(&v, SOURCE);
	policy_person(&v, "alice", REASON_NONE);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, 7, REASON_NONE);
	told(&b, 1, 7, REASON_NONE);
	/* it is remembered; and so is the try that failed */
	bench_auth_kill(&b);
	bench_auth_start(&b);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM | FACTOR_FRESH, 1, 1);
	visit_relink(&v, SOURCE);
	wanted(&b, 1, 8);
	policy_person(&v, "alice", REASON_NONE);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, 8, REASON_WRONG_CODE);
	told(&b, 1, 8, REASON_TOO_MANY_TRIES);
	end_expect_closed(&b, &v.s);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

/* Wrong codes cost the name, here as at a login; somebody suspended meanwhile is not asked. */
static void
what_it_costs(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 60s\nPenaltyMost 60s\nMaxAuthTries 20\n");
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_login(&v, &pam, PAM_WHAT_AUTHENTICATE);
	for (uint32_t i = 1; i <= 6; i++) {
		wanted(&b, 1, i);
		play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
		play_code(&v, &pam, i, REASON_WRONG_CODE);
		end_expect_none(&b, &b.policy, MSG_FRESH_CODE, 20);
		b.clock[0] += 2000;
		told(&b, 1, i, REASON_WRONG_CODE);
	}
	wanted(&b, 1, 7);
	end_expect_none(&b, &b.policy, MSG_FRESH_CODE, 20);
	b.clock[0] += 2000;
	told(&b, 1, 7, REASON_PENALTY);
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 50);
	b.clock[0] += 61 * 1000; /* it ends */
	wanted(&b, 1, 8);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, 8, REASON_NONE);
	told(&b, 1, 8, REASON_NONE);
	bench_auth_kill(&b);
	bench_auth_start(&b);
	visit_relink(&v, SOURCE);
	wanted(&b, 1, 9);
	policy_person(&v, "alice", REASON_PERSON_SUSPENDED);
	b.clock[0] += 2000;
	told(&b, 1, 9, REASON_PERSON_SUSPENDED);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(grace_is_not_enough),
	    cmocka_unit_test(a_role_without_codes),
	    cmocka_unit_test(one_more),
	    cmocka_unit_test(too_many),
	    cmocka_unit_test(a_restart_in_the_middle),
	    cmocka_unit_test(what_it_costs),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
