/*
 * lodge-auth as it is started, with real lodge-pam, pam_oath and oathtool: who gets in, who does not and why, and what
 * a restart leaves standing.  The test plays gateway, policy and the sessions.  One file: one table of tests over one bench.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "visit.h"

#define CODES "publickey,keyboard-interactive"
#define NO_WAIT "PenaltyLeast 0\n"

static struct bytes
id_of(const struct visit *v)
{
	return (bytes_of(v->id, sizeof(v->id)));
}

/* Key, wrong code, right code, and no word of it to the session before policy holds it. */
static void
a_whole_login(void **state)
{
	struct person_key stranger;
	struct bench b;
	struct visit v;
	char code[16];
	int64_t began_ms;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	key_make(&stranger);
	visit_begin(&v, &b, 77, SOURCE, 1);
	visit_sign(&v, 1); /* asked again: the same hash */
	visit_step(&v, LOGIN_NONE);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	policy_person(&v, "alice", REASON_NONE);
	assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(stranger.blob, sizeof(stranger.blob))));
	assert_false(visit_offer(&v, "ssh-rsa", bytes_of(b.alice.blob, sizeof(b.alice.blob))));
	assert_true(visit_offer(&v, "ssh-ed25519", bytes_of(b.alice.blob, sizeof(b.alice.blob))));
	/* Without a proof the step is a try that fails. */
	visit_step(&v, LOGIN_PUBLICKEY);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	policy_event(&v, "publickey", REASON_BAD_SIGNATURE);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, b.host_key));
	visit_step(&v, LOGIN_PUBLICKEY);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	policy_event(&v, "publickey", REASON_NONE);

	visit_prompted(&v);
	began_ms = clock_boot_ms();
	visit_answer(&v, "000000");
	policy_event(&v, "keyboard-interactive", REASON_WRONG_CODE);
	visit_result(&v, LOGIN_FAILURE, REASON_WRONG_CODE);
	assert_true(clock_boot_ms() - began_ms >= 2000);

	visit_prompted(&v);
	bench_code(code, 0);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	end_expect_none(&b, &v.s, MSG_LOGIN_RESULT, 200);
	policy_held(&v, REASON_NONE);
	visit_result(&v, LOGIN_SUCCESS, REASON_NONE);
	assert_int_equal(end_expect(&b, &b.gateway, MSG_LOGGED_IN)->logged_in.conn, 77);
	visit_sign(&v, 2); /* a rekey */
	visit_sign(&v, 3);
	assert_false(visit_prove(&v, &b.alice, id_of(&v), v.login, b.host_key));
	visit_end(&v);
	EVP_PKEY_free(stranger.pkey);
	bench_end(&b);
}

/* What is no proof of hers, each a failed try with its reason; six of them end it. */
static void
proofs_that_are_none(void **state)
{
	uint8_t other[32] = {9};
	struct wire text = {0}, signature = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 5, SOURCE, 1);
	/* over another connection's identifier */
	assert_false(visit_prove(&v, &b.alice, bytes_of(other, sizeof(other)), v.login, NULL));
	policy_event(&v, "publickey", REASON_BAD_SIGNATURE);
	/* bound to another host's key */
	assert_false(visit_prove(&v, &b.alice, id_of(&v), v.login, b.alice.blob));
	policy_event(&v, "publickey", REASON_BAD_SIGNATURE);
	/* libssh drops the try: not counted again, whether session says so or not */
	peer_post(
	    v.s.peer, LOGIN_UNREADABLE, login_unreadable, .login = bytes_text(v.login), .reason = REASON_WEAK_KEY);
	policy_person(&v, "alice", REASON_NONE);
	/* one bit of the text changed */
	proof_make(&b.alice, id_of(&v), v.login, NULL, &text, &signature);
	text.at[text.len - 1] ^= 1;
	peer_post(v.s.peer, PROOF, proof, .ask = ++v.ask, .leg = 0, .key = bytes_of(b.alice.blob, 51),
	    .signature = wire_bytes(&signature), .signed_data = wire_bytes(&text));
	assert_false(end_expect(&b, &v.s, MSG_PROOF_RESULT)->proof_result.good);
	policy_event(&v, "publickey", REASON_BAD_SIGNATURE);
	visit_step(&v, LOGIN_PUBLICKEY); /* the other way to say it: a failure that is counted already */
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	end_expect_none(&b, &b.policy, MSG_LOGIN_EVENT, 100);
	/* good, but for another name */
	assert_true(visit_prove(&v, &b.alice, id_of(&v), "maria", NULL));
	visit_step(&v, LOGIN_PUBLICKEY);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	policy_event(&v, "publickey", REASON_PROTOCOL);
	/* a nested leg logs nobody in */
	proof_make(&b.alice, id_of(&v), v.login, NULL, &text, &signature);
	peer_post(v.s.peer, PROOF, proof, .ask = ++v.ask, .leg = 1, .key = bytes_of(b.alice.blob, 51),
	    .signature = wire_bytes(&signature), .signed_data = wire_bytes(&text));
	assert_false(end_expect(&b, &v.s, MSG_PROOF_RESULT)->proof_result.good);
	/* another connection's identifier; another key in the text (the bit was the key's); another name; that leg */
	for (int i = 0; i < 4; i++)
		policy_suspect(&v);
	end_expect_none(&b, &b.policy, MSG_SUSPECT, 0);
	/* a password */
	visit_step(&v, LOGIN_OTHER);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	policy_event(&v, "other", REASON_PROTOCOL);
	/* the sixth */
	assert_false(visit_prove(&v, &b.alice, bytes_of(other, sizeof(other)), v.login, NULL));
	policy_event(&v, "publickey", REASON_BAD_SIGNATURE);
	visit_disconnected(&v, REASON_TOO_MANY_TRIES);
	/* nothing opens it again */
	assert_false(visit_prove(&v, &b.alice, id_of(&v), v.login, NULL));
	visit_step(&v, LOGIN_PUBLICKEY);
	visit_result(&v, LOGIN_DISCONNECT, REASON_TOO_MANY_TRIES);
	wire_free(&text);
	wire_free(&signature);
	visit_end(&v);
	bench_end(&b);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
