/* What auth asks and tells about people; see people.h. */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/log.h"
#include "keys.h"
#include "outbox.h"
#include "people.h"
#include "visits.h"
#include "words.h"

static void
keys_put_one(struct wire *w, struct bytes blob)
{
	wire_put_bytes(w, blob);
	wire_put_u16(w, REASON_NONE);
	wire_put_u8(w, 0);
	wire_put_u32(w, 0);
}

static void
keys_put(struct policy *p, const char *login, struct wire *w)
{
	unsigned char blob[KEY_BLOB_MAX];
	struct rows found;
	size_t len;

	must(p, store_list(p->store, QUERY_KEYS_OF_PERSON, &found, ARG_TEXT(login)));
	for (size_t i = 0; i < found.count; i++)
		if ((len = key_blob(rows_at(&found, person_key, i)->blob, blob, sizeof(blob))) != 0)
			keys_put_one(w, bytes_of(blob, len));
	rows_free(&found);
}

void
on_person_wanted(struct policy *p, const struct msg_person_wanted *m)
{
	struct facts_held h;
	struct wire keys = {.at = NULL};
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
		keys_put(p, login, &keys);
	}
	if (keys.failed)
		log_fatal("out of memory for keys");
	peer_post(p->auth, PERSON, person, .ask = m->ask, .known = (uint8_t)known,
	    .role = (uint8_t)(known ? h.person.role : ROLE_NONE), .login = m->login, .pam_user = m->login,
	    .reason = (uint16_t)reason, .keys = wire_bytes(&keys));
	wire_free(&keys);
	facts_free(&h);
}

static void
visitor_fill(struct visitor *v, const struct msg_identity *m, const struct person *who)
{
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
}

void
on_identity(struct policy *p, const struct msg_identity *m)
{
	struct connection *c = connection_make(p, m->conn);
	struct facts_held h;
	struct happening e;
	char login[ROW_NAME], text[DECIDE_TEXT];
	enum reason reason = REASON_UNKNOWN_PERSON;

	if (c->visitor.number != 0) {
		/* Said again after a restart of one of us; it cannot have become somebody else. */
		reason = bytes_are(m->login, c->visitor.person) ? REASON_NONE : REASON_PROTOCOL;
		if (reason != REASON_NONE)
			log_error("lodge-auth names two people for connection %llu", (unsigned long long)m->conn);
		peer_post(p->auth, IDENTITY_HELD, identity_held, .conn = m->conn, .reason = (uint16_t)reason);
		return;
	}
	if (bytes_copy(login, sizeof(login), m->login) == -1)
		login[0] = '\0';
	facts_load(p, &h, login, "", "");
	if (h.facts.person != NULL) {
		visitor_fill(&c->visitor, m, &h.person);
		h.facts.source = c->visitor.source;
		reason = decide_person(&h.facts, text);
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
