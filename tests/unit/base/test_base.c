/* The services every process shares: names split, settings parsed, spans, the ring and its hostile end, escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loginname.h"
#include "base/ring.h"
#include "base/settings_file.h"
#include "base/wire.h"

static void
login_names_are_split(void **state)
{
	static const struct {
		const char *name, *person, *target, *account; /* person NULL: refused */
	} rows[] = {
	    {"alice", "alice", "", ""},
	    {"alice+osv1", "alice", "osv1", ""},
	    {"alice+osv1+srx", "alice", "osv1", "srx"},
	    {"alice osv1", "alice", "osv1", ""},
	    {"alice%osv1:srx", "alice", "osv1", "srx"},
	    {"alice#osv1", "alice", "osv1", ""},
	    {"a.b-c@uni+x", "a.b-c@uni", "x", ""},
	    {"", NULL, NULL, NULL},
	    {"+osv1", NULL, NULL, NULL},
	    {"alice+", NULL, NULL, NULL},
	    {"alice++srx", NULL, NULL, NULL},
	    {"alice+osv1+srx+more", NULL, NULL, NULL},
	    {"al/ice", NULL, NULL, NULL},
	    {"-alice", NULL, NULL, NULL},
	    {"..", NULL, NULL, NULL},
	    {"al\nice", NULL, NULL, NULL},
	    {"al\xc3\xa9", NULL, NULL, NULL},
	};
	struct loginname n;
	char longest[LOGINNAME_PART_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int good = loginname_split(bytes_text(rows[i].name), &n);

		assert_int_equal(good, rows[i].person == NULL ? -1 : 0);
		if (rows[i].person == NULL)
			continue;
		assert_string_equal(n.person, rows[i].person);
		assert_string_equal(n.target, rows[i].target);
		assert_string_equal(n.account, rows[i].account);
	}
	memset(longest, 'a', sizeof(longest));
	assert_int_equal(loginname_split(bytes_of(longest, LOGINNAME_PART_MAX), &n), 0);
	assert_int_equal(loginname_split(bytes_of(longest, LOGINNAME_PART_MAX + 1), &n), -1);
	assert_int_equal(loginname_split(bytes_of("a\0b", 3), &n), -1);
}

static void
spans_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
		const char *back;
	} rows[] = {
	    {"90", 90000, "1m30s"},
	    {"90s", 90000, "1m30s"},
	    {"2h", 7200000, "2h"},
	    {"1h30m", 5400000, "1h30m"},
	    {"1w", 604800000, "1w"},
	    {"0", 0, "0s"},
	    {"", -1, NULL},
	    {"x", -1, NULL},
	    {"5y", -1, NULL},
	    {"-3", -1, NULL},
	    {"1.5h", -1, NULL},
	    {"99999999999999999999s", -1, NULL},
	    {"9999999999999w", -1, NULL},
	};
	char back[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(span_parse(rows[i].text), rows[i].ms);
		if (rows[i].back == NULL)
			continue;
		span_print(rows[i].ms, back, sizeof(back));
		assert_string_equal(back, rows[i].back);
	}
}

struct sample {
	char *name;
	char *path;
	char *words;
	int64_t number, span, size, yes;
};

static const struct setting_row sample_rows[] = {
    {"Name", SETTING_TEXT, 0, 0, "", offsetof(struct sample, name)},
    {"Path", SETTING_PATH, 0, 0, "/p", offsetof(struct sample, path)},
    {"Words", SETTING_WORDS, 0, 0, NULL, offsetof(struct sample, words)},
    {"Number", SETTING_NUMBER, 1, 10, "3", offsetof(struct sample, number)},
    {"Span", SETTING_SPAN, 1000, 100000, "5s", offsetof(struct sample, span)},
    {"Size", SETTING_SIZE, 0, 1 << 30, "1K", offsetof(struct sample, size)},
    {"Yes", SETTING_YES_NO, 0, 0, "no", offsetof(struct sample, yes)},
};
#define SAMPLE_ROWS (sizeof(sample_rows) / sizeof(sample_rows[0]))

