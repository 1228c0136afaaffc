/*
 * What changes in the middle: of a login, of a wait for a code, of an invitation's life.  Auth asked about somebody a minute
 * ago; what counts is what they are now.
 */
#include <stdio.h>

#include "base/clock.h"
#include "bench.h"
#include "keys.h"
#include "people.h"
#include "person_keys.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define RIDES (FACTOR_KEY | FACTOR_GRACE)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
#define HOUR_MS INT64_C(3600000)

/* Auth says who it is, by what it was told before: gives policy's reason. */
static enum reason
identity(struct bench *b, const char *login, enum role role, const char *key, uint32_t factors)
{
	struct seat *s = seat_stranger(b);
	struct key_read read;

	assert_int_equal(key_read(&read, key), 0);
	on_identity(&b->policy, &(struct msg_identity){.conn = s->conn,
	                            .login = bytes_text(login),
	                            .role = (uint8_t)role,
	                            .factors = factors,
	                            .fingerprint = bytes_text(read.fingerprint),
	                            .key_type = bytes_text("ssh-ed25519"),
	                            .source = bytes_text("192.0.2.17"),
	                            .at_wall_ms = clock_wall_ms()});
	settle(b);
	seat_leave(s);
	return ((enum reason)b->heard.identity_reason);
}

static void
key_say(struct seat *root, const char *before, const char *options, const char *behind)
{
	char words[512];

	snprintf(words, sizeof(words), "%s '%s%s'", before, options, behind);
	expect(root, words, 0, "changed");
}

static void
a_login(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b);
	struct key_read read;
	char words[256];

	house_link(b);
	assert_int_equal(identity(b, "alice", ROLE_ENGINEER, key_line(1), KEY_AND_CODE), REASON_NONE);
	/* she was a manager when auth asked, and is none any more; and the other way round */
	assert_int_equal(identity(b, "maria", ROLE_MANAGER, key_line(3), KEY_AND_CODE), REASON_NONE);
	expect(root, "person change maria --role engineer", 0, "changed");
	assert_int_equal(identity(b, "maria", ROLE_MANAGER, key_line(3), KEY_AND_CODE), REASON_ENDED_BY_MANAGER);
	expect_event(b, "login", "\"outcome\":\"failure\"");
	assert_int_equal(identity(b, "maria", ROLE_ENGINEER, key_line(3), KEY_AND_CODE), REASON_NONE);
	/* the key is bob's, and nobody's; it was taken away, or is for elsewhere, or for later */
	assert_int_equal(identity(b, "alice", ROLE_ENGINEER, key_line(2), KEY_AND_CODE), REASON_UNKNOWN_KEY);
	assert_int_equal(identity(b, "alice", ROLE_ENGINEER, key_line(99), KEY_AND_CODE), REASON_UNKNOWN_KEY);
	key_say(root, "person change alice --key", "from=\"198.51.100.0/24\" ", key_line(1));
	assert_int_equal(identity(b, "alice", ROLE_ENGINEER, key_line(1), KEY_AND_CODE), REASON_KEY_SOURCE);
	key_say(root, "person change alice --key", "expiry-time=\"20200101\" ", key_line(1));
	assert_int_equal(identity(b, "alice", ROLE_ENGINEER, key_line(1), KEY_AND_CODE), REASON_KEY_EXPIRED);
	key_say(root, "person change alice --key", "", key_line(1));
	assert_int_equal(identity(b, "alice", ROLE_ENGINEER, key_line(1), KEY_AND_CODE), REASON_NONE);
	assert_int_equal(key_read(&read, key_line(1)), 0);
	snprintf(words, sizeof(words), "person change alice --remove-key %s", read.fingerprint);
	expect(root, words, 0, "changed");
	assert_int_equal(identity(b, "alice", ROLE_ENGINEER, key_line(1), KEY_AND_CODE), REASON_UNKNOWN_KEY);
}

