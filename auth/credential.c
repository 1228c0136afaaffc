/*
 * What lies in the vault, for a stream that policy permitted: an agent that signs by a target's key, a password, and its
 * change after the visit (permit.h says when).
 *
 * A rotation never loses the password that works: the new one lies durably beside the old before a session hears of it.
 *
 *     current ─── ROTATION_WANTED ──▶ current, pending ─── CHANGED ──▶ current (the new), former (the old)
 *                                        │      │                           │
 *                                        │      └── UNKNOWN: both stay      └── a login by it: former goes
 *                                        └── REFUSED ──▶ current, former (the new: a passwd that says no may have changed it)
 *
 * At a login the current one is tried first, then the pending or the former one; the one that lets us in is current from
 * then on.  While there are two, only a visit whose login saw which one works may change it.  `turn` counts the changes of
 * a record, so that what a session says of a password is not taken for another.
 */
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "key.h"
#include "permit.h"
#include "tell.h"
#include "visitor.h"

#define PASSWORD_LETTERS 24
#define USED_STEP_MS 60000 /* last use is kept to the minute: not each login writes to the disk */

/* ---- records ---- */

/* The permit's record, of that kind.  Anything but VAULT_GOOD is refused already; the record is freed by the caller. */
static enum vault_fault
record_take(struct visitor *v, struct permit *p, const struct wish *w, enum vault_kind kind, struct vault_record *r)
{
	char about[VAULT_ABOUT_SIZE], detail[VAULT_ABOUT_SIZE + 128];
	enum vault_fault fault;
	const char *words;

	permit_about(p, about);
	fault = vault_load(v->house->vault, about, r);
	words = vault_fault_words(fault);
	if (fault == VAULT_GOOD && r->kind != kind) {
		fault = VAULT_NONE;
		words = kind == VAULT_KEY ? "a password lies there, and a key is wanted"
		                          : "a key lies there, and a password is wanted";
	}
	if (fault == VAULT_GOOD)
		return (fault);
	vault_record_free(r);
	snprintf(detail, sizeof(detail), "%s: %s", about, words);
	permit_refuse(v, p, w, REASON_VAULT, detail);
	return (fault);
}

static int
record_keep(struct visitor *v, const struct vault_record *r)
{
	enum vault_fault fault = vault_store(v->house->vault, r);

	if (fault != VAULT_GOOD)
		log_error("the secret for %s could not be written: %s", r->about, vault_fault_words(fault));
	return (fault == VAULT_GOOD ? 0 : -1);
}

/* That it was used; a disk that says no is no reason not to let them in. */
static void
record_use(struct visitor *v, struct vault_record *r)
{
	int64_t now_ms = clock_wall_ms();

	if (r->used_wall_ms <= now_ms && now_ms - r->used_wall_ms < USED_STEP_MS)
		return;
	r->used_wall_ms = now_ms;
	(void)record_keep(v, r);
}

static void
secret_move(struct secret *to, struct secret *from)
{
	secret_free(to);
	*to = *from;
	*from = (struct secret){0};
}

/* ---- a key ---- */

/* What stands in the way of a signature by p's agent now; NONE: nothing. */
static enum reason
agent_hindrance(const struct visitor *v, const struct permit *p)
{
	if (v->link == NULL)
		return (REASON_SESSION_DIED);
	return (clock_wall_ms() >= p->ends_wall_ms ? REASON_WINDOW_ENDED : REASON_NONE);
}

static void
agent_said(struct visitor *v, struct permit *p, enum agent_outcome outcome, const struct private_key *key,
    enum reason reason, const char *why)
{
	char print[KEY_FINGERPRINT_SIZE];
	struct wish w = {.kind = WISH_AGENT, .stream = p->stream};

	if (outcome == AGENT_REFUSED)
		permit_refuse(v, p, &w, reason, why);
	if (outcome != AGENT_SIGNED)
		return;
	p->signatures++;
	key_fingerprint(private_key_public(key), print);
	log_info("connection %llu: a signature by %s for %s+%s under grant %llu, stream %u",
	    (unsigned long long)v->kept.conn, print, p->target, p->account, (unsigned long long)p->grant,
	    p->stream);
	permit_tell(v, p, REASON_NONE, print);
}

