/*
 * Which proved key lets whom in, by lodge-auth as it is started: validity, source, PIN, counter, host binding, what each
 * role must show, and PAM's word about the account of somebody who is not asked for a code.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "play.h"

#define CODES "publickey,keyboard-interactive"
#define NO_WAIT "PenaltyLeast 0\nMaxAuthTries 100\n"
#define TOUCHED 1
#define VERIFIED 4
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct bytes
id_of(const struct visit *v)
{
	return (bytes_of(v->id, sizeof(v->id)));
}

/* proof and step, up to the point where policy has said who alice is. */
static void
token_try(struct visit *v, const struct token_key *k, uint8_t flags, uint32_t counter)
{
	struct wire text = {0}, signature = {0};

	v->key = bytes_of(k->blob, k->blob_len);
	token_proof_make(k, id_of(v), v->login, flags, counter, &text, &signature);
	assert_true(visit_proof(v, v->key, wire_bytes(&text), wire_bytes(&signature)));
	visit_step(v, LOGIN_PUBLICKEY);
	wire_free(&text);
	wire_free(&signature);
}

static void
refused(struct visit *v, enum reason reason)
{
	policy_event(v, "publickey", reason);
	visit_result(v, LOGIN_FAILURE, reason);
}

static void
keyed(struct visit *v, uint32_t counter)
{
	policy_key_used(v, counter);
	policy_event(v, "publickey", REASON_NONE);
	visit_result(v, LOGIN_PARTIAL, REASON_NONE);
}

/* An offer of a key that may not be used now is a plain no; who has proved it is told why. */
static void
not_now_and_not_from_there(void **state)
{
	static const enum reason rows[] = {REASON_KEY_EXPIRED, REASON_KEY_SOURCE};
	struct bench b;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct visit v;

		visit_begin(&v, &b, 1 + i, SOURCE, (uint8_t)(1 + i));
		v.key_reason = rows[i];
		visit_step(&v, LOGIN_NONE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		policy_person(&v, "alice", REASON_NONE);
		assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(b.alice.blob, sizeof(b.alice.blob))));
		assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, b.host_key));
		visit_step(&v, LOGIN_PUBLICKEY);
		refused(&v, rows[i]);
		end_expect_none(&b, &b.policy, MSG_KEY_USED, 50);
		visit_end(&v);
		/* who only offers it leaves an event with the reason */
		visit_begin(&v, &b, 11 + i, SOURCE, (uint8_t)(11 + i));
		v.key_reason = rows[i];
		visit_step(&v, LOGIN_NONE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		policy_person(&v, "alice", REASON_NONE);
		assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(b.alice.blob, sizeof(b.alice.blob))));
		visit_end(&v);
		policy_event(&v, "publickey", rows[i]);
	}
	bench_end(&b);
}

static void
a_pin_is_wanted(void **state)
{
	struct token_key token;
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT "PubkeyAuthOptions touch-required manager=verify-required\n");
	token_make(&token);
	/* by the key's own option */
	visit_begin(&v, &b, 1, SOURCE, 1);
	v.key_options = KEY_OPTION_VERIFY;
	token_try(&v, &token, TOUCHED, 0);
	policy_person(&v, "alice", REASON_NONE);
	refused(&v, REASON_NO_VERIFICATION);
	token_try(&v, &token, TOUCHED | VERIFIED, 0);
	keyed(&v, 0);
	visit_end(&v);
	/* by role */
	visit_begin(&v, &b, 2, SOURCE, 2);
	v.role = ROLE_MANAGER;
	token_try(&v, &token, TOUCHED, 0);
	policy_person(&v, "alice", REASON_NONE);
	refused(&v, REASON_NO_VERIFICATION);
	token_try(&v, &token, TOUCHED | VERIFIED, 0);
	keyed(&v, 0);
	visit_end(&v);
	/* an engineer needs none */
	visit_begin(&v, &b, 3, SOURCE, 3);
	token_try(&v, &token, TOUCHED, 0);
	policy_person(&v, "alice", REASON_NONE);
	keyed(&v, 0);
	visit_end(&v);
	/* what was shown is told to policy */
	EVP_PKEY_free(token.pkey);
	bench_end(&b);
}

