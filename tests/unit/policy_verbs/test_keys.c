/* A person's keys: what may stand before them, which are taken, what auth is told of them, and what is remembered of their use. */
#include <openssl/evp.h>
#include <stdio.h>

#include "base/clock.h"
#include "bench.h"
#include "keys.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
#define DAY_MS INT64_C(86400000)

/* ---- lines of authorized_keys ---- */

static size_t
part_put(unsigned char *to, const void *part, size_t len)
{
	to[0] = to[1] = 0;
	to[2] = (unsigned char)(len >> 8);
	to[3] = (unsigned char)len;
	memcpy(to + 4, part, len);
	return (len + 4);
}

/* type base64: the blob's type, then parts of these lengths, each full of 0x44 (the first byte of an EC point is 4). */
static const char *
made(const char *type, const char *name, const size_t *parts)
{
	static char line[8192];
	unsigned char blob[4096], part[2048], text[6000];
	size_t len = part_put(blob, type, strlen(type));

	for (; *parts != 0; parts++) {
		memset(part, 0x84, *parts);
		len += name != NULL && *parts == strlen(name) ? part_put(blob + len, name, *parts)
		                                              : part_put(blob + len, part, *parts);
	}
	EVP_EncodeBlock(text, blob, (int)len);
	snprintf(line, sizeof(line), "%s %s a comment", type, (const char *)text);
	return (line);
}

static void
only_good_keys(void **state)
{
	static const struct {
		const char *type, *name;
		size_t parts[4];
		const char *why; /* NULL: it is taken */
	} all[] = {
	    {"ssh-ed25519", NULL, {32}, NULL},
	    {"ssh-ed25519", NULL, {31}, "not a public key"},
	    {"ssh-ed25519", NULL, {32, 1}, "not a public key"},
	    {"ecdsa-sha2-nistp256", "nistp256", {8, 65}, NULL},
	    {"ecdsa-sha2-nistp256", "nistp384", {8, 65}, "not a public key"},
	    {"ecdsa-sha2-nistp521", "nistp521", {8, 133}, NULL},
	    {"ssh-rsa", NULL, {3, 256}, NULL},
	    {"ssh-rsa", NULL, {3, 128}, "an RSA key of 1024 bits: 2048 to 8192 are taken"},
	    {"ssh-rsa", NULL, {3, 255}, "of 2040 bits"},
	    {"ssh-rsa", NULL, {3, 1025}, "of 8200 bits"},
	    {"ssh-rsa", NULL, {3}, "not a public key"},
	    {"ssh-dss", NULL, {128, 20, 128}, "DSA key"},
	    {"ssh-rsa-cert-v01@openssh.com", NULL, {32, 3, 256}, "a certificate"},
	    {"sk-ssh-ed25519@openssh.com", "ssh:", {32, 4}, NULL},
	    {"sk-ssh-ed25519@openssh.com", NULL, {32}, "not a public key"},
	    {"sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", {8, 65, 4}, NULL},
	    {"webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", {8, 65, 4}, "not a public key"},
	    {"ssh-ed448", NULL, {57}, "not a public key"},
	};
	struct key_read key;
	char why[KEY_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *line = made(all[i].type, all[i].name, all[i].parts);
		int good = key_read_person(&key, line, why) == 0;

		if (good != (all[i].why == NULL) || (!good && strstr(why, all[i].why) == NULL))
			fail_msg("row %zu, %s: %s", i, all[i].type, good ? "taken" : why);
		if (good)
			assert_string_equal(key.comment, "a comment");
	}
	assert_int_equal(key_read_person(&key, "", why), -1);
	assert_int_equal(key_read_person(&key, "   ", why), -1);
	assert_int_equal(key_read_person(&key, "ssh-ed25519", why), -1);
	assert_int_equal(key_read_person(&key, "ssh-ed25519 AAAA", why), -1);
	assert_int_equal(key_read_person(&key, "ssh-ed25519 !!!!", why), -1);
}

