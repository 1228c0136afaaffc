/* The safe player: see player.h. */
#include "format/player.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "format/cast.h"
#include "format/recovered.h"
#include "format/track.h"

enum {
	OUT_STEP = 64 * 1024, /* bytes that one step draws, about */
	WHY_MAX = 256
};

#define EVENT_DATA '\0' /* as `code`: output that is no text, counted alone */

/* An event of the open segment; its bytes lie in `data`. */
struct event {
	uint64_t at_ms; /* since the segment began */
	char code;
	size_t from, size;
};

struct player {
	struct player_about about;
	struct track track;
	size_t count, next;
	char *single; /* player_new_file(): its name */

	/* The open segment. */
	struct event *events;
	size_t event_count, event_room, event_next;
	struct blob data;
	int open;

	/* Time: where this segment stands in the recording, and what was drawn last. */
	int64_t first_boot_ms; /* -1: not known */
	int64_t boot_ms;       /* of the open segment; -1: not said */
	uint64_t base_ms, last_ms;
	uint64_t unshown; /* bytes that are no text, since the last ones that are */
	struct safetext text;
	char why[WHY_MAX];
};

static struct player *
player_make(const struct player_about *about)
{
	struct player *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return (NULL);
	p->about = *about;
	p->first_boot_ms = -1;
	p->text.ends = about->ends;
	return (p);
}

struct player *
player_new(const struct player_about *about)
{
	struct player *p = player_make(about);

	if (p != NULL && track_find(&p->track, about->dir, SEGMENT_OUTPUT) == -1) {
		int saved = errno;

		player_free(p);
		errno = saved;
		return (NULL);
	}
	if (p != NULL)
		p->count = p->track.count;
	return (p);
}

struct player *
player_new_file(const struct player_about *about, const char *name)
{
	struct player *p = player_make(about);

	if (p != NULL && (p->single = strdup(name)) == NULL) {
		player_free(p);
		return (NULL);
	}
	if (p != NULL)
		p->count = 1;
	return (p);
}

/* ---- one segment into memory ---- */

static int
on_event(void *self, const struct cast_event *event)
{
	struct player *p = self;
	struct event *grown;

	if (event->code != CAST_OUTPUT && event->code != CAST_MARKER)
		return (0);
	if (p->event_count == p->event_room) {
		size_t room = p->event_room == 0 ? 256 : 2 * p->event_room;

		if ((grown = realloc(p->events, room * sizeof(*grown))) == NULL)
			return (-1);
		p->events = grown;
		p->event_room = room;
	}
	p->events[p->event_count++] = (struct event){.at_ms = event->at_ms,
	    .code = event->is_data ? EVENT_DATA : event->code,
	    .from = p->data.size,
	    .size = event->size};
	return (event->is_data ? 0 : blob_add(&p->data, event->bytes, event->size));
}

/* #E {"ev":"segment","boot_ms":...}: when this segment began on the recorder's clock. */
static int
on_fact(void *self, char letter, const char *json)
{
	struct player *p = self;
	json_t *object;
	const char *ev;

	if (letter != 'E' || p->boot_ms != -1 || strstr(json, "\"segment\"") == NULL)
		return (0);
	object = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	ev = json_string_value(json_object_get(object, "ev"));
	if (ev != NULL && strcmp(ev, "segment") == 0 && json_is_integer(json_object_get(object, "boot_ms")))
		p->boot_ms = json_integer_value(json_object_get(object, "boot_ms"));
	json_decref(object);
	return (0);
}

static int
plain_get(struct player *p, const char *name, struct blob *plain)
{
	struct segment_report report;
	char text[128];
	size_t length = strlen(name);

	if (length > 5 && strcmp(name + length - 5, ".cast") == 0) {
		if (blob_read_at(plain, p->about.dir, name, SEGMENT_PLAIN_MAX) == 0)
			return (0);
		(void)snprintf(p->why, sizeof(p->why), "%s: %s", name, strerror(errno));
		return (-1);
	}
	if (recovered_or_sealed_open(p->about.dir, name, p->about.ring, plain, &report) == SEGMENT_OK)
		return (0);
	segment_report_text(&report, text, sizeof(text));
	(void)snprintf(p->why, sizeof(p->why), "%s: %s", name, text);
	return (-1);
}

/* Where the opened segment stands: by the recorder's clock when both it and the first say so, else behind the last. */
static void
base_set(struct player *p)
{
	if (p->boot_ms != -1 && p->first_boot_ms == -1 && p->next == 0)
		p->first_boot_ms = p->boot_ms;
	if (p->boot_ms != -1 && p->first_boot_ms != -1 && p->boot_ms >= p->first_boot_ms)
		p->base_ms = (uint64_t)(p->boot_ms - p->first_boot_ms);
	else
		p->base_ms = p->last_ms;
}

