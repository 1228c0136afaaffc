/* target: machines that can be visited; see keep.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "keep.h"
#include "keys.h"
#include "networks.h"
#include "target_scan.h"
#include "targets.h"
#include "times.h"
#include "walk.h"

#define HOST_KEYS_MOST 16

/* An address HOST:PORT, [IPV6]:PORT, or HOST with sshd's own port. */
static int
address_read(struct keeping *k)
{
	const char *value = call_value(&k->v->call, "--address"), *host = value, *end, *port;
	int64_t number = 22;
	size_t n;

	if (value == NULL)
		return (0);
	if (*host == '[') {
		host++;
		end = strchr(host, ']');
		port = end == NULL ? NULL : end[1] == ':' ? end + 2 : end[1] == '\0' ? "" : NULL;
	} else {
		end = strchr(host, ':');
		port = end == NULL                    ? ""
		       : strchr(end + 1, ':') == NULL ? end + 1
		                                      : NULL; /* bare IPv6 wants brackets */
		end = end == NULL ? host + strlen(host) : end;
	}
	n = end == NULL ? 0 : (size_t)(end - host);
	if (port == NULL || n == 0 || n >= sizeof(k->target.host) || strcspn(host, " /@%\"'") < n ||
	    (*port != '\0' && (number_parse(port, &number) == -1 || number > 65535))) {
		verb_usage(k->v, "--address %s: HOST:PORT, or [IPV6]:PORT", value);
		return (-1);
	}
	memcpy(k->target.host, host, n);
	k->target.host[n] = '\0';
	k->target.port = number;
	return (0);
}

/* Names with commas between, each once, as a login name on the target may be. */
static int
accounts_read(struct keeping *k)
{
	const char *value = call_value(&k->v->call, "--account");
	char name[ROW_NAME], found[ROW_NAME];
	size_t n;

	if (value == NULL)
		return (0);
	if (verb_text(k->v, "--account", k->target.accounts, sizeof(k->target.accounts)) == -1)
		return (-1);
	for (const char *p = value;; p += n + 1) {
		n = strcspn(p, ",");
		if (n < sizeof(name)) {
			memcpy(name, p, n);
			name[n] = '\0';
		}
		if (n >= sizeof(name) || (!name_is_good(name) && !(name[0] == '_' && name_is_good(name + 1))) ||
		    account_resolve(p + n + (p[n] == ','), name, found) == 0) {
			verb_usage(k->v, "--account %s: names with commas between, each once", value);
			return (-1);
		}
		if (p[n] == '\0')
			return (0);
	}
}

static int
target_load(struct keeping *k)
{
	TEXT_COPY(k->target.name, k->name);
	return (must(k->v->policy, target_get(k->v->policy->store, &k->target)));
}

static int
login_read(struct keeping *k)
{
	const char *login = call_value(&k->v->call, "--login"), *fresh = call_value(&k->v->call, "--fresh-code");

	if (login != NULL && target_login_read(login, &k->target.login) == -1) {
		verb_usage(k->v, "--login %s: certificate, key, password or keyboard-interactive", login);
		return (-1);
	}
	if (fresh != NULL && strcmp(fresh, "yes") != 0 && strcmp(fresh, "no") != 0) {
		verb_usage(k->v, "--fresh-code %s: yes or no", fresh);
		return (-1);
	}
	if (fresh != NULL)
		k->target.fresh_code = strcmp(fresh, "yes") == 0;
	return (0);
}

/* What is old is allowed until a day that is not too far, and for a reason; what is not old wants neither. */
static int
legacy_judge(struct keeping *k)
{
	struct verb *v = k->v;
	struct target *t = &k->target;
	int64_t now = clock_wall_ms();
	int given = call_value(&v->call, "--legacy-until") != NULL || call_value(&v->call, "--legacy-why") != NULL;

	if (!target_is_old(t) && given) {
		verb_usage(
		    v, "--legacy-until and --legacy-why: nothing old is allowed for it; see --login and --legacy");
		return (-1);
	}
	if (!target_is_old(t)) {
		t->legacy_until = 0;
		t->legacy_why[0] = '\0';
		return (0);
	}
	if (t->legacy_until <= now || t->legacy_until > now + TARGET_OLD_MOST_MS || t->legacy_why[0] == '\0') {
		verb_usage(v,
		    "a password login and old algorithms want --legacy-until DATE, at most two years ahead, and "
		    "--legacy-why \"...\"");
		return (-1);
	}
	return (0);
}