struct vector {
	const char *name;
	const char *algorithm;
	const char *fingerprint;
	const char *blob;
	const char *text;
	const char *signature;
};
#include "vectors.h"

static size_t
unhex(const char *hex, uint8_t *to, size_t room)
{
	size_t len = strlen(hex) / 2;
	unsigned byte;

	assert_true(len <= room);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		to[i] = (uint8_t)byte;
	}
	return (len);
}

/* The signatures of a real agent, FIDO tokens without a touch among them, through the whole program. */
static void
every_kind_of_key(void **state)
{
	/* Those that are bound to a host are bound to one that is not this. */
	static const enum reason expect[] = {REASON_BAD_SIGNATURE, REASON_BAD_SIGNATURE, REASON_NONE, REASON_NONE,
	    REASON_NONE, REASON_NONE, REASON_WEAK_KEY, REASON_WEAK_KEY, REASON_WEAK_KEY, REASON_BAD_SIGNATURE,
	    REASON_NONE, REASON_NO_TOUCH, REASON_NO_TOUCH};
	uint8_t blob[2048], text[4096], signature[2048], hash[32];
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT "MaxAuthTries 100\n");
	v = (struct visit){.b = &b, .conn = 3, .login = "alice+osv1"};
	visit_relink(&v, SOURCE);
	for (uint8_t i = 0; i < 32; i++)
		hash[i] = i; /* the identifier that the vectors were made for */
	peer_post(v.s.peer, SIGN, sign, .ask = ++v.ask, .leg = 0, .hash = bytes_of(hash, sizeof(hash)));
	(void)end_expect(&b, &v.s, MSG_SIGNED);
	assert_int_equal(COUNT(vectors), COUNT(expect));
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct bytes k = bytes_of(blob, unhex(vectors[i].blob, blob, sizeof(blob)));
		struct bytes t = bytes_of(text, unhex(vectors[i].text, text, sizeof(text)));
		struct bytes s = bytes_of(signature, unhex(vectors[i].signature, signature, sizeof(signature)));

		peer_post(
		    v.s.peer, PROOF, proof, .ask = ++v.ask, .leg = 0, .key = k, .signature = s, .signed_data = t);
		if (end_expect(&b, &v.s, MSG_PROOF_RESULT)->proof_result.good != (expect[i] == REASON_NONE))
			fail_msg("%s", vectors[i].name);
		if (expect[i] != REASON_NONE)
			policy_event(&v, "publickey", expect[i]);
	}
	visit_end(&v);
	bench_end(&b);
}

