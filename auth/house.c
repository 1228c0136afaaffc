/* lodge-auth as a whole: see house.h. */
#include "house.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "door.h"
#include "enrol.h"
#include "rekey.h"
#include "visitor.h"

uint64_t
house_ask(struct house *h)
{
	return (++h->asks);
}

/* ---- visitors ---- */

struct visitor *
house_visitor(struct house *h, uint64_t conn)
{
	struct visitor *v = h->buckets[conn % HOUSE_BUCKETS];

	while (v != NULL && v->kept.conn != conn)
		v = v->next;
	return (v);
}

static struct visitor *
visitor_add(struct house *h, uint64_t conn)
{
	struct visitor *v = visitor_new(h, conn);

	if (v == NULL)
		return (NULL);
	v->next = h->buckets[conn % HOUSE_BUCKETS];
	h->buckets[conn % HOUSE_BUCKETS] = v;
	return (v);
}

static void
visitor_remove(struct house *h, uint64_t conn)
{
	struct visitor **at = &h->buckets[conn % HOUSE_BUCKETS], *v;

	while (*at != NULL && (*at)->kept.conn != conn)
		at = &(*at)->next;
	if ((v = *at) != NULL)
		login_on_gone(v);
	live_forget(h->live, conn);
	if (v == NULL)
		return;
	*at = v->next;
	visitor_free(v);
}

typedef void each_fn(struct house *h, struct visitor *v);

static void
visitors_each(struct house *h, each_fn *fn)
{
	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		for (struct visitor *v = h->buckets[i], *next; v != NULL; v = next) {
			next = v->next;
			fn(h, v);
		}
}

static void
each_restate(struct house *h, struct visitor *v)
{
	(void)h;
	login_restate(v);
}

static void
each_keep(struct house *h, struct visitor *v)
{
	(void)h;
	visitor_keep(v);
}

static void
each_remove_unlinked(struct house *h, struct visitor *v)
{
	if (v->link == NULL)
		visitor_remove(h, v->kept.conn);
}

/* The table that the auth before us kept: who is in there lives, until gateway says otherwise. */
static void
table_take(struct house *h, int fd)
{
	struct live *live = live_open(fd, (size_t)h->set->max_connections);
	struct live_state state;
	struct visitor *v;
	size_t at = 0, adopted = 0;

	if (live == NULL) {
		log_error(
		    "the table of living connections cannot be mapped; they will not outlive a restart of auth");
		return;
	}
	live_close(h->live);
	h->live = live;
	while (live_next(live, &at, &state)) {
		if (house_visitor(h, state.conn) != NULL || state.state >= LOGIN_STATES ||
		    (v = visitor_add(h, state.conn)) == NULL)
			continue;
		v->kept = state;
		login_adopt(v);
		adopted++;
	}
	visitors_each(h, each_keep);
	if (adopted > 0) {
		log_info("%zu connections are older than this process", adopted);
		if (h->policy != NULL)
			visitors_each(h, each_restate);
	}
}

static void
memory_take(struct house *h, unsigned what, int fd)
{
	if (what == MEMORY_LIVE)
		table_take(h, fd);
	else if (what == MEMORY_VAULT_KEY)
		rekey_key(h, fd, VAULT_NOW);
	else if (what == MEMORY_VAULT_KEY_OLD)
		rekey_key(h, fd, VAULT_OLD);
	else
		log_fatal("gateway sent memory that is not for auth");
}

/* ---- policy ---- */

static void
attempt_post(struct house *h, const struct attempt *a)
{
	peer_post(h->policy, LOGIN_EVENT, login_event, .conn = a->conn, .login = bytes_text(a->login),
	    .method = bytes_text(a->method), .reason = (uint16_t)a->reason, .source = bytes_text(a->source),
	    .port = a->port, .fingerprint = bytes_text(a->fingerprint), .at_wall_ms = a->at_wall_ms);
}

