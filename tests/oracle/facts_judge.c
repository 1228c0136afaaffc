/*
 * Policy's facts_load as a filter.  A line on standard input is either a list of rows, which go into a new database at
 * argv[1], or asks for the facts about [login, target, account], and is answered with what these point to.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "facts.h"
#include "rows_json.h"

/* Adds what the object names: {"grant": {...}}. */
#define ADD_ROW(name, COLUMNS)                                      \
	if (json_object_get(from, #name) != NULL) {                 \
		struct name *row = name##_give(from, #name, &seen); \
                                                                    \
		if (name##_add(s, row) == -1)                       \
			errx(1, "%s: %s", #name, store_trouble(s)); \
		free(row);                                          \
	}

static void
row_add(struct store *s, const json_t *from)
{
	size_t seen = 0;

	ROW_READERS(ADD_ROW)
	all_seen(from, seen, "row");
}

static void
rows_add(struct store *s, const json_t *rows)
{
	if (store_begin(s) == -1)
		errx(1, "%s", store_trouble(s));
	for (size_t i = 0; i < json_array_size(rows); i++)
		row_add(s, json_array_get(rows, i));
	if (store_commit(s) == -1)
		errx(1, "%s", store_trouble(s));
}

static json_t *
facts_print(const struct facts *f)
{
	json_t *grants = json_array(), *pending = json_array();

	for (size_t i = 0; i < f->grant_count; i++)
		json_array_append_new(grants, json_integer(f->grants[i].id));
	for (size_t i = 0; i < f->pending_count; i++)
		json_array_append_new(pending, json_integer(f->pending[i].id));
	return (json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I}", "person",
	    f->person != NULL ? f->person->login : "", "vendor", f->vendor != NULL ? f->vendor->name : "", "target",
	    f->target != NULL ? f->target->name : "", "account", f->account, "grants", grants, "pending", pending,
	    "open_requests", (json_int_t)f->open_requests));
}

static json_t *
question_answer(struct policy *p, const json_t *words)
{
	struct facts_held h;
	json_t *made;

	facts_load(p, &h, json_string_value(json_array_get(words, 0)), json_string_value(json_array_get(words, 1)),
	    json_string_value(json_array_get(words, 2)));
	made = facts_print(&h.facts);
	facts_free(&h);
	return (made);
}

static void
line_answer(struct policy *p, const json_t *from)
{
	if (json_is_object(json_array_get(from, 0))) {
		rows_add(p->store, from);
		return;
	}
	json_dumpf(question_answer(p, from), stdout, JSON_COMPACT);
	putchar('\n');
}

int
main(int argc, char **argv)
{
	struct policy p = {.control_fd = -1};
	char *line = NULL, why[256];
	size_t size = 0;
	json_error_t error;
	json_t *from;

	if (argc != 2 || (p.store = store_open(argv[1], why, sizeof(why))) == NULL)
		errx(1, "%s", argc != 2 ? "facts_judge DATABASE" : why);
	lines_begin();
	while (getline(&line, &size, stdin) != -1) {
		if ((from = json_loads(line, 0, &error)) == NULL)
			errx(1, "%s", error.text);
		line_answer(&p, from);
		lines_end();
	}
	free(line);
	store_close(p.store);
	return (fflush(stdout) == 0 ? 0 : 1);
}