/* Unknown name, known name: the same answers, no sooner one than the other; each leaves its event. */
static void
nobody_learns_who_exists(void **state)
{
	static const struct {
		const char *login, *person;
		enum reason reason;
	} rows[] = {{"alice+osv1", "alice", REASON_UNKNOWN_KEY}, {"zoe+osv1", "zoe", REASON_UNKNOWN_PERSON},
	    {"+", NULL, REASON_UNKNOWN_PERSON}};
	struct person_key stranger;
	struct bench b;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	key_make(&stranger);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct visit v;
		int64_t began_ms;

		visit_begin(&v, &b, 10 + i, SOURCE, 1);
		v.login = rows[i].login;
		visit_step(&v, LOGIN_NONE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		if (rows[i].person != NULL)
			policy_person(&v, rows[i].person, REASON_NONE);
		began_ms = clock_boot_ms();
		assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(stranger.blob, sizeof(stranger.blob))));
		assert_true(clock_boot_ms() - began_ms >= 20);
		assert_true(visit_prove(&v, &stranger, id_of(&v), v.login, NULL));
		visit_step(&v, LOGIN_PUBLICKEY);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		policy_event(&v, "publickey", rows[i].reason);
		visit_end(&v);
		/* who only asks leaves an event too */
		visit_begin(&v, &b, 20 + i, SOURCE, 1);
		v.login = rows[i].login;
		visit_step(&v, LOGIN_NONE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		if (rows[i].person != NULL)
			policy_person(&v, rows[i].person, REASON_NONE);
		assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(stranger.blob, sizeof(stranger.blob))));
		visit_end(&v);
		policy_event(&v, "publickey", rows[i].reason);
	}
	EVP_PKEY_free(stranger.pkey);
	bench_end(&b);
}

/* Whom policy would not let in hears why, after key and code: not before. */
static void
suspended(void **state)
{
	struct bench b;
	struct visit v;
	char code[16];

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, NULL));
	visit_step(&v, LOGIN_PUBLICKEY);
	policy_person(&v, "alice", REASON_VENDOR_SUSPENDED);
	policy_event(&v, "publickey", REASON_NONE);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	visit_prompted(&v);
	bench_code(code, 0);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_event(&v, "", REASON_VENDOR_SUSPENDED);
	visit_result(&v, LOGIN_DISCONNECT, REASON_VENDOR_SUSPENDED);
	end_expect_none(&b, &b.policy, MSG_IDENTITY, 100);
	visit_end(&v);
	/* or at the last moment */
	visit_begin(&v, &b, 2, SOURCE, 2);
	visit_key(&v);
	visit_prompted(&v);
	bench_code(code, 1);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM, 1, 0);
	policy_held(&v, REASON_PERSON_EXPIRED);
	visit_result(&v, LOGIN_DISCONNECT, REASON_PERSON_EXPIRED);
	visit_end(&v);
	bench_end(&b);
}

static void
grace_expected(struct visit *v)
{
	assert_true(visit_prove(v, &v->b->alice, id_of(v), v->login, NULL));
	visit_step(v, LOGIN_PUBLICKEY);
	policy_person(v, "alice", REASON_NONE);
	policy_event(v, "publickey", REASON_NONE);
	bench_pam(v->b); /* the account is examined all the same */
	policy_identity(v, FACTOR_KEY | FACTOR_GRACE, 0, 0);
	policy_held(v, REASON_NONE);
	visit_result(v, LOGIN_SUCCESS, REASON_NONE);
	assert_int_equal(end_expect(v->b, &v->b->gateway, MSG_LOGGED_IN)->logged_in.conn, v->conn);
	visit_end(v);
}

static void
one_code_is_good_for_a_while(void **state)
{
	struct bench b;
	struct visit v;
	char code[16];

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	visit_login(&v, -1);
	visit_end(&v);
	visit_begin(&v, &b, 2, SOURCE, 2);
	v.login = "alice+osv2";
	grace_expected(&v);
	/* not from elsewhere; and the code was used */
	visit_begin(&v, &b, 3, "192.0.2.8", 3);
	visit_key(&v);
	visit_prompted(&v);
	bench_code(code, -1);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_REPLAYED_CODE);
	visit_result(&v, LOGIN_FAILURE, REASON_REPLAYED_CODE);
	visit_end(&v);
	/* not past its time: it began with the code, and riding on it does not lengthen it */
	b.clock[0] = 570 * 1000; /* some of the ten minutes really passed: a wrong code is answered late */
	visit_begin(&v, &b, 4, SOURCE, 4);
	grace_expected(&v);
	b.clock[0] = 601 * 1000;
	visit_begin(&v, &b, 5, SOURCE, 5);
	visit_login(&v, 0);
	visit_end(&v);
	/* not past the grant */
	visit_begin(&v, &b, 6, SOURCE, 6);
	grace_expected(&v);
	peer_post(b.policy.peer, GRACE_CAP, grace_cap, .login = bytes_text("alice"));
	visit_begin(&v, &b, 7, SOURCE, 7);
	visit_key(&v);
	visit_end(&v);
	bench_end(&b);
}

