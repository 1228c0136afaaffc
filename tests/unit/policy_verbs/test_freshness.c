/* Codes given anew: deciding verbs of who rides on MFAGrace, and targets that want a code of their own. */
#include <stdio.h>

#include "base/clock.h"
#include "bench.h"
#include "decide.h"
#include "fresh.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define RIDES (FACTOR_KEY | FACTOR_GRACE)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

static int64_t
factors_of(struct bench *b, const struct seat *s)
{
	struct rows found;
	int64_t factors;

	assert_int_equal(store_list(b->policy.store, QUERY_VISITOR_OF_CONN, &found, ARG_INT((int64_t)s->conn)), 1);
	factors = rows_at(&found, visitor, 0)->factors;
	rows_free(&found);
	return (factors);
}

static int64_t
state_of(struct bench *b, int64_t request)
{
	struct request r = {.id = request};

	assert_int_equal(request_get(b->policy.store, &r), 1);
	return (r.state);
}

static void
intent(struct seat *s, uint32_t number, const char *target)
{
	peer_post(
	    s->peer, INTENT, intent, .ask = number, .target = bytes_text(target), .account = bytes_text("svc"));
	settle(s->bench);
}

static void
strict_is(struct bench *b)
{
	struct seat *root = seat_root(b);
	char words[512];

	snprintf(words, sizeof(words),
	    "target add strict --address 127.0.0.1:2223 --account svc --fresh-code yes --host-key %s",
	    key_line(70));
	expect(root, words, 0, "added");
}

static void
a_verb_waits_for_its_code(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1), *maria;

	house_link(b);
	expect(alice, "request osv1", 0, "request 1");
	expect(alice, "request osv1 --account root", 0, "request 2");
	maria = seat_login(b, "maria", RIDES, 0);
	expect(maria, "requests", 0, "alice");
	assert_int_equal(h->codes, 0);
	say_only(maria, "approve 1");
	assert_int_equal(h->codes, 1);
	assert_int_equal(h->code_conn, maria->conn);
	assert_int_equal(h->code_ask, maria->ask);
	assert_false(maria->ended);
	assert_string_equal(maria->out, "");
	assert_int_equal(state_of(b, 1), STATE_ASKED); /* nothing was done */
	/* answers that nobody waits for */
	code_answered(b, maria->conn, maria->ask + 1, REASON_NONE);
	code_answered(b, alice->conn, maria->ask, REASON_NONE);
	assert_false(maria->ended);
	code_answered(b, maria->conn, maria->ask, REASON_NONE);
	assert_true(maria->ended);
	assert_int_equal(maria->status, 0);
	assert_non_null(strstr(maria->out, "request 1 is approved"));
	assert_int_equal(state_of(b, 1), STATE_APPROVED);
	expect_event(b, "login.fresh-code", "\"what\":\"approve\"");
	expect_event(b, "login.fresh-code", "\"outcome\":\"success\"");
	assert_int_equal(factors_of(b, maria), RIDES | FACTOR_FRESH);
	/* and is not asked again, here; the answer is kept */
	expect(maria, "approve 2", 0, "request 2 is approved");
	assert_int_equal(h->codes, 1);
	assert_int_equal(say_again(maria, "approve 2"), 0);
	/* on another connection she is */
	maria = seat_login(b, "maria", RIDES, 0);
	say_only(maria, "revoke 1");
	assert_int_equal(h->codes, 2);
	seat_leave(maria);
	/* who gave a code, or whose proof is bound to this host, is not */
	maria = seat_login(b, "maria", RIDES, 1);
	expect(maria, "revoke 2", 0, "taken back");
	assert_int_equal(h->codes, 2);
}

static void
no_code_no_verb(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1), *maria = seat_login(b, "maria", RIDES, 0);

	expect(alice, "request osv1", 0, "request 1");
	expect(maria, "approve 1", 69, "[auth-away]"); /* nobody is there to ask */
	house_link(b);
	b->heard.code_answer = REASON_WRONG_CODE;
	expect(maria, "approve 1", 77, "[fresh-code]");
	expect_event(b, "login.fresh-code", "wrong-code");
	expect_event(b, "verb.refused", "fresh-code");
	expect(maria, "deny 1", 77, "[fresh-code]");
	expect(maria, "end --all", 77, "[fresh-code]");
	expect(maria, "person suspend alice", 77, "[fresh-code]");
	expect(maria, "person invite alice", 77, "[fresh-code]");
	assert_int_equal(state_of(b, 1), STATE_ASKED);
	assert_int_equal(factors_of(b, maria), RIDES);
	/* said again over a new link: the same no, and no second question */
	b->heard.codes = 0;
	assert_int_equal(say_again(maria, "person invite alice"), 77);
	assert_int_equal(b->heard.codes, 0);
}

