/* help, menu, explain: what one may do here, and why not. */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "targets.h"
#include "times.h"
#include "verb.h"

/* ---- help ---- */

static void
help_one(struct verb *v, enum command c)
{
	const char *option, *value, *what;
	struct sheet *s = sheet_new();
	char name[96];

	for (size_t i = 0; command_option(c, i, &option, &value, &what); i++) {
		(void)snprintf(name, sizeof(name), "  %s%s%s", option, value[0] == '\0' ? "" : " ", value);
		sheet_row(s);
		sheet_shown(s, "option", "OPTION", option, name);
		sheet_text(s, "value", "", value);
		sheet_text(s, "what", "WHAT", what);
	}
	sheet_row(s);
	sheet_shown(s, "option", "OPTION", "--json", "  --json");
	sheet_text(s, "what", "WHAT", "the answer for programs");
	if (v->form == SHEET_TEXT)
		text_add(&v->out, "%s %s%s: %s\n", command_verb(c), command_arguments(c),
		    command_option(c, 0, &option, &value, &what) ? " [options]" : "", command_what(c));
	sheet_table(s, v->form, 0, "", &v->out);
	sheet_free(s);
}

void
verb_help(struct verb *v)
{
	const char *arguments;
	struct sheet *s;
	char words[128];

	for (int c = 0; c < COMMAND_COUNT && v->call.argument_count > 0; c++)
		if (strcmp(command_verb((enum command)c), v->call.argument[0]) == 0) {
			help_one(v, (enum command)c);
			return;
		}
	if (v->call.argument_count > 0) {
		verb_usage(v, "there is no verb \"%.64s\"; see: help", v->call.argument[0]);
		return;
	}
	s = sheet_new();
	for (int c = 0; c < COMMAND_COUNT; c++) {
		if (!command_is_for((enum command)c, v->who.role))
			continue;
		arguments = command_arguments((enum command)c);
		(void)snprintf(words, sizeof(words), "%s %s", command_verb((enum command)c),
		    strchr(arguments, '|') == NULL ? arguments : "..."); /* its acts: help VERB */
		sheet_row(s);
		sheet_shown(s, "verb", "VERB", command_verb((enum command)c), words);
		sheet_text(s, "arguments", "", command_arguments((enum command)c));
		sheet_text(s, "what", "WHAT", command_what((enum command)c));
	}
	sheet_table(s, v->form, v->columns, "you may do nothing here", &v->out);
	if (v->form == SHEET_TEXT)
		text_put(&v->out, "\nOptions of one: help VERB.  Every verb takes --json.\n");
	sheet_free(s);
}

/* ---- menu ---- */

/* What it is about one account of one target, and what to type. */
static void
menu_row(struct verb *v, struct sheet *s, int number, const struct facts_held *h, const struct verdict_made *d)
{
	char place[WISH_TEXT], state[DECIDE_TEXT], type[3 * ROW_NAME + 64], when[TIMES_TEXT] = "";
	const char *key = "ask", *forwards = "";
	int64_t may = 0;

	if (d->grant != NULL) {
		forwards = d->grant->forwards;
		may = d->grant->capabilities;
	} else if (d->request != NULL) {
		forwards = d->request->forwards;
		may = d->request->capabilities;
	}
	wish_print(h->target.name, h->account, forwards, place);
	if (d->grant != NULL)
		when_print(
		    d->outcome == OUTCOME_ENTER ? d->grant->ends_at : d->grant->begins_at, when, sizeof(when));
	(void)snprintf(type, sizeof(type), "request %s --for 2h --why \"...\"", h->target.name);
	(void)snprintf(state, sizeof(state), "not asked for");
	if (d->outcome == OUTCOME_ENTER) {
		key = "open";
		(void)snprintf(state, sizeof(state), "open until %s", when);
		(void)snprintf(type, sizeof(type), "ssh %s+%s+%s@lodge", v->who.login, h->target.name, h->account);
	} else if (d->outcome == OUTCOME_WAIT && d->grant != NULL) {
		key = "scheduled";
		(void)snprintf(state, sizeof(state), "approved, begins %s", when);
		(void)snprintf(type, sizeof(type), "show %lld", (long long)d->grant->request);
	} else if (d->outcome == OUTCOME_WAIT && d->request != NULL) {
		key = "asked";
		(void)snprintf(state, sizeof(state), "request %lld waits for a yes", (long long)d->request->id);
		(void)snprintf(type, sizeof(type), "show %lld", (long long)d->request->id);
	} else if (d->outcome == OUTCOME_REFUSE) {
		key = "refused";
		(void)snprintf(state, sizeof(state), "[%s]", reason_code(d->reason));
		(void)snprintf(type, sizeof(type), "explain %s", h->target.name);
	}
	sheet_row(s);
	sheet_number(s, "number", "NO", number);
	sheet_text(s, "target", "", h->target.name);
	sheet_text(s, "account", "", h->account);
	sheet_shown(s, "place", "WHERE", "", place);
	may_put(s, may, forwards);
	sheet_shown(s, "state", "NOW", key, state);
	sheet_text(s, "type", "TYPE", type);
	sheet_text(s, "about", "ABOUT", h->target.about);
}

