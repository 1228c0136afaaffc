/* vendor, person, target: each act, and each refusal. */
#include <stdio.h>

#include "bench.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

static void
vendors(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b);

	expect(root, "vendor", 64, "vendor takes:");
	expect(root, "vendor fly", 64, "vendor takes:");
	expect(root, "vendor add", 64, "which vendor?");
	expect(root, "vendor add ../x", 64, "a name is");
	expect(root, "vendor add unify", 77, "[state] vendor unify is there already");
	expect(root, "vendor add third --from 2026-02-01 --until 2026-01-01", 64, "end before it begins");
	expect(root, "vendor add third --network 10.0.0.1/8", 64, "--network");
	expect(root, "vendor add third --network 10.0.0.0/8,2001:db8::/32 --until 2199-01-01", 0,
	    "vendor third is added");
	expect_event(b, "vendor.changed", "\"what\":\"added\"");
	expect(root, "vendor show third", 0, "10.0.0.0/8,2001:db8::/32");
	expect(root, "vendor list", 0, "third");
	expect(root, "vendor change third", 64, "change what?");
	expect(root, "vendor change third --until never", 0, "changed");
	expect(root, "vendor suspend third --until never", 64, "takes no options");
	expect(root, "vendor suspend third", 0, "suspended");
	expect(root, "vendor list", 0, "suspended");
	expect(root, "vendor resume third", 0, "resumed");
	expect(root, "vendor remove third", 0, "removed");
	expect(root, "vendor show third", 77, "[not-found]");
	expect(root, "vendor remove unify", 77, "[state] vendor unify has 2 people");
}

static void
people(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	char words[1024];
	struct person_key key = {.added = 0};

	expect(root, "person add carl --vendor none", 77, "[not-found] there is no vendor none");
	expect(root, "person add carl --role king", 64, "--role king");
	expect(root, "person add carl --uid 0", 64, "--uid 0");
	expect(root, "person add carl --uid 4711", 77, "[state] mona has the user id 4711 already");
	expect(root, "person add carl --key ssh-rsa AAAA", 64, "not a public key");
	expect(root, "person show carl", 77, "[not-found]"); /* nothing of those stayed */
	snprintf(words, sizeof(words), "person add carl --vendor acme --key %s", key_line(1));
	expect(root, words, 77, "alice's already");
	expect(root, "person show carl", 77, "[not-found]");
	snprintf(words, sizeof(words),
	    "person add carl --vendor acme --uid 900 --until 2199-01-01 --key %s --key %s", key_line(20),
	    key_line(21));
	expect(root, words, 0, "person carl is added");
	expect(root, "person show carl", 0, "somebody@somewhere");
	expect(root, "person list", 0, "carl");
	expect(root, "person change carl --remove-key SHA256:none", 77, "[not-found]");
	TEXT_COPY(key.login, "carl");
	expect(root, "person change carl --name \"Carl \xc3\x84\" --uid none", 0, "changed");
	expect(root, "person show carl", 0, "Carl \xc3\x84");
	expect(root, "person suspend alice", 0, "suspended");
	settle(b);
	assert_int_equal(alice->end_reason, REASON_PERSON_SUSPENDED);
	expect_event(b, "person.changed", "\"target\":{\"name\":\"alice\"}");
	expect(root, "person resume alice", 0, "resumed");
	expect(root, "person remove carl", 0, "removed");
	expect(root, "person list --json", 0, "\"person\": \"alice\"");
	assert_null(strstr(root->out, "carl"));
}

static void
who_keeps_whom(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1),
	            *umar = seat_login(b, "umar", KEY_AND_CODE, 1);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *otto = seat_login(b, "otto", KEY_AND_CODE, 1);
	char words[1024];

	snprintf(words, sizeof(words), "person add dora --vendor acme --key %s", key_line(30));
	expect(maria, words, 0, "added");
	expect(maria, "person add eva --role manager", 77, "[role]");
	expect(maria, "person change mona --name Mona", 77, "[role]");
	expect(maria, "person change dora --role auditor", 77, "[role]");
	expect(maria, "person change dora --uid 77", 77, "[role]");
	expect(maria, "person suspend maria", 77, "[role]");
	expect(maria, "person remove otto", 77, "[role]");
	expect(umar, "vendor change unify --until never", 77, "[own-vendor]");
	expect(umar, "person list", 0, "alice");
	assert_null(strstr(umar->out, "bob"));
	expect(umar, "person show bob", 77, "[not-found]");
	expect(alice, "person list", 77, "[role]");
	expect(otto, "target list", 77, "[role]");
}

static void
targets(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	char words[1024];
	static const char *const bad[] = {
	    "127.0.0.1:0", "127.0.0.1:65536", "a b", "::1:22", "[::1", "user@host", ":22", "h:x"};

	expect(root, "target add sbc1", 64, "wants --address");
	expect(root, "target add sbc1 --address h:22", 64, "wants --address");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(words, sizeof(words), "target add sbc1 --account svc --address \"%s\"", bad[i]);
		expect(root, words, 64, "--address");
	}
	expect(root, "target add sbc1 --address h --account a,,b", 64, "--account");
	expect(root, "target add sbc1 --address h --account a,b,a", 64, "each once");
	expect(root, "target add sbc1 --address h --account svc --host-key nonsense", 64, "not a key");
	expect(root, "target show sbc1", 77, "[not-found]");
	expect(root, "target add sbc1 --address [2001:db8::7]:2222 --account svc,_root", 0, "added");
	expect(root, "target show sbc1", 0, "[2001:db8::7]:2222");
	expect(root, "target show sbc1", 0, "none pinned");
	snprintf(words, sizeof(words), "target change sbc1 --host-key [2001:db8::7]:2222 %s", key_line(40));
	expect(root, words, 0, "changed");
	snprintf(words, sizeof(words), "target change sbc1 --about edge --host-key %s", key_line(41));
	expect(root, words, 0, "changed");
	expect(root, "target show sbc1 --json", 0, "\"about\": \"edge\"");
	assert_non_null(strstr(strstr(root->out, "ssh-ed25519") + 1, "ssh-ed25519")); /* beside the first */
	/* Whoever is let onto what is removed leaves. */
	expect(alice, "request sbc1", 0, "request 1");
	expect(alice, "request sbc1 --account _root", 0, "request 2");
	expect(maria, "approve 1", 0, "approved");
	expect(root, "target remove sbc1", 0, "removed");
	expect(alice, "show 1", 0, "revoked");
	expect(alice, "show 2", 0, "denied");
	expect_event(b, "target.changed", "removed");
	expect(alice, "menu", 0, "osv1");
	assert_null(strstr(alice->out, "sbc1"));
}

const struct CMUnitTest keeping[] = {TEST(vendors), TEST(people), TEST(who_keeps_whom), TEST(targets)};
const size_t keeping_count = sizeof(keeping) / sizeof(keeping[0]);
