/*
 * Policy's decide as a filter: facts as JSON on standard input, one case a line; on standard output what decide,
 * decide_explain, decide_person and decide_answer make of them, a line each.  Nothing is judged here: that is
 * oracle.py's.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "rows_json.h"

/* A case, and the rows that its facts point to. */
struct example {
	struct facts facts;
	struct person *person;
	struct vendor *vendor;
	struct target *target;
	struct grant *grants;
	struct request *pending;
};

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
	f->code = code_of(number_of(from, "factors", &seen));
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

/* What decide_explain said: the rules' names with commas between, the failed ones with a "!" before. */
struct said {
	char rules[256];
	size_t length;
};

static void
on_rule(void *ctx, const char *rule, int passed, const char *seen)
{
	struct said *s = ctx;

	if (seen[0] == '\0')
		errx(1, "the rule %s says nothing of what it saw", rule);
	s->length += (size_t)snprintf(s->rules + s->length, sizeof(s->rules) - s->length, "%s%s%s",
	    s->length == 0 ? "" : ",", passed ? "" : "!", rule);
	if (s->length >= sizeof(s->rules))
		errx(1, "too many rules");
}

static int
same(const struct verdict_made *a, const struct verdict_made *b)
{
	return (a->outcome == b->outcome && a->reason == b->reason && a->grant == b->grant &&
	        a->request == b->request && strcmp(a->text, b->text) == 0);
}

/* Of each grant: 1 when it is over, 2 when it is missed. */
static json_t *
windows_print(const struct facts *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->grant_count; i++)
		json_array_append_new(list, json_integer(grant_is_over(&f->grants[i], f->wall_ms, f->boot_ms) |
		                                         grant_is_missed(&f->grants[i], f->wall_ms) << 1));
	return (list);
}

/* decide twice, with decide_explain between: the three must be one. */
static json_t *
example_decide(const struct facts *f)
{
	struct verdict_made first, explained, again;
	struct said said = {.length = 0};
	char text[DECIDE_TEXT] = "";
	enum reason person;
	json_t *line;

	first = decide(f);
	explained = decide_explain(f, on_rule, &said);
	again = decide(f);
	person = decide_person(f, text);
	line = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:b, s:s, s:o}", "outcome", outcome_name(first.outcome),
	    "reason", reason_code(first.reason), "text", first.text, "grant",
	    (json_int_t)(first.grant != NULL ? first.grant->id : 0), "request",
	    (json_int_t)(first.request != NULL ? first.request->id : 0), "rules", said.rules, "agree",
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

	lines_begin();
	while (getline(&line, &size, stdin) != -1) {
		if ((from = json_loads(line, 0, &error)) == NULL)
			errx(1, "%s", error.text);
		made = line_decide(from);
		json_dumpf(made, stdout, JSON_COMPACT);
		putchar('\n');
		lines_end();
	}
	free(line);
	return (fflush(stdout) == 0 ? 0 : 1);
}
