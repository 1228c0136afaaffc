#include "site.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "contract/tables.h"
#include "disk.h"
#include "format/journal.h"
#include "format/segment.h"
#include "format/sessionindex.h"
#include "format/sums.h"
#include "shelves.h"

#define SOURCE 7 /* the recorder's number */
#define SEGMENTS 3

static const char hostile[] = "\x1b]52;c;cm0gLXJmIC8K\x07plain \x1b[31mred\x1b[0m \x9b"
                              "31m\x1bP+q544e\x1b\\\x1b[6n\x1b]0;title\x1b\\\r\n\x1b"
                              "c\x08\x7f end\r\n";

static const char uploaded[] =
    "{\"ev\":\"fact\",\"channel\":4,\"fact\":{\"file\":{\"op\":\"upload\",\"path\":\"/tmp/\\u001b[2J\","
    "\"bytes\":5,\"sha256\":\"aabbccddeeff00112233\",\"result\":\"ok\"}}}";

int
site_sh(const struct site *s, struct blob *out, const char *format, ...)
{
	char words[2048], line[4096], piece[4096];
	va_list args;
	size_t got;
	int status;
	FILE *f;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	(void)snprintf(line, sizeof(line),
	    "cd %s && R=now/recordings B=now/state/book && export LC_ALL=C && { %s\n} 2>&1", s->dir, words);
	assert_non_null(f = popen(line, "r"));
	while ((got = fread(piece, 1, sizeof(piece), f)) > 0)
		if (out != NULL)
			assert_int_equal(blob_add(out, piece, got), 0);
	status = pclose(f);
	assert_true(WIFEXITED(status));
	return (WEXITSTATUS(status));
}

int
blob_has(const struct blob *b, const char *text)
{
	return (b->size > 0 && memmem(b->at, b->size, text, strlen(text)) != NULL);
}

/* ---- life ---- */

static void
key_files(struct site *s)
{
	char text[AGE_IDENTITY_TEXT];

	assert_int_equal(age_identity_make(&s->identity), 0);
	memcpy(s->recipient.point, s->identity.point, sizeof(s->recipient.point));
	assert_int_equal(age_identity_text(&s->identity, text), 0);
	assert_int_equal(site_sh(s, NULL, "umask 077; echo '%s' > reading.age", text), 0);
	assert_int_equal(note_signer_make(&s->signer, SITE_ORIGIN), 0);
}

void
site_begin(struct site *s)
{
	char key[NOTE_KEY_TEXT];

	*s = (struct site){.dir = "/tmp/lodge-reader-XXXXXX"};
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->under, sizeof(s->under), "%s/now", s->dir);
	assert_int_equal(site_sh(s, NULL, "mkdir -p $R $B"), 0);
	key_files(s);
	assert_int_equal(note_key_text(&s->signer.key, key), 0);
	assert_int_equal(site_sh(s, NULL, "echo '%s' > $B/log.pub", key), 0);
	site_book_open(s);
}

void
site_end(struct site *s)
{
	site_book_close(s);
	if (s->holds)
		holdings_close(&s->holdings);
	assert_int_equal(site_sh(s, NULL, "cd / && rm -rf %s", s->dir), 0);
}

static int
under_open(const struct site *s, const char *name)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", s->under, name);
	assert_true((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) != -1);
	return (fd);
}

void
site_settings(const struct site *s, char *text, size_t size)
{
	char recipient[AGE_RECIPIENT_TEXT];

	assert_int_equal(age_recipient_text(&s->recipient, recipient), 0);
	(void)snprintf(text, size,
	    "ReadingKey %s/reading.age\nRecordingDirectory %s/recordings\nStateDirectory "
	    "%s/state\nLogOrigin " SITE_ORIGIN "\nRecordingRecipients %s\n",
	    s->dir, s->under, s->under, recipient);
}

void
site_hold(struct site *s)
{
	struct settings set = {0};
	char text[1024], why[256] = "";

	if (s->holds)
		holdings_close(&s->holdings);
	site_settings(s, text, sizeof(text));
	assert_int_equal(settings_from_text(&set, "test", text, strlen(text), NULL, NULL), 0);
	if (holdings_open(&s->holdings, &set, why, sizeof(why)) == -1)
		fail_msg("%s", why);
	s->holds = 1;
	settings_free(&set);
}

