/* Invitations; see invites.h. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "facts.h"
#include "graces.h"
#include "invites.h"
#include "keys.h"
#include "person_keys.h"
#include "promises.h"
#include "times.h"

#define CODE_BYTES 16
#define CODE_LETTERS 26 /* of five bits each */

/* ---- codes ---- */

static void
code_make(char code[CODE_LETTERS + 1])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	unsigned char bytes[CODE_BYTES];
	unsigned held = 0, bits = 0;
	size_t at = 0, n = 0;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		log_fatal("no random bytes");
	while (n < CODE_LETTERS) {
		if (bits < 5) {
			held = held << 8 | (at < CODE_BYTES ? bytes[at++] : 0u);
			bits += 8;
		}
		bits -= 5;
		code[n++] = letters[held >> bits & 31];
	}
	code[n] = '\0';
	secret_wipe(bytes, sizeof(bytes));
}

/* As it stands in the table: hexadecimal. */
static void
digest_of(struct bytes code, char digest[ROW_NAME])
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(code.at, code.len, raw, &n, EVP_sha256(), NULL) != 1)
		log_fatal("no SHA-256");
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(digest + (size_t)2 * i, ROW_NAME - (size_t)2 * i, "%02x", raw[i]);
}

/* ---- the table ---- */

static int
invite_is_good(const struct policy *p, const struct invite *i)
{
	return (i->void_at == 0 && i->used_at == 0 && policy_latest_ms(p) < i->expires_at);
}

int
invite_pending(struct policy *p, const char *login, struct invite *found)
{
	struct rows all;
	int good = 0;

	must(p, store_list(p->store, QUERY_INVITES_OF_PERSON, &all, ARG_TEXT(login)));
	for (size_t i = 0; i < all.count; i++)
		if (invite_is_good(p, rows_at(&all, invite, i))) {
			*found = *rows_at(&all, invite, i);
			good = 1;
		}
	rows_free(&all);
	return (good);
}

void
invites_void(struct policy *p, const char *login)
{
	struct rows all;

	must(p, store_list(p->store, QUERY_INVITES_OF_PERSON, &all, ARG_TEXT(login)));
	for (size_t i = 0; i < all.count; i++) {
		struct invite *old = rows_at(&all, invite, i);

		if (old->void_at != 0 || old->used_at != 0)
			continue;
		old->void_at = clock_wall_ms();
		must(p, invite_set(p->store, old));
	}
	rows_free(&all);
}

/* ---- person invite ---- */

static void
invite_say(struct verb *v, const struct invite *i, const char *code)
{
	int64_t port = v->policy->set.port;
	char machine[256] = "lodge", at[32] = "", until[TIMES_TEXT];
	struct sheet *s;

	(void)gethostname(machine, sizeof(machine) - 1);
	moment_print(i->expires_at, until);
	if (port != 22)
		(void)snprintf(at, sizeof(at), "-p %lld ", (long long)port);
	if (v->form == SHEET_JSON) {
		s = sheet_new();
		sheet_row(s);
		sheet_text(s, "person", "", i->login);
		sheet_text(s, "code", "", code);
		sheet_text(s, "host", "", machine);
		sheet_number(s, "port", "", port);
		sheet_moment(s, "expires", "", i->expires_at);
		sheet_lines(s, SHEET_JSON, &v->out);
		sheet_free(s);
		return;
	}
	text_add(&v->out,
	    "%s is invited, once, until %s; this is shown once, pass it on by a safe way:\n"
	    "    ssh %sinvite+%s@%s\n"
	    "The ssh key with which they come becomes theirs, and they are shown a secret for codes and asked for "
	    "one.\n"
	    "%s is this machine's own name: put the name by which they reach it.\n",
	    i->login, until, at, code, machine, machine);
}

void
invite_make(struct verb *v, const struct person *who)
{
	struct policy *p = v->policy;
	struct invite i = {.made_at = clock_wall_ms()};
	struct facts_held h;
	char code[CODE_LETTERS + 1], text[DECIDE_TEXT];
	enum reason reason;

	facts_load(p, &h, who->login, "", "");
	reason = decide_person(&h.facts, text);
	facts_free(&h);
	if (reason != REASON_NONE) {
		verb_refuse(v, reason, "they could not come: %s", text);
		return;
	}
	code_make(code);
	digest_of(bytes_text(code), i.digest);
	TEXT_COPY(i.login, who->login);
	TEXT_COPY(i.made_by, v->who.login);
	i.expires_at = i.made_at + p->set.invite_timeout;
	policy_begin(p);
	invites_void(p, who->login);
	must(p, invite_add(p->store, &i));
	verb_changed(v, event_note(p, &(struct happening){.type = EVENT_INVITE_MADE,
	                                  .who = v->who.login,
	                                  .about = who->login,
	                                  .vendor = who->vendor,
	                                  .source = v->who.source,
	                                  .session = v->who.session,
	                                  .ends_at = i.expires_at}));
	v->kept = "lodge: the invitation was made, and its code is shown once; make another: person invite LOGIN\n";
	invite_say(v, &i, code);
	secret_wipe(code, sizeof(code));
	verb_commit(v);
}

/* ---- coming by it ---- */

