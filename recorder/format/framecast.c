#include "format/framecast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "contract/tables.h"
#include "format/carried.h"
#include "format/safetext.h"

#define LABEL_MAX 200u              /* bytes of a command that a marker shows */
#define FAR_MS (24 * 3600 * 1000LL) /* no frame is further from its segment's beginning */

struct framecast {
	struct cast_writer *writer;
	struct framecast_screen *screen; /* lent */
	enum journal_track track;
	int64_t begin_ms;
	uint32_t events;
};

enum journal_track
framecast_track(uint16_t type)
{
	return (type == FRAME_IN ? JOURNAL_INPUT : JOURNAL_MAIN);
}

static unsigned
get16(const uint8_t *p)
{
	return ((unsigned)p[0] << 8 | p[1]);
}

static uint32_t
get32(const uint8_t *p)
{
	return ((uint32_t)get16(p) << 16 | get16(p + 2));
}

struct framecast *
framecast_new(struct blob *to, struct framecast_screen *screen, const struct framecast_begin *begin)
{
	struct framecast *c = calloc(1, sizeof *c);
	struct cast_head head = {.cols = screen->cols,
	    .rows = screen->rows,
	    .started = begin->wall_ms / 1000,
	    .term = screen->term[0] != '\0' ? screen->term : NULL};
	char fact[160];

	if (c == NULL)
		return (NULL);
	c->screen = screen;
	c->track = begin->track;
	c->begin_ms = begin->boot_ms;
	(void)snprintf(fact, sizeof fact, "{\"ev\":\"segment\",\"n\":%u,\"boot_ms\":%lld,\"wall_ms\":%lld}",
	    begin->segment, (long long)begin->boot_ms, (long long)begin->wall_ms);
	if ((c->writer = cast_writer_new(to, &head, (uint64_t)begin->boot_ms)) == NULL ||
	    cast_writer_fact(c->writer, 'E', fact) == -1 ||
	    (begin->track == JOURNAL_MAIN &&
	        cast_writer_fact(c->writer, 'K', "{\"keyframe\":false,\"why\":\"no renderer\"}") == -1)) {
		framecast_free(c);
		return (NULL);
	}
	return (c);
}

/* When a frame was made, as its session says: what cannot be would make a segment that no player takes. */
static int64_t
frame_ms(const struct framecast *c, const struct ring_frame *f)
{
	int64_t ms = f->boot_us / 1000, low = c->begin_ms > FAR_MS ? c->begin_ms - FAR_MS : 0;

	return (ms < low ? low : ms > c->begin_ms + FAR_MS ? c->begin_ms + FAR_MS : ms);
}

/* A fact {"ev":name,"channel":n,"boot_ms":n<more>} and, where a player should show it, a marker. */
static int
fact_add(
    struct framecast *c, const struct ring_frame *f, const char *name, const struct blob *more, const char *label)
{
	struct blob line = {0};
	int64_t at_ms = frame_ms(c, f);
	int result = -1;

	if (blob_add_format(
	        &line, "{\"ev\":\"%s\",\"channel\":%u,\"boot_ms\":%lld", name, f->channel, (long long)at_ms) == 0 &&
	    (more == NULL || blob_add(&line, more->at, more->size) == 0) && blob_add(&line, "}", 2) == 0 &&
	    cast_writer_fact(c->writer, 'E', (const char *)line.at) == 0 &&
	    (label == NULL || cast_writer_marker(c->writer, (uint64_t)at_ms, label) == 0))
		result = 0;
	blob_free(&line);
	return (result);
}

/* "exec: ls -l" with its NUL, fit for any player: without the line's end, and cut. */
static int
label_make(struct blob *label, const char *name, const uint8_t *text, size_t size)
{
	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	return (blob_add_format(label, "%s: ", name) |
	        safetext_line(text, size < LABEL_MAX ? size : LABEL_MAX, label) |
	        blob_add(label, size > LABEL_MAX ? "..." : "", size > LABEL_MAX ? 4 : 1));
}

enum marking { UNMARKED, MARKED };

/* A fact with the payload as text and, because text may lose bytes, in base64. */
static int
text_fact_add(
    struct framecast *c, const struct ring_frame *f, const char *name, const char *field, enum marking marking)
{
	struct blob more = {0}, label = {0};
	int result = -1;

