/* What the verbs share: options read strictly, refusals that the book hears of, a request as people and programs see it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "fresh.h"
#include "times.h"
#include "verb.h"

/* ---- refusals ---- */

void
verb_refuse_noted(struct verb *v, enum reason reason, int64_t request, const char *text)
{
	struct happening h = {.type = EVENT_VERB_REFUSED,
	    .reason = reason,
	    .who = v->who.login,
	    .vendor = v->who.vendor,
	    .source = v->who.source,
	    .session = v->who.session,
	    .request = request,
	    .what = command_verb(v->call.command)};

	verb_refuse(v, reason, "%s", text);
	policy_begin(v->policy);
	verb_changed(v, event_note(v->policy, &h));
	verb_commit(v);
}

int
verb_is_fresh(struct verb *v)
{
	const struct visitor *who = v->who.visitor;

	if (who == NULL || code_of(who->factors) != CODE_EARLIER || who->host_bound)
		return (0);
	fresh_want(v);
	return (-1);
}

int
verb_may_see(const struct verb *v, const char *vendor)
{
	return (v->who.vendor[0] == '\0' || strcmp(v->who.vendor, vendor) == 0);
}

/* ---- options ---- */

int
verb_span(struct verb *v, const char *option, int64_t least, int64_t most, int64_t *ms)
{
	const char *value = call_value(&v->call, option);
	char low[64], high[64];
	int64_t span;

	if (value == NULL)
		return (0);
	if ((span = span_parse(value)) >= least && span <= most) {
		*ms = span;
		return (0);
	}
	span_print(least, low, sizeof(low));
	span_print(most, high, sizeof(high));
	verb_usage(v, "%s %s: a span from %s to %s, such as 90m", option, value, low, high);
	return (-1);
}

int
verb_moment(struct verb *v, const char *option, int64_t *ms)
{
	const char *value = call_value(&v->call, option);

	if (value == NULL || moment_parse(value, clock_wall_ms(), ms) == 0)
		return (0);
	verb_usage(v, "%s %s: not a time such as 23:00, 2026-11-24 or 2026-11-24T23:00", option, value);
	return (-1);
}

int
verb_since(struct verb *v, const char *option, int64_t *ms)
{
	const char *value = call_value(&v->call, option);
	int64_t now = clock_wall_ms(), span;

	if (value == NULL)
		return (0);
	/* 0812 and the like would be seconds: a span back wants its unit. */
	if (strpbrk(value, "smhdw") != NULL && strchr(value, ':') == NULL && (span = span_parse(value)) > 0) {
		*ms = now - span;
		return (0);
	}
	if (verb_moment(v, option, ms) == -1)
		return (-1);
	if (*ms > now && strchr(value, '-') == NULL) /* 23:00 is the last one here, not the next */
		*ms -= TIMES_DAY_MS;
	return (0);
}

int
verb_text(struct verb *v, const char *option, char *to, size_t size)
{
	const char *value = call_value(&v->call, option);

	if (value == NULL)
		value = "";
	if (strlen(value) >= size) {
		verb_usage(v, "%s: at most %zu bytes", option, size - 1);
		return (-1);
	}
	text_copy(to, size, value);
	return (0);
}

/* ---- pages ---- */

int
verb_before(struct verb *v, int64_t *before)
{
	const char *value = call_value(&v->call, "--before");

	*before = INT64_MAX;
	if (value == NULL || number_parse(value, before) == 0)
		return (0);
	verb_usage(v, "--before %.64s: a number out of the list", value);
	return (-1);
}

void
verb_older(struct verb *v, const char *what, int64_t before)
{
	text_add(&v->err, "lodge: the newest %d of them; older ones: %s --before %lld\n", VERB_PAGE, what,
	    (long long)before);
}

/* ---- requests ---- */

int
verb_request_load(struct verb *v, struct request *r)
{
	*r = (struct request){.id = 0};
	if (verb_number(v, 0, &r->id) == -1)
		return (-1);
	if (must(v->policy, request_get(v->policy->store, r)) == 1 &&
	    (v->who.role == ROLE_ENGINEER ? strcmp(r->person, v->who.login) == 0 : verb_may_see(v, r->vendor)))
		return (0);
	verb_refuse(v, REASON_NOT_FOUND, "there is no request %lld%s", (long long)r->id,
	    v->who.role == ROLE_ENGINEER ? " of yours; see: menu" : "; see: requests");
	return (-1);
}

const char *
request_state(struct policy *p, const struct request *r, struct grant *g)
{
	struct rows found;

	*g = (struct grant){.id = 0};
	if (r->state != STATE_APPROVED)
		return (state_name(r->state));
	if (must(p, store_list(p->store, QUERY_GRANT_OF_REQUEST, &found, ARG_INT(r->id))) == 1)
		*g = *rows_at(&found, grant, 0);
	rows_free(&found);
	return (state_name(g->id != 0 ? g->state : r->state));
}

