/*
 * Private keys as people keep them, and the agent that signs by one: every kind that is taken, read from what ssh-keygen and
 * openssl write; and of all that may be asked of the agent, the one thing that is signed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent.h"
#include "base/loop.h"
#include "key.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ACCOUNT "srx"

static char dir[64];

/* Runs words in the directory; what they printed, in memory of exactly that size. */
static struct secret
run(const char *words)
{
	char line[1024];
	static uint8_t room[65536];
	struct secret s;
	size_t len;
	FILE *f;

	snprintf(line, sizeof(line), "cd %s && { %s; } 2>/dev/null", dir, words);
	assert_non_null(f = popen(line, "r"));
	len = fread(room, 1, sizeof(room), f);
	if (pclose(f) != 0)
		fail_msg("failed: %s", words);
	assert_int_equal(secret_copy(&s, room, len), 0);
	return (s);
}

static struct private_key *
read_file(const char *name, const char **wrong)
{
	char words[128];
	struct secret s;
	struct private_key *k;

	snprintf(words, sizeof(words), "cat %s", name);
	s = run(words);
	k = private_key_read(bytes_of(s.at, s.len), wrong);
	secret_free(&s);
	return (k);
}

static const struct {
	const char *make; /* writes the file k */
	const char *kind; /* NULL: it is refused */
	const char *wrong;
} kinds[] = {
    {"ssh-keygen -q -t ed25519 -N '' -f k", "ssh-ed25519", NULL},
    {"ssh-keygen -q -t ecdsa -b 256 -N '' -f k", "ecdsa-sha2-nistp256", NULL},
    {"ssh-keygen -q -t ecdsa -b 384 -N '' -f k", "ecdsa-sha2-nistp384", NULL},
    {"ssh-keygen -q -t ecdsa -b 521 -N '' -f k", "ecdsa-sha2-nistp521", NULL},
    {"ssh-keygen -q -t rsa -b 2048 -N '' -f k", "ssh-rsa", NULL},
    {"ssh-keygen -q -t rsa -b 3072 -N '' -m PEM -f k", "ssh-rsa", NULL},
    {"ssh-keygen -q -t rsa -b 2048 -N '' -m PKCS8 -f k", "ssh-rsa", NULL},
    {"ssh-keygen -q -t ecdsa -b 384 -N '' -m PEM -f k", "ecdsa-sha2-nistp384", NULL},
    {"openssl genpkey -algorithm ed25519 -out k && ssh-keygen -y -f k >k.pub || "
     "{ openssl pkey -in k -pubout -outform DER | tail -c 32 >raw; "
     "{ printf 'ssh-ed25519 '; { printf '\\0\\0\\0\\013ssh-ed25519\\0\\0\\0 '; cat raw; } | base64 -w0; } >k.pub; "
     "}",
        "ssh-ed25519", NULL},
    {"ssh-keygen -q -t ed25519 -N secret -f k", NULL, "passphrase"},
    {"ssh-keygen -q -t rsa -b 2048 -N secret -m PEM -f k", NULL, "passphrase"},
    {"ssh-keygen -q -t ecdsa -N secret -m PKCS8 -f k", NULL, "passphrase"},
    {"ssh-keygen -q -t rsa -b 1024 -N '' -f k", NULL, "too short"},
    {"ssh-keygen -q -t dsa -N '' -f k", NULL, "kind"},
    {"openssl genpkey -algorithm x25519 -out k", NULL, "kind"},
    {"openssl ecparam -name secp256k1 -genkey -noout -out k", NULL, "kind"},
    {"ssh-keygen -q -t ed25519 -N '' -f k && cp k.pub k", NULL, "not a private key"},
    {"echo hello >k", NULL, "not a private key"},
    {": >k", NULL, "not a private key"},
    {"head -c 20000 /dev/zero | tr '\\0' a >k", NULL, "too long"},
    {"ssh-keygen -q -t ed25519 -N '' -f k && sed -i 3d k", NULL, "damaged"},
};

