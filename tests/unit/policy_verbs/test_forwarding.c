/* What channels of each kind are let in to, and forwarded connections: asked for, approved, walked, refused, ended. */
#include <stdio.h>

#include "asks.h"
#include "bench.h"
#include "visits.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

static struct seat *
alice_with(struct bench *b, const char *request, const char *approve)
{
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);

	house_link(b);
	expect(alice, request, 0, "request 1");
	expect(maria, approve, 0, "approved");
	return (alice);
}

/* The answer to the last ask, and of which kind. */
static void
answered(const struct seat *s, uint32_t number, unsigned verdict, enum reason reason)
{
	if (s->verdict_ask != number || s->verdict != verdict || s->reason != reason)
		fail_msg("ask %u for %u: verdict %u [%s] %s", s->verdict_ask, number, s->verdict,
		    reason_code((enum reason)s->reason), s->text);
}

static void
each_kind_under_one_visit(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1", "approve 1 --without upload,shell");
	uint32_t stream;

	ask(alice, 1, ASK_EXEC, "osv1", "uptime");
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	assert_int_equal(alice->capabilities, CAPABILITY_EXEC | CAPABILITY_DOWNLOAD);
	assert_int_not_equal(alice->host_key_len, 0);
	assert_non_null(strstr(b->facts, "\"capabilities\":\"exec,download\""));
	assert_non_null(strstr(b->facts, "\"what\":\"uptime\""));
	stream = alice->verdict_stream;
	assert_int_equal(b->dials, 1);
	assert_string_equal(b->dial_host, "127.0.0.1");
	assert_int_equal(b->dial_port, 2222);
	/* what else they do there shares its stream */
	ask(alice, 2, ASK_SFTP, "osv1", "");
	answered(alice, 2, VERDICT_ALLOW, REASON_NONE);
	ask(alice, 3, ASK_DOWNLOAD, "osv1", "scp -f /tmp/x");
	answered(alice, 3, VERDICT_ALLOW, REASON_NONE);
	ask(alice, 4, ASK_SUBSYSTEM, "osv1", "netconf");
	answered(alice, 4, VERDICT_ALLOW, REASON_NONE);
	assert_int_equal(alice->verdict_stream, stream);
	assert_int_equal(b->dials, 1);
	ask(alice, 5, ASK_UPLOAD, "osv1", "scp -t /tmp/x");
	answered(alice, 5, VERDICT_DENY, REASON_CAPABILITY);
	assert_non_null(strstr(alice->text, "request 1 was approved without: upload; "));
	expect_event(b, "visit.refused", "\"what\":\"scp -t /tmp/x\"");
	ask(alice, 6, ASK_SHELL, "osv1", "");
	answered(alice, 6, VERDICT_DENY, REASON_CAPABILITY);
	expect_event(b, "visit.refused", "\"what\":\"shell\"");
	ask(alice, 7, 99, "osv1", "");
	answered(alice, 7, VERDICT_DENY, REASON_NOT_SUPPORTED);
	ask(alice, 8, 0, "osv1", "");
	answered(alice, 8, VERDICT_DENY, REASON_NOT_SUPPORTED);
}

/* A channel is let in to a visit that ends at that very moment: it gets another. */
static void
a_visit_that_just_ended(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1", "approve 1");
	uint32_t stream;

	ask(alice, 1, ASK_SHELL, "osv1", "");
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	stream = alice->verdict_stream;
	stream_begins(b, alice, stream);
	peer_post(alice->peer, ASK, ask, .ask = 2, .kind = ASK_EXEC, .target = bytes_text("osv1"),
	    .command = bytes_text("uptime"), .wait_ok = 1);
	peer_post(alice->peer, VISIT, visit, .stream = stream, .what = VISIT_CLOSED, .reason = REASON_DONE);
	settle(b);
	answered(alice, 2, VERDICT_ALLOW, REASON_NONE);
	assert_int_not_equal(alice->verdict_stream, stream);
	assert_int_equal(b->dials, 2);
}