static void
no_code_wanted(void **state)
{
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, "publickey", NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, b.host_key));
	visit_step(&v, LOGIN_PUBLICKEY);
	policy_person(&v, "alice", REASON_NONE);
	bench_pam(&b);
	policy_identity(&v, FACTOR_KEY, 1, 0);
	policy_held(&v, REASON_NONE);
	visit_result(&v, LOGIN_SUCCESS, REASON_NONE);
	visit_end(&v);
	bench_end(&b);
}

/* PAM in trouble is not a yes: lodge-pam killed in the middle, somebody whom PAM does not know, an answer too many. */
static void
pam_in_trouble(void **state)
{
	struct wire two = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	visit_key(&v);
	visit_prompted(&v);
	assert_int_equal(kill(b.pam, SIGKILL), 0);
	policy_event(&v, "keyboard-interactive", REASON_PAM_TROUBLE);
	visit_result(&v, LOGIN_FAILURE, REASON_PAM_TROUBLE);
	visit_prompted(&v);
	wire_put_text(&two, bytes_text("123456"));
	wire_put_text(&two, bytes_text("123456"));
	peer_post(v.s.peer, ANSWERS, answers, .ask = v.ask, .count = 2, .answers = wire_bytes(&two));
	policy_event(&v, "keyboard-interactive", REASON_PROTOCOL);
	visit_result(&v, LOGIN_FAILURE, REASON_PROTOCOL);
	/* gateway could not start one */
	visit_step(&v, LOGIN_KEYBOARD);
	peer_post(
	    b.gateway.peer, PAM_GONE, pam_gone, .ask = end_expect(&b, &b.gateway, MSG_PAM_WANTED)->pam_wanted.ask);
	policy_event(&v, "keyboard-interactive", REASON_PAM_TROUBLE);
	visit_result(&v, LOGIN_FAILURE, REASON_PAM_TROUBLE);
	/* a new request gives the conversation up, and that was a try */
	visit_prompted(&v);
	assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(b.alice.blob, 51)));
	policy_event(&v, "keyboard-interactive", REASON_PROTOCOL);
	/* so does one that cannot be read */
	visit_prompted(&v);
	peer_post(
	    v.s.peer, LOGIN_UNREADABLE, login_unreadable, .login = bytes_text(v.login), .reason = REASON_PROTOCOL);
	policy_event(&v, "publickey", REASON_PROTOCOL);
	visit_answer(&v, "123456"); /* goes nowhere */
	visit_prompted(&v);
	visit_answer(&v, "12345");
	policy_event(&v, "keyboard-interactive", REASON_WRONG_CODE);
	visit_result(&v, LOGIN_DISCONNECT, REASON_TOO_MANY_TRIES);
	visit_end(&v);
	/* nobody in users.oath: asked all the same */
	free(bench_run(&b, "printf 'HOTP/T30/6 bob - 3132\\n' > users.oath"));
	visit_begin(&v, &b, 2, SOURCE, 2);
	visit_key(&v);
	visit_prompted(&v);
	visit_answer(&v, "123456");
	policy_event(&v, "keyboard-interactive", REASON_WRONG_CODE);
	visit_result(&v, LOGIN_FAILURE, REASON_WRONG_CODE);
	visit_end(&v);
	wire_free(&two);
	bench_end(&b);
}

/* What libssh could not read counts, with a name or without; the source then waits. */
static void
unreadable_tries_and_penalties(void **state)
{
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 60s\n");
	visit_begin(&v, &b, 1, "2001:db8::1", 1);
	for (int i = 0; i < 6; i++) {
		end_expect_none(&b, &v.s, MSG_LOGIN_RESULT, 10);
		peer_post(v.s.peer, LOGIN_UNREADABLE, login_unreadable, .login = bytes_text(i < 3 ? "" : v.login),
		    .reason = REASON_WEAK_KEY);
		policy_event(&v, "publickey", REASON_WEAK_KEY);
	}
	visit_disconnected(&v, REASON_TOO_MANY_TRIES);
	visit_end(&v);
	/* the same network waits, another does not */
	visit_begin(&v, &b, 2, "2001:db8::2", 1);
	visit_step(&v, LOGIN_NONE);
	visit_result(&v, LOGIN_DISCONNECT, REASON_PENALTY);
	visit_end(&v);
	visit_begin(&v, &b, 3, "2001:db8:0:1::1", 1);
	visit_step(&v, LOGIN_NONE);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	visit_end(&v);
	b.clock[0] = 61 * 1000;
	visit_begin(&v, &b, 4, "2001:db8::1", 1);
	visit_step(&v, LOGIN_NONE);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	visit_end(&v);
	bench_end(&b);
}

