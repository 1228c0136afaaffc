/*
 * Against guessing, by lodge-auth as it is started: the same words and no sooner, whoever the name is; who fails too often
 * waits, by address, and after a proved key by name; it grows, it ends, and nobody without the key can do it to a name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "penalty.h"
#include "play.h"

#define CODES "publickey,keyboard-interactive"

static struct bytes
id_of(const struct visit *v)
{
	return (bytes_of(v->id, sizeof(v->id)));
}

/* A no, and at least so late. */
static void
plain_no(struct visit *v, int64_t began_ms)
{
	const struct msg_login_result *r = &end_expect(v->b, &v->s, MSG_LOGIN_RESULT)->login_result;

	assert_int_equal(r->outcome, LOGIN_FAILURE);
	assert_int_equal(r->reason, REASON_NONE);
	assert_int_equal(r->message.len, 0);
	assert_int_equal(r->person.len, 0);
	assert_true(bytes_are(r->methods, "publickey"));
	assert_true(clock_boot_ms() - began_ms >= 20);
}

/* Somebody's key, as each of these names: nothing in the answers tells them apart. */
static void
same_words_and_time(void **state)
{
	static const struct {
		const char *login, *person; /* NULL: policy is not asked */
		enum reason of_person, event;
	} rows[] = {
	    {"alice+osv1", "alice", REASON_NONE, REASON_UNKNOWN_KEY},
	    {"alice+osv1", "alice", REASON_PERSON_SUSPENDED, REASON_UNKNOWN_KEY},
	    {"alice+osv1", "alice", REASON_WRONG_SOURCE, REASON_UNKNOWN_KEY},
	    {"zoe+osv1", "zoe", REASON_NONE, REASON_UNKNOWN_PERSON},
	    {"root", "root", REASON_NONE, REASON_UNKNOWN_PERSON},
	    {"\xc3\xa4", NULL, REASON_NONE, REASON_UNKNOWN_PERSON},
	};
	struct person_key stranger;
	struct bench b;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 0\n");
	key_make(&stranger);
	for (uint8_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct visit v;
		int64_t began_ms;

		visit_begin(&v, &b, 1u + i, SOURCE, (uint8_t)(1 + i));
		v.login = rows[i].login;
		visit_step(&v, LOGIN_NONE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		if (rows[i].person != NULL)
			policy_person(&v, rows[i].person, rows[i].of_person);
		began_ms = clock_boot_ms();
		assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(stranger.blob, sizeof(stranger.blob))));
		assert_true(clock_boot_ms() - began_ms >= 20);
		assert_true(visit_prove(&v, &stranger, id_of(&v), v.login, b.host_key));
		began_ms = clock_boot_ms();
		visit_step(&v, LOGIN_PUBLICKEY);
		plain_no(&v, began_ms);
		policy_event(&v, "publickey", rows[i].event);
		began_ms = clock_boot_ms();
		visit_step(&v, LOGIN_KEYBOARD);
		plain_no(&v, began_ms);
		policy_event(&v, "keyboard-interactive", REASON_PROTOCOL);
		visit_end(&v);
	}
	EVP_PKEY_free(stranger.pkey);
	bench_end(&b);
}

