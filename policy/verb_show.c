/*
 * show: one screen before deciding.  Who, what, when (local time and zone, both ends), why, what is unusual, the last
 * five visits.  Every word of it that somebody else wrote is clean text.
 */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "keys.h"
#include "targets.h"
#include "times.h"
#include "verb.h"

#define LAST_VISITS 5
#define NIGHT_BEGINS 22 /* hours on the reader's own clock between which a visit is worth a second look */
#define NIGHT_ENDS 6
#define LONG_MS (8 * TIMES_HOUR_MS)

/* ---- what is unusual ---- */

struct unusual {
	struct policy *policy;
	const struct request *request;
	int64_t begins, length;
	struct text *to;
};

static int
found_any(struct rows *found, int n)
{
	rows_free(found);
	return (n > 0);
}

static int
by_key_before(const struct unusual *u)
{
	struct policy *p = u->policy;
	const struct request *r = u->request;
	struct rows found;

	return (r->fingerprint[0] == '\0' ||
	        found_any(&found, must(p, store_list(p->store, QUERY_VISITORS_BY_KEY, &found, ARG_TEXT(r->person),
	                                      ARG_TEXT(r->fingerprint), ARG_INT(r->conn)))));
}

static int
from_there_before(const struct unusual *u)
{
	struct policy *p = u->policy;
	const struct request *r = u->request;
	struct rows found;

	return (r->source[0] == '\0' ||
	        found_any(&found, must(p, store_list(p->store, QUERY_VISITORS_FROM, &found, ARG_TEXT(r->person),
	                                      ARG_TEXT(r->source), ARG_INT(r->conn)))));
}

static int
on_target_before(const struct unusual *u)
{
	struct policy *p = u->policy;
	struct rows found;

	return (found_any(&found, must(p, store_list(p->store, QUERY_STREAM_LAST_OF_PERSON_ON, &found,
	                                      ARG_TEXT(u->request->person), ARG_TEXT(u->request->target)))));
}

static void
unusual_hour(const struct unusual *u)
{
	char clock[TIMES_TEXT];
	int hour;

	moment_print_clock(u->begins, clock);
	hour = (clock[0] - '0') * 10 + (clock[1] - '0');
	if (hour >= NIGHT_BEGINS || hour < NIGHT_ENDS)
		text_add(u->to, "it begins at night, %s\n", clock);
}

/* A key that came newly to this person. */
static void
unusual_key(const struct unusual *u)
{
	struct person_key k = {.added = 0};
	char when[TIMES_TEXT];

	if (!by_key_before(u))
		text_put(u->to, "this key was never used here before\n");
	if (u->request->fingerprint[0] == '\0')
		return;
	TEXT_COPY(k.login, u->request->person);
	TEXT_COPY(k.fingerprint, u->request->fingerprint);
	if (must(u->policy, person_key_get(u->policy->store, &k)) == 0) {
		text_put(u->to, "this key is not one of theirs any more\n");
	} else if (k.added > clock_wall_ms() - TIMES_DAY_MS) {
		moment_print(k.added, when);
		text_add(u->to, "this key %s, %s\n", k.invited ? "came by an invitation today" : "was added lately",
		    when);
	}
}

/* A process that carried one of their connections did what is not its own: theirs may have been the bytes that took it over. */
static void
unusual_suspect(const struct unusual *u)
{
	struct policy *p = u->policy;
	struct rows found;

	if (must(p, store_list(p->store, QUERY_VISITORS_SUSPECT, &found, ARG_TEXT(u->request->person))) > 0)
		text_add(u->to, "the process of their session %lld did what is not its own: %s\n",
		    (long long)rows_at(&found, visitor, 0)->number, rows_at(&found, visitor, 0)->suspicion);
	rows_free(&found);
}

/* Was a like wish refused within a week? */
static void
unusual_denied(const struct unusual *u)
{
	struct policy *p = u->policy;
	struct rows found;

	if (must(p, store_list(p->store, QUERY_REQUESTS_DENIED_SINCE, &found, ARG_TEXT(u->request->person),
	                ARG_INT(STATE_DENIED), ARG_INT(clock_wall_ms() - 7 * TIMES_DAY_MS))) > 0)
		text_add(u->to, "request %lld of theirs was denied within a week, by %s\n",
		    (long long)rows_at(&found, request, 0)->id, rows_at(&found, request, 0)->decided_by);
	rows_free(&found);
}

