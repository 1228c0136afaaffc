/* What a verb answers; see sheet.h. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/settings_file.h"
#include "sheet.h"
#include "times.h"
#include "words.h"

#define SHEET_COLUMNS 32
#define SHEET_CELL 1024

struct cell {
	const char *key, *title; /* lent for ever: literals */
	char *text;
};

struct row {
	struct row *next;
	struct cell cell[SHEET_COLUMNS];
	size_t count;
	json_t *json;
};

struct sheet {
	struct row *first, *last;
};

static void
room_make(struct text *t, size_t more)
{
	char *grown;

	if (t->room - t->len > more)
		return;
	if ((grown = realloc(t->at, t->len + more + 1024)) == NULL)
		log_fatal("out of memory");
	t->at = grown;
	t->room = t->len + more + 1024;
}

void
text_put(struct text *t, const char *words)
{
	size_t len = strlen(words);

	room_make(t, len + 1);
	memcpy(t->at + t->len, words, len + 1);
	t->len += len;
}

void
text_add(struct text *t, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		log_fatal("a format that does not print");
	room_make(t, (size_t)len + 1);
	va_start(args, format);
	(void)vsnprintf(t->at + t->len, (size_t)len + 1, format, args);
	va_end(args);
	t->len += (size_t)len;
}

void
text_free(struct text *t)
{
	free(t->at);
	*t = (struct text){.at = NULL};
}

struct sheet *
sheet_new(void)
{
	struct sheet *s = calloc(1, sizeof(*s));

	if (s == NULL)
		log_fatal("out of memory");
	return (s);
}

void
sheet_free(struct sheet *s)
{
	struct row *r;

	if (s == NULL)
		return;
	while ((r = s->first) != NULL) {
		s->first = r->next;
		for (size_t i = 0; i < r->count; i++)
			free(r->cell[i].text);
		json_decref(r->json);
		free(r);
	}
	free(s);
}

void
sheet_row(struct sheet *s)
{
	struct row *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->json = json_object()) == NULL)
		log_fatal("out of memory");
	if (s->last != NULL)
		s->last->next = r;
	else
		s->first = r;
	s->last = r;
}

/* json is given; NULL: not in the JSON. */
static void
cell_add(struct sheet *s, const char *key, const char *title, const char *text, json_t *json)
{
	struct row *r = s->last;
	char clean[SHEET_CELL];

	if (r == NULL || r->count == SHEET_COLUMNS)
		log_fatal("a sheet with too many columns");
	text_clean(clean, sizeof(clean), bytes_text(text));
	if ((r->cell[r->count].text = strdup(clean)) == NULL)
		log_fatal("out of memory");
	r->cell[r->count].key = key;
	r->cell[r->count].title = title;
	r->count++;
	if (json != NULL && json_object_set_new(r->json, key, json) == -1)
		log_fatal("out of memory");
}

void
sheet_text(struct sheet *s, const char *key, const char *title, const char *text)
{
	char clean[SHEET_CELL];

	text_clean(clean, sizeof(clean), bytes_text(text));
	cell_add(s, key, title, text, text[0] == '\0' ? NULL : json_string(clean));
}

void
sheet_number(struct sheet *s, const char *key, const char *title, int64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	cell_add(s, key, title, text, json_integer(number));
}

void
sheet_moment(struct sheet *s, const char *key, const char *title, int64_t wall_ms)
{
	char text[TIMES_TEXT] = "", utc[32] = "";

	if (wall_ms != 0) {
		moment_print(wall_ms, text);
		clock_rfc3339(wall_ms, utc, sizeof(utc));
	}
	cell_add(s, key, title, text, wall_ms == 0 ? NULL : json_string(utc));
}

void
sheet_shown(struct sheet *s, const char *key, const char *title, const char *text, const char *shown)
{
	char clean[SHEET_CELL];

	text_clean(clean, sizeof(clean), bytes_text(text));
	cell_add(s, key, title, shown, text[0] == '\0' ? NULL : json_string(clean));
}

void
when_print(int64_t wall_ms, char *text, size_t size)
{
	time_t then = (time_t)(wall_ms / 1000), now = (time_t)(clock_wall_ms() / 1000);
	struct tm a, b;

	if (localtime_r(&then, &a) == NULL || localtime_r(&now, &b) == NULL) {
		(void)snprintf(text, size, "?");
		return;
	}
	if (a.tm_year == b.tm_year && a.tm_yday == b.tm_yday)
		(void)strftime(text, size, "%H:%M:%S %Z", &a);
	else
		(void)strftime(text, size, a.tm_year == b.tm_year ? "%m-%d %H:%M %Z" : "%Y-%m-%d %H:%M %Z", &a);
}