static void
public_is(const struct private_key *k)
{
	struct secret blob = run("cut -d' ' -f2 k.pub | base64 -d");

	assert_int_equal(private_key_public(k).len, blob.len);
	assert_memory_equal(private_key_public(k).at, blob.at, blob.len);
	secret_free(&blob);
}

/* By each algorithm that an engineer's key may use, and SHA-1 besides, whose signature openssl verifies. */
static void
signatures_are_good(const struct private_key *k)
{
	static const char *const names[] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
	    "ecdsa-sha2-nistp521", "rsa-sha2-256", "rsa-sha2-512", "ssh-rsa", "ssh-dss"};
	enum key_fault fault;
	struct key *public = key_parse(private_key_public(k), &fault);
	struct bytes text = bytes_text("some text");
	int signs = 0;

	assert_non_null(public);
	for (size_t i = 0; i < COUNT(names); i++) {
		struct bytes by = bytes_text(names[i]);
		struct wire signature = {0};

		assert_int_equal(private_key_sign(k, by, text, &signature), private_key_signs(k, by) ? 0 : -1);
		if (key_may_use(public, by)) {
			assert_int_equal(key_verify(public, by, wire_bytes(&signature), text, NULL), KEY_GOOD);
			signs++;
		}
		wire_free(&signature);
	}
	assert_int_equal(signs, strcmp(private_key_kind(k), "ssh-rsa") == 0 ? 2 : 1);
	key_free(public);
}

static void
what_is_a_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		const char *wrong = "";
		struct private_key *k;
		struct secret said = run("rm -f k k.pub");

		secret_free(&said);
		said = run(kinds[i].make);
		secret_free(&said);
		k = read_file("k", &wrong);
		if ((k != NULL) != (kinds[i].kind != NULL))
			fail_msg("%s: %s", kinds[i].make, k != NULL ? "taken" : wrong);
		if (k == NULL) {
			if (strstr(wrong, kinds[i].wrong) == NULL)
				fail_msg(
				    "%s: \"%s\", which does not say \"%s\"", kinds[i].make, wrong, kinds[i].wrong);
			continue;
		}
		assert_string_equal(private_key_kind(k), kinds[i].kind);
		public_is(k);
		signatures_are_good(k);
		private_key_free(k);
	}
}

static void
sha1_is_what_openssl_calls_so(void **state)
{
	const char *wrong;
	struct private_key *k;
	struct wire signature = {0};
	struct reader r;
	struct bytes raw;
	struct secret said;
	char path[96];
	FILE *f;

	(void)state;
	said = run(
	    "rm -f k*; openssl genrsa -out k 2048 && openssl pkey -in k -pubout -out k.pem && printf text >text");
	secret_free(&said);
	assert_non_null(k = read_file("k", &wrong));
	assert_int_equal(private_key_sign(k, bytes_text("ssh-rsa"), bytes_text("text"), &signature), 0);
	r = reader_of(wire_bytes(&signature));
	assert_true(bytes_are(reader_get_bytes(&r), "ssh-rsa"));
	raw = reader_get_bytes(&r);
	snprintf(path, sizeof(path), "%s/signature", dir);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(raw.at, 1, raw.len, f), raw.len);
	assert_int_equal(fclose(f), 0);
	said = run("openssl dgst -sha1 -verify k.pem -signature signature text");
	secret_free(&said);
	wire_free(&signature);
	private_key_free(k);
}

