/* What auth asks and tells about secrets: who may, what the book hears, and sessions that do what is not their own. */
#include <stdio.h>

#include "bench.h"
#include "secrets.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
#define MONA 4711 /* a manager; see people_come */
#define OTHER 4712

static void
who_may(void **state)
{
	static const struct {
		uint32_t uid;
		const char *act, *about;
		enum reason reason;
		const char *text; /* of the refusal, or who it is */
	} all[] = {
	    {0, "list", "", REASON_NONE, "root"},
	    {0, "set", "osv1+svc", REASON_NONE, "root"},
	    {0, "generate", "osv1+root", REASON_NONE, "root"},
	    {0, "rotate", "osv1+svc", REASON_NONE, "root"},
	    {0, "remove", "osv1+svc", REASON_NONE, "root"},
	    {0, "remove", "gone+svc", REASON_NONE, "root"},
	    {0, "enrol", "alice", REASON_NONE, "root"},
	    {0, "enrol", "mona", REASON_NONE, "root"},
	    {MONA, "enrol", "alice", REASON_NONE, "mona"},
	    {0, "set", "gone+svc", REASON_UNKNOWN_TARGET, "lodge: denied [unknown-target] there is no target gone"},
	    {0, "set", "osv1+nobody", REASON_UNKNOWN_ACCOUNT,
	        "osv1 has no account nobody for visits, but: svc,root"},
	    {0, "set", "osv1", REASON_NOT_FOUND, "TARGET+ACCOUNT"},
	    {0, "set", "osv1+", REASON_NOT_FOUND, "TARGET+ACCOUNT"},
	    {0, "set", "+svc", REASON_NOT_FOUND, "TARGET+ACCOUNT"},
	    {0, "set", "../x+svc", REASON_NOT_FOUND, "TARGET+ACCOUNT"},
	    {0, "remove", "osv1", REASON_NOT_FOUND, "TARGET+ACCOUNT"},
	    {0, "enrol", "nobody", REASON_NOT_FOUND, "there is no person nobody"},
	    {0, "enrol", "", REASON_NOT_FOUND, "there is no person"},
	    {0, "show", "osv1+svc", REASON_NOT_SUPPORTED, "no such verb"},
	    {0, "rotation", "osv1+svc", REASON_NOT_SUPPORTED, "no such verb"},
	    {MONA, "set", "osv1+svc", REASON_ROLE, "lodge: denied [role] targets' secrets are the operator's"},
	    {MONA, "list", "", REASON_ROLE, "are the operator's"},
	    {MONA, "enrol", "mona", REASON_ROLE, "nobody changes what is known of themselves"},
	    {MONA, "enrol", "maria", REASON_ROLE, "managers keep engineers"},
	    {MONA, "enrol", "otto", REASON_ROLE, "managers keep engineers"},
	    {OTHER, "enrol", "alice", REASON_UNKNOWN_PERSON, "4712, is nobody's here"},
	    {OTHER, "list", "", REASON_UNKNOWN_PERSON, "is nobody's here"},
	};
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;

	house_link(b);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		unsigned mays = h->mays;

		secret_asked(b, all[i].uid, all[i].act, all[i].about);
		if (h->mays != mays + 1 || h->may_reason != all[i].reason ||
		    strstr(all[i].reason == REASON_NONE ? h->may_who : h->may_text, all[i].text) == NULL)
			fail_msg("row %zu: [%s] %s", i, reason_code((enum reason)h->may_reason), h->may_text);
	}
}

static void
others_may_not(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *root = seat_root(b);

	house_link(b);
	expect(root, "person change alice --uid 900", 0, "changed");
	secret_asked(b, 900, "enrol", "bob");
	assert_int_equal(h->may_reason, REASON_ROLE);
	expect_event(b, "verb.refused", "\"what\":\"enrol\"");
	secret_asked(b, 900, "enrol", "nobody"); /* who there is and who not is not hers to know */
	assert_int_equal(h->may_reason, REASON_ROLE);
	expect(root, "person change umar --uid 901", 0, "changed");
	secret_asked(b, 901, "enrol", "bob");
	assert_int_equal(h->may_reason, REASON_OWN_VENDOR);
	expect(root, "person change otto --uid 902", 0, "changed");
	secret_asked(b, 902, "enrol", "bob"); /* an auditor */
	assert_int_equal(h->may_reason, REASON_ROLE);
	expect(root, "person suspend mona", 0, "suspended");
	secret_asked(b, MONA, "enrol", "alice");
	assert_int_equal(h->may_reason, REASON_ROLE);
}

/* Any user of the box may knock as often as he likes: that is the log's, and neither the book nor the database grows of it. */
static void
a_stranger_writes_nothing(void **state)
{
	struct bench *b = bench_of(state);
	int64_t before;

	house_link(b);
	before = b->policy.event_last;
	for (int i = 0; i < 20; i++)
		secret_asked(b, OTHER, "list", "");
	assert_int_equal(b->heard.may_reason, REASON_UNKNOWN_PERSON);
	assert_int_equal(b->policy.event_last, before);
}

