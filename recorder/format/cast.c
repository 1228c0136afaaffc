/* asciicast v3, written and read: see cast.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "format/cast.h"
#include "base/utf8.h"

#define DATA_SHARE 8u
#define EXACT_BEGIN "#B {\"b64\":\""
#define EXACT_END "\"}"

static const char *const stream_names[] = {
    [CAST_STREAM_OUT] = "out",
    [CAST_STREAM_ERR] = "err",
    [CAST_STREAM_IN] = "in",
};

/* ---- writing ---- */

enum { OUTWARD, INWARD, DIRECTIONS };

/* What is kept of one direction: whose bytes came last, and the cut character at their end. */
struct direction {
	struct cast_source source;
	unsigned char tail[4];
	size_t tail_size;
};

/* How a frame's bytes are written. */
struct frame_about {
	unsigned which; /* direction */
	uint64_t at_ms;
	enum { AS_TEXT, AS_DATA } how;
};

struct cast_writer {
	struct blob *to;
	uint64_t last_ms;
	struct direction directions[DIRECTIONS];
	struct blob scratch;
};

struct cast_writer *
cast_writer_new(struct blob *to, const struct cast_head *head, uint64_t begin_ms)
{
	struct cast_writer *w = calloc(1, sizeof(*w));
	int failed;

	if (w == NULL)
		return (NULL);
	w->to = to;
	w->last_ms = begin_ms;
	w->directions[INWARD].source.stream = CAST_STREAM_IN;
	failed = blob_add_format(to, "{\"version\":3,\"term\":{\"cols\":%u,\"rows\":%u",
	    head->cols == 0 ? 80 : head->cols, head->rows == 0 ? 24 : head->rows);
	if (failed == 0 && head->term != NULL)
		failed = blob_add_text(to, ",\"type\":") | blob_add_json(to, head->term, strlen(head->term));
	if (failed == 0)
		failed = blob_add_format(to, "},\"timestamp\":%lld", (long long)head->started);
	if (failed == 0 && head->title != NULL)
		failed = blob_add_text(to, ",\"title\":") | blob_add_json(to, head->title, strlen(head->title));
	if (failed != 0 || blob_add_text(to, "}\n") == -1) {
		free(w);
		return (NULL);
	}
	return (w);
}

/* The beginning of an event line: its interval and code. */
static int
event_begin(struct cast_writer *w, uint64_t at_ms, enum cast_code code)
{
	uint64_t interval = at_ms > w->last_ms ? at_ms - w->last_ms : 0;

	w->last_ms += interval;
	return (blob_add_format(w->to, "[%llu.%03u,\"%c\",", (unsigned long long)(interval / 1000),
	    (unsigned)(interval % 1000), (char)code));
}

static int
event_line(struct cast_writer *w, uint64_t at_ms, enum cast_code code, const void *text, size_t size)
{
	if (event_begin(w, at_ms, code) == -1 || blob_add_json(w->to, text, size) == -1)
		return (-1);
	return (blob_add_text(w->to, "]\n"));
}

/* Room for the whole line at once: it grows by doubling and wiping otherwise. */
static int
exact_line(struct cast_writer *w, const unsigned char *bytes, size_t size)
{
	if (blob_reserve(w->to, size / 3 * 4 + 64) == -1 || blob_add_text(w->to, EXACT_BEGIN) == -1 ||
	    blob_add_base64(w->to, bytes, size) == -1)
		return (-1);
	return (blob_add_text(w->to, EXACT_END "\n"));
}

static int
event_bytes(struct cast_writer *w, uint64_t at_ms, enum cast_code code, const unsigned char *bytes, size_t size)
{
	if (!utf8_is_text(bytes, size) && exact_line(w, bytes, size) == -1)
		return (-1);
	return (event_line(w, at_ms, code, bytes, size));
}

static int
event_data(struct cast_writer *w, uint64_t at_ms, enum cast_code code, const unsigned char *bytes, size_t size)
{
	return (exact_line(w, bytes, size) == -1 ? -1 : event_line(w, at_ms, code, "", 0));
}

static int
tail_flush(struct cast_writer *w, unsigned which, uint64_t at_ms)
{
	struct direction *d = &w->directions[which];
	size_t size = d->tail_size;

	d->tail_size = 0;
	return (size == 0 ? 0 : event_bytes(w, at_ms, which == INWARD ? CAST_INPUT : CAST_OUTPUT, d->tail, size));
}