/* Whatever is cut off or changed: no key comes of it but the one it was (in a comment), and nothing is read too far. */
static void
damaged_keys(void **state)
{
	const char *wrong;
	struct secret said = run("rm -f k*; ssh-keygen -q -t ecdsa -N '' -C a-comment -f k"), text;
	struct private_key *right, *k;

	(void)state;
	secret_free(&said);
	text = run("cat k");
	assert_non_null(right = private_key_read(bytes_of(text.at, text.len), &wrong));
	for (size_t i = 0; i < text.len; i++) {
		struct secret copy;

		assert_int_equal(secret_copy(&copy, text.at, i), 0);
		private_key_free(private_key_read(bytes_of(copy.at, i), &wrong));
		secret_free(&copy);
		text.at[i] ^= 3;
		if ((k = private_key_read(bytes_of(text.at, text.len), &wrong)) != NULL)
			assert_true(bytes_equal(private_key_public(k), private_key_public(right)));
		private_key_free(k);
		text.at[i] ^= 3;
	}
	private_key_free(right);
	secret_free(&text);
}

static void
a_key_that_is_made(void **state)
{
	struct secret text = {0};
	const char *wrong;
	struct private_key *k = private_key_make(&text), *again;

	(void)state;
	assert_non_null(k);
	assert_non_null(again = private_key_read(bytes_of(text.at, text.len), &wrong));
	assert_true(bytes_equal(private_key_public(k), private_key_public(again)));
	signatures_are_good(k);
	private_key_free(k);
	private_key_free(again);
	secret_free(&text);
}

/* ---- the agent ---- */

/* A request to sign, with one thing changed. */
struct ask {
	const char *name;
	enum agent_outcome outcome;
	enum reason reason;
	/* what differs from the good one; zero: nothing */
	size_t identifier_len;
	uint8_t number;
	const char *user, *service, *method, *algorithm;
	int flag; /* of the signature; 2: 0, 3: a byte that is no boolean */
	uint32_t flags;
	int other_key_named, other_key_inside;
	int no_turn, sha1;
	const char *behind_text, *behind_request;
};

static const struct ask ed25519_asks[] = {
    {.name = "good", .outcome = AGENT_SIGNED},
    {.name = "a SHA-1 identifier", .outcome = AGENT_SIGNED, .identifier_len = 20},
    {.name = "a SHA-512 identifier", .outcome = AGENT_SIGNED, .identifier_len = 64},
    {.name = "flags that mean nothing", .outcome = AGENT_SIGNED, .flags = 4},
    {.name = "second", .outcome = AGENT_REFUSED, .reason = REASON_LIMIT, .no_turn = 1},
    {.name = "no identifier", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .identifier_len = 1},
    {.name = "long identifier", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .identifier_len = 65},
    {.name = "not a userauth request", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .number = 51},
    {.name = "another account", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .user = "root"},
    {.name = "a longer account", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .user = "srx2"},
    {.name = "another service", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .service = "ssh-userauth"},
    {.name = "hostbased", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .method = "hostbased"},
    {.name = "host-bound",
        .outcome = AGENT_REFUSED,
        .reason = REASON_SUSPECT,
        .method = "publickey-hostbound-v00@openssh.com"},
    {.name = "no signature", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .flag = 2},
    {.name = "no boolean", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .flag = 3},
    {.name = "another algorithm", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .algorithm = "ssh-rsa"},
    {.name = "another key named", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .other_key_named = 1},
    {.name = "another key inside", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .other_key_inside = 1},
    {.name = "more text", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .behind_text = "x"},
    {.name = "more request", .outcome = AGENT_REFUSED, .reason = REASON_SUSPECT, .behind_request = "x"},
};

