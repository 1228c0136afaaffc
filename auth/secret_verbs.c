/* What each verb at auth's door does, once policy has said that it may be (door.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/log.h"
#include "door.h"
#include "house.h"
#include "key.h"
#include "permit.h"
#include "private_key.h"

#define PASSWORD_MAX 1024
#define TEXT_SIZE 512

static const char *const kind_words[] = {[VAULT_PASSWORD] = "password", [VAULT_KEY] = "key"};
static const char *const rotate_words[] = {
    [VAULT_NEVER] = "never", [VAULT_ONCE] = "once", [VAULT_ALWAYS] = "always"};

/* ---- how it ends ---- */

static void
done_tell(struct caller *c, enum reason reason, const char *text)
{
	tell_policy(c->house, SECRET_DONE, secret_done, .act = bytes_text(order_word(c->order.act)),
	    .about = bytes_text(c->order.about), .who = bytes_text(c->who), .reason = (uint16_t)reason,
	    .text = bytes_text(text));
}

static void
failed(struct caller *c, enum reason reason, const char *text)
{
	done_tell(c, reason, text);
	caller_refuse(c, reason, text);
}

static void
failed_by(struct caller *c, enum vault_fault fault, const char *about)
{
	char text[TEXT_SIZE];

	snprintf(text, sizeof(text), "%s: %s", about, vault_fault_words(fault));
	failed(c, fault == VAULT_NONE ? REASON_NOT_FOUND : REASON_VAULT, text);
}

/* Names, codes and times only stand in our JSON: nothing that it wants escaped but an account's backslash. */
static void
name_json(const char *name, char *to, size_t size)
{
	size_t n = 0;

	for (; *name != '\0' && n + 3 < size; name++) {
		if (*name == '\\')
			to[n++] = '\\';
		to[n++] = *name;
	}
	to[n] = '\0';
}

/* `what` for people and for the book; programs get {"done":act,"about":...,more}. */
static void
succeeded(struct caller *c, const char *what, const char *more)
{
	char text[TEXT_SIZE * 3], about[2 * VAULT_ABOUT_SIZE];

	done_tell(c, REASON_NONE, what);
	name_json(c->order.about, about, sizeof(about));
	if (c->order.json)
		snprintf(text, sizeof(text), "{\"done\": \"%s\", \"about\": \"%s\"%s}\n", order_word(c->order.act),
		    about, more);
	else
		snprintf(text, sizeof(text), "%s: %s\n", c->order.about, what);
	caller_say(c, bytes_text(text));
	caller_end(c, REASON_NONE);
}

/* ---- set, generate ---- */

/* What is there under that name, if it opens; and that nothing else stands in the way of writing.  -1: refused. */
static int
place_take(struct caller *c, struct vault_record *r)
{
	char other[VAULT_ABOUT_SIZE];
	enum vault_fault fault = vault_settable(c->house->vault, other);

	*r = (struct vault_record){0};
	if (fault == VAULT_GOOD) {
		fault = vault_load(c->house->vault, c->order.about, r);
		if (fault == VAULT_NONE)
			fault = VAULT_GOOD;
	}
	if (fault == VAULT_GOOD)
		return (0);
	vault_record_free(r);
	failed_by(c, fault, other[0] != '\0' ? other : c->order.about);
	return (-1);
}

/* Puts `text` in the place of what was there, which goes: somebody said that this is the one. */
static enum vault_fault
place_fill(struct caller *c, struct vault_record *r, enum vault_kind kind, const struct secret *text)
{
	if (r->kind != kind)
		r->rotate = VAULT_NEVER;
	secret_free(&r->current);
	secret_free(&r->former);
	/* What a visit is putting in its place just now stays beside it. */
	if (credential_is_rotating(c->house, c->order.about)) {
		r->former = r->pending;
		r->pending = (struct secret){0};
	}
	secret_free(&r->pending);
	snprintf(r->about, sizeof(r->about), "%s", c->order.about);
	snprintf(r->by, sizeof(r->by), "%s", c->who);
	r->kind = (uint8_t)kind;
	r->turn++;
	r->set_wall_ms = clock_wall_ms();
	r->rotated_wall_ms = 0;
	if (secret_copy(&r->current, text->at, text->len) == -1)
		return (VAULT_TROUBLE);
	return (vault_store(c->house->vault, r));
}

/* NULL when it can be a password on a target. */
static const char *
password_fault(struct bytes b)
{
	if (b.len == 0)
		return ("an empty password is none");
	if (b.len > PASSWORD_MAX)
		return ("a password has 1024 bytes at most; for a private key say --key");
	for (size_t i = 0; i < b.len; i++)
		if (b.at[i] < ' ' || b.at[i] == 0x7f)
			return ("a password is one line, without control characters");
	return (NULL);
}

