/*
 * Policy's decide as a filter: facts as JSON on standard input, one case a line; on standard output what decide,
 * decide_explain, decide_person and decide_answer make of them, a line each.  Nothing is judged here: that is
 * oracle.py's.  What stands in a case and has no column of that name ends the program, so that no case means less than
 * it says.
 */
#include <err.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"

/* A case, and the rows that its facts point to: each list exactly as long as it is, so that a step past it is seen. */
struct example {
	struct facts facts;
	struct person *person;
	struct vendor *vendor;
	struct target *target;
	struct grant *grants;
	struct request *pending;
};

static void *
rows_new(size_t count, size_t size)
{
	void *rows = calloc(count, size);

	if (rows == NULL)
		err(1, "calloc");
	return (rows);
}

static int64_t
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

static const char *
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

static void
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
READ_ROW(person, PERSON_COLUMNS)
READ_ROW(vendor, VENDOR_COLUMNS)
READ_ROW(target, TARGET_COLUMNS)
READ_ROW(grant, GRANT_COLUMNS)
READ_ROW(request, REQUEST_COLUMNS)

/* One row, or none where there is none; and all of a list. */
#define GIVE_ROWS(name)                                                                        \
	static struct name *name##_give(const json_t *object, const char *field, size_t *seen) \
	{                                                                                      \
		const json_t *from = json_object_get(object, field);                           \
		struct name *row;                                                              \
                                                                                               \
		if (from == NULL)                                                              \
			return (NULL);                                                         \
		++*seen;                                                                       \
		row = rows_new(1, sizeof(*row));                                               \
		name##_read(from, row);                                                        \
		return (row);                                                                  \
	}
#define GIVE_LIST(name)                                                                                       \
	static struct name *name##_list(const json_t *object, const char *field, size_t *count, size_t *seen) \
	{                                                                                                     \
		const json_t *from = json_object_get(object, field);                                          \
		struct name *rows;                                                                            \
                                                                                                              \
		*count = json_array_size(from);                                                               \
		if (from == NULL || *count == 0)                                                              \
			return (*seen += from != NULL, NULL);                                                 \
		++*seen;                                                                                      \
		rows = rows_new(*count, sizeof(*rows));                                                       \
		for (size_t i = 0; i < *count; i++)                                                           \
			name##_read(json_array_get(from, i), &rows[i]);                                       \
		return (rows);                                                                                \
	}
GIVE_ROWS(person)
GIVE_ROWS(vendor)
GIVE_ROWS(target)
GIVE_ROWS(request)
GIVE_LIST(grant)
GIVE_LIST(request)

static struct need
need_read(const json_t *object)
{
	struct need n = {0};
	size_t seen = 0;

	n.all = (unsigned)number_of(object, "all", &seen);
	n.any = (unsigned)number_of(object, "any", &seen);
	if (json_object_get(object, "forward") != NULL)
		n.forward = text_of(object, "forward", &seen);
	all_seen(object, seen, "need");
	return (n);
}

static void
example_read(struct example *e, const json_t *from)
{
	struct facts *f = &e->facts;
	size_t seen = 0;

	*e = (struct example){0};
	f->wall_ms = number_of(from, "wall", &seen);
	f->boot_ms = number_of(from, "boot", &seen);
	f->high_water_ms = number_of(from, "high_water", &seen);
	f->shelf = (enum shelf_state)number_of(from, "shelf", &seen);
	f->source = text_of(from, "source", &seen);
	f->fingerprint = text_of(from, "fingerprint", &seen);
	f->code = (enum code_kind)number_of(from, "code", &seen);
	f->host_keys = (size_t)number_of(from, "host_keys", &seen);
	f->account = text_of(from, "account", &seen);
	f->patience = number_of(from, "waits", &seen) != 0 ? ASKER_WAITS : ASKER_LEAVES;
	f->open_requests = (size_t)number_of(from, "open_requests", &seen);
	f->person = e->person = person_give(from, "person", &seen);
	f->vendor = e->vendor = vendor_give(from, "vendor", &seen);
	f->target = e->target = target_give(from, "target", &seen);
	f->grants = e->grants = grant_list(from, "grants", &f->grant_count, &seen);
	f->pending = e->pending = request_list(from, "pending", &f->pending_count, &seen);
	if (json_object_get(from, "need") != NULL) {
		f->need = need_read(json_object_get(from, "need"));
		seen++;
	}
	all_seen(from, seen, "case");
}

