/*
 * The verbs at auth's own door: what they do, which words are refused, that policy decides, and what a vault key that is wrong,
 * missing or new does to them.  The real lodge-auth; the test is gateway, policy, a session and `lodge`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keeping.h"

static void
the_verbs(void **state)
{
	struct bench b;

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has("no secrets");
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret pass"), 0);
	said_has("osv1+srx: the password is kept");
	assert_int_equal(lodge_verb(&b, "secret list --json", NULL), 0);
	said_has("\"target\": \"osv1\"");
	said_has("\"account\": \"srx\"");
	said_has("\"kind\": \"password\"");
	said_has("\"state\": \"open\"");
	said_has("\"set_by\": \"root\"");
	said_has("\"rotate\": \"never\"");
	said_has_not("\"used\"");
	said_has_not("s3cret");
	assert_int_equal(lodge_verb(&b, "secret rotate " ABOUT " --when always --json", NULL), 0);
	said_has("\"rotate\": \"always\"");
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has("always");
	said_has_not("s3cret");
	/* What cannot be a password on a target. */
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, ""), 64);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "two\nlines"), 64);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT " --key", "no key"), 64);
	said_has("not a private key");
	assert_int_equal(lodge_verb(&b, "secret generate " ABOUT, NULL), 0);
	said_has("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5");
	said_has("lodge osv1+srx");
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has("SHA256:");
	said_has_not("PRIVATE");
	assert_int_equal(lodge_verb(&b, "secret rotate " ABOUT, NULL), 77);
	assert_int_equal(lodge_verb(&b, "secret remove " ABOUT, NULL), 0);
	assert_int_equal(lodge_verb(&b, "secret remove " ABOUT, NULL), 77);
	bench_vault_end(&b);
}

/* Refused before policy is asked. */
static void
words_that_do_not_fit(void **state)
{
	static const char *const rows[] = {"secret", "secret show osv1+srx", "secret set", "secret set osv1",
	    "secret set osv1+srx hunter2", "secret set ../x+srx", "secret set osv1+srx --force",
	    "secret list osv1+srx", "secret rotate osv1+srx --when", "secret rotate osv1+srx --when often",
	    "person enrol", "person enrol a/b", "person add alice", "events", "secret set osv1+srx --when once",
	    "secret set --key=yes osv1+srx"};
	struct bench b;

	(void)state;
	bench_vault_begin(&b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct end e = {0};

		lodge_open(&b, &e);
		lodge_say(&e, rows[i], NULL);
		if (lodge_heard(&b, &e) != 64)
			fail_msg("\"%s\" is taken", rows[i]);
		said_has_not("hunter2"); /* it is not repeated */
		end_close(&e);
	}
	end_expect_none(&b, &b.policy, MSG_SECRET_ASKED, 50);
	bench_vault_end(&b);
}

static void
policy_decides(void **state)
{
	struct bench b;
	struct end e = {0};

	(void)state;
	bench_vault_begin(&b);
	lodge_open(&b, &e);
	lodge_say(&e, "secret set " ABOUT, "s3cret");
	policy_may(&b, "set", ABOUT, REASON_ROLE);
	assert_int_equal(lodge_heard(&b, &e), 77);
	said_has("lodge: denied [role] no");
	end_close(&e);
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has("no secrets");
	/* It is away, and comes back: asked again, and done once. */
	end_close(&b.policy);
	lodge_open(&b, &e);
	lodge_say(&e, "secret set " ABOUT, "s3cret");
	bench_policy_relink(&b);
	policy_may(&b, "set", ABOUT, REASON_NONE);
	assert_int_equal(lodge_heard(&b, &e), 0);
	policy_done(&b, "set", REASON_NONE);
	end_close(&e);
	/* It does not come back. */
	end_close(&b.policy);
	lodge_open(&b, &e);
	lodge_say(&e, "secret remove " ABOUT, NULL);
	end_expect_none(&b, &e, MSG_VERB_END, 50);
	b.clock[0] += 11000;
	assert_int_equal(lodge_heard(&b, &e), 69);
	said_has("policy-away");
	end_close(&e);
	bench_policy_relink(&b);
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has(ABOUT);
	/* The words, and no secret behind them. */
	lodge_open(&b, &e);
	lodge_say(&e, "secret set " ABOUT, NULL);
	end_expect_none(&b, &e, MSG_VERB_END, 50);
	b.clock[0] += 11000;
	assert_int_equal(lodge_heard(&b, &e), 64);
	end_close(&e);
	bench_vault_end(&b);
}

/* Policy said yes to somebody who had left: nothing is done, and the book is told so. */
static void
they_leave_too_early(void **state)
{
	struct bench b;
	struct end e = {0};
	uint32_t ask;

	(void)state;
	bench_vault_begin(&b);
	lodge_open(&b, &e);
	lodge_say(&e, "secret set " ABOUT, "s3cret");
	ask = end_expect(&b, &b.policy, MSG_SECRET_ASKED)->secret_asked.ask;
	end_close(&e);
	end_expect_none(&b, &b.policy, MSG_SECRET_DONE, 50);
	peer_post(
	    b.policy.peer, SECRET_MAY, secret_may, .ask = ask, .reason = REASON_NONE, .who = bytes_text("root"));
	policy_done(&b, "set", REASON_CLIENT_GONE);
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has("no secrets");
	/* A no is no news. */
	lodge_open(&b, &e);
	lodge_say(&e, "secret set " ABOUT, "s3cret");
	ask = end_expect(&b, &b.policy, MSG_SECRET_ASKED)->secret_asked.ask;
	end_close(&e);
	end_expect_none(&b, &b.policy, MSG_SECRET_DONE, 50);
	peer_post(b.policy.peer, SECRET_MAY, secret_may, .ask = ask, .reason = REASON_ROLE);
	end_expect_none(&b, &b.policy, MSG_SECRET_DONE, 50);
	bench_vault_end(&b);
}

static void
the_key_is_renewed(void **state)
{
	struct bench b;
	struct visit v;

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	/* The wrong one: nothing opens, nothing is written. */
	bench_vault_again(&b, KEY_B, NULL);
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has("it lies under another key than VaultKey (it wants key ");
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "new"), 69);
	assert_int_equal(lodge_verb(&b, "secret generate " ABOUT, NULL), 69);
	visit_in(&v, &b, 1);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_want(&v, STREAM, 0);
	visit_refused(&v, REASON_VAULT);
	policy_told(&v, TARGET_PASSWORD, REASON_VAULT);
	visit_leave(&v);
	/* None at all. */
	bench_vault_again(&b, NULL, NULL);
	assert_int_equal(lodge_verb(&b, "secret list", NULL), 0);
	said_has("there is no vault key");
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "new"), 69);
	/* No key either. */
	bench_vault_again(&b, "not a key", NULL);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "new"), 69);
	/* The new and the old: moved. */
	bench_vault_again(&b, KEY_B, KEY_A);
	assert_int_equal(lodge_verb(&b, "secret list --json", NULL), 0);
	said_has("\"state\": \"open\"");
	bench_vault_again(&b, KEY_B, NULL);
	visit_in(&v, &b, 2);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, "s3cret");
	visit_end(&v);
	bench_vault_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_verbs),
	    cmocka_unit_test(words_that_do_not_fit),
	    cmocka_unit_test(policy_decides),
	    cmocka_unit_test(they_leave_too_early),
	    cmocka_unit_test(the_key_is_renewed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
