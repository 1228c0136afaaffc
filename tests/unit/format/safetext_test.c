/* The safe screen: whatever a target sends, only text and line ends come out, wherever the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/safetext.h"
#include "base/utf8.h"

static const struct {
	const char *in, *out;
} rows[] = {
    {"hello\r\nworld\n", "hello\nworld\n"},
    {"\x1b[31mred\x1b[0m\n", "red\n"},
    {"\x1b]0;title\x07x\n", "x\n"},
    {"\x1b]52;c;ZXZpbA==\x1b\\y\n", "y\n"},
    {"\x1bPq#0;2\x1b\\z\n", "z\n"},
    {"\x1b(0lqk\x1b(B\n", "lqk\n"},
    {"\xc2\x9b"
     "31mred\n",
        "red\n"},
    {"\x9b"
     "31m\n",
        UTF8_REPLACEMENT "31m\n"},
    {"a\xe2\x80\xae"
     "b\n",
        "a" UTF8_REPLACEMENT "b\n"},
    {"a\xe2\x80\x8b"
     "b\xef\xbb\xbf\n",
        "a" UTF8_REPLACEMENT "b" UTF8_REPLACEMENT "\n"},
    {"\x7f\x08\x01\n", UTF8_REPLACEMENT "^H^A\n"},
    {"a\tb\n", "a       b\n"},
    {"10%\r20%\r\n", "10%\n20%\n"},
    {"\r\r\r\n", "\n"},
    {"gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80\n", "gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80\n"},
    {"\xff\xfe\xc0\xaf\xed\xa0\x80x\n", UTF8_REPLACEMENT UTF8_REPLACEMENT UTF8_REPLACEMENT UTF8_REPLACEMENT
                                            UTF8_REPLACEMENT UTF8_REPLACEMENT UTF8_REPLACEMENT "x\n"},
    {"cut \xe2\x82", "cut " UTF8_REPLACEMENT "\n"},
    {"\x1b[\nline\n", "\nline\n"},
    {"\x1b[2J\x1b[H\x1b[?1049hfull\x1b[?1049l\n", "full\n"},
    {"\xf3\xa0\x81\x81tag\n", UTF8_REPLACEMENT "tag\n"},
};

static void
only_text_comes_out_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t length = strlen(rows[i].in);

		for (size_t cut = 0; cut <= length; cut++) {
			struct safetext s = {.ends = SAFETEXT_LF};
			struct blob out = {.at = NULL};

			assert_int_equal(safetext_draw(&s, rows[i].in, cut, &out), 0);
			assert_int_equal(safetext_draw(&s, rows[i].in + cut, length - cut, &out), 0);
			assert_int_equal(safetext_end(&s, &out), 0);
			assert_int_equal(blob_add(&out, "", 1), 0);
			assert_string_equal((const char *)out.at, rows[i].out);
			blob_free(&out);
		}
	}
}

static void
no_control_survives_noise(void **state)
{
	struct safetext s = {.ends = SAFETEXT_LF};
	struct blob out = {.at = NULL};
	unsigned noise = 12345;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		unsigned char c;

		noise = noise * 1103515245U + 12345U;
		c = (unsigned char)(noise >> 16);
		if (noise >> 28 == 0)
			c = 0x1b;
		assert_int_equal(safetext_draw(&s, &c, 1, &out), 0);
	}
	assert_int_equal(safetext_end(&s, &out), 0);
	assert_true(out.size > 0 && utf8_is_text(out.at, out.size));
	for (size_t at = 0; at < out.size;) {
		uint32_t point = 0;

		at += (size_t)utf8_next(out.at + at, out.size - at, &point);
		assert_true(point == '\n' || (point >= 0x20 && point != 0x7f && !(point >= 0x80 && point < 0xa0)));
		assert_false(point >= 0x202a && point <= 0x202e);
	}
	blob_free(&out);
}

static void
a_line_stays_a_line(void **state)
{
	struct blob out = {.at = NULL};

	(void)state;
	assert_int_equal(safetext_line("a\nb\x1b[31m\xff", 9, &out), 0);
	assert_int_equal(blob_add(&out, "", 1), 0);
	assert_string_equal(
	    (const char *)out.at, "a" UTF8_REPLACEMENT "b" UTF8_REPLACEMENT "[31m" UTF8_REPLACEMENT);
	blob_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_text_comes_out_at_every_cut),
	    cmocka_unit_test(no_control_survives_noise),
	    cmocka_unit_test(a_line_stays_a_line),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
