/* What a recording carried, listed: the table to the letter, the JSON to the value, and what is missing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "format/files.h"
#include "frames.h"

#define BAD "\xef\xbf\xbd"
#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

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

static void
at(int64_t ms, enum frame_type type, const char *text)
{
	r.now_ms = ms;
	frame_text(&r, type, text);
}

static void
visit_make(void)
{
	at(0, FRAME_SHELL, "");
	at(1500, FRAME_SUBSYSTEM, "sftp");
	at(61000, FRAME_FACT,
	    "{\"file\":{\"op\":\"upload\",\"path\":\"/tmp/x\",\"flags\":[\"write\"],\"bytes\":5,\"sha256\":\"" SHA
	    "\",\"result\":\"ok\"}}");
	frames_seal(&r);
	at(400000, FRAME_FACT,
	    "{\"file\":{\"op\":\"download\",\"path\":\"/g/\\u001b[2J\\u202e\\u007f\",\"bytes\":7,\"sha256\":null,"
	    "\"why\":\"not in order\",\"whole\":false,\"result\":\"failed: \\n\"}}");
	at(400001, FRAME_FACT,
	    "{\"operation\":{\"op\":\"rename\",\"path\":\"/a\",\"to\":\"/b\",\"result\":\"ok\"}}");
	at(400002, FRAME_FACT,
	    "{\"refused\":{\"op\":\"remove\",\"path\":\"/b\",\"reason\":\"capability\",\"status\":3}}");
	at(400003, FRAME_FACT, "{\"n\":1}");
	frames_seal(&r);
	at(4000000, FRAME_EXEC, "scp -t '/tmp'\n");
	at(4000001, FRAME_NOTICE, "5 minutes left");
	at(4000002, FRAME_OUT, "not listed");
	at(4000003, FRAME_FORWARD, "cmp:443 ::1");
	at(4000004, FRAME_FACT, "{\"forward\":{\"to\":\"cmp:443\",\"bytes_in\":3,\"bytes_out\":4}}");
	r.now_ms = 4000005;
	frame_bytes(&r, FRAME_END, "\0\67", 2);
}

/* All that is listed, NUL-ended, in *out; what is said of it. */
static const char *
listed(const struct files_about *how, struct blob *out, unsigned *missing)
{
	static char says[200];
	struct files_about about = *how;
	enum files_step step;
	struct files *f;

	about.dir = r.fd;
	about.ring = frames_ring(&r);
	about.line_end = about.line_end == NULL ? "\n" : about.line_end;
	assert_non_null(f = files_new(&about));
	blob_clear(out);
	while ((step = files_step(f, out)) == FILES_MORE)
		;
	assert_int_equal(step, FILES_END);
	assert_int_equal(blob_add(out, "", 1), 0);
	(void)snprintf(says, sizeof(says), "%s", files_says(f));
	*missing = files_missing(f);
	files_free(f);
	return (says);
}

#define DASHES "                                                               "
#define HEAD                                                \
	"TIME      CHANNEL  WHAT             BYTES  SHA256" \
	"                                                            RESULT               PATH\n"

static void
the_table_is_this_one(void **state)
{
	static const char table[] = HEAD
	    "00:00:00        1  shell                -  -" DASHES "  -                    -\n"
	    "00:00:01        1  subsystem            -  -" DASHES "  -                    sftp\n"
	    "00:01:01        1  upload               5  " SHA "  ok                   /tmp/x\n"
	    "00:06:40        1  download             7  -" DASHES "  failed: " BAD
	    "; not the whole file; no digest: not in order  /g/" BAD "[2J" BAD BAD "\n"
	    "00:06:40        1  rename               -  -" DASHES "  ok                   /a -> /b\n"
	    "00:06:40        1  remove               -  -" DASHES "  refused: capability  /b\n"
	    "01:06:40        1  exec                 -  -" DASHES "  -                    scp -t '/tmp'" BAD "\n"
	    "01:06:40        1  forward              -  -" DASHES "  -                    cmp:443 ::1\n"
	    "01:06:40        1  forwarded            -  -" DASHES "  in 3, out 4          cmp:443\n"
	    "01:06:40        -  end                  -  -" DASHES "  -                    done\n";
	struct blob out = {.at = NULL};
	unsigned missing;

	(void)state;
	visit_make();
	frames_seal(&r);
	frames_close(&r);
	assert_string_equal(listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing), "");
	assert_string_equal((const char *)out.at, table);
	assert_int_equal(missing, 0);
	blob_free(&out);
}