/* "localhost" is not the target's, however they mean it. */
static void
unusual_forwards(const struct unusual *u)
{
	const char *list = u->request->forwards;
	struct forward f;
	char text[FORWARD_TEXT];

	while ((list = forwards_next(list, &f)) != NULL)
		if (forward_is_local(&f)) {
			forward_print(&f, text);
			text_add(u->to, "%s is on this gateway itself, not on %s\n", text, u->request->target);
		}
}

/* Somebody may stand in the target's place, or it was made anew. */
static void
unusual_host_key(const struct unusual *u)
{
	struct target t = {.port = 0};
	char shown[TARGET_SHOWN_TEXT];

	TEXT_COPY(t.name, u->request->target);
	(void)must(u->policy, target_get(u->policy->store, &t));
	target_shown_print(&t, shown);
	if (shown[0] != '\0')
		text_add(u->to, "%s: %s\n", t.name, shown);
}

static void
unusual_capabilities(const struct unusual *u)
{
	char text[64];

	capabilities_print((unsigned)u->request->capabilities & CAPABILITIES_UNUSUAL, text, sizeof(text));
	if (text[0] != '\0')
		text_add(u->to, "they ask for what nobody gets without asking: %s\n", text);
}

void
request_unusual(struct policy *p, const struct request *r, struct text *to)
{
	struct unusual u = {.policy = p,
	    .request = r,
	    .begins = r->from_wall != 0 ? r->from_wall : r->asked_at,
	    .length = r->asked_for,
	    .to = to};
	struct facts_held h;
	struct verdict_made d;
	char text[64];

	if (r->why[0] == '\0')
		text_put(to, "no reason is given\n");
	if (r->ticket[0] == '\0')
		text_put(to, "no ticket is named\n");
	unusual_key(&u);
	unusual_suspect(&u);
	if (!from_there_before(&u))
		text_add(to, "they never came from %s before\n", r->source);
	if (!on_target_before(&u))
		text_add(to, "they were never on %s before\n", r->target);
	unusual_hour(&u);
	if (u.length > LONG_MS) {
		span_print(u.length, text, sizeof(text));
		text_add(to, "%s is long\n", text);
	}
	unusual_denied(&u);
	unusual_forwards(&u);
	unusual_capabilities(&u);
	unusual_host_key(&u);
	/* What would refuse them whatever is decided. */
	facts_load(p, &h, r->person, r->target, r->account);
	h.facts.source = r->source;
	d = decide(&h.facts);
	if (d.reason != REASON_NONE && d.reason != REASON_NO_GRANT && d.reason != REASON_WAITING &&
	    d.reason != REASON_NOT_YET && d.reason != REASON_WINDOW_ENDED && r->state == STATE_ASKED)
		text_add(to, "as things stand they could not enter: %s\n",
		    d.text[0] != '\0' ? d.text : reason_what(d.reason));
	facts_free(&h);
}

/* ---- the screen ---- */

/* How they proved who they are: "key (touched, PIN or finger) and code, bound to this host". */
static void
factors_print(int64_t factors, int64_t host_bound, char *text, size_t size)
{
	static const char *const token[] = {"", " (touched)", " (PIN or finger)", " (touched, PIN or finger)"};

	(void)snprintf(text, size, "%s%s%s%s%s%s%s", factors & FACTOR_KEY ? "key" : "",
	    token[(factors & FACTOR_TOUCH ? 1 : 0) + (factors & FACTOR_VERIFIED ? 2 : 0)],
	    factors & FACTOR_PAM ? " and code" : "",
	    factors & FACTOR_GRACE ? " (code of an earlier login, MFAGrace)" : "",
	    factors & FACTOR_FRESH ? ", and a code since then" : "",
	    factors & FACTOR_INVITED ? ", by an invitation" : "",
	    factors != 0 && host_bound ? ", bound to this host" : "");
}

/* What is known of the key: how old it is, what stands before it, whether it is still theirs. */
static void
row_key(struct policy *p, struct sheet *s, const struct request *r)
{
	struct person_key k = {.added = 0};
	char added[TIMES_TEXT], options[KEY_OPTIONS_TEXT], text[KEY_OPTIONS_TEXT + TIMES_TEXT + 64];
	struct key_options o;

	TEXT_COPY(k.login, r->person);
	TEXT_COPY(k.fingerprint, r->fingerprint);
	if (r->fingerprint[0] == '\0' || must(p, person_key_get(p->store, &k)) == 0)
		return;
	o = key_options_of(&k);
	key_options_print(&o, options);
	moment_print(k.added, added);
	(void)snprintf(text, sizeof(text), "%s %s%s%s", k.invited ? "enrolled by invitation" : "added", added,
	    options[0] == '\0' ? "" : "; ", options);
	sheet_shown(s, "", "Key was", "", text);
	sheet_moment(s, "key_added", "", k.added);
	sheet_text(s, "key_added_by", "", k.invited ? "invitation" : "");
	sheet_text(s, "key_options", "", options);
	sheet_moment(s, "key_last_used", "Key last used", k.last_used);
	sheet_text(s, "key_last_source", "", k.last_source);
}

