/* What auth asks and tells about people; see people.h. */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "fresh.h"
#include "keys.h"
#include "networks.h"
#include "outbox.h"
#include "people.h"
#include "visits.h"
#include "words.h"

/* May this key be used now, from there? */
static enum reason
key_examine(const struct policy *p, const struct person_key *key, const char *source)
{
	if (clock_wall_ms() < key->valid_from || (key->valid_until != 0 && policy_latest_ms(p) >= key->valid_until))
		return (REASON_KEY_EXPIRED);
	return (networks_hold(key->networks, source) ? REASON_NONE : REASON_KEY_SOURCE);
}

static void
keys_put(struct policy *p, const char *login, const char *source, struct wire *w)
{
	unsigned char blob[KEY_BLOB_MAX];
	struct rows found;
	size_t len;

	must(p, store_list(p->store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT(login)));
	for (size_t i = 0; i < found.count; i++) {
		const struct person_key *key = rows_at(&found, person_key, i);

		if ((len = key_blob(key->blob, blob, sizeof(blob))) == 0)
			continue;
		wire_put_bytes(w, bytes_of(blob, len));
		wire_put_u16(w, (uint16_t)key_examine(p, key, source));
		wire_put_u8(w, (uint8_t)key->options);
		wire_put_u32(w, (uint32_t)key->counter);
	}
	rows_free(&found);
}

void
on_person_wanted(struct policy *p, const struct msg_person_wanted *m)
{
	struct facts_held h;
	struct wire keys = {.at = NULL};
	struct bytes pam_user = m->login;
	char login[ROW_NAME], source[ROW_NAME], text[DECIDE_TEXT];
	enum reason reason = REASON_UNKNOWN_PERSON;
	int known = 0;

	if (bytes_copy(login, sizeof(login), m->login) == -1 || !name_is_good(login))
		login[0] = '\0';
	text_clean(source, sizeof(source), m->source);
	facts_load(p, &h, login, "", "");
	h.facts.source = source;
	if (login[0] != '\0' && h.facts.person != NULL) {
		known = 1;
		reason = decide_person(&h.facts, text);
		keys_put(p, login, source, &keys);
		if (h.person.pam_user[0] != '\0')
			pam_user = bytes_text(h.person.pam_user);
	}
	if (keys.failed)
		log_fatal("out of memory for keys");
	peer_post(p->auth, PERSON, person, .ask = m->ask, .known = (uint8_t)known,
	    .role = (uint8_t)(known ? h.person.role : ROLE_NONE), .login = m->login, .pam_user = pam_user,
	    .reason = (uint16_t)reason, .keys = wire_bytes(&keys));
	wire_free(&keys);
	facts_free(&h);
}

static void
visitor_fill(struct connection *c, const struct msg_identity *m, const struct person *who)
{
	struct visitor *v = &c->visitor;

	v->conn = (int64_t)m->conn;
	TEXT_COPY(v->person, who->login);
	TEXT_COPY(v->vendor, who->vendor);
	v->role = m->role;
	text_clean(v->fingerprint, sizeof(v->fingerprint), m->fingerprint);
	text_clean(v->key_type, sizeof(v->key_type), m->key_type);
	v->factors = m->factors;
	v->host_bound = m->host_bound != 0;
	text_clean(v->source, sizeof(v->source), m->source);
	v->port = m->port;
	v->began_at = m->at_wall_ms;
	v->suspect_at = c->suspect_at;
	TEXT_COPY(v->suspicion, c->suspicion);
}

/* Auth asked about them a while ago, and a conversation may take a minute: is what it proved still so?  REASON_NONE: it is. */
static enum reason
proof_examine(struct policy *p, const struct msg_identity *m, const struct connection *c, const struct person *who)
{
	struct person_key key = {.added = 0};
	enum reason reason;

	TEXT_COPY(key.login, who->login);
	if (bytes_copy(key.fingerprint, sizeof(key.fingerprint), m->fingerprint) == -1 ||
	    must(p, person_key_get(p->store, &key)) == 0)
		return (REASON_UNKNOWN_KEY);
	if ((reason = key_examine(p, &key, c->visitor.source)) != REASON_NONE)
		return (reason);
	if ((key.options & KEY_OPTION_VERIFY) != 0 && (m->factors & FACTOR_VERIFIED) == 0)
		return (REASON_NO_VERIFICATION);
	return (m->role == who->role ? REASON_NONE : REASON_ENDED_BY_MANAGER); /* as person_cut would have */
}