static void
a_terminal_gets_short_digests_and_its_line_ends(void **state)
{
	struct blob out = {.at = NULL};
	unsigned missing;

	(void)state;
	visit_make();
	frames_seal(&r);
	frames_close(&r);
	(void)listed(&(struct files_about){.columns = 80, .line_end = "\r\n"}, &out, &missing);
	assert_non_null(strstr(
	    (const char *)out.at, "  upload               5  e3b0c44298fc  ok                   /tmp/x\r\n"));
	(void)listed(&(struct files_about){.columns = FILES_WIDE}, &out, &missing);
	assert_non_null(strstr((const char *)out.at, SHA));
	blob_free(&out);
}

/* In pairs of member and value of the one object; the numbers as text. */
static void
expect_object(const json_t *o, const char *const *pairs)
{
	size_t count = 0;

	for (; pairs[2 * count] != NULL; count++) {
		char *is = json_dumps(json_object_get(o, pairs[2 * count]), JSON_ENCODE_ANY | JSON_COMPACT);

		assert_non_null(is);
		assert_string_equal(is, pairs[2 * count + 1]);
		free(is);
	}
	assert_int_equal(json_object_size(o), count);
}

static void
the_json_is_exact(void **state)
{
	static const char *const shell[] = {
	    "time", "\"2025-11-24T16:00:00.000Z\"", "at_ms", "0", "channel", "1", "ev", "\"shell\"", NULL};
	static const char *const download[] = {"time", "\"2025-11-24T16:06:40.000Z\"", "at_ms", "400000", "channel",
	    "1", "file",
	    "{\"op\":\"download\",\"path\":\"/g/\\u001B[2J\xe2\x80\xae\x7f\",\"bytes\":7,\"sha256\":null,"
	    "\"why\":\"not in order\",\"whole\":false,\"result\":\"failed: \\n\"}",
	    NULL};
	static const char *const exec[] = {"time", "\"2025-11-24T17:06:40.000Z\"", "at_ms", "4000000", "channel",
	    "1", "ev", "\"exec\"", "command", "\"scp -t '/tmp'\\n\"", "b64", "\"c2NwIC10ICcvdG1wJwo=\"", NULL};
	static const char *const end[] = {"time", "\"2025-11-24T17:06:40.005Z\"", "at_ms", "4000005", "channel",
	    "1", "ev", "\"end\"", "reason", "55", "code", "\"done\"", "text", "\"\"", NULL};
	struct blob out = {.at = NULL};
	unsigned missing;
	json_t *all;

	(void)state;
	visit_make();
	frames_seal(&r);
	frames_close(&r);
	(void)listed(&(struct files_about){.form = FILES_JSON}, &out, &missing);
	for (size_t i = 0; i + 1 < out.size; i++)
		assert_true(out.at[i] == '\n' || (out.at[i] >= 0x20 && out.at[i] < 0x7f));
	assert_non_null(all = json_loads((const char *)out.at, JSON_REJECT_DUPLICATES, NULL));
	assert_int_equal(json_array_size(all), 10);
	expect_object(json_array_get(all, 0), shell);
	expect_object(json_array_get(all, 3), download);
	expect_object(json_array_get(all, 6), exec);
	expect_object(json_array_get(all, 9), end);
	json_decref(all);
	blob_free(&out);
}

static void
nothing_carried_is_no_row(void **state)
{
	struct blob out = {.at = NULL};
	unsigned missing;

	(void)state;
	at(0, FRAME_OUT, "x");
	frames_seal(&r);
	frames_close(&r);
	assert_string_equal(listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing), "");
	assert_string_equal((const char *)out.at, HEAD);
	assert_string_equal(listed(&(struct files_about){.form = FILES_JSON}, &out, &missing), "");
	assert_string_equal((const char *)out.at, "[\n]\n");
	blob_free(&out);
}

static void
no_segment_is_no_list(void **state)
{
	const struct files_about about = {.dir = r.fd, .line_end = "\n"};

	(void)state;
	assert_null(files_new(&about));
	assert_int_equal(errno, ENOENT);
}

