/* Each frame leaves one known text; markers are fit for any terminal; bytes that are no text cost little where there is
 * no terminal, and are shown wherever there may be one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"

#define FACT(ev, more) "#E {\"ev\":\"" ev "\",\"channel\":1,\"boot_ms\":50000000" more "}\n"
#define MARKER(text) "[0.000,\"m\",\"" text "\"]\n"
#define P(text) text, sizeof(text) - 1
#define BAD "\xef\xbf\xbd"

static struct frames r;

static int
setup(void **state)
{
	(void)state;
	frames_begin(&r);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	frames_end(&r);
	return (0);
}

/* What one frame adds to a segment that is open. */
static const char *
added(enum frame_type type, const void *bytes, size_t size)
{
	size_t before;

	if (r.cast == NULL)
		frame_text(&r, FRAME_EOF_OUT, "");
	before = r.plain.size;
	frame_bytes(&r, type, bytes, size);
	return (frames_text(&r) + before);
}

static void
each_frame_leaves_its_text(void **state)
{
	static const struct {
		enum frame_type type;
		const char *payload;
		size_t size;
		const char *text;
	} all[] = {
	    {FRAME_EXEC, P("ls -l"),
	        FACT("exec", ",\"command\":\"ls -l\",\"b64\":\"bHMgLWw=\"") MARKER("exec: ls -l")},
	    {FRAME_EXEC, P("a\x1b]0;x\x07\xff\0b\n"),
	        FACT("exec", ",\"command\":\"a\\u001b]0;x\\u0007" BAD "\\u0000b\\n\",\"b64\":\"YRtdMDt4B/8AYgo=\"")
	            MARKER("exec: a" BAD "]0;x" BAD BAD BAD "b")},
	    {FRAME_SUBSYSTEM, P("sftp"),
	        FACT("subsystem", ",\"name\":\"sftp\",\"b64\":\"c2Z0cA==\"") MARKER("subsystem: sftp")},
	    {FRAME_FORWARD, P("cmp:443 ::1"),
	        FACT("forward", ",\"connection\":\"cmp:443 ::1\",\"b64\":\"Y21wOjQ0MyA6OjE=\"")
	            MARKER("forward: cmp:443 ::1")},
	    {FRAME_NOTICE, P("until 12:00\r\n"),
	        FACT("notice", ",\"text\":\"until 12:00\\r\\n\",\"b64\":\"dW50aWwgMTI6MDANCg==\"")
	            MARKER("notice: until 12:00")},
	    {FRAME_ENV, P("LANG=C"), FACT("env", ",\"text\":\"LANG=C\",\"b64\":\"TEFORz1D\"")},
	    {FRAME_SIGNAL, P("TERM"), FACT("signal", ",\"text\":\"TERM\",\"b64\":\"VEVSTQ==\"")},
	    {FRAME_SHELL, P(""), FACT("shell", "") MARKER("shell")},
	    {FRAME_EXIT, P("\0\0\0\3"), FACT("exit", ",\"status\":3") MARKER("exit 3")},
	    {FRAME_EXIT, P("\0\3"), FACT("exit", ",\"text\":\"\\u0000\\u0003\",\"b64\":\"AAM=\"")},
	    {FRAME_END, P("\0\67"),
	        FACT("end", ",\"reason\":55,\"code\":\"done\",\"text\":\"\"") MARKER("end: done")},
	    {FRAME_END, P("\0\15by \x1b[31m"),
	        FACT("end", ",\"reason\":13,\"code\":\"window-ended\",\"text\":\"by \\u001b[31m\"")
	            MARKER("end: window-ended")},
	    {FRAME_END, P("\377\377"),
	        FACT("end", ",\"reason\":65535,\"code\":\"unknown-reason\",\"text\":\"\"")
	            MARKER("end: unknown-reason")},
	    {FRAME_END, P(""), FACT("end", ",\"text\":\"\",\"b64\":\"\"")}, {FRAME_CLOSE, P(""), FACT("close", "")},
	    {FRAME_FACT, P("{\"n\": 1}"), FACT("fact", ",\"fact\":{\"n\":1}")},
	    {FRAME_FACT, P("[1]"), FACT("fact", ",\"text\":\"[1]\",\"b64\":\"WzFd\"")},
	    {FRAME_FACT, P("{"), FACT("fact", ",\"text\":\"{\",\"b64\":\"ew==\"")},
	    {FRAME_FACT, P("{\"file\":{\"op\":\"upload\",\"path\":\"/x\\n\",\"bytes\":5,\"result\":\"ok\"}}"),
	        FACT("fact",
	            ",\"fact\":{\"file\":{\"op\":\"upload\",\"path\":\"/x\\n\",\"bytes\":5,\"result\":\"ok\"}}")
	            MARKER("upload /x" BAD ", 5 bytes, ok")},
	    {FRAME_FACT, P("{\"refused\":{\"op\":\"remove\",\"path\":\"/x\",\"reason\":\"capability\"}}"),
	        FACT(
	            "fact", ",\"fact\":{\"refused\":{\"op\":\"remove\",\"path\":\"/x\",\"reason\":\"capability\"}}")
	            MARKER("refused: remove /x [capability]")},
	    {(enum frame_type)99, P("x"), FACT("unknown", ",\"text\":\"x\",\"b64\":\"eA==\"")},
	    {FRAME_IN, P("typed"), ""}, /* of the other track */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_string_equal(added(all[i].type, all[i].payload, all[i].size), all[i].text);
}

static void
a_long_command_is_whole_in_its_fact_alone(void **state)
{
	char command[1000], cut[240];
	const char *text, *marker;

	(void)state;
	memset(command, 'x', sizeof(command));
	text = added(FRAME_EXEC, command, sizeof(command));
	assert_non_null(marker = strstr(text, "\n["));
	assert_true(marker - text > 2300);
	(void)snprintf(cut, sizeof(cut), "[0.000,\"m\",\"exec: %.200s...\"]\n", command);
	assert_string_equal(marker + 1, cut);
}

/* What a session states of time that cannot be: its segment is read all the same. */
static void
no_clock_of_a_sessions_spoils_a_segment(void **state)
{
	static const int64_t clocks[] = {INT64_MIN, -1, 0, INT64_MAX, INT64_C(50000001000000)};
	struct cast_watcher watcher = {.self = NULL};
	struct cast_reader *reader;

	(void)state;
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		const uint8_t size[] = {0, 80, 0, 24, 'x'};
		struct ring_frame f = {
		    .type = FRAME_OUT, .boot_us = clocks[i], .at = (const uint8_t *)"x", .len = 1};

		frame_of(&r, &f);
		f.type = FRAME_EXEC;
		frame_of(&r, &f);
		f.type = FRAME_RESIZE;
		f.at = size;
		f.len = 4;
		frame_of(&r, &f);
	}
	assert_non_null(reader = cast_reader_new(&watcher));
	assert_int_equal(framecast_end(r.cast, FRAMES_BEGAN_BOOT), 0);
	assert_int_equal(cast_reader_add(reader, r.plain.at, r.plain.size), CAST_OK);
	assert_int_equal(cast_reader_end(reader), CAST_OK);
	cast_reader_free(reader);
}

