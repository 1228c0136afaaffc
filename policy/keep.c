/* vendor, person, target: the life that the three have in common; see keep.h. */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "keep.h"
#include "keys.h"
#include "networks.h"
#include "walk.h"

#define KEYS_SHOWN 8

static const char *const acts[ACT_COUNT] = {"list", "add", "show", "change", "suspend", "resume", "remove"};
static const char *const acts_done[ACT_COUNT] = {"", "added", "", "changed", "suspended", "resumed", "removed"};

/* ---- what the kinds share ---- */

int
keep_date(struct verb *v, const char *option, int64_t *ms)
{
	const char *value = call_value(&v->call, option);

	if (value != NULL && (value[0] == '\0' || strcmp(value, "never") == 0)) {
		*ms = 0;
		return (0);
	}
	return (verb_moment(v, option, ms));
}

int
keep_networks(struct verb *v, char *to, size_t size)
{
	const char *value = call_value(&v->call, "--network");

	if (value == NULL)
		return (0);
	if (networks_check(value) == -1) {
		verb_usage(v, "--network %s: addresses or networks such as 192.0.2.0/24,2001:db8::/32", value);
		return (-1);
	}
	return (verb_text(v, "--network", to, size));
}

/* Text that stays as it was when the option is not given. */
int
keep_text(struct verb *v, const char *option, char *to, size_t size)
{
	return (call_value(&v->call, option) == NULL ? 0 : verb_text(v, option, to, size));
}

const char *
keep_state(int64_t suspended, int64_t from, int64_t until)
{
	int64_t now = clock_wall_ms();

	return (suspended ? "suspended" : until != 0 && now >= until ? "ended" : now < from ? "not yet" : "active");
}

static void
grants_revoke(struct verb *v, const struct rows *live,
    int (*chosen)(const struct keeping *k, const struct grant *g), const struct keeping *k)
{
	struct policy *p = v->policy;

	for (size_t i = 0; i < live->count; i++) {
		struct grant *g = rows_at(live, grant, i);
		struct request r = {.id = g->request};

		if (!chosen(k, g) || state_step(&g->state, STATE_REVOKED, "grant", g->id) == -1)
			continue;
		g->ended_at = clock_wall_ms();
		TEXT_COPY(g->end_by, v->who.login);
		TEXT_COPY(g->end_why, "removed");
		must(p, grant_set(p->store, g));
		(void)event_note(p, &(struct happening){.type = EVENT_GRANT_REVOKED,
		                        .who = v->who.login,
		                        .about = g->person,
		                        .source = v->who.source,
		                        .session = v->who.session,
		                        .request = g->request,
		                        .grant = g->id,
		                        .target = g->target,
		                        .account = g->account,
		                        .why = g->end_why});
		if (must(p, request_get(p->store, &r)) == 1)
			questions_answer(p, &r, REASON_REVOKED, "", p->event_last);
	}
}