static int
segment_load(struct player *p)
{
	const struct cast_watcher watcher = {.on_event = on_event, .on_fact = on_fact, .self = p};
	const char *name = p->single != NULL ? p->single : p->track.segments[p->next].name;
	struct blob plain = {.at = NULL};
	struct cast_reader *r = NULL;
	int result = -1;

	p->event_count = p->event_next = 0;
	p->boot_ms = -1;
	blob_clear(&p->data);
	if (plain_get(p, name, &plain) == -1)
		goto out;
	if ((r = cast_reader_new(&watcher)) == NULL || cast_reader_add(r, plain.at, plain.size) != CAST_OK ||
	    cast_reader_end(r) != CAST_OK) {
		(void)snprintf(p->why, sizeof(p->why), "%s: line %u is no asciicast", name,
		    r == NULL ? 0 : cast_reader_line(r));
		goto out;
	}
	base_set(p);
	p->next++;
	p->open = 1;
	result = 0;
out:
	cast_reader_free(r);
	blob_free(&plain);
	return (result);
}

/* ---- drawing ---- */

/* What Lodge says stands on a line of its own: "[00:01:02 exec: ls]". */
static int
line_draw(struct player *p, const void *line, size_t size, uint64_t at_ms, struct blob *out)
{
	unsigned seconds = (unsigned)(at_ms / 1000);
	const char *end = p->about.ends == SAFETEXT_CRLF ? "\r\n" : "\n";

	return (safetext_end(&p->text, out) |
	        blob_add_format(out, "[%02u:%02u:%02u ", seconds / 3600, seconds / 60 % 60, seconds % 60) |
	        safetext_line(line, size, out) | blob_add_text(out, "]") | blob_add_text(out, end));
}

/* Files on their way show as one line, however many pieces they came in. */
static int
unshown_draw(struct player *p, uint64_t at_ms, struct blob *out)
{
	char line[64];
	int size = snprintf(line, sizeof(line), "%llu byte%s no text", (unsigned long long)p->unshown,
	    p->unshown == 1 ? " that is" : "s that are");
	int result = p->unshown == 0 ? 0 : line_draw(p, line, (size_t)size, at_ms, out);

	p->unshown = 0;
	return (result);
}

static int
event_draw(struct player *p, const struct event *event, uint64_t at_ms, struct blob *out)
{
	struct blob unseen = {.at = NULL};
	struct blob *to = at_ms < p->about.at_ms ? &unseen : out;
	const unsigned char *bytes = p->data.size > 0 ? p->data.at + event->from : NULL;
	int result = 0;

	if (event->code == EVENT_DATA)
		p->unshown += to == out ? event->size : 0;
	else
		result = unshown_draw(p, at_ms, to) |
		         (event->code == CAST_MARKER ? line_draw(p, bytes, event->size, at_ms, to)
		                                     : safetext_draw(&p->text, bytes, event->size, to));
	blob_free(&unseen);
	return (result);
}

/* How long a person waits for what stands at `at_ms`, when what stood at last_ms was drawn. */
static uint64_t
wait_of(const struct player *p, uint64_t at_ms)
{
	uint64_t from = p->last_ms > p->about.at_ms ? p->last_ms : p->about.at_ms;
	uint64_t pause = at_ms > from ? at_ms - from : 0;

	if (p->about.idle_ms > 0 && pause > p->about.idle_ms)
		pause = p->about.idle_ms;
	return (p->about.speed <= 0 ? 0 : (uint64_t)((double)pause / p->about.speed));
}

enum player_step
player_step(struct player *p, struct blob *out, uint64_t *wait_ms)
{
	size_t before = out->size;

	*wait_ms = 0;
	if (!p->open) {
		if (p->next == p->count)
			return ((unshown_draw(p, p->last_ms, out) | safetext_end(&p->text, out)) == -1
			            ? PLAYER_FAILED
			            : PLAYER_END);
		return (segment_load(p) == -1 ? PLAYER_FAILED : PLAYER_MORE);
	}
	while (p->event_next < p->event_count && out->size - before < OUT_STEP) {
		const struct event *event = &p->events[p->event_next];
		uint64_t at_ms = p->base_ms + event->at_ms;

		if ((*wait_ms = wait_of(p, at_ms)) > 0) { /* waited for: the next step draws it without a pause */
			p->last_ms = at_ms;
			return (PLAYER_MORE);
		}
		if (event_draw(p, event, at_ms, out) == -1) {
			(void)snprintf(p->why, sizeof(p->why), "no memory");
			return (PLAYER_FAILED);
		}
		if (at_ms > p->last_ms)
			p->last_ms = at_ms;
		p->event_next++;
	}
	if (p->event_next == p->event_count)
		p->open = 0;
	return (PLAYER_MORE);
}

const char *
player_why(const struct player *p)
{
	return (p->why);
}

void
player_free(struct player *p)
{
	if (p == NULL)
		return;
	blob_free(&p->data);
	free(p->single);
	free(p->events);
	track_free(&p->track);
	free(p);
}

int64_t
player_time_parse(const char *text)
{
	int64_t total = 0;
	unsigned colons = 0, digits = 0, part = 0;

	for (const char *c = text;; c++) {
		if (*c >= '0' && *c <= '9' && digits < 4) {
			part = part * 10 + (unsigned)(*c - '0');
			digits++;
			continue;
		}
		if (digits == 0 || (colons > 0 && (part > 59 || digits != 2)) || (*c != ':' && *c != '\0'))
			return (-1);
		total = total * 60 + part;
		if (*c == '\0')
			return (colons == 0 || colons > 2 ? -1 : total * 1000);
		colons++;
		part = digits = 0;
	}
}
