/* What a session says that it carried: see carried.h. */
#include "format/carried.h"

#include <string.h>

#include "format/safetext.h"

enum { LABEL_TEXT = 200 }; /* bytes of one text that a label shows */

static const struct {
	const char *member;
	enum carried_kind kind;
} shapes[] = {
    {"file", CARRIED_FILE},
    {"operation", CARRIED_OPERATION},
    {"refused", CARRIED_REFUSED},
    {"forward", CARRIED_FORWARD},
};

static const char *
text_of(const json_t *about, const char *key)
{
	const char *text = json_string_value(json_object_get(about, key));

	return (text != NULL ? text : "");
}

static int64_t
count_of(const json_t *about, const char *key)
{
	const json_t *value = json_object_get(about, key);

	return (json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : -1);
}

int
carried_read(struct carried *c, const json_t *fact)
{
	const json_t *about = NULL;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && about == NULL; i++) {
		about = json_object_get(fact, shapes[i].member);
		c->kind = shapes[i].kind;
	}
	if (!json_is_object(about) || json_object_size(fact) != 1)
		return (-1);
	c->op = c->kind == CARRIED_FORWARD ? "forwarded" : text_of(about, "op");
	c->path = text_of(about, "path");
	c->to = text_of(about, "to");
	c->name = text_of(about, "name");
	c->bytes = count_of(about, "bytes");
	c->bytes_in = count_of(about, "bytes_in");
	c->bytes_out = count_of(about, "bytes_out");
	c->sha256 = text_of(about, "sha256");
	c->why = text_of(about, "why");
	c->is_part = json_is_false(json_object_get(about, "whole"));
	c->result = text_of(about, c->kind == CARRIED_REFUSED ? "reason" : "result");
	return (0);
}

/* Is all of the name the end of the path already? */
static int
is_named(const struct carried *c)
{
	size_t path = strlen(c->path), name = strlen(c->name);

	return (name == 0 || (path >= name && strcmp(c->path + path - name, c->name) == 0 &&
	                         (path == name || c->path[path - name - 1] == '/')));
}

int
carried_place(const struct carried *c, struct blob *to)
{
	int failed = blob_add_text(to, c->path);

	if (!is_named(c))
		failed |= blob_add_text(to, c->path[0] != '\0' ? " (" : "(") | blob_add_text(to, c->name) |
		          blob_add_text(to, ")");
	if (c->to[0] != '\0')
		failed |= blob_add_text(to, c->path[0] != '\0' ? " -> " : "") | blob_add_text(to, c->to);
	return (failed);
}

/* ---- labels ---- */

static int
add_text(struct blob *to, const char *before, const void *text, size_t size)
{
	int failed = blob_add_text(to, size > 0 ? before : "");

	failed |= safetext_line(text, size < LABEL_TEXT ? size : LABEL_TEXT, to);
	return (size > LABEL_TEXT ? failed | blob_add_text(to, "...") : failed);
}

/* "64 MiB", "1.5 KiB", "12 bytes": short, and so not exact; the fact itself is. */
static int
add_size(struct blob *to, const char *before, int64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	int64_t tenths = bytes;
	size_t unit = 0;

	if (bytes < 0)
		return (0);
	if (bytes < 1024)
		return (blob_add_format(to, "%s%d byte%s", before, (int)bytes, bytes == 1 ? "" : "s"));
	for (; tenths >= 1024 * 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		tenths /= 1024;
	tenths = tenths * 10 / 1024;
	if (tenths % 10 == 0)
		return (blob_add_format(to, "%s%lld %s", before, (long long)tenths / 10, units[unit]));
	return (
	    blob_add_format(to, "%s%lld.%d %s", before, (long long)tenths / 10, (int)(tenths % 10), units[unit]));
}

int
carried_label(const struct carried *c, struct blob *to)
{
	int is_refused = c->kind == CARRIED_REFUSED, failed = blob_add_text(to, is_refused ? "refused: " : "");
	struct blob place = {.at = NULL};

	failed |= carried_place(c, &place) | add_text(to, "", c->op, strlen(c->op)) |
	          add_text(to, " ", place.at, place.size) | add_size(to, ", ", c->bytes) |
	          add_size(to, ", in ", c->bytes_in) | add_size(to, ", out ", c->bytes_out) |
	          add_text(to, is_refused ? " [" : ", ", c->result, strlen(c->result)) |
	          blob_add_text(to, is_refused ? "]" : "");
	blob_free(&place);
	return (failed);
}