struct task_end
site_run(struct site *s, const char *verb, const char *id, const char *options, struct blob *out)
{
	const struct task_kind *kind = task_of(verb);
	json_t *json = json_loads(options, 0, NULL);
	struct task_call call = {.holdings = &s->holdings, .id = id, .options = json, .line_end = "\n"};
	struct task_end end = {.status = TASK_GOOD};
	uint64_t wait_ms;
	void *task;

	assert_non_null(kind);
	assert_non_null(json);
	if (json_integer_value(json_object_get(json, "columns")) != 0)
		call.line_end = "\r\n";
	if ((task = kind->begin(&call, &end)) != NULL) {
		while (kind->step(task, out, &wait_ms, &end) != TASK_OVER)
			;
		kind->free(task);
	}
	json_decref(json);
	return (end);
}

/* ---- the book ---- */

void
site_book_open(struct site *s)
{
	int dir = under_open(s, "state/book");
	char why[256];

	if ((s->store = store_open(dir, &s->signer, why, sizeof(why))) == NULL)
		fail_msg("%s", why);
	(void)close(dir);
}

void
site_book_close(struct site *s)
{
	store_close(s->store);
	s->store = NULL;
}

void
site_checkpoint(struct site *s)
{
	assert_int_equal(store_checkpoint(s->store), 0);
}

void
site_event(struct site *s, const char *json)
{
	assert_int_equal(store_enter(s->store, SOURCE, ++s->sequence, json, strlen(json)), STORE_ENTERED);
}

static void
leaf_enter(struct site *s, const struct leaf *leaf)
{
	struct blob json = {.at = NULL};

	assert_int_equal(leaf_write(&json, leaf), 0);
	assert_int_equal(store_enter(s->store, SOURCE, ++s->sequence, json.at, json.size), STORE_ENTERED);
	blob_free(&json);
}

/* ---- a recording ---- */

struct making {
	struct site *site;
	const char *id;
	int dir;
	unsigned char prev[2][SEGMENT_SHA256];
	struct sessionindex index;
	struct sums sums;
};

static void
meta_make(struct making *m, int64_t started_ms)
{
	struct blob plain = {.at = NULL};
	struct segment_seal seal = {.dir = m->dir,
	    .name = SESSIONINDEX_META,
	    .plain = &plain,
	    .recipients = &m->site->recipient,
	    .count = 1};
	struct leaf leaf = {.kind = LEAF_START, .at_ms = started_ms};
	struct segment_sealed sealed;

	assert_int_equal(blob_add_format(&plain, "{\"salt\":\"%s\",\"person\":\"alice\"}", m->id), 0);
	assert_int_equal(sha256_of(leaf.meta, plain.at, plain.size), 0);
	assert_int_equal(segment_seal(&seal, &sealed), 0);
	assert_int_equal(sums_add(&m->sums, SESSIONINDEX_META, sealed.sha256), 0);
	(void)snprintf(leaf.rec, sizeof(leaf.rec), "%s", m->id);
	leaf_enter(m->site, &leaf);
	blob_free(&plain);
}

/* Index, sums and leaf of a file that was put. */
static void
segment_note(struct making *m, enum segment_track track, uint32_t number, const char *name,
    const struct segment_sealed *sealed, int recovered)
{
	struct leaf leaf = {.kind = LEAF_SEGMENT,
	    .track = track,
	    .number = number,
	    .sealed = *sealed,
	    .made = recovered ? LEAF_RECOVERED : LEAF_SEALED};
	struct sessionindex_segment s = {.track = track,
	    .number = number,
	    .sealed = *sealed,
	    .begin_ms = 1000 * number,
	    .end_ms = 1000 * number + 500,
	    .events = 3,
	    .cols = 80,
	    .rows = 24,
	    .made = recovered ? SESSIONINDEX_RECOVERED : SESSIONINDEX_SEALED};

	memcpy(leaf.prev, m->prev[track], sizeof(leaf.prev));
	memcpy(m->prev[track], sealed->sha256, sizeof(leaf.prev));
	(void)snprintf(leaf.rec, sizeof(leaf.rec), "%s", m->id);
	(void)snprintf(leaf.name, sizeof(leaf.name), "%s", name);
	leaf_enter(m->site, &leaf);
	assert_int_equal(sessionindex_add(&m->index, &s), 0);
	assert_int_equal(sums_add(&m->sums, name, sealed->sha256), 0);
}

