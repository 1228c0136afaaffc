/*
 * Who gets what lies in the vault: passwords, signatures and rotations that a stream gets on policy's word alone, and that no
 * rotation loses the password that works.  The real lodge-auth; the test is gateway, policy, the sessions and `lodge`.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeping.h"

/* Sees what an answer of any kind changed: this comes only when auth has worked through what was sent before. */
static void
visit_caught_up(struct visit *v)
{
	visit_sign(v, (uint8_t)(v->ask + 100));
}

static void
rotation_want(struct visit *v)
{
	peer_post(v->s.peer, ROTATION_WANTED, rotation_wanted, .ask = ++v->ask, .stream = STREAM);
}

/* The new password, which is one that a target takes. */
static void
rotation_begins(struct visit *v, const char *old, char new[32])
{
	const struct msg_rotation *m;

	rotation_want(v);
	m = &end_expect(v->b, &v->s, MSG_ROTATION)->rotation;
	assert_int_equal(m->ask, v->ask);
	assert_true(bytes_are(m->old, old));
	assert_int_equal(bytes_copy(new, 32, m->new), 0);
	assert_int_equal(strlen(new), 24);
	assert_int_equal(strspn(new, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+"), 24);
	policy_told(v, TARGET_PASSWORD, REASON_NONE);
}

static void
rotation_ends(struct visit *v, enum rotation outcome, enum reason reason)
{
	peer_post(v->s.peer, ROTATION_DONE, rotation_done, .stream = STREAM, .outcome = (uint8_t)outcome);
	policy_done(v->b, "rotation", reason);
}

static void
password_good(struct visit *v, uint8_t attempt)
{
	peer_post(v->s.peer, PASSWORD_GOOD, password_good, .stream = STREAM, .attempt = attempt);
	visit_caught_up(v);
}

static void
a_password(void **state)
{
	struct bench b;
	struct visit v;
	uint8_t key[51] = {0};

	(void)state;
	bench_vault_begin(&b);
	visit_in(&v, &b, 1);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_want(&v, STREAM, 0);
	visit_refused(&v, REASON_VAULT);
	policy_told(&v, TARGET_PASSWORD, REASON_VAULT);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	password_is(&v, 0, "s3cret");
	password_good(&v, 0);
	assert_int_equal(lodge_verb(&b, "secret list --json", NULL), 0);
	said_has("\"used\": \"20");
	/* There is no other one. */
	password_want(&v, STREAM, 1);
	visit_refused(&v, REASON_VAULT);
	policy_told(&v, TARGET_PASSWORD, REASON_VAULT);
	password_want(&v, STREAM, 2);
	visit_refused(&v, REASON_VAULT);
	policy_told(&v, TARGET_PASSWORD, REASON_VAULT);
	/* Another way in than policy said. */
	peer_post(v.s.peer, AGENT_WANTED, agent_wanted, .ask = ++v.ask, .stream = STREAM);
	visit_refused(&v, REASON_SUSPECT);
	policy_told(&v, TARGET_PASSWORD, REASON_SUSPECT);
	peer_post(v.s.peer, CERT_WANTED, cert_wanted, .ask = ++v.ask, .stream = STREAM,
	    .public_key = bytes_of(key, sizeof(key)));
	assert_int_equal(end_expect(&b, &v.s, MSG_CERT)->cert.reason, REASON_SUSPECT);
	policy_told(&v, TARGET_PASSWORD, REASON_SUSPECT);
	/* No word of policy's about that stream: it waits, and then somebody lied. */
	password_want(&v, STREAM + 1, 0);
	end_expect_none(&b, &v.s, MSG_CREDENTIAL_REFUSED, 50);
	b.clock[0] += 6000;
	visit_refused(&v, REASON_SUSPECT);
	policy_told(&v, TARGET_PASSWORD, REASON_SUSPECT);
	/* The same, but policy's word comes. */
	password_want(&v, STREAM + 2, 0);
	end_expect_none(&b, &v.s, MSG_CREDENTIAL_REFUSED, 50);
	policy_permit(&v, STREAM + 2, TARGET_KEYBOARD);
	assert_true(bytes_are(end_expect(&b, &v.s, MSG_PASSWORD)->password.password, "s3cret"));
	policy_told(&v, TARGET_KEYBOARD, REASON_NONE);
	/* Past the grant. */
	b.clock[1] += 2 * HOUR_MS;
	password_want(&v, STREAM, 0);
	visit_refused(&v, REASON_WINDOW_ENDED);
	policy_told(&v, TARGET_PASSWORD, REASON_WINDOW_ENDED);
	visit_end(&v);
	bench_vault_end(&b);
}

/* A stream of somebody else's, and a connection that nobody vouched for. */
static void
not_theirs(void **state)
{
	struct bench b;
	struct visit v, other, early;

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	visit_in(&v, &b, 1);
	visit_in(&other, &b, 2);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_want(&other, STREAM, 0);
	end_expect_none(&b, &other.s, MSG_PASSWORD, 50);
	b.clock[0] += 6000;
	visit_refused(&other, REASON_SUSPECT);
	policy_told(&other, TARGET_PASSWORD, REASON_SUSPECT);
	/* Again and again: the link is cut, and the book is not filled. */
	for (int i = 0; i < 80; i++)
		peer_post(v.s.peer, AGENT_WANTED, agent_wanted, .ask = ++v.ask, .stream = STREAM);
	end_expect_closed(&b, &v.s);
	for (int i = 0; i < 64; i++)
		policy_told(&v, TARGET_PASSWORD, REASON_SUSPECT);
	end_expect_none(&b, &b.policy, MSG_CREDENTIAL, 50);
	visit_begin(&early, &b, 3, SOURCE, 33);
	password_want(&early, STREAM, 0);
	end_expect_closed(&b, &early.s);
	visit_end(&early);
	visit_end(&other);
	visit_end(&v);
	bench_vault_end(&b);
}

static void
limits(void **state)
{
	struct bench b;
	struct visit v;

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	visit_in(&v, &b, 1);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	for (int i = 0; i < 8; i++)
		password_is(&v, 0, "s3cret");
	password_want(&v, STREAM, 0);
	visit_refused(&v, REASON_LIMIT);
	policy_told(&v, TARGET_PASSWORD, REASON_LIMIT);
	/* Said again by policy (after a restart of its own), it is the same permit. */
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_want(&v, STREAM, 0);
	visit_refused(&v, REASON_LIMIT);
	policy_told(&v, TARGET_PASSWORD, REASON_LIMIT);
	/* More streams than there are places: the oldest ones go. */
	for (uint32_t i = 1; i <= 17; i++)
		policy_permit(&v, STREAM + i, TARGET_PASSWORD);
	password_want(&v, STREAM + 16, 0);
	assert_true(bytes_are(end_expect(&b, &v.s, MSG_PASSWORD)->password.password, "s3cret"));
	policy_told(&v, TARGET_PASSWORD, REASON_NONE);
	visit_end(&v);
	bench_vault_end(&b);
}

static void
a_rotation(void **state)
{
	struct bench b;
	struct visit v;
	char first[32], second[32], third[32];

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	visit_in(&v, &b, 1);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, "s3cret");
	password_good(&v, 0);
	rotation_want(&v);
	visit_refused(&v, REASON_NONE); /* nobody asked for one */
	assert_int_equal(lodge_verb(&b, "secret rotate " ABOUT " --when always", NULL), 0);
	rotation_begins(&v, "s3cret", first);
	rotation_want(&v);
	visit_refused(&v, REASON_NONE); /* one is under way */
	rotation_ends(&v, ROTATION_CHANGED, REASON_NONE);
	/* The former one stays until the new one was seen to work. */
	password_is(&v, 0, first);
	password_is(&v, 1, "s3cret");
	password_good(&v, 0);
	password_want(&v, STREAM, 1);
	visit_refused(&v, REASON_VAULT);
	policy_told(&v, TARGET_PASSWORD, REASON_VAULT);
	/* The target said no, which is no proof (a stack of two may have changed one): both stay until the old one is seen to work. */
	rotation_begins(&v, first, second);
	assert_string_not_equal(first, second);
	rotation_ends(&v, ROTATION_REFUSED, REASON_DENIED);
	password_is(&v, 0, first);
	password_is(&v, 1, second);
	password_good(&v, 0);
	password_want(&v, STREAM, 1);
	visit_refused(&v, REASON_VAULT);
	policy_told(&v, TARGET_PASSWORD, REASON_VAULT);
	visit_end(&v);
	/* Not known: both stay, and the one that lets us in is the one from then on. */
	visit_in(&v, &b, 2);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, first);
	password_good(&v, 0);
	rotation_begins(&v, first, second);
	rotation_ends(&v, ROTATION_UNKNOWN, REASON_TARGET_GONE);
	visit_end(&v);
	visit_in(&v, &b, 3);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, first);
	password_is(&v, 1, second);
	rotation_want(&v);
	visit_refused(&v, REASON_NONE); /* nobody knows which one works: nothing is thrown away */
	password_good(&v, 1);
	password_is(&v, 0, second);
	password_is(&v, 1, first);
	password_good(&v, 0);
	rotation_begins(&v, second, third);
	/* The session dies in the middle. */
	visit_end(&v);
	policy_done(&b, "rotation", REASON_TARGET_GONE);
	visit_in(&v, &b, 4);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, second);
	password_is(&v, 1, third);
	visit_end(&v);
	bench_vault_end(&b);
}

