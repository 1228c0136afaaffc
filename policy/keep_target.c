/* target: machines that can be visited; see keep.h. */
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
target_read(struct keeping *k)
{
	if (address_read(k) == -1 || accounts_read(k) == -1 ||
	    keep_text(k->v, "--about", k->target.about, sizeof(k->target.about)) == -1)
		return (-1);
	if (k->target.host[0] == '\0' || k->target.accounts[0] == '\0') {
		verb_usage(k->v, "a target wants --address HOST:PORT and --account NAME");
		return (-1);
	}
	TEXT_COPY(k->target.at_end, "cut");
	return (0);
}

/* The pinned key: a new one takes the place of one of its type. */
static int
host_key_pin(struct keeping *k)
{
	struct policy *p = k->v->policy;
	struct target_key key = {.added = clock_wall_ms()};
	struct key_read read;
	struct rows keys;
	const char *line;

	for (size_t i = 0; (line = call_value_at(&k->v->call, "--host-key", i)) != NULL; i++) {
		if (key_read(&read, line) == -1) {
			verb_usage(k->v, "--host-key %.40s...: not a key as ssh-keyscan prints it", line);
			return (-1);
		}
		must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(k->target.name)));
		for (size_t j = 0; j < keys.count; j++)
			if (strcmp(rows_at(&keys, target_key, j)->type, read.type) == 0)
				must(p, target_key_remove(p->store, rows_at(&keys, target_key, j)));
		rows_free(&keys);
		TEXT_COPY(key.target, k->target.name);
		TEXT_COPY(key.fingerprint, read.fingerprint);
		TEXT_COPY(key.type, read.type);
		TEXT_COPY(key.blob, read.blob);
		must(p, target_key_add(p->store, &key));
	}
	return (0);
}

static int
target_write(struct keeping *k)
{
	struct store *s = k->v->policy->store;

	must(k->v->policy, k->act == ACT_ADD ? target_add(s, &k->target) : target_set(s, &k->target));
	return (host_key_pin(k));
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
	char address[300];

	(void)snprintf(address, sizeof(address), strchr(t->host, ':') != NULL ? "[%s]:%lld" : "%s:%lld", t->host,
	    (long long)t->port);
	sheet_row(s);
	sheet_text(s, "target", is_show ? "Target" : "TARGET", t->name);
	sheet_text(s, "state", is_show ? "State" : "STATE", keep_state(t->suspended, 0, 0));
	sheet_text(s, "address", is_show ? "Address" : "ADDRESS", address);
	sheet_text(s, "accounts", is_show ? "Accounts" : "ACCOUNTS", t->accounts);
	sheet_text(s, "about", is_show ? "About" : "ABOUT", t->about);
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
		sheet_shown(s, "", "Host key", "", "none pinned: it cannot be entered");
	sheet_list(s, "host_keys", all.at == NULL ? "" : all.at);
	sheet_lines(s, k->v->form, &k->v->out);
	text_free(&all);
	rows_free(&keys);
	sheet_free(s);
}

static const char *
target_vendor(const struct keeping *k)
{
	(void)k;
	return ("");
}

const struct kind kind_target = {"target", EVENT_TARGET_CHANGED, target_load, target_read, NULL, target_write,
    target_take_away, target_suspend, target_cut, target_vendor, target_list, target_show};
