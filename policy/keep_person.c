/* person: who may come, and by which keys; see keep.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "graces.h"
#include "invites.h"
#include "keep.h"
#include "person_keys.h"
#include "times.h"
#include "walk.h"

static const char *const roles[] = {[ROLE_NONE] = "none",
    [ROLE_ENGINEER] = "engineer",
    [ROLE_MANAGER] = "manager",
    [ROLE_AUDITOR] = "auditor",
    [ROLE_OPERATOR] = "operator"};

static int
person_load(struct keeping *k)
{
	int n;

	TEXT_COPY(k->person.login, k->name);
	n = must(k->v->policy, person_get(k->v->policy->store, &k->person));
	k->before = k->person;
	return (n);
}

static int
role_read(struct keeping *k)
{
	const char *value = call_value(&k->v->call, "--role");

	if (value == NULL) {
		if (k->person.role == ROLE_NONE)
			k->person.role = ROLE_ENGINEER;
		return (0);
	}
	for (int i = ROLE_ENGINEER; i <= ROLE_OPERATOR; i++)
		if (strcmp(value, roles[i]) == 0) {
			k->person.role = i;
			return (0);
		}
	verb_usage(k->v, "--role %s: engineer, manager, auditor or operator", value);
	return (-1);
}

static int
uid_read(struct keeping *k)
{
	const char *value = call_value(&k->v->call, "--uid");
	struct policy *p = k->v->policy;
	struct rows found;
	int taken = 0;

	if (value == NULL)
		return (0);
	if (strcmp(value, "none") == 0) {
		k->person.uid = 0;
		return (0);
	}
	if (number_parse(value, &k->person.uid) == -1 || k->person.uid >= INT64_C(4294967295)) {
		verb_usage(k->v, "--uid %s: a Unix user id, not root's, or none", value);
		return (-1);
	}
	must(p, store_list(p->store, QUERY_PERSON_OF_UID, &found, ARG_INT(k->person.uid)));
	for (size_t i = 0; i < found.count; i++)
		if (strcmp(rows_at(&found, person, i)->login, k->person.login) != 0) {
			verb_refuse(k->v, REASON_STATE, "%s has the user id %s already",
			    rows_at(&found, person, i)->login, value);
			taken = -1;
		}
	rows_free(&found);
	return (taken);
}

static int
person_vendor_read(struct keeping *k)
{
	struct vendor w = {.suspended = 0};

	if (keep_text(k->v, "--vendor", k->person.vendor, sizeof(k->person.vendor)) == -1)
		return (-1);
	TEXT_COPY(w.name, k->person.vendor);
	if (w.name[0] == '\0' || must(k->v->policy, vendor_get(k->v->policy->store, &w)) == 1)
		return (0);
	verb_refuse(k->v, REASON_NOT_FOUND, "there is no vendor %s; see: vendor list", w.name);
	return (-1);
}

/* Whom PAM asks for; a name that every PAM module and its files can carry.  -1: refused. */
static int
pam_user_read(struct keeping *k)
{
	const char *value = call_value(&k->v->call, "--pam-user");

	if (value == NULL)
		return (0);
	if (value[0] == '\0' || strcmp(value, "none") == 0) {
		k->person.pam_user[0] = '\0';
		return (0);
	}
	if (strlen(value) >= sizeof(k->person.pam_user) || strpbrk(value, " \t/:") != NULL || value[0] == '-' ||
	    !text_is_clean(value)) {
		verb_usage(k->v,
		    "--pam-user %.80s: at most %zu bytes without blanks, slashes and colons, not beginning with "
		    "a hyphen; or none: their login",
		    value, sizeof(k->person.pam_user) - 1);
		return (-1);
	}
	if (strcmp(value, "root") == 0) {
		verb_usage(k->v, "--pam-user root: nobody is asked for root's password here");
		return (-1);
	}
	TEXT_COPY(k->person.pam_user, value);
	return (0);
}

/* Words that mean something of their own in a login name, or in the book. */
static int
login_read(struct keeping *k)
{
	if (k->act != ACT_ADD || (strcmp(k->name, "invite") != 0 && strcmp(k->name, "root") != 0))
		return (0);
	verb_usage(k->v, "%s: nobody can have that name: it stands for %s", k->name,
	    strcmp(k->name, "root") == 0 ? "the operator on the box" : "whoever comes by an invitation");
	return (-1);
}

static const char *
pam_name(const struct person *w)
{
	return (w->pam_user[0] != '\0' ? w->pam_user : w->login);
}