static void
password_set(struct caller *c)
{
	const char *wrong = password_fault(bytes_of(c->input.at, c->input.len));
	struct vault_record r;
	enum vault_fault fault;

	if (wrong != NULL) {
		failed(c, REASON_BAD_WORDS, wrong);
		return;
	}
	if (place_take(c, &r) == -1)
		return;
	fault = place_fill(c, &r, VAULT_PASSWORD, &c->input);
	vault_record_free(&r);
	if (fault == VAULT_GOOD)
		succeeded(c, "the password is kept", ", \"kind\": \"password\"");
	else
		failed_by(c, fault, c->order.about);
}

static void
key_keep(struct caller *c, struct vault_record *r, const struct private_key *key, const struct secret *text)
{
	char print[KEY_FINGERPRINT_SIZE], what[TEXT_SIZE], more[TEXT_SIZE];
	enum vault_fault fault = place_fill(c, r, VAULT_KEY, text);

	if (fault != VAULT_GOOD) {
		failed_by(c, fault, c->order.about);
		return;
	}
	key_fingerprint(private_key_public(key), print);
	snprintf(what, sizeof(what), "the key is kept: %s %s", private_key_kind(key), print);
	snprintf(more, sizeof(more), ", \"kind\": \"key\", \"type\": \"%s\", \"fingerprint\": \"%s\"",
	    private_key_kind(key), print);
	succeeded(c, what, more);
}

static void
key_set(struct caller *c)
{
	const char *wrong;
	struct private_key *key = private_key_read(bytes_of(c->input.at, c->input.len), &wrong);
	struct vault_record r;

	if (key == NULL) {
		failed(c, REASON_BAD_WORDS, wrong);
		return;
	}
	if (place_take(c, &r) == 0) {
		key_keep(c, &r, key, &c->input);
		vault_record_free(&r);
	}
	private_key_free(key);
}

static void
on_set(struct caller *c)
{
	if (c->order.key)
		key_set(c);
	else
		password_set(c);
}

/* The line for the account's authorized_keys. */
static void
line_print(const struct private_key *key, const char *about, char *line, size_t size)
{
	struct bytes blob = private_key_public(key);
	char text[128];

	if (blob.len > 90) { /* ed25519's has 51 bytes */
		line[0] = '\0';
		return;
	}
	EVP_EncodeBlock((uint8_t *)text, blob.at, (int)blob.len);
	snprintf(line, size, "%s %s lodge %s", private_key_kind(key), text, about);
}

static void
generated(struct caller *c, const struct private_key *key)
{
	char print[KEY_FINGERPRINT_SIZE], line[TEXT_SIZE], escaped[TEXT_SIZE], text[TEXT_SIZE], more[TEXT_SIZE * 2];

	key_fingerprint(private_key_public(key), print);
	line_print(key, c->order.about, line, sizeof(line));
	name_json(line, escaped, sizeof(escaped));
	snprintf(text, sizeof(text), "a new key is kept: %s %s; for ~/.ssh/authorized_keys there:\n%s",
	    private_key_kind(key), print, line);
	snprintf(more, sizeof(more),
	    ", \"kind\": \"key\", \"type\": \"%s\", \"fingerprint\": \"%s\", \"public\": \"%s\"",
	    private_key_kind(key), print, escaped);
	succeeded(c, text, more);
}

static void
on_generate(struct caller *c)
{
	struct secret text = {0};
	struct private_key *key;
	struct vault_record r;
	enum vault_fault fault;

	if (place_take(c, &r) == -1)
		return;
	if ((key = private_key_make(&text)) == NULL)
		failed(c, REASON_VAULT, "OpenSSL could not make a key");
	else if ((fault = place_fill(c, &r, VAULT_KEY, &text)) != VAULT_GOOD)
		failed_by(c, fault, c->order.about);
	else
		generated(c, key);
	private_key_free(key);
	secret_free(&text);
	vault_record_free(&r);
}

/* ---- rotate, remove ---- */

static void
on_rotate(struct caller *c)
{
	static const char *const words[] = {
	    [VAULT_NEVER] = "the password is not changed any more",
	    [VAULT_ONCE] = "the password will be changed after the next visit",
	    [VAULT_ALWAYS] = "the password will be changed after every visit",
	};
	char more[64];
	struct vault_record r;
	enum vault_fault fault = vault_load(c->house->vault, c->order.about, &r);

	if (fault == VAULT_GOOD && r.kind != VAULT_PASSWORD) {
		vault_record_free(&r);
		failed(c, REASON_STATE, "a key lies there: only passwords are changed on targets");
		return;
	}
	if (fault == VAULT_GOOD) {
		r.rotate = c->order.when;
		fault = vault_store(c->house->vault, &r);
	}
	vault_record_free(&r);
	snprintf(more, sizeof(more), ", \"rotate\": \"%s\"", rotate_words[c->order.when]);
	if (fault == VAULT_GOOD)
		succeeded(c, words[c->order.when], more);
	else
		failed_by(c, fault, c->order.about);
}

