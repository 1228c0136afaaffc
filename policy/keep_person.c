/* person: who may come, and by which keys; see keep.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "keep.h"
#include "keys.h"
#include "networks.h"
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

/* Separation of duties among those who keep the books; see the head of this file.  -1: refused. */
static int
person_examine(struct keeping *k)
{
	struct verb *v = k->v;

	if (v->who.role == ROLE_OPERATOR)
		return (0);
	if (strcmp(v->who.login, k->person.login) == 0) {
		verb_refuse_noted(v, REASON_ROLE, 0, "nobody changes what is known of themselves");
		return (-1);
	}
	if (k->person.role != ROLE_ENGINEER || (k->before.role != ROLE_NONE && k->before.role != ROLE_ENGINEER) ||
	    k->person.uid != k->before.uid) {
		verb_refuse_noted(v, REASON_ROLE, 0,
		    "managers keep engineers; other roles and --uid are the operator's, on the box");
		return (-1);
	}
	return (0);
}

static int
person_read(struct keeping *k)
{
	struct person *w = &k->person;

	if (role_read(k) == -1 || uid_read(k) == -1 || person_vendor_read(k) == -1 ||
	    keep_text(k->v, "--name", w->name, sizeof(w->name)) == -1 ||
	    keep_date(k->v, "--until", &w->valid_until) == -1 ||
	    keep_networks(k->v, w->networks, sizeof(w->networks)) == -1)
		return (-1);
	return (0);
}

/* Keys that --key gives; *bad names the first one that is none. */
static int
person_keys_add(struct keeping *k)
{
	struct policy *p = k->v->policy;
	struct key_read read;
	struct rows others;
	const char *line;

	for (size_t i = 0; (line = call_value_at(&k->v->call, "--key", i)) != NULL; i++) {
		struct person_key key = {.added = clock_wall_ms()};

		if (key_read(&read, line) == -1) {
			verb_usage(k->v,
			    "--key %.40s...: not a public key as in authorized_keys (ed25519, ecdsa, rsa, sk-; no "
			    "options)",
			    line);
			return (-1);
		}
		must(p, store_list(p->store, QUERY_KEYS_OF_FINGERPRINT, &others, ARG_TEXT(read.fingerprint)));
		if (others.count > 0) {
			verb_refuse(k->v, REASON_STATE, "the key %s is %s's already", read.fingerprint,
			    rows_at(&others, person_key, 0)->login);
			rows_free(&others);
			return (-1);
		}
		rows_free(&others);
		TEXT_COPY(key.login, k->person.login);
		TEXT_COPY(key.fingerprint, read.fingerprint);
		TEXT_COPY(key.type, read.type);
		TEXT_COPY(key.blob, read.blob);
		TEXT_COPY(key.comment, read.comment);
		must(p, person_key_add(p->store, &key));
	}
	return (0);
}

static int
person_key_take_away(struct keeping *k)
{
	const char *fingerprint = call_value(&k->v->call, "--remove-key");
	struct person_key key = {.added = 0};

	if (fingerprint == NULL)
		return (0);
	TEXT_COPY(key.login, k->person.login);
	TEXT_COPY(key.fingerprint, fingerprint);
	if (must(k->v->policy, person_key_remove(k->v->policy->store, &key)) == 1)
		return (0);
	verb_refuse(k->v, REASON_NOT_FOUND, "%s has no key %.80s; see: person show %s", k->person.login,
	    fingerprint, k->person.login);
	return (-1);
}

static int
person_write(struct keeping *k)
{
	struct store *s = k->v->policy->store;

	must(k->v->policy, k->act == ACT_ADD ? person_add(s, &k->person) : person_set(s, &k->person));
	if (k->act == ACT_ADD && call_value(&k->v->call, "--remove-key") != NULL) {
		verb_usage(k->v, "--remove-key: they have none yet");
		return (-1);
	}
	return (person_key_take_away(k) == -1 ? -1 : person_keys_add(k));
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
	must(p, store_list(p->store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT(k->person.login)));
	for (size_t i = 0; i < found.count; i++)
		must(p, person_key_remove(p->store, rows_at(&found, person_key, i)));
	rows_free(&found);
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

static void
person_show(struct keeping *k)
{
	struct sheet *s = sheet_new();
	struct text all = {.at = NULL};
	struct rows keys;

	person_row(s, &k->person, 1);
	must(k->v->policy, store_list(k->v->policy->store, QUERY_KEYS_OF_PERSON, &keys, ARG_TEXT(k->person.login)));
	for (size_t i = 0; i < keys.count; i++) {
		const struct person_key *key = rows_at(&keys, person_key, i);

		keep_key_show(k->v, s, key->fingerprint, key->type, key->comment, &all);
	}
	sheet_list(s, "keys", all.at == NULL ? "" : all.at);
	sheet_lines(s, k->v->form, &k->v->out);
	text_free(&all);
	rows_free(&keys);
	sheet_free(s);
}

static const char *
person_vendor(const struct keeping *k)
{
	return (k->person.vendor);
}

const struct kind kind_person = {"person", EVENT_PERSON_CHANGED, person_load, person_read, person_examine,
    person_write, person_take_away, person_suspend, person_cut, person_vendor, person_list, person_show};