void
house_attempt(struct house *h, const struct attempt *a)
{
	if (a->reason != REASON_NONE)
		log_info("connection %llu: %s from %s: %s%s%s %s", (unsigned long long)a->conn, a->login, a->source,
		    a->method, a->method[0] == '\0' ? "" : ": ", reason_code(a->reason), a->fingerprint);
	if (h->policy != NULL) {
		attempt_post(h, a);
		return;
	}
	if (h->attempts_count == HOUSE_ATTEMPTS_MAX) {
		log_error("policy is away and too much happened: the oldest attempt to log in is forgotten");
		h->attempts_first = (h->attempts_first + 1) % HOUSE_ATTEMPTS_MAX;
		h->attempts_count--;
	}
	h->attempts[(h->attempts_first + h->attempts_count++) % HOUSE_ATTEMPTS_MAX] = *a;
}

static void
on_policy(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;
	struct visitor *v;

	if (p != h->policy)
		return;
	switch (m->type) {
	case MSG_PERSON:
		if ((v = house_visitor(h, m->person.ask)) != NULL)
			login_on_person(v, &m->person);
		break;
	case MSG_INVITE:
		if ((v = house_visitor(h, m->invite.ask)) != NULL)
			invite_on_person(v, &m->invite);
		break;
	case MSG_INVITE_HELD:
		if ((v = house_visitor(h, m->invite_held.ask)) != NULL)
			invite_on_held(v, m->invite_held.reason);
		break;
	case MSG_FRESH_CODE_WANTED:
		if ((v = house_visitor(h, m->fresh_code_wanted.conn)) != NULL)
			fresh_on_wanted(v, m->fresh_code_wanted.ask);
		else
			peer_post(p, FRESH_CODE, fresh_code, .conn = m->fresh_code_wanted.conn,
			    .ask = m->fresh_code_wanted.ask, .reason = REASON_CLIENT_GONE);
		break;
	case MSG_IDENTITY_HELD:
		if ((v = house_visitor(h, m->identity_held.conn)) != NULL)
			login_on_held(v, m->identity_held.reason);
		break;
	case MSG_CERTIFY:
		if ((v = house_visitor(h, m->certify.conn)) != NULL)
			permit_on_certify(v, &m->certify);
		break;
	case MSG_SECRET_MAY:
		door_on_may(h, &m->secret_may);
		break;
	case MSG_GRACE_CAP: {
		char person[LIVE_PERSON_SIZE];

		if (bytes_copy(person, sizeof(person), m->grace_cap.login) == -1)
			log_fatal("policy's login for GRACE_CAP is too long");
		live_grace_end(h->live, person);
		break;
	}
	default:
		log_fatal("policy sent %s, which is not for auth", message_name(m->type));
	}
}

static void
on_policy_closed(struct peer *p, const char *why, void *ctx)
{
	struct house *h = ctx;

	if (*why != '\0')
		log_fatal("policy: %s", why);
	if (p == h->policy)
		h->policy = NULL;
	peer_close(p);
}

static void
policy_link(struct house *h, int fd)
{
	peer_close(h->policy);
	h->policy = peer_open(h->loop, fd, PROCESS_AUTH, PROCESS_POLICY, 0, on_policy, on_policy_closed, h);
	for (; h->policy != NULL && h->attempts_count > 0; h->attempts_count--) {
		attempt_post(h, &h->attempts[h->attempts_first]);
		h->attempts_first = (h->attempts_first + 1) % HOUSE_ATTEMPTS_MAX;
	}
	peer_post(h->policy, HOST_KEY, host_key, .blob = signer_public(h->host_key));
	tells_flush(h->tells, h->policy);
	visitors_each(h, each_restate);
	door_restate(h);
}

/* ---- gateway ---- */

static struct visitor *
talk_find(struct house *h, uint64_t ask)
{
	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		for (struct visitor *v = h->buckets[i]; v != NULL; v = v->next)
			if (v->talk.is_on && v->talk.ask == ask && ask != 0)
				return (v);
	return (NULL);
}

