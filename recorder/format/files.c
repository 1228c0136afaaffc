/* What a recording carried: see files.h. */
#include "format/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "format/carried.h"
#include "format/cast.h"
#include "format/recovered.h"
#include "format/safetext.h"
#include "format/track.h"

enum { DIGEST_SHOWN = 12, DIGEST_WHOLE = 64, SAYS_MAX = 160 };

#define UNKNOWN INT64_MIN                 /* a clock's moment that was not said */
#define CLOCK_MOST INT64_C(4000000000000) /* ms: what any clock says before the year 2096 */

struct files {
	struct files_about about;
	struct track track;
	size_t next;
	uint32_t expected; /* number of the next segment */
	enum { NOT_BEGUN, BEGUN, OVER } state;

	/* Time, in ms: where the recording began, and the segment at work, on the recorder's clocks. */
	int64_t first_boot, boot, wall;
	int64_t base, last; /* of the segment, of the last row; since the recording began */

	/* Found. */
	size_t rows;
	unsigned missing, recovered;
	int listed; /* track_find_listed() */
	char says[SAYS_MAX];

	/* While a segment is read. */
	struct blob *out;
	struct cast_reader *reader;
	int failed;
};

/* Where a row stands. */
struct moment {
	int64_t at;   /* since the recording began */
	int64_t wall; /* UNKNOWN: not said */
};

/* Facts that are rows beside the session's own, and the member that says what they are about. */
static const struct {
	const char *ev, *member;
} rows[] = {
    {"shell", ""},
    {"exec", "command"},
    {"subsystem", "name"},
    {"forward", "connection"},
    {"end", "code"},
};

/* ---- a table for people ---- */

/* Cells of a row; NULL: "-".  place is last, because it may be long and be anything. */
struct cells {
	const char *channel, *what, *bytes, *digest, *result, *place;
};

static unsigned
digest_width(const struct files *f)
{
	return (f->about.columns == 0 || f->about.columns >= FILES_WIDE ? DIGEST_WHOLE : DIGEST_SHOWN);
}

/* A cell of so many columns (more where it is longer, but for a cut), and two spaces; negative: right-aligned. */
static int
cell_add(struct blob *out, const char *text, int width, size_t cut)
{
	size_t size = text == NULL ? 1 : strlen(text), letters = 0;
	struct blob clean = {.at = NULL};
	int failed = safetext_line(text == NULL ? "-" : text, cut > 0 && size > cut ? cut : size, &clean), pad;

	for (size_t i = 0; i < clean.size; i++)
		letters += (clean.at[i] & 0xc0) != 0x80;
	pad = abs(width) > (int)letters ? abs(width) - (int)letters : 0;
	failed |= blob_add_format(out, "%*s", width < 0 ? pad : 0, "") | blob_add(out, clean.at, clean.size) |
	          blob_add_format(out, "%*s  ", width < 0 ? 0 : pad, "");
	blob_free(&clean);
	return (failed);
}

static int
row_add(struct files *f, const char *time, const struct cells *c)
{
	const char *place = c->place == NULL ? "-" : c->place;
	struct blob *out = f->out;

	return (cell_add(out, time, 8, 0) | cell_add(out, c->channel, -7, 0) | cell_add(out, c->what, 9, 40) |
	        cell_add(out, c->bytes, -11, 0) | cell_add(out, c->digest, (int)digest_width(f), digest_width(f)) |
	        cell_add(out, c->result, 19, 200) | safetext_line(place, strlen(place), out) |
	        blob_add_text(out, f->about.line_end));
}

static int
head_add(struct files *f)
{
	static const struct cells titles = {"CHANNEL", "WHAT", "BYTES", "SHA256", "RESULT", "PATH"};

	return (row_add(f, "TIME", &titles));
}

static int
moment_row(struct files *f, struct moment m, const struct cells *c)
{
	int64_t seconds = m.at > 0 ? m.at / 1000 : 0;
	char time[32];

	(void)snprintf(time, sizeof(time), "%02lld:%02d:%02d", (long long)seconds / 3600, (int)(seconds / 60 % 60),
	    (int)(seconds % 60));
	return (row_add(f, time, c));
}