static int
legacy_read(struct keeping *k)
{
	struct verb *v = k->v;
	const char *list = call_value(&v->call, "--legacy");
	char why[TARGET_WHY];

	if (list != NULL && target_legacy_read(list, k->target.legacy, why) == -1) {
		verb_usage(v, "--legacy: %s", why);
		return (-1);
	}
	if (keep_date(v, "--legacy-until", &k->target.legacy_until) == -1 ||
	    keep_text(v, "--legacy-why", k->target.legacy_why, sizeof(k->target.legacy_why)) == -1)
		return (-1);
	/* What was allowed before is not judged again when something else is changed. */
	if (list == NULL && call_value(&v->call, "--login") == NULL &&
	    call_value(&v->call, "--legacy-until") == NULL && call_value(&v->call, "--legacy-why") == NULL)
		return (0);
	return (legacy_judge(k));
}

static int
target_read(struct keeping *k)
{
	if (address_read(k) == -1 || accounts_read(k) == -1 || login_read(k) == -1 || legacy_read(k) == -1 ||
	    keep_text(k->v, "--about", k->target.about, sizeof(k->target.about)) == -1)
		return (-1);
	if (k->target.host[0] == '\0' || k->target.accounts[0] == '\0') {
		verb_usage(k->v, "a target wants --address HOST:PORT and --account NAME");
		return (-1);
	}
	TEXT_COPY(k->target.at_end, "cut");
	return (0);
}

/* A password goes where its target's address and host key say: these are the operator's then, as the password is. */
static int
target_examine(struct keeping *k)
{
	static const char *const moves[] = {"--address", "--host-key", "--login"};
	enum target_login login = target_login(&k->target);
	int is_moved = k->act == ACT_ADD;

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		is_moved |= call_value(&k->v->call, moves[i]) != NULL;
	if (!is_moved || k->v->who.role == ROLE_OPERATOR || (login != TARGET_PASSWORD && login != TARGET_KEYBOARD))
		return (0);
	verb_refuse_noted(k->v, REASON_ROLE, 0,
	    "where a target is that is entered by password, by which host key it is known and how it is entered is "
	    "the operator's: the vault's password goes there");
	return (-1);
}

/* Adds --host-key's lines to what is pinned; one that is there already stays. */
static int
host_keys_add(struct keeping *k)
{
	struct policy *p = k->v->policy;
	struct key_read read;
	const char *line;

	for (size_t i = 0; (line = call_value_at(&k->v->call, "--host-key", i)) != NULL; i++) {
		struct target_key key = {.added = clock_wall_ms()};

		if (key_read(&read, line) == -1 || strncmp(read.type, "sk-", 3) == 0) {
			verb_usage(k->v, "--host-key %.40s...: not a key as ssh-keyscan prints it", line);
			return (-1);
		}
		TEXT_COPY(key.target, k->target.name);
		TEXT_COPY(key.fingerprint, read.fingerprint);
		if (must(p, target_key_get(p->store, &key)) == 1)
			continue;
		TEXT_COPY(key.type, read.type);
		TEXT_COPY(key.blob, read.blob);
		must(p, target_key_add(p->store, &key));
	}
	return (0);
}

static size_t
host_keys_count(const struct keeping *k)
{
	struct rows keys;
	int n = must(
	    k->v->policy, store_list(k->v->policy->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(k->target.name)));

	rows_free(&keys);
	return ((size_t)n);
}

/* Takes --remove-host-key's away; not the last one, without which nobody could enter. */
static int
host_key_remove(struct keeping *k)
{
	struct verb *v = k->v;
	const char *fingerprint = call_value(&v->call, "--remove-host-key");
	struct target_key key = {.added = 0};

	if (fingerprint == NULL)
		return (0);
	TEXT_COPY(key.target, k->target.name);
	TEXT_COPY(key.fingerprint, fingerprint);
	if (must(v->policy, target_key_remove(v->policy->store, &key)) == 0) {
		verb_refuse(v, REASON_NOT_FOUND, "%s has no host key %.79s; see: target show %s", k->target.name,
		    fingerprint, k->target.name);
		return (-1);
	}
	if (host_keys_count(k) > 0)
		return (0);
	verb_refuse(v, REASON_STATE,
	    "it is the only host key of %s, which nobody could enter without; give another with it: --host-key KEY",
	    k->target.name);
	return (-1);
}