static void
what_may_stand_before_a_key(void **state)
{
	static const struct {
		const char *options, *is; /* as it is printed again; or NULL, and a part of why not */
		const char *why;
	} all[] = {
	    {"from=\"192.0.2.0/24,2001:db8::/32\"", "from=\"192.0.2.0/24,2001:db8::/32\"", NULL},
	    {"from=\"192.0.2.7\",expiry-time=\"20270101\"", "from=\"192.0.2.7\",expiry-time=\"20270101000000Z\"",
	        NULL},
	    {"expiry-time=\"202701012359\"", "expiry-time=\"20270101235900Z\"", NULL},
	    {"expiry-time=\"20270101235930Z\"", "expiry-time=\"20270101235930Z\"", NULL},
	    {"Expiry-Time=\"20270101Z\",valid-from=\"20260101\"",
	        "valid-from=\"20260101000000Z\",expiry-time=\"20270101000000Z\"", NULL},
	    /* a shell ate the quotes */
	    {"from=192.0.2.0/24,2001:db8::/32,expiry-time=20270101",
	        "from=\"192.0.2.0/24,2001:db8::/32\",expiry-time=\"20270101000000Z\"", NULL},
	    {"from=192.0.2.7", "from=\"192.0.2.7\"", NULL},
	    /* what is not taken */
	    {"from=\"*.example.org\"", NULL, "no names, wildcards or negation"},
	    {"from=\"!192.0.2.7,192.0.2.0/24\"", NULL, "no names, wildcards or negation"},
	    {"from=\"192.0.2.*\"", NULL, "wildcards"},
	    {"from=\"192.0.2.7/24\"", NULL, "addresses and networks alone"},
	    {"from=\"\"", NULL, "addresses and networks alone"},
	    {"from", NULL, "addresses and networks alone"},
	    {"from=\"192.0.2.7\",from=\"192.0.2.8\"", NULL, "twice"},
	    {"from=\"192.0.2.7", NULL, "not closed"},
	    {"expiry-time=\"2027\"", NULL, "YYYYMMDD"},
	    {"expiry-time=\"20271301\"", NULL, "YYYYMMDD"},
	    {"expiry-time=\"20270230\"", NULL, "YYYYMMDD"},
	    {"expiry-time=\"2027010124\"", NULL, "YYYYMMDD"},
	    {"expiry-time=\"20270101+01\"", NULL, "YYYYMMDD"},
	    {"expiry-time=\"20260101\",valid-from=\"20270101\"", NULL, "not after"},
	    {"expiry-time=\"20260101\",expiry-time=\"20270101\"", NULL, "twice"},
	    {"no-touch-required", NULL, "nobody's presence"},
	    {"NO-TOUCH-REQUIRED", NULL, "nobody's presence"},
	    {"command=\"/bin/sh\"", NULL, "said by a request"},
	    {"restrict", NULL, "said by a request"},
	    {"no-pty,from=\"192.0.2.7\"", NULL, "no-pty: what may be done"},
	    {"cert-authority", NULL, "not by certificates"},
	    {"verify-required", NULL, "for FIDO keys"},
	    {"verify-required=\"yes\"", NULL, "takes no value"},
	    {"from=\"192.0.2.7\",", NULL, "neither a key nor one of"},
	    {"from=\"192.0.2.7\"x", NULL, "right behind an option"},
	    {"fly", NULL, "fly: neither a key nor one of"},
	};
	char line[1024], why[KEY_WHY], text[KEY_OPTIONS_TEXT];
	struct key_read key;

	(void)state;
	setenv("TZ", "UTC0", 1);
	tzset();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int good;

		snprintf(line, sizeof(line), "%s %s", all[i].options, key_line(9));
		good = key_read_person(&key, line, why) == 0;
		if (good)
			key_options_print(&key.options, text);
		if (good ? all[i].is == NULL || strcmp(text, all[i].is) != 0
		         : all[i].is != NULL || strstr(why, all[i].why) == NULL)
			fail_msg("row %zu, %s: %s", i, all[i].options, good ? text : why);
	}
	snprintf(line, sizeof(line), "verify-required,from=\"192.0.2.7\" %s",
	    made("sk-ssh-ed25519@openssh.com", "ssh:", (const size_t[]){32, 4, 0}));
	assert_int_equal(key_read_person(&key, line, why), 0);
	assert_int_equal(key.options.bits, KEY_OPTION_VERIFY);
	assert_int_equal(key_read_person(&key, "from=\"192.0.2.7\"", why), -1);
	assert_non_null(strstr(why, "no key behind them"));
}

