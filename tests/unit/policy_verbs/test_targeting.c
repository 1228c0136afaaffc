/* How a target is entered: by what login, with what is old and until when; and by which host keys it is known. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "bench.h"
#include "keys.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

/* The bench's clock shows today; what is old is allowed until a day of the next year. */
static const char *
next_year(const char *words)
{
	static char line[1024];
	char day[32];
	time_t then = (time_t)(clock_wall_ms() / 1000) + 300 * 86400;

	strftime(day, sizeof(day), "%Y-%m-%d", gmtime(&then));
	snprintf(line, sizeof(line), "%s --legacy-until %s", words, day);
	return (line);
}

static void
what_is_old_wants_a_day_and_a_reason(void **state)
{
	static const struct {
		const char *words; /* after "target change osv1" */
		int status;
		const char *part;
	} refused[] = {
	    {"--login magic", 64, "--login magic: certificate, key, password or keyboard-interactive"},
	    {"--fresh-code perhaps", 64, "--fresh-code perhaps: yes or no"},
	    {"--login password", 64, "want --legacy-until DATE"},
	    {"--login keyboard-interactive --legacy-why x", 64, "want --legacy-until DATE"},
	    {"--login password --legacy-why x --legacy-until 2020-01-01", 64, "at most two years ahead"},
	    {"--login password --legacy-why x --legacy-until 2190-01-01", 64, "at most two years ahead"},
	    {"--login password --legacy-why x --legacy-until never", 64, "want --legacy-until DATE"},
	    {"--legacy ssh-rsa", 64, "want --legacy-until DATE"},
	    {"--legacy-why x", 64, "nothing old is allowed for it"},
	    {"--login key --legacy-until 2026-01-01", 64, "nothing old is allowed for it"},
	    {"--legacy curve25519-sha256", 64, "curve25519-sha256 is offered to every target: leave it out"},
	    {"--legacy ssh-rsa,arcfour", 64, "\"arcfour\" is none that there is; one or more of: "},
	    {"--legacy ssh-rsa,none", 64, "\"none\" is none that there is"},
	    {"--legacy \"\"", 64, "\"\" is none that there is"},
	};
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b);
	char words[256];

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		snprintf(words, sizeof(words), "target change osv1 %s", refused[i].words);
		expect(root, words, refused[i].status, refused[i].part);
	}
	expect(root, "target show osv1 --json", 0, "\"login\": \"certificate\"");
	assert_null(strstr(root->out, "legacy"));
	expect(root,
	    next_year("target change osv1 --legacy hmac-sha1,ssh-rsa,hmac-sha1 --legacy-why \"new one in spring\""),
	    0, "changed");
	expect(root, "target show osv1 --json", 0, "\"legacy\": \"ssh-rsa,hmac-sha1\"");
	expect(root, "target show osv1", 0, "new one in spring");
	expect(root, "target list", 0, "certificate, old");
	/* one of the four alone, while the others stand */
	expect(root, "target change osv1 --login password", 0, "changed");
	expect(root, "target show osv1", 0, "password login, ssh-rsa,hmac-sha1, until ");
	expect(root, "target change osv1 --legacy-why \"later\"", 0, "changed");
	expect(root, "target change osv1 --legacy none", 0, "changed");
	expect(root, "target show osv1", 0, "password login, until ");
	/* what is not old any more has neither day nor reason */
	expect(root, "target change osv1 --login key --fresh-code yes", 0, "changed");
	expect(root, "target show osv1 --json", 0, "\"login\": \"key\"");
	assert_null(strstr(root->out, "legacy"));
	assert_non_null(strstr(root->out, "\"fresh_code\": \"yes\""));
	expect_event(b, "target.changed", "--login key --fresh-code yes");
}