static void
token_conn(struct visit *v, struct bench *b, uint8_t conn, uint32_t policy_counter, const struct token_key *k,
    uint32_t counter)
{
	visit_begin(v, b, conn, SOURCE, conn);
	v->key_counter = policy_counter;
	token_try(v, k, TOUCHED, counter);
	policy_person(v, "alice", REASON_NONE);
}

/* A counter that does not grow: there may be two of that key. */
static void
counters(void **state)
{
	struct token_key token;
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	token_make(&token);
	token_conn(&v, &b, 1, 0, &token, 5);
	keyed(&v, 5);
	visit_end(&v);
	/* policy's answers may have crossed: what auth saw itself counts */
	token_conn(&v, &b, 2, 0, &token, 5);
	refused(&v, REASON_KEY_COUNTER);
	visit_end(&v);
	token_conn(&v, &b, 3, 5, &token, 4);
	refused(&v, REASON_KEY_COUNTER);
	visit_end(&v);
	token_conn(&v, &b, 4, 5, &token, 0);
	refused(&v, REASON_KEY_COUNTER);
	visit_end(&v);
	token_conn(&v, &b, 5, 5, &token, 6);
	keyed(&v, 6);
	visit_end(&v);
	/* policy knows of more than we saw */
	token_conn(&v, &b, 6, 100, &token, 50);
	refused(&v, REASON_KEY_COUNTER);
	visit_end(&v);
	token_conn(&v, &b, 7, 100, &token, 101);
	keyed(&v, 101);
	visit_end(&v);
	/* over a restart, and without policy's help */
	visit_begin(&v, &b, 8, SOURCE, 8);
	token_try(&v, &token, TOUCHED, 200);
	policy_person(&v, "alice", REASON_NONE);
	policy_key_used(&v, 200);
	bench_auth_kill(&b);
	bench_auth_start(&b);
	policy_person(&v, "alice", REASON_NONE);
	visit_relink(&v, SOURCE);
	peer_post(b.gateway.peer, LINKS_TOLD, links_told, .none = 0);
	visit_end(&v);
	token_conn(&v, &b, 9, 0, &token, 200);
	refused(&v, REASON_KEY_COUNTER);
	visit_end(&v);
	EVP_PKEY_free(token.pkey);
	bench_end(&b);
}

/* Killed after it counted and before it answered: the session says the same proof again, and that is no second key. */
static void
the_same_proof_after_a_restart(void **state)
{
	struct token_key token;
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, "publickey", NO_WAIT);
	token_make(&token);
	token_conn(&v, &b, 1, 0, &token, 7);
	policy_key_used(&v, 7);
	bench_auth_kill(&b); /* while PAM was to examine the account */
	bench_auth_start(&b);
	visit_relink(&v, SOURCE);
	peer_post(b.gateway.peer, LINKS_TOLD, links_told, .none = 0);
	token_try(&v, &token, TOUCHED, 7);
	v.key_counter = 7;
	policy_person(&v, "alice", REASON_NONE);
	policy_key_used(&v, 7);
	bench_pam(&b);
	policy_identity(&v, FACTOR_KEY | FACTOR_TOUCH, 0, 0);
	policy_held(&v, REASON_NONE);
	visit_result(&v, LOGIN_SUCCESS, REASON_NONE);
	visit_end(&v);
	EVP_PKEY_free(token.pkey);
	bench_end(&b);
}