	if (blob_add_format(&more, ",\"%s\":", field) == 0 && blob_add_json(&more, f->at, f->len) == 0 &&
	    blob_add_text(&more, ",\"b64\":\"") == 0 && blob_add_base64(&more, f->at, f->len) == 0 &&
	    blob_add_text(&more, "\"") == 0 && label_make(&label, name, f->at, f->len) == 0)
		result = fact_add(c, f, name, &more, marking == MARKED ? (const char *)label.at : NULL);
	blob_free(&more);
	blob_free(&label);
	return (result);
}

static int
exit_add(struct framecast *c, const struct ring_frame *f)
{
	struct blob more = {0}, label = {0};
	int result = -1;

	if (blob_add_format(&more, ",\"status\":%u", get32(f->at)) == 0 &&
	    blob_add_format(&label, "exit %u", get32(f->at)) == 0 && blob_add(&label, "", 1) == 0)
		result = fact_add(c, f, "exit", &more, (const char *)label.at);
	blob_free(&more);
	blob_free(&label);
	return (result);
}

/* Why the stream is over: the reason by number and code, and what was said of it. */
static int
end_add(struct framecast *c, const struct ring_frame *f)
{
	const char *code = reason_code((enum reason)get16(f->at));
	struct blob more = {0}, label = {0};
	int result = -1;

	if (blob_add_format(&more, ",\"reason\":%u,\"code\":\"%s\",\"text\":", get16(f->at), code) == 0 &&
	    blob_add_json(&more, f->at + 2, f->len - 2) == 0 && blob_add_format(&label, "end: %s", code) == 0 &&
	    blob_add(&label, "", 1) == 0)
		result = fact_add(c, f, "end", &more, (const char *)label.at);
	blob_free(&more);
	blob_free(&label);
	return (result);
}

/*
 * What a session states as JSON is kept as JSON when it is an object, and as text when it is not.  What says that
 * something was carried has a marker.
 */
static int
json_fact_add(struct framecast *c, const struct ring_frame *f)
{
	json_t *object = json_loadb(f->len > 0 ? (const char *)f->at : "", f->len, JSON_REJECT_DUPLICATES, NULL);
	char *text = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
	struct blob more = {0}, label = {0};
	struct carried carried;
	int marked = text != NULL && carried_read(&carried, object) == 0, result = -1;

	if (text == NULL)
		result = text_fact_add(c, f, "fact", "text", UNMARKED);
	else if (blob_add_text(&more, ",\"fact\":") == 0 && blob_add_text(&more, text) == 0 &&
	         (!marked || (carried_label(&carried, &label) == 0 && blob_add(&label, "", 1) == 0)))
		result = fact_add(c, f, "fact", &more, marked ? (const char *)label.at : NULL);
	json_decref(object);
	free(text);
	blob_free(&more);
	blob_free(&label);
	return (result);
}

static int
size_add(struct framecast *c, const struct ring_frame *f)
{
	struct blob more = {0};
	size_t term = f->len > 4 ? f->len - 4 : 0;
	int result = -1;

	if (f->len < 4)
		return (text_fact_add(c, f, frame_name(f->type), "text", UNMARKED));
	c->screen->cols = get16(f->at);
	c->screen->rows = get16(f->at + 2);
	if (f->type == FRAME_PTY) {
		(void)snprintf(c->screen->term, sizeof c->screen->term, "%.*s", (int)term, (const char *)f->at + 4);
		if (blob_add_format(
		        &more, ",\"cols\":%u,\"rows\":%u,\"term\":", c->screen->cols, c->screen->rows) == 0 &&
		    blob_add_json(&more, f->at + 4, term) == 0)
			result = fact_add(c, f, "pty", &more, NULL);
		blob_free(&more);
		if (result == -1)
			return (-1);
	}
	if (c->screen->cols == 0 || c->screen->rows == 0)
		return (0);
	return (cast_writer_resize(c->writer, (uint64_t)frame_ms(c, f), c->screen->cols, c->screen->rows));
}

/* ---- which channels have a terminal ---- */

static int
channel_has(const struct framecast_channels *set, uint32_t channel)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->channel[i] == channel)
			return (1);
	return (0);
}

