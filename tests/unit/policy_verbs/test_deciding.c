/* request, withdraw, approve, deny, extend, revoke, end: each once good, and each refusal. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

static void
a_yes(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);

	expect(alice, "request osv1 --for 90m --why \"kernel dump\" --ticket INC1", 0,
	    "request 1: osv1 as svc for 1h30m from now; asked of maria, mona; it lapses ");
	expect_event(b, "request.asked", "\"why\":\"kernel dump\"");
	expect(maria, "requests", 0, "kernel dump");
	expect(maria, "show #1", 0, "alice, Alice Engineer, of vendor unify");
	expect(maria, "approve 1 --for 20s", 0,
	    "request 1 is approved: alice on osv1 as svc (shell,exec,upload,download), from now until ");
	expect_event(b, "request.approved", "\"user\":{\"name\":\"maria\"");
	expect(alice, "explain osv1", 0, "would get in now: ssh alice+osv1+svc@lodge");
	expect(alice, "menu", 0, "open until");
	expect(maria, "extend 1 --for 30m", 0, "the window now ends");
	expect(maria, "revoke 1 --why \"wrong node\"", 0, "request 1: the approval is taken back");
	expect_event(b, "grant.revoked", "wrong node");
	expect(alice, "explain osv1", 0, "no approved window for alice on osv1");
}

static void
two_managers_have_one_outcome(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *mona = seat_login(b, "mona", KEY_AND_CODE, 1);

	expect(alice, "request osv1", 0, "request 1");
	maria->ask++;
	mona->ask++;
	peer_post(maria->peer, VERB, verb, .ask = maria->ask, .words = bytes_text("approve 1"));
	peer_post(mona->peer, VERB, verb, .ask = mona->ask, .words = bytes_text("deny 1"));
	settle(b);
	settle(b);
	assert_true(maria->ended && mona->ended);
	assert_int_equal((maria->status == 0) + (mona->status == 0), 1);
	assert_int_equal(events_named(b, "request.approved") + events_named(b, "request.denied"), 1);
	assert_non_null(strstr(maria->status == 0 ? mona->err : maria->err, "[state] request 1 is "));
	expect(maria, "approve 1", 77, "[state]");
	expect(mona, "deny 1", 77, "[state]");
}

static void
the_same_verb_again_does_nothing_twice(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	char first[1024];

	expect(alice, "request osv1", 0, "request 1");
	expect(maria, "approve 1 --for 1h", 0, "approved");
	snprintf(first, sizeof(first), "%.1000s", maria->out);
	assert_int_equal(say_again(maria, "approve 1 --for 1h"), 0);
	assert_string_equal(maria->out, first);
	assert_int_equal(events_named(b, "request.approved"), 1);
	assert_int_equal(say_again(alice, "request osv1"), 0);
	assert_int_equal(events_named(b, "request.asked"), 1);
}

static void
nothing_is_said_before_the_book_holds_it(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);

	expect(alice, "request osv1", 0, "request 1");
	book_stall(b);
	say_only(maria, "approve 1");
	assert_false(maria->ended);
	assert_string_equal(maria->out, "");
	say_only(alice, "withdraw 1");
	assert_false(alice->ended);
	book_go_on(b);
	settle(b);
	settle(b);
	assert_true(maria->ended && alice->ended);
	assert_int_equal(maria->status, 0);
}

static void
windows(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *root = seat_root(b);
	struct grant g = {.id = 1};

	maria->zone = "Europe/Berlin";
	expect(alice, "request osv1", 0, "for 2h");
	expect(maria, "approve 1 --for 1y", 64, "a span from 1s to 1d");
	expect(maria, "approve 1 --for 25h", 64, "--for 25h");
	expect(maria, "approve 1 --until 2001-01-01", 64, "end before it begins");
	expect(maria, "approve 1 --until 2199-01-01", 64, "MaxWindow");
	expect(maria, "approve 1 --for 1h --until 23:00", 64, "the same twice");
	expect(maria, "approve 1 --without shell,exec,upload,download", 64, "leaves nothing");
	expect(maria, "approve 1 --without flying", 64, "what may be left out");
	expect(maria, "approve 1 --for 2h --without exec,upload,download", 0, "(shell)");
	assert_non_null(strstr(maria->out, " UTC)")); /* both zones */
	assert_int_equal(grant_get(b->policy.store, &g), 1);
	assert_int_equal(g.capabilities, CAPABILITY_SHELL);
	assert_int_equal(g.state, STATE_OPEN);
	assert_true(g.ends_boot - clock_boot_ms() <= 7200000 && g.ends_boot - clock_boot_ms() > 7190000);
	expect(maria, "extend 1 --for 23h", 64, "MaxWindow");
	expect(maria, "extend 1", 64, "by how much?");
	expect(alice, "withdraw 1", 0, "given back");
	expect(maria, "extend 1 --for 1h", 77, "[state] request 1 is closed");
	/* ahead */
	expect(alice, "request osv1 --from 2199-01-01", 64, "ahead");
	expect(alice, "request osv1 --from 2001-01-01", 64, "has passed");
	expect(alice, "request osv1 --account root", 0, "request 2: osv1 as root");
	expect(alice, "request osv1 --account root", 77, "[state] request 2 of yours");
	expect(maria, "approve 2 --from 23:59 --for 1h", 0, "request 2 is approved");
	expect(alice, "withdraw 2", 0, "given back");
	/* the contract caps */
	expect(root, "vendor change unify --until 23:59", 0, "changed");
	expect(alice, "request osv1 --for 24h", 0, "request 3");
	expect(maria, "approve 3", 0, "until");
	g.id = 3;
	assert_int_equal(grant_get(b->policy.store, &g), 1);
	assert_true(g.ends_at - g.begins_at < 24 * 3600000);
}

