/* sessions, end, events, status: what goes on in the house. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "times.h"
#include "verb.h"
#include "walk.h"

#define STREAMS_SHOWN 20  /* of one session that has ended */
#define EVENTS_SHOWN 500  /* where --last does not say */
#define EVENTS_MOST 10000 /* at once */
#define EVENTS_PAGE 200

/* ---- sessions ---- */

/* Where they are: on the target, or connected through its window to somewhere else. */
static void
session_place(const struct stream *on, char *place, size_t size, char to[FORWARD_TEXT])
{
	struct forward f = {.port = (uint16_t)on->forward_port};

	if (f.port == 0) {
		place_print(on->target, on->account, place);
		return;
	}
	TEXT_COPY(f.host, on->forward_host);
	forward_print(&f, to);
	(void)snprintf(place, size, "forward %s (%s)", to, on->target);
}

static void
session_row(struct verb *v, struct sheet *s, const struct visitor *who, const struct stream *on)
{
	static const char *const roles[] = {"", "engineer", "manager", "auditor", "operator"};
	struct grant g = {.id = on == NULL ? 0 : on->grant};
	char place[PLACE_TEXT + FORWARD_TEXT] = "", to[FORWARD_TEXT] = "";
	int all = call_value(&v->call, "--all") != NULL;

	if (on != NULL)
		session_place(on, place, sizeof(place), to);
	sheet_row(s);
	sheet_number(s, "session", "SESSION", who->number);
	sheet_text(s, "person", "WHO", who->person);
	sheet_text(s, "vendor", "VENDOR", who->vendor);
	sheet_text(s, "role", "ROLE", who->role > 0 && who->role <= ROLE_OPERATOR ? roles[who->role] : "");
	sheet_text(s, "source", "FROM", who->source);
	sheet_when(s, "began", "SINCE", who->began_at);
	sheet_when(s, "left", all ? "LEFT" : "", who->ended_at);
	sheet_text(s, "target", "", on == NULL ? "" : on->target);
	sheet_text(s, "account", "", on == NULL ? "" : on->account);
	sheet_shown(s, "place", "ON", "", place);
	sheet_text(s, "forward", "", to);
	if (on != NULL && on->state == STREAM_STATE_BEGUN) {
		(void)must(v->policy, grant_get(v->policy->store, &g));
		sheet_when(s, "until", "UNTIL", g.ends_at);
	} else
		sheet_text(s, "until", "UNTIL", on == NULL || who->ended_at != 0 ? "" : "entering");
	if (on != NULL)
		sheet_number(s, "request", "REQUEST", on->request);
	else
		sheet_text(s, "request", "REQUEST", "");
	if (on != NULL && on->id[0] != '\0')
		sheet_text(s, "recording", "", on->id);
	sheet_text(s, "unusual", "", who->suspicion);
}

/* A row for each target that they are on, or were on; one where there is none. */
static void
session_rows(struct verb *v, struct sheet *s, const struct visitor *who)
{
	struct policy *p = v->policy;
	struct rows found;
	size_t n;

	if (who->ended_at == 0)
		must(p, store_list(p->store, QUERY_STREAMS_OF_CONN_LIVE, &found, ARG_INT(who->conn),
		            ARG_INT(STREAM_STATE_ALLOWED), ARG_INT(STREAM_STATE_BEGUN)));
	else
		must(p, store_list(p->store, QUERY_STREAMS_OF_CONN, &found, ARG_INT(who->conn),
		            ARG_INT(STREAMS_SHOWN + 1)));
	n = found.count;
	if (who->ended_at != 0 && n > STREAMS_SHOWN) {
		text_add(&v->err, "lodge: of session %lld the first %d; all: recordings --person %s\n",
		    (long long)who->number, STREAMS_SHOWN, who->person);
		n = STREAMS_SHOWN;
	}
	for (size_t i = 0; i < n; i++)
		session_row(v, s, who, rows_at(&found, stream, i));
	if (n == 0)
		session_row(v, s, who, NULL);
	rows_free(&found);
}

/* Whose process did what is not its own. */
static void
suspicions_put(struct verb *v, const struct rows *visitors)
{
	for (size_t i = 0; i < visitors->count; i++) {
		const struct visitor *who = rows_at(visitors, visitor, i);

		if (who->suspicion[0] != '\0' && verb_may_see(v, who->vendor))
			text_add(&v->out, "! the process of session %lld did what is not its own: %s\n",
			    (long long)who->number, who->suspicion);
	}
}