static const struct ask rsa_asks[] = {
    {.name = "256", .outcome = AGENT_SIGNED, .flags = 2, .algorithm = "rsa-sha2-256"},
    {.name = "512", .outcome = AGENT_SIGNED, .flags = 4, .algorithm = "rsa-sha2-512"},
    {.name = "sha1 where it is allowed", .outcome = AGENT_SIGNED, .algorithm = "ssh-rsa", .sha1 = 1},
    {.name = "sha1", .outcome = AGENT_REFUSED, .reason = REASON_WEAK_KEY, .algorithm = "ssh-rsa"},
    {.name = "named 512, wants sha1",
        .outcome = AGENT_REFUSED,
        .reason = REASON_SUSPECT,
        .algorithm = "rsa-sha2-512",
        .sha1 = 1},
    {.name = "named sha1, wants 512",
        .outcome = AGENT_REFUSED,
        .reason = REASON_SUSPECT,
        .flags = 4,
        .algorithm = "ssh-rsa",
        .sha1 = 1},
    {.name = "both flags", .outcome = AGENT_REFUSED, .reason = REASON_WEAK_KEY, .flags = 6, .algorithm = "ssh-rsa"},
};

static void
text_put(struct wire *w, const struct ask *a, const struct private_key *k, struct bytes other)
{
	uint8_t identifier[65];

	memset(identifier, 7, sizeof(identifier));
	wire_put_bytes(w, bytes_of(identifier, a->identifier_len != 0 ? a->identifier_len : 32));
	wire_put_u8(w, a->number != 0 ? a->number : 50);
	blob_put_text(w, a->user != NULL ? a->user : ACCOUNT);
	blob_put_text(w, a->service != NULL ? a->service : "ssh-connection");
	blob_put_text(w, a->method != NULL ? a->method : "publickey");
	wire_put_u8(w, a->flag == 0 ? 1 : a->flag == 2 ? 0 : 255);
	blob_put_text(w, a->algorithm != NULL ? a->algorithm : private_key_kind(k));
	wire_put_bytes(w, a->other_key_inside ? other : private_key_public(k));
	if (a->behind_text != NULL)
		wire_put_raw(w, a->behind_text, strlen(a->behind_text));
}

static void
request_put(struct wire *w, const struct ask *a, const struct private_key *k, struct bytes other)
{
	struct wire text = {0};

	text_put(&text, a, k, other);
	wire_put_u8(w, 13);
	wire_put_bytes(w, a->other_key_named ? other : private_key_public(k));
	wire_put_bytes(w, wire_bytes(&text));
	wire_put_u32(w, a->flags);
	if (a->behind_request != NULL)
		wire_put_raw(w, a->behind_request, strlen(a->behind_request));
	wire_free(&text);
}

/* The answer: its length, its type, and of a signature that it is good. */
static void
reply_check(const struct ask *a, const struct private_key *k, struct bytes reply, struct bytes other)
{
	struct reader r = reader_of(reply);
	struct wire text = {0};
	struct key *public;
	enum key_fault fault;
	struct bytes signature;
	const char *by = a->algorithm != NULL ? a->algorithm : private_key_kind(k);

	assert_int_equal(reader_get_u32(&r), reply.len - 4);
	assert_int_equal(reader_get_u8(&r), a->outcome == AGENT_SIGNED ? 14 : 5);
	if (a->outcome != AGENT_SIGNED) {
		assert_true(reader_end(&r));
		return;
	}
	signature = reader_get_bytes(&r);
	assert_true(reader_end(&r));
	text_put(&text, a, k, other);
	assert_non_null(public = key_parse(private_key_public(k), &fault));
	if (!a->sha1)
		assert_int_equal(key_verify(public, bytes_text(by), signature, wire_bytes(&text), NULL), KEY_GOOD);
	key_free(public);
	wire_free(&text);
}