static int
source_set(struct cast_writer *w, unsigned which, uint64_t at_ms, struct cast_source source)
{
	struct direction *d = &w->directions[which];

	if (d->source.channel == source.channel && d->source.stream == source.stream)
		return (0);
	if (tail_flush(w, which, at_ms) == -1)
		return (-1);
	d->source = source;
	return (blob_add_format(
	    w->to, "#C {\"channel\":%u,\"stream\":\"%s\"}\n", source.channel, stream_names[source.stream]));
}

/* Does this show nothing to speak of: is more than one byte in DATA_SHARE neither of a character nor moves a cursor? */
static int
is_data(const unsigned char *bytes, size_t size)
{
	size_t odd = 0, at = 0;
	uint32_t point;

	while (at < size && odd <= size / DATA_SHARE) {
		int length = utf8_next(bytes + at, size - at, &point);
		int is_odd = length <= 0 || point == 0x7f ||
		             (point < 0x20 && !(point >= '\b' && point <= '\r') && point != '\a' && point != 0x1b);

		odd += (size_t)is_odd;
		at += length <= 0 ? 1 : (size_t)length;
	}
	return (odd > size / DATA_SHARE);
}

/* At most CAST_FRAME_MAX - 4 bytes: the tail in front, all whole characters as an event, the new tail kept. */
static int
frame_write(struct cast_writer *w, const struct frame_about *about, const unsigned char *bytes, size_t size)
{
	struct direction *d = &w->directions[about->which];
	enum cast_code code = about->which == INWARD ? CAST_INPUT : CAST_OUTPUT;
	size_t keep;

	blob_clear(&w->scratch);
	if (blob_add(&w->scratch, d->tail, d->tail_size) == -1 || blob_add(&w->scratch, bytes, size) == -1)
		return (-1);
	keep = utf8_tail(w->scratch.at, w->scratch.size);
	if (about->how == AS_DATA && is_data(w->scratch.at, w->scratch.size - keep)) {
		d->tail_size = 0;
		return (event_data(w, about->at_ms, code, w->scratch.at, w->scratch.size));
	}
	memcpy(d->tail, w->scratch.at + w->scratch.size - keep, keep);
	d->tail_size = keep;
	if (w->scratch.size == keep)
		return (0);
	return (event_bytes(w, about->at_ms, code, w->scratch.at, w->scratch.size - keep));
}

static int
frames_write(struct cast_writer *w, const struct frame_about *about, const unsigned char *bytes, size_t size)
{
	while (size > 0) {
		size_t part = size < CAST_FRAME_MAX - 4 ? size : CAST_FRAME_MAX - 4;

		if (frame_write(w, about, bytes, part) == -1)
			return (-1);
		bytes += part;
		size -= part;
	}
	return (0);
}

int
cast_writer_bytes(struct cast_writer *w, uint64_t at_ms, struct cast_source source, const void *bytes, size_t size)
{
	const struct frame_about about = {source.stream == CAST_STREAM_IN ? INWARD : OUTWARD, at_ms, AS_TEXT};

	return (source_set(w, about.which, at_ms, source) == -1 ? -1 : frames_write(w, &about, bytes, size));
}

int
cast_writer_data(struct cast_writer *w, uint64_t at_ms, struct cast_source source, const void *bytes, size_t size)
{
	const struct frame_about about = {source.stream == CAST_STREAM_IN ? INWARD : OUTWARD, at_ms, AS_DATA};

	return (source_set(w, about.which, at_ms, source) == -1 ? -1 : frames_write(w, &about, bytes, size));
}

int
cast_writer_resize(struct cast_writer *w, uint64_t at_ms, unsigned cols, unsigned rows)
{
	return (event_begin(w, at_ms, CAST_RESIZE) | blob_add_format(w->to, "\"%ux%u\"]\n", cols, rows));
}

int
cast_writer_marker(struct cast_writer *w, uint64_t at_ms, const char *label)
{
	return (event_line(w, at_ms, CAST_MARKER, label, strlen(label)));
}

int
cast_writer_exit(struct cast_writer *w, uint64_t at_ms, int status)
{
	return (event_begin(w, at_ms, CAST_EXIT) | blob_add_format(w->to, "\"%d\"]\n", status));
}

int
cast_writer_fact(struct cast_writer *w, char letter, const char *json)
{
	if (letter < 'A' || letter > 'Z' || json[0] != '{' || strchr(json, '\n') != NULL ||
	    strlen(json) > CAST_LINE_MAX - 8)
		return (-1);
	return (blob_add_format(w->to, "#%c %s\n", letter, json));
}

int
cast_writer_end(struct cast_writer *w, uint64_t at_ms)
{
	return (tail_flush(w, OUTWARD, at_ms) | tail_flush(w, INWARD, at_ms));
}

void
cast_writer_free(struct cast_writer *w)
{
	if (w == NULL)
		return;
	blob_free(&w->scratch);
	explicit_bzero(w, sizeof(*w));
	free(w);
}

