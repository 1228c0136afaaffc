/* Leaves of recordings: see leaf.h. */
#include <string.h>

#include <jansson.h>

#include "format/leaf.h"

static const char *const kinds[] = {
    [LEAF_START] = "session.start", [LEAF_SEGMENT] = "segment", [LEAF_END] = "session.end"};
static const char *const tracks[] = {[SEGMENT_OUTPUT] = "output", [SEGMENT_INPUT] = "input"};

static int
add_digest(struct blob *to, const char *key, const unsigned char digest[SEGMENT_SHA256])
{
	return (blob_add_format(to, ",\"%s\":\"", key) | blob_add_hex(to, digest, SEGMENT_SHA256) |
	        blob_add_text(to, "\""));
}

static int
word_ok(const char *text, const char *letters, size_t low, size_t high)
{
	size_t length = strlen(text);

	return (length >= low && length <= high && strspn(text, letters) == length);
}

/* A segment's name says again what the other members say. */
static int
name_ok(const struct leaf *leaf)
{
	enum segment_track track;
	enum segment_form form;
	uint32_t number;

	return (segment_name_parse(leaf->name, &track, &number, &form) == 0 && track == leaf->track &&
	        number == leaf->number && (form == SEGMENT_FORM_RECOVERED) == (leaf->made == LEAF_RECOVERED));
}

#define HEX_LETTERS "0123456789abcdef"
#define CAUSE_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-"

int
leaf_write(struct blob *to, const struct leaf *leaf)
{
	size_t before = to->size;
	int failed;

	if (leaf->kind == LEAF_OTHER || leaf->kind > LEAF_END || !word_ok(leaf->rec, HEX_LETTERS, 32, 32))
		return (-1);
	failed = blob_add_format(to, "{\"leaf\":\"%s\",\"rec\":\"%s\"", kinds[leaf->kind], leaf->rec);
	switch (leaf->kind) {
	case LEAF_START:
		failed |= blob_add_format(to, ",\"at\":%lld", (long long)leaf->at_ms) |
		          add_digest(to, "meta", leaf->meta);
		break;
	case LEAF_SEGMENT:
		if (!name_ok(leaf))
			failed = -1;
		failed |=
		    blob_add_format(to, ",\"track\":\"%s\",\"n\":%u,\"name\":", tracks[leaf->track], leaf->number) |
		    blob_add_json(to, leaf->name, strlen(leaf->name)) |
		    add_digest(to, "sha256", leaf->sealed.sha256) |
		    blob_add_format(to, ",\"size\":%llu", (unsigned long long)leaf->sealed.size) |
		    add_digest(to, "prev", leaf->prev) |
		    blob_add_format(to, ",\"recovered\":%s", leaf->made == LEAF_RECOVERED ? "true" : "false");
		break;
	default:
		if (!word_ok(leaf->cause, CAUSE_LETTERS, 1, LEAF_CAUSE_MAX - 1))
			failed = -1;
		failed |= blob_add_format(to, ",\"at\":%lld,\"segments\":%u,\"inputs\":%u", (long long)leaf->at_ms,
		              leaf->segments, leaf->inputs) |
		          add_digest(to, "sums", leaf->sums) |
		          blob_add_format(to, ",\"cause\":\"%s\"", leaf->cause);
		break;
	}
	if (failed != 0 || blob_add_text(to, "}") == -1) {
		to->size = before;
		return (-1);
	}
	return (0);
}

/* Members, leniently: what is missing stays zero, and the comparison with leaf_write()'s spelling finds it out. */
static void
get_text(const json_t *object, const char *key, char *out, size_t room)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text != NULL && strlen(text) < room)
		memcpy(out, text, strlen(text) + 1);
}

static void
get_digest(const json_t *object, const char *key, unsigned char out[SEGMENT_SHA256])
{
	const json_t *text = json_object_get(object, key);

	if (!json_is_string(text) ||
	    hex_decode(json_string_value(text), json_string_length(text), out, SEGMENT_SHA256) == -1)
		memset(out, 0, SEGMENT_SHA256);
}

static uint32_t
get_number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return (value >= 0 && value <= UINT32_MAX ? (uint32_t)value : 0);
}

static void
leaf_fill(struct leaf *leaf, const json_t *object)
{
	char track[16] = "";

	get_text(object, "rec", leaf->rec, sizeof(leaf->rec));
	leaf->at_ms = json_integer_value(json_object_get(object, "at"));
	get_digest(object, "meta", leaf->meta);
	get_text(object, "track", track, sizeof(track));
	leaf->track = strcmp(track, tracks[SEGMENT_INPUT]) == 0 ? SEGMENT_INPUT : SEGMENT_OUTPUT;
	leaf->number = get_number(object, "n");
	get_text(object, "name", leaf->name, sizeof(leaf->name));
	get_digest(object, "sha256", leaf->sealed.sha256);
	leaf->sealed.size = (uint64_t)json_integer_value(json_object_get(object, "size"));
	get_digest(object, "prev", leaf->prev);
	leaf->made = json_is_true(json_object_get(object, "recovered")) ? LEAF_RECOVERED : LEAF_SEALED;
	leaf->segments = get_number(object, "segments");
	leaf->inputs = get_number(object, "inputs");
	get_digest(object, "sums", leaf->sums);
	get_text(object, "cause", leaf->cause, sizeof(leaf->cause));
}

int
leaf_parse(struct leaf *leaf, const void *entry, size_t size)
{
	json_t *object = json_loadb(entry, size, JSON_REJECT_DUPLICATES, NULL);
	const char *kind = json_string_value(json_object_get(object, "leaf"));
	struct blob again = {.at = NULL};
	int result = -1;

	memset(leaf, 0, sizeof(*leaf));
	if (!json_is_object(object) || kind == NULL)
		goto out;
	for (unsigned i = LEAF_START; i <= LEAF_END; i++)
		if (strcmp(kind, kinds[i]) == 0)
			leaf->kind = i;
	result = 0;
	if (leaf->kind == LEAF_OTHER)
		goto out;
	leaf_fill(leaf, object);
	if (leaf_write(&again, leaf) == -1 || again.size != size || memcmp(again.at, entry, size) != 0)
		result = -1;
out:
	blob_free(&again);
	json_decref(object);
	return (result);
}