/* The key is there for the one answer only. */
static enum agent_outcome
on_agent_request(void *ctx, struct bytes request, struct wire *reply)
{
	struct permit *p = ctx;
	struct visitor *v = p->visitor;
	struct agent_terms terms = {.account = p->account, .sha1 = p->sha1, .signs = p->signatures == 0};
	struct vault_record r;
	struct private_key *key = NULL;
	enum agent_outcome outcome = AGENT_REFUSED;
	enum reason reason = agent_hindrance(v, p);
	const char *why = "", *wrong = "";
	char about[VAULT_ABOUT_SIZE];

	permit_about(p, about);
	if (vault_load(v->house->vault, about, &r) == VAULT_GOOD && r.kind == VAULT_KEY)
		key = private_key_read(bytes_of(r.current.at, r.current.len), &wrong);
	if (reason == REASON_NONE && key == NULL) {
		reason = REASON_VAULT;
		why = wrong;
	}
	if (reason == REASON_NONE)
		outcome = agent_answer(key, &terms, request, reply, &reason, &why);
	if (outcome == AGENT_SIGNED)
		record_use(v, &r);
	agent_said(v, p, outcome, key, reason, why);
	private_key_free(key);
	vault_record_free(&r);
	return (outcome);
}

void
credential_agent(struct visitor *v, struct permit *p, const struct wish *w)
{
	struct vault_record r;
	int theirs;

	if (record_take(v, p, w, VAULT_KEY, &r) != VAULT_GOOD)
		return;
	vault_record_free(&r);
	agent_close(p->agent);
	if ((p->agent = agent_open(v->house->loop, on_agent_request, p, &theirs)) == NULL) {
		permit_refuse(v, p, w, REASON_LIMIT, "no descriptor left for an agent");
		return;
	}
	p->given++;
	peer_post_fd(v->link, theirs, AGENT, agent, .ask = w->ask, .stream = w->stream);
}

/* ---- a password ---- */

static const struct secret *
password_choose(const struct vault_record *r, uint8_t attempt)
{
	const struct secret *s = &r->current;

	if (attempt > 0)
		s = r->pending.len > 0 ? &r->pending : &r->former;
	return (attempt > 1 || s->len == 0 ? NULL : s);
}

void
credential_password(struct visitor *v, struct permit *p, const struct wish *w)
{
	struct vault_record r;
	const struct secret *s;

	if (record_take(v, p, w, VAULT_PASSWORD, &r) != VAULT_GOOD)
		return;
	if ((s = password_choose(&r, w->attempt)) == NULL)
		permit_refuse(v, p, w, REASON_VAULT, "there is no other password");
	else {
		p->given++;
		p->unproved |= (uint8_t)(1 << w->attempt);
		p->turn = r.turn;
		record_use(v, &r);
		permit_tell(v, p, REASON_NONE, w->attempt == 0 ? "" : "the other one");
		peer_post(v->link, PASSWORD, password, .ask = w->ask, .stream = w->stream,
		    .password = bytes_of(s->at, s->len));
	}
	vault_record_free(&r);
}

/* The other one let us in: it is the current one, and the one that did not is kept beside it. */
static void
password_swap(struct vault_record *r)
{
	struct secret was = r->current;

	r->current = (struct secret){0};
	secret_move(&r->current, r->pending.len > 0 ? &r->pending : &r->former);
	secret_move(&r->former, &was);
}

void
credential_on_good(struct visitor *v, const struct msg_password_good *m)
{
	struct permit *p = permit_find(v, m->stream);
	struct vault_record r = {0};
	char about[VAULT_ABOUT_SIZE];
	int changed = 0;

	if (p == NULL || m->attempt > 1 || (p->unproved & 1 << m->attempt) == 0)
		return; /* of another auth's giving, or said twice: what is there stays */
	p->unproved = 0;
	permit_about(p, about);
	p->good = 1;
	if (vault_load(v->house->vault, about, &r) == VAULT_GOOD && r.kind == VAULT_PASSWORD && r.turn == p->turn) {
		if (m->attempt == 1 && password_choose(&r, 1) != NULL) {
			log_info("%s: the other password is the one that works", about);
			password_swap(&r);
			changed = 1;
		} else if (m->attempt == 0 && r.former.len > 0 && r.pending.len == 0) {
			secret_free(&r.former);
			changed = 1;
		}
	}
	if (changed) {
		r.turn++;
		if (record_keep(v, &r) == 0)
			p->turn = r.turn;
	}
	vault_record_free(&r);
}

/* ---- its change ---- */

/* Bytes without bias: those past the last whole run of the alphabet are drawn again. */
static int
letter_draw(char *to)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+";
	const size_t count = sizeof(letters) - 1;
	uint8_t byte;

	do
		if (RAND_priv_bytes(&byte, 1) != 1)
			return (-1);
	while (byte >= 256 / count * count);
	*to = letters[byte % count];
	byte = 0;
	return (0);
}

/* What targets' own rules want of a password: a letter of each kind, and no mark before it. */
static int
letters_please(const char *text)
{
	return (strpbrk(text, "abcdefghijklmnopqrstuvwxyz") != NULL &&
	        strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL && strpbrk(text, "0123456789") != NULL &&
	        strpbrk(text, "-_.+") != NULL && strchr("-_.+", text[0]) == NULL);
}