/* auth dies when the new password is on its way: a new auth has both. */
static void
a_rotation_and_a_death(void **state)
{
	struct bench b;
	struct visit v;
	char new[32];

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	assert_int_equal(lodge_verb(&b, "secret rotate " ABOUT, NULL), 0);
	visit_in(&v, &b, 1);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, "s3cret");
	password_good(&v, 0);
	rotation_begins(&v, "s3cret", new);
	bench_vault_again(&b, KEY_A, NULL);
	visit_relink(&v, SOURCE);
	policy_identity(&v, FACTOR_KEY, 0, 1);
	peer_post(v.s.peer, ROTATION_DONE, rotation_done, .stream = STREAM, .outcome = ROTATION_CHANGED);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	end_expect_none(&b, &b.policy, MSG_SECRET_DONE, 50);
	password_is(&v, 0, "s3cret");
	password_is(&v, 1, new);
	password_good(&v, 1);
	password_is(&v, 0, new);
	/* `once` is not over: nobody knows that it was done. */
	rotation_begins(&v, new, (char[32]){0});
	rotation_ends(&v, ROTATION_CHANGED, REASON_NONE);
	rotation_want(&v);
	visit_refused(&v, REASON_NONE);
	visit_end(&v);
	bench_vault_end(&b);
}