static void
what_a_stream_is_of(void **state)
{
	static const struct {
		unsigned kind;
		const char *command, *what;
	} all[] = {{ASK_SHELL, "", "\"what\":\"shell\""}, {ASK_EXEC, "uptime -p", "\"what\":\"uptime -p\""},
	    {ASK_SFTP, "ignored", "\"what\":\"sftp\""},
	    {ASK_SUBSYSTEM, "netconf", "\"what\":\"subsystem netconf\""},
	    {ASK_UPLOAD, "scp -t .", "\"what\":\"scp -t .\""}};
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1", "approve 1"), *again;
	uint32_t number = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		again = i == 0 ? alice : seat_login(b, "alice", KEY_AND_CODE, 1);
		ask(again, ++number, all[i].kind, "osv1", all[i].command);
		answered(again, number, VERDICT_ALLOW, REASON_NONE);
		if (strstr(b->facts, all[i].what) == NULL)
			fail_msg("%s is not in %s", all[i].what, b->facts);
	}
}

static void
asked_for_and_approved(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct grant g = {.id = 1};
	char words[1200];

	expect(alice, "request osv1 --forward cmp", 64, "--forward cmp: not HOST:PORT");
	expect(alice, "request osv1 --forward cmp:22", 64, "visited, not forwarded");
	expect(alice, "request osv1 --forward cmp:443,CMP:443", 64, "twice");
	expect(alice, "request osv1 --forward 127.0.0.1:2222", 64, "that is the ssh of osv1");
	expect(
	    alice, "request osv1 --forward [::ffff:127.0.0.1]:2222", 64, "127.0.0.1:2222: that is the ssh of osv1");
	expect(alice, "request osv1 --with shell", 64, "besides the usual is agent, x11, reverse, socket");
	expect(alice, "request osv1 --with agent,nonsense", 64, "besides the usual");
	snprintf(words, sizeof(words), "request osv1 --forward cmp:443,%0600d", 1);
	expect(alice, words, 64, "--forward cmp:443,0000");
	expect(alice, "request osv1 --forward CMP:443,10.0.0.7:8443,[2001:DB8::1]:443", 0,
	    "from now, with forwards to cmp:443,10.0.0.7:8443,[2001:db8::1]:443; asked of maria");
	expect_event(b, "request.asked", "\"capabilities\":\"shell,exec,upload,download,forward\"");
	expect_event(b, "request.asked", "\"forwards\":\"cmp:443,10.0.0.7:8443,[2001:db8::1]:443\"");
	expect(alice, "menu", 0, "osv1 as svc, 3 forwards");
	expect(maria, "requests", 0, "osv1 as svc, 3 forwards");
	expect(maria, "requests --json", 0, "\"forwards\": \"cmp:443,10.0.0.7:8443,[2001:db8::1]:443\"");
	expect(maria, "show 1", 0,
	    "May          shell,exec,upload,download,forward to cmp:443,10.0.0.7:8443,[2001:db8::1]:443\n");
	expect(maria, "approve 1", 0,
	    "(shell,exec,upload,download,forward to cmp:443,10.0.0.7:8443,[2001:db8::1]:443)");
	expect_event(b, "request.approved", "\"forwards\":\"cmp:443,10.0.0.7:8443,[2001:db8::1]:443\"");
	expect(alice, "explain osv1", 0, "ok   forward    request 1 names cmp:443,10.0.0.7:8443,[2001:db8::1]:443");
	expect(maria, "events", 0, "forward to cmp:443,10.0.0.7:8443");
	expect(maria, "revoke 1", 0, "taken back");
	/* what is not given is not there */
	expect(alice, "request osv1 --forward localhost:8080", 0, "request 2");
	expect(maria, "requests", 0, "osv1 as svc, localhost:8080");
	expect(maria, "show 2", 0, "! localhost:8080 is on this gateway itself, not on osv1");
	expect(maria, "approve 2 --without forward,upload", 0, "(shell,exec,download)");
	g.id = 2;
	assert_int_equal(grant_get(b->policy.store, &g), 1);
	assert_string_equal(g.forwards, "");
	assert_int_equal(g.capabilities, CAPABILITIES_CARRIED & ~CAPABILITY_UPLOAD);
	expect(alice, "explain osv1", 0, "NO   forward    request 2 names no host and port");
	expect(alice, "explain osv1", 0, "NO   upload     request 2 was approved without it");
	expect(alice, "explain osv1", 0, "ok   download   request 2 was approved with it");
	assert_null(strstr(alice->out, "localhost:8080"));
}