void
sheet_when(struct sheet *s, const char *key, const char *title, int64_t wall_ms)
{
	char text[TIMES_TEXT] = "", utc[32] = "";

	if (wall_ms != 0) {
		when_print(wall_ms, text, sizeof(text));
		clock_rfc3339(wall_ms, utc, sizeof(utc));
	}
	cell_add(s, key, title, text, wall_ms == 0 ? NULL : json_string(utc));
}

void
sheet_span(struct sheet *s, const char *key, const char *title, int64_t ms)
{
	char text[64];

	span_print(ms < 1000 ? ms : ms / 1000 * 1000, text, sizeof(text));
	cell_add(s, key, title, text, json_integer(ms));
}

static json_t *
rows_json(const struct sheet *s)
{
	json_t *all = json_array();

	for (const struct row *r = s->first; r != NULL; r = r->next)
		if (json_array_append(all, r->json) == -1)
			log_fatal("out of memory");
	return (all);
}

void
sheet_list(struct sheet *s, const char *key, const char *lines)
{
	json_t *all = json_array();
	char clean[SHEET_LINE];

	for (size_t n; *lines != '\0'; lines += n + (lines[n] == '\n')) {
		n = strcspn(lines, "\n");
		text_clean(clean, sizeof(clean), bytes_of(lines, n));
		if (json_array_append_new(all, json_string(clean)) == -1)
			log_fatal("out of memory");
	}
	cell_add(s, key, "", "", all);
}

void
sheet_rows(struct sheet *s, const char *key, const struct sheet *rows)
{
	cell_add(s, key, "", "", rows_json(rows));
}

static void
json_put(const json_t *json, struct text *to)
{
	char *dump = json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	if (dump == NULL)
		log_fatal("out of memory");
	text_add(to, "%s\n", dump);
	free(dump);
}

static void
table_json(const struct sheet *s, struct text *to)
{
	json_t *all = rows_json(s);

	json_put(all, to);
	json_decref(all);
}

/* Letters, not bytes: names have umlauts. */
static size_t
width_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return (n);
}

/* One line of a table; `columns` cuts what is too long. */
static void
line_put(const struct row *r, const size_t *widths, int is_head, unsigned columns, struct text *to)
{
	size_t start = to->len, pad = 0, width;

	for (size_t i = 0; i < r->count; i++) {
		const char *text = is_head ? r->cell[i].title : r->cell[i].text;

		if (r->cell[i].title[0] == '\0')
			continue;
		width = width_of(text);
		if (width > 0) { /* nothing trails behind the last word of a line */
			text_add(to, "%*s%s", (int)pad, "", text);
			pad = 0;
		}
		pad += (widths[i] > width ? widths[i] - width : 0) + 2;
	}
	if (columns != 0 && to->len - start > columns && width_of(to->at + start) > columns) {
		size_t at = start, letters = 0;

		while (to->at[at] != '\0' && letters < columns - 1) {
			at++;
			if (((unsigned char)to->at[at] & 0xc0) != 0x80)
				letters++;
		}
		to->at[at] = '\0';
		to->len = at;
		text_put(to, ">");
	}
	text_put(to, "\n");
}

void
sheet_table(const struct sheet *s, enum sheet_form form, unsigned columns, const char *none, struct text *to)
{
	size_t widths[SHEET_COLUMNS] = {0};

	if (form == SHEET_JSON) {
		table_json(s, to);
		return;
	}
	if (s->first == NULL) {
		text_add(to, "%s\n", none);
		return;
	}
	for (size_t i = 0; i < s->first->count; i++)
		widths[i] = width_of(s->first->cell[i].title);
	for (const struct row *r = s->first; r != NULL; r = r->next)
		for (size_t i = 0; i < r->count; i++)
			if (width_of(r->cell[i].text) > widths[i])
				widths[i] = width_of(r->cell[i].text);
	line_put(s->first, widths, 1, columns, to);
	for (const struct row *r = s->first; r != NULL; r = r->next)
		line_put(r, widths, 0, columns, to);
}

void
sheet_lines(const struct sheet *s, enum sheet_form form, struct text *to)
{
	size_t width = 0;

	if (s->first == NULL)
		return;
	if (form == SHEET_JSON) {
		json_put(s->first->json, to);
		return;
	}
	for (size_t i = 0; i < s->first->count; i++)
		if (width_of(s->first->cell[i].title) > width)
			width = width_of(s->first->cell[i].title);
	for (size_t i = 0; i < s->first->count; i++) {
		const struct cell *c = &s->first->cell[i];

		if (c->title[0] == '\0' || c->text[0] == '\0')
			continue;
		text_add(to, "%s%*s  %s\n", c->title, (int)(width - width_of(c->title)), "", c->text);
	}
}
