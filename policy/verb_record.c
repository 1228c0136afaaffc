/*
 * recordings, play, files, verify, export: what is on the shelf.  Policy lists and allows; the reader reads.  A reading begins
 * when the book holds that it was allowed.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "decide.h"
#include "readings.h"
#include "times.h"
#include "verb.h"

#define ID_DIGITS 32
#define PREFIX_LEAST 6  /* digits of an identifier that may stand for all */
#define PREFIX_SHOWN 12 /* where a whole one does not fit */
#define WHOLE_COLUMNS 132
#define VERIFY_MOST 3000 /* recordings in one message to the reader */

/* ---- the list ---- */

static const char *
recording_state(const struct stream *s)
{
	static const char *const sealed[] = {
	    [SEALED_WHOLE] = "whole", [SEALED_RECOVERED] = "recovered", [SEALED_FAILED] = "failed"};

	if (s->sealed_at != 0)
		return (sealed[s->sealed_state >= 0 && s->sealed_state <= SEALED_FAILED ? s->sealed_state
		                                                                        : SEALED_FAILED]);
	return (s->state == STREAM_STATE_BEGUN ? "live" : "being sealed");
}

static void
recording_row(const struct verb *v, struct sheet *s, const struct stream *r)
{
	char id[ROW_NAME], place[PLACE_TEXT];

	(void)snprintf(id, sizeof(id), "%.*s",
	    v->columns == 0 || v->columns >= WHOLE_COLUMNS ? ID_DIGITS : PREFIX_SHOWN, r->id);
	place_print(r->target, r->account, place);
	sheet_row(s);
	sheet_number(s, "number", "NO", r->number);
	sheet_shown(s, "id", "ID", r->id, id);
	sheet_when(s, "began", "WHEN", r->began_at);
	sheet_text(s, "person", "WHO", r->person);
	sheet_text(s, "vendor", "VENDOR", r->vendor);
	sheet_text(s, "target", "", r->target);
	sheet_text(s, "account", "", r->account);
	sheet_shown(s, "place", "WHERE", "", place);
	sheet_span(s, "length_ms", "LENGTH", (r->ended_at != 0 ? r->ended_at : clock_wall_ms()) - r->began_at);
	sheet_text(s, "state", "STATE", recording_state(r));
	sheet_text(s, "what", "WHAT", r->what);
	sheet_number(s, "request", "", r->request);
	sheet_number(s, "session", "", r->visitor);
	sheet_moment(s, "ended", "", r->ended_at);
	sheet_text(s, "reason", "", r->ended_at == 0 ? "" : reason_code((enum reason)r->reason));
	sheet_number(s, "segments", "", r->segments);
	sheet_number(s, "bytes_out", "", r->bytes_out);
	sheet_number(s, "bytes_in", "", r->bytes_in);
	sheet_text(s, "digest", "", r->digest);
}

static int
is_or_any(const char *wanted, const char *is)
{
	return (wanted == NULL || strcmp(wanted, is) == 0);
}

/* The least number of a recording that began at `since` or later; one above all when there is none. */
static int64_t
number_since(struct policy *p, int64_t since)
{
	int64_t number = INT64_MAX;
	struct rows found;

	if (must(p, store_list(p->store, QUERY_STREAM_FIRST_SINCE, &found, ARG_INT(since))) == 1)
		number = rows_at(&found, stream, 0)->number;
	rows_free(&found);
	return (number);
}

/* Those with a number from `least` to below `before`, newest first, by whichever option narrows them most. */
static void
recordings_find(struct verb *v, int64_t least, int64_t before, struct rows *found)
{
	const char *by[] = {call_value(&v->call, "--person"), call_value(&v->call, "--target"),
	    call_value(&v->call, "--vendor"), v->who.vendor[0] == '\0' ? NULL : v->who.vendor};
	static const enum query queries[] = {QUERY_STREAMS_OF_PERSON_BEFORE, QUERY_STREAMS_OF_TARGET_BEFORE,
	    QUERY_STREAMS_OF_VENDOR_BEFORE, QUERY_STREAMS_OF_VENDOR_BEFORE};
	struct store *s = v->policy->store;

	for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++)
		if (by[i] != NULL) {
			must(v->policy, store_list(s, queries[i], found, ARG_TEXT(by[i]), ARG_INT(least),
			                    ARG_INT(before), ARG_INT(VERB_PAGE)));
			return;
		}
	must(v->policy,
	    store_list(s, QUERY_STREAMS_BEFORE, found, ARG_INT(least), ARG_INT(before), ARG_INT(VERB_PAGE)));
}