/* "ok; not the whole file; no digest: not in order", "refused: capability", "in 5, out 7" */
static int
result_print(const struct carried *c, struct blob *to)
{
	int failed = 0;

	if (c->kind == CARRIED_FORWARD)
		failed = blob_add_format(to, "in %lld, out %lld", (long long)c->bytes_in, (long long)c->bytes_out);
	else
		failed =
		    blob_add_text(to, c->kind == CARRIED_REFUSED ? "refused: " : "") | blob_add_text(to, c->result);
	if (c->kind == CARRIED_FILE && c->is_part)
		failed |= blob_add_text(to, "; not the whole file");
	if (c->kind == CARRIED_FILE && c->sha256[0] == '\0')
		failed |= blob_add_text(to, "; no digest: ") | blob_add_text(to, c->why);
	return (failed | blob_add(to, "", 1));
}

static int
carried_row(struct files *f, struct moment m, const char *channel, const struct carried *carried)
{
	struct blob result = {.at = NULL}, place = {.at = NULL};
	struct cells c = {.channel = channel, .what = carried->op};
	char bytes[32];
	int failed = result_print(carried, &result) | carried_place(carried, &place) | blob_add(&place, "", 1);

	(void)snprintf(bytes, sizeof(bytes), "%lld", (long long)carried->bytes);
	c.bytes = carried->bytes >= 0 ? bytes : NULL;
	c.digest = carried->sha256[0] != '\0' ? carried->sha256 : NULL;
	if (!failed) {
		c.result = (const char *)result.at;
		c.place = (const char *)place.at;
		failed = moment_row(f, m, &c);
	}
	blob_free(&result);
	blob_free(&place);
	return (failed);
}

/* ---- one JSON array for programs ---- */

/* Appends the object (given): escaped to ASCII, DEL too, so that it may even be looked at. */
static int
object_add(struct files *f, json_t *object)
{
	char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
	int failed = text == NULL ? -1 : blob_add_text(f->out, f->rows > 0 ? ",\n" : "");

	for (const char *at = text; at != NULL && *at != '\0' && failed == 0;) {
		size_t run = strcspn(at, "\x7f");

		failed = blob_add(f->out, at, run) | blob_add_text(f->out, at[run] != '\0' ? "\\u007f" : "");
		at += run + (at[run] != '\0');
	}
	free(text);
	json_decref(object);
	return (failed);
}

static int
set(json_t *o, const char *key, json_t *value)
{
	return (json_object_set_new(o, key, value));
}

static json_t *
moment_object(struct moment m)
{
	json_t *o = json_object();
	char time[48];

	clock_rfc3339(m.wall, time, sizeof(time));
	if (o == NULL || (m.wall >= 0 && set(o, "time", json_string(time)) == -1) ||
	    set(o, "at_ms", json_integer(m.at)) == -1) {
		json_decref(o);
		return (NULL);
	}
	return (o);
}

/* The fact as it was recorded, without what only places it; of a FACT, `from` is the session's own object. */
static int
fact_object(struct files *f, struct moment m, json_t *fact, json_t *from)
{
	json_t *o = moment_object(m);

	if (o == NULL || json_object_set(o, "channel", json_object_get(fact, "channel")) == -1 ||
	    json_object_update_missing(o, from) == -1) {
		json_decref(o);
		return (-1);
	}
	(void)json_object_del(o, "boot_ms");
	return (object_add(f, o));
}

/* ---- rows ---- */

/* A clock's reading; UNKNOWN when there is none, or one that no clock gives (sums of these never overflow). */
static int64_t
clock_of(const json_t *fact, const char *key)
{
	const json_t *value = json_object_get(fact, key);
	json_int_t ms = json_integer_value(value);

	return (json_is_integer(value) && ms >= 0 && ms <= CLOCK_MOST ? ms : UNKNOWN);
}

