/* What a scan found; see scan_report.h. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "contract/algorithms.h"
#include "keys.h"
#include "policy.h"
#include "scan_report.h"
#include "targets.h"
#include "times.h"
#include "words.h"

#define KEYS_MOST 8
#define LIST_TEXT 512
#define RSA_BITS_LEAST 2048 /* of a host key that is taken without ssh-rsa; as session/target_options.c has it */

/* A host key that it showed, or a kind of which it showed none. */
struct shown {
	char kind[ROW_NAME];
	struct key_read key; /* fingerprint "": it showed none */
	char line[ROW_KEY_LINE];
	char why[ROW_WORDS]; /* it showed none */
	const char *state;   /* "pinned", "differs", "new", "not seen" */
};

/* One kind of algorithm: what both have. */
struct common {
	char modern[LIST_TEXT];
	const char *needed; /* an old one, for there is no modern; "" when none is needed, NULL when nothing fits */
};

struct report {
	const struct target *target;
	const struct rows *pinned;
	json_t *found;
	struct shown keys[KEYS_MOST];
	size_t key_count;
	struct common common[ALGORITHM_KINDS];
	int has_compression; /* "none": we compress nothing */
	char needed[LIST_TEXT];
	char methods[LIST_TEXT], logins[LIST_TEXT];
};

static const char *const kind_names[ALGORITHM_KINDS] = {
    [ALGORITHM_KEX] = "key exchange",
    [ALGORITHM_HOSTKEY] = "kind of host key",
    [ALGORITHM_CIPHER] = "cipher",
    [ALGORITHM_MAC] = "MAC",
};

static void
list_add(char list[LIST_TEXT], const char *name, const char *between)
{
	size_t n = strlen(list);

	(void)snprintf(list + n, LIST_TEXT - n, "%s%s", n == 0 ? "" : between, name);
}

static int
array_has(const json_t *found, const char *key, const char *name)
{
	const json_t *all = json_object_get(found, key), *one;
	size_t i;

	json_array_foreach(
	    all, i, one) if (json_is_string(one) && strcmp(json_string_value(one), name) == 0) return (1);
	return (0);
}

/* ---- host keys ---- */

static const char *
key_state(const struct rows *pinned, const struct key_read *k)
{
	const char *state = "new";

	for (size_t i = 0; i < pinned->count; i++) {
		if (strcmp(rows_at(pinned, target_key, i)->fingerprint, k->fingerprint) == 0)
			return ("pinned");
		if (strcmp(rows_at(pinned, target_key, i)->type, k->type) == 0)
			state = "differs";
	}
	return (state);
}

static void
string_take(const json_t *o, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	text_clean(to, size, bytes_text(text == NULL ? "" : text));
}

static void
keys_read(struct report *r)
{
	const json_t *all = json_object_get(r->found, "keys"), *one;
	size_t i;

	json_array_foreach(all, i, one)
	{
		struct shown *s = &r->keys[r->key_count];

		if (r->key_count == KEYS_MOST)
			return;
		string_take(one, "kind", s->kind, sizeof(s->kind));
		string_take(one, "key", s->line, sizeof(s->line));
		string_take(one, "why", s->why, sizeof(s->why));
		s->state = "not seen";
		if (s->line[0] != '\0' && key_read(&s->key, s->line) == 0)
			s->state = key_state(r->pinned, &s->key);
		else
			s->key.fingerprint[0] = '\0';
		r->key_count++;
	}
}

/* An RSA key so short that it is taken only where ssh-rsa is allowed (RFC 4253 6.6: string "ssh-rsa", mpint e, mpint n). */
static int
rsa_is_short(const struct report *r)
{
	unsigned char blob[KEY_BLOB_MAX];
	struct reader read;
	struct bytes n;

	for (size_t i = 0; i < r->key_count; i++) {
		if (r->keys[i].key.fingerprint[0] == '\0' || strcmp(r->keys[i].key.type, "ssh-rsa") != 0)
			continue;
		read = reader_of(bytes_of(blob, key_blob(r->keys[i].key.blob, blob, sizeof(blob))));
		(void)reader_get_bytes(&read);
		(void)reader_get_bytes(&read);
		n = reader_get_bytes(&read);
		return (n.len > 0 && (n.len - (n.at[0] == 0)) * 8 < RSA_BITS_LEAST);
	}
	return (0);
}

/* ---- algorithms ---- */