static void
who_may_not(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *umar = seat_login(b, "umar", KEY_AND_CODE, 1);
	struct seat *otto = seat_login(b, "otto", KEY_AND_CODE, 1), *root = seat_root(b), *rides, *bound, *bob;

	expect(alice, "request osv1", 0, "request 1");
	expect(alice, "approve 1", 77, "[role]");
	expect_event(b, "verb.refused", "\"what\":\"approve\"");
	expect(otto, "approve 1", 77, "[role]");
	expect(root, "approve 1", 77, "[role]");
	expect(root, "deny 1", 77, "[role]");
	expect(root, "extend 1 --for 1h", 77, "[role]");
	expect(umar, "approve 1", 77, "[own-vendor]");
	expect_event(b, "verb.refused", "own-vendor");
	expect(umar, "deny 1", 77, "[own-vendor]");
	house_link(b);
	b->heard.code_answer = REASON_WRONG_CODE;
	rides = seat_login(b, "maria", FACTOR_KEY | FACTOR_GRACE, 0);
	expect(rides, "approve 1", 77, "[fresh-code]");
	expect(rides, "deny 1", 77, "[fresh-code]");
	expect(rides, "revoke 1", 77, "[fresh-code]");
	expect(rides, "end --all", 77, "[fresh-code]");
	expect(rides, "person suspend alice", 77, "[fresh-code]");
	expect(rides, "requests", 0, "alice");
	/* Not everybody's: another engineer's request, one that is not there, none at all. */
	bob = seat_login(b, "bob", KEY_AND_CODE, 1);
	expect(bob, "show 1", 77, "[not-found]");
	expect(bob, "withdraw 1", 77, "[not-found]");
	expect(bob, "explain osv1 --person alice", 77, "[role]");
	bound = seat_login(b, "maria", FACTOR_KEY | FACTOR_GRACE, 1);
	expect(bound, "show 99", 77, "[not-found]");
	expect(bound, "approve x", 64, "not a number");
	/* She who asked is made a manager: still not her own. */
	expect(root, "person change alice --role manager --vendor \"\"", 0, "changed");
	alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	expect(alice, "approve 1", 77, "[own-request]");
	expect(bound, "approve 1", 0, "approved");
}

static void
asking_badly(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *root = seat_root(b);
	char words[1200];

	expect(alice, "request", 64, "request takes: TARGET");
	expect(alice, "request osv9", 77, "[unknown-target]");
	expect(alice, "request osv1 --account nobody", 77, "[unknown-account]");
	expect(alice, "request osv1 --for soon", 64, "--for soon");
	expect(alice, "request osv1 --from noon", 64, "--from noon");
	snprintf(words, sizeof(words), "request osv1 --why %01000d", 1);
	expect(alice, words, 64, "--why: at most 512 bytes");
	expect(alice, "request osv1 --why \"\x1b[2J\"", 64, "control characters");
	expect(alice, "request osv1 --why \"\xe2\x80\xae txt\"", 64, "control characters");
	expect(alice, "request osv1 --why \"\xff\"", 64, "not UTF-8");
	expect(alice, "fly", 64, "no verb");
	expect(alice, "", 64, "no terminal to show a menu on; try: ssh -t alice@lodge");
	expect(root, "", 64, "no verb");
	expect(maria, "deny 1", 77, "[not-found]");
	expect(alice, "request osv1 --why \xc3\xbc\x62\x65r", 0, "request 1");
	expect(maria, "deny 1 --why \"not tonight\"", 0, "is denied: not tonight");
	expect_event(b, "request.denied", "not tonight");
	expect(alice, "show 1", 0, "not tonight");
	expect(alice, "withdraw 1", 77, "[state] request 1 is denied already, by maria");
	expect(maria, "revoke 1", 77, "[state]");
	expect(root, "target suspend osv1", 0, "suspended");
	expect(alice, "request osv1", 77, "[unknown-target]");
}