/* Who may not see a password may not have it sent elsewhere either. */
static void
a_password_goes_where_the_operator_says(void **state)
{
	static const char *const refused[] = {"target change osv1 --address 192.0.2.66:22",
	    "target change osv1 --host-key 'ssh-ed25519 "
	    "AAAAC3NzaC1lZDI1NTE5AAAAIDkrGsfO4QKX4Bb1vIU/ozW9O1X6eBnK/LVCTsSZibBb'",
	    "target change osv1 --login keyboard-interactive"};
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);

	expect(maria, "target change osv1 --address 192.0.2.7:22", 0, "changed");
	expect(maria, next_year("target change osv1 --login password --legacy-why spring"), 77, "[role]");
	expect(root, next_year("target change osv1 --login password --legacy-why spring"), 0, "changed");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		expect(maria, refused[i], 77, "[role]");
	expect_event(b, "verb.refused", "\"name\":\"maria\"");
	expect(root, "target show osv1", 0, "192.0.2.7:22");
	expect(maria, "target change osv1 --about moved --remove-host-key SHA256:none", 77, "[not-found]");
	expect(maria, next_year("target change osv1 --legacy-why later"), 0, "changed");
	/* What was removed may have left its password behind. */
	expect(maria, "target remove osv1", 0, "removed");
	expect(maria,
	    next_year("target add osv1 --address 192.0.2.66 --account svc --login password --legacy-why x"), 77,
	    "[role]");
	expect(maria, "target add osv1 --address 192.0.2.66 --account svc", 0, "added");
}

/* The day passes: nobody enters any more, and what else is changed is not refused for it. */
static void
the_day_passes(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1);

	house_link(b);
	expect(root, next_year("target change osv1 --login password --legacy ssh-rsa --legacy-why spring"), 0,
	    "changed");
	expect(alice, "request osv1 --for 2h", 0, "request 1");
	expect(maria, "show 1", 0, "password login, ssh-rsa, until ");
	expect(maria, "show 1", 0, ": spring");
	expect(maria, "show 1 --json", 0, "\"old\": \"password login, ssh-rsa, until ");
	expect(maria, "explain osv1 --person alice", 0, "what is old in it is allowed until ");
	expect(maria, "explain osv1 --person alice", 0, "osv1 is old: password login, ssh-rsa, until ");
	expect(alice, "explain osv1", 0, "what is old in it is allowed until ");
	assert_null(strstr(alice->out, "spring"));
	expect(maria, "approve 1", 0, "approved");
	ask(alice, 1, ASK_EXEC, "osv1", "uptime");
	assert_int_equal(alice->verdict, VERDICT_ALLOW);
	assert_int_equal(alice->login, TARGET_PASSWORD);
	assert_string_equal(alice->algorithms, "ssh-rsa");
	assert_int_equal(b->certified_how, TARGET_PASSWORD);
	assert_non_null(strstr(b->facts, "\"login\":\"password\",\"legacy\":\"password login, ssh-rsa, until "));
	clocks_turn(b, 0, INT64_C(301) * 86400000);
	expect(root, "target list", 0, "password, old, ended");
	expect(root, "explain osv1 --person alice", 0, "refused [legacy-ended]");
	expect(maria, "explain osv1 --person alice --json", 0, "\"reason\": \"legacy-ended\"");
	expect(alice, "request osv1", 77, "[legacy-ended] what is old in osv1 was allowed until ");
	ask(alice, 2, ASK_EXEC, "osv1", "uptime");
	assert_int_equal(alice->verdict, VERDICT_DENY);
	assert_int_equal(alice->reason, REASON_LEGACY_ENDED);
	expect(root, "target change osv1 --about \"still here\"", 0, "changed");
	expect(root, "target change osv1 --legacy ssh-rsa,hmac-sha1", 64, "want --legacy-until");
	expect(root, next_year("target change osv1"), 0, "changed");
	expect(alice, "explain osv1", 0, "is allowed until");
}