static int
target_has(const struct report *r, const struct algorithm *a)
{
	static const struct {
		const char *to, *from;
	} lists[ALGORITHM_KINDS] = {
	    [ALGORITHM_KEX] = {"kex", "kex"},
	    [ALGORITHM_HOSTKEY] = {"host_key_algorithms", "host_key_algorithms"},
	    [ALGORITHM_CIPHER] = {"ciphers_to", "ciphers_from"},
	    [ALGORITHM_MAC] = {"macs_to", "macs_from"},
	};

	if (strncmp(a->name, "rsa-sha2-", 9) == 0 && rsa_is_short(r))
		return (0);
	return (
	    array_has(r->found, lists[a->kind].to, a->name) && array_has(r->found, lists[a->kind].from, a->name));
}

/* A cipher that is its own MAC, and the first that both have, for we name those first. */
static int
needs_no_mac(const struct common *cipher)
{
	return (strncmp(cipher->modern, "aes256-gcm@", 11) == 0 ||
	        strncmp(cipher->modern, "aes128-gcm@", 11) == 0 || strncmp(cipher->modern, "chacha20-", 9) == 0);
}

static void
common_find(struct report *r, enum algorithm_kind kind)
{
	struct common *c = &r->common[kind];

	for (size_t i = 0; algorithm_at(i) != NULL; i++) {
		const struct algorithm *a = algorithm_at(i);

		if (a->kind != kind || !target_has(r, a))
			continue;
		if (a->age == ALGORITHM_MODERN)
			list_add(c->modern, a->name, ", ");
		else if (c->needed == NULL)
			c->needed = a->name;
	}
	if (c->modern[0] != '\0' || (kind == ALGORITHM_MAC && needs_no_mac(&r->common[ALGORITHM_CIPHER])))
		c->needed = "";
	if (c->needed != NULL && c->needed[0] != '\0')
		list_add(r->needed, c->needed, ",");
}

/* ---- login ---- */

static void
logins_find(struct report *r)
{
	static const struct {
		const char *method, *login;
	} ways[] = {{"publickey", "certificate"}, {"publickey", "key"}, {"password", "password"},
	    {"keyboard-interactive", "keyboard-interactive"}};
	const json_t *one, *all = json_object_get(r->found, "methods");
	char clean[ROW_NAME];
	size_t i;

	json_array_foreach(all, i, one)
	{
		text_clean(clean, sizeof(clean), bytes_text(json_is_string(one) ? json_string_value(one) : ""));
		list_add(r->methods, clean, ", ");
	}
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (array_has(r->found, "methods", ways[i].method))
			list_add(r->logins, ways[i].login, ", ");
}

/* 1: its --login may work; 0: it cannot; -1: the target told no methods. */
static int
login_could_work(const struct report *r)
{
	static const char *const wants[] = {[TARGET_CERTIFICATE] = "publickey",
	    [TARGET_KEY] = "publickey",
	    [TARGET_PASSWORD] = "password",
	    [TARGET_KEYBOARD] = "keyboard-interactive"};

	if (r->methods[0] == '\0')
		return (-1);
	return (array_has(r->found, "methods", wants[target_login(r->target)]));
}

static int
report_read(struct report *r, const struct target *t, const struct rows *pinned, const char *json)
{
	*r = (struct report){.target = t, .pinned = pinned};
	if ((r->found = json_loads(json, JSON_REJECT_DUPLICATES, NULL)) == NULL ||
	    json_array_size(json_object_get(r->found, "kex")) == 0) {
		json_decref(r->found);
		return (-1);
	}
	keys_read(r);
	for (int kind = 0; kind < ALGORITHM_KINDS; kind++)
		common_find(r, (enum algorithm_kind)kind);
	r->has_compression =
	    array_has(r->found, "compression_to", "none") && array_has(r->found, "compression_from", "none");
	logins_find(r);
	return (0);
}

/* ---- for people ---- */

static void
keys_put(const struct report *r, struct text *to)
{
	static const struct {
		const char *state, *words;
	} words[] = {{"pinned", "pinned"}, {"differs", "NOT the pinned one of its kind"}, {"new", "not pinned"}};

	for (size_t i = 0; i < r->key_count; i++) {
		const struct shown *s = &r->keys[i];

		if (s->key.fingerprint[0] == '\0')
			text_add(to, "Host key      %s: not seen, %s\n", s->kind, s->why);
		for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++)
			if (strcmp(words[j].state, s->state) == 0)
				text_add(to, "Host key      %s %s, %s\n", s->key.fingerprint, s->key.type,
				    words[j].words);
	}
}

/* The one that will be used, and how many there are besides. */
static void
modern_put(const char *list, struct text *to)
{
	size_t more = 0;

	for (const char *c = list; *c != '\0'; c++)
		more += *c == ',';
	text_add(to, "%.*s", (int)strcspn(list, ","), list);
	if (more > 0)
		text_add(to, " and %zu more", more);
	text_put(to, "\n");
}