/* By the fact's own clock; by the event before it where an older recorder did not say. */
static struct moment
moment_of(const struct files *f, const json_t *fact)
{
	int64_t boot = clock_of(fact, "boot_ms"), in_segment = (int64_t)cast_reader_at_ms(f->reader);
	struct moment m = {.wall = UNKNOWN};

	if (boot != UNKNOWN && f->boot != UNKNOWN)
		in_segment = boot - f->boot;
	m.at = f->base + in_segment;
	if (f->wall != UNKNOWN)
		m.wall = f->wall + in_segment;
	return (m);
}

/* What a session says that it carried.  1: a row, 0: none of these, -1: no memory. */
static int
carried_fact(struct files *f, struct moment m, const char *channel, json_t *fact)
{
	json_t *own = json_object_get(fact, "fact");
	struct carried carried;

	if (carried_read(&carried, own) == -1)
		return (0);
	if (f->about.form == FILES_JSON)
		return (fact_object(f, m, fact, own) == -1 ? -1 : 1);
	return (carried_row(f, m, channel, &carried) == -1 ? -1 : 1);
}

/* A command, a subsystem, the end: as above. */
static int
other_fact(struct files *f, struct moment m, const char *channel, json_t *fact, const char *ev)
{
	struct cells c = {.channel = strcmp(ev, "end") == 0 ? NULL : channel, .what = ev};
	size_t i = 0;

	while (i < sizeof(rows) / sizeof(rows[0]) && strcmp(rows[i].ev, ev) != 0)
		i++;
	if (i == sizeof(rows) / sizeof(rows[0]))
		return (0);
	if (f->about.form == FILES_JSON)
		return (fact_object(f, m, fact, fact) == -1 ? -1 : 1);
	c.place = json_string_value(json_object_get(fact, rows[i].member));
	return (moment_row(f, m, &c) == -1 ? -1 : 1);
}

static int
fact_row(struct files *f, json_t *fact, const char *ev)
{
	struct moment m = moment_of(f, fact);
	char channel[32];
	int added;

	(void)snprintf(
	    channel, sizeof(channel), "%lld", (long long)json_integer_value(json_object_get(fact, "channel")));
	added = strcmp(ev, "fact") == 0 ? carried_fact(f, m, channel, fact) : other_fact(f, m, channel, fact, ev);
	if (added == 1) {
		f->rows++;
		f->last = m.at;
	}
	return (added == -1 ? -1 : 0);
}

static int
missing_row(struct files *f, const char *name, const char *why)
{
	struct moment m = {.at = f->last, .wall = UNKNOWN};
	struct cells c = {.what = "missing", .result = why, .place = name};
	json_t *o;
	int result;

	f->missing++;
	if (f->about.form == FILES_TABLE)
		result = moment_row(f, m, &c);
	else if ((o = moment_object(m)) == NULL || set(o, "missing", json_string(name)) == -1 ||
	         set(o, "why", json_string(why)) == -1)
		result = -1;
	else
		result = object_add(f, o);
	f->rows++;
	return (result);
}

/* ---- one segment ---- */

/* Where the segment stands: by the recorder's clock where both it and the first say so, else behind the last row. */
static void
segment_place(struct files *f, const json_t *fact)
{
	if (f->boot != UNKNOWN || (f->boot = clock_of(fact, "boot_ms")) == UNKNOWN)
		return;
	f->wall = clock_of(fact, "wall_ms");
	if (f->first_boot == UNKNOWN && f->next == 0)
		f->first_boot = f->boot;
	if (f->first_boot != UNKNOWN && f->boot >= f->first_boot)
		f->base = f->boot - f->first_boot;
}