static void
asks_check(const struct ask *asks, size_t count, const struct private_key *k, struct bytes other)
{
	for (size_t i = 0; i < count; i++) {
		const struct ask *a = &asks[i];
		struct agent_terms terms = {.account = ACCOUNT, .sha1 = a->sha1, .signs = !a->no_turn};
		struct wire request = {0}, reply = {0};
		enum reason reason = REASON_NONE;
		const char *why = NULL;
		enum agent_outcome outcome;

		request_put(&request, a, k, other);
		outcome = agent_answer(k, &terms, wire_bytes(&request), &reply, &reason, &why);
		if (outcome != a->outcome)
			fail_msg("%s: %s", a->name, outcome == AGENT_SIGNED ? "signed" : why);
		if (outcome == AGENT_REFUSED && reason != a->reason)
			fail_msg("%s: %s (%s)", a->name, reason_code(reason), why);
		reply_check(a, k, wire_bytes(&reply), other);
		/* Cut short anywhere, it is no request. */
		for (size_t len = 0; len < request.len && a->outcome == AGENT_SIGNED; len++) {
			struct wire short_reply = {0};
			struct secret copy;

			assert_int_equal(secret_copy(&copy, request.at, len), 0);
			assert_int_equal(
			    agent_answer(k, &terms, bytes_of(copy.at, len), &short_reply, &reason, &why),
			    AGENT_REFUSED);
			secret_free(&copy);
			wire_free(&short_reply);
		}
		wire_free(&request);
		wire_free(&reply);
	}
}

static void
what_is_signed(void **state)
{
	const char *wrong;
	struct private_key *ed25519, *rsa;
	struct secret said =
	    run("rm -f k* r*; ssh-keygen -q -t ed25519 -N '' -f k; ssh-keygen -q -t rsa -b 2048 -N '' -f r");

	(void)state;
	secret_free(&said);
	assert_non_null(ed25519 = read_file("k", &wrong));
	assert_non_null(rsa = read_file("r", &wrong));
	asks_check(ed25519_asks, COUNT(ed25519_asks), ed25519, private_key_public(rsa));
	asks_check(rsa_asks, COUNT(rsa_asks), rsa, private_key_public(ed25519));
	private_key_free(ed25519);
	private_key_free(rsa);
}

/* Every other thing that may be said to an agent: adding keys, locking, extensions, nothing at all. */
static void
what_else_is_asked(void **state)
{
	struct secret text = {0};
	struct private_key *k = private_key_make(&text);
	struct agent_terms terms = {.account = ACCOUNT, .signs = 1};

	(void)state;
	for (int type = 0; type < 256; type++) {
		uint8_t request[2] = {(uint8_t)type, 0};
		struct wire reply = {0};
		enum reason reason;
		const char *why;
		struct reader r;

		if (type != 11)
			assert_int_equal(
			    agent_answer(k, &terms, bytes_of(request, 1), &reply, &reason, &why), AGENT_REFUSED);
		else
			assert_int_equal(
			    agent_answer(k, &terms, bytes_of(request, 1), &reply, &reason, &why), AGENT_LISTED);
		r = reader_of(wire_bytes(&reply));
		assert_int_equal(reader_get_u32(&r), reply.len - 4);
		if (type == 11) {
			assert_int_equal(reader_get_u8(&r), 12);
			assert_int_equal(reader_get_u32(&r), 1);
			assert_true(bytes_equal(reader_get_bytes(&r), private_key_public(k)));
		} else
			assert_int_equal(reader_get_u8(&r), 5);
		wire_free(&reply);
		assert_int_equal(
		    agent_answer(k, &terms, bytes_of(request, 2), &reply, &reason, &why), AGENT_REFUSED);
		wire_free(&reply);
	}
	private_key_free(k);
	secret_free(&text);
}

/* ---- its socket ---- */

static struct loop *loop;
static int requests;

static enum agent_outcome
on_request(void *ctx, struct bytes request, struct wire *reply)
{
	(void)ctx;
	requests++;
	wire_put_raw(reply, request.at, request.len);
	return (request.at[0] == 'S' ? AGENT_SIGNED : AGENT_LISTED);
}

static void
on_time(void *ctx)
{
	loop_stop(ctx);
}

