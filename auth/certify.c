/*
 * Certificates for a stream: only after policy's CERTIFY for that connection and stream, over a key that the session
 * made for it, and never past the grant.  A wish that comes before policy's word (after a restart) waits a little.
 */
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cert.h"
#include "visitor.h"

#define WISH_MS 5000
#define MINTED_MAX 8 /* certificates over one permit */

static struct permit *
permit_find(struct visitor *v, uint32_t stream)
{
	for (size_t i = 0; i < VISITOR_PERMITS; i++)
		if (v->permits[i].grant != 0 && v->permits[i].stream == stream)
			return (&v->permits[i]);
	return (NULL);
}

/* A place for a new permit: a free one, or the one that ended first. */
static struct permit *
permit_place(struct visitor *v)
{
	struct permit *chosen = &v->permits[0];

	for (size_t i = 0; i < VISITOR_PERMITS; i++) {
		if (v->permits[i].grant == 0)
			return (&v->permits[i]);
		if (v->permits[i].ends_wall_ms < chosen->ends_wall_ms)
			chosen = &v->permits[i];
	}
	return (chosen);
}

static void
cert_refuse(struct visitor *v, uint32_t ask, uint32_t stream, enum reason reason)
{
	log_warning("connection %llu: no certificate for stream %u: %s", (unsigned long long)v->kept.conn, stream,
	    reason_code(reason));
	peer_post(v->link, CERT, cert, .ask = ask, .stream = stream, .certificate = bytes_of(NULL, 0),
	    .reason = (uint16_t)reason);
}

static void
cert_make(struct visitor *v, struct permit *p, uint32_t ask, struct bytes key)
{
	struct cert_order order = {
	    .subject = key,
	    .grant = p->grant,
	    .session = v->kept.conn,
	    .person = v->kept.person,
	    .account = p->account,
	    .source_address = v->house->set->source_address,
	    .now_s = clock_wall_ms() / 1000,
	    .ends_s = p->ends_wall_ms / 1000,
	    .capabilities = p->capabilities,
	};
	struct wire cert = {0};

	if (order.now_s >= order.ends_s)
		cert_refuse(v, ask, p->stream, REASON_WINDOW_ENDED);
	else if (p->minted >= MINTED_MAX)
		cert_refuse(v, ask, p->stream, REASON_LIMIT);
	else if (RAND_bytes((uint8_t *)&order.serial, sizeof(order.serial)) != 1 ||
	         cert_mint(v->house->user_ca, &order, &cert) == -1)
		cert_refuse(v, ask, p->stream, REASON_TARGET_LOGIN);
	else {
		p->minted++;
		log_info("connection %llu: certificate %016llx for %s under grant %llu, stream %u",
		    (unsigned long long)v->kept.conn, (unsigned long long)order.serial, p->account,
		    (unsigned long long)p->grant, p->stream);
		peer_post(v->link, CERT, cert, .ask = ask, .stream = p->stream, .certificate = wire_bytes(&cert),
		    .reason = REASON_NONE);
	}
	wire_free(&cert);
}

void
certify_permit(struct visitor *v, const struct msg_certify *m)
{
	struct permit *p = permit_find(v, m->stream);
	uint32_t minted = 0;

	if (v->kept.state != LOGIN_IN || m->grant == 0)
		return; /* whom we did not let in is not certified; policy hears no CERTIFY_HELD */
	if (p != NULL && p->grant == m->grant)
		minted = p->minted;
	if (p == NULL)
		p = permit_place(v);
	*p = (struct permit){.stream = m->stream,
	    .grant = m->grant,
	    .capabilities = m->capabilities,
	    .ends_wall_ms = m->ends_wall_ms,
	    .minted = minted};
	if (bytes_copy(p->account, sizeof(p->account), m->account) == -1)
		log_fatal("policy's account for a certificate is too long");
	peer_post(v->house->policy, CERTIFY_HELD, certify_held, .conn = v->kept.conn, .stream = m->stream);
	for (size_t i = 0; i < VISITOR_WAITS; i++) {
		struct wish *w = &v->wishes[i];

		if (w->ask == 0 || w->stream != m->stream)
			continue;
		cert_make(v, p, w->ask, bytes_of(w->key, sizeof(w->key)));
		*w = (struct wish){0};
	}
}

static void
wish_add(struct visitor *v, const struct msg_cert_wanted *m)
{
	for (size_t i = 0; i < VISITOR_WAITS; i++) {
		struct wish *w = &v->wishes[i];

		if (w->ask != 0)
			continue;
		w->ask = m->ask;
		w->stream = m->stream;
		w->until_boot_ms = clock_boot_ms() + WISH_MS;
		memcpy(w->key, m->public_key.at, sizeof(w->key));
		timer_after(v->wishing, WISH_MS);
		return;
	}
	cert_refuse(v, m->ask, m->stream, REASON_LIMIT);
}

void
certify_on_wanted(struct visitor *v, const struct msg_cert_wanted *m)
{
	struct permit *p = permit_find(v, m->stream);

	if (v->kept.state != LOGIN_IN || m->ask == 0 || m->public_key.len != SIGNER_PUBLIC_SIZE)
		visitor_cut(v, "asked for a certificate that cannot be");
	else if (p != NULL)
		cert_make(v, p, m->ask, m->public_key);
	else
		wish_add(v, m);
}

void
certify_on_late(struct visitor *v)
{
	int64_t now_ms = clock_boot_ms(), next_ms = 0;

	for (size_t i = 0; i < VISITOR_WAITS; i++) {
		struct wish *w = &v->wishes[i];

		if (w->ask == 0)
			continue;
		if (w->until_boot_ms <= now_ms) {
			cert_refuse(v, w->ask, w->stream, REASON_POLICY_AWAY);
			*w = (struct wish){0};
		} else if (next_ms == 0 || w->until_boot_ms < next_ms)
			next_ms = w->until_boot_ms;
	}
	if (next_ms != 0)
		timer_set(v->wishing, next_ms);
}