/* A megabyte that zstd cannot make small. */
static void
big_add(struct cast_writer *w, struct cast_source source)
{
	char piece[4096];
	uint32_t r = 1;

	for (int i = 0; i < 256; i++) {
		for (size_t k = 0; k < sizeof(piece); k++) {
			r = r * 1664525 + 1013904223;
			piece[k] = (char)('!' + (r >> 16) % 90);
		}
		assert_int_equal(cast_writer_bytes(w, 100, source, piece, sizeof(piece)), 0);
	}
}

static void
segment_make(struct making *m, enum segment_track track, uint32_t number, int parts)
{
	const struct cast_head head = {.cols = 80, .rows = 24, .started = 1764000000 + number};
	struct blob plain = {.at = NULL};
	struct cast_writer *w = cast_writer_new(&plain, &head, 0);
	char name[SEGMENT_NAME_MAX], line[64], fact[80];
	struct segment_seal seal = {
	    .dir = m->dir, .name = name, .plain = &plain, .recipients = &m->site->recipient, .count = 1};
	const struct cast_source source = {.stream = track == SEGMENT_INPUT ? CAST_STREAM_IN : CAST_STREAM_OUT};
	struct segment_sealed sealed;
	int n = snprintf(line, sizeof(line), "segment %u says hello\r\n", number);

	assert_non_null(w);
	(void)snprintf(
	    fact, sizeof(fact), "{\"ev\":\"segment\",\"n\":%u,\"boot_ms\":%u}", number, 1000 + 1000 * number);
	assert_int_equal(cast_writer_fact(w, 'E', fact), 0);
	if (track == SEGMENT_OUTPUT)
		assert_int_equal(cast_writer_fact(w, 'E', uploaded), 0);
	assert_int_equal(cast_writer_bytes(w, 100, source, line, (size_t)n), 0);
	if ((parts & SITE_HOSTILE) != 0 && track == SEGMENT_OUTPUT) {
		assert_int_equal(cast_writer_bytes(w, 200, source, hostile, sizeof(hostile) - 1), 0);
		assert_int_equal(cast_writer_marker(w, 300, "exec: \x1b]52;c;eA==\x07 ls"), 0);
	}
	if ((parts & SITE_BIG) != 0 && number == 0 && track == SEGMENT_OUTPUT)
		big_add(w, source);
	assert_int_equal(cast_writer_end(w, 400), 0);
	cast_writer_free(w);
	assert_int_equal(segment_name(name, track, number), 0);
	assert_int_equal(segment_seal(&seal, &sealed), 0);
	segment_note(m, track, number, name, &sealed, 0);
	blob_free(&plain);
}

static void
record_add(struct blob *to, struct journal_record *r, enum journal_type type, const void *body, size_t size,
    const uint8_t *key)
{
	r->type = type;
	r->body = body;
	r->body_len = size;
	assert_int_equal(blob_reserve(to, journal_record_bytes(type, size)), 0);
	to->size += journal_write(to->at + to->size, r, key);
	r->sequence++;
}

