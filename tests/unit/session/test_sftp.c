/*
 * SFTP: what passes, what is refused and how, and what the ledger says; whole, cut at every byte, and hostile.  Long for its
 * tables, and one thing: they are steps of the same two streams.
 */
#include "bench.h"
#include "sftp.h"
#include "sftp_table.h"

#define NO_ATTRS 0U

/* INIT and VERSION have passed, and what came out of it was taken away. */
static void
channel_open(struct bench *b, unsigned capabilities)
{
	bench_open(b, TRANSFER_SFTP, capabilities, NULL);
	assert_int_equal(packet_feed(b, FROM_ENGINEER, SFTP_INIT, "u", 3U), 0);
	assert_int_equal(packet_feed(b, FROM_TARGET, SFTP_VERSION, "uss", 3U, "limits@openssh.com", "1"), 0);
	fifo_take(&b->to_target, 100);
	fifo_take(&b->to_engineer, 100);
}

/* Opens `path`; the target gives `handle`. */
static void
file_open(struct bench *b, const char *path, uint32_t flags, const char *handle)
{
	assert_int_equal(packet_feed(b, FROM_ENGINEER, SFTP_OPEN, "usuu", 90U, path, flags, NO_ATTRS), 0);
	assert_int_equal(packet_feed(b, FROM_TARGET, SFTP_HANDLE, "us", 90U, handle), 0);
	fifo_take(&b->to_target, 5000);
	fifo_take(&b->to_engineer, 5000);
}

static void
answer(struct bench *b, uint32_t id, uint32_t status)
{
	assert_int_equal(packet_feed(b, FROM_TARGET, SFTP_STATUS, "uuss", id, status, "", ""), 0);
}

static void
file_close(struct bench *b, const char *handle)
{
	assert_int_equal(packet_feed(b, FROM_ENGINEER, SFTP_CLOSE, "us", 91U, handle), 0);
	answer(b, 91, SFTP_S_OK);
}

static void
file_write(struct bench *b, const char *handle, uint64_t offset, const char *text)
{
	assert_int_equal(packet_feed(b, FROM_ENGINEER, SFTP_WRITE, "usqs", 92U, handle, offset, text), 0);
	answer(b, 92, SFTP_S_OK);
}

/* READ of len bytes; the target sends text, or end of file when it is NULL. */
static void
file_read(struct bench *b, const char *handle, uint64_t offset, uint32_t len, const char *text)
{
	assert_int_equal(packet_feed(b, FROM_ENGINEER, SFTP_READ, "usqu", 93U, handle, offset, len), 0);
	if (text == NULL)
		answer(b, 93, SFTP_S_EOF);
	else
		assert_int_equal(packet_feed(b, FROM_TARGET, SFTP_DATA, "us", 93U, text), 0);
}

/* What came back to the engineer: a STATUS of ours?  Gives its code, or -1: nothing. */
static int
answered(struct bench *b, uint32_t id)
{
	struct reader r = reader_of(fifo_bytes(&b->to_engineer));
	uint32_t len, code;
	struct bytes text;

	if (r.left == 0)
		return (-1);
	len = reader_get_u32(&r);
	assert_int_equal(r.left, len);
	assert_int_equal(reader_get_u8(&r), SFTP_STATUS);
	assert_int_equal(reader_get_u32(&r), id);
	code = reader_get_u32(&r);
	text = reader_get_text(&r);
	assert_true(text.len > 15 && memcmp(text.at, "lodge: denied [", 15) == 0);
	(void)reader_get_text(&r);
	assert_true(reader_end(&r));
	fifo_take(&b->to_engineer, 5000);
	return ((int)code);
}

/*
 * Requests against grants.  Handle "r" is open for reading, "w" for writing, "d" is a directory, when the grant lets them be
 * opened.  Per grant: what comes back, PASS when it goes on.
 */
enum { PASS = -1, DENY = SFTP_S_PERMISSION_DENIED, UNSUP = SFTP_S_OP_UNSUPPORTED, BAD = SFTP_S_BAD_MESSAGE };