static int
recording_is_wanted(const struct verb *v, const struct stream *r, int64_t since)
{
	const struct call *c = &v->call;

	return (r->began_at >= since && is_or_any(call_value(c, "--vendor"), r->vendor) &&
	        is_or_any(call_value(c, "--person"), r->person) &&
	        is_or_any(call_value(c, "--target"), r->target) && verb_may_see(v, r->vendor));
}

void
verb_recordings(struct verb *v)
{
	struct stream *page;
	int64_t since = 0, before, least;
	struct sheet *s;
	struct rows found;
	size_t n = 0, got;

	if (verb_since(v, "--since", &since) == -1 || verb_before(v, &before) == -1)
		return;
	if ((page = calloc(VERB_PAGE + 1, sizeof(*page))) == NULL)
		log_fatal("out of memory");
	least = since == 0 ? 0 : number_since(v->policy, since);
	do {
		recordings_find(v, least, before, &found);
		got = found.count;
		for (size_t i = 0; i < got && n <= VERB_PAGE; i++) {
			before = rows_at(&found, stream, i)->number;
			if (recording_is_wanted(v, rows_at(&found, stream, i), since))
				page[n++] = *rows_at(&found, stream, i);
		}
		rows_free(&found);
	} while (got == VERB_PAGE && n <= VERB_PAGE);
	if (n > VERB_PAGE)
		verb_older(v, "recordings", page[--n - 1].number);
	s = sheet_new();
	while (n-- > 0)
		recording_row(v, s, &page[n]);
	sheet_table(s, v->form, v->columns, "there is no such recording", &v->out);
	sheet_free(s);
	free(page);
}

/* ---- which ---- */

static int
digits_only(const char *word)
{
	return (word[strspn(word, "0123456789")] == '\0');
}

/* By the number in the list.  1: found. */
static int
find_by_number(struct verb *v, const char *word, struct stream *r)
{
	*r = (struct stream){.number = 0};
	return (number_parse(word, &r->number) == 0 && must(v->policy, stream_get(v->policy->store, r)) == 1);
}

/* By the first digits of the identifier.  How many there are; *r is the first. */
static int
find_by_prefix(struct verb *v, const char *word, struct stream *r)
{
	char beyond[ID_DIGITS + 2];
	struct rows found;
	int n;

	(void)snprintf(beyond, sizeof(beyond), "%sg", word); /* after every digit */
	n = must(
	    v->policy, store_list(v->policy->store, QUERY_STREAMS_OF_ID, &found, ARG_TEXT(word), ARG_TEXT(beyond)));
	if (n > 0)
		*r = *rows_at(&found, stream, 0);
	rows_free(&found);
	return (n);
}

static int
recording_find(struct verb *v, const char *word, struct stream *r)
{
	size_t n = strlen(word);
	int count = 0;

	if (n >= PREFIX_LEAST && n <= ID_DIGITS && word[strspn(word, "0123456789abcdef")] == '\0')
		count = find_by_prefix(v, word, r);
	if (count == 0 && (word[0] == '#' || digits_only(word)))
		count = find_by_number(v, word, r);
	if (count > 1) {
		verb_refuse(v, REASON_NOT_FOUND, "%s begins the identifiers of %d recordings; give more of it",
		    word, count);
		return (-1);
	}
	if (count == 1 && r->began_at != 0 && verb_may_see(v, r->vendor))
		return (0);
	verb_refuse(v, REASON_NOT_FOUND,
	    "there is no recording %.64s; a number, or six digits or more of an identifier, from: recordings",
	    word);
	return (-1);
}

/* ---- readings ---- */

static json_t *
json_or_die(json_t *json)
{
	if (json == NULL)
		log_fatal("out of memory");
	return (json);
}

static void
set(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, value) == -1)
		log_fatal("out of memory, or text that is not UTF-8");
}

static json_t *
options_new(const struct verb *v)
{
	json_t *o = json_or_die(json_object());

	set(o, "columns", json_integer(v->columns));
	if (v->form == SHEET_JSON)
		set(o, "json", json_true());
	return (o);
}

