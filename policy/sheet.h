/*
 * What a verb answers, as people and as programs read it: rows of named cells, printed as a table, as lines, or (--json)
 * as JSON.  Cells are clean text: nothing that somebody typed reaches a terminal as a control sequence.
 */
#ifndef POLICY_SHEET_H
#define POLICY_SHEET_H
#include <stddef.h>
#include <stdint.h>

/* Text that grows.  Zero is a valid empty one; memory that runs out ends the process. */
struct text {
	char *at;
	size_t len, room;
};
void text_put(struct text *t, const char *words);
void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *t);

enum sheet_form { SHEET_TEXT, SHEET_JSON };

struct sheet;

#define SHEET_LINE 2048 /* room for a line of clean text */

struct sheet *sheet_new(void);
void sheet_free(struct sheet *s);
void sheet_row(struct sheet *s); /* begins the next row */
/* A cell of the present row; key is its name in JSON, title over its column ("" keeps it out of tables).  Empty text: left out of JSON. */
void sheet_text(struct sheet *s, const char *key, const char *title, const char *text);
void sheet_number(struct sheet *s, const char *key, const char *title, int64_t number);
void sheet_moment(struct sheet *s, const char *key, const char *title, int64_t wall_ms); /* 0: never */
/* As sheet_moment, but short in a table: the hour today, month and day on another day of this year. */
void sheet_when(struct sheet *s, const char *key, const char *title, int64_t wall_ms);
/* `text` for JSON, `shown` for people. */
void sheet_shown(struct sheet *s, const char *key, const char *title, const char *text, const char *shown);
void sheet_span(struct sheet *s, const char *key, const char *title, int64_t ms); /* milliseconds in JSON */

/* All rows: a table under its titles, within `columns` (0: as wide as it is), or a JSON array.  `none` where there is no row. */
void sheet_table(const struct sheet *s, enum sheet_form form, unsigned columns, const char *none, struct text *to);
/* Short form of a moment, as sheet_when shows it. */
void when_print(int64_t wall_ms, char *text, size_t size);
/* Each line of `lines` as one element of an array in JSON. */
void sheet_list(struct sheet *s, const char *key, const char *lines);
/* The rows of another sheet as an array of objects in JSON. */
void sheet_rows(struct sheet *s, const char *key, const struct sheet *rows);
/* The first row, a line a cell, or one JSON object. */
void sheet_lines(const struct sheet *s, enum sheet_form form, struct text *to);
#endif