static const struct rule {
	const char *name;
	int type;
	const char *fields; /* s: "r", "w", "d" or "p"; S: the extension; u, q: the next of numbers */
	const char *strings[4];
	uint32_t numbers[3];
	int both, up, down, none;
	const char *op; /* in the ledger, when it is refused */
} rules[] = {
    {"look", SFTP_STAT, "s", {"p"}, {0}, PASS, PASS, PASS, DENY, "stat"},
    {"lstat", SFTP_LSTAT, "s", {"p"}, {0}, PASS, PASS, PASS, DENY, "lstat"},
    {"realpath", SFTP_REALPATH, "s", {"p"}, {0}, PASS, PASS, PASS, DENY, "realpath"},
    {"readlink", SFTP_READLINK, "s", {"p"}, {0}, PASS, PASS, PASS, DENY, "readlink"},
    {"opendir", SFTP_OPENDIR, "s", {"p"}, {0}, PASS, PASS, PASS, DENY, "opendir"},
    {"readdir", SFTP_READDIR, "s", {"d"}, {0}, PASS, PASS, PASS, DENY, "readdir"},
    {"statvfs", SFTP_EXTENDED, "ss", {"statvfs@openssh.com", "p"}, {0}, PASS, PASS, PASS, DENY, "statvfs"},
    {"fstatvfs", SFTP_EXTENDED, "ss", {"fstatvfs@openssh.com", "d"}, {0}, PASS, PASS, PASS, DENY, "fstatvfs"},
    {"limits", SFTP_EXTENDED, "s", {"limits@openssh.com"}, {0}, PASS, PASS, PASS, DENY, "limits"},
    {"expand-path", SFTP_EXTENDED, "ss", {"expand-path@openssh.com", "~"}, {0}, PASS, PASS, PASS, DENY, "realpath"},
    {"home", SFTP_EXTENDED, "ss", {"home-directory", ""}, {0}, PASS, PASS, PASS, DENY, "realpath"},
    {"names", SFTP_EXTENDED, "sss", {"users-groups-by-id@openssh.com", "", ""}, {0}, PASS, PASS, PASS, DENY,
        "names"},

    {"open r", SFTP_OPEN, "suu", {"p"}, {1, 0}, PASS, DENY, PASS, DENY, "download"},
    {"open with no flag reads", SFTP_OPEN, "suu", {"p"}, {0, 0}, PASS, DENY, PASS, DENY, "download"},
    {"open excl alone reads", SFTP_OPEN, "suu", {"p"}, {32, 0}, PASS, DENY, PASS, DENY, "download"},
    {"open w", SFTP_OPEN, "suu", {"p"}, {2, 0}, PASS, PASS, DENY, DENY, "upload"},
    {"open w creat trunc", SFTP_OPEN, "suu", {"p"}, {26, 0}, PASS, PASS, DENY, DENY, "upload"},
    {"open w append", SFTP_OPEN, "suu", {"p"}, {6, 0}, PASS, PASS, DENY, DENY, "upload"},
    {"open rw", SFTP_OPEN, "suu", {"p"}, {3, 0}, PASS, DENY, DENY, DENY, "update"},
    {"open r creat", SFTP_OPEN, "suu", {"p"}, {9, 0}, PASS, DENY, DENY, DENY, "update"},
    {"open r trunc", SFTP_OPEN, "suu", {"p"}, {17, 0}, PASS, DENY, DENY, DENY, "update"},
    {"open append alone reads too", SFTP_OPEN, "suu", {"p"}, {4, 0}, PASS, DENY, DENY, DENY, "update"},
    {"open creat alone reads too", SFTP_OPEN, "suu", {"p"}, {8, 0}, PASS, DENY, DENY, DENY, "update"},
    {"open trunc alone reads too", SFTP_OPEN, "suu", {"p"}, {16, 0}, PASS, DENY, DENY, DENY, "update"},
    {"open with a flag of later versions", SFTP_OPEN, "suu", {"p"}, {65, 0}, UNSUP, UNSUP, UNSUP, UNSUP,
        "download"},

    {"read r", SFTP_READ, "squ", {"r"}, {0, 10}, PASS, DENY, PASS, DENY, "download"},
    {"read w", SFTP_READ, "squ", {"w"}, {0, 10}, DENY, DENY, DENY, DENY, "download"},
    {"read d", SFTP_READ, "squ", {"d"}, {0, 10}, DENY, DENY, DENY, DENY, "download"},
    {"read ?", SFTP_READ, "squ", {"?"}, {0, 10}, DENY, DENY, DENY, DENY, "download"},
    {"write w", SFTP_WRITE, "sqs", {"w", "hello"}, {0}, PASS, PASS, DENY, DENY, "upload"},
    {"write r", SFTP_WRITE, "sqs", {"r", "hello"}, {0}, DENY, DENY, DENY, DENY, "upload"},
    {"write d", SFTP_WRITE, "sqs", {"d", "hello"}, {0}, DENY, DENY, DENY, DENY, "upload"},
    {"write ?", SFTP_WRITE, "sqs", {"?", "hello"}, {0}, DENY, DENY, DENY, DENY, "upload"},
    {"fstat r", SFTP_FSTAT, "s", {"r"}, {0}, PASS, DENY, PASS, DENY, "fstat"},
    {"fstat ?", SFTP_FSTAT, "s", {"?"}, {0}, DENY, DENY, DENY, DENY, "fstat"},
    {"close d", SFTP_CLOSE, "s", {"d"}, {0}, PASS, PASS, PASS, DENY, "close"},
    {"close ?", SFTP_CLOSE, "s", {"?"}, {0}, DENY, DENY, DENY, DENY, "close"},

    {"setstat", SFTP_SETSTAT, "suu", {"p"}, {4, 0644}, PASS, PASS, DENY, DENY, "setstat"},
    {"fsetstat d", SFTP_FSETSTAT, "suu", {"d"}, {4, 0644}, PASS, PASS, DENY, DENY, "setstat"},
    {"lsetstat", SFTP_EXTENDED, "ssuu", {"lsetstat@openssh.com", "p"}, {4, 0}, PASS, PASS, DENY, DENY, "setstat"},
    {"remove", SFTP_REMOVE, "s", {"p"}, {0}, PASS, PASS, DENY, DENY, "remove"},
    {"mkdir", SFTP_MKDIR, "su", {"p"}, {0}, PASS, PASS, DENY, DENY, "mkdir"},
    {"rmdir", SFTP_RMDIR, "s", {"p"}, {0}, PASS, PASS, DENY, DENY, "rmdir"},
    {"rename", SFTP_RENAME, "ss", {"p", "q"}, {0}, PASS, PASS, DENY, DENY, "rename"},
    {"symlink", SFTP_SYMLINK, "ss", {"p", "q"}, {0}, PASS, PASS, DENY, DENY, "symlink"},
    {"posix-rename", SFTP_EXTENDED, "sss", {"posix-rename@openssh.com", "p", "q"}, {0}, PASS, PASS, DENY, DENY,
        "rename"},
    {"hardlink", SFTP_EXTENDED, "sss", {"hardlink@openssh.com", "p", "q"}, {0}, PASS, PASS, DENY, DENY, "hardlink"},
    {"fsync", SFTP_EXTENDED, "ss", {"fsync@openssh.com", "w"}, {0}, PASS, PASS, DENY, DENY, "fsync"},
    {"copy-data", SFTP_EXTENDED, "ssqqsq", {"copy-data", "r", "w"}, {0}, PASS, DENY, DENY, DENY, "copy"},
    {"copy-data back", SFTP_EXTENDED, "ssqqsq", {"copy-data", "w", "r"}, {0}, DENY, DENY, DENY, DENY, "copy"},

    {"an unknown extension", SFTP_EXTENDED, "ss", {"check-file", "p"}, {0}, UNSUP, UNSUP, UNSUP, UNSUP, "extended"},
    {"a name that only begins well", SFTP_EXTENDED, "s", {"limits@openssh.com2"}, {0}, UNSUP, UNSUP, UNSUP, UNSUP,
        "extended"},
    {"an unknown request", 21, "ss", {"p", "q"}, {0}, UNSUP, UNSUP, UNSUP, UNSUP, "request 21"},
    {"VERSION from a client", SFTP_VERSION, "u", {NULL}, {3}, UNSUP, UNSUP, UNSUP, UNSUP, "request 2"},
    {"DATA from a client", SFTP_DATA, "s", {"x"}, {0}, UNSUP, UNSUP, UNSUP, UNSUP, "request 103"},
    {"a name cut off", SFTP_STAT, "u", {NULL}, {100}, BAD, BAD, BAD, BAD, "stat"},
    {"no name", SFTP_REMOVE, "", {NULL}, {0}, BAD, BAD, BAD, BAD, "remove"},
    {"no flags", SFTP_OPEN, "s", {"p"}, {0}, BAD, BAD, BAD, BAD, "open"},
    {"attributes cut off", SFTP_SETSTAT, "su", {"p"}, {4}, BAD, BAD, BAD, BAD, "setstat"},
    {"more attributes than there are", SFTP_SETSTAT, "suu", {"p"}, {0x80000000U, 0xffffffffU}, BAD, BAD, BAD, BAD,
        "setstat"},
    {"WRITE of more than there is", SFTP_WRITE, "squs", {"w", "hello"}, {0, 100}, BAD, BAD, BAD, BAD, "upload"},
    {"WRITE with no length", SFTP_WRITE, "sq", {"w"}, {0}, BAD, BAD, BAD, BAD, "upload"},
    {"WRITE with no offset", SFTP_WRITE, "s", {"w"}, {0}, BAD, BAD, BAD, BAD, "upload"},
    {"WRITE of a handle cut off", SFTP_WRITE, "u", {NULL}, {100}, BAD, BAD, BAD, BAD, "upload"},
    {"an extension without its name", SFTP_EXTENDED, "", {NULL}, {0}, BAD, BAD, BAD, BAD, "request 200"},
};

static void
rule_put(struct wire *w, const struct rule *r)
{
	struct wire body = {0};
	size_t string = 0, number = 0;

	wire_put_u8(&body, (uint8_t)r->type);
	wire_put_u32(&body, 7);
	for (const char *f = r->fields; *f != '\0'; f++) {
		if (*f == 's')
			wire_put_bytes(&body, bytes_text(r->strings[string++]));
		else if (*f == 'q')
			wire_put_u64(&body, number < 3 ? r->numbers[number++] : 0);
		else
			wire_put_u32(&body, number < 3 ? r->numbers[number++] : 0);
	}
	wire_put_bytes(w, wire_bytes(&body));
	wire_free(&body);
}

static void
rule_try(const struct rule *r, unsigned capabilities, int want)
{
	struct wire w = {0};
	struct bench b;
	char op[64];
	int got;

	channel_open(&b, capabilities);
	if (capabilities & DOWN)
		file_open(&b, "/r", SFTP_F_READ, "r");
	if (capabilities & UP)
		file_open(&b, "/w", SFTP_F_WRITE, "w");
	if (capabilities != 0) {
		packet_feed(&b, FROM_ENGINEER, SFTP_OPENDIR, "us", 1U, "/d");
		packet_feed(&b, FROM_TARGET, SFTP_HANDLE, "us", 1U, "d");
		fifo_take(&b.to_target, 100);
		fifo_take(&b.to_engineer, 100);
	}
	rule_put(&w, r);
	bench_feed(&b, FROM_ENGINEER, w.at, w.len);
	if ((got = answered(&b, 7)) != want)
		fail_msg("%s, capabilities %u: %d, not %d", r->name, capabilities, got, want);
	snprintf(op, sizeof(op), "{\"refused\":{\"op\":\"%s\",", r->op);
	if (want == PASS) {
		bytes_must_equal(fifo_bytes(&b.to_target), wire_bytes(&w));
		assert_null(strstr(bench_facts(&b), "refused"));
	} else {
		assert_int_equal(fifo_bytes(&b.to_target).len, 0);
		if (strncmp(bench_facts(&b), op, strlen(op)) != 0)
			fail_msg("%s, capabilities %u: %s", r->name, capabilities, bench_facts(&b));
		assert_int_equal(transfer_counts(b.transfer)->refused, 1);
	}
	/* And the channel lives. */
	fifo_take(&b.to_target, 5000);
	packet_feed(&b, FROM_ENGINEER, SFTP_STAT, "us", 8U, "/");
	assert_int_equal(answered(&b, 8), capabilities == 0 ? DENY : PASS);
	assert_false(b.failed);
	(void)bench_end(&b);
	bench_close(&b);
	wire_free(&w);
}