static void
bound_to_this_host(void **state)
{
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT "HostBoundRoles manager auditor\n");
	visit_begin(&v, &b, 1, SOURCE, 1);
	v.role = ROLE_MANAGER;
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, NULL));
	visit_step(&v, LOGIN_PUBLICKEY);
	policy_person(&v, "alice", REASON_NONE);
	refused(&v, REASON_NOT_HOST_BOUND);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, b.host_key));
	visit_step(&v, LOGIN_PUBLICKEY);
	keyed(&v, 0);
	visit_end(&v);
	visit_begin(&v, &b, 2, SOURCE, 2);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, NULL));
	visit_step(&v, LOGIN_PUBLICKEY);
	policy_person(&v, "alice", REASON_NONE);
	keyed(&v, 0);
	visit_end(&v);
	bench_end(&b);
}

static void
what_each_role_shows(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES " auditor=publickey", NO_WAIT "PAMService lodge manager=staff\n");
	/* an auditor: the key alone, and the account */
	visit_begin(&v, &b, 1, SOURCE, 1);
	v.role = ROLE_AUDITOR;
	play_key(&v);
	play_begin(&b, &pam, 0, "lodge");
	end_expect_none(&b, &b.policy, MSG_IDENTITY, 100);
	play_says(&pam, REASON_NONE);
	policy_identity(&v, FACTOR_KEY, 1, 0);
	policy_held(&v, REASON_NONE);
	visit_result(&v, LOGIN_SUCCESS, REASON_NONE);
	visit_end(&v);
	/* a no about the account is one */
	visit_begin(&v, &b, 2, SOURCE, 2);
	v.role = ROLE_AUDITOR;
	play_key(&v);
	play_begin(&b, &pam, 0, "lodge");
	play_says(&pam, REASON_PAM_ACCOUNT);
	policy_event(&v, "", REASON_PAM_ACCOUNT);
	visit_result(&v, LOGIN_DISCONNECT, REASON_PAM_ACCOUNT);
	end_expect_none(&b, &b.policy, MSG_IDENTITY, 50);
	visit_end(&v);
	/* so is PAM's end without a word */
	visit_begin(&v, &b, 3, SOURCE, 3);
	v.role = ROLE_AUDITOR;
	play_key(&v);
	play_begin(&b, &pam, 0, "lodge");
	end_close(&pam);
	policy_event(&v, "", REASON_PAM_TROUBLE);
	visit_result(&v, LOGIN_DISCONNECT, REASON_PAM_TROUBLE);
	visit_end(&v);
	/* a manager: by a service of their own */
	visit_begin(&v, &b, 4, SOURCE, 4);
	v.role = ROLE_MANAGER;
	play_key(&v);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	visit_step(&v, LOGIN_KEYBOARD);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "staff");
	play_ask(&pam);
	visit_prompt(&v, v.ask);
	visit_end(&v);
	end_expect_closed(&b, &pam);
	end_close(&pam);
	bench_end(&b);
}

/* Whoever rides on an earlier code has an account all the same; when PAM wants more than that, the ride is over. */
static void
grace_and_the_account(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_login(&v, &pam, PAM_WHAT_AUTHENTICATE);
	end_expect_closed(&b, &pam);
	visit_end(&v);
	for (uint8_t i = 0; i < 2; i++) {
		visit_begin(&v, &b, 2u + i, SOURCE, (uint8_t)(2 + i));
		play_key(&v);
		play_begin(&b, &pam, 0, "lodge");
		if (i == 0)
			play_says(&pam, REASON_PAM_ACCOUNT);
		else
			play_ask(&pam);
		visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
		end_expect_none(&b, &b.policy, MSG_IDENTITY, 50);
		visit_step(&v, LOGIN_KEYBOARD);
		play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
		play_ask(&pam);
		visit_prompt(&v, v.ask);
		visit_end(&v);
	}
	end_close(&pam);
	bench_end(&b);
}