/* Who is in; or (--all) whoever came, newest first and one more than is shown.  -1: usage was said. */
static int
visitors_find(struct verb *v, int all, struct rows *found)
{
	struct policy *p = v->policy;
	int64_t before;

	if (verb_before(v, &before) == -1)
		return (-1);
	if (!all && before == INT64_MAX)
		return (must(p, store_list_all(p->store, QUERY_VISITORS_HERE, found)));
	if (!all) {
		verb_usage(v, "--before is for sessions --all");
		return (-1);
	}
	if (v->who.vendor[0] != '\0')
		return (must(p, store_list(p->store, QUERY_VISITORS_OF_VENDOR_BEFORE, found,
		                    ARG_TEXT(v->who.vendor), ARG_INT(before), ARG_INT(VERB_PAGE + 1))));
	return (
	    must(p, store_list(p->store, QUERY_VISITORS_BEFORE, found, ARG_INT(before), ARG_INT(VERB_PAGE + 1))));
}

void
verb_sessions(struct verb *v)
{
	int all = call_value(&v->call, "--all") != NULL;
	struct rows found;
	struct sheet *s;

	if (visitors_find(v, all, &found) == -1)
		return;
	if (all && found.count > VERB_PAGE)
		verb_older(v, "sessions --all", rows_at(&found, visitor, --found.count - 1)->number);
	s = sheet_new();
	for (size_t i = 0; i < found.count; i++)
		if (verb_may_see(v, rows_at(&found, visitor, i)->vendor))
			session_rows(v, s, rows_at(&found, visitor, i));
	sheet_table(s, v->form, v->columns, all ? "there are no older ones" : "nobody is in", &v->out);
	if (v->form == SHEET_TEXT)
		suspicions_put(v, &found);
	rows_free(&found);
	sheet_free(s);
}

/* ---- end ---- */

/* Whom `end` means; exactly one of these is set. */
struct choice {
	int64_t session;
	const char *vendor, *target;
	int all;
};

static int
choice_read(struct verb *v, struct choice *c)
{
	*c = (struct choice){.vendor = call_value(&v->call, "--vendor"),
	    .target = call_value(&v->call, "--target"),
	    .all = call_value(&v->call, "--all") != NULL};
	if (v->call.argument_count > 0 && verb_number(v, 0, &c->session) == -1)
		return (-1);
	if ((c->session != 0) + (c->vendor != NULL) + (c->target != NULL) + c->all == 1)
		return (0);
	verb_usage(v, "end whom? one of: end SESSION, end --vendor NAME, end --target NAME, end --all");
	return (-1);
}

static int
is_on(const struct connection *c, const char *target)
{
	struct rows found;
	int on = 0;

	must(c->policy, store_list(c->policy->store, QUERY_STREAMS_OF_CONN_LIVE, &found, ARG_INT((int64_t)c->conn),
	                    ARG_INT(STREAM_STATE_ALLOWED), ARG_INT(STREAM_STATE_BEGUN)));
	for (size_t i = 0; i < found.count; i++)
		on |= strcmp(rows_at(&found, stream, i)->target, target) == 0;
	rows_free(&found);
	return (on);
}

/* Those of the house who keep order are not swept out with all the others: by their number only. */
static int
is_chosen(const struct verb *v, const struct connection *c, const struct choice *choice)
{
	if (c->visitor.number == 0 || c->cut || !verb_may_see(v, c->visitor.vendor))
		return (0);
	if (choice->session != 0)
		return (c->visitor.number == choice->session);
	if (c == v->connection)
		return (0);
	if (choice->vendor != NULL)
		return (strcmp(c->visitor.vendor, choice->vendor) == 0);
	return (choice->target != NULL ? is_on(c, choice->target) : c->visitor.role == ROLE_ENGINEER);
}

/* A leaf for each of them, and the order in their row, so that it outlives this process; gives how many. */
static int
ends_note(struct verb *v, const struct choice *choice, const char *why, const char *text)
{
	struct policy *p = v->policy;
	int n = 0;

	for (struct connection *c = p->connections; c != NULL; c = c->next)
		if (is_chosen(v, c, choice)) {
			c->visitor.cut_at = clock_wall_ms();
			TEXT_COPY(c->visitor.cut_why, text);
			must(p, visitor_set(p->store, &c->visitor));
			verb_changed(v, event_note(p, &(struct happening){.type = EVENT_SESSION_END_ORDERED,
			                                  .who = v->who.login,
			                                  .about = c->visitor.person,
			                                  .vendor = c->visitor.vendor,
			                                  .source = v->who.source,
			                                  .session = c->visitor.number,
			                                  .target = choice->target,
			                                  .why = why}));
			n++;
		}
	return (n);
}