/* What stands in the database by another way than our parser is shown clean all the same. */
static void
hostile_text_stays_off_terminals(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct request r = {.id = 1};
	static const char *const verbs[] = {
	    "requests", "show 1", "menu", "requests --json", "show 1 --json", "deny 1 --why no"};

	expect(alice, "request osv1", 0, "request 1");
	assert_int_equal(request_get(b->policy.store, &r), 1);
	TEXT_COPY(r.why, "\x1b]0;owned\a\x1b[2J\r\n\xc2\x9b\xff fine");
	TEXT_COPY(r.ticket, "\x1b[31m");
	policy_begin(&b->policy);
	assert_int_equal(request_set(b->policy.store, &r), 0);
	policy_commit(&b->policy);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		assert_int_equal(say(maria, verbs[i]), 0);
		expect_clean(maria->out);
		assert_null(strstr(maria->out, "\xc2\x9b"));
	}
}

static void
ask_post(struct seat *s, uint32_t ask)
{
	peer_post(
	    s->peer, ASK, ask, .ask = ask, .kind = ASK_SHELL, .target = bytes_text("osv1"), .pty = 1, .wait_ok = 1);
	settle(s->bench);
}

static void
who_waits_and_who_is_in(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1), *bob = seat_login(b, "bob", KEY_AND_CODE, 1);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *root = seat_root(b);
	char long_why[600];
	int64_t ends;

	ask_post(alice, 1001);
	assert_int_equal(alice->verdict, VERDICT_WAIT);
	assert_non_null(strstr(alice->text, "asked of maria, mona;"));
	ask_post(bob, 1001);
	snprintf(long_why, sizeof(long_why),
	    "deny 2 --why "
	    "busy%0370d\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
	    0);
	expect(maria, long_why, 0, "denied"); /* wherever it is cut, it is cut between letters */
	settle(b);
	assert_int_equal(bob->verdict, VERDICT_DENY);
	assert_non_null(strstr(bob->text, "maria denied request 2: busy"));
	expect(maria, "approve 1 --for 10m", 0, "approved");
	settle(b);
	assert_int_equal(alice->leases, 1);
	ends = alice->lease_ends;
	expect(maria, "sessions", 0, "osv1 as svc");
	/* An extension is told when the book holds it, though she who gave it has left. */
	book_stall(b);
	say_only(maria, "extend 1 --for 10m");
	assert_int_equal(alice->leases, 1);
	peer_post(maria->peer, VERB_GONE, verb_gone, .ask = maria->ask);
	settle(b);
	book_go_on(b);
	settle(b);
	assert_int_equal(alice->leases, 2);
	assert_int_equal(alice->lease_ends, ends + 600000);
	/* Three ways to cut off. */
	expect(maria, "revoke 1 --why \"wrong node\"", 0, "taken back");
	settle(b);
	assert_int_equal(alice->ends, 1);
	assert_int_equal(alice->end_reason, REASON_REVOKED);
	assert_non_null(strstr(alice->text, "maria took the approval back: wrong node"));
	expect(maria, "end", 64, "end whom?");
	expect(maria, "end 1 --all", 64, "end whom?");
	expect(maria, "end 99", 77, "[not-found]");
	expect(root, "end --vendor acme --why late", 0, "1 session is cut off");
	settle(b);
	assert_int_equal(bob->ends, 1);
	assert_int_equal(bob->end_reason, REASON_ENDED_BY_MANAGER);
	assert_non_null(strstr(bob->text, "root ended the session: late"));
	expect_event(b, "session.end-ordered", "\"target\":{\"name\":\"bob\"}");
	expect(root, "end --target osv9", 77, "[not-found]");
}

/* On the box the kernel says who it is: mona is 4711, 4712 is nobody, root never approves. */
static void
on_the_box(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1), *root = seat_root(b), *mona, *nobody;

	if (geteuid() != 0)
		skip();
	mona = seat_box(b, 4711);
	nobody = seat_box(b, 4712);
	expect(alice, "request osv1", 0, "request 1");
	expect(nobody, "requests", 77, "[unknown-person] your Unix user id, 4712");
	expect(mona, "requests", 0, "alice");
	expect(root, "approve 1", 77, "[role]");
	expect(mona, "approve 1", 0, "approved");
	expect_event(b, "request.approved", "\"user\":{\"name\":\"mona\"");
	expect(root, "person suspend mona", 0, "suspended");
	expect(mona, "requests", 77, "[role]"); /* at once */
	mona = seat_box(b, 4711);
	expect(mona, "requests", 77, "[role]");
}

const struct CMUnitTest deciding[] = {TEST(on_the_box), TEST(a_yes), TEST(two_managers_have_one_outcome),
    TEST(the_same_verb_again_does_nothing_twice), TEST(nothing_is_said_before_the_book_holds_it), TEST(windows),
    TEST(who_may_not), TEST(asking_badly), TEST(hostile_text_stays_off_terminals), TEST(who_waits_and_who_is_in)};
const size_t deciding_count = sizeof(deciding) / sizeof(deciding[0]);