void
on_identity(struct policy *p, const struct msg_identity *m)
{
	struct connection *c;
	struct facts_held h;
	struct happening e;
	char login[ROW_NAME], text[DECIDE_TEXT];
	enum reason reason = REASON_UNKNOWN_PERSON;

	if (connection_is_gone(p, m->conn)) {
		/* Its process has ended already: as a visitor it would stay for ever. */
		peer_post(p->auth, IDENTITY_HELD, identity_held, .conn = m->conn, .reason = REASON_SESSION_DIED);
		return;
	}
	c = connection_make(p, m->conn);
	if (c->visitor.number != 0) {
		/* Said again after a restart of one of us; it cannot have become somebody else. */
		reason = bytes_are(m->login, c->visitor.person) ? REASON_NONE : REASON_PROTOCOL;
		if (reason != REASON_NONE)
			log_error("lodge-auth names two people for connection %llu", (unsigned long long)m->conn);
		peer_post(p->auth, IDENTITY_HELD, identity_held, .conn = m->conn, .reason = (uint16_t)reason);
		return;
	}
	if (fresh_is_wanted(c, m->factors)) {
		peer_post(p->auth, IDENTITY_HELD, identity_held, .conn = m->conn, .reason = REASON_FRESH_CODE);
		return;
	}
	if (bytes_copy(login, sizeof(login), m->login) == -1)
		login[0] = '\0';
	facts_load(p, &h, login, "", "");
	if (h.facts.person != NULL) {
		visitor_fill(c, m, &h.person);
		h.facts.source = c->visitor.source;
		if ((reason = decide_person(&h.facts, text)) == REASON_NONE)
			reason = proof_examine(p, m, c, &h.person);
	}
	e = (struct happening){.type = EVENT_LOGIN,
	    .reason = reason,
	    .who = login,
	    .vendor = c->visitor.vendor,
	    .source = c->visitor.source,
	    .port = m->port,
	    .fingerprint = c->visitor.fingerprint};
	policy_begin(p);
	if (reason == REASON_NONE) {
		must(p, visitor_add(p->store, &c->visitor));
		e.session = c->visitor.number;
	} else
		c->visitor = (struct visitor){.number = 0};
	(void)event_note(p, &e);
	policy_commit(p);
	facts_free(&h);
	peer_post(p->auth, IDENTITY_HELD, identity_held, .conn = m->conn, .reason = (uint16_t)reason);
	policy_advance(p);
}

void
on_login_event(struct policy *p, const struct msg_login_event *m)
{
	char login[ROW_NAME], method[ROW_NAME], source[ROW_NAME], fingerprint[ROW_FINGERPRINT];
	struct happening h = {.type = EVENT_LOGIN_ATTEMPT,
	    .reason = (enum reason)m->reason,
	    .who = login,
	    .method = method,
	    .source = source,
	    .port = m->port,
	    .fingerprint = fingerprint,
	    .at_wall_ms = m->at_wall_ms};

	text_clean(login, sizeof(login), m->login);
	text_clean(method, sizeof(method), m->method);
	text_clean(source, sizeof(source), m->source);
	text_clean(fingerprint, sizeof(fingerprint), m->fingerprint);
	policy_begin(p);
	(void)event_note(p, &h);
	policy_commit(p);
}

void
on_key_used(struct policy *p, const struct msg_key_used *m)
{
	struct person_key key = {.added = 0};

	if (bytes_copy(key.login, sizeof(key.login), m->login) == -1 ||
	    bytes_copy(key.fingerprint, sizeof(key.fingerprint), m->fingerprint) == -1 ||
	    must(p, person_key_get(p->store, &key)) == 0)
		return;
	if (m->at_wall_ms > key.last_used)
		key.last_used = m->at_wall_ms;
	text_clean(key.last_source, sizeof(key.last_source), m->source);
	if ((int64_t)m->counter > key.counter)
		key.counter = m->counter;
	policy_begin(p);
	must(p, person_key_set(p->store, &key));
	policy_commit(p);
}
