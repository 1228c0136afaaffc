/* One connection, as auth sees it: see visitor.h.  Here its birth, its link and its end. */
#include "visitor.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"

static void
on_reply_due(void *ctx)
{
	login_on_reply_due(ctx);
}

static void
on_deadline(void *ctx)
{
	login_on_deadline(ctx);
}

static void
on_fresh_due(void *ctx)
{
	fresh_on_due(ctx);
}

static void
on_wishing(void *ctx)
{
	permit_on_late(ctx);
}

struct visitor *
visitor_new(struct house *h, uint64_t conn)
{
	struct visitor *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return (NULL);
	v->house = h;
	v->kept.conn = conn;
	v->reply = timer_new(h->loop, on_reply_due, v);
	v->deadline = timer_new(h->loop, on_deadline, v);
	v->wishing = timer_new(h->loop, on_wishing, v);
	v->fresh_due = timer_new(h->loop, on_fresh_due, v);
	if (v->reply == NULL || v->deadline == NULL || v->wishing == NULL || v->fresh_due == NULL) {
		visitor_free(v);
		return (NULL);
	}
	return (v);
}

void
visitor_free(struct visitor *v)
{
	if (v == NULL)
		return;
	talk_end(v);
	talk_stay_end(v);
	invite_end(v);
	permits_end(v);
	timer_free(v->reply);
	timer_free(v->deadline);
	timer_free(v->wishing);
	timer_free(v->fresh_due);
	peer_close(v->link);
	free(v->person.keys);
	secret_wipe(v, sizeof(*v));
	free(v);
}

void
visitor_keep(struct visitor *v)
{
	if (v->house->live != NULL && live_keep(v->house->live, &v->kept) == -1)
		log_warning(
		    "the table of living connections is full: connection %llu will not outlive a restart of auth",
		    (unsigned long long)v->kept.conn);
}

void
visitor_suspect(struct visitor *v, const char *why)
{
	if (v->suspicions++ >= SUSPICIONS_MOST)
		return;
	log_warning("connection %llu: its session %s", (unsigned long long)v->kept.conn, why);
	tell_policy(v->house, SUSPECT, suspect, .conn = v->kept.conn, .what = bytes_text(why));
}

void
visitor_unlink(struct visitor *v)
{
	login_on_unlinked(v);
	peer_close(v->link);
	v->link = NULL;
}

void
visitor_cut(struct visitor *v, const char *why)
{
	visitor_suspect(v, why);
	log_warning("connection %llu: its link is closed", (unsigned long long)v->kept.conn);
	visitor_unlink(v);
}

/*
 * 1 when this identifier is another connection's, or was one's that a key let in.  Two exchanges never have the same hash:
 * a session that wants one signed again has kept somebody's proof over it.
 */
static int
identifier_is_taken(const struct visitor *v, struct bytes hash)
{
	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		for (const struct visitor *o = v->house->buckets[i]; o != NULL; o = o->next)
			for (size_t leg = 0; leg < LIVE_LEGS; leg++)
				if (bytes_equal(hash, bytes_of(o->kept.legs[leg].at, o->kept.legs[leg].len)))
					return (1);
	return (live_identifier_was_used(v->house->live, hash.at, hash.len));
}

/* RFC 4253 §8: the hash of the first key exchange is the session identifier, for ever. */
static void
visitor_sign(struct visitor *v, const struct msg_sign *m)
{
	struct live_identifier *id = &v->kept.legs[m->leg < LIVE_LEGS ? m->leg : 0];
	uint8_t signature[SIGNER_SIGNATURE_SIZE];

	if (m->hash.len != 32 && m->hash.len != 48 && m->hash.len != LIVE_HASH_MAX) {
		visitor_cut(v, "asked to sign what is no exchange hash");
		return;
	}
	if (m->leg >= LIVE_LEGS || (m->leg != 0 && v->kept.state != LOGIN_IN)) {
		visitor_cut(v, "asked to sign for a leg that cannot be");
		return;
	}
	if (id->len != 0 && v->kept.state != LOGIN_IN && !bytes_equal(m->hash, bytes_of(id->at, id->len))) {
		visitor_cut(v, "asked to sign a second hash before its login"); /* as sshd: no rekey before login */
		return;
	}
	if (id->len == 0 && m->leg == 0 && identifier_is_taken(v, m->hash)) {
		visitor_cut(v, "wanted another connection's identifier signed for its own");
		return;
	}
	if (signer_sign(v->house->host_key, m->hash, signature) == -1) {
		visitor_cut(v, "its exchange hash could not be signed");
		return;
	}
	if (id->len == 0) {
		memcpy(id->at, m->hash.at, m->hash.len);
		id->len = (uint8_t)m->hash.len;
		visitor_keep(v);
	}
	peer_post(v->link, SIGNED, signed_, .ask = m->ask, .signature = bytes_of(signature, sizeof(signature)));
}