/* ---- bytes that are no text ---- */

static unsigned char noise[32768];

static int
noise_make(void **state)
{
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof(noise); i++) {
		seed = seed * 1664525 + 1013904223;
		noise[i] = (unsigned char)(seed >> 24);
	}
	return (setup(state));
}

enum shown { LEFT_OUT, SHOWN };

static enum shown
noise_is(enum frame_type type)
{
	const char *text = added(type, noise, sizeof(noise)), *event = strstr(text, "\n[");

	assert_memory_equal(text[1] == 'C' ? strchr(text, '\n') + 1 : text, "#B {", 4);
	assert_non_null(event);
	return (strstr(event, ",\"\"]\n") != NULL ? LEFT_OUT : SHOWN);
}

static void
noise_is_left_out_where_no_terminal_is(void **state)
{
	static const enum frame_type begins[] = {FRAME_EXEC, FRAME_SHELL, FRAME_SUBSYSTEM, FRAME_FORWARD};

	(void)state;
	assert_int_equal(noise_is(FRAME_OUT), SHOWN); /* nothing is known of this channel */
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		size_t before;

		frame_text(&r, begins[i], "x");
		before = r.plain.size;
		assert_int_equal(noise_is(FRAME_OUT), LEFT_OUT);
		assert_in_range(r.plain.size - before, sizeof(noise), sizeof(noise) * 4 / 3 + 100);
		assert_int_equal(noise_is(FRAME_ERR), LEFT_OUT);
		frame_text(&r, FRAME_CLOSE, "");
		assert_int_equal(noise_is(FRAME_OUT), SHOWN);
	}
}

static void
noise_on_a_terminal_is_shown(void **state)
{
	static const uint8_t pty[] = {0, 80, 0, 24, 'v', 't'};

	(void)state;
	frame_bytes(&r, FRAME_PTY, pty, sizeof(pty));
	frame_text(&r, FRAME_SHELL, "");
	assert_int_equal(noise_is(FRAME_OUT), SHOWN);
	frames_seal(&r);
	frame_text(&r, FRAME_EXEC, "x"); /* a second request on the channel changes nothing */
	assert_int_equal(noise_is(FRAME_OUT), SHOWN);
}

static void
the_next_segment_knows(void **state)
{
	(void)state;
	frame_text(&r, FRAME_EXEC, "tar c");
	frames_seal(&r);
	assert_int_equal(noise_is(FRAME_OUT), LEFT_OUT);
}

/* More channels than are kept: what is not known counts as a terminal. */
static void
more_channels_than_are_kept(void **state)
{
	static const uint8_t pty[] = {0, 80, 0, 24, 'v', 't'};
	struct ring_frame f = {.boot_us = FRAMES_BEGAN_BOOT * INT64_C(1000), .at = pty, .len = sizeof(pty)};

	(void)state;
	for (f.channel = 2; f.channel < 2 + FRAMECAST_CHANNELS; f.channel++) {
		f.type = FRAME_PTY;
		frame_of(&r, &f);
	}
	frame_bytes(&r, FRAME_PTY, pty, sizeof(pty));
	frame_text(&r, FRAME_SHELL, "");
	assert_int_equal(noise_is(FRAME_OUT), SHOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define NOISE(name) cmocka_unit_test_setup_teardown(name, noise_make, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_frame_leaves_its_text),
	    TEST(a_long_command_is_whole_in_its_fact_alone),
	    TEST(no_clock_of_a_sessions_spoils_a_segment),
	    NOISE(noise_is_left_out_where_no_terminal_is),
	    NOISE(noise_on_a_terminal_is_shown),
	    NOISE(the_next_segment_knows),
	    NOISE(more_channels_than_are_kept),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