static void
it_lapses(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1), *maria = seat_login(b, "maria", RIDES, 0);

	house_link(b);
	expect(alice, "request osv1 --for 8h", 0, "request 1");
	say_only(maria, "approve 1");
	clocks_turn(b, FRESH_MS - 1000, 0);
	assert_false(maria->ended);
	clocks_turn(b, 2000, 0);
	assert_true(maria->ended);
	assert_int_equal(maria->status, 77);
	assert_non_null(strstr(maria->err, "[fresh-code]"));
	code_answered(b, maria->conn, maria->ask, REASON_NONE); /* too late */
	assert_int_equal(state_of(b, 1), STATE_ASKED);
	assert_int_equal(factors_of(b, maria), RIDES);
}

static void
auth_and_people_come_and_go(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1), *maria = seat_login(b, "maria", RIDES, 0);

	house_link(b);
	strict_is(b);
	expect(alice, "request osv1", 0, "request 1");
	say_only(maria, "approve 1");
	assert_int_equal(h->codes, 1);
	house_link(b); /* auth is another one: it is asked again */
	assert_int_equal(h->codes, 2);
	assert_int_equal(h->code_ask, maria->ask);
	/* two wait at once: one is with auth at a time, a good code answers both */
	intent(maria, 900, "strict");
	assert_int_equal(h->codes, 2);
	code_answered(b, maria->conn, 900, REASON_NONE); /* not that one */
	assert_int_equal(maria->intents, 0);
	code_answered(b, maria->conn, maria->ask, REASON_NONE);
	assert_int_equal(state_of(b, 1), STATE_APPROVED);
	assert_int_equal(maria->intents, 1);
	assert_int_equal(maria->intent_reason, REASON_NONE);
	assert_int_equal(h->codes, 2);
	/* she hangs up: nobody waits any more */
	maria = seat_login(b, "maria", RIDES, 0);
	say_only(maria, "revoke 1");
	assert_int_equal(h->codes, 3);
	peer_post(maria->peer, VERB_GONE, verb_gone, .ask = maria->ask);
	settle(b);
	code_answered(b, maria->conn, maria->ask, REASON_NONE);
	assert_int_equal(state_of(b, 1), STATE_APPROVED);
	assert_int_equal(factors_of(b, maria), RIDES);
	/* policy is another one: her session says it again, and she is asked again */
	say_only(maria, "revoke 1");
	assert_int_equal(h->codes, 4);
	policy_renew(maria);
	maria->ask--;
	say_only(maria, "revoke 1");
	assert_int_equal(h->codes, 5);
	code_answered(b, maria->conn, maria->ask, REASON_NONE);
	settle(b);
	assert_true(maria->ended);
	assert_non_null(strstr(maria->out, "taken back"));
}

/* ---- targets ---- */

static void
an_outer_login(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *alice;
	size_t visitors;

	house_link(b);
	strict_is(b);
	visitors = events_named(b, "login");
	alice = seat_stranger(b);
	intent(alice, 0, "strict");
	identity_say(b, alice, "alice", RIDES, 1);
	assert_int_equal(h->identity_reason, REASON_FRESH_CODE);
	assert_int_equal(events_named(b, "login"), visitors); /* nobody is in yet */
	identity_say(b, alice, "alice", KEY_AND_CODE, 1);
	assert_int_equal(h->identity_reason, REASON_NONE);
	assert_int_equal(factors_of(b, alice), KEY_AND_CODE);
	alice = seat_stranger(b);
	intent(alice, 0, "strict");
	identity_say(b, alice, "alice", FACTOR_KEY, 1);
	assert_int_equal(h->identity_reason, REASON_FRESH_CODE);
	/* another target, none, and one that is not there do not want it */
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"osv1", "", "nowhere"};

		alice = seat_stranger(b);
		intent(alice, 0, names[i]);
		identity_say(b, alice, "alice", RIDES, 1);
		assert_int_equal(h->identity_reason, REASON_NONE);
	}
}