/* ---- reading ---- */

struct cast_reader {
	struct cast_watcher watcher;
	enum cast_error why;
	unsigned line; /* lines begun */
	uint64_t at_ms;
	struct cast_source sources[DIRECTIONS];
	struct blob held;  /* a line not yet whole */
	struct blob exact; /* of the last #B, for the next event */
	int has_exact, has_head;
};

struct cast_reader *
cast_reader_new(const struct cast_watcher *watcher)
{
	struct cast_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	r->watcher = *watcher;
	r->line = 1;
	r->sources[INWARD].stream = CAST_STREAM_IN;
	return (r);
}

/* An integer member within bounds; -1 when it is missing or something else. */
static json_int_t
member_int(const json_t *object, const char *key, json_int_t low, json_int_t high)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	return (json_is_integer(value) && number >= low && number <= high ? number : -1);
}

static enum cast_error
head_line(struct cast_reader *r, const json_t *line)
{
	const json_t *term = json_object_get(line, "term"), *started = json_object_get(line, "timestamp");
	json_int_t cols = member_int(term, "cols", 1, 65535), rows = member_int(term, "rows", 1, 65535);
	struct cast_head head = {.started = json_integer_value(started)};

	if (!json_is_object(line) || member_int(line, "version", 3, 3) != 3 || cols == -1 || rows == -1)
		return (CAST_MALFORMED);
	head.cols = (unsigned)cols;
	head.rows = (unsigned)rows;
	head.term = json_string_value(json_object_get(term, "type"));
	head.title = json_string_value(json_object_get(line, "title"));
	r->has_head = 1;
	if (r->watcher.on_head != NULL && r->watcher.on_head(r->watcher.self, &head) != 0)
		return (CAST_STOPPED);
	return (CAST_OK);
}

/* "132x43" */
static int
resize_parse(const char *text, size_t size, unsigned *cols, unsigned *rows)
{
	unsigned numbers[2] = {0, 0}, which = 0, digits = 0;

	for (size_t i = 0; i < size; i++) {
		if (text[i] == 'x' && which == 0 && digits > 0) {
			which = 1;
			digits = 0;
		} else if (text[i] >= '0' && text[i] <= '9' && digits++ < 5)
			numbers[which] = numbers[which] * 10 + (unsigned)(text[i] - '0');
		else
			return (-1);
	}
	*cols = numbers[0];
	*rows = numbers[1];
	return (which == 1 && digits > 0 ? 0 : -1);
}

static enum cast_error
event_read(struct cast_reader *r, const json_t *line)
{
	const json_t *interval = json_array_get(line, 0), *code = json_array_get(line, 1),
	             *text = json_array_get(line, 2);
	double seconds = json_number_value(interval);
	struct cast_event event = {
	    .bytes = (const unsigned char *)json_string_value(text), .size = json_string_length(text)};
	int carries;

	if (json_array_size(line) != 3 || !json_is_number(interval) || !(seconds >= 0 && seconds <= 1e9) ||
	    json_string_length(code) != 1 || !json_is_string(text))
		return (CAST_MALFORMED);
	r->at_ms += (uint64_t)llround(seconds * 1000);
	event.code = json_string_value(code)[0];
	event.at_ms = r->at_ms;
	carries = event.code == CAST_OUTPUT || event.code == CAST_INPUT;
	if (carries)
		event.source = r->sources[event.code == CAST_INPUT ? INWARD : OUTWARD];
	if (event.code == CAST_RESIZE &&
	    resize_parse((const char *)event.bytes, event.size, &event.cols, &event.rows) == -1)
		return (CAST_MALFORMED);
	if (r->has_exact && !carries)
		return (CAST_MALFORMED);
	if (r->has_exact) {
		event.is_data = event.size == 0 && r->exact.size > 1;
		event.bytes = r->exact.at;
		event.size = r->exact.size - 1;
	}
	r->has_exact = 0;
	if (r->watcher.on_event != NULL && r->watcher.on_event(r->watcher.self, &event) != 0)
		return (CAST_STOPPED);
	return (CAST_OK);
}

static enum cast_error
exact_take(struct cast_reader *r, const char *text, size_t length)
{
	size_t size;

	blob_clear(&r->exact);
	if (r->has_exact)
		return (CAST_MALFORMED);
	if (blob_reserve(&r->exact, length + 1) == -1)
		return (CAST_FAILED);
	if (base64_decode(text, length, r->exact.at, r->exact.room - 1, &size) == -1)
		return (CAST_MALFORMED);
	r->exact.at[size] = '\0';
	r->exact.size = size + 1;
	r->has_exact = 1;
	return (CAST_OK);
}

