/*
 * Keys and proofs, on signatures that a real ssh-agent made (vectors.h): what is accepted, and that no byte more or
 * less, no other text, key, algorithm or session passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "key.h"
#include "proof.h"

struct vector {
	const char *name;
	const char *algorithm;
	const char *fingerprint;
	const char *blob;
	const char *text;
	const char *signature;
};

#include "vectors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What each vector is good for. */
static const struct {
	const char *name;
	enum key_fault parse;
	enum key_fault verify;
	int is_token;
	int host_bound;
} expect[] = {
    {"ed25519", KEY_GOOD, KEY_GOOD, 0, 1},
    {"ecdsa256", KEY_GOOD, KEY_GOOD, 0, 1},
    {"ecdsa384", KEY_GOOD, KEY_GOOD, 0, 0},
    {"ecdsa521", KEY_GOOD, KEY_GOOD, 0, 0},
    {"rsa_sha256", KEY_GOOD, KEY_GOOD, 0, 0},
    {"rsa_sha512", KEY_GOOD, KEY_GOOD, 0, 0},
    {"rsa_sha1", KEY_GOOD, KEY_WEAK, 0, 0},
    {"rsa_short", KEY_WEAK, KEY_WEAK, 0, 0},
    {"dsa", KEY_WEAK, KEY_WEAK, 0, 0},
    {"sk_ed25519", KEY_GOOD, KEY_GOOD, 1, 1},
    {"sk_ecdsa", KEY_GOOD, KEY_GOOD, 1, 0},
    {"sk_ed25519_no_touch", KEY_GOOD, KEY_NO_TOUCH, 1, 0},
    {"sk_ecdsa_no_touch", KEY_GOOD, KEY_NO_TOUCH, 1, 0},
};

/* A copy on the heap of exactly its size, so that ASan sees one byte read too far. */
struct copy {
	uint8_t *at;
	size_t len;
};

static struct copy
unhex(const char *hex)
{
	struct copy c = {.len = strlen(hex) / 2};
	unsigned byte;

	c.at = malloc(c.len + 1);
	assert_non_null(c.at);
	for (size_t i = 0; i < c.len; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		c.at[i] = (uint8_t)byte;
	}
	return (c);
}

static struct bytes
view(struct copy c)
{
	return (bytes_of(c.at, c.len));
}

static enum key_fault
parse_fault(const uint8_t *at, size_t len)
{
	uint8_t *exact = malloc(len == 0 ? 1 : len);
	enum key_fault fault;

	if (len > 0)
		memcpy(exact, at, len);
	key_free(key_parse(bytes_of(exact, len), &fault));
	free(exact);
	return (fault);
}

static enum key_fault
verify_fault(const struct key *k, const char *algorithm, const uint8_t *sig, size_t len, struct bytes text)
{
	uint8_t *exact = malloc(len == 0 ? 1 : len);
	enum key_fault fault;

	if (len > 0)
		memcpy(exact, sig, len);
	fault = key_verify(k, bytes_text(algorithm), bytes_of(exact, len), text, NULL);
	free(exact);
	return (fault);
}