/* PAM's last words come before the verdict, in a round without a prompt. */
static void
last_words(void **state)
{
	struct end pam = {0};
	struct wire texts = {0};
	struct bench b;
	struct visit v;
	const struct msg_prompts *p;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_key(&v);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	visit_step(&v, LOGIN_KEYBOARD);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_ask(&pam);
	visit_prompt(&v, v.ask);
	visit_answer(&v, "123456");
	(void)end_expect(&b, &pam, MSG_PAM_ANSWERS);
	wire_put_u8(&texts, 2);
	wire_put_text(&texts, bytes_text("your password was changed"));
	peer_post(pam.peer, PAM_PROMPTS, pam_prompts, .count = 1, .prompts = wire_bytes(&texts));
	wire_free(&texts);
	(void)end_expect(&b, &pam, MSG_PAM_ANSWERS);
	play_says(&pam, REASON_NONE);
	end_close(&pam);
	p = &end_expect(&b, &v.s, MSG_PROMPTS)->prompts;
	assert_int_equal(p->count, 0);
	assert_true(bytes_are(p->instruction, "your password was changed"));
	end_expect_none(&b, &b.policy, MSG_IDENTITY, 50);
	peer_post(v.s.peer, ANSWERS, answers, .ask = v.ask, .count = 0, .answers = bytes_of(NULL, 0));
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	visit_end(&v);
	bench_end(&b);
}

/* With PAMSession lodge-pam stays for as long as the visit, graced or not, and no longer. */
static void
a_pam_session_lasts(void **state)
{
	struct end first = {0}, second = {0};
	struct bench b;
	struct visit v, w;
	int status;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT "PAMSession yes\n");
	visit_begin(&v, &b, 1, SOURCE, 1);
	play_login(&v, &first, PAM_WHAT_AUTHENTICATE | PAM_WHAT_SESSION);
	visit_begin(&w, &b, 2, SOURCE, 2);
	play_key(&w);
	play_begin(&b, &second, PAM_WHAT_SESSION, "lodge");
	play_says(&second, REASON_NONE);
	policy_identity(&w, FACTOR_KEY | FACTOR_GRACE, 1, 0);
	policy_held(&w, REASON_NONE);
	visit_result(&w, LOGIN_SUCCESS, REASON_NONE);
	end_expect_none(&b, &b.gateway, MSG_STOP, 100);
	assert_false(first.closed || second.closed);
	visit_end(&w);
	end_expect_closed(&b, &second);
	assert_false(first.closed);
	/* auth's death ends it too */
	assert_int_equal(kill(b.auth, SIGKILL), 0);
	assert_int_equal(waitpid(b.auth, &status, 0), b.auth);
	end_expect_closed(&b, &first);
	end_close(&b.gateway);
	end_close(&b.policy);
	bench_auth_start(&b);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 1);
	/* refused after PAM's yes: no session stays */
	visit_begin(&w, &b, 3, SOURCE, 3);
	play_key(&w);
	play_begin(&b, &second, PAM_WHAT_SESSION, "lodge");
	play_says(&second, REASON_NONE);
	policy_identity(&w, FACTOR_KEY | FACTOR_GRACE, 1, 0);
	policy_held(&w, REASON_PERSON_SUSPENDED);
	visit_result(&w, LOGIN_DISCONNECT, REASON_PERSON_SUSPENDED);
	end_expect_closed(&b, &second);
	visit_end(&w);
	end_close(&v.s);
	end_close(&first);
	end_close(&second);
	bench_end(&b);
}

#define MANY 18