static void
algorithms_put(const struct report *r, struct text *to)
{
	for (int kind = 0; kind < ALGORITHM_KINDS; kind++) {
		const struct common *c = &r->common[kind];

		text_add(to, "In common     %s: ", kind_names[kind]);
		if (c->modern[0] != '\0')
			modern_put(c->modern, to);
		else if (c->needed == NULL)
			text_put(to, "nothing that this gateway has\n");
		else if (c->needed[0] == '\0')
			text_put(to, "not needed, the cipher does it\n");
		else
			text_add(to, "nothing modern; old: %s%s\n", c->needed,
			    algorithm_list_has(bytes_text(r->target->legacy), bytes_text(c->needed)) ? ", allowed"
			                                                                             : "");
	}
	if (!r->has_compression)
		text_put(to, "In common     compression: nothing, for it wants some\n");
}

static void
login_put(const struct report *r, struct text *to)
{
	const char *login = target_login_word(target_login(r->target));
	int could = login_could_work(r);

	if (could == -1) {
		text_put(to, "Login         it told no methods\n");
		return;
	}
	text_add(to, "Login         it offers: %s\n", r->methods);
	if (strcmp(r->methods, "none") == 0)
		text_put(to, "WARNING       it lets in whoever knocks, without any proof\n");
	text_add(to, "              --login that can work: %s; it has: %s%s\n",
	    r->logins[0] == '\0' ? "none" : r->logins, login, could ? "" : ", which CANNOT work");
}

/* The file of a key's kind, as OpenSSH names it; what the target's own console says of it is the proof. */
static const char *
key_file(const char *type)
{
	return (strcmp(type, "ssh-ed25519") == 0 ? "ssh_host_ed25519_key.pub"
	        : strcmp(type, "ssh-rsa") == 0   ? "ssh_host_rsa_key.pub"
	                                         : "ssh_host_ecdsa_key.pub");
}

/* How to make sure, and the line that pins it. */
static void
pin_put(const struct report *r, const struct shown *s, struct text *to)
{
	text_add(to, "\n%s %s is %s.  Make sure on its own console:\n  ssh-keygen -lf /etc/ssh/%s\n", s->key.type,
	    s->key.fingerprint, strcmp(s->state, "differs") == 0 ? "NOT the one that is pinned" : "not pinned",
	    key_file(s->key.type));
	text_add(
	    to, "then pin it:\n  target change %s --host-key '%s %s'", r->target->name, s->key.type, s->key.blob);
	for (size_t i = 0; i < r->pinned->count && strcmp(s->state, "differs") == 0; i++)
		if (strcmp(rows_at(r->pinned, target_key, i)->type, s->key.type) == 0) {
			text_add(to, "\nand when the old one is gone:\n  target change %s --remove-host-key %s",
			    r->target->name, rows_at(r->pinned, target_key, i)->fingerprint);
			break;
		}
	text_put(to, "\n");
}

/* Every old word that it needs is allowed already. */
static int
needed_is_allowed(const struct report *r)
{
	struct bytes needed = bytes_text(r->needed);

	while (needed.len > 0)
		if (!algorithm_list_has(bytes_text(r->target->legacy), algorithm_list_next(&needed)))
			return (0);
	return (1);
}

static void
legacy_put(const struct report *r, struct text *to)
{
	char until[TIMES_TEXT];

	for (int kind = 0; kind < ALGORITHM_KINDS; kind++)
		if (r->common[kind].needed == NULL)
			text_add(to, "\nIt cannot be entered: there is no %s that both have.\n", kind_names[kind]);
	if (r->needed[0] == '\0') {
		if (r->target->legacy[0] != '\0')
			text_add(to, "\nIt needs nothing old any more: target change %s --legacy none\n",
			    r->target->name);
		return;
	}
	if (needed_is_allowed(r)) {
		moment_print(r->target->legacy_until, until);
		text_add(to, "\nIt needs what is old, %s, which is allowed until %s.\n", r->needed, until);
		return;
	}
	text_add(to,
	    "\nIt needs what is old.  No more than that allows it, for a time:\n  target change %s --legacy %s "
	    "--legacy-until DATE --legacy-why \"...\"\n",
	    r->target->name, r->needed);
}