static void
the_book_comes_first(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *root = seat_root(b);

	house_link(b);
	expect(root, "person change alice --pam-user al", 0, "changed");
	book_stall(b);
	secret_asked(b, 0, "enrol", "alice");
	assert_int_equal(h->mays, 0);
	expect_event(b, "factor.enrolled", "\"target\":{\"name\":\"alice\"}");
	book_go_on(b);
	settle(b);
	assert_int_equal(h->mays, 1);
	assert_string_equal(h->may_pam_user, "al");
	/* asked over a link that is gone: never answered over another */
	book_stall(b);
	secret_asked(b, 0, "set", "osv1+svc");
	house_link(b);
	book_go_on(b);
	settle(b);
	assert_int_equal(h->mays, 1);
	expect_event(b, "secret.changed", "\"target\":\"osv1\",\"account\":\"svc\",\"what\":\"set\"");
	expect_event(b, "secret.changed", "\"outcome\":\"unknown\"");
}

static void
what_became_of_it(void **state)
{
	struct bench *b = bench_of(state);
	size_t changed;

	house_link(b);
	changed = events_named(b, "secret.changed");
	secret_done(b, "set", "osv1+svc", REASON_NONE, "");
	assert_int_equal(events_named(b, "secret.changed"), changed); /* that was told when it was asked */
	secret_done(b, "set", "osv1+svc", REASON_VAULT, "the key does not fit");
	expect_event(b, "secret.changed", "\"reason\":\"vault\"");
	expect_event(b, "secret.changed", "the key does not fit");
	secret_done(b, "rotation", "osv1+svc", REASON_NONE, "changed");
	expect_event(b, "secret.changed", "\"outcome\":\"success\"");
	expect_event(b, "secret.changed", "\"what\":\"rotation\"");
	secret_done(b, "invite", "alice", REASON_NONE, "");
	expect_event(b, "factor.enrolled", "\"target\":{\"name\":\"alice\"}");
	secret_done(b, "enrol", "alice", REASON_USERS_FILE, "line 3 is damaged");
	expect_event(b, "factor.enrolled", "users-file");
	changed = events_named(b, "secret.changed");
	secret_done(b, "nonsense", "\x1b[2J", REASON_VAULT, "");
	assert_int_equal(events_named(b, "secret.changed"), changed);
}

static void
what_was_given(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);

	house_link(b);
	expect(alice, "request osv1", 0, "request 1");
	expect(maria, "approve 1", 0, "approved");
	ask(alice, 1, ASK_SHELL, "osv1", "");
	peer_post(b->auth, CREDENTIAL, credential, .conn = alice->conn, .stream = alice->verdict_stream,
	    .how = TARGET_PASSWORD, .reason = REASON_NONE, .detail = bytes_text("in use"));
	settle(b);
	expect_event(b, "credential", "\"request\":1,\"grant\":1");
	expect_event(b, "credential", "\"target\":\"osv1\",\"account\":\"svc\"");
	expect_event(b, "credential", "\"what\":\"password\",\"why\":\"in use\"");
	peer_post(b->auth, CREDENTIAL, credential, .conn = alice->conn, .stream = 99, .how = TARGET_CERTIFICATE,
	    .reason = REASON_NO_GRANT, .detail = bytes_text(""));
	settle(b);
	expect_event(b, "credential", "\"outcome\":\"failure\",\"reason\":\"no-grant\"");
	peer_post(b->auth, CREDENTIAL, credential, .conn = 4, .stream = 99, .how = 77, .reason = REASON_NO_GRANT,
	    .detail = bytes_text("\x1b[2J"));
	settle(b);
	expect_event(b, "credential", "\\\\x1b[2J");
}

static void
suspect(struct bench *b, uint64_t conn, const char *what)
{
	peer_post(b->auth, SUSPECT, suspect, .conn = conn, .what = bytes_text(what));
	settle(b);
}

static void
a_session_that_lies(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice, *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *stranger;
	size_t told;

	house_link(b);
	/* before anybody vouched for it: remembered for the one who comes */
	stranger = seat_stranger(b);
	suspect(b, stranger->conn, "a proof for another connection");
	identity_say(b, stranger, "bob", KEY_AND_CODE, 1);
	expect(maria, "sessions", 0, "! the process of session ");
	alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	suspect(b, alice->conn, "a certificate for a stream of nobody's\x1b[2J");
	expect_event(b, "session.suspect", "\"user\":{\"name\":\"alice\"}");
	expect_event(b, "session.suspect", "\"reason\":\"suspect\"");
	expect(maria, "sessions", 0, "did what is not its own: a certificate for a stream of nobody's\\x1b[2J");
	expect(maria, "sessions --json", 0, "\"unusual\": \"a certificate");
	expect(alice, "request osv1", 0, "request 1");
	expect(maria, "show 1", 0, "! the process of their session ");
	suspect(b, 4, "one that has left");
	expect_event(b, "session.suspect", "one that has left");
	/* as often as it may; then it is cut off, and writes nothing more */
	told = events_named(b, "session.suspect");
	for (int i = 0; i < SUSPICIONS_MOST + 4; i++)
		suspect(b, alice->conn, "again");
	assert_int_equal(events_named(b, "session.suspect"), told + SUSPICIONS_MOST - 1);
	assert_int_equal(alice->end_reason, REASON_SUSPECT);
	assert_int_equal(stranger->ends, 0);
}

const struct CMUnitTest secrets[] = {TEST(who_may), TEST(others_may_not), TEST(a_stranger_writes_nothing),
    TEST(the_book_comes_first), TEST(what_became_of_it), TEST(what_was_given), TEST(a_session_that_lies)};
const size_t secrets_count = sizeof(secrets) / sizeof(secrets[0]);
