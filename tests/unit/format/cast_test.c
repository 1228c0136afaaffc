/* asciicast: what is written is one known text, comes back byte for byte, and nothing malformed is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/cast.h"

static const struct cast_source out = {0, CAST_STREAM_OUT}, err = {0, CAST_STREAM_ERR}, in = {0, CAST_STREAM_IN};

static void
the_text_is_the_golden_one(void **state)
{
	static const char golden[] = "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24,\"type\":\"xterm-256color\"}"
	                             ",\"timestamp\":1700000000,\"title\":\"alice on \\\"osv1\\\"\"}\n"
	                             "#K {\"keyframe\":false}\n"
	                             "[0.250,\"o\",\"\\u001b[1mhi\\r\\n\"]\n"
	                             "[1.000,\"i\",\"ls\\u007f\\u0000\"]\n"
	                             "[0.000,\"o\",\"gr\"]\n"
	                             "[0.100,\"o\",\"\xc3\xbc\xc3\x9f\"]\n"
	                             "#B {\"b64\":\"Yf/DKA==\"}\n"
	                             "[0.000,\"o\",\"a\xef\xbf\xbd\xef\xbf\xbd(\"]\n"
	                             "#C {\"channel\":0,\"stream\":\"err\"}\n"
	                             "[0.000,\"o\",\"oops\"]\n"
	                             "[0.000,\"r\",\"132x43\"]\n"
	                             "[0.000,\"m\",\"exec \\\"ls\\\"\"]\n"
	                             "#B {\"b64\":\"4oI=\"}\n"
	                             "[2.000,\"o\",\"\xef\xbf\xbd\xef\xbf\xbd\"]\n"
	                             "[0.000,\"x\",\"3\"]\n";
	const struct cast_head head = {
	    .cols = 80, .rows = 24, .started = 1700000000, .term = "xterm-256color", .title = "alice on \"osv1\""};
	struct blob text = {.at = NULL};
	struct cast_writer *w = cast_writer_new(&text, &head, 1000);

	(void)state;
	assert_non_null(w);
	assert_int_equal(cast_writer_fact(w, 'K', "{\"keyframe\":false}"), 0);
	assert_int_equal(cast_writer_fact(w, 'K', "{\n}"), -1);
	assert_int_equal(cast_writer_bytes(w, 1250, out, "\x1b[1mhi\r\n", 8), 0);
	assert_int_equal(cast_writer_bytes(w, 2250, in, "ls\x7f\0", 4), 0);
	assert_int_equal(cast_writer_bytes(w, 2250, out, "gr\xc3", 3), 0);
	assert_int_equal(cast_writer_bytes(w, 2350, out, "\xbc\xc3\x9f", 3), 0);
	assert_int_equal(cast_writer_bytes(w, 2350, out, "a\xff\xc3(", 4), 0);
	assert_int_equal(cast_writer_bytes(w, 2300, err, "oops", 4), 0);
	assert_int_equal(cast_writer_resize(w, 2350, 132, 43), 0);
	assert_int_equal(cast_writer_marker(w, 2350, "exec \"ls\""), 0);
	assert_int_equal(cast_writer_bytes(w, 2350, err, "\xe2\x82", 2), 0);
	assert_int_equal(cast_writer_end(w, 4350), 0);
	assert_int_equal(cast_writer_exit(w, 4350, 3), 0);
	cast_writer_free(w);
	assert_int_equal(blob_add(&text, "", 1), 0);
	assert_string_equal((const char *)text.at, golden);
	blob_free(&text);
}

/* Of a channel without a terminal: what is mostly no text leaves an empty string, and takes a cut character with it. */
static void
data_is_carried_and_not_shown(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		const char *lines;
	} rows[] = {
	    {"text\t\x1b[1m\r\n", 11, "[0.000,\"o\",\"text\\t\\u001b[1m\\r\\n\"]\n"},
	    {"12345678\377", 9, "#B {\"b64\":\"MTIzNDU2Nzj/\"}\n[0.000,\"o\",\"12345678\xef\xbf\xbd\"]\n"},
	    {"123456\377", 7, "#B {\"b64\":\"MTIzNDU2/w==\"}\n[0.000,\"o\",\"\"]\n"},
	    {"\0\0\0\5\1\0\0\0\3", 9, "#B {\"b64\":\"AAAABQEAAAAD\"}\n[0.000,\"o\",\"\"]\n"},
	    {"gr\xc3", 3, "[0.000,\"o\",\"gr\"]\n"},
	    {"\xbc\xc3", 2, "[0.000,\"o\",\"\xc3\xbc\"]\n"},
	    {"\0\0", 2, "#B {\"b64\":\"wwAA\"}\n[0.000,\"o\",\"\"]\n"},
	};
	struct blob text = {.at = NULL};
	struct cast_writer *w = cast_writer_new(&text, &(struct cast_head){.started = 1}, 0);
	size_t at;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		at = text.size;
		assert_int_equal(cast_writer_data(w, 0, out, rows[i].bytes, rows[i].size), 0);
		assert_int_equal(blob_add(&text, "", 1), 0);
		assert_string_equal((const char *)text.at + at, rows[i].lines);
		text.size--;
	}
	cast_writer_free(w);
	blob_free(&text);
}