static void
each_kind_is_judged(void **state)
{
	char print[KEY_FINGERPRINT_SIZE];
	struct key_token token;
	enum key_fault fault;

	(void)state;
	assert_int_equal(COUNT(vectors), COUNT(expect));
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct copy blob = unhex(vectors[i].blob), text = unhex(vectors[i].text),
		            sig = unhex(vectors[i].signature);
		struct key *k = key_parse(view(blob), &fault);

		print_message("%s\n", vectors[i].name);
		assert_string_equal(vectors[i].name, expect[i].name);
		assert_int_equal(fault, expect[i].parse);
		assert_int_equal(k != NULL, fault == KEY_GOOD);
		key_fingerprint(view(blob), print);
		assert_string_equal(print, vectors[i].fingerprint);
		if (k != NULL) {
			fault = key_verify(k, bytes_text(vectors[i].algorithm), view(sig), view(text), &token);
			assert_int_equal(fault, expect[i].verify);
			assert_int_equal(token.is_token, expect[i].is_token);
			assert_int_equal(key_may_use(k, bytes_text(vectors[i].algorithm)), fault != KEY_WEAK);
			/* Naming another algorithm of the same key does not make a SHA-1 signature good. */
			if (strcmp(vectors[i].name, "rsa_sha1") == 0)
				assert_int_equal(
				    verify_fault(k, "rsa-sha2-256", sig.at, sig.len, view(text)), KEY_WEAK);
			if (strcmp(vectors[i].name, "rsa_sha256") == 0)
				assert_int_equal(verify_fault(k, "rsa-sha2-512", sig.at, sig.len, view(text)),
				    KEY_BAD_SIGNATURE);
		}
		key_free(k);
		free(blob.at);
		free(text.at);
		free(sig.at);
	}
}

static void
no_byte_more_or_less(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct copy blob = unhex(vectors[i].blob), text = unhex(vectors[i].text),
		            sig = unhex(vectors[i].signature);
		enum key_fault fault;
		struct key *k;

		if (expect[i].parse != KEY_GOOD || expect[i].verify != KEY_GOOD)
			goto next;
		k = key_parse(view(blob), &fault);
		for (size_t len = 0; len < blob.len; len++)
			assert_int_not_equal(parse_fault(blob.at, len), KEY_GOOD);
		blob.at[blob.len] = 0; /* unhex() left room for one more */
		assert_int_equal(parse_fault(blob.at, blob.len + 1), KEY_MALFORMED);
		for (size_t len = 0; len < sig.len; len++)
			assert_int_not_equal(
			    verify_fault(k, vectors[i].algorithm, sig.at, len, view(text)), KEY_GOOD);
		sig.at[sig.len] = 0;
		assert_int_equal(
		    verify_fault(k, vectors[i].algorithm, sig.at, sig.len + 1, view(text)), KEY_MALFORMED);
		key_free(k);
	next:
		free(blob.at);
		free(text.at);
		free(sig.at);
	}
}

/* One bit changed anywhere in signature or text: not good.  (Every byte; RSA and ECDSA-521 sampled, for the time.) */
static void
no_bit_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct copy blob = unhex(vectors[i].blob), text = unhex(vectors[i].text),
		            sig = unhex(vectors[i].signature);
		enum key_fault fault;
		struct key *k = key_parse(view(blob), &fault);

		if (k == NULL || expect[i].verify != KEY_GOOD)
			goto next;
		for (size_t at = 0; at < sig.len; at += 3) {
			sig.at[at] ^= 0x10;
			assert_int_not_equal(
			    verify_fault(k, vectors[i].algorithm, sig.at, sig.len, view(text)), KEY_GOOD);
			sig.at[at] ^= 0x10;
		}
		for (size_t at = 0; at < text.len; at += 7) {
			text.at[at] ^= 1;
			assert_int_equal(
			    verify_fault(k, vectors[i].algorithm, sig.at, sig.len, view(text)), KEY_BAD_SIGNATURE);
			text.at[at] ^= 1;
		}
		assert_int_equal(verify_fault(k, vectors[i].algorithm, sig.at, sig.len, view(text)), KEY_GOOD);
	next:
		key_free(k);
		free(blob.at);
		free(text.at);
		free(sig.at);
	}
}

/* A touch cannot be claimed afterwards: the flags are under the signature. */
static void
touch_cannot_be_claimed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct copy blob = unhex(vectors[i].blob), text = unhex(vectors[i].text),
		            sig = unhex(vectors[i].signature);
		enum key_fault fault;
		struct key *k = key_parse(view(blob), &fault);

		if (expect[i].verify == KEY_NO_TOUCH) {
			sig.at[sig.len - 5] |= 1;
			assert_int_equal(
			    verify_fault(k, vectors[i].algorithm, sig.at, sig.len, view(text)), KEY_BAD_SIGNATURE);
		}
		key_free(k);
		free(blob.at);
		free(text.at);
		free(sig.at);
	}
}

