/* Rows out of JSON; see rows_json.h. */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "rows_json.h"

static struct {
	_Alignas(16) char at[1 << 20];
	size_t used;
} page;

static void *
page_take(size_t size)
{
	size_t rounded = (size + 15) & ~(size_t)15;
	void *at = page.at + page.used;

	if (rounded > sizeof(page.at) - page.used)
		errx(1, "a line is too long");
	page.used += rounded;
	return (at);
}

static void
page_keep(void *at)
{
	(void)at;
}

void
lines_begin(void)
{
	json_set_alloc_funcs(page_take, page_keep);
}

void
lines_end(void)
{
	page.used = 0;
}

static void *
rows_new(size_t count, size_t size)
{
	void *rows = calloc(count, size);

	if (rows == NULL)
		err(1, "calloc");
	return (rows);
}

int64_t
number_of(const json_t *object, const char *name, size_t *seen)
{
	const json_t *value = json_object_get(object, name);

	if (value == NULL)
		return (0);
	if (!json_is_integer(value))
		errx(1, "%s is no number", name);
	++*seen;
	return (json_integer_value(value));
}

const char *
text_of(const json_t *object, const char *name, size_t *seen)
{
	const json_t *value = json_object_get(object, name);

	if (value == NULL)
		return ("");
	if (!json_is_string(value))
		errx(1, "%s is no text", name);
	++*seen;
	return (json_string_value(value));
}

static void
text_put(char *to, size_t size, const json_t *object, const char *name, size_t *seen)
{
	const char *text = text_of(object, name, seen);

	if (strlen(text) >= size)
		errx(1, "%s is too long", name);
	memcpy(to, text, strlen(text) + 1);
}

void
all_seen(const json_t *object, size_t seen, const char *what)
{
	if (json_object_size(object) != seen)
		errx(1, "a %s has a column that it has not", what);
}

/* ROW_read(from, to): the columns of one row, as rows.h lists them. */
#define READ_TEXT(field, size) text_put(to->field, sizeof(to->field), from, #field, &seen);
#define READ_INT(field) to->field = number_of(from, #field, &seen);
#define READ_ROW(name, COLUMNS)                                      \
	static void name##_read(const json_t *from, struct name *to) \
	{                                                            \
		size_t seen = 0;                                     \
                                                                     \
		COLUMNS(READ_INT, READ_TEXT, READ_INT)               \
		all_seen(from, seen, #name);                         \
	}
ROW_READERS(READ_ROW)

/* One row, or none where there is none; and all of a list. */
#define GIVE_ROW(name, COLUMNS)                                                         \
	struct name *name##_give(const json_t *object, const char *field, size_t *seen) \
	{                                                                               \
		const json_t *from = json_object_get(object, field);                    \
		struct name *row;                                                       \
                                                                                        \
		if (from == NULL)                                                       \
			return (NULL);                                                  \
		++*seen;                                                                \
		row = rows_new(1, sizeof(*row));                                        \
		name##_read(from, row);                                                 \
		return (row);                                                           \
	}
#define GIVE_LIST(name, COLUMNS)                                                                       \
	struct name *name##_list(const json_t *object, const char *field, size_t *count, size_t *seen) \
	{                                                                                              \
		const json_t *from = json_object_get(object, field);                                   \
		struct name *rows;                                                                     \
                                                                                                       \
		*count = json_array_size(from);                                                        \
		if (from == NULL || *count == 0)                                                       \
			return (*seen += from != NULL, NULL);                                          \
		++*seen;                                                                               \
		rows = rows_new(*count, sizeof(*rows));                                                \
		for (size_t i = 0; i < *count; i++)                                                    \
			name##_read(json_array_get(from, i), &rows[i]);                                \
		return (rows);                                                                         \
	}
ROW_READERS(GIVE_ROW)
ROW_READERS(GIVE_LIST)
