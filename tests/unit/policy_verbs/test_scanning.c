/* What a scan found is set against what is pinned and allowed; and a scanner that misbehaves gets no more than it may have. */
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/wire.h"
#include "bench.h"
#include "keys.h"
#include "scan_report.h"
#include "target_scan.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

/* ---- the report ---- */

#define GOOD_KEX "\"kex\":[\"curve25519-sha256\",\"x@y\"]"
#define GOOD_KEYS "\"host_key_algorithms\":[\"ssh-ed25519\"]"
#define GOOD_CIPHERS "\"ciphers_to\":[\"aes128-ctr\"],\"ciphers_from\":[\"aes128-ctr\"]"
#define GOOD_MACS "\"macs_to\":[\"hmac-sha2-256\"],\"macs_from\":[\"hmac-sha2-256\"]"
#define GOOD_REST "\"compression_to\":[\"none\"],\"compression_from\":[\"none\"],\"keys\":[]"
#define GOOD_METHODS "\"methods\":[\"publickey\"]"

static const struct {
	const char *json;
	struct target target;
	const char *parts[4], *absent;
} reports[] = {
    {"{" GOOD_KEX "," GOOD_KEYS "," GOOD_CIPHERS "," GOOD_MACS "," GOOD_REST "," GOOD_METHODS "}", {.name = "t"},
        {"key exchange: curve25519-sha256\n", "it offers: publickey\n",
            "can work: certificate, key; it has: certificate\n"},
        "target change"},
    /* a cipher that is its own MAC; a login that cannot work */
    {"{" GOOD_KEX "," GOOD_KEYS
     ",\"ciphers_to\":[\"aes256-gcm@openssh.com\"],\"ciphers_from\":[\"aes256-gcm@openssh.com\"],"
     "\"macs_to\":[\"umac-64@openssh.com\"],\"macs_from\":[]," GOOD_REST ",\"methods\":[\"password\"]}",
        {.name = "t"},
        {"MAC: not needed, the cipher does it\n", "can work: password; it has: certificate, which CANNOT work\n"},
        "It cannot be entered"},
    /* what is needed, no more, in one order */
    {"{\"kex\":[\"diffie-hellman-group1-sha1\",\"diffie-hellman-group14-sha1\"],\"host_key_algorithms\":[\"ssh-"
     "rsa\"],"
     "\"ciphers_to\":[\"3des-cbc\",\"aes128-cbc\"],\"ciphers_from\":[\"3des-cbc\"],\"macs_to\":[\"hmac-md5\","
     "\"hmac-sha1\"],"
     "\"macs_from\":[\"hmac-sha1\"]," GOOD_REST "," GOOD_METHODS "}",
        {.name = "t"},
        {"key exchange: nothing modern; old: diffie-hellman-group14-sha1\n",
            "cipher: nothing modern; old: 3des-cbc\n",
            "target change t --legacy diffie-hellman-group14-sha1,ssh-rsa,3des-cbc,hmac-sha1 --legacy-until DATE"},
        "It cannot be entered"},
    /* allowed already; no longer needed */
    {"{" GOOD_KEX ",\"host_key_algorithms\":[\"ssh-rsa\"]," GOOD_CIPHERS "," GOOD_MACS "," GOOD_REST
     "," GOOD_METHODS "}",
        {.name = "t", .legacy = "ssh-rsa,hmac-sha1", .legacy_until = 1900000000000},
        {"old: ssh-rsa, allowed\n", "It needs what is old, ssh-rsa, which is allowed until 2030-03-17"},
        "target change"},
    {"{" GOOD_KEX "," GOOD_KEYS "," GOOD_CIPHERS "," GOOD_MACS "," GOOD_REST "," GOOD_METHODS "}",
        {.name = "t", .legacy = "ssh-rsa", .legacy_until = 1900000000000},
        {"It needs nothing old any more: target change t --legacy none\n"}, "DATE"},
    /* nothing fits; it wants to compress; it lets in everybody; and what it says is no terminal's business */
    {"{\"version\":\"SSH-2.0-\\u001b[2J\",\"kex\":[\"magic\"]," GOOD_KEYS "," GOOD_CIPHERS "," GOOD_MACS
     ",\"compression_to\":[\"zlib\"],\"compression_from\":[\"none\"],\"keys\":[{\"kind\":\"ssh-ed25519\",\"why\":"
     "\"\\u001b]0;x\"}],"
     "\"methods\":[\"none\"]}",
        {.name = "t"},
        {"It cannot be entered: there is no key exchange that both have.", "compression: nothing",
            "it lets in whoever knocks", "ssh-ed25519: not seen, \\x1b]0;x"},
        "\x1b"},
};