/* An RSA key with an even exponent, a point that is not on its curve, a curve that is another's. */
static void
bad_keys(void **state)
{
	struct copy rsa = unhex(vectors[4].blob), ec = unhex(vectors[1].blob), ed = unhex(vectors[0].blob);

	(void)state;
	rsa.at[17] = 2; /* the exponent's last byte: string "ssh-rsa" is 11 bytes, then 00000003 010001 */
	assert_int_not_equal(parse_fault(rsa.at, rsa.len), KEY_GOOD);
	ec.at[ec.len - 1] ^= 1;
	assert_int_equal(parse_fault(ec.at, ec.len), KEY_MALFORMED);
	ec.at[ec.len - 1] ^= 1;
	ec.at[23 + 4 + 5] = '3'; /* "nistp356" */
	assert_int_equal(parse_fault(ec.at, ec.len), KEY_MALFORMED);
	ed.at[14] = '8'; /* "ssh-ed25518" */
	assert_int_equal(parse_fault(ed.at, ed.len), KEY_WEAK);
	free(rsa.at);
	free(ec.at);
	free(ed.at);
}

struct bench {
	uint8_t identifier[32];
	struct wire host;
};

static void
bench_make(struct bench *b)
{
	uint8_t point[32];

	*b = (struct bench){0};
	for (uint8_t i = 0; i < 32; i++) {
		b->identifier[i] = i;
		point[i] = (uint8_t)(100 + i);
	}
	wire_put_bytes(&b->host, bytes_text("ssh-ed25519"));
	wire_put_bytes(&b->host, bytes_of(point, 32));
}

static enum proof_fault
proof_fault(const struct bench *b, const uint8_t *at, size_t len, struct proof *p)
{
	uint8_t *exact = malloc(len == 0 ? 1 : len);
	enum proof_fault fault;

	if (len > 0)
		memcpy(exact, at, len);
	fault = proof_parse(bytes_of(exact, len), bytes_of(b->identifier, 32), wire_bytes(&b->host), p);
	p->algorithm = p->key = bytes_of(NULL, 0);
	free(exact);
	return (fault);
}

static void
proofs_name_user_key_and_session(void **state)
{
	struct proof p;
	struct bench b;

	(void)state;
	bench_make(&b);
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct copy blob = unhex(vectors[i].blob), text = unhex(vectors[i].text);

		assert_int_equal(
		    proof_parse(view(text), bytes_of(b.identifier, 32), wire_bytes(&b.host), &p), PROOF_GOOD);
		assert_string_equal(p.user, "alice+osv1");
		assert_true(bytes_are(p.algorithm, vectors[i].algorithm));
		assert_true(bytes_equal(p.key, view(blob)));
		assert_int_equal(p.host_bound, expect[i].host_bound);
		for (size_t len = 0; len < text.len; len++)
			assert_int_equal(proof_fault(&b, text.at, len, &p), PROOF_MALFORMED);
		text.at[text.len] = 0;
		assert_int_equal(proof_fault(&b, text.at, text.len + 1, &p), PROOF_MALFORMED);
		b.identifier[31] ^= 1;
		assert_int_equal(proof_fault(&b, text.at, text.len, &p), PROOF_WRONG_SESSION);
		b.identifier[31] ^= 1;
		free(blob.at);
		free(text.at);
	}
	wire_free(&b.host);
}