static void
every_rule_under_every_grant(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		rule_try(&rules[i], BOTH, rules[i].both);
		rule_try(&rules[i], UP, rules[i].up);
		rule_try(&rules[i], DOWN, rules[i].down);
		rule_try(&rules[i], 0, rules[i].none);
	}
}

/* A visit with something of everything; refusals are among it. */
static void
visit_put(struct step *steps, struct wire *w)
{
	static const uint8_t big[21000];

	packet_put(&w[0], SFTP_INIT, "u", 6U);
	packet_put(&w[1], SFTP_VERSION, "uss", 3U, "posix-rename@openssh.com", "1");
	packet_put(&w[2], SFTP_OPEN, "usuuu", 1U, "/up", 26U, 4U, 0100755U);
	packet_put(&w[2], SFTP_OPEN, "usuu", 2U, "/down", 1U, 0U);
	packet_put(&w[2], SFTP_EXTENDED, "uss", 3U, "check-file", "/x");
	packet_put(&w[3], SFTP_HANDLE, "us", 1U, "\1\2\3\4");
	packet_put(&w[3], SFTP_HANDLE, "us", 2U, "h2");
	packet_put(&w[4], SFTP_WRITE, "usqs", 4U, "\1\2\3\4", (uint64_t)0, "hello ");
	packet_put(&w[4], SFTP_WRITE, "usqs", 5U, "h2", (uint64_t)0, "no");
	packet_put(&w[4], SFTP_WRITE, "usqs", 6U, "\1\2\3\4", (uint64_t)6, "world\n");
	packet_put(&w[4], SFTP_READ, "usqu", 7U, "h2", (uint64_t)0, 32768U);
	packet_put(&w[4], SFTP_RENAME, "uss", 8U, "/a", "/b\xff");
	packet_put(&w[4], SFTP_STAT, "ur", 9U, bytes_of(big, sizeof(big)));
	packet_put(&w[5], SFTP_STATUS, "uuss", 4U, 0U, "Success", "");
	packet_put(&w[5], SFTP_STATUS, "uuss", 6U, 0U, "Success", "");
	packet_put(&w[5], SFTP_DATA, "us", 7U, "what it was");
	packet_put(&w[5], SFTP_STATUS, "uuss", 8U, 4U, "Failure", "");
	packet_put(&w[6], SFTP_READ, "usqu", 10U, "h2", (uint64_t)11, 32757U);
	packet_put(&w[6], SFTP_SYMLINK, "uss", 11U, "/to", "/link");
	packet_put(&w[6], SFTP_FSETSTAT, "usuu", 12U, "\1\2\3\4", 4U, 0644U);
	packet_put(&w[6], SFTP_CLOSE, "us", 13U, "\1\2\3\4");
	packet_put(&w[6], SFTP_OPENDIR, "us", 14U, "/d");
	packet_put(&w[7], SFTP_STATUS, "uuss", 10U, 1U, "End of file", "");
	packet_put(&w[7], SFTP_STATUS, "uu", 11U, 0U);
	packet_put(&w[7], SFTP_STATUS, "uuss", 12U, 0U, "", "");
	packet_put(&w[7], SFTP_STATUS, "uuss", 13U, 0U, "", "");
	packet_put(&w[7], SFTP_HANDLE, "us", 14U, "d");
	packet_put(&w[8], SFTP_READDIR, "us", 15U, "d");
	packet_put(&w[8], SFTP_CLOSE, "us", 16U, "h2");
	packet_put(&w[8], SFTP_OPEN, "usuu", 17U, "/none", 1U, 0U);
	packet_put(&w[8], SFTP_REMOVE, "us", 18U, "/gone");
	packet_put(&w[9], SFTP_NAME, "uussu", 15U, 1U, "f", "-rw f", 0U);
	packet_put(&w[9], SFTP_STATUS, "uuss", 16U, 0U, "", "");
	packet_put(&w[9], SFTP_STATUS, "uuss", 17U, 2U, "", "");
	for (size_t i = 0; i < 10; i++)
		steps[i] = (struct step){i % 2 == 0 ? FROM_ENGINEER : FROM_TARGET, wire_bytes(&w[i])};
}

static const char visit_facts[] =
    "{\"refused\":{\"op\":\"extended\",\"name\":\"check-file\",\"reason\":\"not-supported\",\"status\":8,"
    "\"text\":\"lodge: denied [not-supported] Lodge does not carry this request\",\"ms\":3000}}\n"
    "{\"refused\":{\"op\":\"upload\",\"path\":\"/down\",\"reason\":\"protocol\",\"status\":3,"
    "\"text\":\"lodge: denied [protocol] not opened for writing\",\"ms\":5000}}\n"
    "{\"refused\":{\"op\":\"stat\",\"reason\":\"limit\",\"status\":5,"
    "\"text\":\"lodge: denied [limit] the request is too long\",\"ms\":5000}}\n"
    "{\"operation\":{\"op\":\"rename\",\"path\":\"/a\",\"to\":\"/b\xef\xbf\xbd\",\"to_hex\":\"2f62ff\",\"ms\":6000,"
    "\"result\":\"failed: failure\"}}\n"
    "{\"operation\":{\"op\":\"symlink\",\"path\":\"/link\",\"to\":\"/to\",\"ms\":8000,\"result\":\"ok\"}}\n"
    "{\"operation\":{\"op\":\"setstat\",\"path\":\"/up\",\"mode\":\"0644\",\"ms\":8000,\"result\":\"ok\"}}\n"
    "{\"file\":{\"op\":\"upload\",\"path\":\"/up\",\"flags\":[\"write\",\"creat\",\"trunc\"],\"mode\":\"0755\","
    "\"bytes\":12,\"size\":12,\"whole\":true,"
    "\"sha256\":\"a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447\","
    "\"from_ms\":3000,\"to_ms\":8000,\"result\":\"ok\"}}\n"
    "{\"file\":{\"op\":\"download\",\"path\":\"/"
    "down\",\"flags\":[\"read\"],\"bytes\":11,\"size\":11,\"whole\":true,"
    "\"sha256\":\"%s\",\"from_ms\":3000,\"to_ms\":10000,\"result\":\"ok\"}}\n"
    "{\"file\":{\"op\":\"download\",\"path\":\"/none\",\"flags\":[\"read\"],\"bytes\":0,\"size\":0,\"whole\":false,"
    "\"sha256\":null,\"why\":\"not opened\",\"from_ms\":9000,\"to_ms\":10000,\"result\":\"failed: no such "
    "file\"}}\n"
    "{\"operation\":{\"op\":\"remove\",\"path\":\"/gone\",\"ms\":10000,\"result\":\"unfinished\"}}\n";