static void
what_is_missing(void **state)
{
	static const struct rows none;

	(void)state;
	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		struct text out = {.at = NULL};

		assert_int_equal(scan_report(&reports[i].target, &none, reports[i].json, SHEET_TEXT, &out), 0);
		for (size_t j = 0; j < 4 && reports[i].parts[j] != NULL; j++)
			if (strstr(out.at, reports[i].parts[j]) == NULL)
				fail_msg("report %zu: no \"%s\" in:\n%s", i, reports[i].parts[j], out.at);
		if (strstr(out.at, reports[i].absent) != NULL)
			fail_msg("report %zu: \"%s\" in:\n%s", i, reports[i].absent, out.at);
		text_free(&out);
		assert_int_equal(scan_report(&reports[i].target, &none, reports[i].json, SHEET_JSON, &out), 0);
		expect_clean(out.at);
		text_free(&out);
	}
}

static void
what_does_not_read(void **state)
{
	static const char *const all[] = {"", "[]", "{}", "{\"kex\":[]}", "{\"kex\":\"curve25519-sha256\"}",
	    "{\"kex\":[\"a\"]", "{\"kex\":[\"\xff\"]}"};
	/* It reads, however little of it makes sense. */
	static const char odd[] =
	    "{\"kex\":[1,null,{}],\"keys\":[1,{\"kind\":2,\"key\":[]},{\"key\":\"ssh-rsa AAAA\"}],\"methods\":7,"
	    "\"macs_to\":{}}";
	static const struct target t = {.name = "t"};
	static const struct rows none;
	struct text out = {.at = NULL};
	char summary[64];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(scan_report(&t, &none, all[i], SHEET_TEXT, &out), -1);
		scan_summary(&none, all[i], summary, sizeof(summary));
		assert_string_equal(summary, "");
	}
	assert_null(out.at);
	assert_int_equal(scan_report(&t, &none, odd, SHEET_TEXT, &out), 0);
	assert_int_equal(scan_report(&t, &none, odd, SHEET_JSON, &out), 0);
	scan_summary(&none, odd, summary, sizeof(summary));
	text_free(&out);
}

/* An RSA key of this many bits, as a target shows it. */
static void
rsa_line(unsigned bits, char *to, size_t size)
{
	static const uint8_t n[512] = {[0] = 0xc0};
	unsigned char base64[1024];
	struct wire blob = {0}, number = {0};

	wire_put_text(&blob, bytes_text("ssh-rsa"));
	wire_put_bytes(&blob, bytes_of("\3", 1));
	wire_put_u8(&number, 0); /* it would be negative */
	wire_put_raw(&number, n, bits / 8);
	wire_put_bytes(&blob, wire_bytes(&number));
	EVP_EncodeBlock(base64, blob.at, (int)blob.len);
	snprintf(to, size, "ssh-rsa %s", (const char *)base64);
	wire_free(&blob);
	wire_free(&number);
}

/* It is pinned, new, or not the pinned one; a short RSA key wants a word of its own. */
static void
host_keys_against_pinned_ones(void **state)
{
	static const struct target t = {.name = "t"};
	struct target_key pinned[2] = {{.target = "t"}, {.target = "t"}};
	struct rows rows = {.count = 2, .size = sizeof(pinned[0]), .at = (unsigned char *)pinned};
	struct key_read known;
	struct text out = {.at = NULL};
	char json[4096], rsa[1100], summary[512];

	(void)state;
	for (unsigned bits = 1024; bits <= 2048; bits += 1024) {
		rsa_line(bits, rsa, sizeof(rsa));
		assert_int_equal(key_read(&known, key_line(1)), 0);
		TEXT_COPY(pinned[0].fingerprint, known.fingerprint);
		TEXT_COPY(pinned[0].type, known.type);
		TEXT_COPY(pinned[1].fingerprint, "SHA256:old");
		TEXT_COPY(pinned[1].type, "ssh-rsa");
		snprintf(json, sizeof(json),
		    "{\"version\":\"SSH-2.0-x\"," GOOD_KEX
		    ",\"host_key_algorithms\":[\"rsa-sha2-512\",\"ssh-rsa\"]," GOOD_CIPHERS "," GOOD_MACS
		    ",\"compression_to\":[\"none\"],\"compression_from\":[\"none\"]," GOOD_METHODS
		    ",\"keys\":[{\"kind\":\"ssh-ed25519\",\"key\":\"%s\"},{\"kind\":\"ssh-rsa\",\"key\":\"%s\"}]}",
		    key_line(1), rsa);
		assert_int_equal(scan_report(&t, &rows, json, SHEET_TEXT, &out), 0);
		assert_non_null(strstr(out.at, "ssh-ed25519, pinned\n"));
		assert_non_null(strstr(out.at, "ssh-rsa, NOT the pinned one of its kind\n"));
		assert_non_null(strstr(out.at, "ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub"));
		assert_non_null(strstr(out.at, rsa));
		assert_non_null(strstr(out.at, "target change t --remove-host-key SHA256:old\n"));
		assert_int_equal(strstr(out.at, "--legacy ssh-rsa --legacy-until") != NULL, bits == 1024);
		text_free(&out);
		scan_summary(&rows, json, summary, sizeof(summary));
		assert_non_null(strstr(summary, "SSH-2.0-x: SHA256:"));
		assert_non_null(strstr(summary, "ssh-ed25519 pinned, SHA256:"));
		assert_non_null(strstr(summary, "ssh-rsa differs"));
	}
}