static void
on_remove(struct caller *c)
{
	enum vault_fault fault;

	if (credential_is_rotating(c->house, c->order.about)) {
		failed(
		    c, REASON_STATE, "a visit is changing it on the target just now; try again in half a minute");
		return;
	}
	fault = vault_remove(c->house->vault, c->order.about);
	if (fault == VAULT_GOOD)
		succeeded(c, "removed", "");
	else
		failed_by(c, fault, c->order.about);
}

/* ---- list ---- */

static void
put(struct wire *w, const char *text)
{
	wire_put_raw(w, text, strlen(text));
}

static void
moment_print(int64_t wall_ms, const char *format, const char *never, char *to, size_t size)
{
	time_t at = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (wall_ms == 0 || gmtime_r(&at, &tm) == NULL || strftime(to, size, format, &tm) == 0)
		snprintf(to, size, "%s", never);
}

/* The fingerprint of a key that opens; "" otherwise. */
static void
print_of(const struct vault_record *r, char print[KEY_FINGERPRINT_SIZE])
{
	const char *wrong;
	struct private_key *key;

	print[0] = '\0';
	if (r->kind != VAULT_KEY || r->current.len == 0)
		return;
	if ((key = private_key_read(bytes_of(r->current.at, r->current.len), &wrong)) != NULL)
		key_fingerprint(private_key_public(key), print);
	private_key_free(key);
}

/* What people are told of whether it opens. */
static void
state_print(const struct vault_record *r, enum vault_fault fault, char *to, size_t size)
{
	if (fault == VAULT_OTHER_KEY || (fault == VAULT_NO_KEY && r->id[0] != '\0'))
		snprintf(to, size, "%s (it wants key %s)", vault_fault_words(fault), r->id);
	else if (fault == VAULT_GOOD && r->pending.len > 0)
		snprintf(to, size, "it opens; a change of it is not known to have reached the target");
	else
		snprintf(to, size, "%s", vault_fault_words(fault));
}

static void
row_text(struct wire *w, const struct vault_record *r, enum vault_fault fault)
{
	char line[1024], set[32], used[32], print[KEY_FINGERPRINT_SIZE], state[TEXT_SIZE];

	print_of(r, print);
	state_print(r, fault, state, sizeof(state));
	moment_print(r->set_wall_ms, "%Y-%m-%d %H:%M", "-", set, sizeof(set));
	moment_print(r->used_wall_ms, "%Y-%m-%d %H:%M", "never", used, sizeof(used));
	snprintf(line, sizeof(line), "%-24s %-8s %-16s %-10s %-16s %-6s %s%s%s\n", r->about,
	    r->kind == 0 ? "?" : kind_words[r->kind], set, fault == VAULT_GOOD ? r->by : "-",
	    fault == VAULT_GOOD ? used : "-", fault == VAULT_GOOD ? rotate_words[r->rotate] : "-", state,
	    print[0] == '\0' ? "" : " ", print);
	put(w, line);
}

static void
member(struct wire *w, const char *name, const char *value)
{
	char text[TEXT_SIZE];

	if (value[0] == '\0')
		return;
	snprintf(text, sizeof(text), ", \"%s\": \"%s\"", name, value);
	put(w, text);
}

static void
row_json(struct wire *w, const struct vault_record *r, enum vault_fault fault)
{
	static const char *const codes[VAULT_FAULTS] = {
	    "open", "none", "no-key", "other-key", "damaged", "trouble"};
	const char *plus = strchr(r->about, '+');
	char text[TEXT_SIZE], account[160], set[32], used[32], rotated[32], print[KEY_FINGERPRINT_SIZE];

	print_of(r, print);
	name_json(plus + 1, account, sizeof(account));
	snprintf(text, sizeof(text), "{\"target\": \"%.*s\", \"account\": \"%s\", \"state\": \"%s\"",
	    (int)(plus - r->about), r->about, account, codes[fault]);
	put(w, text);
	member(w, "kind", r->kind == 0 ? "" : kind_words[r->kind]);
	member(w, "vault_key", r->id);
	if (fault == VAULT_GOOD) {
		moment_print(r->set_wall_ms, "%Y-%m-%dT%H:%M:%SZ", "", set, sizeof(set));
		moment_print(r->used_wall_ms, "%Y-%m-%dT%H:%M:%SZ", "", used, sizeof(used));
		moment_print(r->rotated_wall_ms, "%Y-%m-%dT%H:%M:%SZ", "", rotated, sizeof(rotated));
		member(w, "set", set);
		member(w, "set_by", r->by);
		member(w, "used", used);
		member(w, "rotate", r->kind == VAULT_PASSWORD ? rotate_words[r->rotate] : "");
		member(w, "rotated", rotated);
		member(w, "rotation", r->pending.len > 0 ? "unknown" : r->former.len > 0 ? "unproved" : "");
		member(w, "fingerprint", print);
	}
	put(w, "}");
}