/* All of them go to a session in one message, and more than a few are nobody's change of keys. */
static int
host_keys_judge(struct keeping *k)
{
	if (host_keys_count(k) <= HOST_KEYS_MOST)
		return (0);
	verb_refuse(k->v, REASON_STATE, "%s would have more than %d host keys; remove those that it has no more",
	    k->target.name, HOST_KEYS_MOST);
	return (-1);
}

static int
target_write(struct keeping *k)
{
	struct store *s = k->v->policy->store;

	/* Whoever says what is pinned has seen what the target showed. */
	if (call_value(&k->v->call, "--host-key") != NULL || call_value(&k->v->call, "--remove-host-key") != NULL) {
		k->target.mismatch_at = k->target.mismatch_session = 0;
		k->target.mismatch_key[0] = '\0';
	}
	must(k->v->policy, k->act == ACT_ADD ? target_add(s, &k->target) : target_set(s, &k->target));
	return (host_keys_add(k) == -1 || host_key_remove(k) == -1 || host_keys_judge(k) == -1 ? -1 : 0);
}

static int
grant_is_on_it(const struct keeping *k, const struct grant *g)
{
	return (strcmp(g->target, k->target.name) == 0);
}

static int
target_take_away(struct keeping *k)
{
	struct policy *p = k->v->policy;
	struct rows found;

	keep_grants_end(k, grant_is_on_it);
	must(p, store_list(p->store, QUERY_REQUESTS_IN_STATE, &found, ARG_INT(STATE_ASKED)));
	for (size_t i = 0; i < found.count; i++) {
		struct request *r = rows_at(&found, request, i);

		if (strcmp(r->target, k->target.name) != 0)
			continue;
		if (state_step(&r->state, STATE_DENIED, "request", r->id) == -1)
			abort();
		r->decided_at = clock_wall_ms();
		TEXT_COPY(r->decided_by, k->v->who.login);
		TEXT_COPY(r->decided_why, "the target was removed");
		must(p, request_set(p->store, r));
		questions_answer(p, r, REASON_UNKNOWN_TARGET, "the target was removed",
		    event_note(p, &(struct happening){.type = EVENT_REQUEST_DENIED,
		                      .who = k->v->who.login,
		                      .about = r->person,
		                      .vendor = r->vendor,
		                      .source = k->v->who.source,
		                      .session = k->v->who.session,
		                      .request = r->id,
		                      .target = r->target,
		                      .account = r->account,
		                      .why = r->decided_why}));
	}
	rows_free(&found);
	must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &found, ARG_TEXT(k->target.name)));
	for (size_t i = 0; i < found.count; i++)
		must(p, target_key_remove(p->store, rows_at(&found, target_key, i)));
	rows_free(&found);
	return (must(p, target_remove(p->store, &k->target)));
}

static void
target_suspend(struct keeping *k, int64_t on)
{
	k->target.suspended = on;
}