struct taken {
	struct blob streams[3];
	unsigned events, facts, heads, data;
	uint64_t last_ms;
};

static int
on_head(void *self, const struct cast_head *head)
{
	struct taken *t = self;

	t->heads++;
	assert_int_equal(head->cols, 80);
	return (0);
}

static int
on_event(void *self, const struct cast_event *event)
{
	struct taken *t = self;

	t->events++;
	t->data += (unsigned)event->is_data;
	t->last_ms = event->at_ms;
	if (event->code == CAST_OUTPUT || event->code == CAST_INPUT)
		assert_int_equal(blob_add(&t->streams[event->source.stream], event->bytes, event->size), 0);
	return (0);
}

static int
on_fact(void *self, char letter, const char *json)
{
	struct taken *t = self;

	t->facts++;
	assert_int_equal(letter, 'E');
	assert_int_equal(json[0], '{');
	return (0);
}

typedef int write_bytes(
    struct cast_writer *w, uint64_t at_ms, struct cast_source source, const void *bytes, size_t size);

/* Noise with every byte value, cut UTF-8 and three streams, written in odd frames and read in odd pieces. */
static void
noise_through(write_bytes *write_some, unsigned least, unsigned most)
{
	struct blob text = {.at = NULL}, sent[3] = {{.at = NULL}, {.at = NULL}, {.at = NULL}};
	struct cast_writer *w = cast_writer_new(&text, &(struct cast_head){.started = 1}, 0);
	static unsigned char frame[200000];
	unsigned noise = 7;

	for (unsigned i = 0; i < 400; i++) {
		struct cast_source source = {.channel = i / 150, .stream = (noise >> 20) % 3};
		size_t size = i == 37 ? sizeof(frame) : (noise >> 8) % 50;

		for (size_t j = 0; j < size; j++) {
			noise = noise * 1103515245U + 12345U;
			frame[j] = (unsigned char)(noise >> 17);
			if (j % 5 != 0)
				frame[j] = (unsigned char)"a\xe2\x82\xac\n"[j % 5 - 1];
		}
		noise = noise * 1103515245U + 12345U;
		assert_int_equal(blob_add(&sent[source.stream], frame, size), 0);
		assert_int_equal(write_some(w, i * 10, source, frame, size), 0);
		if (i % 50 == 0)
			assert_int_equal(cast_writer_fact(w, 'E', "{\"ev\":\"x\"}"), 0);
	}
	assert_int_equal(cast_writer_end(w, 5000), 0);
	cast_writer_free(w);
	for (size_t piece = 1; piece < 100000; piece = piece * 7 + 1) {
		struct taken taken = {.events = 0};
		struct cast_watcher watcher = {on_head, on_event, on_fact, &taken};
		struct cast_reader *r = cast_reader_new(&watcher);

		for (size_t at = 0; at < text.size; at += piece)
			assert_int_equal(
			    cast_reader_add(r, text.at + at, text.size - at < piece ? text.size - at : piece),
			    CAST_OK);
		assert_int_equal(cast_reader_end(r), CAST_OK);
		cast_reader_free(r);
		assert_int_equal(taken.heads, 1);
		assert_int_equal(taken.facts, 8);
		assert_in_range(taken.data, least, most);
		for (unsigned s = 0; s < 3; s++) {
			assert_int_equal(taken.streams[s].size, sent[s].size);
			assert_memory_equal(taken.streams[s].at, sent[s].at, sent[s].size);
			blob_free(&taken.streams[s]);
		}
	}
	for (unsigned s = 0; s < 3; s++)
		blob_free(&sent[s]);
	blob_free(&text);
}