/* Two visits of one account end in the same moment; and a password that was set by hand meanwhile stays. */
static void
rotations_beside_each_other(void **state)
{
	struct bench b;
	struct visit v, other;
	char new[32], newest[32];

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	assert_int_equal(lodge_verb(&b, "secret rotate " ABOUT " --when always", NULL), 0);
	visit_in(&v, &b, 1);
	visit_in(&other, &b, 2);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	policy_permit(&other, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, "s3cret");
	password_is(&other, 0, "s3cret");
	rotation_begins(&v, "s3cret", new);
	rotation_want(&other);
	visit_refused(&other, REASON_NONE);
	rotation_ends(&v, ROTATION_UNKNOWN, REASON_TARGET_GONE);
	password_good(&other, 0); /* of before: the pending one is not thrown away for it */
	rotation_want(&other);
	visit_refused(&other, REASON_NONE);
	password_is(&other, 1, new);
	password_good(&other, 1);
	rotation_begins(&other, new, newest);
	assert_int_equal(
	    lodge_verb(&b, "secret remove " ABOUT, NULL), 77); /* the target may have the new one by now */
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "by hand"), 0);
	rotation_ends(&other, ROTATION_CHANGED, REASON_STATE);
	password_is(&other, 0, "by hand");
	password_is(&other, 1, newest); /* what the target has, when nobody changed it there by hand */
	assert_int_equal(lodge_verb(&b, "secret remove " ABOUT, NULL), 0);
	visit_end(&v);
	visit_end(&other);
	bench_vault_end(&b);
}

/* Two visits came in by the same password; the second must not bury it behind a new one that nobody has seen to work. */
static void
rotations_one_after_the_other(void **state)
{
	struct bench b;
	struct visit v, other;
	char new[32];

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	assert_int_equal(lodge_verb(&b, "secret rotate " ABOUT " --when always", NULL), 0);
	visit_in(&v, &b, 1);
	visit_in(&other, &b, 2);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	policy_permit(&other, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, "s3cret");
	password_good(&v, 0);
	password_is(&other, 0, "s3cret");
	password_good(&other, 0);
	rotation_begins(&v, "s3cret", new);
	rotation_ends(&v, ROTATION_CHANGED, REASON_NONE);
	rotation_want(&other);
	visit_refused(&other, REASON_NONE);
	rotation_want(&v);
	visit_refused(&v, REASON_NONE);
	password_is(&other, 1, "s3cret");
	visit_end(&v);
	visit_end(&other);
	bench_vault_end(&b);
}

/* A session says which password let it in: of those that it got, and once; each word of it is two syncs of auth's disk. */
static void
good_is_said_once(void **state)
{
	struct bench b;
	struct visit v;
	char new[32];

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret set " ABOUT, "s3cret"), 0);
	assert_int_equal(lodge_verb(&b, "secret rotate " ABOUT " --when always", NULL), 0);
	visit_in(&v, &b, 1);
	policy_permit(&v, STREAM, TARGET_PASSWORD);
	password_is(&v, 0, "s3cret");
	password_good(&v, 0);
	rotation_begins(&v, "s3cret", new);
	rotation_ends(&v, ROTATION_CHANGED, REASON_NONE);
	password_is(&v, 0, new);
	password_good(&v, 1); /* which it never got */
	password_is(&v, 0, new);
	password_is(&v, 1, "s3cret");
	password_good(&v, 1);
	password_good(&v, 1);
	password_is(&v, 0, "s3cret");
	visit_end(&v);
	bench_vault_end(&b);
}

