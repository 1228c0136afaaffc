/* Policy's word that a stream may be let in, and the wishes for it: see permit.h. */
#include "permit.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "tell.h"
#include "visitor.h"

typedef void give_fn(struct visitor *v, struct permit *p, const struct wish *w);

/* One row for each thing that a session may wish: on a permit of which kinds, and who gives it. */
static const struct {
	const char *what;
	uint8_t hows[2]; /* enum target_login; the first is told when there is no permit */
	give_fn *give;
} kinds[WISH_KINDS] = {
    [WISH_CERTIFICATE] = {"certificate", {TARGET_CERTIFICATE}, certify_give},
    [WISH_AGENT] = {"agent", {TARGET_KEY}, credential_agent},
    [WISH_PASSWORD] = {"password", {TARGET_PASSWORD, TARGET_KEYBOARD}, credential_password},
    [WISH_ROTATION] = {"rotation", {TARGET_PASSWORD, TARGET_KEYBOARD}, credential_rotation},
};

struct permit *
permit_find(struct visitor *v, uint32_t stream)
{
	for (size_t i = 0; i < PERMITS_MAX; i++)
		if (v->permits.permit[i].grant != 0 && v->permits.permit[i].stream == stream)
			return (&v->permits.permit[i]);
	return (NULL);
}

void
permit_about(const struct permit *p, char about[VAULT_ABOUT_SIZE])
{
	snprintf(about, VAULT_ABOUT_SIZE, "%s+%s", p->target, p->account);
}

static void
credential_tell(struct visitor *v, uint32_t stream, uint8_t how, enum reason reason, const char *detail)
{
	tell_policy(v->house, CREDENTIAL, credential, .conn = v->kept.conn, .stream = stream, .how = how,
	    .reason = (uint16_t)reason, .detail = bytes_text(detail));
}

void
permit_tell(struct visitor *v, const struct permit *p, enum reason reason, const char *detail)
{
	credential_tell(v, p->stream, p->how, reason, detail);
}

void
permit_refuse(
    struct visitor *v, const struct permit *p, const struct wish *w, enum reason reason, const char *detail)
{
	log_warning("connection %llu: no %s for stream %u: %s%s%s", (unsigned long long)v->kept.conn,
	    kinds[w->kind].what, w->stream, reason_code(reason), detail[0] == '\0' ? "" : ": ", detail);
	credential_tell(v, w->stream, p != NULL ? p->how : kinds[w->kind].hows[0], reason, detail);
	if (w->kind == WISH_CERTIFICATE)
		peer_post(v->link, CERT, cert, .ask = w->ask, .stream = w->stream, .certificate = bytes_of(NULL, 0),
		    .reason = (uint16_t)reason);
	else
		peer_post(v->link, CREDENTIAL_REFUSED, credential_refused, .ask = w->ask, .stream = w->stream,
		    .reason = (uint16_t)reason);
	if (++v->permits.refused == PERMIT_REFUSALS)
		visitor_cut(v, "wanted what it may not have, again and again");
}

static void
permit_give(struct visitor *v, struct permit *p, const struct wish *w)
{
	if (p->how != kinds[w->kind].hows[0] && p->how != kinds[w->kind].hows[1])
		permit_refuse(v, p, w, REASON_SUSPECT, "another way in than policy said");
	else if (clock_wall_ms() >= p->ends_wall_ms)
		permit_refuse(v, p, w, REASON_WINDOW_ENDED, "");
	else if (p->given >= PERMIT_GIFTS)
		permit_refuse(v, p, w, REASON_LIMIT, "");
	else
		kinds[w->kind].give(v, p, w);
}

/* ---- policy's word ---- */

static void
permit_end(struct visitor *v, struct permit *p)
{
	if (p->rotating)
		credential_rotation_lost(v, p);
	agent_close(p->agent);
	*p = (struct permit){0};
}