/* Does PAM know somebody who is no engineer by that name too? */
static int
pam_name_is_beyond(struct policy *p, const struct person *now)
{
	struct rows found;
	int beyond = 0;

	must(p, store_list_all(p->store, QUERY_PERSONS, &found));
	for (size_t i = 0; i < found.count && !beyond; i++) {
		const struct person *other = rows_at(&found, person, i);

		beyond = other->role != ROLE_ENGINEER && strcmp(other->login, now->login) != 0 &&
		         strcmp(pam_name(other), pam_name(now)) == 0;
	}
	rows_free(&found);
	return (beyond);
}

const char *
keep_person_refusal(
    struct policy *p, const struct speaker *who, const struct person *before, const struct person *now)
{
	if (who->role == ROLE_OPERATOR)
		return (NULL);
	if (strcmp(who->login, now->login) == 0)
		return ("nobody changes what is known of themselves");
	if (now->role != ROLE_ENGINEER || (before->role != ROLE_NONE && before->role != ROLE_ENGINEER) ||
	    now->uid != before->uid || strcmp(now->pam_user, before->pam_user) != 0)
		return (
		    "managers keep engineers; other roles, --uid and --pam-user are the operator's, on the box");
	if (pam_name_is_beyond(p, now))
		return ("PAM knows somebody by that name whom a manager does not keep: that is the operator's, on "
		        "the box");
	return (NULL);
}

/* Separation of duties among those who keep the books; see keep.h.  -1: refused. */
static int
person_examine(struct keeping *k)
{
	const char *why = keep_person_refusal(k->v->policy, &k->v->who, &k->before, &k->person);

	if (why == NULL)
		return (0);
	verb_refuse_noted(k->v, REASON_ROLE, 0, why);
	return (-1);
}

static int
person_read(struct keeping *k)
{
	struct person *w = &k->person;

	if (login_read(k) == -1 || role_read(k) == -1 || uid_read(k) == -1 || pam_user_read(k) == -1 ||
	    person_vendor_read(k) == -1 || keep_text(k->v, "--name", w->name, sizeof(w->name)) == -1 ||
	    keep_date(k->v, "--until", &w->valid_until) == -1 ||
	    keep_networks(k->v, w->networks, sizeof(w->networks)) == -1)
		return (-1);
	return (0);
}

static int
person_write(struct keeping *k)
{
	struct store *s = k->v->policy->store;

	must(k->v->policy, k->act == ACT_ADD ? person_add(s, &k->person) : person_set(s, &k->person));
	if (k->person.role != k->before.role)
		invites_void(k->v->policy, k->person.login); /* whoever made it may not have been let to, now */
	return (person_keys_write(k));
}

static int
grant_is_theirs(const struct keeping *k, const struct grant *g)
{
	return (strcmp(g->person, k->person.login) == 0);
}

static int
person_take_away(struct keeping *k)
{
	struct policy *p = k->v->policy;
	struct rows found;

	keep_grants_end(k, grant_is_theirs);
	must(p, store_list(p->store, QUERY_REQUESTS_OF_PERSON_IN_STATE, &found, ARG_TEXT(k->person.login),
	            ARG_INT(STATE_ASKED)));
	for (size_t i = 0; i < found.count; i++) {
		struct request *r = rows_at(&found, request, i);

		if (state_step(&r->state, STATE_WITHDRAWN, "request", r->id) == -1)
			abort();
		r->decided_at = clock_wall_ms();
		TEXT_COPY(r->decided_by, k->v->who.login);
		must(p, request_set(p->store, r));
		questions_answer(p, r, REASON_UNKNOWN_PERSON, "", p->event_last);
	}
	rows_free(&found);
	person_keys_remove(p, k->person.login);
	invites_void(p, k->person.login);
	return (must(p, person_remove(p->store, &k->person)));
}

static void
person_suspend(struct keeping *k, int64_t on)
{
	k->person.suspended = on;
}