/* All rows; the first thing said is the vault's key, for comparing. */
static void
rows_put(struct caller *c, struct wire *names, struct wire *out)
{
	struct vault *vault = c->house->vault;
	struct vault_record r;

	for (size_t at = 0; at < names->len; at += strlen((char *)names->at + at) + 1) {
		enum vault_fault fault = vault_load(vault, (char *)names->at + at, &r);

		if (c->order.json) {
			put(out, at == 0 ? "[\n  " : ",\n  ");
			row_json(out, &r, fault);
		} else
			row_text(out, &r, fault);
		vault_record_free(&r);
	}
	if (c->order.json)
		put(out, names->len == 0 ? "[]\n" : "\n]\n");
}

static void
on_list(struct caller *c)
{
	struct wire names = {0}, out = {0};
	const char *id = vault_id(c->house->vault);
	char line[256];

	if (vault_names(c->house->vault, &names) == -1) {
		wire_free(&names);
		failed_by(c, VAULT_TROUBLE, "the vault");
		return;
	}
	if (!c->order.json) {
		snprintf(line, sizeof(line), "%s%s\n", id[0] == '\0' ? "there is no vault key" : "vault key ", id);
		put(&out, line);
		snprintf(line, sizeof(line), "%-24s %-8s %-16s %-10s %-16s %-6s %s\n", "TARGET+ACCOUNT", "KIND",
		    "SET (UTC)", "BY", "USED (UTC)", "ROTATE", "STATE");
		put(&out, names.len == 0 ? "no secrets\n" : line);
	}
	rows_put(c, &names, &out);
	done_tell(c, REASON_NONE, "");
	for (size_t at = 0; at < out.len; at += 32768)
		caller_say(c, bytes_of(out.at + at, out.len - at < 32768 ? out.len - at : 32768));
	caller_end(c, REASON_NONE);
	wire_free(&names);
	wire_free(&out);
}

/* ---- enrol ---- */

/* Programs get the URL alone, which is the last line. */
static void
enrolled_say(struct caller *c, struct bytes shown)
{
	struct wire out = {0};
	const uint8_t *url = memmem(shown.at, shown.len, "otpauth://", 10), *end = NULL;

	if (url != NULL)
		end = memchr(url, '\n', shown.len - (size_t)(url - shown.at));
	if (!c->order.json || end == NULL) {
		caller_say(c, shown);
		return;
	}
	put(&out, "{\"done\": \"enrol\", \"about\": \"");
	put(&out, c->order.about);
	put(&out, "\", \"url\": \"");
	wire_put_raw(&out, url, (size_t)(end - url));
	put(&out, "\"}\n");
	caller_say(c, wire_bytes(&out));
	wire_free(&out);
}

/* The users file has it: now, and once, it is shown. */
static void
on_enrolled(void *ctx, enum reason reason, const char *why)
{
	struct caller *c = ctx;
	struct wire shown = {0};

	c->enrol = NULL;
	if (reason != REASON_NONE) {
		failed(c, reason, why);
		return;
	}
	done_tell(c, REASON_NONE, "a secret for codes was made and shown");
	if (enrol_show(&shown, c->house->set->log_origin, c->order.about, c->code_secret) == 0)
		enrolled_say(c, wire_bytes(&shown));
	wire_free(&shown);
	caller_end(c, REASON_NONE);
}

static void
on_enrol(struct caller *c)
{
	if (c->house->set->oath_users_file[0] == '\0')
		failed(c, REASON_STATE, "codes are somebody else's matter here: OATHUsersFile is empty");
	else if (enrol_secret_make(c->code_secret) == -1)
		failed(c, REASON_STATE, "there is no randomness");
	else if ((c->enrol = enrol_begin(c->house, c->pam_user[0] != '\0' ? c->pam_user : c->order.about,
	              c->code_secret, bytes_of(NULL, 0), on_enrolled, c)) == NULL)
		failed(c, REASON_STATE, "out of memory");
}

void
secret_do(struct caller *c)
{
	static void (*const acts[])(struct caller *) = {
	    [ORDER_SET] = on_set,
	    [ORDER_GENERATE] = on_generate,
	    [ORDER_ROTATE] = on_rotate,
	    [ORDER_LIST] = on_list,
	    [ORDER_REMOVE] = on_remove,
	    [ORDER_ENROL] = on_enrol,
	};

	acts[c->order.act](c);
}

void
secret_undone(struct caller *c)
{
	done_tell(c, REASON_CLIENT_GONE, "nobody was there any more: nothing was done");
}