/* The event first; the reader is asked when the book holds it.  options is given. */
static void
reading_allow(struct verb *v, const struct stream *r, json_t *options)
{
	struct policy *p = v->policy;
	char *text = json_dumps(options, JSON_COMPACT | JSON_PRESERVE_ORDER);
	struct happening h = {.type = EVENT_READING,
	    .who = v->who.login,
	    .source = v->who.source,
	    .session = v->who.session,
	    .what = command_verb(v->call.command)};

	json_decref(options);
	if (text == NULL)
		log_fatal("out of memory");
	if (r != NULL) {
		h.about = r->person;
		h.vendor = r->vendor;
		h.target = r->target;
		h.recording = r->id;
		h.recording_number = r->number;
	}
	policy_begin(p);
	verb_changed(v, event_note(p, &h));
	/* Asked again after a restart of ours it is not read a second time into the same terminal. */
	text_put(&v->err, "lodge: lodge-policy was restarted during the reading; ask again\n");
	v->status = 69;
	verb_commit(v);
	text_free(&v->err);
	v->status = 0;
	reading_plan(v, r == NULL ? "" : r->id, text);
	free(text);
}

/* "HH:MM:SS", or a span.  -1: neither. */
static int64_t
offset_parse(const char *text)
{
	int h, m, s, used = 0;

	if (strchr(text, ':') == NULL)
		return (span_parse(text));
	if (strspn(text, "0123456789:") != strlen(text) || sscanf(text, "%4d:%2d:%2d%n", &h, &m, &s, &used) != 3 ||
	    text[used] != '\0' || m > 59 || s > 59)
		return (-1);
	return (h * TIMES_HOUR_MS + m * TIMES_MINUTE_MS + s * TIMES_SECOND_MS);
}

static int
play_options(struct verb *v, json_t *o)
{
	const char *at = call_value(&v->call, "--at"), *speed = call_value(&v->call, "--speed");
	int64_t idle = -1, begin;
	double times;
	char *end;

	if (at != NULL) {
		if ((begin = offset_parse(at)) < 0) {
			verb_usage(v, "--at %s: HH:MM:SS from the beginning", at);
			return (-1);
		}
		set(o, "at", json_integer(begin));
	}
	if (speed != NULL) {
		times = strtod(speed, &end);
		if (speed[strspn(speed, "0123456789.")] != '\0' || *end != '\0' || end == speed || times < 0 ||
		    times > 1000) {
			verb_usage(v, "--speed %s: a number up to 1000; 0: without waiting", speed);
			return (-1);
		}
		set(o, "speed", json_real(times));
	}
	if (verb_span(v, "--idle", 0, TIMES_DAY_MS, &idle) == -1)
		return (-1);
	if (idle >= 0)
		set(o, "idle_ms", json_integer(idle));
	return (0);
}

void
verb_play(struct verb *v)
{
	struct stream r;
	json_t *o;

	if (recording_find(v, v->call.argument[0], &r) == -1 || verb_is_fresh(v) == -1)
		return;
	o = options_new(v);
	if (play_options(v, o) == -1)
		json_decref(o);
	else
		reading_allow(v, &r, o);
}

/* Names of files and commands are of what was recorded: who may read them proves afresh who they are, as for playing. */
void
verb_files(struct verb *v)
{
	struct stream r;

	if (recording_find(v, v->call.argument[0], &r) == 0 && verb_is_fresh(v) == 0)
		reading_allow(v, &r, options_new(v));
}

/* All recordings not older; NULL when there are too many, or none, and that was said. */
static json_t *
recordings_since(struct verb *v, int64_t since)
{
	json_t *ids = json_or_die(json_array());
	struct rows found;
	int many;

	must(v->policy, store_list(v->policy->store, QUERY_STREAMS_SINCE, &found, ARG_INT(since > 0 ? since : 1),
	                    ARG_INT(VERIFY_MOST + 1)));
	for (size_t i = 0; i < found.count; i++)
		if (verb_may_see(v, rows_at(&found, stream, i)->vendor) &&
		    json_array_append_new(ids, json_string(rows_at(&found, stream, i)->id)) == -1)
			log_fatal("out of memory");
	many = found.count > VERIFY_MOST;
	rows_free(&found);
	if (json_array_size(ids) > 0 && !many)
		return (ids);
	if (!many)
		verb_refuse(v, REASON_NOT_FOUND, "there is no such recording");
	else
		verb_refuse(v, REASON_LIMIT, "more than %d recordings are too many at once; narrow it with --since",
		    VERIFY_MOST);
	json_decref(ids);
	return (NULL);
}