static void
channel_put(struct framecast_channels *set, uint32_t channel)
{
	if (set->count < FRAMECAST_CHANNELS && !channel_has(set, channel))
		set->channel[set->count++] = channel;
}

static void
channel_drop(struct framecast_channels *set, uint32_t channel)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->channel[i] == channel) {
			set->channel[i] = set->channel[--set->count];
			return;
		}
}

/* A terminal is asked for before what runs on it. */
static void
channels_note(struct framecast_screen *s, const struct ring_frame *f)
{
	switch (f->type) {
	case FRAME_PTY:
		channel_put(&s->terminals, f->channel);
		channel_drop(&s->bare, f->channel);
		break;
	case FRAME_SHELL:
	case FRAME_EXEC:
	case FRAME_SUBSYSTEM:
	case FRAME_FORWARD:
		if (!channel_has(&s->terminals, f->channel) && s->terminals.count < FRAMECAST_CHANNELS)
			channel_put(&s->bare, f->channel);
		break;
	case FRAME_CLOSE:
		channel_drop(&s->terminals, f->channel);
		channel_drop(&s->bare, f->channel);
		break;
	default:
		break;
	}
}

static int
bytes_event_add(struct framecast *c, const struct ring_frame *f)
{
	struct cast_source source = {.channel = f->channel,
	    .stream = f->type == FRAME_IN    ? CAST_STREAM_IN
	              : f->type == FRAME_ERR ? CAST_STREAM_ERR
	                                     : CAST_STREAM_OUT};

	return ((channel_has(&c->screen->bare, f->channel) ? cast_writer_data : cast_writer_bytes)(
	    c->writer, (uint64_t)frame_ms(c, f), source, f->at, f->len));
}

/* Frames whose payload is text, as facts. */
static const struct text_frame {
	enum frame_type type;
	const char *field;
	enum marking marking;
} text_frames[] = {
    {FRAME_EXEC, "command", MARKED},
    {FRAME_SUBSYSTEM, "name", MARKED},
    {FRAME_FORWARD, "connection", MARKED},
    {FRAME_NOTICE, "text", MARKED},
    {FRAME_ENV, "text", UNMARKED},
    {FRAME_SIGNAL, "text", UNMARKED},
    {FRAME_SIGNAL_IN, "text", UNMARKED},
};

static int
other_add(struct framecast *c, const struct ring_frame *f)
{
	const char *name = frame_name(f->type);

	for (size_t i = 0; i < sizeof(text_frames) / sizeof(text_frames[0]); i++)
		if (text_frames[i].type == f->type)
			return (text_fact_add(c, f, name, text_frames[i].field, text_frames[i].marking));
	return (text_fact_add(c, f, name != NULL ? name : "unknown", "text", UNMARKED));
}

static int
frame_add(struct framecast *c, const struct ring_frame *f)
{
	switch (f->type) {
	case FRAME_IN:
	case FRAME_OUT:
	case FRAME_ERR:
		return (bytes_event_add(c, f));
	case FRAME_PTY:
	case FRAME_RESIZE:
		return (size_add(c, f));
	case FRAME_SHELL:
		return (fact_add(c, f, "shell", NULL, "shell"));
	case FRAME_EXIT:
		return (f->len == 4 ? exit_add(c, f) : other_add(c, f));
	case FRAME_END:
		return (f->len >= 2 ? end_add(c, f) : other_add(c, f));
	case FRAME_FACT:
		return (json_fact_add(c, f));
	case FRAME_EOF_IN:
	case FRAME_EOF_OUT:
	case FRAME_CLOSE:
		return (fact_add(c, f, frame_name(f->type), NULL, NULL));
	default:
		return (other_add(c, f));
	}
}

int
framecast_add(struct framecast *c, const struct ring_frame *f)
{
	if (framecast_track(f->type) != c->track)
		return (0);
	c->events++;
	if (frame_add(c, f) == -1)
		return (-1);
	channels_note(c->screen, f);
	return (0);
}

int
framecast_end(struct framecast *c, int64_t boot_ms)
{
	return (cast_writer_end(c->writer, (uint64_t)boot_ms));
}

void
framecast_free(struct framecast *c)
{
	if (c == NULL)
		return;
	cast_writer_free(c->writer);
	free(c);
}

uint32_t
framecast_events(const struct framecast *c)
{
	return (c->events);
}