/* A session that lies loses its link, and nobody else does. */
static void
a_session_that_lies(void **state)
{
	uint8_t hash[32] = {7}, key[51] = {0};
	struct bench b;
	struct visit v, honest;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&honest, &b, 99, SOURCE, 9);
	for (int i = 0; i < 6; i++) {
		visit_begin(&v, &b, (uint64_t)(i + 1), SOURCE, 1);
		switch (i) {
		case 0: /* a second hash before the login: a signature of its choosing */
			peer_post(v.s.peer, SIGN, sign, .ask = 9, .leg = 0, .hash = bytes_of(hash, sizeof(hash)));
			break;
		case 1: /* no hash at all */
			peer_post(v.s.peer, SIGN, sign, .ask = 9, .leg = 0, .hash = bytes_of(hash, 20));
			break;
		case 2: /* a nested leg before the login */
			peer_post(v.s.peer, SIGN, sign, .ask = 9, .leg = 1, .hash = bytes_of(hash, sizeof(hash)));
			break;
		case 3:
			peer_post(v.s.peer, SIGN, sign, .ask = 9, .leg = 200, .hash = bytes_of(hash, sizeof(hash)));
			break;
		case 4:
			peer_post(v.s.peer, CERT_WANTED, cert_wanted, .ask = 9, .stream = 1,
			    .public_key = bytes_of(key, sizeof(key)));
			break;
		default: /* its name changes: that is the client's doing, and ends the login only */
			visit_step(&v, LOGIN_NONE);
			visit_result(&v, LOGIN_FAILURE, REASON_NONE);
			v.login = "maria";
			visit_step(&v, LOGIN_NONE);
			visit_result(&v, LOGIN_DISCONNECT, REASON_PROTOCOL);
			while (!v.s.closed && v.ask < 100) {
				visit_step(&v, LOGIN_NONE);
				end_expect_none(&b, &v.s, MSG_PROMPTS, 5);
			}
			break;
		}
		end_expect_closed(&b, &v.s);
		end_expect_none(&b, &v.s, MSG_SIGNED, 0);
		visit_end(&v);
	}
	visit_sign(&honest, 9);
	visit_end(&honest);
	bench_end(&b);
}