static void
the_walk_of_a_forward(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1 --forward cmp:443,[::1]:8080", "approve 1");
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	uint32_t first, second;

	/* the book, the lease, the recorder; no certificate */
	ask(alice, 1, ASK_FORWARD, "osv1", "CMP:443");
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	first = alice->verdict_stream;
	assert_int_equal(alice->host_key_len, 0);
	assert_int_equal(alice->leases, 1);
	assert_string_equal(alice->target, "osv1");
	assert_int_equal(b->allowed, 1);
	assert_int_equal(b->certified, 0);
	assert_non_null(strstr(b->facts, "\"what\":\"forward cmp:443\""));
	assert_non_null(strstr(b->facts, "\"forwards\":\"cmp:443,[::1]:8080\""));
	assert_int_equal(b->dials, 1);
	assert_int_equal(b->dial_stream, first);
	assert_string_equal(b->dial_host, "cmp");
	assert_int_equal(b->dial_port, 443);
	expect(maria, "sessions", 0, "forward cmp:443 (osv1)");
	expect(maria, "sessions --json", 0, "\"forward\": \"cmp:443\"");
	/* each has its own, and a shell another */
	ask(alice, 2, ASK_FORWARD, "", "[0:0::1]:8080");
	answered(alice, 2, VERDICT_ALLOW, REASON_NONE);
	second = alice->verdict_stream;
	assert_int_not_equal(second, first);
	assert_string_equal(b->dial_host, "::1");
	assert_int_equal(b->dial_port, 8080);
	ask(alice, 3, ASK_FORWARD, "osv1", "cmp:443");
	assert_true(alice->verdict_stream != first && alice->verdict_stream != second);
	ask(alice, 4, ASK_SHELL, "osv1", "");
	answered(alice, 4, VERDICT_ALLOW, REASON_NONE);
	assert_int_equal(b->certified, 1);
	assert_int_equal(b->dial_port, 2222);
	assert_int_not_equal(alice->host_key_len, 0);
	assert_int_equal(b->dials, 4);
	/* it begins, and ends */
	dial_answer(b, alice, first, REASON_NONE);
	stream_begins(b, alice, first);
	peer_post(alice->peer, VISIT, visit, .stream = first, .what = VISIT_OPENED);
	settle(b);
	expect_event(b, "visit.begun", "\"what\":\"forward cmp:443\"");
	expect(maria, "recordings", 0, "forward cmp:443");
	peer_post(alice->peer, VISIT, visit, .stream = first, .what = VISIT_CLOSED, .reason = REASON_DONE);
	settle(b);
	assert_int_equal(events_named(b, "visit.ended"), 1);
	/* the other does not answer: they are told, the rest goes on */
	dial_answer(b, alice, second, REASON_UNREACHABLE);
	answered(alice, 2, VERDICT_DENY, REASON_UNREACHABLE);
	assert_int_equal(b->dropped, 1);
	expect_event(b, "visit.refused", "\"what\":\"forward [::1]:8080\"");
	expect(maria, "sessions", 0, "osv1 as svc");
	assert_null(strstr(maria->out, "8080"));
}