static void
host_keys(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	struct key_read first, second;
	char words[512];

	assert_int_equal(key_read(&first, key_line(50)), 0);
	assert_int_equal(key_read(&second, key_line(51)), 0);
	expect(root, "target add sbc1 --address h --account svc", 0, "added");
	expect(root, "target show sbc1", 0, "none pinned: it cannot be entered; see: target scan");
	ask(alice, 1, ASK_SHELL, "sbc1", "");
	assert_int_equal(alice->reason, REASON_HOST_KEY);
	assert_non_null(strstr(alice->text, "no host key of sbc1 is pinned: target scan sbc1"));
	snprintf(words, sizeof(words), "target change sbc1 --remove-host-key %s", first.fingerprint);
	expect(root, words, 77, "[not-found] sbc1 has no host key SHA256:");
	snprintf(words, sizeof(words), "target change sbc1 --host-key %s", key_line(50));
	expect(root, words, 0, "changed");
	expect(root, words, 0, "changed"); /* once is enough */
	snprintf(words, sizeof(words), "target change sbc1 --remove-host-key %s", first.fingerprint);
	expect(root, words, 77, "[state] it is the only host key of sbc1");
	expect(root, "target show sbc1", 0, first.fingerprint); /* and it stayed */
	snprintf(words, sizeof(words), "target change sbc1 --host-key h %s --remove-host-key %s", key_line(51),
	    first.fingerprint);
	expect(root, words, 0, "changed");
	expect(root, "target show sbc1", 0, second.fingerprint);
	assert_null(strstr(root->out, first.fingerprint));
	for (int n = 100; n < 115; n++) {
		snprintf(words, sizeof(words), "target change sbc1 --host-key %s", key_line(n));
		expect(root, words, 0, "changed");
	}
	snprintf(words, sizeof(words), "target change sbc1 --host-key %s", key_line(115));
	expect(root, words, 77, "more than 16 host keys");
	expect(root,
	    "target change sbc1 --host-key sk-ssh-ed25519@openssh.com "
	    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABHNzaDo=",
	    64, "not a key as ssh-keyscan prints it");
}

/* What a session says that the target showed. */
static void
shows(struct bench *b, struct seat *alice, uint32_t number, const char *line)
{
	ask(alice, number, ASK_SHELL, "osv1", "");
	assert_int_equal(alice->verdict, VERDICT_ALLOW);
	peer_post(alice->peer, VISIT, visit, .stream = alice->verdict_stream, .what = VISIT_FAILED,
	    .reason = REASON_HOST_KEY, .text = bytes_text(line));
	settle(b);
}

static void
another_host_key_is_kept_and_told(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	struct key_read other, pinned;
	char words[512];

	assert_int_equal(key_read(&other, key_line(60)), 0);
	assert_int_equal(key_read(&pinned, key_line(7)), 0);
	house_link(b);
	expect(alice, "request osv1", 0, "request 1");
	expect(maria, "approve 1", 0, "approved");
	expect(root, "status", 0, "Clock");
	assert_null(strstr(root->out, "differs"));
	shows(b, alice, 1, key_line(60));
	expect_event(b, "visit.refused", "\"reason\":\"host-key\"");
	expect_event(b, "target.host-key", other.fingerprint);
	expect_event(b, "target.host-key", pinned.fingerprint);
	expect_event(b, "target.host-key", other.blob);
	expect(maria, "requests", 0, "! osv1: it showed a host key that is not pinned, ");
	assert_non_null(strstr(maria->out, other.fingerprint));
	expect(maria, "show 1", 0, "! osv1: it showed a host key");
	expect(root, "target list", 0, "host key!");
	expect(root, "target show osv1", 0, other.fingerprint);
	expect(root, "target show osv1 --json", 0, other.blob);
	expect(root, "status", 0, "Host key differs");
	expect(root, "status --json", 0, "\"host_keys\": \"osv1\"");
	/* something else that is changed does not settle it */
	expect(root, "target change osv1 --about x", 0, "changed");
	expect(root, "target list", 0, "host key!");
	snprintf(words, sizeof(words), "target change osv1 --host-key %s", key_line(60));
	expect(root, words, 0, "changed");
	expect(root, "target list", 0, "active");
	expect(maria, "requests", 0, "alice");
	assert_null(strstr(maria->out, "showed"));
	/* a key that was pinned meanwhile is no news */
	shows(b, alice, 2, key_line(60));
	assert_int_equal(events_named(b, "target.host-key"), 1);
	expect(root, "target list", 0, "active");
	/* a lying session says what it likes: it is told, and nothing of it is kept as a key */
	shows(b, alice, 3, "ssh-ed25519 \x1b[2J nonsense");
	assert_int_equal(events_named(b, "target.host-key"), 2);
	expect_clean(root->out);
	expect(root, "target list", 0, "active");
}

const struct CMUnitTest targeting[] = {TEST(what_is_old_wants_a_day_and_a_reason),
    TEST(a_password_goes_where_the_operator_says), TEST(the_day_passes), TEST(host_keys),
    TEST(another_host_key_is_kept_and_told)};
const size_t targeting_count = sizeof(targeting) / sizeof(targeting[0]);