static enum cast_error
fact_exact(struct cast_reader *r, const json_t *fact)
{
	const json_t *text = json_object_get(fact, "b64");

	return (json_is_string(text) ? exact_take(r, json_string_value(text), json_string_length(text))
	                             : CAST_MALFORMED);
}

/* Most of a file that was carried is such lines: as the writer spells them they need no JSON.  1: it was one. */
static int
is_exact_line(const char *text, size_t size)
{
	return (size >= sizeof(EXACT_BEGIN EXACT_END) - 1 &&
	        memcmp(text, EXACT_BEGIN, sizeof(EXACT_BEGIN) - 1) == 0 &&
	        memcmp(text + size - (sizeof(EXACT_END) - 1), EXACT_END, sizeof(EXACT_END) - 1) == 0);
}

static enum cast_error
fact_source(struct cast_reader *r, const json_t *fact)
{
	const char *name = json_string_value(json_object_get(fact, "stream"));
	json_int_t channel = member_int(fact, "channel", 0, UINT32_MAX);

	for (unsigned i = 0; name != NULL && channel != -1 && i < sizeof(stream_names) / sizeof(stream_names[0]);
	     i++) {
		if (strcmp(name, stream_names[i]) != 0)
			continue;
		r->sources[i == CAST_STREAM_IN ? INWARD : OUTWARD] =
		    (struct cast_source){.channel = (uint32_t)channel, .stream = i};
		return (CAST_OK);
	}
	return (CAST_MALFORMED);
}

/* A line that begins with '#'.  Ours are checked; a plain comment by anybody else means nothing. */
static enum cast_error
comment_line(struct cast_reader *r, const char *text, size_t size)
{
	enum cast_error why = CAST_OK;
	json_t *fact;
	char *copy;

	if (is_exact_line(text, size))
		return (exact_take(
		    r, text + sizeof(EXACT_BEGIN) - 1, size - (sizeof(EXACT_BEGIN) + sizeof(EXACT_END) - 2)));
	if (size < 4 || text[1] < 'A' || text[1] > 'Z' || text[2] != ' ' || text[3] != '{')
		return (CAST_OK);
	if ((fact = json_loadb(text + 3, size - 3, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)) == NULL)
		return (CAST_MALFORMED);
	if (text[1] == 'B')
		why = fact_exact(r, fact);
	else if (text[1] == 'C')
		why = fact_source(r, fact);
	else if (r->watcher.on_fact != NULL) {
		if ((copy = strndup(text + 3, size - 3)) == NULL)
			why = CAST_FAILED;
		else if (r->watcher.on_fact(r->watcher.self, text[1], copy) != 0)
			why = CAST_STOPPED;
		free(copy);
	}
	json_decref(fact);
	return (why);
}

static enum cast_error
line_read(struct cast_reader *r, const char *text, size_t size)
{
	enum cast_error why;
	json_t *line;

	if (size > 0 && text[0] == '#')
		return (comment_line(r, text, size));
	if (size == 0 || (line = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)) == NULL)
		return (CAST_MALFORMED);
	why = r->has_head ? event_read(r, line) : head_line(r, line);
	json_decref(line);
	return (why);
}

enum cast_error
cast_reader_add(struct cast_reader *r, const unsigned char *bytes, size_t size)
{
	while (size > 0 && r->why == CAST_OK) {
		const unsigned char *end = memchr(bytes, '\n', size);
		size_t part = end == NULL ? size : (size_t)(end - bytes);

		if (part > CAST_LINE_MAX - r->held.size)
			r->why = CAST_MALFORMED;
		else if (blob_add(&r->held, bytes, part) == -1)
			r->why = CAST_FAILED;
		if (end == NULL || r->why != CAST_OK)
			break;
		if ((r->why = line_read(r, (const char *)r->held.at, r->held.size)) == CAST_OK)
			r->line++;
		blob_clear(&r->held);
		bytes += part + 1;
		size -= part + 1;
	}
	return (r->why);
}

enum cast_error
cast_reader_end(struct cast_reader *r)
{
	if (r->why == CAST_OK && (r->held.size > 0 || r->has_exact || !r->has_head))
		r->why = CAST_MALFORMED;
	return (r->why);
}

unsigned
cast_reader_line(const struct cast_reader *r)
{
	return (r->line);
}

uint64_t
cast_reader_at_ms(const struct cast_reader *r)
{
	return (r->at_ms);
}

void
cast_reader_free(struct cast_reader *r)
{
	if (r == NULL)
		return;
	blob_free(&r->held);
	blob_free(&r->exact);
	free(r);
}