/* Killed at every stage with the table kept: names, proved keys, grace and identifiers are there; nothing else opens. */
static void
a_restart(void **state)
{
	uint8_t other[32];
	struct bench b;
	struct visit in, keyed, fresh, vouching;
	char code[16];

	(void)state;
	memset(other, 55, sizeof(other));
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&fresh, &b, 1, SOURCE, 1);
	visit_begin(&in, &b, 3, SOURCE, 3);
	visit_login(&in, -1);
	visit_begin(&keyed, &b, 2, "192.0.2.50", 2);
	visit_key(&keyed);
	visit_prompted(&keyed); /* the conversation dies, the key stays proved */
	visit_begin(&vouching, &b, 4, SOURCE, 4);
	assert_true(visit_prove(&vouching, &b.alice, id_of(&vouching), vouching.login, NULL));
	visit_step(&vouching, LOGIN_PUBLICKEY);
	policy_person(&vouching, "alice", REASON_NONE);
	policy_event(&vouching, "publickey", REASON_NONE);
	bench_pam(&b);
	policy_identity(&vouching, FACTOR_KEY | FACTOR_GRACE, 0, 0);

	bench_auth_kill(&b);
	bench_auth_start(&b);
	/* in their order in the table: who is in is said again, whose identity was not held too, who was asked for is */
	visit_relink(&fresh, SOURCE);
	visit_relink(&keyed, "192.0.2.50");
	visit_relink(&in, SOURCE);
	visit_relink(&vouching, SOURCE);
	peer_post(b.gateway.peer, LINKS_TOLD, links_told, .none = 0);
	for (int i = 0; i < 2; i++) {
		const struct message *m = end_expect(&b, &b.policy, MSG_IDENTITY);

		assert_int_equal(m->identity.restated, m->identity.conn == in.conn);
		assert_true(m->identity.conn == in.conn || m->identity.conn == vouching.conn);
		assert_int_equal(m->identity.factors,
		    m->identity.conn == in.conn ? FACTOR_KEY | FACTOR_PAM : FACTOR_KEY | FACTOR_GRACE);
	}
	/* a rekey of who is in; no login again */
	visit_sign(&in, 30);
	assert_false(visit_prove(&in, &b.alice, id_of(&in), in.login, NULL));
	visit_step(&in, LOGIN_KEYBOARD); /* the answer may have been lost */
	visit_result(&in, LOGIN_SUCCESS, REASON_NONE);
	/* who waited for policy asks again */
	visit_step(&vouching, LOGIN_PUBLICKEY);
	policy_held(&vouching, REASON_NONE);
	visit_result(&vouching, LOGIN_SUCCESS, REASON_NONE);
	assert_int_equal(end_expect(&b, &b.gateway, MSG_LOGGED_IN)->logged_in.conn, vouching.conn);
	/* the key is not proved twice, the code is asked anew */
	policy_person(&keyed, "alice", REASON_NONE);
	visit_prompted(&keyed);
	bench_code(code, 0);
	visit_answer(&keyed, code);
	policy_event(&keyed, "keyboard-interactive", REASON_NONE);
	policy_identity(&keyed, FACTOR_KEY | FACTOR_PAM, 1, 0);
	policy_held(&keyed, REASON_NONE);
	visit_result(&keyed, LOGIN_SUCCESS, REASON_NONE);
	/* a proof over what the auth before signed, and over nothing else; its grace holds */
	assert_false(visit_prove(&fresh, &b.alice, bytes_of(other, sizeof(other)), fresh.login, NULL));
	policy_event(&fresh, "publickey", REASON_BAD_SIGNATURE);
	assert_true(visit_prove(&fresh, &b.alice, id_of(&fresh), fresh.login, NULL));
	visit_step(&fresh, LOGIN_PUBLICKEY);
	policy_person(&fresh, "alice", REASON_NONE);
	bench_pam(&b);
	policy_identity(&fresh, FACTOR_KEY | FACTOR_GRACE, 0, 0);
	policy_held(&fresh, REASON_NONE);
	visit_result(&fresh, LOGIN_SUCCESS, REASON_NONE);
	/* whom gateway does not link again is gone: its number may come again, and is nobody */
	bench_auth_kill(&b);
	end_close(&fresh.s);
	end_close(&keyed.s);
	end_close(&vouching.s);
	bench_auth_start(&b);
	visit_relink(&in, SOURCE);
	peer_post(b.gateway.peer, LINKS_TOLD, links_told, .none = 0);
	visit_sign(&in, 31);
	visit_relink(&fresh, SOURCE);
	visit_step(&fresh, LOGIN_NONE);
	visit_result(&fresh, LOGIN_FAILURE, REASON_NONE);
	visit_end(&fresh);
	visit_end(&in);
	bench_end(&b);
}

/* policy away: who is not in yet hears so; who it was is told when policy is back. */
static void
policy_away(void **state)
{
	struct bench b;
	struct visit v;
	int pair[2];

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	visit_begin(&v, &b, 1, SOURCE, 1);
	end_close(&b.policy);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, NULL));
	visit_step(&v, LOGIN_PUBLICKEY);
	end_expect_none(&b, &v.s, MSG_LOGIN_RESULT, 100);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	end_open(&b, &b.policy, pair[0], PROCESS_POLICY, PROCESS_AUTH);
	peer_post_fd(b.gateway.peer, pair[1], LINK, link, .peer = PROCESS_POLICY);
	policy_person(&v, "alice", REASON_NONE);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	visit_end(&v);
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_whole_login),
	    cmocka_unit_test(proofs_that_are_none),
	    cmocka_unit_test(every_kind_of_key),
	    cmocka_unit_test(nobody_learns_who_exists),
	    cmocka_unit_test(suspended),
	    cmocka_unit_test(one_code_is_good_for_a_while),
	    cmocka_unit_test(no_code_wanted),
	    cmocka_unit_test(pam_in_trouble),
	    cmocka_unit_test(unreadable_tries_and_penalties),
	    cmocka_unit_test(a_session_that_lies),
	    cmocka_unit_test(a_restart),
	    cmocka_unit_test(policy_away),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