static int
password_make(struct secret *s)
{
	if (secret_new(s, PASSWORD_LETTERS) == -1)
		return (-1);
	do
		for (size_t i = 0; i < PASSWORD_LETTERS; i++)
			if (letter_draw((char *)s->at + i) == -1) {
				secret_free(s);
				return (-1);
			}
	while (!letters_please((char *)s->at));
	return (0);
}

int
credential_is_rotating(struct house *h, const char *about)
{
	char its[VAULT_ABOUT_SIZE];

	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		for (struct visitor *v = h->buckets[i]; v != NULL; v = v->next)
			for (size_t j = 0; j < PERMITS_MAX; j++) {
				const struct permit *p = &v->permits.permit[j];

				if (!p->rotating)
					continue;
				permit_about(p, its);
				if (strcmp(its, about) == 0)
					return (1);
			}
	return (0);
}

/* There is something to rotate, and it is known which password works: this visit's login saw it, or there is but one. */
static int
rotation_is_due(struct house *h, const struct permit *p, const struct vault_record *r)
{
	return (r->rotate != VAULT_NEVER && !credential_is_rotating(h, r->about) &&
	        ((r->pending.len == 0 && r->former.len == 0) || (r->turn == p->turn && p->good)));
}

void
credential_rotation(struct visitor *v, struct permit *p, const struct wish *w)
{
	struct vault_record r;

	if (record_take(v, p, w, VAULT_PASSWORD, &r) != VAULT_GOOD)
		return;
	if (!rotation_is_due(v->house, p, &r)) {
		peer_post(v->link, CREDENTIAL_REFUSED, credential_refused, .ask = w->ask, .stream = w->stream,
		    .reason = REASON_NONE);
		goto out;
	}
	if (r.pending.len > 0)
		secret_move(&r.former, &r.pending); /* it did not let us in; still, nothing is thrown away yet */
	r.turn++;
	if (password_make(&r.pending) == -1 || record_keep(v, &r) == -1) {
		permit_refuse(v, p, w, REASON_VAULT, "the new password could not be kept");
		goto out;
	}
	p->given++;
	p->turn = r.turn;
	p->rotating = 1;
	permit_tell(v, p, REASON_NONE, "a new one");
	peer_post(v->link, ROTATION, rotation, .ask = w->ask, .stream = w->stream,
	    .old = bytes_of(r.current.at, r.current.len), .new = bytes_of(r.pending.at, r.pending.len));
out:
	vault_record_free(&r);
}

static void
rotation_tell(struct visitor *v, const struct permit *p, enum reason reason, const char *text)
{
	char about[VAULT_ABOUT_SIZE];

	permit_about(p, about);
	log_info("connection %llu: the password for %s: %s", (unsigned long long)v->kept.conn, about, text);
	tell_policy(v->house, SECRET_DONE, secret_done, .act = bytes_text("rotation"), .about = bytes_text(about),
	    .who = bytes_text(v->kept.person), .reason = (uint16_t)reason, .text = bytes_text(text));
}

/* The record after its rotation came to this outcome. */
static void
rotation_apply(struct vault_record *r, enum rotation outcome)
{
	if (outcome == ROTATION_CHANGED) {
		secret_move(&r->former, &r->current);
		secret_move(&r->current, &r->pending);
		r->rotated_wall_ms = clock_wall_ms();
		if (r->rotate == VAULT_ONCE)
			r->rotate = VAULT_NEVER;
	} else
		secret_move(&r->former, &r->pending); /* no is no proof: the next login is */
	r->turn++;
}

void
credential_on_rotated(struct visitor *v, const struct msg_rotation_done *m)
{
	struct permit *p = permit_find(v, m->stream);
	struct vault_record r = {0};
	char about[VAULT_ABOUT_SIZE];

	if (p == NULL || !p->rotating)
		return; /* begun under another auth: both are kept, and the next login finds out */
	if (m->outcome != ROTATION_CHANGED && m->outcome != ROTATION_REFUSED) {
		credential_rotation_lost(v, p);
		return;
	}
	p->rotating = 0;
	permit_about(p, about);
	if (vault_load(v->house->vault, about, &r) != VAULT_GOOD || r.turn != p->turn)
		rotation_tell(v, p, REASON_STATE, "set by hand while it was changed: what was set stays");
	else {
		rotation_apply(&r, m->outcome);
		if (record_keep(v, &r) == -1)
			rotation_tell(v, p, REASON_VAULT, "could not be written: both are kept");
		else if (m->outcome == ROTATION_CHANGED)
			rotation_tell(v, p, REASON_NONE, "changed");
		else
			rotation_tell(v, p, REASON_DENIED,
			    "the target refused the new one: both are kept until the next login");
	}
	vault_record_free(&r);
}

void
credential_rotation_lost(struct visitor *v, struct permit *p)
{
	p->rotating = 0;
	rotation_tell(v, p, REASON_TARGET_GONE, "not known whether it was changed: both are kept");
}