static void
on_error(void *ctx, const char *line)
{
	char *all = ctx;
	size_t at = strlen(all);

	snprintf(all + at, 2048 - at, "%s\n", line);
}

static int
sample_parse(const char *text, struct sample *to, char *errors)
{
	*to = (struct sample){0};
	errors[0] = '\0';
	return (settings_parse(sample_rows, SAMPLE_ROWS, "f", text, strlen(text), to, on_error, errors));
}

static void
settings_tell_all_errors_with_their_lines(void **state)
{
	struct sample s;
	char errors[2048];

	(void)state;
	assert_int_equal(
	    sample_parse("# c\nnAmE \"a b\"  # more\nWORDS x  y\nSpan 1m\nSize 2M\nYes yes\n", &s, errors), 0);
	assert_string_equal(s.name, "a b");
	assert_string_equal(s.path, "/p");
	assert_string_equal(s.words, "x y");
	assert_int_equal(s.number, 3);
	assert_int_equal(s.span, 60000);
	assert_int_equal(s.size, 2 << 20);
	assert_int_equal(s.yes, 1);
	settings_wipe(sample_rows, SAMPLE_ROWS, &s);

	assert_int_equal(
	    sample_parse(
	        "Numbr 4\nNumber 11\nSpan soon\nPath here\nName \"open\nName a b\nNumber 3\nYes\n", &s, errors),
	    9);
	assert_non_null(strstr(errors, "f:1: Numbr: no such keyword"));
	assert_non_null(strstr(errors, "f:2: Number: 11 is out of range: 1 to 10"));
	assert_non_null(strstr(errors, "f:3: Span: 'soon' is not a time"));
	assert_non_null(strstr(errors, "f:4: Path: 'here' is not an absolute path"));
	assert_non_null(strstr(errors, "f:5: Name: a quote is not closed"));
	assert_non_null(strstr(errors, "f:6: Name: one argument is wanted"));
	assert_non_null(strstr(errors, "f:7: Number: given twice: it stands in line 2"));
	assert_non_null(strstr(errors, "f:8: Yes: its argument is missing"));
	assert_non_null(strstr(errors, "f: Words: it must be given"));
	settings_wipe(sample_rows, SAMPLE_ROWS, &s);
}

static void
settings_print_what_parses_to_the_same(void **state)
{
	struct sample a, b;
	char errors[2048], *text, *again;

	(void)state;
	assert_int_equal(sample_parse("Name \"a \\\"q\\\" \\\\ # b\"\nWords x y\nSpan 90\n", &a, errors), 0);
	text = settings_print(sample_rows, SAMPLE_ROWS, &a);
	assert_int_equal(sample_parse(text, &b, errors), 0);
	assert_string_equal(a.name, "a \"q\" \\ # b");
	assert_string_equal(a.name, b.name);
	again = settings_print(sample_rows, SAMPLE_ROWS, &b);
	assert_string_equal(text, again);
	free(text);
	free(again);
	settings_wipe(sample_rows, SAMPLE_ROWS, &a);
	settings_wipe(sample_rows, SAMPLE_ROWS, &b);
}

static void
a_ring_carries_every_frame_once(void **state)
{
	static uint8_t payload[RING_FRAME_MAX], got[RING_FRAME_MAX];
	int fd = ring_create();
	struct ring *w = ring_open(fd), *r = ring_open(fd);
	struct ring_frame f;
	uint64_t taken = 0, put = 0;

	(void)state;
	assert_non_null(w);
	assert_non_null(r);
	while (taken < 20000) {
		uint32_t len = (uint32_t)((put * 7919) % (RING_FRAME_MAX + 1));

		memset(payload, (int)(put & 0xff), sizeof(payload));
		f = (struct ring_frame){
		    .type = 3, .stream = 1, .channel = (uint32_t)put, .at = payload, .len = len};
		if (ring_put(w, &f)) {
			put++;
			continue;
		}
		assert_true(ring_space(w) < len);
		assert_int_equal(ring_take(r, &f, got), 1);
		assert_int_equal(f.sequence, taken + 1);
		assert_int_equal(f.len, (taken * 7919) % (RING_FRAME_MAX + 1));
		if (f.len > 0)
			assert_int_equal(got[f.len - 1], taken & 0xff);
		taken++;
		ring_free(r, ring_taken_position(r));
	}
	ring_close(r);

	/* A second reader goes on where a log says that the first one was. */
	r = ring_open(fd);
	assert_int_equal(ring_seek(r, ring_freed_position(w)), 0);
	while (taken < put) {
		assert_int_equal(ring_take(r, &f, got), 1);
		assert_int_equal(f.sequence, ++taken);
	}
	assert_int_equal(ring_take(r, &f, got), 0);
	assert_int_equal(ring_seek(r, ring_put_position(w) + 8), -1);
	ring_close(w);
	ring_close(r);
	close(fd);
}