static void
example_free(struct example *e)
{
	free(e->person);
	free(e->vendor);
	free(e->target);
	free(e->grants);
	free(e->pending);
}

static const char *
outcome_name(enum outcome o)
{
	static const char *const names[] = {"ENTER", "WAIT", "ASK", "REFUSE"};

	return ((size_t)o < sizeof(names) / sizeof(names[0]) ? names[o] : "?");
}

static void
on_rule(void *ctx, const char *rule, int passed, const char *seen)
{
	json_array_append_new(ctx, json_pack("[s, b, s]", rule, passed, seen));
}

static int
same(const struct verdict_made *a, const struct verdict_made *b)
{
	return (a->outcome == b->outcome && a->reason == b->reason && a->grant == b->grant &&
	        a->request == b->request && strcmp(a->text, b->text) == 0);
}

static json_t *
windows_print(const struct facts *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->grant_count; i++)
		json_array_append_new(
		    list, json_pack("[b, b]", grant_is_over(&f->grants[i], f->wall_ms, f->boot_ms),
		              grant_is_missed(&f->grants[i], f->wall_ms)));
	return (list);
}

/* decide twice, with decide_explain between: the three must be one. */
static json_t *
example_decide(const struct facts *f)
{
	struct verdict_made first, explained, again;
	char text[DECIDE_TEXT] = "";
	json_t *rules = json_array(), *line;
	enum reason person;

	first = decide(f);
	explained = decide_explain(f, on_rule, rules);
	again = decide(f);
	person = decide_person(f, text);
	line = json_pack("{s:s, s:s, s:s, s:I, s:I, s:o, s:b, s:s, s:o}", "outcome", outcome_name(first.outcome),
	    "reason", reason_code(first.reason), "text", first.text, "grant",
	    (json_int_t)(first.grant != NULL ? first.grant->id : 0), "request",
	    (json_int_t)(first.request != NULL ? first.request->id : 0), "rules", rules, "agree",
	    same(&first, &explained) && same(&first, &again), "person", reason_code(person), "windows",
	    windows_print(f));
	if (line == NULL)
		errx(1, "a verdict is no text");
	return (line);
}

static json_t *
answer_decide(const json_t *from)
{
	size_t seen = 0;
	struct person *approver = person_give(from, "approver", &seen);
	struct vendor *vendor = vendor_give(from, "vendor", &seen);
	struct request *request = request_give(from, "request", &seen);
	const char *theirs = text_of(from, "requester_vendor", &seen);
	enum reason reason = decide_answer(approver, vendor, request, theirs, number_of(from, "wall", &seen));

	all_seen(from, seen, "answer");
	free(approver);
	free(vendor);
	free(request);
	return (json_pack("{s:s}", "reason", reason_code(reason)));
}

static json_t *
line_decide(const json_t *from)
{
	struct example e;
	json_t *made;

	if (json_object_get(from, "answer") != NULL)
		return (answer_decide(json_object_get(from, "answer")));
	example_read(&e, from);
	made = example_decide(&e.facts);
	example_free(&e);
	return (made);
}

int
main(void)
{
	char *line = NULL;
	size_t size = 0;
	json_error_t error;
	json_t *from, *made;

	while (getline(&line, &size, stdin) != -1) {
		if ((from = json_loads(line, 0, &error)) == NULL)
			errx(1, "%s", error.text);
		made = line_decide(from);
		json_dumpf(made, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(made);
		json_decref(from);
	}
	free(line);
	return (fflush(stdout) == 0 ? 0 : 1);
}