void
verb_end_sessions(struct verb *v)
{
	struct policy *p = v->policy;
	struct choice choice;
	char why[ROW_WORDS], line[ROW_WORDS + 2 * ROW_NAME], text[400];
	int n;

	if (VERB_TEXT(v, "--why", why) == -1 || choice_read(v, &choice) == -1 || verb_is_fresh(v) == -1)
		return;
	(void)snprintf(
	    line, sizeof(line), "%s ended the session%s%s", v->who.login, why[0] == '\0' ? "" : ": ", why);
	text_clean(text, sizeof(text), bytes_text(line));
	policy_begin(p);
	if ((n = ends_note(v, &choice, why, text)) == 0) {
		store_rollback(p->store);
		verb_refuse(v, REASON_NOT_FOUND, "nobody of that kind is in; see: sessions");
		return;
	}
	if (v->form == SHEET_JSON)
		text_add(&v->out, "{\"ended\": %d}\n", n);
	else
		text_add(&v->out, "%d session%s cut off; a window that is open stays so until: revoke NO\n", n,
		    n == 1 ? " is" : "s are");
	verb_commit(v);
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		if (is_chosen(v, c, &choice))
			connection_cut(c, REASON_ENDED_BY_MANAGER, text);
}

/* ---- events ---- */

static const char *
member(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return (text == NULL ? "" : text);
}

static void
word_add(struct text *line, const char *before, const char *word)
{
	if (word[0] != '\0')
		text_add(line, " %s%s", before, word);
}

/* One line for people: when, what, the outcome, by whom, about whom, where. */
static void
event_line(const struct event *e, const json_t *o, struct text *to)
{
	const json_t *lodge = json_object_get(o, "lodge"), *event = json_object_get(o, "event"),
	             *user = json_object_get(o, "user");
	struct text line = {.at = NULL};
	char when[TIMES_TEXT], clean[SHEET_LINE];
	json_int_t request = json_integer_value(json_object_get(lodge, "request"));
	json_int_t session = json_integer_value(json_object_get(lodge, "session"));

	when_print(e->at, when, sizeof(when));
	text_add(&line, "%lld  %s  %s", (long long)e->sequence, when, e->name);
	if (strcmp(member(event, "outcome"), "failure") == 0 || member(event, "reason")[0] != '\0')
		text_add(&line, " [%s]", member(event, "reason")[0] != '\0' ? member(event, "reason") : "failure");
	word_add(&line, "", member(user, "name"));
	word_add(&line, "about ", member(json_object_get(user, "target"), "name"));
	word_add(&line, "of ", member(lodge, "vendor"));
	word_add(&line, "from ", member(json_object_get(o, "source"), "ip"));
	word_add(&line, "on ", member(lodge, "target"));
	word_add(&line, "as ", member(lodge, "account"));
	if (request != 0)
		text_add(&line, " request %lld", (long long)request);
	if (session != 0)
		text_add(&line, " session %lld", (long long)session);
	word_add(&line, "forward to ", member(lodge, "forwards"));
	word_add(&line, "recording ", member(lodge, "recording"));
	word_add(&line, "", member(lodge, "method"));
	word_add(&line, "", member(lodge, "what"));
	word_add(&line, "- ", member(lodge, "why"));
	text_clean(clean, sizeof(clean), bytes_of(line.at, line.len));
	text_add(to, "%s\n", clean);
	text_free(&line);
}

static void
event_put(struct verb *v, const struct event *e)
{
	json_t *o = json_loads(e->json, 0, NULL);

	if (o == NULL || !verb_may_see(v, member(json_object_get(o, "lodge"), "vendor"))) {
		json_decref(o);
		return;
	}
	if (v->form == SHEET_JSON)
		text_add(&v->out, "%s\n", e->json); /* the leaf as the book has it, one a line */
	else
		event_line(e, o, &v->out);
	json_decref(o);
}

/* All after `after` up to `last`. */
static void
events_put(struct verb *v, int64_t after, int64_t last)
{
	struct policy *p = v->policy;
	struct rows found;
	size_t n;

	do {
		n = (size_t)must(
		    p, store_list(p->store, QUERY_EVENTS_AFTER, &found, ARG_INT(after), ARG_INT(EVENTS_PAGE)));
		for (size_t i = 0; i < n; i++) {
			const struct event *e = rows_at(&found, event, i);

			if (e->sequence > last) {
				n = 0;
				break;
			}
			event_put(v, e);
			after = e->sequence;
		}
		rows_free(&found);
	} while (n == EVENTS_PAGE);
	v->followed = last;
}

void
verb_events(struct verb *v)
{
	const char *count = call_value(&v->call, "--last");
	int64_t last = v->policy->event_last, n = EVENTS_SHOWN;

	if (count != NULL && (number_parse(count, &n) == -1 || n > EVENTS_MOST)) {
		verb_usage(v, "--last %s: a number up to %d", count, EVENTS_MOST);
		return;
	}
	v->follows = call_value(&v->call, "--follow") != NULL;
	if (v->follows && v->policy->book_held >= 0 && v->policy->book_held < last)
		last = v->policy->book_held; /* the rest comes when the book has it */
	if (count == NULL && last > n)
		text_add(&v->err, "lodge: the last %lld of %lld events; more: events --last N\n", (long long)n,
		    (long long)last);
	events_put(v, last > n ? last - n : 0, last);
}