void
verb_refuse_state(struct verb *v, const struct request *r)
{
	struct grant g;
	const char *state = request_state(v->policy, r, &g), *by = g.end_by[0] != '\0' ? g.end_by : r->decided_by;

	if (r->state == STATE_ASKED)
		verb_refuse(v, REASON_STATE, "request %lld is asked, nobody answered it yet; see: show %lld",
		    (long long)r->id, (long long)r->id);
	else
		verb_refuse(v, REASON_STATE, "request %lld is %s already%s%s; see: show %lld", (long long)r->id,
		    state, by[0] != '\0' ? ", by " : "", by, (long long)r->id);
}

void
deciders_print(struct policy *p, const struct request *r, char *text, size_t size)
{
	struct rows found;
	size_t n = 0;

	text[0] = '\0';
	must(p, store_list(p->store, QUERY_PERSONS_OF_ROLE, &found, ARG_INT(ROLE_MANAGER)));
	for (size_t i = 0; i < found.count && n < size; i++) {
		const struct person *w = rows_at(&found, person, i);
		struct vendor vendor = {.suspended = 0};

		TEXT_COPY(vendor.name, w->vendor);
		if (vendor.name[0] != '\0')
			(void)must(p, vendor_get(p->store, &vendor));
		if (decide_answer(w, vendor.name[0] == '\0' ? NULL : &vendor, r, r->vendor, clock_wall_ms()) ==
		    REASON_NONE)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n == 0 ? "" : ", ", w->login);
	}
	rows_free(&found);
	if (n == 0)
		text_copy(text, size, "nobody (no manager may decide on it)");
}

void
place_print(const char *target, const char *account, char text[PLACE_TEXT])
{
	(void)snprintf(text, PLACE_TEXT, "%s as %s", target, account);
}

#define FORWARD_SHOWN 40 /* in a list; a longer one is in: show */

void
wish_print(const char *target, const char *account, const char *forwards, char text[WISH_TEXT])
{
	size_t n, count = 1;

	place_print(target, account, text);
	n = strlen(text);
	for (const char *c = forwards; *c != '\0'; c++)
		count += *c == ',';
	if (forwards[0] != '\0' && strlen(forwards) <= FORWARD_SHOWN && count == 1)
		(void)snprintf(text + n, WISH_TEXT - n, ", %s", forwards);
	else if (forwards[0] != '\0')
		(void)snprintf(text + n, WISH_TEXT - n, ", %zu forward%s", count, count == 1 ? "" : "s");
}

void
may_print(int64_t capabilities, const char *forwards, char text[MAY_TEXT])
{
	size_t n;

	capabilities_print((unsigned)capabilities, text, MAY_TEXT);
	n = strlen(text);
	if (forwards[0] != '\0')
		(void)snprintf(text + n, MAY_TEXT - n, " to %s", forwards);
}

void
may_put(struct sheet *s, int64_t capabilities, const char *forwards)
{
	char can[64];

	capabilities_print((unsigned)capabilities, can, sizeof(can));
	sheet_text(s, "capabilities", "", can);
	sheet_text(s, "forwards", "", forwards);
}

void
request_row(struct policy *p, struct sheet *s, const struct request *r)
{
	struct grant g;
	const char *state = request_state(p, r, &g);
	const char *forwards = g.id != 0 ? g.forwards : r->forwards;
	char place[WISH_TEXT];
	int64_t begins = g.id != 0 ? g.begins_at : r->from_wall;

	wish_print(r->target, r->account, forwards, place);
	sheet_row(s);
	sheet_number(s, "request", "NO", r->id);
	sheet_text(s, "state", "STATE", state);
	sheet_text(s, "person", "WHO", r->person);
	sheet_text(s, "vendor", "VENDOR", r->vendor);
	sheet_text(s, "target", "", r->target);
	sheet_text(s, "account", "", r->account);
	sheet_shown(s, "place", "WHERE", "", place);
	may_put(s, g.id != 0 ? g.capabilities : r->capabilities, forwards);
	sheet_moment(s, "asked", "", r->asked_at);
	if (begins == 0 && r->state == STATE_ASKED)
		sheet_shown(s, "begins", "FROM", "", "now");
	else
		sheet_when(s, "begins", "FROM", begins);
	sheet_span(s, "for_ms", "FOR", g.id != 0 ? g.ends_at - g.begins_at : r->asked_for);
	if (g.id != 0)
		sheet_moment(s, "ends", "", g.ends_at);
	sheet_text(s, "ticket", "TICKET", r->ticket);
	sheet_text(s, "decided_by", "BY", g.end_by[0] != '\0' ? g.end_by : r->decided_by);
	sheet_text(s, "why", "WHY", r->why);
	sheet_text(s, "answer", "", g.end_why[0] != '\0' ? g.end_why : r->decided_why);
}

void
verb_answer(struct verb *v, const struct request *r, const char *format, ...)
{
	char line[1536], clean[1536];
	struct sheet *s;
	va_list args;

	if (v->form == SHEET_JSON) {
		s = sheet_new();
		request_row(v->policy, s, r);
		sheet_lines(s, SHEET_JSON, &v->out);
		sheet_free(s);
		return;
	}
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_clean(clean, sizeof(clean), bytes_text(line));
	text_add(&v->out, "%s\n", clean);
}