/* What a killed recorder left of one segment: header, BEGIN and one record of frames. */
static void
recovered_make(struct making *m, uint32_t number)
{
	static const char begin[] =
	    "{\"boot_ms\":9000,\"wall_ms\":1764000009000,\"cols\":80,\"rows\":24,\"term\":\"xterm\"}";
	static const char shown[] = "recovered says hello\r\n";
	const struct ring_frame frame = {.type = FRAME_OUT,
	    .sequence = 1,
	    .boot_us = 9100000,
	    .at = (const uint8_t *)shown,
	    .len = sizeof(shown) - 1};
	unsigned char file_key[AGE_FILE_KEY_SIZE];
	uint8_t key[JOURNAL_KEY_BYTES], frames[JOURNAL_FRAME_HEAD + sizeof(shown)];
	struct journal_record r = {.track = JOURNAL_MAIN, .segment = number};
	struct blob wal = {.at = NULL}, header = {.at = NULL};
	char name[SEGMENT_NAME_MAX];
	struct segment_sealed sealed;

	assert_int_equal(age_file_key_make(file_key), 0);
	assert_int_equal(journal_key(key, file_key), 0);
	assert_int_equal(age_header_make(&header, file_key, &m->site->recipient, 1), 0);
	assert_int_equal(blob_reserve(&wal, JOURNAL_FILE_BYTES), 0);
	journal_preamble(wal.at, number);
	wal.size = JOURNAL_FILE_BYTES;
	record_add(&wal, &r, JOURNAL_HEADER, header.at, header.size, NULL);
	record_add(&wal, &r, JOURNAL_BEGIN, begin, sizeof(begin) - 1, key);
	record_add(&wal, &r, JOURNAL_FRAMES, frames, journal_frame_write(frames, &frame), key);
	assert_int_equal(segment_recovered_name(name, SEGMENT_OUTPUT, number), 0);
	assert_int_equal(segment_put(m->dir, name, &wal, &sealed), 0);
	segment_note(m, SEGMENT_OUTPUT, number, name, &sealed, 1);
	blob_free(&wal);
	blob_free(&header);
}

/* index.json and SHA256SUMS. */
static void
closing_make(struct making *m)
{
	struct blob text = {.at = NULL};
	unsigned char sha256[SUMS_SHA256];

	assert_int_equal(sessionindex_write(&m->index, &text), 0);
	assert_int_equal(sha256_of(sha256, text.at, text.size), 0);
	assert_int_equal(disk_put(m->dir, SESSIONINDEX_FILE, text.at, text.size), 0);
	assert_int_equal(sums_add(&m->sums, SESSIONINDEX_FILE, sha256), 0);
	blob_clear(&text);
	assert_int_equal(sums_write(&m->sums, &text), 0);
	assert_int_equal(disk_put(m->dir, SUMS_FILE, text.at, text.size), 0);
	blob_free(&text);
}

void
site_record_end(struct site *s, const char *id, int64_t started_ms)
{
	struct leaf leaf = {
	    .kind = LEAF_END, .at_ms = started_ms + 5000, .segments = SEGMENTS, .inputs = 1, .cause = "closed"};
	char path[SHELVES_PATH], under[128];
	uint64_t size;
	int dir;

	shelves_path(path, id, started_ms);
	(void)snprintf(under, sizeof(under), "recordings/%s", path);
	dir = under_open(s, under);
	assert_int_equal(sha256_of_file(leaf.sums, dir, SUMS_FILE, &size), 0);
	(void)close(dir);
	(void)snprintf(leaf.rec, sizeof(leaf.rec), "%s", id);
	leaf_enter(s, &leaf);
}

void
site_record(struct site *s, const char *id, int64_t started_ms, int parts)
{
	struct making m = {.site = s,
	    .id = id,
	    .index = {.started_ms = started_ms, .ended_ms = started_ms + 5000, .cause = "closed"}};
	char path[SHELVES_PATH], under[128];

	shelves_path(path, id, started_ms);
	assert_int_equal(site_sh(s, NULL, "mkdir -p $R/%s", path), 0);
	(void)snprintf(under, sizeof(under), "recordings/%s", path);
	m.dir = under_open(s, under);
	(void)snprintf(m.index.rec, sizeof(m.index.rec), "%s", id);
	meta_make(&m, started_ms);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		if (i == SEGMENTS - 1 && (parts & SITE_RECOVERED) != 0)
			recovered_make(&m, i);
		else
			segment_make(&m, SEGMENT_OUTPUT, i, parts);
	segment_make(&m, SEGMENT_INPUT, 0, parts);
	if ((parts & SITE_LIVE) == 0) {
		closing_make(&m);
		site_record_end(s, id, started_ms);
	}
	sums_free(&m.sums);
	sessionindex_free(&m.index);
	(void)close(m.dir);
}