/* One thing wrong in each row. */
static void
proofs_refused(void **state)
{
	static const struct {
		const char *what;
		const char *user;
		const char *service;
		const char *method;
		uint8_t type;
		uint8_t signs;
		int other_host;
		enum proof_fault fault;
	} rows[] = {
	    {"good", "bob", "ssh-connection", "publickey", 50, 1, 0, PROOF_GOOD},
	    {"host-bound", "bob", "ssh-connection", "publickey-hostbound-v00@openssh.com", 50, 1, 0, PROOF_GOOD},
	    {"another host", "bob", "ssh-connection", "publickey-hostbound-v00@openssh.com", 50, 1, 1,
	        PROOF_WRONG_HOST_KEY},
	    {"other service", "bob", "ssh-userauth", "publickey", 50, 1, 0, PROOF_WRONG_SERVICE},
	    {"other method", "bob", "ssh-connection", "hostbased", 50, 1, 0, PROOF_WRONG_METHOD},
	    {"a query", "bob", "ssh-connection", "publickey", 50, 0, 0, PROOF_MALFORMED},
	    {"odd boolean", "bob", "ssh-connection", "publickey", 50, 2, 0, PROOF_MALFORMED},
	    {"another message", "bob", "ssh-connection", "publickey", 51, 1, 0, PROOF_MALFORMED},
	};
	struct bench b;

	(void)state;
	bench_make(&b);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire w = {0};
		struct proof p;

		print_message("%s\n", rows[i].what);
		wire_put_bytes(&w, bytes_of(b.identifier, 32));
		wire_put_u8(&w, rows[i].type);
		wire_put_bytes(&w, bytes_text(rows[i].user));
		wire_put_bytes(&w, bytes_text(rows[i].service));
		wire_put_bytes(&w, bytes_text(rows[i].method));
		wire_put_u8(&w, rows[i].signs);
		wire_put_bytes(&w, bytes_text("ssh-ed25519"));
		wire_put_bytes(&w, bytes_text("key"));
		if (strstr(rows[i].method, "hostbound") != NULL)
			wire_put_bytes(&w, rows[i].other_host ? bytes_text("elsewhere") : wire_bytes(&b.host));
		assert_int_equal(proof_fault(&b, w.at, w.len, &p), rows[i].fault);
		/* Without an identifier of our own nothing is good, not even a text without one. */
		assert_int_not_equal(
		    proof_parse(wire_bytes(&w), bytes_of(NULL, 0), wire_bytes(&b.host), &p), PROOF_GOOD);
		wire_free(&w);
	}
	wire_free(&b.host);
}

static void
a_name_with_nul_or_too_long(void **state)
{
	static const uint8_t nul[] = "al\0ice";
	char longest[PROOF_USER_SIZE + 1];
	struct bench b;

	(void)state;
	bench_make(&b);
	memset(longest, 'a', sizeof(longest));
	for (size_t row = 0; row < 3; row++) {
		struct wire w = {0};
		struct proof p;

		wire_put_bytes(&w, bytes_of(b.identifier, 32));
		wire_put_u8(&w, 50);
		wire_put_bytes(&w, row == 0 ? bytes_of(nul, 6) : bytes_of(longest, PROOF_USER_SIZE - row + 1));
		wire_put_bytes(&w, bytes_text("ssh-connection"));
		wire_put_bytes(&w, bytes_text("publickey"));
		wire_put_u8(&w, 1);
		wire_put_bytes(&w, bytes_text("ssh-ed25519"));
		wire_put_bytes(&w, bytes_text("key"));
		assert_int_equal(proof_fault(&b, w.at, w.len, &p), row == 2 ? PROOF_GOOD : PROOF_MALFORMED);
		wire_free(&w);
	}
	wire_free(&b.host);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_kind_is_judged),
	    cmocka_unit_test(no_byte_more_or_less),
	    cmocka_unit_test(no_bit_other),
	    cmocka_unit_test(touch_cannot_be_claimed),
	    cmocka_unit_test(bad_keys),
	    cmocka_unit_test(proofs_name_user_key_and_session),
	    cmocka_unit_test(proofs_refused),
	    cmocka_unit_test(a_name_with_nul_or_too_long),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