/* The same whatever pieces it comes in; what is not refused is on the other side, byte for byte. */
static void
a_visit_cut_at_every_byte(void **state)
{
	struct wire w[10] = {0}, to_target = {0}, to_engineer = {0}, want = {0};
	struct step steps[10];
	char facts[sizeof(visit_facts) + 80], sha256[65];
	char *got;

	(void)state;
	visit_put(steps, w);
	got = bench_run_every_way(steps, 10, TRANSFER_SFTP, BOTH, NULL, &to_target, &to_engineer);
	sha256_of("what it was", 11, sha256);
	snprintf(facts, sizeof(facts), visit_facts, sha256);
	assert_string_equal(got, facts);

	/* To the target: INIT as version 3, and all but the three that were refused. */
	packet_put(&want, SFTP_INIT, "u", 3U);
	packet_put(&want, SFTP_OPEN, "usuuu", 1U, "/up", 26U, 4U, 0100755U);
	packet_put(&want, SFTP_OPEN, "usuu", 2U, "/down", 1U, 0U);
	packet_put(&want, SFTP_WRITE, "usqs", 4U, "\1\2\3\4", (uint64_t)0, "hello ");
	packet_put(&want, SFTP_WRITE, "usqs", 6U, "\1\2\3\4", (uint64_t)6, "world\n");
	packet_put(&want, SFTP_READ, "usqu", 7U, "h2", (uint64_t)0, 32768U);
	packet_put(&want, SFTP_RENAME, "uss", 8U, "/a", "/b\xff");
	wire_put_raw(&want, w[6].at, w[6].len);
	wire_put_raw(&want, w[8].at, w[8].len);
	bytes_must_equal(wire_bytes(&to_target), wire_bytes(&want));

	/* To the engineer: all that the target sent, and three answers of ours. */
	wire_clear(&want);
	wire_put_raw(&want, w[1].at, w[1].len);
	packet_put(&want, SFTP_STATUS, "uuss", 3U, 8U,
	    "lodge: denied [not-supported] Lodge does not carry this request", "en");
	wire_put_raw(&want, w[3].at, w[3].len);
	packet_put(&want, SFTP_STATUS, "uuss", 5U, 3U, "lodge: denied [protocol] not opened for writing", "en");
	packet_put(&want, SFTP_STATUS, "uuss", 9U, 5U, "lodge: denied [limit] the request is too long", "en");
	for (size_t i = 5; i < 10; i += 2)
		wire_put_raw(&want, w[i].at, w[i].len);
	bytes_must_equal(wire_bytes(&to_engineer), wire_bytes(&want));

	free(got);
	for (size_t i = 0; i < 10; i++)
		wire_free(&w[i]);
	wire_free(&to_target);
	wire_free(&to_engineer);
	wire_free(&want);
}

/* Our answers stand between two packets of the target's, and never before VERSION. */
static void
answers_wait_for_their_place(void **state)
{
	struct wire version = {0}, data = {0};
	struct bench b;

	(void)state;
	bench_open(&b, TRANSFER_SFTP, DOWN, NULL);
	packet_put(&version, SFTP_VERSION, "u", 3U);
	packet_feed(&b, FROM_ENGINEER, SFTP_INIT, "u", 3U);
	packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "us", 1U, "/x");
	assert_int_equal(fifo_bytes(&b.to_engineer).len, 0);
	bench_feed(&b, FROM_TARGET, version.at, version.len - 1);
	assert_int_equal(fifo_bytes(&b.to_engineer).len, 0);
	bench_feed(&b, FROM_TARGET, version.at + version.len - 1, 1);
	bytes_must_equal(bytes_of(fifo_bytes(&b.to_engineer).at, version.len), wire_bytes(&version));
	fifo_take(&b.to_engineer, version.len);
	assert_int_equal(answered(&b, 1), DENY);

	file_open(&b, "/r", SFTP_F_READ, "r");
	packet_feed(&b, FROM_ENGINEER, SFTP_READ, "usqu", 2U, "r", (uint64_t)0, 100U);
	packet_put(&data, SFTP_DATA, "us", 2U, "content");
	for (size_t i = 0; i < data.len; i++) {
		if (i == 3 || i == 10 || i == 15)
			packet_feed(&b, FROM_ENGINEER, SFTP_RMDIR, "us", (uint32_t)i, "/x");
		bench_feed(&b, FROM_TARGET, data.at + i, 1);
	}
	bytes_must_equal(bytes_of(fifo_bytes(&b.to_engineer).at, data.len), wire_bytes(&data));
	fifo_take(&b.to_engineer, data.len);
	assert_true(fifo_bytes(&b.to_engineer).len > 3 * 40);
	assert_int_equal(transfer_counts(b.transfer)->refused, 4);
	assert_false(b.failed);
	bench_close(&b);
	wire_free(&version);
	wire_free(&data);
}

/* A client of an earlier version gets statuses without words. */
static void
early_clients_get_no_words(void **state)
{
	struct wire want = {0};
	struct bench b;

	(void)state;
	bench_open(&b, TRANSFER_SFTP, DOWN, NULL);
	packet_feed(&b, FROM_ENGINEER, SFTP_INIT, "u", 2U);
	packet_feed(&b, FROM_TARGET, SFTP_VERSION, "u", 2U);
	packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "us", 1U, "/x");
	packet_put(&want, SFTP_VERSION, "u", 2U);
	packet_put(&want, SFTP_STATUS, "uu", 1U, 3U);
	bytes_must_equal(fifo_bytes(&b.to_engineer), wire_bytes(&want));
	bench_close(&b);
	wire_free(&want);
}

/* What breaks the protocol ends the channel, and says why.  raw: hexadecimal bytes; INIT and VERSION went before. */
static const struct hostile {
	enum from from;
	const char *raw;
	const char *trouble; /* NULL: the channel lives */
} hostiles[] = {
    {FROM_ENGINEER, "00000000", "a packet is shorter than any can be"},
    {FROM_ENGINEER, "00000004", "a packet is shorter than any can be"},
    {FROM_ENGINEER, "80000000", "a packet is longer than any may be"},
    {FROM_ENGINEER, "ffffffff", "a packet is longer than any may be"},
    {FROM_ENGINEER, "00040401", "a packet is longer than any may be"},
    {FROM_ENGINEER, "0004040006", NULL},
    {FROM_ENGINEER, "000000050100000003", "the client sent INIT twice"},
    {FROM_ENGINEER, "00005001010000000300", "the client does not begin with INIT"},
    {FROM_ENGINEER, "000000056300000001", NULL},
    {FROM_ENGINEER, "000000050600000001", NULL},
    {FROM_ENGINEER, "00000009060000000100000000", NULL},
    {FROM_ENGINEER, "000000090600000001ffffffff", NULL},
    {FROM_ENGINEER, "0000000dc800000001ffffffff00000000", NULL},
    {FROM_TARGET, "00000000", "a packet is shorter than any can be"},
    {FROM_TARGET, "00000004", "a packet is shorter than any can be"},
    {FROM_TARGET, "80000000", "a packet is longer than any may be"},
    {FROM_TARGET, "ffffffff", "a packet is longer than any may be"},
    {FROM_TARGET, "000000050200000003", "the target sent a VERSION that was not asked for"},
    {FROM_TARGET, "000000050300000003", "the target sent a packet of an unknown type"},
    {FROM_TARGET, "000000090300000003", "the target sent a packet of an unknown type"},
    {FROM_TARGET, "000000096500000007ffffffff", "the target answered what was not asked"},
    {FROM_TARGET, "000000096600000007ffffffff", "the target answered what was not asked"},
    {FROM_TARGET, "000000096700000007ffffffff", "the target answered what was not asked"},
    {FROM_TARGET, "000000096800000007ffffffff", "the target answered what was not asked"},
    {FROM_TARGET, "00000005c900000007", "the target answered what was not asked"},
    {FROM_TARGET, "000000056500000007", "a packet of the target is shorter than it can be"},
    {FROM_TARGET, "000000056600000007", "a packet of the target is shorter than it can be"},
    {FROM_TARGET, "0000010a6600000007", "the target's handle is too long"},
    /* 1: STAT, 2: OPEN, 3: READ of 4 bytes from "r", 4: WRITE to "w", 5: REMOVE, 6: OPENDIR wait for an answer. */
    {FROM_TARGET, "000000096500000001ffffffff", NULL},
    {FROM_TARGET, "000000096600000001000000", NULL},
    {FROM_TARGET, "00000009660000000100000000", "the target's answer is not of the kind that was asked for"},
    {FROM_TARGET, "00000009670000000100000000", "the target's answer is not of the kind that was asked for"},
    {FROM_TARGET, "000000096900000001ffffffff", NULL},
    {FROM_TARGET, "00000009660000000200000000", NULL},
    {FROM_TARGET, "00000009660000000200000001", "the target's HANDLE is malformed"},
    {FROM_TARGET, "0000000a66000000020000000000", "the target's HANDLE is malformed"},
    {FROM_TARGET, "0000000a66000000020000000172", "the target gave one handle twice"},
    {FROM_TARGET, "0000000a66000000060000000172", "the target gave one handle twice"},
    {FROM_TARGET, "00000009690000000200000000", "the target's answer is not of the kind that was asked for"},
    {FROM_TARGET, "0000000967000000030000000000", NULL},
    {FROM_TARGET, "0000000d670000000300000004aabbccdd", NULL},
    {FROM_TARGET, "0000000e670000000300000005aabbccddee", "the target's DATA is not what was asked for"},
    {FROM_TARGET, "0000000e670000000300000004aabbccddee", "the target's DATA is not what was asked for"},
    {FROM_TARGET, "0000000d670000000300000003aabbccdd", "the target's DATA is not what was asked for"},
    {FROM_TARGET, "0000000d6700000003ffffffffaabbccdd", "the target's DATA is not what was asked for"},
    {FROM_TARGET, "0000000d670000000400000004aabbccdd",
        "the target's answer is not of the kind that was asked for"},
    {FROM_TARGET, "00000009680000000500000000", "the target's answer is not of the kind that was asked for"},
    {FROM_TARGET, "00000009650000000500000000000000096500000005", NULL},
    {FROM_TARGET, "0000000965000000050000000000000009650000000500000000", "the target answered what was not asked"},
};