static void
refused_at_once(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *root = seat_root(b);

	house_link(b);
	ask(alice, 1, ASK_FORWARD, "", "cmp:443");
	answered(alice, 1, VERDICT_DENY, REASON_NO_GRANT);
	ask(alice, 2, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, 2, VERDICT_DENY, REASON_NO_GRANT);
	assert_int_equal(events_named(b, "request.asked"), 0);
	expect(alice, "request osv1 --forward cmp:443", 0, "request 1");
	ask(alice, 3, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, 3, VERDICT_DENY, REASON_NO_GRANT);
	expect(maria, "approve 1 --without forward", 0, "approved");
	ask(alice, 4, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, 4, VERDICT_DENY, REASON_FORWARD);
	assert_non_null(
	    strstr(alice->text, "request 1 names no forward to cmp:443; it names none; ask for it by host"));
	ask(alice, 5, ASK_FORWARD, "", "cmp:443");
	answered(alice, 5, VERDICT_DENY, REASON_FORWARD);
	assert_non_null(strstr(alice->text, "no approved window for alice names a forward to cmp:443"));
	expect(maria, "revoke 1", 0, "taken back");
	expect(alice, "request osv1 --forward cmp:8443", 0, "request 2");
	expect(maria, "approve 2", 0, "approved");
	ask(alice, 6, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, 6, VERDICT_DENY, REASON_FORWARD);
	assert_non_null(strstr(alice->text, "request 2 names no forward to cmp:443; it names: cmp:8443"));
	expect_event(b, "visit.refused", "\"what\":\"forward cmp:443\"");
	ask(alice, 7, ASK_FORWARD, "osv1", "cmp:443\x1b[2J");
	answered(alice, 7, VERDICT_DENY, REASON_FORWARD);
	expect_clean(alice->text);
	ask(alice, 8, ASK_FORWARD, "osv1", "");
	answered(alice, 8, VERDICT_DENY, REASON_FORWARD);
	ask(alice, 9, ASK_FORWARD, "osv1", "cmp:22");
	answered(alice, 9, VERDICT_DENY, REASON_FORWARD);
	ask(alice, 10, ASK_FORWARD, "osv9", "cmp:8443");
	answered(alice, 10, VERDICT_DENY, REASON_UNKNOWN_TARGET);
	/* a machine that became a target is visited from then on */
	expect(root, "target add cmp --address cmp:8443 --account svc --host-key ", 64, "lodge: ");
	expect(root, "target add cmp --address CMP:8443 --account svc", 0, "added");
	ask(alice, 11, ASK_FORWARD, "osv1", "cmp:8443");
	answered(alice, 11, VERDICT_DENY, REASON_FORWARD);
	assert_non_null(strstr(alice->text, "cmp:8443 is the ssh of cmp"));
	assert_int_equal(b->allowed, 0);
	assert_int_equal(b->dials, 0);
}

/* They named no target: of two windows the one that ends last serves, unless its target is out of use. */
static void
whichever_window_names_it(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1 --forward cmp:443", "approve 1 --for 2h");
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *root = seat_root(b);
	char words[512];

	snprintf(words, sizeof(words), "target add srx1 --address 127.0.0.1:2223 --account svc --host-key %s",
	    key_line(8));
	expect(root, words, 0, "added");
	expect(alice, "request srx1 --forward cmp:443", 0, "request 2");
	expect(maria, "approve 2 --for 1h", 0, "approved");
	expect(alice, "request osv1 --account root", 0, "request 3");
	expect(maria, "approve 3 --for 3h", 0, "approved");
	ask(alice, 1, ASK_FORWARD, "", "cmp:443");
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	assert_string_equal(alice->target, "osv1");
	assert_int_equal(alice->grant, 1);
	expect(root, "target suspend osv1", 0, "suspended");
	ask(alice, 2, ASK_FORWARD, "", "cmp:443");
	answered(alice, 2, VERDICT_ALLOW, REASON_NONE);
	assert_string_equal(alice->target, "srx1");
	assert_int_equal(alice->grant, 2);
	expect(maria, "revoke 2", 0, "taken back");
	ask(alice, 3, ASK_FORWARD, "", "cmp:443");
	answered(alice, 3, VERDICT_DENY, REASON_UNKNOWN_TARGET);
}