/* Who is on it leaves it; what else they have open goes on. */
static void
target_cut(struct keeping *k)
{
	struct policy *p = k->v->policy;
	struct rows live;

	if (k->act != ACT_SUSPEND && (k->act != ACT_CHANGE || call_value(&k->v->call, "--address") == NULL))
		return;
	must(p, store_list(p->store, QUERY_GRANTS_LIVE, &live, ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	for (size_t i = 0; i < live.count; i++)
		if (grant_is_on_it(k, rows_at(&live, grant, i)))
			grant_cut(p, rows_at(&live, grant, i), REASON_ENDED_BY_MANAGER,
			    k->act == ACT_SUSPEND ? "the target is taken out of use" : "the target was moved");
	rows_free(&live);
}

static void
target_row(struct sheet *s, const struct target *t, int is_show)
{
	const char *state = keep_state(t->suspended, 0, 0), *login = target_login_word(target_login(t));
	char address[300], entered[2 * ROW_NAME];

	(void)snprintf(address, sizeof(address), strchr(t->host, ':') != NULL ? "[%s]:%lld" : "%s:%lld", t->host,
	    (long long)t->port);
	(void)snprintf(entered, sizeof(entered), "%s%s", login,
	    !target_is_old(t)                    ? ""
	    : clock_wall_ms() >= t->legacy_until ? ", old, ended"
	                                         : ", old");
	sheet_row(s);
	sheet_text(s, "target", is_show ? "Target" : "TARGET", t->name);
	sheet_shown(s, "state", is_show ? "State" : "STATE", state,
	    t->mismatch_at != 0 && !is_show && !t->suspended ? "host key!" : state);
	sheet_text(s, "address", is_show ? "Address" : "ADDRESS", address);
	sheet_text(s, "accounts", is_show ? "Accounts" : "ACCOUNTS", t->accounts);
	sheet_shown(s, "login", is_show ? "Login" : "LOGIN", login, entered);
	sheet_text(s, "about", is_show ? "About" : "ABOUT", t->about);
}

/* What it takes to enter it, beyond what every target wants. */
static void
target_needs(struct sheet *s, const struct target *t)
{
	char old[TARGET_OLD_TEXT], shown[TARGET_SHOWN_TEXT];

	target_old_print(t, old);
	sheet_shown(s, "", "Old", "", old);
	sheet_text(s, "legacy", "", t->legacy);
	sheet_moment(s, "legacy_until", "", t->legacy_until);
	sheet_text(s, "legacy_why", "", t->legacy_why);
	sheet_shown(s, "fresh_code", "Fresh code", t->fresh_code ? "yes" : "no",
	    t->fresh_code ? "each visit wants a code of its own" : "");
	target_shown_print(t, shown);
	sheet_shown(s, "", "WARNING", "", shown);
	sheet_moment(s, "host_key_shown_at", "", t->mismatch_at);
	sheet_text(s, "host_key_shown", "", t->mismatch_key);
}

static void
target_list(struct verb *v, struct sheet *s)
{
	struct rows found;

	must(v->policy, store_list_all(v->policy->store, QUERY_TARGETS, &found));
	for (size_t i = 0; i < found.count; i++)
		target_row(s, rows_at(&found, target, i), 0);
	rows_free(&found);
}

static void
target_show(struct keeping *k)
{
	struct sheet *s = sheet_new();
	struct text all = {.at = NULL};
	struct rows keys;

	target_row(s, &k->target, 1);
	must(k->v->policy, store_list(k->v->policy->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(k->target.name)));
	for (size_t i = 0; i < keys.count; i++)
		keep_key_show(k->v, s, rows_at(&keys, target_key, i)->fingerprint,
		    rows_at(&keys, target_key, i)->type, "", &all);
	if (keys.count == 0)
		sheet_shown(s, "", "Host key", "", "none pinned: it cannot be entered; see: target scan");
	target_needs(s, &k->target);
	sheet_list(s, "host_keys", all.at == NULL ? "" : all.at);
	sheet_lines(s, k->v->form, &k->v->out);
	text_free(&all);
	rows_free(&keys);
	sheet_free(s);
}

void
target_warnings_put(struct verb *v)
{
	char shown[TARGET_SHOWN_TEXT];
	struct rows found;

	must(v->policy, store_list_all(v->policy->store, QUERY_TARGETS, &found));
	for (size_t i = 0; i < found.count; i++) {
		target_shown_print(rows_at(&found, target, i), shown);
		if (shown[0] != '\0')
			text_add(&v->out, "! %s: %s\n", rows_at(&found, target, i)->name, shown);
	}
	rows_free(&found);
}

static const char *
target_vendor(const struct keeping *k)
{
	(void)k;
	return ("");
}

static const struct act_of_one own[] = {{"scan", target_scan}, {NULL, NULL}};

const struct kind kind_target = {"target", EVENT_TARGET_CHANGED, target_load, target_read, target_examine,
    target_write, target_take_away, target_suspend, target_cut, target_vendor, target_list, target_show, own};