static size_t
unhex(const char *hex, uint8_t *to)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &to[i]), 1);
	return (len);
}

static void
hostile_open(struct bench *b)
{
	channel_open(b, BOTH);
	file_open(b, "/r", SFTP_F_READ, "r");
	file_open(b, "/w", SFTP_F_WRITE, "w");
	packet_feed(b, FROM_ENGINEER, SFTP_STAT, "us", 1U, "/1");
	packet_feed(b, FROM_ENGINEER, SFTP_OPEN, "usuu", 2U, "/2", 1U, 0U);
	packet_feed(b, FROM_ENGINEER, SFTP_READ, "usqu", 3U, "r", (uint64_t)0, 4U);
	packet_feed(b, FROM_ENGINEER, SFTP_WRITE, "usqs", 4U, "w", (uint64_t)0, "four");
	packet_feed(b, FROM_ENGINEER, SFTP_REMOVE, "us", 5U, "/5");
	packet_feed(b, FROM_ENGINEER, SFTP_OPENDIR, "us", 6U, "/6");
	assert_false(b->failed);
}

static void
hostile_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hostiles) / sizeof(hostiles[0]); i++)
		for (size_t piece = 1; piece < 50; piece += 48) {
			struct bench b;
			uint8_t raw[64];
			size_t len = unhex(hostiles[i].raw, raw);

			hostile_open(&b);
			for (size_t at = 0; at < len; at += piece)
				bench_feed(&b, hostiles[i].from, raw + at, len - at < piece ? len - at : piece);
			if (strcmp(transfer_trouble(b.transfer),
			        hostiles[i].trouble == NULL ? "" : hostiles[i].trouble) != 0)
				fail_msg("%s: %s", hostiles[i].raw, transfer_trouble(b.transfer));
			if (b.failed) { /* and stays so */
				assert_int_equal(bench_feed(&b, FROM_ENGINEER, "", 1), -1);
				assert_int_equal(bench_feed(&b, FROM_TARGET, "", 1), -1);
			}
			(void)bench_end(&b);
			bench_close(&b);
		}
}

static void
who_begins_and_how(void **state)
{
	static const struct {
		enum from from;
		int type;
		uint32_t number;
		const char *trouble;
	} rows[] = {
	    {FROM_ENGINEER, SFTP_STAT, 3, "the client does not begin with INIT"},
	    {FROM_ENGINEER, SFTP_VERSION, 3, "the client does not begin with INIT"},
	    {FROM_ENGINEER, SFTP_INIT, 0, ""},
	    {FROM_ENGINEER, SFTP_INIT, 0xffffffffU, ""},
	    {FROM_TARGET, SFTP_VERSION, 3, "the target sent a VERSION that was not asked for"},
	    {FROM_TARGET, SFTP_EXTENDED_REPLY, 3, "the target does not begin with VERSION"},
	};
	struct bench b;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bench_open(&b, TRANSFER_SFTP, BOTH, NULL);
		packet_feed(&b, rows[i].from, rows[i].type, "uu", rows[i].number, 0U);
		assert_string_equal(transfer_trouble(b.transfer), rows[i].trouble);
		bench_close(&b);
	}
	bench_open(&b, TRANSFER_SFTP, BOTH, NULL);
	packet_feed(&b, FROM_ENGINEER, SFTP_INIT, "u", 3U);
	assert_int_equal(packet_feed(&b, FROM_TARGET, SFTP_VERSION, "u", 4U), -1);
	assert_string_equal(
	    transfer_trouble(b.transfer), "the target speaks a later version of SFTP than was offered");
	bench_close(&b);
}

static void
limits_are_refused_properly(void **state)
{
	struct bench b;
	char name[8];

	(void)state;
	/* Handles: those that are open and those that were asked for. */
	channel_open(&b, BOTH);
	for (uint32_t i = 0; i < SFTP_FILES_MAX - 1; i++) {
		snprintf(name, sizeof(name), "%u", i);
		file_open(&b, name, SFTP_F_READ, name);
	}
	packet_feed(&b, FROM_ENGINEER, SFTP_OPENDIR, "us", 1U, "/d");
	packet_feed(&b, FROM_ENGINEER, SFTP_OPEN, "usuu", 2U, "/x", 1U, 0U);
	assert_int_equal(answered(&b, 2), SFTP_S_FAILURE);
	assert_non_null(strstr(bench_facts(&b), "too many open handles"));
	answer(&b, 1, SFTP_S_FAILURE);
	fifo_take(&b.to_engineer, 100);
	packet_feed(&b, FROM_ENGINEER, SFTP_OPEN, "usuu", 2U, "/x", 1U, 0U);
	assert_int_equal(answered(&b, 2), PASS);
	file_close(&b, "7");
	fifo_take(&b.to_engineer, 100);
	packet_feed(&b, FROM_ENGINEER, SFTP_OPEN, "usuu", 3U, "/x", 1U, 0U);
	assert_int_equal(answered(&b, 3), PASS);
	(void)bench_end(&b);
	bench_close(&b);

	/* Requests without an answer, and their numbers. */
	channel_open(&b, BOTH);
	for (uint32_t i = 0; i < SFTP_ASKED_MAX; i++)
		packet_feed(&b, FROM_ENGINEER, SFTP_STAT, "us", i * 7919, "/");
	packet_feed(&b, FROM_ENGINEER, SFTP_STAT, "us", 7919U, "/again");
	assert_int_equal(answered(&b, 7919), SFTP_S_FAILURE);
	assert_non_null(strstr(bench_facts(&b), "request id in use"));
	packet_feed(&b, FROM_ENGINEER, SFTP_STAT, "us", 1U, "/");
	assert_int_equal(answered(&b, 1), SFTP_S_FAILURE);
	assert_non_null(strstr(bench_facts(&b), "too many requests without an answer"));
	answer(&b, 7919, SFTP_S_OK);
	fifo_take(&b.to_engineer, 100);
	packet_feed(&b, FROM_ENGINEER, SFTP_STAT, "us", 7919U, "/");
	assert_int_equal(answered(&b, 7919), PASS);
	assert_false(b.failed);
	(void)bench_end(&b);
	bench_close(&b);
}