/* Sends in pieces; what came back, until the agent has nothing more to say for a moment.  0 and is_over: it closed. */
static size_t
talk(int fd, const char *at, size_t len, size_t piece, char *to, size_t room, int *is_over)
{
	struct timer *t = timer_new(loop, on_time, loop);
	ssize_t got;

	for (size_t n; len > 0; at += n, len -= n) {
		n = len < piece ? len : piece;
		if (send(fd, at, n, MSG_NOSIGNAL) == -1)
			break;
		timer_after(t, 20);
		loop_run(loop);
	}
	timer_after(t, 20);
	loop_run(loop);
	timer_free(t);
	got = recv(fd, to, room, MSG_DONTWAIT);
	*is_over = got == 0;
	if (got > 0) {
		char more[8];

		*is_over = recv(fd, more, sizeof(more), MSG_DONTWAIT) == 0;
	}
	return (got > 0 ? (size_t)got : 0);
}

static void
what_is_sent(void **state)
{
	static const struct {
		const char *at;
		size_t len, piece;
		int requests, is_over;
	} rows[] = {
	    {"\0\0\0\1L", 5, 5, 1, 0},
	    {"\0\0\0\1L", 5, 1, 1, 0},
	    {"\0\0\0\1S", 5, 5, 1, 1},            /* a signature is the last answer */
	    {"\0\0\0\1L\0\0\0\1L", 10, 10, 1, 1}, /* not waiting for an answer */
	    {"\0\0\0\0", 4, 4, 0, 1},
	    {"\0\0\100\1L", 5, 5, 0, 1}, /* longer than fits */
	    {"\377\377\377\377", 4, 4, 0, 1},
	    {"\0\0\0", 3, 3, 0, 0},
	};

	(void)state;
	assert_non_null(loop = loop_new());
	for (size_t i = 0; i < COUNT(rows); i++) {
		int theirs, is_over;
		struct agent *a = agent_open(loop, on_request, NULL, &theirs);
		char room[64];

		assert_non_null(a);
		requests = 0;
		(void)talk(theirs, rows[i].at, rows[i].len, rows[i].piece, room, sizeof(room), &is_over);
		if (requests != rows[i].requests || is_over != rows[i].is_over)
			fail_msg("row %zu: %d requests, %s", i, requests, is_over ? "over" : "open");
		agent_close(a);
		close(theirs);
	}
	loop_free(loop);
}

static void
a_life_has_an_end(void **state)
{
	int theirs, is_over = 0;
	struct agent *a;
	char room[64];

	(void)state;
	assert_non_null(loop = loop_new());
	assert_non_null(a = agent_open(loop, on_request, NULL, &theirs));
	requests = 0;
	for (int i = 0; i < AGENT_REQUESTS + 4 && !is_over; i++)
		(void)talk(theirs, "\0\0\0\1L", 5, 5, room, sizeof(room), &is_over);
	assert_int_equal(requests, AGENT_REQUESTS);
	assert_true(is_over);
	agent_close(a);
	close(theirs);
	/* The session leaves first. */
	assert_non_null(a = agent_open(loop, on_request, NULL, &theirs));
	close(theirs);
	struct timer *t = timer_new(loop, on_time, loop);
	timer_after(t, 20);
	loop_run(loop);
	timer_free(t);
	agent_close(a);
	loop_free(loop);
}

static int
group_begin(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/lodge-agent-XXXXXX");
	return (mkdtemp(dir) == NULL ? -1 : 0);
}

static int
group_end(void **state)
{
	struct secret said = run("rm -r ../$(basename $PWD)");

	(void)state;
	secret_free(&said);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_a_key),
	    cmocka_unit_test(sha1_is_what_openssl_calls_so),
	    cmocka_unit_test(damaged_keys),
	    cmocka_unit_test(a_key_that_is_made),
	    cmocka_unit_test(what_is_signed),
	    cmocka_unit_test(what_else_is_asked),
	    cmocka_unit_test(what_is_sent),
	    cmocka_unit_test(a_life_has_an_end),
	};

	return (cmocka_run_group_tests(tests, group_begin, group_end));
}