static int
on_fact(void *self, char letter, const char *json)
{
	struct files *f = self;
	json_t *fact = letter == 'E' ? json_loads(json, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *ev = json_string_value(json_object_get(fact, "ev"));

	if (ev != NULL && strcmp(ev, "segment") == 0)
		segment_place(f, fact);
	else if (ev != NULL)
		f->failed |= fact_row(f, fact, ev);
	json_decref(fact);
	return (f->failed);
}

/* 0; -1: no memory. */
static int
segment_read(struct files *f, const struct track_segment *s)
{
	const struct cast_watcher watcher = {.on_fact = on_fact, .self = f};
	struct segment_report report;
	struct blob plain = {.at = NULL};
	char why[128];

	f->boot = f->wall = UNKNOWN;
	f->base = f->last;
	errno = 0;
	if (recovered_or_sealed_open(f->about.dir, s->name, f->about.ring, &plain, &report) != SEGMENT_OK) {
		segment_report_text(&report, why, sizeof(why));
		f->failed |= missing_row(f, s->name, why);
	} else if ((f->reader = cast_reader_new(&watcher)) == NULL)
		f->failed = -1;
	else if (cast_reader_add(f->reader, plain.at, plain.size) != CAST_OK ||
	         cast_reader_end(f->reader) != CAST_OK) {
		(void)snprintf(why, sizeof(why), "line %u is no asciicast", cast_reader_line(f->reader));
		if (!f->failed)
			f->failed = missing_row(f, s->name, why);
	}
	cast_reader_free(f->reader);
	f->reader = NULL;
	blob_free(&plain);
	return (f->failed == 0 ? 0 : -1);
}

/* Numbers that are left out: as far as a list of all names them, they are in the track. */
static int
gap_row(struct files *f, uint32_t number)
{
	char name[64];

	if (number == f->expected + 1)
		(void)snprintf(name, sizeof(name), "segment %u", f->expected);
	else
		(void)snprintf(name, sizeof(name), "segments %u to %u", f->expected, number - 1);
	return (missing_row(f, name, "not on the shelf"));
}

/* ---- the whole ---- */

struct files *
files_new(const struct files_about *about)
{
	struct files *f = calloc(1, sizeof(*f));
	int saved;

	if (f == NULL)
		return (NULL);
	f->about = *about;
	f->first_boot = UNKNOWN;
	if (track_find(&f->track, about->dir, SEGMENT_OUTPUT) == 0) {
		f->listed = track_find_listed(&f->track, about->dir, SEGMENT_OUTPUT);
		return (f);
	}
	saved = errno;
	files_free(f);
	errno = saved;
	return (NULL);
}

static void
over(struct files *f)
{
	f->state = OVER;
	if (f->missing > 0)
		(void)snprintf(
		    f->says, sizeof(f->says), "something is missing: this is what could be read of the recording");
	else if (f->listed == 1)
		(void)snprintf(
		    f->says, sizeof(f->says), "this recording is not closed: this is what was sealed of it");
	else if (f->recovered > 0)
		(void)snprintf(f->says, sizeof(f->says),
		    "a part of this recording was recovered after a crash: what was under way then may have no "
		    "row");
}

static enum files_step
begin(struct files *f)
{
	int failed = f->about.form == FILES_JSON ? blob_add_text(f->out, "[\n") : head_add(f);

	f->state = BEGUN;
	if (f->listed == -1)
		failed |= missing_row(f, "SHA256SUMS", "is not readable");
	return (failed ? FILES_FAILED : FILES_MORE);
}

enum files_step
files_step(struct files *f, struct blob *out)
{
	const struct track_segment *s;

	f->out = out;
	if (f->state == NOT_BEGUN)
		return (begin(f));
	if (f->state == OVER)
		return (FILES_END);
	if (f->next == f->track.count) {
		over(f);
		return (f->about.form == FILES_JSON && blob_add_text(out, f->rows > 0 ? "\n]\n" : "]\n") == -1
		            ? FILES_FAILED
		            : FILES_END);
	}
	s = &f->track.segments[f->next];
	if (s->number > f->expected && gap_row(f, s->number) == -1)
		return (FILES_FAILED);
	if (segment_read(f, s) == -1)
		return (FILES_FAILED);
	f->recovered += strstr(s->name, ".wal") != NULL;
	f->expected = s->number + 1;
	f->next++;
	return (FILES_MORE);
}

const char *
files_says(const struct files *f)
{
	return (f->says);
}

unsigned
files_missing(const struct files *f)
{
	return (f->missing);
}

void
files_free(struct files *f)
{
	if (f == NULL)
		return;
	track_free(&f->track);
	free(f);
}