static void
names_are_bounded(void **state)
{
	char name[SFTP_PATH_MAX + 2];
	struct bench b;
	uint32_t i;

	(void)state;
	channel_open(&b, BOTH);
	memset(name, 'x', sizeof(name));
	name[SFTP_PATH_MAX + 1] = '\0';
	packet_feed(&b, FROM_ENGINEER, SFTP_STAT, "us", 1U, name);
	assert_int_equal(answered(&b, 1), SFTP_S_FAILURE);
	name[SFTP_PATH_MAX] = '\0';
	for (i = 0; i < SFTP_NAMES_MAX / SFTP_PATH_MAX; i++) {
		packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "us", i, name);
		assert_int_equal(answered(&b, i), PASS);
	}
	packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "us", i, "/");
	assert_int_equal(answered(&b, i), SFTP_S_FAILURE);
	assert_non_null(strstr(bench_facts(&b), "too many names under way"));
	packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "ur", i, bytes_of("\0\0\0\3a\0b", 7));
	assert_int_equal(answered(&b, i), SFTP_S_BAD_MESSAGE);
	assert_false(b.failed);
	(void)bench_end(&b);
	bench_close(&b);
}

/* However names look, a fact is one line of JSON that fits into a frame (bench.c looks at each). */
static void
names_are_shown_safely(void **state)
{
	static const struct {
		const char *name, *shown;
	} rows[] = {
	    {"/a\nb\x1b[2J\"\\", "\"path\":\"/a\\nb\\u001B[2J\\\"\\\\\","},
	    {"/M\xc3\xbcller", "\"path\":\"/M\xc3\xbcller\","},
	    {"/M\xfcller", "\"path\":\"/M\xef\xbf\xbdller\",\"path_hex\":\"2f4dfc6c6c6572\","},
	    {"/\xed\xa0\x80", "\"path\":\"/\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"path_hex\":\"2feda080\","},
	    {"", "\"path\":\"\","},
	};
	static const char worst[] = {'\1', '\xff', '\x7f', '"', '\xc3'};
	char name[SFTP_PATH_MAX + 1];
	struct bench b;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		channel_open(&b, DOWN);
		packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "us", 1U, rows[i].name);
		if (strstr(bench_facts(&b), rows[i].shown) == NULL)
			fail_msg("%s: %s", rows[i].shown, bench_facts(&b));
		bench_close(&b);
	}
	for (size_t i = 0; i < sizeof(worst); i++) {
		channel_open(&b, DOWN);
		memset(name, worst[i], sizeof(name));
		name[SFTP_PATH_MAX] = '\0';
		packet_feed(&b, FROM_ENGINEER, SFTP_RENAME, "uss", 1U, name, name);
		assert_non_null(strstr(bench_facts(&b), "\"refused\":{\"op\":\"rename\""));
		assert_false(b.failed);
		bench_close(&b);
	}
}

/* How one file's fact comes about.  Steps: w OFFSET text, r OFFSET text (asked: 100 bytes), e OFFSET (end of file), and more. */
struct move {
	char
	    what; /* w, r, e; W: a write that fails; R: a read that fails; s: set the size by handle; S: by name; c: copy */
	uint64_t offset;
	const char *text;
};

static const struct life {
	const char *name;
	uint32_t flags;
	struct move moves[6];
	const char *image; /* whose digest is told, or NULL */
	const char *why;
	int whole;
	const char *result;
} lives[] = {
    {"new", 10 | 16, {{'w', 0, "abc"}, {'w', 3, "def"}}, "abcdef", NULL, 1, "ok"},
    {"exclusive", 10 | 32, {{'w', 0, "abc"}}, "abc", NULL, 1, "ok"},
    {"new and empty", 10 | 16, {{0, 0, NULL}}, "", NULL, 1, "ok"},
    {"over another", 10, {{'w', 0, "abc"}}, "abc", NULL, 0, "ok"},
    {"over another, untouched", 10, {{0, 0, NULL}}, NULL, "nothing was carried", 0, "ok"},
    {"over another, then cut there", 10, {{'w', 0, "abc"}, {'s', 3, NULL}}, "abc", NULL, 1, "ok"},
    {"over another, emptied first", 10, {{'s', 0, NULL}, {'w', 0, "abc"}}, "abc", NULL, 1, "ok"},
    {"over another, emptied by name", 10, {{'S', 0, NULL}, {'w', 0, "abc"}}, "abc", NULL, 1, "ok"},
    {"its length first", 10 | 16, {{'s', 3, NULL}, {'w', 0, "abc"}}, "abc", NULL, 1, "ok"},
    {"its length first, not reached", 10 | 16, {{'s', 9, NULL}, {'w', 0, "abc"}}, "abc", NULL, 0, "ok"},
    {"made longer", 10 | 16, {{'w', 0, "abc"}, {'s', 9, NULL}}, "abc", NULL, 0, "ok"},
    {"cut", 10 | 16, {{'w', 0, "abc"}, {'s', 2, NULL}}, NULL, "cut shorter than what was written", 0, "ok"},
    {"cut by name", 10 | 16, {{'w', 0, "abc"}, {'S', 2, NULL}}, NULL, "cut shorter than what was written", 0, "ok"},
    {"out of order", 10 | 16, {{'w', 3, "def"}, {'w', 0, "abc"}}, "abcdef", NULL, 1, "ok"},
    {"rewritten", 10 | 16, {{'w', 0, "abc"}, {'w', 0, "abc"}}, NULL, "a byte came twice", 0, "ok"},
    {"a hole", 10 | 16, {{'w', 0, "abc"}, {'w', 4, "e"}}, NULL, "bytes are missing behind byte 3", 0, "ok"},
    {"a tail", 10, {{'w', 1000, "abc"}}, NULL, "only bytes 1000-1002", 0, "ok"},
    {"appended", 10 | 4, {{'w', 0, "abc"}}, NULL, "appended to what was there", 0, "ok"},
    {"a write failed", 10 | 16, {{'w', 0, "abc"}, {'W', 3, "d"}}, NULL, "a write failed", 0, "failed: failure"},
    {"copied into", 10 | 16, {{'w', 0, "abc"}, {'c', 3, "d"}}, NULL, "filled by a copy on the target", 0, "ok"},

    {"read", 1, {{'r', 0, "abc"}, {'e', 3, NULL}}, "abc", NULL, 1, "ok"},
    {"read in pieces", 1, {{'r', 0, "abc"}, {'r', 3, "d"}, {'e', 104, NULL}, {'e', 4, NULL}}, "abcd", NULL, 1,
        "ok"},
    {"read, empty", 1, {{'e', 0, NULL}}, "", NULL, 1, "ok"},
    {"not read", 1, {{0, 0, NULL}}, NULL, "nothing was carried", 0, "ok"},
    {"read, its end unknown", 1, {{'r', 0, "abc"}}, "abc", NULL, 0, "ok"},
    {"read, its end further on", 1, {{'r', 0, "abc"}, {'e', 100, NULL}}, "abc", NULL, 0, "ok"},
    {"read out of order", 1, {{'r', 3, "def"}, {'r', 0, "abc"}, {'e', 6, NULL}}, "abcdef", NULL, 1, "ok"},
    {"read again", 1, {{'r', 0, "abc"}, {'r', 2, "c"}}, NULL, "a byte came twice", 0, "ok"},
    {"read the tail", 1, {{'r', 7, "abc"}, {'e', 10, NULL}}, NULL, "only bytes 7-9", 0, "ok"},
    {"a read failed", 1, {{'r', 0, "abc"}, {'R', 3, NULL}}, "abc", NULL, 0, "failed: failure"},

    {"read and written", 3, {{'r', 0, "abc"}, {'w', 3, "d"}}, NULL, "both read and written", 0, "ok"},
    {"written and read", 3 | 16, {{'w', 0, "abc"}, {'r', 3, "d"}}, NULL, "both read and written", 0, "ok"},
    {"could be read, was written", 3 | 16, {{'w', 0, "abc"}}, "abc", NULL, 1, "ok"},
    {"could be written, was read", 3, {{'r', 0, "abc"}, {'e', 3, NULL}}, "abc", NULL, 1, "ok"},
};

