/*
 * A certificate for a stream, over a key that the session made for it, never past the grant (permit.h says when).
 */
#include <inttypes.h>
#include <openssl/rand.h>

#include "base/clock.h"
#include "base/log.h"
#include "cert.h"
#include "permit.h"
#include "visitor.h"

void
certify_give(struct visitor *v, struct permit *p, const struct wish *w)
{
	struct cert_order order = {
	    .subject = bytes_of(w->key, sizeof(w->key)),
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
	char serial[32];

	if (order.now_s >= order.ends_s)
		permit_refuse(v, p, w, REASON_WINDOW_ENDED, "");
	else if (RAND_bytes((uint8_t *)&order.serial, sizeof(order.serial)) != 1 ||
	         cert_mint(v->house->user_ca, &order, &cert) == -1)
		permit_refuse(v, p, w, REASON_TARGET_LOGIN, "no certificate can be made for this account");
	else {
		p->given++;
		snprintf(serial, sizeof(serial), "%016" PRIx64, order.serial);
		log_info("connection %llu: certificate %s for %s under grant %llu, stream %u",
		    (unsigned long long)v->kept.conn, serial, p->account, (unsigned long long)p->grant, p->stream);
		permit_tell(v, p, REASON_NONE, serial);
		peer_post(v->link, CERT, cert, .ask = w->ask, .stream = p->stream, .certificate = wire_bytes(&cert),
		    .reason = REASON_NONE);
	}
	wire_free(&cert);
}