/* A stranger, as alice, time and again: the stranger's address waits, and alice does not. */
static void
nobody_locks_out_a_name(void **state)
{
	struct person_key stranger;
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 60s\nMaxAuthTries 100\n");
	key_make(&stranger);
	visit_begin(&v, &b, 1, "198.51.100.1", 1);
	for (int i = 0; i < 20; i++) {
		assert_true(visit_prove(&v, &stranger, id_of(&v), v.login, b.host_key));
		visit_step(&v, LOGIN_PUBLICKEY);
		if (i == 0)
			policy_person(&v, "alice", REASON_NONE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		policy_event(&v, "publickey", REASON_UNKNOWN_KEY);
	}
	visit_end(&v);
	visit_begin(&v, &b, 2, "198.51.100.1", 2);
	visit_step(&v, LOGIN_NONE);
	visit_result(&v, LOGIN_DISCONNECT, REASON_PENALTY);
	policy_event(&v, "", REASON_PENALTY);
	visit_end(&v);
	visit_begin(&v, &b, 3, SOURCE, 3);
	play_login(&v, &pam, PAM_WHAT_AUTHENTICATE);
	visit_end(&v);
	end_close(&pam);
	EVP_PKEY_free(stranger.pkey);
	bench_end(&b);
}

static void
keyed(struct visit *v, struct bench *b, uint8_t conn, const char *source)
{
	visit_begin(v, b, conn, source, conn);
	play_key(v);
	visit_result(v, LOGIN_PARTIAL, REASON_NONE);
}

static void
wrong_code(struct visit *v, struct end *pam)
{
	visit_step(v, LOGIN_KEYBOARD);
	play_begin(v->b, pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(v, pam, v->ask, REASON_WRONG_CODE);
	policy_event(v, "keyboard-interactive", REASON_WRONG_CODE);
	end_expect_none(v->b, &v->s, MSG_LOGIN_RESULT, 20);
	v->b->clock[0] += 2000;
	visit_result(v, LOGIN_FAILURE, REASON_WRONG_CODE);
}

/* Says no until `left_ms` from now, wherever they come from. */
static void
name_waits(struct visit *v, int64_t left_ms)
{
	for (int i = 0; i < 2; i++) {
		visit_step(v, LOGIN_KEYBOARD);
		policy_event(v, "keyboard-interactive", REASON_PENALTY);
		v->b->clock[0] += 2000;
		visit_result(v, LOGIN_FAILURE, REASON_PENALTY);
		if (i == 0)
			v->b->clock[0] += left_ms - 2000 - 1500;
	}
	v->b->clock[0] += 1500;
}

/* With the key, and without the code: five cost nothing, then the name waits, longer each time, and not for ever. */
static void
a_name_waits(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v, w;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 20s\nPenaltyMost 60s\nMaxAuthTries 100\n");
	keyed(&v, &b, 1, SOURCE);
	for (int i = 0; i < 6; i++)
		wrong_code(&v, &pam);
	keyed(&w, &b, 2, "198.51.100.9");
	name_waits(&w, 18000); /* two of the twenty went by with the answer */
	wrong_code(&w, &pam);
	name_waits(&v, 38000);
	wrong_code(&v, &pam);
	name_waits(&w, 58000); /* and not eighty */
	/* the right one is right again, and all is forgotten */
	visit_step(&v, LOGIN_KEYBOARD);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, v.ask, REASON_NONE);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	wrong_code(&w, &pam);
	wrong_code(&w, &pam);
	visit_end(&v);
	visit_end(&w);
	end_close(&pam);
	bench_end(&b);
}

/* Of the many people behind one address somebody always fails; that never keeps all of them out. */
static void
failures_now_and_then_cost_nothing(void **state)
{
	struct penalties *p = penalties_new(1000, 600000);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		penalty_add(p, PENALTY_SOURCE, "192.0.2.1", (int64_t)i * PENALTY_FORGIVE_MS);
		assert_int_equal(penalty_left(p, PENALTY_SOURCE, "192.0.2.1", (int64_t)i * PENALTY_FORGIVE_MS), 0);
	}
	for (int i = 0; i <= PENALTY_FREE; i++)
		penalty_add(p, PENALTY_SOURCE, "192.0.2.1", (int64_t)1000 * PENALTY_FORGIVE_MS);
	assert_true(penalty_left(p, PENALTY_SOURCE, "192.0.2.1", (int64_t)1000 * PENALTY_FORGIVE_MS) > 0);
	penalties_free(p);
}

/* A session that lies without end is told of sixteen times: what is kept for a policy that is away is others' too. */
static void
lies_without_end(void **state)
{
	struct wire text = {0}, signature = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 0\n");
	visit_begin(&v, &b, 1, SOURCE, 1);
	proof_make(&b.alice, bytes_of(v.id, sizeof(v.id)), v.login, b.host_key, &text, &signature);
	for (int i = 0; i < 40; i++) {
		peer_post(v.s.peer, PROOF, proof, .ask = ++v.ask, .leg = 1,
		    .key = bytes_of(b.alice.blob, sizeof(b.alice.blob)), .signature = wire_bytes(&signature),
		    .signed_data = wire_bytes(&text));
		assert_int_equal(end_expect(&b, &v.s, MSG_PROOF_RESULT)->proof_result.good, 0);
	}
	for (int i = 0; i < 16; i++)
		policy_suspect(&v);
	end_expect_none(&b, &b.policy, MSG_SUSPECT, 50);
	wire_free(&text);
	wire_free(&signature);
	visit_end(&v);
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(same_words_and_time),
	    cmocka_unit_test(nobody_locks_out_a_name),
	    cmocka_unit_test(a_name_waits),
	    cmocka_unit_test(lies_without_end),
	    cmocka_unit_test(failures_now_and_then_cost_nothing),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