static void
move_make(struct bench *b, const struct move *m)
{
	switch (m->what) {
	case 'w':
		file_write(b, "h", m->offset, m->text);
		break;
	case 'W':
		packet_feed(b, FROM_ENGINEER, SFTP_WRITE, "usqs", 92U, "h", m->offset, m->text);
		answer(b, 92, SFTP_S_FAILURE);
		break;
	case 'r':
	case 'e':
		file_read(b, "h", m->offset, 100, m->text);
		break;
	case 'R':
		packet_feed(b, FROM_ENGINEER, SFTP_READ, "usqu", 93U, "h", m->offset, 100U);
		answer(b, 93, SFTP_S_FAILURE);
		break;
	case 's':
		packet_feed(b, FROM_ENGINEER, SFTP_FSETSTAT, "usuq", 94U, "h", (uint32_t)SFTP_A_SIZE, m->offset);
		answer(b, 94, SFTP_S_OK);
		break;
	case 'S':
		packet_feed(b, FROM_ENGINEER, SFTP_SETSTAT, "usuq", 94U, "/f", (uint32_t)SFTP_A_SIZE, m->offset);
		answer(b, 94, SFTP_S_OK);
		break;
	case 'c':
		packet_feed(b, FROM_ENGINEER, SFTP_EXTENDED, "ussqqsq", 95U, "copy-data", "from", (uint64_t)0,
		    (uint64_t)1, "h", m->offset);
		answer(b, 95, SFTP_S_OK);
		break;
	default:
		break;
	}
}

static void
files_are_told_as_they_were(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		char sha256[65], want[256], result[64];
		const char *fact;
		struct bench b;

		channel_open(&b, BOTH);
		file_open(&b, "/from", SFTP_F_READ, "from");
		file_open(&b, "/f", lives[i].flags, "h");
		for (size_t n = 0; n < 6; n++)
			move_make(&b, &lives[i].moves[n]);
		file_close(&b, "h");
		assert_false(b.failed);
		if (lives[i].image != NULL) {
			sha256_of(lives[i].image, strlen(lives[i].image), sha256);
			snprintf(want, sizeof(want), "\"whole\":%s,\"sha256\":\"%s\",\"from_ms\"",
			    lives[i].whole ? "true" : "false", sha256);
		} else {
			snprintf(want, sizeof(want), "\"whole\":false,\"sha256\":null,\"why\":\"%s\",\"from_ms\"",
			    lives[i].why);
		}
		snprintf(result, sizeof(result), "\"result\":\"%s\"}}\n", lives[i].result);
		fact = strstr(bench_facts(&b), "{\"file\":{");
		if (fact == NULL || strstr(fact, want) == NULL || strstr(fact, result) == NULL)
			fail_msg("%s: wanted %s %s, got %s", lives[i].name, want, result, fact);
		(void)bench_end(&b);
		bench_close(&b);
	}
}

/* What is set is told with its values; a success where there can be none is not taken for one. */
static void
attributes_and_odd_statuses(void **state)
{
	struct bench b;

	(void)state;
	channel_open(&b, BOTH);
	packet_feed(&b, FROM_ENGINEER, SFTP_SETSTAT, "usuquuuuuuss", 1U, "/f", 0x8000000fU, (uint64_t)7, 1000U,
	    100U, 0104755U, 5U, 6U, 1U, "name", "value");
	answer(&b, 1, SFTP_S_OK);
	assert_string_equal(bench_facts(&b),
	    "{\"operation\":{\"op\":\"setstat\",\"path\":\"/f\",\"size\":7,\"uid\":1000,\"gid\":100,"
	    "\"mode\":\"4755\",\"mtime\":6,\"ms\":1000,\"result\":\"ok\"}}\n");
	wire_clear(&b.facts);
	file_open(&b, "/r", 1, "r");
	packet_feed(&b, FROM_ENGINEER, SFTP_READ, "usqu", 1U, "r", (uint64_t)0, 10U);
	answer(&b, 1, SFTP_S_OK);
	file_close(&b, "r");
	assert_non_null(strstr(bench_facts(&b), "\"result\":\"failed: ok is no answer to this\"}}\n"));
	wire_clear(&b.facts);
	packet_feed(&b, FROM_ENGINEER, SFTP_OPEN, "usuu", 1U, "/o", 1U, 0U);
	answer(&b, 1, SFTP_S_OK);
	assert_non_null(strstr(bench_facts(&b), "\"why\":\"not opened\""));
	assert_non_null(strstr(bench_facts(&b), "\"result\":\"failed: ok is no answer to this\"}}\n"));
	wire_clear(&b.facts);
	file_open(&b, "/w", 26, "w");
	packet_feed(&b, FROM_ENGINEER, SFTP_CLOSE, "us", 1U, "w");
	answer(&b, 1, 77);
	assert_non_null(strstr(bench_facts(&b), "\"result\":\"failed: status 77\"}}\n"));
	packet_feed(&b, FROM_ENGINEER, SFTP_OPENDIR, "us", 1U, "/d");
	assert_int_equal(packet_feed(&b, FROM_TARGET, SFTP_HANDLE, "us", 1U, "d"), 0);
	packet_feed(&b, FROM_ENGINEER, SFTP_FSETSTAT, "usuq", 1U, "d", (uint32_t)SFTP_A_SIZE, (uint64_t)0);
	answer(&b, 1, SFTP_S_FAILURE);
	assert_non_null(
	    strstr(bench_facts(&b), "\"path\":\"/d\",\"size\":0,\"ms\":1000,\"result\":\"failed: failure\""));
	assert_false(b.failed);
	bench_close(&b);
}

/* The target may answer in any order, also CLOSE before what came before it; the fact waits for all. */
static void
answers_in_any_order(void **state)
{
	struct bench b;

	(void)state;
	channel_open(&b, BOTH);
	file_open(&b, "/f", 26, "h");
	packet_feed(&b, FROM_ENGINEER, SFTP_WRITE, "usqs", 1U, "h", (uint64_t)0, "abc");
	packet_feed(&b, FROM_ENGINEER, SFTP_WRITE, "usqs", 2U, "h", (uint64_t)3, "def");
	packet_feed(&b, FROM_ENGINEER, SFTP_CLOSE, "us", 3U, "h");
	/* The handle is gone for the engineer. */
	packet_feed(&b, FROM_ENGINEER, SFTP_WRITE, "usqs", 4U, "h", (uint64_t)6, "ghi");
	assert_int_equal(answered(&b, 4), DENY);
	answer(&b, 3, SFTP_S_OK);
	assert_null(strstr(bench_facts(&b), "{\"file\""));
	/* And may be given anew. */
	packet_feed(&b, FROM_ENGINEER, SFTP_OPEN, "usuu", 5U, "/g", 1U, 0U);
	assert_int_equal(packet_feed(&b, FROM_TARGET, SFTP_HANDLE, "us", 5U, "h"), 0);
	answer(&b, 2, SFTP_S_OK);
	assert_null(strstr(bench_facts(&b), "{\"file\""));
	answer(&b, 1, SFTP_S_OK);
	assert_non_null(strstr(bench_facts(&b), "{\"file\":{\"op\":\"upload\",\"path\":\"/f\""));
	assert_non_null(strstr(bench_facts(&b), "\"bytes\":6,\"size\":6,\"whole\":true"));
	file_close(&b, "h");
	assert_non_null(strstr(bench_facts(&b), "\"path\":\"/g\""));
	assert_false(b.failed);
	bench_close(&b);
}