/* At most sixteen accounts are examined at once; more wait their turn, and nobody is refused for it. */
static void
many_at_once(void **state)
{
	struct end pam[MANY] = {0};
	struct visit v[MANY];
	struct bench b;

	(void)state;
	bench_begin(&b, "publickey", NO_WAIT);
	for (uint8_t i = 0; i < MANY; i++) {
		visit_begin(&v[i], &b, 1u + i, SOURCE, (uint8_t)(1 + i));
		play_key(&v[i]);
		if (i < 16)
			play_begin(&b, &pam[i], 0, "lodge");
	}
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 100);
	play_says(&pam[3], REASON_NONE);
	policy_identity(&v[3], FACTOR_KEY, 1, 0);
	play_begin(&b, &pam[16], 0, "lodge");
	visit_end(&v[5]); /* leaves: its turn is over too */
	play_begin(&b, &pam[17], 0, "lodge");
	for (uint8_t i = 16; i < MANY; i++) {
		play_says(&pam[i], REASON_NONE);
		policy_identity(&v[i], FACTOR_KEY, 1, 0);
	}
	for (size_t i = 0; i < MANY; i++) {
		if (i != 5)
			visit_end(&v[i]);
		end_close(&pam[i]);
	}
	bench_end(&b);
}

/* A proof that somebody kept is good on its own connection and on no other, while that lives and afterwards. */
static void
an_identifier_is_one_connections(void **state)
{
	uint8_t hash[32];
	struct bench b;
	struct visit v, w;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	visit_key(&v);
	memset(hash, 1, sizeof(hash));
	for (uint64_t i = 2; i < 5; i++) {
		w = (struct visit){.b = &b, .conn = i, .login = "alice+osv1"};
		visit_relink(&w, "192.0.2.66");
		peer_post(w.s.peer, SIGN, sign, .ask = 1, .leg = 0, .hash = bytes_of(hash, sizeof(hash)));
		policy_suspect(&w);
		end_expect_closed(&b, &w.s);
		visit_end(&w);
		if (i == 2)
			visit_end(&v);
		if (i == 3) {
			bench_auth_kill(&b);
			bench_auth_start(&b);
		}
	}
	bench_end(&b);
}

/* What only a session can have done is told to policy; what a client may have done is not. */
static void
who_is_to_blame(void **state)
{
	uint8_t other[32] = {9};
	struct wire text = {0}, signature = {0};
	struct person_key stranger;
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	key_make(&stranger);
	visit_begin(&v, &b, 1, SOURCE, 1);
	/* the client's doing: bound to another host, a signature by another key */
	assert_false(visit_prove(&v, &b.alice, id_of(&v), v.login, b.alice.blob));
	proof_make(&stranger, id_of(&v), v.login, NULL, &text, &signature);
	{
		struct wire hers = {0}, unused = {0};

		proof_make(&b.alice, id_of(&v), v.login, NULL, &hers, &unused);
		assert_false(
		    visit_proof(&v, bytes_of(b.alice.blob, 51), wire_bytes(&hers), wire_bytes(&signature)));
		wire_free(&hers);
		wire_free(&unused);
	}
	end_expect_none(&b, &b.policy, MSG_SUSPECT, 50);
	/* the session's: another connection's identifier, another key than in the text, another name than in the text */
	assert_false(visit_prove(&v, &b.alice, bytes_of(other, sizeof(other)), v.login, NULL));
	policy_suspect(&v);
	assert_false(visit_proof(&v, bytes_of(b.alice.blob, 51), wire_bytes(&text), wire_bytes(&signature)));
	policy_suspect(&v);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), "maria", NULL));
	visit_step(&v, LOGIN_PUBLICKEY);
	policy_person(&v, "alice", REASON_NONE);
	policy_suspect(&v);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	wire_free(&text);
	wire_free(&signature);
	EVP_PKEY_free(stranger.pkey);
	visit_end(&v);
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(not_now_and_not_from_there),
	    cmocka_unit_test(a_pin_is_wanted),
	    cmocka_unit_test(counters),
	    cmocka_unit_test(the_same_proof_after_a_restart),
	    cmocka_unit_test(bound_to_this_host),
	    cmocka_unit_test(what_each_role_shows),
	    cmocka_unit_test(grace_and_the_account),
	    cmocka_unit_test(last_words),
	    cmocka_unit_test(a_pam_session_lasts),
	    cmocka_unit_test(many_at_once),
	    cmocka_unit_test(an_identifier_is_one_connections),
	    cmocka_unit_test(who_is_to_blame),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