/* ---- what is missing ---- */

static void
expect_row(const struct blob *out, const char *row)
{
	if (strstr((const char *)out->at, row) == NULL)
		fail_msg("no '%s' in\n%s", row, (const char *)out->at);
}

#define MISSING "missing              -  -" DASHES "  "

static void
a_segment_that_does_not_open_is_said(void **state)
{
	struct blob out = {.at = NULL};
	unsigned missing;

	(void)state;
	visit_make();
	frames_seal(&r);
	frames_close(&r);
	frames_damage(&r, "000001.cast.zst.age");
	assert_non_null(
	    strstr(listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing), "something is missing"));
	assert_int_equal(missing, 1);
	expect_row(&out,
	    "00:01:01        -  " MISSING "64 KiB chunk 0: chunk authentication failed  000001.cast.zst.age\n");
	expect_row(&out, "00:01:01        1  upload ");
	expect_row(&out, "01:06:40        1  exec ");
	assert_null(strstr((const char *)out.at, "rename"));
	blob_free(&out);
}

static void
a_segment_that_is_gone_is_said(void **state)
{
	struct blob out = {.at = NULL};
	unsigned missing;
	json_t *all;

	(void)state;
	visit_make();
	frames_seal(&r);
	frames_close(&r);
	frames_remove(&r, "000002.cast.zst.age");
	(void)listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing);
	assert_int_equal(missing, 1);
	expect_row(&out, MISSING "No such file or directory  000002.cast.zst.age\n");
	(void)listed(&(struct files_about){.form = FILES_JSON}, &out, &missing);
	assert_non_null(all = json_loads((const char *)out.at, 0, NULL));
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(all, 6), "missing")), "000002.cast.zst.age");
	assert_int_equal(json_array_size(all), 7);
	json_decref(all);
	blob_free(&out);
}

/* Not closed: no list says how many there are, but a gap shows. */
static void
a_gap_in_what_is_not_closed_is_said(void **state)
{
	struct blob out = {.at = NULL};
	unsigned missing;

	(void)state;
	visit_make();
	frames_seal(&r);
	assert_non_null(strstr(
	    listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing), "this recording is not closed"));
	assert_int_equal(missing, 0);
	frames_remove(&r, "000001.cast.zst.age");
	(void)listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing);
	assert_int_equal(missing, 1);
	expect_row(&out, MISSING "not on the shelf     segment 1\n");
	frames_remove(&r, "000000.cast.zst.age");
	(void)listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing);
	expect_row(&out, MISSING "not on the shelf     segments 0 to 1\n");
	blob_free(&out);
}

static void
sums_that_are_none_are_said(void **state)
{
	struct blob out = {.at = NULL}, text = {.at = NULL};
	struct segment_sealed sealed;
	unsigned missing;

	(void)state;
	visit_make();
	frames_seal(&r);
	assert_int_equal(blob_add_text(&text, "no sums\n"), 0);
	assert_int_equal(segment_put(r.fd, "SHA256SUMS", &text, &sealed), 0);
	(void)listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing);
	assert_int_equal(missing, 1);
	expect_row(&out, MISSING "is not readable      SHA256SUMS\n");
	expect_row(&out, "exec ");
	blob_free(&out);
	blob_free(&text);
}

static void
a_recovered_segment_is_read(void **state)
{
	struct blob out = {.at = NULL};
	unsigned missing;

	(void)state;
	visit_make();
	frames_leave(&r);
	frames_close(&r);
	assert_non_null(
	    strstr(listed(&(struct files_about){.form = FILES_TABLE}, &out, &missing), "recovered after a crash"));
	assert_int_equal(missing, 0);
	expect_row(&out, "01:06:40        1  exec ");
	expect_row(&out, "01:06:40        -  end ");
	blob_free(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_table_is_this_one),
	    TEST(a_terminal_gets_short_digests_and_its_line_ends),
	    TEST(the_json_is_exact),
	    TEST(nothing_carried_is_no_row),
	    TEST(no_segment_is_no_list),
	    TEST(a_segment_that_does_not_open_is_said),
	    TEST(a_segment_that_is_gone_is_said),
	    TEST(a_gap_in_what_is_not_closed_is_said),
	    TEST(sums_that_are_none_are_said),
	    TEST(a_recovered_segment_is_read),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