/* The usual account always; the others where there is something about them. */
static int
menu_target(struct verb *v, struct sheet *s, int number, struct facts_held *h, const struct target *t)
{
	char account[ROW_NAME];
	struct verdict_made d;
	size_t n;

	for (const char *p = t->accounts; *p != '\0'; p += n + (p[n] == ',')) {
		n = strcspn(p, ",");
		(void)snprintf(account, sizeof(account), "%.*s", (int)(n < ROW_NAME ? n : ROW_NAME - 1), p);
		facts_at(v->policy, h, t, account);
		d = decide(&h->facts);
		if (p == t->accounts || d.grant != NULL || d.request != NULL)
			menu_row(v, s, number++, h, &d);
	}
	return (number);
}

static void
menu_engineer(struct verb *v)
{
	struct sheet *s = sheet_new();
	struct facts_held h;
	struct rows found;
	int number = 1;

	facts_of(v->policy, &h, v->who.login);
	h.facts.source = v->who.source;
	h.facts.fingerprint = v->who.visitor == NULL ? "" : v->who.visitor->fingerprint;
	h.facts.code = v->who.visitor == NULL ? CODE_UNKNOWN : code_of(v->who.visitor->factors);
	must(v->policy, store_list_all(v->policy->store, QUERY_TARGETS, &found));
	for (size_t i = 0; i < found.count; i++)
		if (!rows_at(&found, target, i)->suspended)
			number = menu_target(v, s, number, &h, rows_at(&found, target, i));
	facts_free(&h);
	sheet_table(s, v->form, v->columns, "there is nothing to visit yet", &v->out);
	rows_free(&found);
	sheet_free(s);
	if (v->form == SHEET_TEXT)
		text_put(&v->out, "\nrequest TARGET --for 2h --why \"...\" [--ticket NUMBER] [--from 23:00] "
		                  "[--forward HOST:PORT]\n"
		                  "withdraw NO   explain TARGET   snippet   help\n");
}

/* Those of the house: what waits, and the verbs of their role. */
static void
menu_house(struct verb *v)
{
	struct rows waiting;

	must(v->policy, store_list(v->policy->store, QUERY_REQUESTS_IN_STATE, &waiting, ARG_INT(STATE_ASKED)));
	if (v->form == SHEET_JSON) {
		struct sheet *s = sheet_new();

		for (size_t i = 0; i < waiting.count; i++)
			if (verb_may_see(v, rows_at(&waiting, request, i)->vendor))
				request_row(v->policy, s, rows_at(&waiting, request, i));
		sheet_table(s, SHEET_JSON, 0, "", &v->out);
		sheet_free(s);
	} else {
		if (command_is_for(COMMAND_REQUESTS, v->who.role)) {
			requests_list(v, clock_wall_ms() - REQUESTS_LATELY_MS, INT64_MAX);
			text_put(&v->out, "\n");
		}
		verb_help(v);
	}
	rows_free(&waiting);
}

void
verb_menu(struct verb *v)
{
	static const char *const roles[] = {"", "engineer", "manager", "auditor", "operator"};

	if (v->form == SHEET_TEXT)
		text_add(&v->out, "%s, %s%s%s\n\n", v->who.login, roles[v->who.role],
		    v->who.vendor[0] == '\0' ? "" : " of ", v->who.vendor);
	if (v->who.role == ROLE_ENGINEER)
		menu_engineer(v);
	else
		menu_house(v);
}

/* ---- explain ---- */

static void
on_rule(void *ctx, const char *rule, int passed, const char *seen)
{
	struct sheet *s = ctx;

	sheet_row(s);
	sheet_text(s, "passed", "", passed ? "yes" : "no");
	sheet_shown(s, "rule_passed", "   ", "", passed ? "ok" : "NO");
	sheet_text(s, "rule", "RULE", rule);
	sheet_text(s, "seen", "WHAT IT SAW", seen);
}

