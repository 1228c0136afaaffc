/* A person's keys; see person_keys.h. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "contract/messages.h"
#include "keys.h"
#include "person_keys.h"

size_t
person_keys_count(struct policy *p, const char *login)
{
	struct rows found;
	int n = must(p, store_list(p->store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT(login)));

	rows_free(&found);
	return ((size_t)n);
}

static void
options_set(struct person_key *key, const struct key_options *o)
{
	key->valid_from = o->valid_from;
	key->valid_until = o->valid_until;
	TEXT_COPY(key->networks, o->networks);
	key->options = o->bits;
}

/* Is it somebody else's?  Nonzero, and refused. */
static int
key_is_taken(struct keeping *k, const char *fingerprint)
{
	struct policy *p = k->v->policy;
	struct rows found;
	int taken = 0;

	must(p, store_list(p->store, QUERY_KEYS_OF_FINGERPRINT, &found, ARG_TEXT(fingerprint)));
	for (size_t i = 0; i < found.count && !taken; i++)
		if ((taken = strcmp(rows_at(&found, person_key, i)->login, k->person.login) != 0))
			verb_refuse(k->v, REASON_STATE, "the key %s is %s's already", fingerprint,
			    rows_at(&found, person_key, i)->login);
	rows_free(&found);
	return (taken);
}

/* One --key: a new key, or new options of one that is there. */
static int
key_write(struct keeping *k, const char *line)
{
	struct policy *p = k->v->policy;
	struct person_key key = {.added = 0};
	struct key_read read;
	char why[KEY_WHY], clean[2 * KEY_WHY];

	if (key_read_person(&read, line, why) == -1) {
		text_clean(clean, sizeof(clean), bytes_text(why)); /* it may be cut within a letter of theirs */
		verb_usage(k->v, "--key: %s", clean);
		return (-1);
	}
	if (key_is_taken(k, read.fingerprint))
		return (-1);
	TEXT_COPY(key.login, k->person.login);
	TEXT_COPY(key.fingerprint, read.fingerprint);
	if (must(p, person_key_get(p->store, &key)) == 1) {
		options_set(&key, &read.options);
		if (read.comment[0] != '\0')
			TEXT_COPY(key.comment, read.comment);
		return (must(p, person_key_set(p->store, &key)));
	}
	if (person_keys_count(p, k->person.login) >= PERSON_KEYS_MOST) {
		verb_refuse(k->v, REASON_LIMIT, "%s has %d keys, as many as may be; see: --remove-key",
		    k->person.login, PERSON_KEYS_MOST);
		return (-1);
	}
	TEXT_COPY(key.type, read.type);
	TEXT_COPY(key.blob, read.blob);
	TEXT_COPY(key.comment, read.comment);
	key.added = clock_wall_ms();
	options_set(&key, &read.options);
	return (must(p, person_key_add(p->store, &key)));
}

static int
key_take_away(struct keeping *k)
{
	const char *fingerprint = call_value(&k->v->call, "--remove-key");
	struct person_key key = {.added = 0};

	if (fingerprint == NULL)
		return (0);
	if (k->act == ACT_ADD) {
		verb_usage(k->v, "--remove-key: they have none yet");
		return (-1);
	}
	TEXT_COPY(key.login, k->person.login);
	TEXT_COPY(key.fingerprint, fingerprint);
	if (must(k->v->policy, person_key_remove(k->v->policy->store, &key)) == 1)
		return (0);
	verb_refuse(k->v, REASON_NOT_FOUND, "%s has no key %.80s; see: person show %s", k->person.login,
	    fingerprint, k->person.login);
	return (-1);
}

int
person_keys_write(struct keeping *k)
{
	const char *line;

	if (key_take_away(k) == -1)
		return (-1);
	for (size_t i = 0; (line = call_value_at(&k->v->call, "--key", i)) != NULL; i++)
		if (key_write(k, line) == -1)
			return (-1);
	return (0);
}

void
person_keys_remove(struct policy *p, const char *login)
{
	struct rows found;

	must(p, store_list(p->store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT(login)));
	for (size_t i = 0; i < found.count; i++)
		must(p, person_key_remove(p->store, rows_at(&found, person_key, i)));
	rows_free(&found);
}

/* ---- showing ---- */

const char *
person_key_state(const struct policy *p, const struct person_key *key)
{
	if (key->valid_until != 0 && policy_latest_ms(p) >= key->valid_until)
		return ("expired");
	return (clock_wall_ms() < key->valid_from ? "not yet" : "active");
}

static void
key_row(const struct policy *p, struct sheet *s, const struct person_key *key)
{
	struct key_options o = key_options_of(key);
	char options[KEY_OPTIONS_TEXT];

	key_options_print(&o, options);
	sheet_row(s);
	sheet_text(s, "fingerprint", "KEY", key->fingerprint);
	sheet_text(s, "type", "KIND", key->type);
	sheet_text(s, "state", "STATE", person_key_state(p, key));
	sheet_when(s, "added", "ADDED", key->added);
	sheet_text(s, "added_by", "", key->invited ? "invitation" : "");
	sheet_when(s, "last_used", "LAST USED", key->last_used);
	sheet_text(s, "last_source", "FROM", key->last_source);
	sheet_text(s, "comment", "COMMENT", key->comment);
	sheet_text(s, "options", "OPTIONS", options);
	sheet_text(s, "networks", "", key->networks);
	sheet_moment(s, "valid_from", "", key->valid_from);
	sheet_moment(s, "valid_until", "", key->valid_until);
	sheet_text(s, "verify_required", "", key->options & KEY_OPTION_VERIFY ? "yes" : "");
	sheet_number(s, "counter", "", key->counter);
}

void
person_keys_rows(struct policy *p, const char *login, struct sheet *s)
{
	struct rows found;

	must(p, store_list(p->store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT(login)));
	for (size_t i = 0; i < found.count; i++)
		key_row(p, s, rows_at(&found, person_key, i));
	rows_free(&found);
}