/* ---- person ---- */

static struct person_key
key_of(struct bench *b, const char *login, size_t number)
{
	struct person_key key;
	struct rows found;

	assert_true(store_list(b->policy.store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT(login)) > (int)number);
	key = *rows_at(&found, person_key, number);
	rows_free(&found);
	return (key);
}

static void
a_key_given_again_has_new_options(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	struct person_key key;
	char words[1024];

	/* As it comes over ssh: quotes inside a word are part of it. */
	snprintf(words, sizeof(words),
	    "person change alice --key from=\"192.0.2.0/24\",expiry-time=\"21990101\" %s", key_line(1));
	expect(maria, words, 0, "changed");
	assert_int_equal(alice->ends, 0); /* nobody is cut off for it */
	key = key_of(b, "alice", 0);
	assert_string_equal(key.networks, "192.0.2.0/24");
	assert_true(key.valid_until > clock_wall_ms());
	assert_string_equal(key.comment, "somebody@somewhere");
	expect_event(b, "person.changed", "from=\\\"192.0.2.0/24\\\",expiry-time=\\\"21990101000000Z\\\"");
	expect(root, "person show alice", 0, "from=\"192.0.2.0/24\",expiry-time=\"21990101000000Z\"");
	expect(root, "person show alice --json", 0, "\"networks\": \"192.0.2.0/24\"");
	expect(root, "person show alice --json", 0, "\"valid_until\": \"2199-01-01T00:00:00.000Z\"");
	/* without any: they are taken away */
	snprintf(words, sizeof(words), "person change alice --key %s", key_line(1));
	expect(maria, words, 0, "changed");
	key = key_of(b, "alice", 0);
	assert_string_equal(key.networks, "");
	assert_int_equal(key.valid_until, 0);
	snprintf(words, sizeof(words), "person change bob --key from=\"192.0.2.0/24\" %s", key_line(1));
	expect(maria, words, 77, "is alice's already");
	snprintf(words, sizeof(words), "person change bob --key no-touch-required %s", key_line(2));
	expect(maria, words, 64, "--key: no-touch-required: a key that needs no touch shows nobody's presence");
	expect(maria, "person change bob --key ssh-dss AAAA", 64, "a DSA key");
	expect(maria, "person change bob --key from=\"192.0.2.0/24", 64, "not closed");
}

static void
as_many_as_may_be(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b);
	char words[1024];

	for (int i = 0; i < 31; i++) {
		snprintf(words, sizeof(words), "person change alice --key %s", key_line(100 + i));
		expect(root, words, 0, "changed");
	}
	snprintf(words, sizeof(words), "person change alice --key %s", key_line(200));
	expect(root, words, 77, "[limit] alice has 32 keys");
	snprintf(words, sizeof(words), "person change alice --key from=\"192.0.2.7\" %s", key_line(100));
	expect(root, words, 0, "changed"); /* it is there already */
}

static void
auth_is_told_of_keys(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *root = seat_root(b);
	char words[2048];

	house_link(b);
	snprintf(words, sizeof(words),
	    "person change alice --key from=\"198.51.100.0/24\" %s --key expiry-time=\"20200101\" %s", key_line(51),
	    key_line(52));
	expect(root, words, 0, "changed");
	snprintf(words, sizeof(words), "person change alice --key valid-from=\"21990101\" %s", key_line(53));
	expect(root, words, 0, "changed");
	snprintf(words, sizeof(words), "person change alice --key verify-required,from=\"192.0.2.0/24\" %s",
	    made("sk-ssh-ed25519@openssh.com", "ssh:", (const size_t[]){32, 4, 0}));
	expect(root, words, 0, "changed");
	person_wanted(b, "alice", "192.0.2.17");
	assert_int_equal(h->known, 1);
	assert_int_equal(h->reason, REASON_NONE);
	assert_int_equal(h->key_count, 5);
	assert_string_equal(h->pam_user, "alice");
	for (size_t i = 0; i < h->key_count; i++) {
		struct person_key key = key_of(b, "alice", i);
		unsigned reason = key.valid_from != 0 || key.valid_until != 0 ? REASON_KEY_EXPIRED
		                  : strncmp(key.networks, "198", 3) == 0      ? REASON_KEY_SOURCE
		                                                              : REASON_NONE;

		assert_int_equal(h->key[i].reason, reason);
		assert_int_equal(h->key[i].options, key.options);
	}
	expect(root, "person show alice", 0, "expired");
	expect(root, "person show alice", 0, "not yet");
	/* whom PAM knows them as */
	expect(root, "person change alice --pam-user alice@corp.example", 0, "changed");
	expect(root, "person show alice", 0, "alice@corp.example");
	person_wanted(b, "alice", "192.0.2.17");
	assert_string_equal(h->pam_user, "alice@corp.example");
	expect(root, "person change alice --pam-user none", 0, "changed");
	person_wanted(b, "alice", "192.0.2.17");
	assert_string_equal(h->pam_user, "alice");
	person_wanted(b, "nobody", "192.0.2.17");
	assert_int_equal(h->known, 0);
	assert_int_equal(h->key_count, 0);
	assert_string_equal(h->pam_user, "nobody");
}