/* ---- the scanner ---- */

static void
on_scanner(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	assert_int_equal(m->type, MSG_SCAN_FAILED);
	assert_int_equal(m->scan_failed.stream, 8);
}

static void
on_scanner_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)ctx;
	assert_string_equal(why, "");
}

/* The far end of a scan's link. */
static struct peer *
scanner_come(struct bench *b, uint64_t number)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	scans_link(&b->policy, number, pair[0]);
	return (
	    peer_open(b->loop, pair[1], PROCESS_SCAN, PROCESS_POLICY, number, on_scanner, on_scanner_closed, NULL));
}

static void
a_scanner_gets_no_more_than_it_may(void **state)
{
	static const char found[] = "{\"version\":\"SSH-2.0-x\"," GOOD_KEX "," GOOD_KEYS "," GOOD_CIPHERS
	                            "," GOOD_MACS "," GOOD_REST "," GOOD_METHODS "}";
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b);
	struct peer *scanner;

	house_link(b);
	say_only(root, "target scan osv1");
	settle(b);
	assert_int_equal(root->ended, 0);
	scanner = scanner_come(b, b->policy.last_scan);
	for (uint32_t stream = 0; stream < 100; stream++)
		peer_post(scanner, SCAN_MORE, scan_more, .stream = stream);
	peer_post(scanner, SCAN_MORE, scan_more, .stream = 3); /* and none twice */
	settle(b);
	assert_int_equal(b->dials, 8);
	assert_string_equal(b->dial_host, "127.0.0.1");
	assert_int_equal(b->dial_port, 2222);
	/* the dialer's word goes to the scanner, and to nobody's visit */
	peer_post(b->dialer, DIALED, dialed, .conn = b->policy.last_scan, .stream = 8, .reason = REASON_UNREACHABLE,
	    .text = bytes_text("no"));
	peer_post(scanner, SCAN_DONE, scan_done, .reason = REASON_NONE, .text = bytes_text(""),
	    .json = bytes_text(found));
	settle(b);
	assert_int_equal(root->ended, 1);
	assert_int_equal(root->status, 0);
	assert_non_null(strstr(root->out, "curve25519-sha256"));
	expect_event(b, "target.scanned", "SSH-2.0-x");
	/* what it says behind its end goes nowhere */
	peer_post(scanner, SCAN_DONE, scan_done, .reason = REASON_NONE, .text = bytes_text(""),
	    .json = bytes_text(found));
	settle(b);
	assert_int_equal(events_named(b, "target.scanned"), 1);
	peer_close(scanner);
}

static void
a_scan_that_comes_to_nothing(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *root = seat_root(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *umar = seat_login(b, "umar", KEY_AND_CODE, 1),
	            *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	struct peer *scanner;

	house_link(b);
	expect(alice, "target scan osv1", 77, "[role]");
	expect(umar, "target scan osv1", 77, "[own-vendor]");
	expect(root, "target scan nowhere", 77, "there is no target nowhere");
	expect(root, "target scan osv1 --about x", 64, "takes no options");
	/* its process dies */
	say_only(root, "target scan osv1");
	settle(b);
	peer_post(b->gateway, SCAN_GONE, scan_gone, .scan = b->policy.last_scan);
	settle(b);
	assert_int_equal(root->ended, 1);
	assert_non_null(strstr(root->err, "[limit] osv1: the scanning process ended before"));
	expect_event(b, "target.scanned", "\"outcome\":\"failure\"");
	/* who asked leaves: the book is told all the same */
	say_only(maria, "target scan osv1");
	settle(b);
	seat_leave(maria);
	settle(b);
	scanner = scanner_come(b, b->policy.last_scan);
	peer_post(scanner, SCAN_DONE, scan_done, .reason = REASON_UNREACHABLE, .text = bytes_text("\x1b[2Jgone"),
	    .json = bytes_text("not json"));
	settle(b);
	expect_event(b, "target.scanned", "\"name\":\"maria\"");
	expect_event(b, "target.scanned", "\\\\x1b[2Jgone");
	peer_close(scanner);
	/* not too many */
	for (int i = 0; i < 4; i++)
		say_only(seat_root(b), "target scan osv1");
	settle(b);
	expect(root, "target scan osv1", 77, "[limit] 4 targets are being scanned");
	/* a number that nobody asked for */
	scanner = scanner_come(b, 7);
	settle(b);
	peer_close(scanner);
}

const struct CMUnitTest scanning[] = {cmocka_unit_test(what_is_missing), cmocka_unit_test(what_does_not_read),
    cmocka_unit_test(host_keys_against_pinned_ones), TEST(a_scanner_gets_no_more_than_it_may),
    TEST(a_scan_that_comes_to_nothing)};
const size_t scanning_count = sizeof(scanning) / sizeof(scanning[0]);