/* ---- a key ---- */

/* The agent's answer: its type, the rest in *r (of room). */
static int
agent_ask(struct bench *b, int fd, const struct wire *request, uint8_t room[4096], struct reader *r)
{
	struct wire w = {0};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t got;

	(void)b;
	wire_put_bytes(&w, wire_bytes(request));
	assert_int_equal(send(fd, w.at, w.len, MSG_NOSIGNAL), (ssize_t)w.len);
	wire_free(&w);
	assert_int_equal(poll(&p, 1, BENCH_MS), 1);
	got = recv(fd, room, 4096, 0);
	if (got <= 0)
		return (-1);
	*r = reader_of(bytes_of(room, (size_t)got));
	assert_int_equal(reader_get_u32(r), got - 4);
	return (reader_get_u8(r));
}

static int
agent_take(struct visit *v)
{
	const struct message *m;

	peer_post(v->s.peer, AGENT_WANTED, agent_wanted, .ask = ++v->ask, .stream = STREAM);
	m = end_expect(v->b, &v->s, MSG_AGENT);
	assert_int_equal(m->agent.ask, v->ask);
	return (fcntl(m->fd, F_DUPFD_CLOEXEC, 10));
}

static void
sign_put(struct wire *w, struct bytes key, const char *user)
{
	struct wire text = {0};
	uint8_t identifier[32] = {9};

	wire_put_bytes(&text, bytes_of(identifier, sizeof(identifier)));
	wire_put_u8(&text, 50);
	wire_put_bytes(&text, bytes_text(user));
	wire_put_bytes(&text, bytes_text("ssh-connection"));
	wire_put_bytes(&text, bytes_text("publickey"));
	wire_put_u8(&text, 1);
	wire_put_bytes(&text, bytes_text("ssh-ed25519"));
	wire_put_bytes(&text, key);
	wire_put_u8(w, 13);
	wire_put_bytes(w, key);
	wire_put_bytes(w, wire_bytes(&text));
	wire_put_u32(w, 0);
	wire_free(&text);
}

static void
a_key(void **state)
{
	struct bench b;
	struct visit v;
	struct wire list = {0}, sign = {0}, other = {0};
	uint8_t room[4096], blob[51];
	struct reader r;
	struct bytes key;
	int fd;

	(void)state;
	bench_vault_begin(&b);
	assert_int_equal(lodge_verb(&b, "secret generate " ABOUT, NULL), 0);
	visit_in(&v, &b, 1);
	policy_permit(&v, STREAM, TARGET_KEY);
	fd = agent_take(&v);
	wire_put_u8(&list, 11);
	assert_int_equal(agent_ask(&b, fd, &list, room, &r), 12);
	assert_int_equal(reader_get_u32(&r), 1);
	key = reader_get_bytes(&r);
	assert_int_equal(key.len, sizeof(blob));
	memcpy(blob, key.at, sizeof(blob));
	key = bytes_of(blob, sizeof(blob));
	/* Not as root. */
	sign_put(&other, key, "root");
	assert_int_equal(agent_ask(&b, fd, &other, room, &r), 5);
	policy_told(&v, TARGET_KEY, REASON_SUSPECT);
	sign_put(&sign, key, "srx");
	assert_int_equal(agent_ask(&b, fd, &sign, room, &r), 14);
	assert_true(reader_get_bytes(&r).len > 64);
	policy_told(&v, TARGET_KEY, REASON_NONE);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 0); /* and it is over */
	close(fd);
	/* One signature, whatever socket. */
	fd = agent_take(&v);
	assert_int_equal(agent_ask(&b, fd, &sign, room, &r), 5);
	policy_told(&v, TARGET_KEY, REASON_LIMIT);
	/* The permit's end is the agent's. */
	b.clock[1] += 2 * HOUR_MS;
	assert_int_equal(agent_ask(&b, fd, &list, room, &r), -1);
	policy_told(&v, TARGET_KEY, REASON_WINDOW_ENDED);
	close(fd);
	b.clock[1] = 0;
	policy_permit(&v, STREAM, TARGET_KEY);
	fd = agent_take(&v);
	visit_end(&v);
	assert_int_equal(recv(fd, room, sizeof(room), 0), 0); /* the visitor left */
	close(fd);
	wire_free(&list);
	wire_free(&sign);
	wire_free(&other);
	bench_vault_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_password),
	    cmocka_unit_test(not_theirs),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(a_rotation),
	    cmocka_unit_test(a_rotation_and_a_death),
	    cmocka_unit_test(rotations_beside_each_other),
	    cmocka_unit_test(rotations_one_after_the_other),
	    cmocka_unit_test(good_is_said_once),
	    cmocka_unit_test(a_key),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