static void
rows_who(struct policy *p, struct sheet *s, const struct request *r)
{
	struct unusual u = {.policy = p, .request = r};
	struct person who = {.role = 0};
	struct rows found;
	char text[ROW_WORDS + 4 * ROW_NAME], factors[192] = "", type[ROW_NAME] = "";

	TEXT_COPY(who.login, r->person);
	(void)must(p, person_get(p->store, &who));
	(void)snprintf(text, sizeof(text), "%s%s%.400s%s", r->person, who.name[0] == '\0' ? "" : ", ", who.name,
	    r->vendor[0] == '\0' ? "" : ", of vendor ");
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", r->vendor);
	sheet_shown(s, "person", "Who", r->person, text);
	sheet_text(s, "name", "", who.name);
	sheet_text(s, "vendor", "", r->vendor);
	if (must(p, store_list(p->store, QUERY_VISITOR_OF_CONN, &found, ARG_INT(r->conn))) == 1) {
		factors_print(rows_at(&found, visitor, 0)->factors, rows_at(&found, visitor, 0)->host_bound,
		    factors, sizeof(factors));
		TEXT_COPY(type, rows_at(&found, visitor, 0)->key_type);
	}
	rows_free(&found);
	(void)snprintf(text, sizeof(text), "%s %s%s", r->fingerprint, type,
	    r->fingerprint[0] == '\0' ? "on the box, no key"
	    : by_key_before(&u)       ? ""
	                              : ", first seen now");
	sheet_shown(s, "fingerprint", "Key", r->fingerprint, text);
	sheet_text(s, "key_type", "", type);
	row_key(p, s, r);
	sheet_text(s, "factors", "Proved by", factors);
	(void)snprintf(text, sizeof(text), "%s%s", r->source[0] == '\0' ? "the box itself" : r->source,
	    from_there_before(&u) ? "" : ", first seen now");
	sheet_shown(s, "source", "From", r->source, text);
}

static void
rows_when(struct sheet *s, const struct request *r, const struct grant *g)
{
	char begins[TIMES_TEXT], ends[TIMES_TEXT], span[64], text[3 * TIMES_TEXT];
	int64_t from = g->id != 0 ? g->begins_at : r->from_wall,
	        length = g->id != 0 ? g->ends_at - g->begins_at : r->asked_for;

	/* Approved now, it would begin now. */
	if (from < clock_wall_ms() && g->id == 0 && r->state == STATE_ASKED)
		from = clock_wall_ms();
	if (from == 0)
		from = r->asked_at;
	moment_print(from, begins);
	moment_print(from + length, ends);
	span_print(length < 1000 ? length : length / 1000 * 1000, span, sizeof(span));
	sheet_shown(s, "begins", g->id != 0 ? "Begins" : "Would begin", "", begins);
	(void)snprintf(text, sizeof(text), "%s  (%s)", ends, span);
	sheet_shown(s, "ends", g->id != 0 ? "Ends" : "Would end", "", text);
	if (g->id != 0) {
		sheet_moment(s, "begins", "", g->begins_at);
		sheet_moment(s, "ends", "", g->ends_at);
	} else if (r->from_wall != 0)
		sheet_moment(s, "begins", "", r->from_wall);
	sheet_span(s, "for_ms", "", length);
	sheet_moment(s, "asked", "Asked", r->asked_at);
	if (r->state == STATE_ASKED)
		sheet_moment(s, "lapses", "Lapses", r->lapse_at);
}

static void
rows_state(struct policy *p, struct sheet *s, const struct request *r, struct grant *g)
{
	const char *state = request_state(p, r, g), *why = g->end_why[0] != '\0' ? g->end_why : r->decided_why;
	char by[2 * ROW_NAME + ROW_WORDS + TIMES_TEXT + 64], when[TIMES_TEXT];

	sheet_number(s, "request", "Request", r->id);
	sheet_text(s, "state", "State", state);
	by[0] = '\0';
	if (r->decided_by[0] != '\0') {
		moment_print(r->decided_at, when);
		(void)snprintf(by, sizeof(by), "%s, %s%s%s", r->decided_by, when,
		    g->end_by[0] == '\0' ? "" : "; ended by ", g->end_by);
	}
	sheet_shown(s, "decided_by", "Decided by", r->decided_by, by);
	sheet_moment(s, "decided", "", r->decided_at);
	sheet_text(s, "answer", "Answer", why);
}