/* Two seconds pass before gateway kills whoever was cut off; a process that was taken over uses them. */
static void
somebody_who_was_cut_off(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *mona;

	house_link(b);
	expect(maria, "person list", 0, "alice");
	mona = seat_login(b, "mona", RIDES, 0);
	say_only(mona, "person suspend alice");
	assert_int_equal(b->heard.codes, 1);
	expect(root, "person suspend maria", 0, "suspended");
	expect(root, "person suspend mona", 0, "suspended");
	assert_int_equal(maria->ends, 1);
	expect(maria, "person invite alice", 77, "[person-suspended]");
	expect(maria, "end --all", 77, "[person-suspended]");
	code_answered(b, mona->conn, mona->ask, REASON_NONE);
	assert_true(mona->ended);
	assert_int_equal(mona->status, 77);
	expect(root, "person show alice", 0, "active");
	/* another role is another person */
	expect(root, "person resume maria", 0, "resumed");
	maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	expect(root, "person change maria --role engineer", 0, "changed");
	assert_int_equal(maria->ends, 1);
	expect(maria, "person suspend alice", 124, "[ended]");
	expect(root, "person show alice", 0, "active");
}

static void
somebody_whose_time_passes(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria;

	house_link(b);
	expect(root, "person change maria --until 2199-01-01", 0, "changed");
	maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	expect(maria, "person suspend bob", 0, "suspended");
	expect(root, "person change maria --until 2020-01-01", 0, "changed");
	expect(maria, "person suspend alice", 77, "[person-expired]");
	expect(maria, "recordings", 77, "[person-expired]");
	expect_event(b, "verb.refused", "person-expired");
}

/* An enrolment writes the secret of whom PAM knows: a manager must not reach one that is not an engineer's. */
static void
a_name_for_pam(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	static const char *const no = "[role] PAM knows somebody by that name whom a manager does not keep";

	house_link(b);
	expect(root, "person change otto --pam-user ofischer", 0, "changed");
	expect(maria, "person change alice --pam-user al", 77, "--pam-user are the operator's");
	expect(maria, "person add eva --pam-user al", 77, "--pam-user are the operator's");
	expect(maria, "person add ofischer", 77, no);
	/* who has a name in common with them by the operator's word is the operator's to enrol */
	expect(root, "person change alice --pam-user ofischer", 0, "changed");
	expect(maria, "person invite alice", 77, no);
	expect(maria, "person change alice --name A", 77, no);
	secret_asked(b, 4711, "enrol", "alice"); /* mona */
	assert_int_equal(h->may_reason, REASON_ROLE);
	secret_asked(b, 0, "enrol", "alice");
	assert_int_equal(h->may_reason, REASON_NONE);
	expect(root, "person invite alice", 0, "invited");
}

static const char *
invited(struct seat *by, const char *whom)
{
	static char code[64];
	char words[128];
	const char *at;

	snprintf(words, sizeof(words), "person invite %s", whom);
	expect(by, words, 0, "is invited, once, until");
	assert_non_null(at = strstr(by->out, "invite+"));
	snprintf(code, sizeof(code), "%.26s", at + strlen("invite+"));
	return (code);
}