static void
not_too_many(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1 --forward cmp:443", "approve 1"), *other;
	uint32_t number = 0, first = 0;

	for (; number < FORWARDS_AT_ONCE; number++) {
		peer_post(alice->peer, ASK, ask, .ask = number + 1, .kind = ASK_FORWARD,
		    .command = bytes_text("cmp:443"));
		if (number == 0) {
			settle(b);
			first = alice->verdict_stream;
		}
	}
	settle(b);
	settle(b);
	assert_int_equal(alice->verdicts, FORWARDS_AT_ONCE);
	assert_int_equal(b->dials, FORWARDS_AT_ONCE);
	ask(alice, ++number, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, number, VERDICT_DENY, REASON_LIMIT);
	/* a shell beside them, and another connection's, are something else */
	ask(alice, ++number, ASK_SHELL, "osv1", "");
	answered(alice, number, VERDICT_ALLOW, REASON_NONE);
	other = seat_login(b, "alice", KEY_AND_CODE, 1);
	ask(other, 1, ASK_FORWARD, "osv1", "cmp:443");
	answered(other, 1, VERDICT_ALLOW, REASON_NONE);
	/* one ends */
	peer_post(alice->peer, VISIT, visit, .stream = first, .what = VISIT_FAILED, .reason = REASON_CLIENT_GONE);
	settle(b);
	ask(alice, ++number, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, number, VERDICT_ALLOW, REASON_NONE);
	ask(alice, ++number, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, number, VERDICT_DENY, REASON_LIMIT);
}

/* Policy is started again in the middle: the walk goes on to the same place, as the same stream. */
static void
a_restart_on_the_way(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1 --forward [2001:db8::1]:443", "approve 1");
	uint32_t stream;
	unsigned verdicts;

	ask(alice, 1, ASK_FORWARD, "osv1", "[2001:db8::1]:443");
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	stream = alice->verdict_stream;
	b->dial_host[0] = '\0';
	policy_renew(alice);
	house_link(b);
	verdicts = alice->verdicts;
	ask(alice, 1, ASK_FORWARD, "osv1", "[2001:db8::1]:443");
	assert_int_equal(alice->verdicts, verdicts + 1);
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	assert_int_equal(alice->verdict_stream, stream);
	assert_int_equal(b->dial_stream, stream);
	assert_string_equal(b->dial_host, "2001:db8::1");
	assert_int_equal(b->dial_port, 443);
	assert_int_equal(b->certified, 0);
	/* and again once it has begun: no other socket is dialled for it */
	stream_begins(b, alice, stream);
	b->dials = 0;
	policy_renew(alice);
	house_link(b);
	ask(alice, 1, ASK_FORWARD, "osv1", "[2001:db8::1]:443");
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	assert_int_equal(alice->verdict_stream, stream);
	assert_int_equal(b->dials, 0);
	assert_int_equal(events_named(b, "visit.refused"), 0);
}

/* The window ends: all that runs under it is told so, and what is on its way is dropped. */
static void
the_window_ends(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = alice_with(b, "request osv1 --forward cmp:443", "approve 1");
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1);

	ask(alice, 1, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, 1, VERDICT_ALLOW, REASON_NONE);
	expect(maria, "extend 1 --for 10m", 0, "now ends");
	settle(b);
	assert_int_equal(alice->leases, 2);
	assert_int_equal(b->certified, 0);
	expect(maria, "revoke 1 --why enough", 0, "taken back");
	settle(b);
	assert_int_equal(alice->ends, 1);
	assert_int_equal(alice->end_reason, REASON_REVOKED);
	answered(alice, 1, VERDICT_DENY, REASON_REVOKED);
	assert_int_equal(b->dropped, 1);
	ask(alice, 2, ASK_FORWARD, "osv1", "cmp:443");
	answered(alice, 2, VERDICT_DENY, REASON_NO_GRANT);
}

const struct CMUnitTest forwarding[] = {TEST(each_kind_under_one_visit), TEST(a_visit_that_just_ended),
    TEST(what_a_stream_is_of), TEST(asked_for_and_approved), TEST(the_walk_of_a_forward), TEST(refused_at_once),
    TEST(whichever_window_names_it), TEST(not_too_many), TEST(a_restart_on_the_way), TEST(the_window_ends)};
const size_t forwarding_count = sizeof(forwarding) / sizeof(forwarding[0]);