/* A place for a new permit: a free one, or the one that ends first; of several such, the oldest. */
static struct permit *
permit_place(struct visitor *v)
{
	struct permit *chosen = &v->permits.permit[0];

	for (size_t i = 0; i < PERMITS_MAX; i++) {
		struct permit *p = &v->permits.permit[i];

		if (p->grant == 0)
			return (p);
		if (p->ends_wall_ms < chosen->ends_wall_ms ||
		    (p->ends_wall_ms == chosen->ends_wall_ms && p->stream < chosen->stream))
			chosen = p;
	}
	permit_end(v, chosen);
	return (chosen);
}

static void
wishes_give(struct visitor *v, struct permit *p)
{
	for (size_t i = 0; i < PERMIT_WISHES; i++) {
		struct wish *w = &v->permits.wishes[i];

		if (w->kind == WISH_NONE || w->stream != p->stream)
			continue;
		permit_give(v, p, w);
		*w = (struct wish){0};
	}
}

void
permit_on_certify(struct visitor *v, const struct msg_certify *m)
{
	struct permit *p = permit_find(v, m->stream);

	if (v->kept.state != LOGIN_IN || m->grant == 0)
		return; /* whom we did not let in is not let in there either; policy hears no CERTIFY_HELD */
	if (p != NULL && p->grant != m->grant)
		permit_end(v, p);
	if (p == NULL)
		p = permit_place(v);
	p->stream = m->stream;
	p->grant = m->grant;
	p->capabilities = m->capabilities;
	p->ends_wall_ms = m->ends_wall_ms;
	p->how = m->how;
	p->sha1 = m->sha1;
	p->visitor = v;
	if (bytes_copy(p->account, sizeof(p->account), m->account) == -1 ||
	    bytes_copy(p->target, sizeof(p->target), m->target) == -1)
		log_fatal("policy's target or account for a permit is too long");
	peer_post(v->house->policy, CERTIFY_HELD, certify_held, .conn = v->kept.conn, .stream = m->stream);
	wishes_give(v, p);
}

void
permits_end(struct visitor *v)
{
	for (size_t i = 0; i < PERMITS_MAX; i++)
		if (v->permits.permit[i].grant != 0)
			permit_end(v, &v->permits.permit[i]);
	memset(&v->permits, 0, sizeof(v->permits));
}

/* ---- wishes ---- */

static void
wish_add(struct visitor *v, const struct wish *w)
{
	for (size_t i = 0; i < PERMIT_WISHES; i++) {
		struct wish *place = &v->permits.wishes[i];

		if (place->kind != WISH_NONE)
			continue;
		*place = *w;
		place->until_boot_ms = clock_boot_ms() + PERMIT_WAIT_MS;
		timer_after(v->wishing, PERMIT_WAIT_MS);
		return;
	}
	permit_refuse(v, NULL, w, REASON_LIMIT, "too many wait");
}

void
permit_wish(struct visitor *v, const struct wish *w)
{
	struct permit *p = permit_find(v, w->stream);

	if (v->kept.state != LOGIN_IN || w->ask == 0)
		visitor_cut(v, "asked to be let into a target before its login");
	else if (p != NULL)
		permit_give(v, p, w);
	else
		wish_add(v, w);
}

/* policy is there, and has said nothing of this stream: the session made it up. */
static void
wish_refuse_late(struct visitor *v, const struct wish *w)
{
	if (v->house->policy == NULL)
		permit_refuse(v, NULL, w, REASON_POLICY_AWAY, "");
	else
		permit_refuse(v, NULL, w, REASON_SUSPECT, "policy allowed no such stream");
}

void
permit_on_late(struct visitor *v)
{
	int64_t now_ms = clock_boot_ms(), next_ms = 0;

	for (size_t i = 0; i < PERMIT_WISHES; i++) {
		struct wish *w = &v->permits.wishes[i];

		if (w->kind == WISH_NONE)
			continue;
		if (w->until_boot_ms <= now_ms) {
			wish_refuse_late(v, w);
			*w = (struct wish){0};
		} else if (next_ms == 0 || w->until_boot_ms < next_ms)
			next_ms = w->until_boot_ms;
	}
	if (next_ms != 0)
		timer_set(v->wishing, next_ms);
}