/* Whose it is and what, if anything, is wrong with it: NULL when it is good.  i->login "": nobody's. */
static const char *
invite_find(struct policy *p, struct bytes code, const char *source, struct invite *i, struct person *who)
{
	static char text[DECIDE_TEXT];
	struct facts_held h;
	const char *wrong = NULL;

	*i = (struct invite){.made_at = 0};
	digest_of(code, i->digest);
	if (must(p, invite_get(p->store, i)) == 0)
		return ("there is no such invitation");
	facts_load(p, &h, i->login, "", "");
	h.facts.source = source;
	if (h.facts.person != NULL)
		*who = h.person;
	if (i->used_at != 0)
		wrong = "it was used already";
	else if (i->void_at != 0)
		wrong = "a newer one took its place";
	else if (!invite_is_good(p, i))
		wrong = "it has expired";
	else if (decide_person(&h.facts, text) != REASON_NONE)
		wrong = text;
	facts_free(&h);
	return (wrong);
}

/* Somebody came with a code that was ours once: the book is told what was wrong.  Auth tells it of codes that never were. */
static int64_t
refusal_note(struct policy *p, const struct invite *i, const struct person *who, const char *source,
    const char *fingerprint, const char *why)
{
	int64_t event;

	if (i->login[0] == '\0')
		return (0);
	policy_begin(p);
	event = event_note(p, &(struct happening){.type = EVENT_LOGIN_ATTEMPT,
	                          .reason = REASON_INVITE,
	                          .about = i->login,
	                          .vendor = who->vendor,
	                          .source = source,
	                          .fingerprint = fingerprint,
	                          .method = "invite",
	                          .why = why});
	policy_commit(p);
	return (event);
}

void
on_invite_wanted(struct policy *p, const struct msg_invite_wanted *m)
{
	struct person who = {.role = ROLE_NONE};
	struct invite i;
	char source[ROW_NAME];
	const char *wrong;

	text_clean(source, sizeof(source), m->source);
	wrong = invite_find(p, m->code, source, &i, &who);
	if (wrong != NULL) {
		(void)refusal_note(p, &i, &who, source, "", wrong);
		peer_post(p->auth, INVITE, invite, .ask = m->ask, .reason = REASON_INVITE);
		return;
	}
	peer_post(p->auth, INVITE, invite, .ask = m->ask, .reason = REASON_NONE, .role = (uint8_t)who.role,
	    .login = bytes_text(who.login),
	    .pam_user = bytes_text(who.pam_user[0] != '\0' ? who.pam_user : who.login));
}

/* Whose key it is: NULL nobody's; else their login, in `login`. */
static const char *
key_owner(struct policy *p, const char *fingerprint, char login[ROW_NAME])
{
	struct rows found;
	int n = must(p, store_list(p->store, QUERY_KEYS_OF_FINGERPRINT, &found, ARG_TEXT(fingerprint)));

	if (n > 0)
		text_copy(login, ROW_NAME, rows_at(&found, person_key, 0)->login);
	rows_free(&found);
	return (n > 0 ? login : NULL);
}

/* Within a transaction: the key is theirs from now on, the invitation used up. */
static int64_t
invite_use(
    struct policy *p, struct invite *i, const struct person *who, const struct key_read *read, const char *source)
{
	struct person_key key = {.added = clock_wall_ms(), .invited = 1};
	char owner[ROW_NAME];

	TEXT_COPY(key.login, who->login);
	TEXT_COPY(key.fingerprint, read->fingerprint);
	TEXT_COPY(key.type, read->type);
	TEXT_COPY(key.blob, read->blob);
	TEXT_COPY(key.comment, "by invitation");
	if (key_owner(p, read->fingerprint, owner) == NULL)
		must(p, person_key_add(p->store, &key));
	i->used_at = clock_wall_ms();
	TEXT_COPY(i->fingerprint, read->fingerprint);
	must(p, invite_set(p->store, i));
	return (event_note(p, &(struct happening){.type = EVENT_INVITE_USED,
	                          .who = who->login,
	                          .vendor = who->vendor,
	                          .source = source,
	                          .fingerprint = read->fingerprint,
	                          .what = read->type}));
}

void
on_invite_used(struct policy *p, const struct msg_invite_used *m)
{
	struct promise answer = {.what = PROMISE_INVITE_HELD, .ask = m->ask, .reason = REASON_INVITE};
	struct person who = {.role = ROLE_NONE};
	struct key_read read;
	struct invite i;
	char source[ROW_NAME], owner[ROW_NAME];
	const char *wrong, *whose = NULL;

	text_clean(source, sizeof(source), m->source);
	wrong = invite_find(p, m->code, source, &i, &who);
	if (key_read_blob(&read, m->key) == -1)
		wrong = wrong != NULL ? wrong : "the key is of no kind that is taken";
	else if ((whose = key_owner(p, read.fingerprint, owner)) != NULL && strcmp(whose, i.login) != 0)
		wrong = wrong != NULL ? wrong : "the key is somebody else's";
	else if (whose == NULL && person_keys_count(p, i.login) >= PERSON_KEYS_MOST)
		wrong = wrong != NULL ? wrong : "they have as many keys as may be";
	if (wrong == NULL) {
		answer.reason = REASON_NONE;
		policy_begin(p);
		answer.event = invite_use(p, &i, &who, &read, source);
		policy_commit(p);
		grace_end(p, who.login); /* of codes of an older secret */
	} else if (i.used_at != 0 && whose != NULL && strcmp(whose, i.login) == 0 &&
	           strcmp(i.fingerprint, read.fingerprint) == 0) {
		answer.reason = REASON_NONE; /* said again after a restart: it was done */
		answer.event = p->event_last;
	} else
		answer.event = refusal_note(p, &i, &who, source, read.fingerprint, wrong);
	promise_make(p, &answer);
}
