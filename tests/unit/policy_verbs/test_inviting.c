/* Invitations: who makes them, what is kept of them, when they are good, and what becomes of the key. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
#define HOUR_MS INT64_C(3600000)

/* The code out of what `person invite` said. */
static const char *
code_of(const struct seat *s)
{
	static char code[4][64];
	static int turn;
	char *to = code[turn++ % 4];
	const char *at = strstr(s->out, "invite+");
	size_t n;

	assert_non_null(at);
	at += strlen("invite+");
	n = strcspn(at, "@");
	assert_int_equal(n, 26);
	assert_int_equal(strspn(at, "abcdefghijklmnopqrstuvwxyz234567"), n);
	snprintf(to, sizeof(code[0]), "%.*s", (int)n, at);
	return (to);
}

static const char *
invited(struct seat *by, const char *whom)
{
	char words[128];

	snprintf(words, sizeof(words), "person invite %s", whom);
	expect(by, words, 0, "is invited, once, until");
	return (code_of(by));
}

/* No row of any table, and no byte of the file, has the code. */
static void
expect_nowhere(struct bench *b, const char *code)
{
	static const char *const ends[] = {"", "-wal"};
	char path[128];

	for (size_t i = 0; i < 2; i++) {
		FILE *f;
		char *all;
		long size;

		snprintf(path, sizeof(path), "%s/policy.db%s", b->dir, ends[i]);
		assert_non_null(f = fopen(path, "r"));
		assert_int_equal(fseek(f, 0, SEEK_END), 0);
		size = ftell(f);
		rewind(f);
		assert_non_null(all = malloc((size_t)size + 1));
		assert_int_equal(fread(all, 1, (size_t)size, f), size);
		fclose(f);
		if (memmem(all, (size_t)size, code, strlen(code)) != NULL)
			fail_msg("the code stands in %s", path);
		assert_non_null(
		    memmem(all, (size_t)size, "invite.made", strlen("invite.made")) != NULL || i == 0 ? "" : NULL);
		free(all);
	}
}

static void
who_invites_whom(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *umar = seat_login(b, "umar", KEY_AND_CODE, 1),
	            *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	const char *code;

	code = invited(maria, "alice");
	expect_nowhere(b, code);
	expect_event(b, "invite.made", "\"target\":{\"name\":\"alice\"}");
	expect_event(b, "invite.made", "\"user\":{\"name\":\"maria\"");
	expect(maria, "person show alice", 0, "Invited   until");
	expect(maria, "person show alice", 0, "by maria");
	expect(maria, "person show alice --json", 0, "\"invited_by\": \"maria\"");
	assert_null(strstr(maria->out, code));
	expect(maria, "person invite mona", 77, "[role] managers keep engineers");
	expect(maria, "person invite maria", 77, "[role] nobody changes");
	expect(umar, "person invite alice", 77, "[own-vendor]");
	expect(alice, "person invite bob", 77, "[role]");
	expect(maria, "person invite", 64, "which person?");
	expect(maria, "person invite nobody", 77, "[not-found]");
	expect(maria, "person invite alice --name x", 64, "takes no options");
	(void)invited(root, "mona");
	expect(root, "person invite bob --json", 0, "\"code\": \"");
	assert_non_null(strstr(root->out, "\"expires\": \""));
	expect(root, "person suspend alice", 0, "suspended");
	expect(root, "person invite alice", 77, "[person-suspended] they could not come");
	expect(
	    maria, "person enrol bob", 77, "on the box, lodge person enrol bob; or from here, person invite bob");
	expect(root, "vendor invite unify", 64, "vendor takes:");
	expect(root, "secret list", 77, "secrets go to lodge-auth alone");
}

/* Said again over a new link it does nothing twice, and shows the code to nobody. */
static void
a_code_is_shown_once(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	const char *code = invited(maria, "alice");

	assert_int_equal(say_again(maria, "person invite alice"), 75);
	assert_null(strstr(maria->out, code));
	assert_non_null(strstr(maria->err, "shown once"));
	assert_int_equal(events_named(b, "invite.made"), 1);
}

