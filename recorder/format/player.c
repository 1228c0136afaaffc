/* The safe player: see player.h. */
#include "format/player.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "format/cast.h"
#include "format/recovered.h"

enum {
	OUT_STEP = 64 * 1024, /* bytes that one step draws, about */
	WHY_MAX = 256
};

struct segment_file {
	uint32_t number;
	char name[SEGMENT_NAME_MAX];
};

/* An event of the open segment; its bytes lie in `data`. */
struct event {
	uint64_t at_ms; /* since the segment began */
	char code;
	size_t from, size;
};

struct player {
	struct player_about about;
	struct segment_file *files;
	size_t count, next;
	const char *single; /* player_new_file(): its name, ours */
	char *single_own;

	/* The open segment. */
	struct event *events;
	size_t event_count, event_room, event_next;
	struct blob data;
	int open;

	/* Time: where this segment stands in the recording, and what was drawn last. */
	int64_t first_boot_ms; /* -1: not known */
	int64_t boot_ms;       /* of the open segment; -1: not said */
	uint64_t base_ms, last_ms;
	struct safetext text;
	char why[WHY_MAX];
};

static int
by_number(const void *a, const void *b)
{
	const struct segment_file *x = a, *y = b;

	return (x->number < y->number ? -1 : x->number > y->number);
}

static int
files_find(struct player *p)
{
	int fd = openat(p->about.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (d == NULL) {
		if (fd != -1)
			(void)close(fd);
		return (-1);
	}
	errno = 0;
	while ((entry = readdir(d)) != NULL) {
		struct segment_file file, *grown;
		enum segment_track track;
		enum segment_form form;

		if (segment_name_parse(entry->d_name, &track, &file.number, &form) == -1 || track != SEGMENT_OUTPUT)
			continue;
		(void)snprintf(file.name, sizeof(file.name), "%.*s", (int)sizeof(file.name) - 1, entry->d_name);
		if ((grown = realloc(p->files, (p->count + 1) * sizeof(*grown))) == NULL)
			break;
		p->files = grown;
		grown[p->count++] = file;
	}
	(void)closedir(d);
	if (entry != NULL)
		return (-1);
	if (p->count == 0) {
		errno = ENOENT;
		return (-1);
	}
	qsort(p->files, p->count, sizeof(p->files[0]), by_number);
	return (0);
}

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

	if (p != NULL && files_find(p) == -1) {
		int saved = errno;

		player_free(p);
		errno = saved;
		return (NULL);
	}
	return (p);
}

struct player *
player_new_file(const struct player_about *about, const char *name)
{
	struct player *p = player_make(about);

	if (p != NULL && (p->single_own = strdup(name)) == NULL) {
		player_free(p);
		return (NULL);
	}
	if (p != NULL) {
		p->single = p->single_own;
		p->count = 1;
	}
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
	p->events[p->event_count++] =
	    (struct event){.at_ms = event->at_ms, .code = event->code, .from = p->data.size, .size = event->size};
	return (blob_add(&p->data, event->bytes, event->size));
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
	const char *name = p->single != NULL ? p->single : p->files[p->next].name;
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

/* A marker stands on a line of its own: "[00:01:02 exec: ls]". */
static int
marker_draw(struct player *p, const struct event *event, uint64_t at_ms, struct blob *out)
{
	unsigned seconds = (unsigned)(at_ms / 1000);
	const char *end = p->about.ends == SAFETEXT_CRLF ? "\r\n" : "\n";

	return (safetext_end(&p->text, out) |
	        blob_add_format(out, "[%02u:%02u:%02u ", seconds / 3600, seconds / 60 % 60, seconds % 60) |
	        safetext_line(p->data.at + event->from, event->size, out) | blob_add_text(out, "]") |
	        blob_add_text(out, end));
}

static int
event_draw(struct player *p, const struct event *event, uint64_t at_ms, struct blob *out)
{
	struct blob unseen = {.at = NULL};
	struct blob *to = at_ms < p->about.at_ms ? &unseen : out;
	int result = event->code == CAST_MARKER
	                 ? marker_draw(p, event, at_ms, to)
	                 : safetext_draw(&p->text, p->data.at + event->from, event->size, to);

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
			return (safetext_end(&p->text, out) == -1 ? PLAYER_FAILED : PLAYER_END);
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
	free(p->single_own);
	free(p->events);
	free(p->files);
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
