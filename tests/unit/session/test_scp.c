/* scp's own protocol, read along: both directions, directories, errors, peers that send ahead, and what is no scp. */
#include <inttypes.h>

#include "bench.h"
#include "scp.h"

#define SHA_HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" /* "hello" */
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* A word from each side in turn: 's' the source, 'k' the sink.  Text with its length, for there are NULs in it. */
struct word {
	char who;
	const char *text;
	size_t len;
};
#define S(text)                             \
	{                                   \
		's', text, sizeof(text) - 1 \
	}
#define K(text)                             \
	{                                   \
		'k', text, sizeof(text) - 1 \
	}

#define WORDS_MAX 24
#define UNREADABLE(ms) "{\"operation\":{\"op\":\"scp\",\"ms\":" #ms ",\"result\":\"unreadable\"}}\n"

static const struct talk {
	const char *name;
	enum transfer_kind kind;
	const char *command;
	struct word words[WORDS_MAX];
	const char *facts;
} talks[] = {
    {"one file up", TRANSFER_SCP_UP, "scp -t /tmp/x",
        {K("\0"), S("C0644 5 f\n"), K("\0"), S("hello"), S("\0"), K("\0")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"/tmp/x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":2000,\"to_ms\":6000,\"result\":\"ok\"}}\n"},
    {"an empty file", TRANSFER_SCP_UP, "scp -t /tmp/", {K("\0"), S("C0600 0 f\n"), K("\0"), S("\0"), K("\0")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"/tmp/f\",\"name\":\"f\",\"mode\":\"0600\",\"bytes\":0,\"size\":0,"
        "\"whole\":true,\"sha256\":\"" SHA_EMPTY "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},
    {"directories and times", TRANSFER_SCP_UP, "scp -r -p -d -t /srv",
        {K("\0"), S("T1 0 1 0\n"), K("\0"), S("D0755 0 a\n"), K("\0"), S("D0700 0 b\n"), K("\0"), S("C0644 5 f\n"),
            K("\0"), S("hello\0"), K("\0"), S("E\n"), K("\0"), S("C0644 5 g g\n"), K("\0"), S("hello\0"), K("\0"),
            S("E\n"), K("\0")},
        "{\"operation\":{\"op\":\"directory\",\"path\":\"/srv/a\",\"name\":\"a\",\"ms\":5000,\"result\":\"ok\"}}\n"
        "{\"operation\":{\"op\":\"directory\",\"path\":\"/srv/a/b\",\"name\":\"a/"
        "b\",\"ms\":7000,\"result\":\"ok\"}}\n"
        "{\"file\":{\"op\":\"upload\",\"path\":\"/srv/a/b/f\",\"name\":\"a/b/"
        "f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":8000,\"to_ms\":11000,\"result\":\"ok\"}}\n"
        "{\"file\":{\"op\":\"upload\",\"path\":\"/srv/a/g g\",\"name\":\"a/g "
        "g\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":14000,\"to_ms\":17000,\"result\":\"ok\"}}\n"},
    {"the target refuses a file, and takes the next", TRANSFER_SCP_UP, "scp -d -t /srv",
        {K("\0"), S("C0644 5 f\n"), K("\1scp: /srv/f: Permission denied\n"), S("C0644 5 g\n"), K("\0"),
            S("hello\0"), K("\0")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"/srv/f\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":0,\"size\":0,"
        "\"whole\":false,\"sha256\":null,\"why\":\"not accepted\",\"from_ms\":2000,\"to_ms\":3000,"
        "\"result\":\"failed: scp: /srv/f: Permission denied\"}}\n"
        "{\"file\":{\"op\":\"upload\",\"path\":\"/srv/g\",\"name\":\"g\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":4000,\"to_ms\":7000,\"result\":\"ok\"}}\n"},
    {"the disk was full", TRANSFER_SCP_UP, "scp -t f",
        {K("\0"), S("C0644 5 f\n"), K("\0"), S("hello\0"), K("\1scp: f: No space left\n")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"f\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":false,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":2000,\"to_ms\":5000,"
        "\"result\":\"failed: scp: f: No space left\"}}\n"},
    {"the source could not read on", TRANSFER_SCP_DOWN, "scp -f /a/f",
        {K("\0"), S("C0644 5 f\n"), K("\0"), S("hello\1scp: f: Input/output error\n"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"/a/f\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":false,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":2000,\"to_ms\":5000,"
        "\"result\":\"failed: scp: f: Input/output error\"}}\n"},
    {"one file down", TRANSFER_SCP_DOWN, "scp -f /a/f", {K("\0"), S("C0644 5 f\n"), K("\0"), S("hello\0"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"/a/f\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},
    {"a directory down", TRANSFER_SCP_DOWN, "scp -r -f /a/d/",
        {K("\0"), S("D0755 0 d\n"), K("\0"), S("C0644 5 f\n"), K("\0"), S("hello\0"), K("\0"), S("E\n"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"/a/d/f\",\"name\":\"d/"
        "f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":4000,\"to_ms\":7000,\"result\":\"ok\"}}\n"},
    {"a pattern down", TRANSFER_SCP_DOWN, "scp -f /var/log/*.log",
        {K("\0"), S("C0644 5 a.log\n"), K("\0"), S("hello\0"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"/var/log/"
        "a.log\",\"name\":\"a.log\",\"mode\":\"0644\",\"bytes\":5,"
        "\"size\":5,\"whole\":true,\"sha256\":\"" SHA_HELLO
        "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},
    {"a pattern in the directories", TRANSFER_SCP_DOWN, "scp -f /var/*/a",
        {K("\0"), S("C0644 0 a\n"), K("\0"), S("\0"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"/var/*/a\",\"name\":\"a\",\"mode\":\"0644\",\"bytes\":0,"
        "\"size\":0,\"whole\":true,\"sha256\":\"" SHA_EMPTY
        "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},
    {"several down", TRANSFER_SCP_DOWN, "scp -f /a /b", {K("\0"), S("C0644 0 a\n"), K("\0"), S("\0"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"/a /b\",\"name\":\"a\",\"mode\":\"0644\",\"bytes\":0,"
        "\"size\":0,\"whole\":true,\"sha256\":\"" SHA_EMPTY
        "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},
    {"another name than was asked for", TRANSFER_SCP_DOWN, "scp -f /a/f",
        {K("\0"), S("C0644 0 fg\n"), K("\0"), S("\0"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"/a/f\",\"name\":\"fg\",\"mode\":\"0644\",\"bytes\":0,"
        "\"size\":0,\"whole\":true,\"sha256\":\"" SHA_EMPTY
        "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},
    {"no such file", TRANSFER_SCP_DOWN, "scp -f /none", {K("\0"), S("\1scp: /none: No such file or directory\n")},
        "{\"operation\":{\"op\":\"download\",\"path\":\"/none\",\"ms\":2000,"
        "\"result\":\"failed: scp: /none: No such file or directory\"}}\n"},
    {"not a directory", TRANSFER_SCP_UP, "scp -d -t /tmp/x", {K("\1scp: /tmp/x: Not a directory\n")},
        "{\"operation\":{\"op\":\"upload\",\"path\":\"/tmp/x\",\"ms\":1000,"
        "\"result\":\"failed: scp: /tmp/x: Not a directory\"}}\n"},
    {"a directory that cannot be made", TRANSFER_SCP_UP, "scp -r -d -t /srv",
        {K("\0"), S("D0755 0 a\n"), K("\1scp: no\n"), S("D0755 0 b\n"), K("\0"), S("E\n"), K("\0")},
        "{\"operation\":{\"op\":\"directory\",\"path\":\"/srv/a\",\"name\":\"a\",\"ms\":3000,"
        "\"result\":\"failed: scp: no\"}}\n"
        "{\"operation\":{\"op\":\"directory\",\"path\":\"/srv/"
        "b\",\"name\":\"b\",\"ms\":5000,\"result\":\"ok\"}}\n"},
    {"the target gives up", TRANSFER_SCP_UP, "scp -t x",
        {K("\0"), S("C0644 5 f\n"), K("\2scp: protocol error\n"), S("anything")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":0,\"size\":0,"
        "\"whole\":false,\"sha256\":null,\"why\":\"not accepted\",\"from_ms\":2000,\"to_ms\":3000,"
        "\"result\":\"failed: scp: protocol error\"}}\n"},
    {"the line is cut off in a file", TRANSFER_SCP_UP, "scp -t x",
        {K("\0"), S("C0644 500 f\n"), K("\0"), S("hello")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":false,\"sha256\":null,\"why\":\"not complete\",\"from_ms\":2000,\"to_ms\":4000,"
        "\"result\":\"unfinished\"}}\n"},
    {"the target dies in a file", TRANSFER_SCP_UP, "scp -t x",
        {K("\0"), S("C0644 500 f\n"), K("\0"), S("hello"), K("\1scp: dropped connection\n")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":false,\"sha256\":null,\"why\":\"not complete\",\"from_ms\":2000,\"to_ms\":5000,"
        "\"result\":\"failed: scp: dropped connection\"}}\n"},
    {"nobody answered", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 5 f\n")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":0,\"size\":0,"
        "\"whole\":false,\"sha256\":null,\"why\":\"not accepted\",\"from_ms\":2000,\"to_ms\":2000,"
        "\"result\":\"unfinished\"}}\n"},

    {"times that are not taken", TRANSFER_SCP_UP, "scp -p -t x",
        {K("\0"), S("T1 0 1 0\n"), K("\1scp: no times\n"), S("C0644 0 f\n"), K("\0"), S("\0"), K("\0")},
        "{\"operation\":{\"op\":\"upload\",\"path\":\"x\",\"ms\":3000,\"result\":\"failed: scp: no times\"}}\n"
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":0,\"size\":0,"
        "\"whole\":true,\"sha256\":\"" SHA_EMPTY "\",\"from_ms\":4000,\"to_ms\":7000,\"result\":\"ok\"}}\n"},
    {"an end that is not taken", TRANSFER_SCP_DOWN, "scp -r -f x",
        {K("\0"), S("D0755 0 x\n"), K("\0"), S("E\n"), K("\1no\n"), S("C0644 0 x\n"), K("\0"), S("\0"), K("\0")},
        "{\"operation\":{\"op\":\"download\",\"path\":\"x\",\"ms\":5000,\"result\":\"failed: no\"}}\n"
        "{\"file\":{\"op\":\"download\",\"path\":\"x\",\"name\":\"x\",\"mode\":\"0644\",\"bytes\":0,\"size\":0,"
        "\"whole\":true,\"sha256\":\"" SHA_EMPTY "\",\"from_ms\":6000,\"to_ms\":9000,\"result\":\"ok\"}}\n"},
    {"the source gives up", TRANSFER_SCP_DOWN, "scp -f *.log", {K("\0"), S("\2scp: fatal\x1b\n"), S("anything\n")},
        "{\"operation\":{\"op\":\"download\",\"path\":\"\",\"ms\":2000,\"result\":\"failed: scp: fatal \"}}\n"},
    {"a pattern at home", TRANSFER_SCP_DOWN, "scp -f *.log",
        {K("\0"), S("C0644 0 a.log\n"), K("\0"), S("\0"), K("\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"a.log\",\"name\":\"a.log\",\"mode\":\"0644\",\"bytes\":0,"
        "\"size\":0,\"whole\":true,\"sha256\":\"" SHA_EMPTY
        "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},
    {"no status behind a file", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 5 f\n"), K("\0"), S("hello!")},
        UNREADABLE(4000) "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,"
                         "\"size\":5,"
                         "\"whole\":false,\"sha256\":null,\"why\":\"not complete\",\"from_ms\":2000,\"to_ms\":4000,"
                         "\"result\":\"unfinished\"}}\n"},
    {"a command that is no scp", TRANSFER_SCP_UP, "sudo scp -t x",
        {K("\0"), S("C0644 0 f\n"), K("\0"), S("\0"), K("\0")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"f\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":0,\"size\":0,"
        "\"whole\":true,\"sha256\":\"" SHA_EMPTY "\",\"from_ms\":2000,\"to_ms\":5000,\"result\":\"ok\"}}\n"},

    /* Whoever does not wait is read as the other side reads it. */
    {"all at once, up", TRANSFER_SCP_UP, "scp -t x",
        {S("C0644 5 f\nhello\0C0644 5 g\nhello\0"), K("\0"), K("\0\0"), K("\1no\n"), K("\0")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":2000,\"to_ms\":3000,\"result\":\"ok\"}}\n"
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"g\",\"mode\":\"0644\",\"bytes\":0,\"size\":0,"
        "\"whole\":false,\"sha256\":null,\"why\":\"not accepted\",\"from_ms\":3000,\"to_ms\":4000,"
        "\"result\":\"failed: no\"}}\n" UNREADABLE(5000)},
    {"acknowledged ahead, down", TRANSFER_SCP_DOWN, "scp -f f", {K("\0\0\0\0\0\0"), S("C0644 5 f\nhello\0")},
        "{\"file\":{\"op\":\"download\",\"path\":\"f\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":5,\"size\":5,"
        "\"whole\":true,\"sha256\":\"" SHA_HELLO "\",\"from_ms\":2000,\"to_ms\":2000,\"result\":\"ok\"}}\n"},
    {"a file that looks like lines", TRANSFER_SCP_UP, "scp -t x",
        {K("\0"), S("C0644 22 f\n"), K("\0"), S("C0644 5 g\nhello\0E\nD07\0"), K("\0")},
        "{\"file\":{\"op\":\"upload\",\"path\":\"x\",\"name\":\"f\",\"mode\":\"0644\",\"bytes\":22,\"size\":22,"
        "\"whole\":false,\"sha256\":null,\"why\":\"not complete\",\"from_ms\":2000,\"to_ms\":5000,"
        "\"result\":\"unfinished\"}}\n"},

    {"words of a shell", TRANSFER_SCP_UP, "scp -t x", {K("Welcome!\n"), S("C0644 5 f\n")}, UNREADABLE(1000)},
    {"no record", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("hello\n")}, UNREADABLE(2000)},
    {"an empty line", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("\n")}, UNREADABLE(2000)},
    {"a NUL", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("\0\n")}, UNREADABLE(2000)},
    {"a NUL in a name", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 5 a\0b\n")}, UNREADABLE(2000)},
    {"E outside a directory", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("E\n")}, UNREADABLE(2000)},
    {"mode", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0844 5 f\n")}, UNREADABLE(2000)},
    {"a long mode", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C00644 5 f\n")}, UNREADABLE(2000)},
    {"no size", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 f f\n")}, UNREADABLE(2000)},
    {"a size below nothing", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 -1 f\n")}, UNREADABLE(2000)},
    {"a size beyond any", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 18446744073709551616 f\n")},
        UNREADABLE(2000)},
    {"no name", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 5 \n")}, UNREADABLE(2000)},
    {"no name, no blank", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 5\n")}, UNREADABLE(2000)},
    {"a line that never ends", TRANSFER_SCP_UP, "scp -t x", {K("\0"), S("C0644 5")}, UNREADABLE(2000)},
    {"nothing", TRANSFER_SCP_UP, "scp -t x", {{0, NULL, 0}}, ""},
    {"nothing but readiness", TRANSFER_SCP_UP, "scp -t x", {K("\0")}, ""},
};

static void
talks_and_their_facts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		const struct talk *t = &talks[i];
		struct wire want[2] = {0}, got[2] = {0};
		struct step steps[WORDS_MAX];
		size_t count = 0;
		char *facts;

		for (; count < WORDS_MAX && t->words[count].who != 0; count++) {
			int up = (t->words[count].who == 's') == (t->kind == TRANSFER_SCP_UP);

			steps[count].from = up ? FROM_ENGINEER : FROM_TARGET;
			steps[count].bytes = bytes_of(t->words[count].text, t->words[count].len);
			wire_put_raw(&want[up], t->words[count].text, t->words[count].len);
		}
		facts = bench_run_every_way(steps, count, t->kind, 0, t->command, &got[1], &got[0]);
		if (strcmp(facts, t->facts) != 0)
			fail_msg("%s: %s", t->name, facts);
		for (int up = 0; up < 2; up++) {
			bytes_must_equal(wire_bytes(&got[up]), wire_bytes(&want[up]));
			wire_free(&got[up]);
			wire_free(&want[up]);
		}
		free(facts);
	}
}

/* The sink reads 2047 bytes of a line and takes the rest for what follows: that is not followed here, and said. */
static void
long_lines_are_not_read(void **state)
{
	char line[SCP_LINE_MAX + 2];

	(void)state;
	for (size_t len = SCP_LINE_MAX - 1; len <= SCP_LINE_MAX; len++) {
		struct bench b;

		memset(line, 'x', sizeof(line));
		memcpy(line, "C0644 5 ", 8);
		line[len] = '\n';
		bench_open(&b, TRANSFER_SCP_UP, 0, "scp -t x");
		bench_feed(&b, FROM_TARGET, "", 1);
		bench_feed(&b, FROM_ENGINEER, line, len + 1);
		if (len < SCP_LINE_MAX)
			assert_string_equal(bench_facts(&b), "");
		else
			assert_string_equal(bench_facts(&b), UNREADABLE(1000));
		bench_close(&b);
	}
}

/* What is sent ahead is bounded, and so is how deep directories go. */
static void
bounds_hold(void **state)
{
	static const uint8_t piece[65536];
	struct bench b;
	size_t sent = 0;

	(void)state;
	bench_open(&b, TRANSFER_SCP_UP, 0, "scp -t x");
	while (sent <= SCP_AHEAD_MAX && bench_facts(&b)[0] == '\0') {
		bench_feed(&b, FROM_ENGINEER, piece, sizeof(piece));
		sent += sizeof(piece);
		fifo_take(&b.to_target, sizeof(piece));
	}
	assert_in_range(sent, SCP_AHEAD_MAX, SCP_AHEAD_MAX + sizeof(piece));
	assert_string_equal(bench_facts(&b), UNREADABLE(1000));
	assert_false(b.failed);
	bench_close(&b);

	bench_open(&b, TRANSFER_SCP_DOWN, 0, "scp -f x");
	bench_feed(&b, FROM_ENGINEER, piece, 1);
	sent = 0;
	while (bench_facts(&b)[0] == '\0' && sent < 5000) {
		bench_feed(&b, FROM_TARGET, "D0755 0 d\n", 10);
		bench_feed(&b, FROM_ENGINEER, piece, 1);
		sent++;
	}
	assert_in_range(sent, 1000, 1100);
	assert_string_equal(bench_facts(&b), UNREADABLE(1000));
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(talks_and_their_facts),
	    cmocka_unit_test(long_lines_are_not_read),
	    cmocka_unit_test(bounds_hold),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