static void
report_print(const struct report *r, struct text *to)
{
	char version[ROW_WORDS];

	string_take(r->found, "version", version, sizeof(version));
	text_add(to,
	    strchr(r->target->host, ':') != NULL ? "Target        %s, [%s]:%lld\n" : "Target        %s, %s:%lld\n",
	    r->target->name, r->target->host, (long long)r->target->port);
	text_add(to, "Says it is    %s\n", version);
	keys_put(r, to);
	algorithms_put(r, to);
	login_put(r, to);
	for (size_t i = 0; i < r->key_count; i++)
		if (strcmp(r->keys[i].state, "new") == 0 || strcmp(r->keys[i].state, "differs") == 0)
			pin_put(r, &r->keys[i], to);
	legacy_put(r, to);
}

/* ---- for programs ---- */

static json_t *
words_json(const char *list, const char *between)
{
	json_t *all = json_array();
	size_t n;

	for (; *list != '\0'; list += n + strspn(list + n, between)) {
		n = strcspn(list, between);
		if (json_array_append_new(all, json_stringn(list, n)) == -1)
			log_fatal("out of memory");
	}
	return (all);
}

static void
json_set(json_t *o, const char *key, json_t *value)
{
	if (json_object_set_new(o, key, value) == -1)
		log_fatal("out of memory");
}

static json_t *
keys_json(const struct report *r)
{
	json_t *all = json_array();

	for (size_t i = 0; i < r->key_count; i++) {
		const struct shown *s = &r->keys[i];
		json_t *o = json_object();
		int seen = s->key.fingerprint[0] != '\0';

		json_set(o, "kind", json_string(s->kind));
		json_set(o, "state", json_string(s->state));
		json_set(o, seen ? "fingerprint" : "why", json_string(seen ? s->key.fingerprint : s->why));
		if (seen)
			json_set(o, "key", json_string(s->line));
		if (json_array_append_new(all, o) == -1)
			log_fatal("out of memory");
	}
	return (all);
}

static void
report_json(const struct report *r, struct text *to)
{
	static const char *const names[ALGORITHM_KINDS] = {"kex", "host_key_algorithms", "ciphers", "macs"};
	json_t *o = json_object(), *common = json_object(), *missing = json_array();
	char version[ROW_WORDS], *dump;
	int could = login_could_work(r);

	string_take(r->found, "version", version, sizeof(version));
	json_set(o, "target", json_string(r->target->name));
	json_set(o, "version", json_string(version));
	json_set(o, "host_keys", keys_json(r));
	for (int kind = 0; kind < ALGORITHM_KINDS; kind++) {
		json_set(common, names[kind], words_json(r->common[kind].modern, ", "));
		if (r->common[kind].needed == NULL &&
		    json_array_append_new(missing, json_string(names[kind])) == -1)
			log_fatal("out of memory");
	}
	json_set(o, "common", common);
	json_set(o, "missing", missing);
	json_set(o, "legacy", words_json(r->needed, ","));
	json_set(o, "legacy_is_allowed", json_boolean(needed_is_allowed(r)));
	json_set(o, "methods", words_json(r->methods, ", "));
	json_set(o, "logins", words_json(r->logins, ", "));
	json_set(o, "login", json_string(target_login_word(target_login(r->target))));
	if (could != -1)
		json_set(o, "login_could_work", json_boolean(could));
	if ((dump = json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER)) == NULL)
		log_fatal("out of memory");
	text_add(to, "%s\n", dump);
	free(dump);
	json_decref(o);
}

int
scan_report(
    const struct target *t, const struct rows *pinned, const char *json, enum sheet_form form, struct text *to)
{
	struct report *r = malloc(sizeof(*r));

	if (r == NULL)
		log_fatal("out of memory");
	if (report_read(r, t, pinned, json) == -1) {
		free(r);
		return (-1);
	}
	if (form == SHEET_JSON)
		report_json(r, to);
	else
		report_print(r, to);
	json_decref(r->found);
	free(r);
	return (0);
}

void
scan_summary(const struct rows *pinned, const char *json, char *text, size_t size)
{
	static const struct target nothing;
	struct report *r = malloc(sizeof(*r));
	size_t n;

	text[0] = '\0';
	if (r == NULL)
		log_fatal("out of memory");
	if (report_read(r, &nothing, pinned, json) == -1) {
		free(r);
		return;
	}
	string_take(r->found, "version", text, size < 128 ? size : 128);
	for (size_t i = 0; i < r->key_count; i++) {
		n = strlen(text);
		(void)snprintf(text + n, size - n, "%s %s %s %s", i == 0 ? ":" : ",", r->keys[i].key.fingerprint,
		    r->keys[i].kind, r->keys[i].state);
	}
	json_decref(r->found);
	free(r);
}