static void
an_invitation(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	const char *code;
	char words[512];

	house_link(b);
	/* a manager's word for an engineer makes no manager */
	code = invited(maria, "alice");
	expect(root, "person change alice --name A", 0, "changed");
	invite_wanted(b, code, "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_NONE);
	expect(root, "person change alice --role manager", 0, "changed");
	invite_wanted(b, code, "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	invite_used(b, code, key_line(77), "192.0.2.17");
	assert_int_equal(h->held_reason, REASON_INVITE);
	/* as many keys as may be */
	for (int i = 100; i < 100 + PERSON_KEYS_MOST - 1; i++) {
		snprintf(words, sizeof(words), "person change bob --key %s", key_line(i));
		expect(root, words, 0, "changed");
	}
	code = invited(root, "bob");
	invite_used(b, code, key_line(77), "192.0.2.17");
	assert_int_equal(h->held_reason, REASON_INVITE);
	expect_event(b, "login.attempt", "as many keys as may be");
	invite_used(b, code, key_line(2), "192.0.2.17"); /* one of them */
	assert_int_equal(h->held_reason, REASON_NONE);
}

/* MFAGrace is for who they were. */
static void
grace(void **state)
{
	static const char *const ends[] = {"person suspend alice", "person change alice --pam-user al",
	    "person change alice --role auditor", "person remove alice"};
	static const char *const goes_on[] = {"person change alice --name A", "person resume alice"};
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b);

	house_link(b);
	for (size_t i = 0; i < 4; i++) {
		unsigned graces = b->heard.graces;

		expect(root, ends[i], 0, "person alice is");
		settle(b);
		if (b->heard.graces == graces)
			fail_msg("grace goes on: %s", ends[i]);
		assert_string_equal(b->heard.grace_login, "alice");
		if (i == 3)
			break;
		graces = b->heard.graces;
		expect(root, goes_on[i == 0], 0, "person alice is");
		settle(b);
		assert_int_equal(b->heard.graces, graces);
	}
	/* a new secret for codes */
	secret_asked(b, 4711, "enrol", "bob");
	assert_string_equal(b->heard.grace_login, "bob");
	expect(root, "person add carl", 0, "added");
	invite_used(b, invited(root, "carl"), key_line(77), "192.0.2.17");
	assert_int_equal(b->heard.held_reason, REASON_NONE);
	assert_string_equal(b->heard.grace_login, "carl");
}

/* What ended while auth was away ended all the same. */
static void
grace_and_an_auth_that_was_away(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1),
	            *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	unsigned graces;

	expect(alice, "request osv1", 0, "request 1");
	expect(maria, "approve 1", 0, "approved");
	expect(maria, "revoke 1", 0, "taken back");
	house_link(b);
	assert_int_equal(b->heard.graces, 1);
	assert_string_equal(b->heard.grace_login, "alice");
	house_link(b); /* once more, and once a person */
	assert_int_equal(b->heard.graces, 2);
	/* a window that is to come keeps none */
	expect(alice, "request osv1", 0, "request 2");
	expect(maria, "approve 2", 0, "approved");
	expect(alice, "request osv1 --account root --from 23:59", 0, "request 3");
	expect(maria, "approve 3", 0, "approved");
	graces = b->heard.graces;
	expect(maria, "revoke 2", 0, "taken back");
	settle(b);
	assert_int_equal(b->heard.graces, graces + 1);
	/* what is long past is forgotten */
	clocks_turn(b, 25 * HOUR_MS, 25 * HOUR_MS);
	graces = b->heard.graces;
	clocks_turn(b, 25 * HOUR_MS, 25 * HOUR_MS);
	house_link(b);
	assert_int_equal(b->heard.graces, graces);
}

/* A session that nobody is in fills no book. */
static void
a_stranger_who_refuses(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *s = seat_stranger(b);
	size_t refused = events_named(b, "channel.refused");

	house_link(b);
	for (int i = 0; i < 40; i++)
		peer_post(s->peer, REFUSED, refused, .what = bytes_text("x11"), .reason = REASON_NOT_SUPPORTED,
		    .detail = bytes_text(""));
	settle(b);
	assert_int_equal(events_named(b, "channel.refused"), refused);
	assert_int_equal(s->ends, 1);
}

const struct CMUnitTest middle[] = {TEST(a_login), TEST(somebody_who_was_cut_off), TEST(somebody_whose_time_passes),
    TEST(a_name_for_pam), TEST(an_invitation), TEST(grace), TEST(grace_and_an_auth_that_was_away),
    TEST(a_stranger_who_refuses)};
const size_t middle_count = sizeof(middle) / sizeof(middle[0]);