static void
rows_what(struct policy *p, struct sheet *s, const struct request *r, const struct grant *g)
{
	struct target t = {.port = 0};
	char text[PLACE_TEXT + ROW_WORDS + 8], place[PLACE_TEXT], may[MAY_TEXT], old[TARGET_OLD_TEXT];
	const char *forwards = g->id != 0 ? g->forwards : r->forwards;
	int64_t can = g->id != 0 ? g->capabilities : r->capabilities;

	TEXT_COPY(t.name, r->target);
	(void)must(p, target_get(p->store, &t));
	place_print(r->target, r->account, place);
	(void)snprintf(text, sizeof(text), "%s%s%s%s", place, t.about[0] == '\0' ? "" : " (", t.about,
	    t.about[0] == '\0' ? "" : ")");
	sheet_shown(s, "target", "Where", r->target, text);
	sheet_text(s, "account", "", r->account);
	target_old_print(&t, old);
	sheet_text(s, "old", "Old", old);
	may_print(can, forwards, may);
	sheet_shown(s, "", "May", "", may);
	may_put(s, can, forwards);
	sheet_shown(s, "why", "Why", r->why, r->why[0] == '\0' ? "-" : r->why);
	sheet_shown(s, "ticket", "Ticket", r->ticket, r->ticket[0] == '\0' ? "-" : r->ticket);
}

static void
visits_put(struct verb *v, const struct request *r)
{
	struct sheet *s = sheet_new();
	struct rows found;
	char place[PLACE_TEXT];

	must(v->policy, store_list(v->policy->store, QUERY_STREAMS_OF_PERSON, &found, ARG_TEXT(r->person),
	                    ARG_INT(LAST_VISITS)));
	for (size_t i = 0; i < found.count; i++) {
		const struct stream *row = rows_at(&found, stream, i);

		place_print(row->target, row->account, place);
		sheet_row(s);
		sheet_when(s, "began", "BEGAN", row->began_at);
		sheet_text(s, "target", "WHERE", place);
		sheet_span(s, "lasted_ms", "LASTED",
		    (row->ended_at != 0 ? row->ended_at : clock_wall_ms()) - row->began_at);
		sheet_number(s, "request", "REQUEST", row->request);
		sheet_text(
		    s, "ended", "ENDED", row->ended_at == 0 ? "is in now" : reason_code((enum reason)row->reason));
		sheet_text(s, "what", "WHAT", row->what);
	}
	text_put(&v->out, "Last visits:\n");
	sheet_table(s, SHEET_TEXT, v->columns, "  none before", &v->out);
	rows_free(&found);
	sheet_free(s);
}

static void
unusual_put(struct verb *v, const char *unusual)
{
	char line[SHEET_LINE];

	text_put(&v->out, "Unusual:\n");
	if (*unusual == '\0')
		text_put(&v->out, "  nothing\n");
	for (size_t n; *unusual != '\0'; unusual += n + (unusual[n] == '\n')) {
		n = strcspn(unusual, "\n");
		text_clean(line, sizeof(line), bytes_of(unusual, n));
		text_add(&v->out, "  ! %s\n", line);
	}
}

void
verb_show(struct verb *v)
{
	struct policy *p = v->policy;
	struct request r;
	struct grant g;
	struct sheet *s;
	struct text unusual = {.at = NULL};

	if (verb_request_load(v, &r) == -1)
		return;
	s = sheet_new();
	sheet_row(s);
	rows_state(p, s, &r, &g);
	rows_who(p, s, &r);
	rows_what(p, s, &r, &g);
	rows_when(s, &r, &g);
	if (v->who.role != ROLE_ENGINEER) /* what makes managers look twice is theirs to know */
		request_unusual(p, &r, &unusual);
	if (v->form == SHEET_JSON) {
		sheet_list(s, "unusual", unusual.at == NULL ? "" : unusual.at);
		sheet_lines(s, SHEET_JSON, &v->out);
	} else {
		sheet_lines(s, SHEET_TEXT, &v->out);
		if (v->who.role != ROLE_ENGINEER)
			unusual_put(v, unusual.at == NULL ? "" : unusual.at);
		visits_put(v, &r);
		if (r.state == STATE_ASKED && v->who.role == ROLE_MANAGER)
			text_add(&v->out,
			    "Decide: approve %lld [--for SPAN] [--until TIME] [--without LIST] | deny %lld --why "
			    "\"...\"\n",
			    (long long)r.id, (long long)r.id);
	}
	text_free(&unusual);
	sheet_free(s);
}
