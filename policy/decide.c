/* Who may enter what now; see decide.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide.h"
#include "forwards.h"
#include "networks.h"
#include "targets.h"
#include "times.h"

/* One rule: gives REASON_NONE when it is passed, and says in text what it saw. */
typedef enum reason rule_fn(const struct facts *f, char text[DECIDE_TEXT]);

static void say(char text[DECIDE_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
say(char text[DECIDE_TEXT], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, DECIDE_TEXT, format, ap);
	va_end(ap);
}

static enum reason
rule_clock(const struct facts *f, char text[DECIDE_TEXT])
{
	char now[TIMES_TEXT], seen[TIMES_TEXT];

	moment_print(f->wall_ms, now);
	if (f->wall_ms >= f->high_water_ms - DECIDE_CLOCK_SLACK_MS) {
		say(text, "it is %s", now);
		return (REASON_NONE);
	}
	moment_print(f->high_water_ms, seen);
	say(text, "it shows %s, but it has shown %s already", now, seen);
	return (REASON_CLOCK_BEHIND);
}

static enum reason
rule_person(const struct facts *f, char text[DECIDE_TEXT])
{
	char until[TIMES_TEXT];

	if (f->person == NULL) {
		say(text, "nobody of that name");
		return (REASON_UNKNOWN_PERSON);
	}
	if (f->person->suspended) {
		say(text, "%s is suspended", f->person->login);
		return (REASON_PERSON_SUSPENDED);
	}
	if (f->person->valid_until != 0 && f->wall_ms >= f->person->valid_until) {
		moment_print(f->person->valid_until, until);
		say(text, "%s's access ended %s", f->person->login, until);
		return (REASON_PERSON_EXPIRED);
	}
	if (f->wall_ms < f->person->valid_from) {
		moment_print(f->person->valid_from, until);
		say(text, "%s's access begins %s", f->person->login, until);
		return (REASON_PERSON_EXPIRED);
	}
	say(text, "%s may come", f->person->login);
	return (REASON_NONE);
}

static enum reason
rule_vendor(const struct facts *f, char text[DECIDE_TEXT])
{
	const struct vendor *v = f->vendor;
	char when[TIMES_TEXT];

	if (f->person->vendor[0] == '\0') {
		say(text, "of the house, of no vendor");
		return (REASON_NONE);
	}
	if (v == NULL || v->suspended) {
		say(text, "vendor %s is %s", f->person->vendor, v == NULL ? "not known any more" : "suspended");
		return (REASON_VENDOR_SUSPENDED);
	}
	if ((v->valid_until != 0 && f->wall_ms >= v->valid_until) || f->wall_ms < v->valid_from) {
		moment_print(f->wall_ms < v->valid_from ? v->valid_from : v->valid_until, when);
		say(text, "the contract of %s %s %s", v->name, f->wall_ms < v->valid_from ? "begins" : "ended",
		    when);
		return (REASON_VENDOR_ENDED);
	}
	say(text, "vendor %s", v->name);
	return (REASON_NONE);
}

static enum reason
rule_source(const struct facts *f, char text[DECIDE_TEXT])
{
	const char *vendor = f->vendor == NULL ? "" : f->vendor->networks;

	if (f->source[0] == '\0') {
		say(text, "no connection to judge");
		return (REASON_NONE);
	}
	if (!networks_hold(f->person->networks, f->source) || !networks_hold(vendor, f->source)) {
		say(text, "%s is not in %s", f->source,
		    networks_hold(vendor, f->source) ? f->person->networks : vendor);
		return (REASON_WRONG_SOURCE);
	}
	say(text, "from %s", f->source);
	return (REASON_NONE);
}

static enum reason
rule_role(const struct facts *f, char text[DECIDE_TEXT])
{
	if (f->person->role != ROLE_ENGINEER) {
		say(text, "only engineers visit targets");
		return (REASON_ROLE);
	}
	say(text, "an engineer");
	return (REASON_NONE);
}

static enum reason
rule_target(const struct facts *f, char text[DECIDE_TEXT])
{
	if (f->target == NULL || f->target->suspended) {
		say(text, f->target == NULL ? "no target of that name" : "%s is taken out of use",
		    f->target == NULL ? "" : f->target->name);
		return (REASON_UNKNOWN_TARGET);
	}
	say(text, "%s", f->target->name);
	return (REASON_NONE);
}

static enum reason
rule_account(const struct facts *f, char text[DECIDE_TEXT])
{
	char resolved[ROW_NAME];

	if (account_resolve(f->target->accounts, f->account, resolved) == -1) {
		say(text, "%s has no account \"%.64s\" for visits, but: %s", f->target->name, f->account,
		    f->target->accounts);
		return (REASON_UNKNOWN_ACCOUNT);
	}
	say(text, "as %s", resolved);
	return (REASON_NONE);
}

/* Of a forward nothing is wanted that concerns the target's own ssh. */
static enum reason
rule_host_key(const struct facts *f, char text[DECIDE_TEXT])
{
	if (f->need.forward != NULL) {
		say(text, "a forward shows none");
		return (REASON_NONE);
	}
	if (f->host_keys == 0) {
		say(text, "no host key of %s is pinned: target scan %s, and the operator pins it", f->target->name,
		    f->target->name);
		return (REASON_HOST_KEY);
	}
	say(text, "%zu pinned", f->host_keys);
	return (REASON_NONE);
}

static enum reason
rule_login(const struct facts *f, char text[DECIDE_TEXT])
{
	char until[TIMES_TEXT];

	if (f->need.forward != NULL) {
		say(text, "a forward logs in nowhere");
		return (REASON_NONE);
	}
	if (!target_is_old(f->target)) {
		say(text, "by %s, nothing old", target_login_word(target_login(f->target)));
		return (REASON_NONE);
	}
	moment_print(f->target->legacy_until, until);
	if (f->wall_ms < f->target->legacy_until) {
		say(text, "what is old in it is allowed until %s", until);
		return (REASON_NONE);
	}
	say(text,
	    "what is old in %s was allowed until %s; the operator may say longer: target change %s --legacy-until",
	    f->target->name, until, f->target->name);
	return (REASON_LEGACY_ENDED);
}

enum code_kind
code_of(int64_t factors)
{
	if (factors == 0)
		return (CODE_UNKNOWN);
	if ((factors & (FACTOR_PAM | FACTOR_FRESH)) != 0)
		return (CODE_OWN);
	return ((factors & FACTOR_GRACE) != 0 ? CODE_EARLIER : CODE_NONE);
}

static enum reason
rule_code(const struct facts *f, char text[DECIDE_TEXT])
{
	if (!f->target->fresh_code) {
		say(text, "no code of its own is wanted");
		return (REASON_NONE);
	}
	if (f->code == CODE_EARLIER || f->code == CODE_NONE) {
		say(text, "%s wants a code of its own, and this connection %s", f->target->name,
		    f->code == CODE_NONE ? "gave none" : "rides on an earlier one");
		return (REASON_FRESH_CODE);
	}
	say(text,
	    f->code == CODE_OWN ? "%s wants a code of its own, and has it"
	                        : "%s wants a code of its own; no connection to judge",
	    f->target->name);
	return (REASON_NONE);
}

static enum reason
rule_shelf(const struct facts *f, char text[DECIDE_TEXT])
{
	if (f->shelf >= SHELF_CRITICAL) {
		say(text, "no new visit begins until there is room to record it");
		return (REASON_DISK_FULL);
	}
	say(text, "there is room to record");
	return (REASON_NONE);
}

/* In this order; what a rule reads, those above it have shown to be there. */
static const struct {
	const char *name;
	rule_fn *pass;
} rules[] = {
    {"clock", rule_clock},
    {"person", rule_person},
    {"vendor", rule_vendor},
    {"address", rule_source},
    {"role", rule_role},
    {"target", rule_target},
    {"account", rule_account},
    {"host key", rule_host_key},
    {"login", rule_login},
    {"code", rule_code},
    {"recording", rule_shelf},
};
#define RULES (sizeof(rules) / sizeof(rules[0]))
#define RULES_OF_PERSON 4 /* the first ones */

int
grant_is_over(const struct grant *g, int64_t wall_ms, int64_t boot_ms)
{
	return (wall_ms >= g->ends_at || boot_ms >= g->ends_boot);
}

int
grant_is_missed(const struct grant *g, int64_t wall_ms)
{
	return (g->entered_at == 0 && g->connect_by != 0 && wall_ms >= g->connect_by);
}

/* Does it cover what this channel needs?  REASON_NONE: yes. */
static enum reason
grant_covers(const struct need *need, const struct grant *g, char text[DECIDE_TEXT])
{
	unsigned lacks = need_lacks(need, (unsigned)g->capabilities);
	char words[64];

	if (lacks != 0) {
		capabilities_print(lacks, words, sizeof(words));
		say(text, "request %lld was approved without: %s", (long long)g->request, words);
		return (REASON_CAPABILITY);
	}
	if (need->forward == NULL ||
	    ((g->capabilities & CAPABILITY_FORWARD) != 0 && forwards_hold(g->forwards, need->forward)))
		return (REASON_NONE);
	say(text, "request %lld names no forward to %s; it names%s %s", (long long)g->request, need->forward,
	    g->forwards[0] == '\0' ? "" : ":", g->forwards[0] == '\0' ? "none" : g->forwards);
	return (REASON_FORWARD);
}

/* Does this grant let them in now?  REASON_NONE: yes. */
static enum reason
grant_examine(const struct facts *f, const struct grant *g, char text[DECIDE_TEXT])
{
	char when[TIMES_TEXT];
	enum reason lacks;

	if ((g->state != STATE_SCHEDULED && g->state != STATE_OPEN) || grant_is_over(g, f->wall_ms, f->boot_ms) ||
	    grant_is_missed(g, f->wall_ms)) {
		say(text, "the window of request %lld is over", (long long)g->request);
		return (REASON_WINDOW_ENDED);
	}
	if (g->fingerprint[0] != '\0' && f->fingerprint[0] != '\0' && strcmp(g->fingerprint, f->fingerprint) != 0) {
		say(text, "request %lld was approved for the key %s", (long long)g->request, g->fingerprint);
		return (REASON_WRONG_KEY);
	}
	if (f->source[0] != '\0' && !networks_hold(g->networks, f->source)) {
		say(text, "request %lld was approved from %s", (long long)g->request, g->networks);
		return (REASON_WRONG_SOURCE);
	}
	if ((lacks = grant_covers(&f->need, g, text)) != REASON_NONE)
		return (lacks);
	moment_print(f->wall_ms < g->begins_at ? g->begins_at : g->ends_at, when);
	if (f->wall_ms < g->begins_at) {
		say(text, "the window of request %lld begins %s", (long long)g->request, when);
		return (REASON_NOT_YET);
	}
	say(text, "request %lld, approved by %s until %s", (long long)g->request, g->approver, when);
	return (REASON_NONE);
}

/* The nearer to a yes, the better to tell: of several grants the engineer hears of the nearest one. */
static int
nearness(enum reason r)
{
	switch (r) {
	case REASON_NONE:
		return (5);
	case REASON_NOT_YET:
		return (4);
	case REASON_CAPABILITY:
	case REASON_FORWARD:
		return (3);
	case REASON_WRONG_KEY:
		return (2);
	case REASON_WRONG_SOURCE:
		return (1);
	default:
		return (0);
	}
}

/* Looks through the grants; the reason stays NO_GRANT when none of them is alive. */
static void
grants_weigh(const struct facts *f, struct verdict_made *v)
{
	char text[DECIDE_TEXT];
	int best = 0;

	v->reason = REASON_NO_GRANT;
	for (size_t i = 0; i < f->grant_count; i++) {
		enum reason r = grant_examine(f, &f->grants[i], text);

		if (nearness(r) > best) {
			best = nearness(r);
			v->reason = r;
			v->grant = &f->grants[i];
			memcpy(v->text, text, sizeof(v->text));
		}
	}
	if (best == 0)
		say(v->text, "no approved window for %s on %s", f->person->login, f->target->name);
}

static void
pending_weigh(const struct facts *f, struct verdict_made *v)
{
	if (f->patience == ASKER_LEAVES) {
		v->outcome = OUTCOME_REFUSE;
		v->reason = REASON_NOT_WAITING;
	} else if (f->pending_count > 0) {
		v->outcome = OUTCOME_WAIT;
		v->reason = REASON_WAITING;
		v->request = &f->pending[0];
	} else if (f->open_requests >= DECIDE_OPEN_REQUESTS) {
		v->outcome = OUTCOME_REFUSE;
		v->reason = REASON_LIMIT;
		say(v->text, "%zu requests of yours wait for an answer already", f->open_requests);
	} else {
		v->outcome = OUTCOME_ASK;
		v->reason = REASON_WAITING;
	}
}

struct verdict_made
decide_explain(const struct facts *f, explain_fn *tell, void *ctx)
{
	struct verdict_made v = {.outcome = OUTCOME_REFUSE};

	for (size_t i = 0; i < RULES; i++) {
		v.reason = rules[i].pass(f, v.text);
		if (tell != NULL)
			tell(ctx, rules[i].name, v.reason == REASON_NONE, v.text);
		if (v.reason != REASON_NONE)
			return (v);
	}
	v.text[0] = '\0';
	grants_weigh(f, &v);
	if (tell != NULL)
		tell(ctx, "window", v.reason == REASON_NONE, v.text);
	if (v.reason == REASON_NONE)
		v.outcome = OUTCOME_ENTER;
	else if (v.reason == REASON_NOT_YET && f->patience == ASKER_WAITS && f->need.forward == NULL)
		v.outcome = OUTCOME_WAIT;
	else if (v.reason == REASON_NO_GRANT && f->need.forward == NULL)
		pending_weigh(f, &v);
	return (v);
}

struct verdict_made
decide(const struct facts *f)
{
	return (decide_explain(f, NULL, NULL));
}

enum reason
decide_person(const struct facts *f, char text[DECIDE_TEXT])
{
	enum reason r = REASON_NONE;

	/* A clock that is behind opens no target; people may still come and read why. */
	for (size_t i = 1; i < RULES_OF_PERSON && r == REASON_NONE; i++)
		r = rules[i].pass(f, text);
	return (r);
}

enum reason
decide_answer(const struct person *approver, const struct vendor *approver_vendor, const struct request *request,
    const char *requester_vendor, int64_t wall_ms)
{
	struct facts f = {
	    .wall_ms = wall_ms, .person = approver, .vendor = approver_vendor, .source = "", .fingerprint = ""};
	char text[DECIDE_TEXT];
	enum reason r;

	if (approver == NULL || approver->role != ROLE_MANAGER)
		return (REASON_ROLE);
	if ((r = decide_person(&f, text)) != REASON_NONE)
		return (r);
	if (strcmp(approver->login, request->person) == 0)
		return (REASON_OWN_REQUEST);
	if (approver->vendor[0] != '\0' &&
	    (strcmp(approver->vendor, request->vendor) == 0 || strcmp(approver->vendor, requester_vendor) == 0))
		return (REASON_OWN_VENDOR);
	return (REASON_NONE);
}

int
account_resolve(const char *accounts, const char *account, char *resolved)
{
	for (const char *p = accounts; *p != '\0';) {
		size_t n = strcspn(p, ",");

		if (n > 0 && n < ROW_NAME &&
		    (account[0] == '\0' || (strlen(account) == n && memcmp(p, account, n) == 0))) {
			memcpy(resolved, p, n);
			resolved[n] = '\0';
			return (0);
		}
		p += n + (p[n] == ',');
	}
	return (-1);
}