void
verb_events_more(struct verb *v)
{
	if (v->policy->book_held > v->followed)
		events_put(v, v->followed, v->policy->book_held);
}

/* ---- status ---- */

static int64_t
count_of(struct policy *p, enum query query, const struct arg *args, size_t n)
{
	struct rows found;
	int count = must(p, store_find(p->store, query, args, n, &found));

	rows_free(&found);
	return (count);
}

static void
rows_processes(struct policy *p, struct sheet *s)
{
	const struct {
		const char *key, *title;
		const struct peer *peer;
	} links[] = {{"auth", "lodge-auth", p->auth}, {"recorder", "lodge-recorder", p->recorder},
	    {"book", "lodge-book", p->book}, {"dialer", "lodge-dialer", p->dialer},
	    {"reader", "lodge-reader", p->reader}};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		sheet_text(s, links[i].key, links[i].title, links[i].peer != NULL ? "here" : "AWAY");
}

static void
rows_shelf(struct policy *p, struct sheet *s)
{
	static const char *const states[] = {
	    "OK", "LOW: make room", "CRITICAL: no visit begins", "FULL: sessions end"};
	char text[96];

	(void)snprintf(text, sizeof(text), "%s, %llu MiB free",
	    states[p->shelf <= SHELF_FULL ? p->shelf : SHELF_FULL], (unsigned long long)(p->shelf_free >> 20));
	sheet_shown(s, "shelf", "Shelf", states[p->shelf <= SHELF_FULL ? p->shelf : SHELF_FULL],
	    p->recorder == NULL ? "not known" : text);
	sheet_number(s, "shelf_free_bytes", "", (int64_t)p->shelf_free);
}

static void
rows_book(struct policy *p, struct sheet *s)
{
	char text[96];

	if (p->book_held < 0)
		(void)snprintf(text, sizeof(text), "not known: nothing is decided until the book answers");
	else if (p->book_held < p->event_last)
		(void)snprintf(text, sizeof(text), "%lld of %lld events held", (long long)p->book_held,
		    (long long)p->event_last);
	else
		(void)snprintf(text, sizeof(text), "all %lld events held", (long long)p->event_last);
	sheet_shown(s, "book_state", "Book", text, text);
	sheet_number(s, "events", "", p->event_last);
}

/* Those that showed a host key which is not pinned. */
static void
rows_host_keys(struct policy *p, struct sheet *s)
{
	struct text names = {.at = NULL};
	struct rows found;

	must(p, store_list_all(p->store, QUERY_TARGETS, &found));
	for (size_t i = 0; i < found.count; i++)
		if (rows_at(&found, target, i)->mismatch_at != 0)
			text_add(&names, "%s%s", names.len == 0 ? "" : ", ", rows_at(&found, target, i)->name);
	sheet_text(s, "host_keys", "Host key differs", names.at == NULL ? "" : names.at);
	text_free(&names);
	rows_free(&found);
}

void
verb_status(struct verb *v)
{
	struct policy *p = v->policy;
	struct sheet *s = sheet_new();
	int64_t wall = clock_wall_ms();

	sheet_row(s);
	sheet_text(s, "version", "Lodge", LODGE_VERSION);
	sheet_moment(s, "now", "Clock", wall);
	sheet_text(s, "clock", "", wall < p->high_water_ms - DECIDE_CLOCK_SLACK_MS ? "behind" : "good");
	if (wall < p->high_water_ms - DECIDE_CLOCK_SLACK_MS)
		sheet_shown(s, "", "Clock is behind", "", reason_todo(REASON_CLOCK_BEHIND));
	rows_processes(p, s);
	rows_book(p, s);
	rows_shelf(p, s);
	sheet_number(s, "sessions", "People in", count_of(p, QUERY_VISITORS_HERE, NULL, 0));
	sheet_number(s, "visits", "On targets",
	    count_of(p, QUERY_STREAMS_LIVE,
	        (const struct arg[]){ARG_INT(STREAM_STATE_ALLOWED), ARG_INT(STREAM_STATE_BEGUN)}, 2));
	sheet_number(s, "waiting", "Wait for a yes",
	    count_of(p, QUERY_REQUESTS_IN_STATE, (const struct arg[]){ARG_INT(STATE_ASKED)}, 1));
	sheet_number(s, "windows", "Windows given",
	    count_of(p, QUERY_GRANTS_LIVE, (const struct arg[]){ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)}, 2));
	rows_host_keys(p, s);
	sheet_lines(s, v->form, &v->out);
	sheet_free(s);
}