void
verb_verify(struct verb *v)
{
	int all = call_value(&v->call, "--all") != NULL, since_given = call_value(&v->call, "--since") != NULL;
	struct stream r;
	int64_t since = 0;
	json_t *o, *ids;

	if ((int)v->call.argument_count + all + since_given != 1) {
		verb_usage(v, "verify what? one of: verify RECORDING, verify --all, verify --since TIME");
		return;
	}
	if (v->call.argument_count == 1) {
		if (recording_find(v, v->call.argument[0], &r) == 0)
			reading_allow(v, &r, options_new(v));
		return;
	}
	if (verb_since(v, "--since", &since) == -1 || (ids = recordings_since(v, since)) == NULL)
		return;
	o = options_new(v);
	set(o, "ids", ids);
	reading_allow(v, NULL, o);
}

/* ---- export: the bundle says who was let in, by whom and why ---- */

static void
set_text(json_t *o, const char *key, const char *text)
{
	char clean[SHEET_LINE];

	text_clean(clean, sizeof(clean), bytes_text(text));
	if (clean[0] != '\0')
		set(o, key, json_string(clean));
}

static void
set_moment(json_t *o, const char *key, int64_t wall_ms)
{
	char text[32];

	if (wall_ms == 0)
		return;
	clock_rfc3339(wall_ms, text, sizeof(text));
	set(o, key, json_string(text));
}

static json_t *
decisions_json(struct policy *p, int64_t request)
{
	json_t *all = json_or_die(json_array()), *o;
	struct rows found;

	must(p, store_list(p->store, QUERY_DECISIONS_OF_REQUEST, &found, ARG_INT(request)));
	for (size_t i = 0; i < found.count; i++) {
		const struct decision *d = rows_at(&found, decision, i);

		o = json_or_die(json_object());
		set_text(o, "who", d->who);
		set_text(o, "what", d->what);
		set_moment(o, "at", d->at);
		set_text(o, "why", d->why);
		set_moment(o, "begins", d->begins_at);
		set_moment(o, "ends", d->ends_at);
		if (json_array_append_new(all, o) == -1)
			log_fatal("out of memory");
	}
	rows_free(&found);
	return (all);
}

static json_t *
visitor_json(struct policy *p, int64_t number)
{
	struct visitor w = {.number = number};
	json_t *o = json_or_die(json_object());

	if (must(p, visitor_get(p->store, &w)) == 0)
		return (o);
	set_text(o, "person", w.person);
	set_text(o, "vendor", w.vendor);
	set_text(o, "fingerprint", w.fingerprint);
	set_text(o, "key_type", w.key_type);
	set_text(o, "source", w.source);
	set(o, "port", json_integer(w.port));
	set(o, "key", json_boolean(w.factors & FACTOR_KEY));
	set(o, "touch", json_boolean(w.factors & FACTOR_TOUCH));
	set(o, "code", json_boolean(w.factors & FACTOR_PAM));
	set(o, "grace", json_boolean(w.factors & FACTOR_GRACE));
	set(o, "host_bound", json_boolean(w.host_bound));
	set_moment(o, "began", w.began_at);
	set_moment(o, "ended", w.ended_at);
	return (o);
}

static json_t *
request_json(struct policy *p, const struct stream *r)
{
	struct request q = {.id = r->request};
	struct grant g;
	json_t *o = json_or_die(json_object());
	char can[64];

	if (must(p, request_get(p->store, &q)) == 1)
		set_text(o, "state", request_state(p, &q, &g));
	else
		g = (struct grant){.id = 0};
	set(o, "request", json_integer(r->request));
	set_text(o, "person", q.person);
	set_text(o, "vendor", q.vendor);
	set_text(o, "target", q.target);
	set_text(o, "account", q.account);
	capabilities_print((unsigned)g.capabilities, can, sizeof(can));
	set_text(o, "capabilities", can);
	set_text(o, "why", q.why);
	set_text(o, "ticket", q.ticket);
	set_moment(o, "asked", q.asked_at);
	set_moment(o, "begins", g.begins_at);
	set_moment(o, "ends", g.ends_at);
	set_text(o, "approver", g.approver);
	set_moment(o, "approved", g.approved_at);
	set_text(o, "ended_by", g.end_by);
	set(o, "decisions", decisions_json(p, r->request));
	set(o, "visitor", visitor_json(p, r->visitor));
	return (o);
}

void
verb_export(struct verb *v)
{
	struct stream r;
	json_t *o;

	if (recording_find(v, v->call.argument[0], &r) == -1 || verb_is_fresh(v) == -1)
		return;
	if (v->columns != 0) {
		verb_usage(
		    v, "a bundle is no text for a terminal: ... export %s > bundle.tar", v->call.argument[0]);
		return;
	}
	o = options_new(v);
	set(o, "request", request_json(v->policy, &r));
	reading_allow(v, &r, o);
}