static void
on_cert_wanted(struct visitor *v, const struct msg_cert_wanted *m)
{
	struct wish w = {.kind = WISH_CERTIFICATE, .ask = m->ask, .stream = m->stream};

	if (m->public_key.len != sizeof(w.key)) {
		visitor_cut(v, "asked for a certificate that cannot be");
		return;
	}
	memcpy(w.key, m->public_key.at, sizeof(w.key));
	permit_wish(v, &w);
}

static void
on_session(struct peer *p, struct message *m, void *ctx)
{
	struct visitor *v = ctx;

	if (p != v->link)
		return;
	switch (m->type) {
	case MSG_SIGN:
		visitor_sign(v, &m->sign);
		break;
	case MSG_PROOF:
		login_on_proof(v, &m->proof);
		break;
	case MSG_KEY_OFFER:
		login_on_offer(v, &m->key_offer);
		break;
	case MSG_LOGIN_STEP:
		login_on_step(v, &m->login_step);
		break;
	case MSG_ANSWERS:
		talk_on_answers(v, &m->answers);
		break;
	case MSG_LOGIN_UNREADABLE:
		login_on_unreadable(v, &m->login_unreadable);
		break;
	case MSG_CERT_WANTED:
		on_cert_wanted(v, &m->cert_wanted);
		break;
	case MSG_AGENT_WANTED:
		permit_wish(
		    v, &(struct wish){
		           .kind = WISH_AGENT, .ask = m->agent_wanted.ask, .stream = m->agent_wanted.stream});
		break;
	case MSG_PASSWORD_WANTED:
		permit_wish(v, &(struct wish){.kind = WISH_PASSWORD,
		                   .ask = m->password_wanted.ask,
		                   .stream = m->password_wanted.stream,
		                   .attempt = m->password_wanted.attempt});
		break;
	case MSG_PASSWORD_GOOD:
		credential_on_good(v, &m->password_good);
		break;
	case MSG_ROTATION_WANTED:
		permit_wish(v,
		    &(struct wish){
		        .kind = WISH_ROTATION, .ask = m->rotation_wanted.ask, .stream = m->rotation_wanted.stream});
		break;
	case MSG_ROTATION_DONE:
		credential_on_rotated(v, &m->rotation_done);
		break;
	default:
		visitor_cut(v, "sent a message that is not for auth");
	}
}

static void
on_session_closed(struct peer *p, const char *why, void *ctx)
{
	struct visitor *v = ctx;

	if (*why != '\0') {
		log_warning("connection %llu: %s", (unsigned long long)v->kept.conn, why);
		visitor_suspect(v, "broke the rules of its link");
	}
	if (p == v->link) {
		login_on_unlinked(v);
		v->link = NULL;
	}
	peer_close(p);
}

void
visitor_link(struct visitor *v, int fd, const char *source, uint16_t port)
{
	struct live_state *k = &v->kept;

	if (v->link != NULL)
		visitor_unlink(v);
	snprintf(k->source, sizeof(k->source), "%s", source);
	k->port = port;
	v->link =
	    peer_open(v->house->loop, fd, PROCESS_AUTH, PROCESS_SESSION, k->conn, on_session, on_session_closed, v);
	visitor_keep(v);
	peer_post(v->link, HOST_KEY, host_key, .blob = signer_public(v->house->host_key));
	fresh_on_link(v);
}