static void
an_inner_login(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *alice, *rides;

	house_link(b);
	strict_is(b);
	alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	intent(alice, 7, "strict");
	assert_int_equal(alice->intent_ask, 7);
	assert_int_equal(alice->intent_reason, REASON_NONE);
	rides = seat_login(b, "alice", RIDES, 1);
	intent(rides, 7, "osv1");
	assert_int_equal(rides->intents, 1);
	assert_int_equal(rides->intent_reason, REASON_NONE);
	assert_int_equal(h->codes, 0);
	intent(rides, 8, "strict");
	intent(rides, 8, "strict"); /* said twice: asked once */
	assert_int_equal(h->codes, 1);
	assert_int_equal(h->code_ask, 8);
	assert_int_equal(rides->intents, 1);
	code_answered(b, rides->conn, 8, REASON_WRONG_CODE);
	assert_int_equal(rides->intents, 2);
	assert_int_equal(rides->intent_reason, REASON_FRESH_CODE);
	expect_event(b, "login.fresh-code", "\"target\":\"strict\"");
	intent(rides, 9, "strict");
	code_answered(b, rides->conn, 9, REASON_NONE);
	assert_int_equal(rides->intents, 3);
	assert_int_equal(rides->intent_ask, 9);
	assert_int_equal(rides->intent_reason, REASON_NONE);
	assert_int_equal(factors_of(b, rides), RIDES | FACTOR_FRESH);
	intent(rides, 10, "strict"); /* it was given on this connection */
	assert_int_equal(rides->intents, 4);
	assert_int_equal(h->codes, 2);
	rides = seat_login(b, "alice", RIDES, 1);
	intent(rides, 3, "strict");
	clocks_turn(b, FRESH_MS + 1000, 0);
	assert_int_equal(rides->intent_reason, REASON_FRESH_CODE);
	/* nobody vouched yet, and nobody to ask */
	rides = seat_stranger(b);
	intent(rides, 3, "strict");
	assert_int_equal(rides->intent_reason, REASON_AUTH_AWAY);
	/* as many as may wait at once */
	rides = seat_login(b, "alice", RIDES, 1);
	for (uint32_t i = 0; i < 32; i++)
		intent(rides, 100 + i, "strict");
	assert_int_equal(rides->intents, 0);
	intent(rides, 132, "strict");
	assert_int_equal(rides->intents, 1);
	assert_int_equal(rides->intent_reason, REASON_LIMIT);
}

/* The rule behind all of it: whoever got in without one gets no channel. */
static void
the_rule(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *rides, *alice;

	house_link(b);
	strict_is(b);
	alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	expect(alice, "request strict", 0, "request 1");
	expect(maria, "approve 1", 0, "approved");
	rides = seat_login(b, "alice", RIDES, 1);
	ask(rides, 1, ASK_SHELL, "strict", "");
	assert_int_equal(rides->verdict, VERDICT_DENY);
	assert_int_equal(rides->reason, REASON_FRESH_CODE);
	expect(rides, "explain strict", 0, "NO   code");
	expect(rides, "explain strict", 0, "rides on an earlier one");
	expect(rides, "menu", 0, "[fresh-code]");
	expect(alice, "explain strict", 0, "strict wants a code of its own, and has it");
	expect(maria, "explain strict --person alice", 0, "no connection to judge");
	/* whose role gives no code at all is no better off */
	rides = seat_login(b, "alice", FACTOR_KEY, 1);
	ask(rides, 1, ASK_SHELL, "strict", "");
	assert_int_equal(rides->reason, REASON_FRESH_CODE);
	expect(rides, "explain strict", 0, "and this connection gave none");
	ask(alice, 1, ASK_SHELL, "strict", "");
	assert_int_not_equal(alice->verdict, VERDICT_DENY);
	assert_int_equal(code_of(0), CODE_UNKNOWN);
	assert_int_equal(code_of(FACTOR_KEY), CODE_NONE);
	assert_int_equal(code_of(FACTOR_KEY | FACTOR_PAM), CODE_OWN);
	assert_int_equal(code_of(RIDES), CODE_EARLIER);
	assert_int_equal(code_of(RIDES | FACTOR_FRESH), CODE_OWN);
}

const struct CMUnitTest freshness[] = {TEST(a_verb_waits_for_its_code), TEST(no_code_no_verb), TEST(it_lapses),
    TEST(auth_and_people_come_and_go), TEST(an_outer_login), TEST(an_inner_login), TEST(the_rule)};
const size_t freshness_count = sizeof(freshness) / sizeof(freshness[0]);
