/* Leaves and index.json: one spelling, and nothing else passes for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/leaf.h"
#include "format/sessionindex.h"

#define REC "00112233445566778899aabbccddeeff"
#define D0 "0000000000000000000000000000000000000000000000000000000000000000"

static const char *const good[] = {
    "{\"leaf\":\"session.start\",\"rec\":\"" REC "\",\"at\":1700000000000,\"meta\":\"" D0 "\"}",
    "{\"leaf\":\"segment\",\"rec\":\"" REC
    "\",\"track\":\"output\",\"n\":0,\"name\":\"000000.cast.zst.age\",\"sha256\":\"" D0
    "\",\"size\":12,\"prev\":\"" D0 "\",\"recovered\":false}",
    "{\"leaf\":\"segment\",\"rec\":\"" REC
    "\",\"track\":\"input\",\"n\":3,\"name\":\"input.000003.wal\",\"sha256\":\"" D0 "\",\"size\":12,\"prev\":\"" D0
    "\",\"recovered\":true}",
    "{\"leaf\":\"session.end\",\"rec\":\"" REC "\",\"at\":1700000000000,\"segments\":3,\"inputs\":1,\"sums\":\"" D0
    "\",\"cause\":\"window-ended\"}",
};

static void
leaves_come_back(void **state)
{
	struct leaf leaf;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		char text[512];
		size_t length = strlen(good[i]);

		assert_int_equal(leaf_parse(&leaf, good[i], length), 0);
		assert_int_not_equal(leaf.kind, LEAF_OTHER);
		for (size_t cut = 0; cut < length; cut++)
			assert_int_equal(leaf_parse(&leaf, good[i], cut), -1);
		for (size_t at = 0; at <= length; at++) { /* a space anywhere is another spelling */
			memcpy(text, good[i], at);
			text[at] = ' ';
			memcpy(text + at + 1, good[i] + at, length - at);
			assert_int_equal(leaf_parse(&leaf, text, length + 1) == 0 && leaf.kind != LEAF_OTHER, 0);
		}
	}
	assert_int_equal(leaf_parse(&leaf, "{\"leaf\":\"event\",\"x\":1}", 22), 0);
	assert_int_equal(leaf.kind, LEAF_OTHER);
	assert_int_equal(leaf_parse(&leaf, "{\"x\":1}", 7), -1);
	assert_int_equal(leaf_parse(&leaf, "[]", 2), -1);
	assert_int_equal(
	    leaf_write(&(struct blob){.at = NULL}, &(struct leaf){.kind = LEAF_START, .rec = "XY"}), -1);
}

static void
segment_names_have_one_spelling(void **state)
{
	static const char *const bad[] = {"", "0.cast.zst.age", "0000000.cast.zst.age", "000000.cast.zst.ag",
	    "input000000.cast.zst.age", "input.input.000000.cast.zst.age", "000000.cast.zst.age.tmp",
	    "x00000.cast.zst.age", "000000.wa", "../000000.wal", "-00001.wal"};
	enum segment_track track;
	enum segment_form form;
	uint32_t number;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(segment_name_parse(bad[i], &track, &number, &form), -1);
	assert_int_equal(segment_name_parse("input.000012.wal", &track, &number, &form), 0);
	assert_true(track == SEGMENT_INPUT && number == 12 && form == SEGMENT_FORM_RECOVERED);
	assert_int_equal(segment_name_parse("999999.cast.zst.age", &track, &number, &form), 0);
	assert_true(track == SEGMENT_OUTPUT && number == 999999 && form == SEGMENT_FORM_SEALED);
}

static void
an_index_comes_back(void **state)
{
	struct sessionindex index = {.rec = REC,
	                        .started_ms = 1700000000000,
	                        .ended_ms = 1700000020000,
	                        .cause = "done"},
	                    again;
	struct sessionindex_segment segment = {
	    .cols = 80, .rows = 24, .end_ms = 9000, .sealed.size = 77, .events = 3};
	struct blob text = {.at = NULL};

	(void)state;
	assert_int_equal(sessionindex_add(&index, &segment), 0);
	segment.number = 1;
	segment.made = SESSIONINDEX_RECOVERED;
	assert_int_equal(sessionindex_add(&index, &segment), 0);
	assert_int_equal(sessionindex_write(&index, &text), 0);
	assert_non_null(memmem(text.at, text.size, "\"000001.wal\"", 12));
	assert_int_equal(sessionindex_parse(&again, text.at, text.size), 0);
	assert_int_equal(again.count, 2);
	assert_int_equal(again.segments[1].made, SESSIONINDEX_RECOVERED);
	assert_int_equal(again.segments[0].end_ms, 9000);
	sessionindex_free(&again);
	for (size_t i = 0; i < text.size; i++) {
		text.at[i] ^= 0x10;
		(void)sessionindex_parse(&again, text.at, text.size);
		sessionindex_free(&again);
		text.at[i] ^= 0x10;
	}
	text.at[text.size - 1] = ' ';
	assert_int_equal(sessionindex_parse(&again, text.at, text.size), -1);
	blob_free(&text);
	sessionindex_free(&index);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(leaves_come_back),
	    cmocka_unit_test(segment_names_have_one_spelling),
	    cmocka_unit_test(an_index_comes_back),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