void
keep_grants_end(struct keeping *k, int (*chosen)(const struct keeping *k, const struct grant *g))
{
	struct policy *p = k->v->policy;

	must(p, store_list(p->store, QUERY_GRANTS_LIVE, &k->ended, ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	grants_revoke(k->v, &k->ended, chosen, k);
}

static void
ended_cut(struct keeping *k)
{
	for (size_t i = 0; i < k->ended.count; i++)
		if (rows_at(&k->ended, grant, i)->state == STATE_REVOKED)
			grant_cut(k->v->policy, rows_at(&k->ended, grant, i), REASON_REVOKED,
			    "what it was given for was removed");
}

void
keep_key_show(struct verb *v, struct sheet *s, const char *fingerprint, const char *type, const char *comment,
    struct text *all)
{
	char line[ROW_FINGERPRINT + ROW_NAME + ROW_WORDS + 8];
	size_t shown = 0;

	(void)snprintf(line, sizeof(line), "%s %s %s", fingerprint, type, comment);
	for (size_t i = 0; i < all->len; i++)
		shown += all->at[i] == '\n';
	if (v->form == SHEET_TEXT && shown < KEYS_SHOWN)
		sheet_shown(s, "", "Key", "", line);
	text_add(all, "%s\n", line);
}

/* ---- the life ---- */

/* Of a key its fingerprint, and what stands before it; of anything else the beginning. */
static void
value_print(const char *option, const char *value, char to[ROW_FINGERPRINT + KEY_OPTIONS_TEXT])
{
	char options[KEY_OPTIONS_TEXT] = "", why[KEY_WHY];
	int is_key = strstr(option, "-key") != NULL;
	struct key_read key;

	if (is_key && key_read_person(&key, value, why) == 0)
		key_options_print(&key.options, options);
	else if (!is_key || key_read(&key, value) == -1) {
		text_clean(to, 96, bytes_text(value));
		return;
	}
	(void)snprintf(to, ROW_FINGERPRINT + KEY_OPTIONS_TEXT, "%s%s%s", key.fingerprint,
	    options[0] == '\0' ? "" : " ", options);
}

/* What was typed, short, for the book: options and what they were set to. */
static void
options_print(const struct call *c, char *to, size_t size)
{
	struct text all = {.at = NULL};
	char value[ROW_FINGERPRINT + KEY_OPTIONS_TEXT];

	for (size_t i = 0; i < c->value_count; i++) {
		value_print(c->value[i].option, c->value[i].value, value);
		text_add(&all, "%s%s %s", i == 0 ? "" : " ", c->value[i].option, value);
	}
	text_clean(to, size, bytes_of(all.at, all.len));
	text_free(&all);
}

int
keep_may(struct keeping *k)
{
	if (k->v->who.vendor[0] == '\0')
		return (verb_is_fresh(k->v));
	verb_refuse_noted(
	    k->v, REASON_OWN_VENDOR, 0, "a vendor's own people change nothing of vendors, people and targets");
	return (-1);
}

/* May this speaker write at all, and are the words whole?  -1: refused. */
static int
keep_examine(struct keeping *k, const struct kind *kind)
{
	struct verb *v = k->v;
	int options = k->act == ACT_ADD || k->act == ACT_CHANGE;

	if (!options && v->call.value_count > 0) {
		verb_usage(v, "%s %s takes no options", kind->noun, k->word);
		return (-1);
	}
	if (k->act == ACT_CHANGE && v->call.value_count == 0) {
		verb_usage(v, "change what? see: help %s", kind->noun);
		return (-1);
	}
	if (keep_may(k) == -1 || (options && kind->read(k) == -1) ||
	    (kind->examine != NULL && kind->examine(k) == -1))
		return (-1);
	return (0);
}

static int
keep_write(struct keeping *k, const struct kind *kind)
{
	if (k->act == ACT_REMOVE)
		return (kind->remove(k));
	if (k->act == ACT_SUSPEND || k->act == ACT_RESUME)
		kind->suspend(k, k->act == ACT_SUSPEND);
	return (kind->write(k));
}

static void
keep_change(struct keeping *k, const struct kind *kind)
{
	struct verb *v = k->v;
	struct policy *p = v->policy;
	char options[400];
	struct happening h = {.type = kind->event,
	    .who = v->who.login,
	    .source = v->who.source,
	    .session = v->who.session,
	    .what = acts_done[k->act],
	    .why = options};

	if (keep_examine(k, kind) == -1)
		return;
	policy_begin(p);
	if (keep_write(k, kind) == -1) {
		store_rollback(p->store);
		return;
	}
	options_print(&v->call, options, sizeof(options));
	h.vendor = kind->vendor_of(k);
	h.about = kind == &kind_person ? k->name : NULL;
	h.target = kind == &kind_target ? k->name : NULL;
	verb_changed(v, event_note(p, &h));
	if (v->form == SHEET_JSON && k->act != ACT_REMOVE)
		kind->show(k);
	else if (v->form == SHEET_JSON)
		text_add(&v->out, "{}\n");
	else
		text_add(&v->out, "%s %s is %s\n", kind->noun, k->name, acts_done[k->act]);
	verb_commit(v);
	ended_cut(k);
	kind->cut(k);
}

/* Finds what is named.  -1: refused. */
static int
keep_find(struct keeping *k, const struct kind *kind)
{
	struct verb *v = k->v;
	int found;

	if (v->call.argument_count < 2) {
		verb_usage(v, "which %s? %s %s NAME", kind->noun, kind->noun, k->word);
		return (-1);
	}
	k->name = v->call.argument[1];
	if (!name_is_good(k->name)) {
		verb_usage(v,
		    "%s: a name is 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first",
		    k->name);
		return (-1);
	}
	found = kind->load(k);
	if (k->act == ACT_ADD && found) {
		verb_refuse(v, REASON_STATE, "%s %s is there already; see: %s show %s", kind->noun, k->name,
		    kind->noun, k->name);
		return (-1);
	}
	if (k->act != ACT_ADD &&
	    (!found || !verb_may_see(v, kind == &kind_target ? v->who.vendor : kind->vendor_of(k)))) {
		verb_refuse(
		    v, REASON_NOT_FOUND, "there is no %s %s; see: %s list", kind->noun, k->name, kind->noun);
		return (-1);
	}
	return (0);
}

static void
keep_list(struct verb *v, const struct kind *kind)
{
	struct sheet *s = sheet_new();
	char none[64];

	kind->list(v, s);
	(void)snprintf(none, sizeof(none), "there is none yet; see: help %s", kind->noun);
	sheet_table(s, v->form, v->columns, none, &v->out);
	sheet_free(s);
}

static const struct act_of_one *
act_own(const struct kind *kind, const char *word)
{
	for (const struct act_of_one *own = kind->own; own != NULL && own->word != NULL; own++)
		if (strcmp(own->word, word) == 0)
			return (own);
	return (NULL);
}

static void
keep(struct verb *v, const struct kind *kind)
{
	struct keeping k = {.v = v, .word = v->call.argument[0]};
	const struct act_of_one *own = act_own(kind, k.word);

	while (k.act < ACT_COUNT && strcmp(acts[k.act], k.word) != 0)
		k.act++;
	if (k.act == ACT_COUNT && own == NULL) {
		verb_usage(v, "%s takes: %s", kind->noun, command_arguments(v->call.command));
		return;
	}
	if (k.act == ACT_LIST) {
		keep_list(v, kind);
		return;
	}
	if (own != NULL && v->call.value_count > 0) {
		verb_usage(v, "%s %s takes no options", kind->noun, k.word);
		return;
	}
	if (keep_find(&k, kind) == -1)
		return;
	if (own != NULL)
		own->run(&k);
	else if (k.act == ACT_SHOW)
		kind->show(&k);
	else
		keep_change(&k, kind);
	rows_free(&k.ended);
}

void
verb_vendor(struct verb *v)
{
	keep(v, &kind_vendor);
}

void
verb_person(struct verb *v)
{
	keep(v, &kind_person);
}

void
verb_target(struct verb *v)
{
	keep(v, &kind_target);
}