/* A window of a key ends by turning the clock; one that is set back does not open it again. */
static void
a_key_expires(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *alice;
	char words[1024], day[16];
	time_t tomorrow = (time_t)(clock_wall_ms() / 1000) + 2 * 86400;
	struct tm tm;

	house_link(b);
	(void)strftime(day, sizeof(day), "%Y%m%d", gmtime_r(&tomorrow, &tm));
	snprintf(words, sizeof(words), "person change alice --key expiry-time=\"%s\" %s", day, key_line(1));
	expect(root, words, 0, "changed");
	alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	person_wanted(b, "alice", "192.0.2.17");
	assert_int_equal(b->heard.key[0].reason, REASON_NONE);
	clocks_turn(b, 3 * DAY_MS, 3 * DAY_MS);
	person_wanted(b, "alice", "192.0.2.17");
	assert_int_equal(b->heard.key[0].reason, REASON_KEY_EXPIRED);
	assert_int_equal(alice->ends, 0); /* who is in stays */
	clocks_turn(b, 0, -3 * DAY_MS);
	person_wanted(b, "alice", "192.0.2.17");
	assert_int_equal(b->heard.key[0].reason, REASON_KEY_EXPIRED);
}

static void
a_use_is_remembered(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b);
	struct person_key key;

	house_link(b);
	key = key_of(b, "alice", 0);
	key_used(b, "alice", key.fingerprint, 7, "192.0.2.17");
	key_used(b, "alice", key.fingerprint, 5, "192.0.2.18");
	key_used(b, "bob", key.fingerprint, 99, "192.0.2.19"); /* not his */
	key_used(b, "nobody", "SHA256:none", 99, "192.0.2.19");
	key = key_of(b, "alice", 0);
	assert_int_equal(key.counter, 7);
	assert_int_equal(key.last_used, 1764000000000);
	assert_string_equal(key.last_source, "192.0.2.18");
	expect(root, "person show alice --json", 0, "\"last_used\": \"2025-11-24T16:00:00.000Z\"");
	expect(root, "person show alice", 0, "192.0.2.18");
	person_wanted(b, "alice", "192.0.2.17");
	assert_int_equal(b->heard.key[0].counter, 7);
}

static void
whom_pam_knows(void **state)
{
	static const char *const bad[] = {"root", "\"a b\"", "a/b", "-a", "a:b"};
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	char words[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(words, sizeof(words), "person change alice --pam-user %s", bad[i]);
		expect(root, words, 64, "--pam-user");
	}
	expect(root, "person change alice --pam-user al.ice", 0, "changed");
	expect(root, "person change bob --pam-user al.ice", 0, "changed"); /* it need not be hers alone */
	expect(maria, "person change bob --pam-user bob2", 77, "[role]");
	expect(root, "person add invite", 64, "nobody can have that name");
	expect(root, "person add root", 64, "nobody can have that name");
}

const struct CMUnitTest keying[] = {cmocka_unit_test(only_good_keys), cmocka_unit_test(what_may_stand_before_a_key),
    TEST(a_key_given_again_has_new_options), TEST(as_many_as_may_be), TEST(auth_is_told_of_keys),
    TEST(a_key_expires), TEST(a_use_is_remembered), TEST(whom_pam_knows)};
const size_t keying_count = sizeof(keying) / sizeof(keying[0]);
