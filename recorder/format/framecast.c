#include "format/framecast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "contract/tables.h"

#define LABEL_MAX 200u /* bytes of a command that a marker shows */

struct framecast {
	struct cast_writer *writer;
	struct framecast_screen *screen; /* lent */
	enum journal_track track;
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

/* A fact {"ev":name,"channel":n,<more>} and, where a player should show it, a marker. */
static int
fact_add(
    struct framecast *c, const struct ring_frame *f, const char *name, const struct blob *more, const char *label)
{
	struct blob line = {0};
	uint64_t at_ms = (uint64_t)(f->boot_us / 1000);
	int result = -1;

	if (blob_add_format(&line, "{\"ev\":\"%s\",\"channel\":%u", name, f->channel) == 0 &&
	    (more == NULL || blob_add(&line, more->at, more->size) == 0) && blob_add(&line, "}", 2) == 0 &&
	    cast_writer_fact(c->writer, 'E', (const char *)line.at) == 0 &&
	    (label == NULL || cast_writer_marker(c->writer, at_ms, label) == 0))
		result = 0;
	blob_free(&line);
	return (result);
}

/* A fact with the payload as text and, because text may lose bytes, in base64. */
static int
text_fact_add(struct framecast *c, const struct ring_frame *f, const char *name, const char *field, int marked)
{
	struct blob more = {0};
	char label[LABEL_MAX + 32];
	int result = -1;

	(void)snprintf(label, sizeof label, "%s: %.*s", name, (int)(f->len < LABEL_MAX ? f->len : LABEL_MAX),
	    f->len > 0 ? (const char *)f->at : "");
	if (blob_add_format(&more, ",\"%s\":", field) == 0 && blob_add_json(&more, f->at, f->len) == 0 &&
	    blob_add_text(&more, ",\"b64\":\"") == 0 && blob_add_base64(&more, f->at, f->len) == 0 &&
	    blob_add_text(&more, "\"") == 0)
		result = fact_add(c, f, name, &more, marked ? label : NULL);
	blob_free(&more);
	return (result);
}

static int
number_fact_add(
    struct framecast *c, const struct ring_frame *f, const char *name, const char *field, uint32_t value)
{
	struct blob more = {0};
	char label[64];
	int result = -1;

	(void)snprintf(label, sizeof label, "%s %u", name, value);
	if (blob_add_format(&more, ",\"%s\":%u", field, value) == 0)
		result = fact_add(c, f, name, &more, label);
	blob_free(&more);
	return (result);
}

/* What a session states as JSON is kept as JSON when it is an object, and as text when it is not. */
static int
json_fact_add(struct framecast *c, const struct ring_frame *f)
{
	json_t *object = json_loadb(f->len > 0 ? (const char *)f->at : "", f->len, JSON_REJECT_DUPLICATES, NULL);
	char *text = json_is_object(object) ? json_dumps(object, JSON_COMPACT) : NULL;
	struct blob more = {0};
	int result = -1;

	json_decref(object);
	if (text == NULL)
		return (text_fact_add(c, f, "fact", "text", 0));
	if (blob_add_text(&more, ",\"fact\":") == 0 && blob_add_text(&more, text) == 0)
		result = fact_add(c, f, "fact", &more, NULL);
	free(text);
	blob_free(&more);
	return (result);
}

static int
size_add(struct framecast *c, const struct ring_frame *f)
{
	struct blob more = {0};
	size_t term = f->len > 4 ? f->len - 4 : 0;
	int result = -1;

	if (f->len < 4)
		return (text_fact_add(c, f, frame_name(f->type), "text", 0));
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
	return (cast_writer_resize(c->writer, (uint64_t)(f->boot_us / 1000), c->screen->cols, c->screen->rows));
}

static int
bytes_event_add(struct framecast *c, const struct ring_frame *f)
{
	struct cast_source source = {.channel = f->channel,
	    .stream = f->type == FRAME_IN    ? CAST_STREAM_IN
	              : f->type == FRAME_ERR ? CAST_STREAM_ERR
	                                     : CAST_STREAM_OUT};

	return (cast_writer_bytes(c->writer, (uint64_t)(f->boot_us / 1000), source, f->at, f->len));
}

int
framecast_add(struct framecast *c, const struct ring_frame *f)
{
	const char *name = frame_name(f->type);

	if (framecast_track(f->type) != c->track)
		return (0);
	c->events++;
	switch (f->type) {
	case FRAME_IN:
	case FRAME_OUT:
	case FRAME_ERR:
		return (bytes_event_add(c, f));
	case FRAME_PTY:
	case FRAME_RESIZE:
		return (size_add(c, f));
	case FRAME_EXEC:
		return (text_fact_add(c, f, name, "command", 1));
	case FRAME_NOTICE:
		return (text_fact_add(c, f, name, "text", 1));
	case FRAME_ENV:
	case FRAME_SIGNAL:
	case FRAME_SIGNAL_IN:
		return (text_fact_add(c, f, name, "text", 0));
	case FRAME_SHELL:
		return (fact_add(c, f, name, NULL, "shell"));
	case FRAME_EXIT:
		if (f->len == 4)
			return (number_fact_add(c, f, name, "status", get32(f->at)));
		break;
	case FRAME_END:
		if (f->len >= 2)
			return (number_fact_add(c, f, name, "reason", get16(f->at)));
		break;
	case FRAME_FACT:
		return (json_fact_add(c, f));
	case FRAME_EOF_IN:
	case FRAME_EOF_OUT:
	case FRAME_CLOSE:
		return (fact_add(c, f, name, NULL, NULL));
	default:
		break;
	}
	return (text_fact_add(c, f, name != NULL ? name : "unknown", "text", 0));
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