static void
coming_by_it(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *root = seat_root(b);
	const char *code;

	house_link(b);
	expect(root, "person change alice --pam-user al", 0, "changed");
	code = invited(maria, "alice");
	invite_wanted(b, code, "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_NONE);
	assert_int_equal(h->invite_role, ROLE_ENGINEER);
	assert_string_equal(h->invite_login, "alice");
	assert_string_equal(h->invite_pam_user, "al");
	/* bob's key, and then a good one; nothing is said before the book has it */
	invite_used(b, code, key_line(2), "192.0.2.17");
	assert_int_equal(h->held_reason, REASON_INVITE);
	expect_event(b, "login.attempt", "the key is somebody else's");
	book_stall(b);
	invite_used(b, code, key_line(77), "192.0.2.17");
	assert_int_equal(h->helds, 1);
	book_go_on(b);
	settle(b);
	assert_int_equal(h->helds, 2);
	assert_int_equal(h->held_reason, REASON_NONE);
	expect_event(b, "invite.used", "\"fingerprint\":\"SHA256:");
	expect_event(b, "invite.used", "\"user\":{\"name\":\"alice\"}");
	expect(maria, "person show alice", 0, "by invitation");
	assert_null(strstr(maria->out, "Invited"));
	person_wanted(b, "alice", "192.0.2.17");
	assert_int_equal(h->key_count, 2);
	/* asked again after a restart of auth: done, and not twice; another key is too late */
	invite_used(b, code, key_line(77), "192.0.2.17");
	assert_int_equal(h->held_reason, REASON_NONE);
	assert_int_equal(events_named(b, "invite.used"), 1);
	invite_used(b, code, key_line(78), "192.0.2.17");
	assert_int_equal(h->held_reason, REASON_INVITE);
	invite_wanted(b, code, "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	assert_string_equal(h->invite_login, "");
	expect_event(b, "login.attempt", "it was used already");
	expect_nowhere(b, code);
	/* a key of theirs already is fine */
	code = invited(maria, "alice");
	invite_used(b, code, key_line(1), "192.0.2.17");
	assert_int_equal(h->held_reason, REASON_NONE);
	person_wanted(b, "alice", "192.0.2.17");
	assert_int_equal(h->key_count, 2);
}

/* To the outside all of these are one; the book says which. */
static void
no_good(void **state)
{
	struct bench *b = bench_of(state);
	struct vouched *h = &b->heard;
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *root = seat_root(b);
	const char *first, *second;
	size_t attempts;

	house_link(b);
	attempts = events_named(b, "login.attempt");
	invite_wanted(b, "abcdefghijklmnopqrstuvwxyz", "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	invite_wanted(b, "", "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	assert_int_equal(events_named(b, "login.attempt"), attempts); /* auth tells the book of those */
	first = invited(maria, "alice");
	second = invited(maria, "alice");
	invite_wanted(b, first, "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	expect_event(b, "login.attempt", "a newer one took its place");
	expect_event(b, "login.attempt", "\"target\":{\"name\":\"alice\"}");
	expect(root, "person change alice --network 198.51.100.0/24", 0, "changed");
	invite_wanted(b, second, "192.0.2.17");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	expect_event(b, "login.attempt", "192.0.2.17 is not in 198.51.100.0/24");
	invite_wanted(b, second, "198.51.100.7");
	assert_int_equal(h->invite_reason, REASON_NONE);
	expect(root, "person suspend alice", 0, "suspended");
	invite_wanted(b, second, "198.51.100.7");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	expect_event(b, "login.attempt", "alice is suspended");
	invite_used(b, second, key_line(77), "198.51.100.7");
	assert_int_equal(h->held_reason, REASON_INVITE);
	expect(root, "person resume alice", 0, "resumed");
	invite_wanted(b, second, "198.51.100.7");
	assert_int_equal(h->invite_reason, REASON_NONE);
	clocks_turn(b, 25 * HOUR_MS, 25 * HOUR_MS);
	invite_wanted(b, second, "198.51.100.7");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	expect_event(b, "login.attempt", "it has expired");
	clocks_turn(b, 0, -25 * HOUR_MS); /* it does not live again */
	invite_wanted(b, second, "198.51.100.7");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	clocks_turn(b, 0, 25 * HOUR_MS);
	second = invited(root, "alice");
	expect(root, "person remove alice", 0, "removed");
	invite_wanted(b, second, "198.51.100.7");
	assert_int_equal(h->invite_reason, REASON_INVITE);
	expect(root, "person add alice --vendor unify", 0, "added");
	invite_wanted(b, second, "198.51.100.7");
	assert_int_equal(h->invite_reason, REASON_INVITE);
}

static void
the_manager_sees_it(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *alice;
	struct person_key key = {.added = 0};
	struct rows found;

	house_link(b);
	invite_used(b, invited(maria, "alice"), key_line(77), "192.0.2.17");
	assert_int_equal(b->heard.held_reason, REASON_NONE);
	alice = seat_login(b, "alice", KEY_AND_CODE | FACTOR_TOUCH | FACTOR_VERIFIED | FACTOR_INVITED, 1);
	expect(alice, "request osv1", 0, "request 1");
	expect(maria, "show 1", 0, "key (touched, PIN or finger) and code, by an invitation, bound to this host");
	/* the request is of the key that she enrolled */
	assert_int_equal(store_list(b->policy.store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT("alice")), 2);
	for (size_t i = 0; i < 2; i++)
		if (rows_at(&found, person_key, i)->invited)
			key = *rows_at(&found, person_key, i);
	rows_free(&found);
	policy_begin(&b->policy);
	assert_int_equal(person_key_remove(b->policy.store, &key), 1);
	TEXT_COPY(key.fingerprint, "SHA256:a-key"); /* as seats have it */
	TEXT_COPY(key.networks, "192.0.2.0/24");
	assert_int_equal(person_key_add(b->policy.store, &key), 0);
	policy_commit(&b->policy);
	expect(maria, "show 1", 0, "Key was        enrolled by invitation 20");
	expect(maria, "show 1", 0, "; from=\"192.0.2.0/24\"");
	expect(maria, "show 1", 0, "this key came by an invitation today");
	expect(maria, "show 1 --json", 0, "\"key_added_by\": \"invitation\"");
}

const struct CMUnitTest inviting[] = {TEST(who_invites_whom), TEST(a_code_is_shown_once), TEST(coming_by_it),
    TEST(no_good), TEST(the_manager_sees_it)};
const size_t inviting_count = sizeof(inviting) / sizeof(inviting[0]);