static void
a_hostile_ring_is_refused(void **state)
{
	static const struct {
		uint64_t put;
		uint32_t len;
		uint16_t zero;
	} rows[] = {
	    {RING_HEADER, RING_FRAME_MAX + 1, 0}, /* longer than a frame may be */
	    {RING_HEADER, 8, 0},                  /* longer than what was put */
	    {RING_HEADER - 8, 0, 0},              /* less than a header */
	    {RING_ROOM + 8, 0, 0},                /* more than there is room for */
	    {RING_HEADER, 0, 1},                  /* a field that must be zero */
	    {UINT64_MAX - 7, 0, 0},
	};
	static uint8_t got[RING_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = ring_create();
		struct ring *r = ring_open(fd);
		struct ring_frame f;
		uint8_t *raw = mmap(NULL, 4096 + RING_ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		assert_true(raw != MAP_FAILED);
		memcpy(raw, &rows[i].put, 8);
		memcpy(raw + 4096, &rows[i].len, 4);
		memcpy(raw + 4096 + 6, &rows[i].zero, 2);
		assert_int_equal(ring_take(r, &f, got), -1);
		munmap(raw, 4096 + RING_ROOM);
		ring_close(r);
		close(fd);
	}
	assert_null(ring_open(STDIN_FILENO));
}

static void
a_lying_recorder_gets_no_room_from_the_writer(void **state)
{
	int fd = ring_create();
	struct ring *w = ring_open(fd);
	uint8_t *raw = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t beyond = 1 << 30;
	struct ring_frame f = {.type = 3, .len = 0};

	(void)state;
	while (ring_put(w, &f))
		;
	memcpy(raw + 8, &beyond, 8);
	assert_int_equal(ring_space(w), 0);
	assert_int_equal(ring_put(w, &f), 0);
	munmap(raw, 4096);
	ring_close(w);
	close(fd);
}

static void
what_is_logged_cannot_write_a_line_of_its_own(void **state)
{
	char to[128];

	(void)state;
	log_escape(to, sizeof(to), "a\nb\x1b[2J\\\x7f\xc2\x9b\xff\xc3\xa9", 14);
	assert_string_equal(to, "a\\x0ab\\x1b[2J\\x5c\\x7f\\xc2\\x9b\\xff\xc3\xa9");
	log_escape(to, sizeof(to), "\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\xe2\x82\xac",
	    12); /* written backwards, hidden; a euro */
	assert_string_equal(to, "\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xe2\\x80\\x8b\xe2\x82\xac");
	assert_int_equal(log_escape(to, 4, "abcdef", 6), 3);
	assert_int_equal(log_escape(to, 4, "ab\n", 3), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(login_names_are_split),
	    cmocka_unit_test(spans_are_read_and_written),
	    cmocka_unit_test(settings_tell_all_errors_with_their_lines),
	    cmocka_unit_test(settings_print_what_parses_to_the_same),
	    cmocka_unit_test(a_ring_carries_every_frame_once),
	    cmocka_unit_test(a_hostile_ring_is_refused),
	    cmocka_unit_test(a_lying_recorder_gets_no_room_from_the_writer),
	    cmocka_unit_test(what_is_logged_cannot_write_a_line_of_its_own),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