static void
session_link(struct house *h, uint64_t conn, int fd, struct bytes source, uint16_t port)
{
	struct visitor *v = house_visitor(h, conn);
	char text[LIVE_SOURCE_SIZE];

	if (conn == 0 || bytes_copy(text, sizeof(text), source) == -1)
		log_fatal("gateway's link for connection %llu makes no sense", (unsigned long long)conn);
	if (v == NULL && (v = visitor_add(h, conn)) == NULL) {
		log_error("no memory for connection %llu", (unsigned long long)conn);
		close(fd);
		return;
	}
	visitor_link(v, fd, text, port);
}

static void
pam_link(struct house *h, uint64_t ask, int fd)
{
	struct visitor *v = talk_find(h, ask);

	if (v != NULL && v->talk.link == NULL && !v->talk.made_up && !v->talk.is_judged)
		talk_link(v, fd);
	else if (!enrol_link(h, ask, fd))
		close(fd); /* they left meanwhile */
}

/* It ended before its link came, or without a word. */
static void
pam_gone(struct house *h, uint64_t ask)
{
	struct visitor *v = talk_find(h, ask);

	if (enrol_gone(h, ask))
		return;
	if (v != NULL && v->talk.link == NULL && !v->talk.made_up && !v->talk.is_judged)
		talk_verdict(v, REASON_PAM_TROUBLE);
}

void
house_on_gateway(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;
	int fd = m->fd;

	h->gateway = p;
	switch (m->type) {
	case MSG_LINK:
		m->fd = -1;
		if (m->link.peer == PROCESS_SESSION)
			session_link(h, m->link.conn, fd, m->link.source, m->link.port);
		else if (m->link.peer == PROCESS_POLICY)
			policy_link(h, fd);
		else if (m->link.peer == PROCESS_PAM)
			pam_link(h, m->link.conn, fd);
		else
			log_fatal("gateway made a link to process %u", m->link.peer);
		break;
	case MSG_MEMORY:
		m->fd = -1;
		memory_take(h, m->memory.what, fd);
		break;
	case MSG_CONTROL:
		m->fd = -1;
		door_begin(h, fd);
		rekey_begin(h); /* the vault's keys came before, if they came */
		break;
	case MSG_LINKS_TOLD:
		/* Connections of an auth before us that ended while nobody was here to be told. */
		visitors_each(h, each_remove_unlinked);
		break;
	case MSG_SESSION_GONE:
		visitor_remove(h, m->session_gone.conn);
		break;
	case MSG_PAM_GONE:
		pam_gone(h, m->pam_gone.ask);
		break;
	default:
		log_fatal("gateway sent %s, which is not for auth", message_name(m->type));
	}
}

int
house_begin(
    struct house *h, struct loop *loop, const struct settings *set, struct signer *host_key, struct signer *user_ca)
{
	char path[4096];

	h->loop = loop;
	h->set = set;
	h->host_key = host_key;
	h->user_ca = user_ca;
	h->delay_ms = HOUSE_CODE_DELAY_MS;
	h->penalties = penalties_new(set->penalty_least, set->penalty_most);
	h->live = live_open(-1, (size_t)set->max_connections);
	snprintf(path, sizeof(path), "%s/auth/vault", set->state_directory);
	h->vault = vault_new(path);
	h->tells = tells_new();
	/* Not a number that the auth before us gave: gateway may still say that such a lodge-pam is gone. */
	h->asks = (uint64_t)clock_wall_ms() << 16;
	return (h->penalties == NULL || h->live == NULL || h->vault == NULL || h->tells == NULL ? -1 : 0);
}

void
house_end(struct house *h)
{
	struct visitor *v;

	door_end(h);
	rekey_end(h);
	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		while ((v = h->buckets[i]) != NULL) {
			h->buckets[i] = v->next;
			visitor_free(v);
		}
	enrol_end_all(h);
	peer_close(h->policy);
	live_close(h->live);
	penalties_free(h->penalties);
	vault_free(h->vault);
	tells_free(h->tells);
	signer_free(h->host_key);
	signer_free(h->user_ca);
}