static void
person_cut(struct keeping *k)
{
	enum reason reason = k->act == ACT_SUSPEND ? REASON_PERSON_SUSPENDED : REASON_ENDED_BY_MANAGER;

	/* MFAGrace was for who they were, and for who PAM was asked about. */
	if (k->act == ACT_SUSPEND || k->act == ACT_REMOVE ||
	    (k->act == ACT_CHANGE &&
	        (k->person.role != k->before.role || strcmp(pam_name(&k->person), pam_name(&k->before)) != 0)))
		grace_end(k->v->policy, k->person.login);
	/* A change cuts them off only where it changes who they are here. */
	if (k->act == ACT_ADD || k->act == ACT_RESUME ||
	    (k->act == ACT_CHANGE && k->person.role == k->before.role &&
	        strcmp(k->person.vendor, k->before.vendor) == 0 && call_value(&k->v->call, "--remove-key") == NULL))
		return;
	for (struct connection *c = k->v->policy->connections; c != NULL; c = c->next)
		if (strcmp(c->visitor.person, k->person.login) == 0)
			connection_cut(c, reason, k->act == ACT_SUSPEND ? "" : "what is known of you was changed");
}

static void
person_row(struct sheet *s, const struct person *w, int is_show)
{
	char uid[32] = "";

	if (w->uid != 0)
		(void)snprintf(uid, sizeof(uid), "%lld", (long long)w->uid);
	sheet_row(s);
	sheet_text(s, "person", is_show ? "Person" : "PERSON", w->login);
	sheet_text(s, "role", is_show ? "Role" : "ROLE",
	    roles[w->role >= ROLE_NONE && w->role <= ROLE_OPERATOR ? w->role : ROLE_NONE]);
	sheet_text(s, "vendor", is_show ? "Vendor" : "VENDOR", w->vendor);
	sheet_text(
	    s, "state", is_show ? "State" : "STATE", keep_state(w->suspended, w->valid_from, w->valid_until));
	(is_show ? sheet_moment : sheet_when)(s, "until", is_show ? "Until" : "UNTIL", w->valid_until);
	sheet_text(s, "uid", is_show ? "Unix id" : "UID", uid);
	sheet_text(s, "pam_user", is_show ? "For PAM" : "", w->pam_user);
	sheet_text(s, "name", is_show ? "Name" : "NAME", w->name);
	sheet_text(s, "networks", is_show ? "Networks" : "", w->networks);
}

static void
person_list(struct verb *v, struct sheet *s)
{
	struct rows found;

	must(v->policy, store_list_all(v->policy->store, QUERY_PERSONS, &found));
	for (size_t i = 0; i < found.count; i++)
		if (verb_may_see(v, rows_at(&found, person, i)->vendor))
			person_row(s, rows_at(&found, person, i), 0);
	rows_free(&found);
}

/* An invitation that waits for them: until when, and whose. */
static void
invite_row(struct policy *p, struct sheet *s, const char *login)
{
	char until[TIMES_TEXT], text[TIMES_TEXT + ROW_NAME + 16];
	struct invite i;

	if (!invite_pending(p, login, &i))
		return;
	moment_print(i.expires_at, until);
	(void)snprintf(text, sizeof(text), "until %s, by %s", until, i.made_by);
	sheet_shown(s, "invited_by", "Invited", i.made_by, text);
	sheet_moment(s, "invited", "", i.made_at);
	sheet_moment(s, "invited_until", "", i.expires_at);
}

static void
person_show(struct keeping *k)
{
	struct sheet *s = sheet_new(), *keys = sheet_new();
	struct verb *v = k->v;

	person_row(s, &k->person, 1);
	invite_row(v->policy, s, k->person.login);
	person_keys_rows(v->policy, k->person.login, keys);
	sheet_rows(s, "keys", keys);
	sheet_lines(s, v->form, &v->out);
	if (v->form == SHEET_TEXT) {
		text_put(&v->out, "\n");
		sheet_table(
		    keys, SHEET_TEXT, v->columns, "no key; see: person change --key, person invite", &v->out);
	}
	sheet_free(keys);
	sheet_free(s);
}

/* ---- acts of their own ---- */

static void
person_invite(struct keeping *k)
{
	if (keep_may(k) == 0 && person_examine(k) == 0)
		invite_make(k->v, &k->person);
}

/* A secret is shown; policy never sees one. */
static void
person_enrol(struct keeping *k)
{
	verb_refuse(k->v, REASON_ROLE,
	    "a secret for codes is not shown through this door: on the box, lodge person enrol %s; or from here, "
	    "person invite %s",
	    k->name, k->name);
}

static const struct act_of_one acts_of_person[] = {
    {"invite", person_invite}, {"enrol", person_enrol}, {NULL, NULL}};

static const char *
person_vendor(const struct keeping *k)
{
	return (k->person.vendor);
}

const struct kind kind_person = {"person", EVENT_PERSON_CHANGED, person_load, person_read, person_examine,
    person_write, person_take_away, person_suspend, person_cut, person_vendor, person_list, person_show,
    acts_of_person};
