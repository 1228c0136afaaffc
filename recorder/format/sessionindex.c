/* index.json: see sessionindex.h. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "format/sessionindex.h"

int
sessionindex_add(struct sessionindex *index, const struct sessionindex_segment *segment)
{
	if (index->count == SESSIONINDEX_SEGMENTS_MAX)
		return (-1);
	if (index->count == index->room) {
		size_t room = index->room == 0 ? 16 : 2 * index->room;
		struct sessionindex_segment *segments = realloc(index->segments, room * sizeof(*segments));

		if (segments == NULL)
			return (-1);
		index->segments = segments;
		index->room = room;
	}
	index->segments[index->count++] = *segment;
	return (0);
}

static int
segment_write(const struct sessionindex_segment *s, struct blob *to)
{
	char name[SEGMENT_NAME_MAX];

	if ((s->made == SESSIONINDEX_RECOVERED ? segment_recovered_name : segment_name)(
	        name, s->track, s->number) == -1)
		return (-1);
	return (
	    blob_add_format(to, "{\"name\":\"%s\",\"sha256\":\"", name) |
	    blob_add_hex(to, s->sealed.sha256, SEGMENT_SHA256) |
	    blob_add_format(to,
	        "\",\"size\":%llu,\"begin_ms\":%llu,\"end_ms\":%llu,\"events\":%u,\"cols\":%u,\"rows\":%u,"
	        "\"keyframe\":%s,\"recovered\":%s}",
	        (unsigned long long)s->sealed.size, (unsigned long long)s->begin_ms, (unsigned long long)s->end_ms,
	        s->events, s->cols, s->rows, s->keyframe == SESSIONINDEX_KEYFRAME ? "true" : "false",
	        s->made == SESSIONINDEX_RECOVERED ? "true" : "false"));
}

int
sessionindex_write(const struct sessionindex *index, struct blob *to)
{
	int failed =
	    blob_add_format(to,
	        "{\"version\":1,\"rec\":\"%s\",\"started_ms\":%lld,\"ended_ms\":%lld,\"cause\":", index->rec,
	        (long long)index->started_ms, (long long)index->ended_ms) |
	    blob_add_json(to, index->cause, strlen(index->cause)) | blob_add_text(to, ",\"segments\":[");

	for (size_t i = 0; i < index->count; i++)
		failed |= blob_add_text(to, i == 0 ? "\n" : ",\n") | segment_write(&index->segments[i], to);
	return (failed | blob_add_text(to, "\n]}\n"));
}

/* Members, leniently; sessionindex_parse() compares with the one spelling afterwards. */
static uint64_t
get_u64(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return (value > 0 ? (uint64_t)value : 0);
}

static int
segment_fill(struct sessionindex_segment *s, const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "name"));
	const json_t *sha256 = json_object_get(object, "sha256");
	enum segment_form form;

	*s = (struct sessionindex_segment){.number = 0};
	if (name == NULL || segment_name_parse(name, &s->track, &s->number, &form) == -1 ||
	    !json_is_string(sha256) ||
	    hex_decode(json_string_value(sha256), json_string_length(sha256), s->sealed.sha256, SEGMENT_SHA256) ==
	        -1)
		return (-1);
	s->sealed.size = get_u64(object, "size");
	s->begin_ms = get_u64(object, "begin_ms");
	s->end_ms = get_u64(object, "end_ms");
	s->events = (uint32_t)get_u64(object, "events");
	s->cols = (unsigned)get_u64(object, "cols");
	s->rows = (unsigned)get_u64(object, "rows");
	s->keyframe =
	    json_is_true(json_object_get(object, "keyframe")) ? SESSIONINDEX_KEYFRAME : SESSIONINDEX_NO_KEYFRAME;
	s->made = json_is_true(json_object_get(object, "recovered")) ? SESSIONINDEX_RECOVERED : SESSIONINDEX_SEALED;
	return (0);
}

static int
index_fill(struct sessionindex *index, const json_t *object)
{
	const char *rec = json_string_value(json_object_get(object, "rec"));
	const char *cause = json_string_value(json_object_get(object, "cause"));
	const json_t *segments = json_object_get(object, "segments");
	struct sessionindex_segment segment;

	if (rec == NULL || strlen(rec) >= sizeof(index->rec) || cause == NULL ||
	    strlen(cause) >= sizeof(index->cause) || !json_is_array(segments))
		return (-1);
	memcpy(index->rec, rec, strlen(rec) + 1);
	memcpy(index->cause, cause, strlen(cause) + 1);
	index->started_ms = json_integer_value(json_object_get(object, "started_ms"));
	index->ended_ms = json_integer_value(json_object_get(object, "ended_ms"));
	for (size_t i = 0; i < json_array_size(segments); i++)
		if (segment_fill(&segment, json_array_get(segments, i)) == -1 ||
		    sessionindex_add(index, &segment) == -1)
			return (-1);
	return (0);
}

int
sessionindex_parse(struct sessionindex *index, const void *text, size_t size)
{
	json_t *object = size > SESSIONINDEX_MAX ? NULL : json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	struct blob again = {.at = NULL};
	int result = -1;

	*index = (struct sessionindex){.count = 0};
	if (json_is_object(object) && index_fill(index, object) == 0 && sessionindex_write(index, &again) == 0 &&
	    again.size == size && memcmp(again.at, text, size) == 0)
		result = 0;
	else
		sessionindex_free(index);
	blob_free(&again);
	json_decref(object);
	return (result);
}

void
sessionindex_free(struct sessionindex *index)
{
	free(index->segments);
	*index = (struct sessionindex){.count = 0};
}