/* For each capability that Lodge carries: does the window cover it? */
static void
grant_put(struct sheet *s, const struct grant *g)
{
	static const unsigned carried[] = {CAPABILITY_SHELL, CAPABILITY_EXEC, CAPABILITY_UPLOAD,
	    CAPABILITY_DOWNLOAD, CAPABILITY_FORWARD, CAPABILITY_AGENT, CAPABILITY_X11, CAPABILITY_REVERSE,
	    CAPABILITY_SOCKET};
	char name[16], seen[ROW_WORDS + 64];

	for (size_t i = 0; i < sizeof(carried) / sizeof(carried[0]); i++) {
		int may = (g->capabilities & (int64_t)carried[i]) != 0;

		capabilities_print(carried[i], name, sizeof(name));
		if (carried[i] != CAPABILITY_FORWARD)
			(void)snprintf(seen, sizeof(seen), "request %lld was approved %s it", (long long)g->request,
			    may ? "with" : "without");
		else
			(void)snprintf(seen, sizeof(seen), "request %lld names %s", (long long)g->request,
			    may ? g->forwards : "no host and port");
		on_rule(s, name, may, seen);
	}
}

static void
conclusion_put(struct verb *v, const char *who, const struct facts_held *h, const struct verdict_made *d)
{
	const char *todo = reason_todo(d->reason);
	char can[64];

	switch (d->outcome) {
	case OUTCOME_ENTER:
		capabilities_print((unsigned)d->grant->capabilities, can, sizeof(can));
		text_add(&v->out, "%s would get in now%s%s: ssh %s+%s+%s@lodge\n", who,
		    d->grant->capabilities & CAPABILITY_SHELL ? "" : ", without a shell: ",
		    d->grant->capabilities & CAPABILITY_SHELL ? "" : can, who, h->target.name, h->account);
		break;
	case OUTCOME_WAIT:
		if (d->grant != NULL)
			text_add(&v->out, "%s would wait until the window begins\n", who);
		else
			text_add(&v->out, "%s would wait for an answer to request %lld\n", who,
			    (long long)d->request->id);
		break;
	case OUTCOME_ASK:
		text_add(&v->out,
		    "%s would be asked about: a connection waits for a yes; or ask beforehand: request %s --for 2h "
		    "--why \"...\"\n",
		    who, h->target.name);
		break;
	case OUTCOME_REFUSE:
		text_add(&v->out, "%s would be refused [%s]: %s%s%s\n", who, reason_code(d->reason),
		    reason_what(d->reason), todo[0] == '\0' ? "" : "; ", todo);
		break;
	}
}

void
verb_explain(struct verb *v)
{
	static const char *const outcomes[] = {
	    [OUTCOME_ENTER] = "enter", [OUTCOME_WAIT] = "wait", [OUTCOME_ASK] = "ask", [OUTCOME_REFUSE] = "refuse"};
	const char *who = call_value(&v->call, "--person"), *account = call_value(&v->call, "--account");
	int own = who == NULL || strcmp(who, v->who.login) == 0;
	char old[TARGET_OLD_TEXT] = "";
	struct facts_held h;
	struct verdict_made d;
	struct sheet *s;

	if (!own && v->who.role == ROLE_ENGINEER) {
		verb_refuse_noted(v, REASON_ROLE, 0, "");
		return;
	}
	if (own && v->who.role != ROLE_ENGINEER) {
		verb_usage(v, "for whom? explain %s --person LOGIN", v->call.argument[0]);
		return;
	}
	if (own)
		who = v->who.login;
	facts_load(v->policy, &h, who, v->call.argument[0], account == NULL ? "" : account);
	if (own) {
		h.facts.source = v->who.source;
		h.facts.fingerprint = v->who.visitor == NULL ? "" : v->who.visitor->fingerprint;
		h.facts.code = v->who.visitor == NULL ? CODE_UNKNOWN : code_of(v->who.visitor->factors);
	}
	if (!own && !verb_may_see(v, h.person.vendor)) {
		facts_free(&h);
		verb_refuse(v, REASON_NOT_FOUND, "there is nobody %.64s; see: person list", who);
		return;
	}
	s = sheet_new();
	if (h.facts.target != NULL &&
	    v->who.role != ROLE_ENGINEER) /* what is allowed, and why, is the house's to know */
		target_old_print(&h.target, old);
	d = decide_explain(&h.facts, on_rule, s);
	if (d.grant != NULL)
		grant_put(s, d.grant);
	if (v->form == SHEET_JSON) {
		sheet_row(s);
		sheet_text(s, "outcome", "", outcomes[d.outcome]);
		sheet_text(s, "reason", "", d.reason == REASON_NONE ? "" : reason_code(d.reason));
		sheet_text(s, "todo", "", reason_todo(d.reason));
		sheet_text(s, "old", "", old);
	}
	sheet_table(s, v->form, v->columns, "", &v->out);
	if (v->form == SHEET_TEXT)
		conclusion_put(v, who, &h, &d);
	if (v->form == SHEET_TEXT && old[0] != '\0')
		text_add(&v->out, "%s is old: %s\n", h.target.name, old);
	sheet_free(s);
	facts_free(&h);
}