static void
noise_comes_back_byte_for_byte(void **state)
{
	(void)state;
	noise_through(cast_writer_bytes, 0, 0);
	noise_through(cast_writer_data, 100, 300);
}

static void
malformed_text_is_refused(void **state)
{
#define HEAD "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}\n"
	static const struct {
		const char *text;
		enum cast_error why;
	} rows[] = {
	    {HEAD, CAST_OK},
	    {HEAD "# by hand\n#\n[1, \"o\", \"x\"]\n", CAST_OK},
	    {HEAD "[0.5,\"z\",\"unknown codes pass\"]\n", CAST_OK},
	    {"", CAST_MALFORMED},
	    {"[0,\"o\",\"x\"]\n", CAST_MALFORMED},
	    {"{\"version\":2,\"width\":80,\"height\":24}\n", CAST_MALFORMED},
	    {"{\"version\":3,\"term\":{\"cols\":0,\"rows\":24}}\n", CAST_MALFORMED},
	    {HEAD "[0,\"o\",\"x\"]", CAST_MALFORMED},
	    {HEAD "\n", CAST_MALFORMED},
	    {HEAD "[-1,\"o\",\"x\"]\n", CAST_MALFORMED},
	    {HEAD "[1e99,\"o\",\"x\"]\n", CAST_MALFORMED},
	    {HEAD "[1,\"oo\",\"x\"]\n", CAST_MALFORMED},
	    {HEAD "[1,\"o\",\"x\",1]\n", CAST_MALFORMED},
	    {HEAD "[1,\"o\",1]\n", CAST_MALFORMED},
	    {HEAD "[1,\"r\",\"80\"]\n", CAST_MALFORMED},
	    {HEAD "[1,\"r\",\"999999x1\"]\n", CAST_MALFORMED},
	    {HEAD "[1,\"o\",\"\xff\"]\n", CAST_MALFORMED},
	    {HEAD "#B {\"b64\":\"AA==\"}\n", CAST_MALFORMED},
	    {HEAD "#B {\"b64\":\"A\"}\n[0,\"o\",\"x\"]\n", CAST_MALFORMED},
	    {HEAD "#B {\"b64\":\"AA==\"}\n[0,\"m\",\"x\"]\n", CAST_MALFORMED},
	    {HEAD "#B {\"b64\":\"AA==\"}\n#B {\"b64\":\"AA==\"}\n", CAST_MALFORMED},
	    {HEAD "#C {\"channel\":0,\"stream\":\"sideways\"}\n", CAST_MALFORMED},
	    {HEAD "#E {broken\n", CAST_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cast_watcher watcher = {.self = NULL};
		struct cast_reader *r = cast_reader_new(&watcher);

		(void)cast_reader_add(r, (const unsigned char *)rows[i].text, strlen(rows[i].text));
		assert_int_equal(cast_reader_end(r), rows[i].why);
		cast_reader_free(r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_text_is_the_golden_one),
	    cmocka_unit_test(data_is_carried_and_not_shown),
	    cmocka_unit_test(noise_comes_back_byte_for_byte),
	    cmocka_unit_test(malformed_text_is_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