static void
ends_are_entered(void **state)
{
	struct wire w = {0};
	const char *facts;
	struct bench b;

	(void)state;
	channel_open(&b, BOTH);
	file_open(&b, "/up", 26, "w");
	file_open(&b, "/down", 1, "r");
	file_write(&b, "w", 0, "abc");
	file_read(&b, "r", 0, 10, "0123456789");
	packet_feed(&b, FROM_ENGINEER, SFTP_READ, "usqu", 1U, "r", (uint64_t)10, 10U);
	packet_put(&w, SFTP_DATA, "us", 1U, "0123456789");
	bench_feed(&b, FROM_TARGET, w.at, w.len - 4);
	packet_feed(&b, FROM_ENGINEER, SFTP_OPEN, "usuu", 2U, "/asked", 26U, 0U);
	packet_feed(&b, FROM_ENGINEER, SFTP_MKDIR, "usu", 3U, "/dir", 0U);
	packet_feed(&b, FROM_ENGINEER, SFTP_CLOSE, "us", 4U, "w");
	facts = bench_end(&b);
	assert_string_equal(facts,
	    "{\"file\":{\"op\":\"upload\",\"path\":\"/"
	    "asked\",\"flags\":[\"write\",\"creat\",\"trunc\"],\"bytes\":0,"
	    "\"size\":0,\"whole\":false,\"sha256\":null,\"why\":\"not opened\",\"from_ms\":1000,\"to_ms\":1000,"
	    "\"result\":\"unfinished\"}}\n"
	    "{\"operation\":{\"op\":\"mkdir\",\"path\":\"/dir\",\"ms\":1000,\"result\":\"unfinished\"}}\n"
	    "{\"file\":{\"op\":\"upload\",\"path\":\"/up\",\"flags\":[\"write\",\"creat\",\"trunc\"],\"bytes\":3,"
	    "\"size\":3,\"whole\":false,\"sha256\":null,\"why\":\"not closed\",\"from_ms\":1000,\"to_ms\":1000,"
	    "\"result\":\"unfinished\"}}\n"
	    "{\"file\":{\"op\":\"download\",\"path\":\"/down\",\"flags\":[\"read\"],\"bytes\":16,\"size\":20,"
	    "\"whole\":false,\"sha256\":null,\"why\":\"bytes are missing behind byte "
	    "16\",\"from_ms\":1000,\"to_ms\":1000,"
	    "\"result\":\"unfinished\"}}\n");
	assert_int_equal(transfer_counts(b.transfer)->files_up, 1);
	assert_int_equal(transfer_counts(b.transfer)->files_down, 1);
	assert_int_equal(transfer_counts(b.transfer)->bytes_up, 3);
	assert_int_equal(transfer_counts(b.transfer)->bytes_down, 16);
	assert_int_equal(transfer_from_target(b.transfer, wire_bytes(&w), 0, &b.to_engineer), -1);
	bench_close(&b);
	wire_free(&w);
}

/* Much that is unfinished is told up to a bound, and then counted. */
static void
ends_are_bounded(void **state)
{
	const uint32_t opened = 100;
	struct bench b;
	unsigned lines = 0, count = 0;
	const char *at, *facts;

	(void)state;
	channel_open(&b, BOTH);
	for (uint32_t i = 0; i < opened; i++) {
		char handle[8];

		snprintf(handle, sizeof(handle), "%u", i);
		file_open(&b, "/a/file/with/a/name", 26, handle);
	}
	for (uint32_t i = 0; i < 3000; i++)
		packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "us", i, "/x");
	assert_string_equal(bench_facts(&b), "");
	facts = bench_end(&b);
	assert_in_range(strlen(facts), TRANSFER_END_MAX / 2, TRANSFER_END_MAX + 4096);
	for (at = facts; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	at = strstr(facts, "{\"operation\":{\"op\":\"more\",\"count\":");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "{\"operation\":{\"op\":\"more\",\"count\":%u,", &count), 1);
	assert_int_equal(lines - 1 + count, opened + 3000);
	bench_close(&b);
}

/* The longest packets there may be pass, and are not kept. */
static void
long_packets_stream(void **state)
{
	static uint8_t long_name[SFTP_PACKET_MAX];
	struct wire w = {0};
	struct bench b;

	(void)state;
	channel_open(&b, BOTH);
	packet_feed(&b, FROM_ENGINEER, SFTP_OPENDIR, "us", 1U, "/d");
	packet_feed(&b, FROM_TARGET, SFTP_HANDLE, "us", 1U, "d");
	packet_feed(&b, FROM_ENGINEER, SFTP_READDIR, "us", 2U, "d");
	fifo_take(&b.to_engineer, 100);
	packet_put(&w, SFTP_NAME, "ur", 2U, bytes_of(long_name, SFTP_PACKET_MAX - 5));
	bench_feed(&b, FROM_TARGET, w.at, w.len);
	bytes_must_equal(fifo_bytes(&b.to_engineer), wire_bytes(&w));
	fifo_take(&b.to_engineer, w.len);
	wire_clear(&w);
	fifo_take(&b.to_target, 1000);

	file_open(&b, "/w", 26, "w");
	wire_put_u32(&w, SFTP_PACKET_MAX);
	wire_put_u8(&w, SFTP_WRITE);
	wire_put_u32(&w, 3);
	wire_put_bytes(&w, bytes_text("w"));
	wire_put_u64(&w, 0);
	wire_put_bytes(&w, bytes_of(long_name, SFTP_PACKET_MAX - 22));
	bench_feed(&b, FROM_ENGINEER, w.at, w.len);
	bytes_must_equal(fifo_bytes(&b.to_target), wire_bytes(&w));
	assert_false(b.failed);
	bench_close(&b);
	wire_free(&w);
}

/* Refusals while the target stands inside a packet are bounded. */
static void
refusals_are_bounded(void **state)
{
	struct bench b;
	unsigned n = 0;

	(void)state;
	channel_open(&b, DOWN);
	bench_feed(&b, FROM_TARGET, "\0\0", 2);
	while (n < 100000 && packet_feed(&b, FROM_ENGINEER, SFTP_REMOVE, "us", 1U, "/") == 0)
		n++;
	assert_in_range(n, 1000, 10000);
	assert_string_equal(
	    transfer_trouble(b.transfer), "too much was refused while the target stood inside a packet");
	assert_int_equal(fifo_bytes(&b.to_engineer).len, 0);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_rule_under_every_grant),
	    cmocka_unit_test(a_visit_cut_at_every_byte),
	    cmocka_unit_test(answers_wait_for_their_place),
	    cmocka_unit_test(early_clients_get_no_words),
	    cmocka_unit_test(hostile_bytes),
	    cmocka_unit_test(who_begins_and_how),
	    cmocka_unit_test(limits_are_refused_properly),
	    cmocka_unit_test(names_are_bounded),
	    cmocka_unit_test(names_are_shown_safely),
	    cmocka_unit_test(files_are_told_as_they_were),
	    cmocka_unit_test(attributes_and_odd_statuses),
	    cmocka_unit_test(answers_in_any_order),
	    cmocka_unit_test(ends_are_entered),
	    cmocka_unit_test(ends_are_bounded),
	    cmocka_unit_test(long_packets_stream),
	    cmocka_unit_test(refusals_are_bounded),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
