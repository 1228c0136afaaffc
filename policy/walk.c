/* The walk "a yes"; see walk.h.  One file: its steps are one order, and what takes each back stands beside it. */
#include <sys/random.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "graces.h"
#include "contract/algorithms.h"
#include "outbox.h"
#include "targets.h"
#include "walk.h"
#include "words.h"

#define KILL_SLACK_MS 2000  /* gateway's hand: so long after ours */
#define WAIT_SLACK_MS 10000 /* gateway's own limit on a connection that waits lies so far behind ours */
#define STREAM_ID 16

struct walk *
walk_find(struct connection *c, uint32_t stream)
{
	struct walk *w;

	for (w = c->walks; w != NULL && w->stream != stream; w = w->next)
		;
	return (w);
}

static struct lease *
lease_find(struct connection *c, int64_t grant)
{
	struct lease *l;

	for (l = c->leases; l != NULL && l->grant != grant; l = l->next)
		;
	return (l);
}

/* ---- beginnings ---- */

static void
lease_fill(struct lease *l, const struct grant *g)
{
	l->grant = g->id;
	l->begins_at = g->begins_at;
	l->ends_at = g->ends_at;
	l->ends_boot = g->ends_boot;
	l->hard_end_boot = g->hard_end_boot;
	TEXT_COPY(l->approver, g->approver);
	l->session = l->gateway = LEASE_UNTOLD;
}

static void
lease_begin(struct connection *c, const struct grant *g)
{
	struct lease *l;

	if (lease_find(c, g->id) != NULL)
		return;
	if ((l = calloc(1, sizeof(*l))) == NULL)
		log_fatal("out of memory");
	lease_fill(l, g);
	l->next = c->leases;
	c->leases = l;
}

static void
lease_end(struct connection *c, int64_t grant)
{
	for (struct lease **l = &c->leases; *l != NULL; l = &(*l)->next)
		if ((*l)->grant == grant) {
			struct lease *gone = *l;

			*l = gone->next;
			free(gone);
			return;
		}
}

static struct walk *
walk_add(struct connection *c, const struct stream *row)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (w == NULL)
		log_fatal("out of memory");
	w->number = row->number;
	w->stream = (uint32_t)row->stream;
	w->grant = row->grant;
	w->forward = row->forward_port != 0;
	w->stage = row->state == STREAM_STATE_BEGUN ? WALK_BEGUN : WALK_GOING;
	w->after = c->policy->event_last;
	w->next = c->walks;
	c->walks = w;
	return (w);
}

static void
id_make(char *id, size_t size)
{
	unsigned char bytes[STREAM_ID];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		log_fatal("no random numbers");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(id + 2 * i, size - 2 * i, "%02x", bytes[i]);
}

static uint32_t
stream_next(struct connection *c)
{
	struct rows found;
	uint32_t next = 1;

	if (must(c->policy,
	        store_list(c->policy->store, QUERY_STREAM_LAST_OF_CONN, &found, ARG_INT((int64_t)c->conn))) == 1)
		next = (uint32_t)rows_at(&found, stream, 0)->stream + 1;
	rows_free(&found);
	return (next);
}

size_t
walk_forwards(const struct connection *c)
{
	size_t n = 0;

	for (const struct walk *w = c->walks; w != NULL; w = w->next)
		n += w->forward && w->stage != WALK_OVER;
	return (n);
}

int
walk_is_permitted(const struct walk *w)
{
	return (w->forward ? w->recorder == STEP_DONE : w->auth == STEP_DONE);
}

void
walk_begin(
    struct connection *c, const struct grant *g, const char *what, const struct forward *to, uint32_t *stream)
{
	struct stream row = {
	    .conn = (int64_t)c->conn, .visitor = c->visitor.number, .grant = g->id, .request = g->request};

	for (struct walk *w = c->walks; w != NULL && to == NULL; w = w->next)
		if (w->grant == g->id && !w->forward && w->stage != WALK_OVER) {
			*stream = w->stream;
			return;
		}
	row.stream = stream_next(c);
	row.asked_at = clock_wall_ms();
	row.state = STREAM_STATE_ALLOWED;
	id_make(row.id, sizeof(row.id));
	TEXT_COPY(row.person, c->visitor.person);
	TEXT_COPY(row.vendor, c->visitor.vendor);
	TEXT_COPY(row.target, g->target);
	TEXT_COPY(row.account, g->account);
	TEXT_COPY(row.what, what);
	if (to != NULL) {
		TEXT_COPY(row.forward_host, to->host);
		row.forward_port = to->port;
	}
	must(c->policy, stream_add(c->policy->store, &row));
	walk_add(c, &row);
	lease_begin(c, g);
	*stream = (uint32_t)row.stream;
}

void
walks_load(struct connection *c)
{
	struct policy *p = c->policy;
	struct rows found;

	must(p, store_list(p->store, QUERY_STREAMS_OF_CONN_LIVE, &found, ARG_INT((int64_t)c->conn),
	            ARG_INT(STREAM_STATE_ALLOWED), ARG_INT(STREAM_STATE_BEGUN)));
	for (size_t i = 0; i < found.count; i++) {
		const struct stream *row = rows_at(&found, stream, i);
		struct grant g = {.id = row->grant};

		if (must(p, grant_get(p->store, &g)) == 0)
			abort();
		walk_add(c, row);
		lease_begin(c, &g);
	}
	rows_free(&found);
}

void
walks_free(struct connection *c)
{
	struct walk *w;

	while ((w = c->walks) != NULL) {
		c->walks = w->next;
		free(w);
	}
	while (c->leases != NULL)
		lease_end(c, c->leases->grant);
}

/* ---- steps ---- */

static void
lease_tell(struct connection *c, struct lease *l)
{
	struct message m = {.type = MSG_LEASE,
	    .fd = -1,
	    .lease = {.conn = c->conn,
	        .grant = (uint64_t)l->grant,
	        .begins_wall_ms = l->begins_at,
	        .ends_wall_ms = l->ends_at,
	        .ends_boot_ms = l->ends_boot,
	        .hard_end_boot_ms = l->hard_end_boot,
	        .approver = bytes_text(l->approver)}};

	if (l->gateway == LEASE_UNTOLD) {
		peer_send(c->policy->gateway, &m);
		l->gateway = LEASE_TOLD;
		c->limit_boot = l->hard_end_boot + KILL_SLACK_MS;
	}
	if (l->session == LEASE_UNTOLD && c->session != NULL) {
		peer_send(c->session, &m);
		l->session = LEASE_TOLD;
	}
}

/* What the recorder writes first, and what the reader shows: everything about the visit but its content. */
static char *
stream_facts(struct connection *c, const struct stream *row)
{
	struct policy *p = c->policy;
	struct request r = {.id = row->request};
	struct grant g = {.id = row->grant};
	struct target t = {.port = 0};
	json_t *o;
	char *text, can[64], old[TARGET_OLD_TEXT];

	TEXT_COPY(t.name, row->target);
	(void)must(p, target_get(p->store, &t));
	target_old_print(&t, old);
	must(p, request_get(p->store, &r));
	must(p, grant_get(p->store, &g));
	capabilities_print((unsigned)g.capabilities, can, sizeof(can));
	o = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b, "
	              "s:I, s:I, s:I, s:s, s:s, s:s*, s:s*}",
	    "recording", row->id, "number", (json_int_t)row->number, "person", row->person, "vendor", row->vendor,
	    "target", row->target, "account", row->account, "what", row->what, "request", (json_int_t)row->request,
	    "grant", (json_int_t)row->grant, "session", (json_int_t)row->visitor, "approver", g.approver, "why",
	    r.why, "ticket", r.ticket, "source", c->visitor.source, "fingerprint", c->visitor.fingerprint, "port",
	    (json_int_t)c->visitor.port, "factors", (json_int_t)c->visitor.factors, "host_bound",
	    (int)(c->visitor.host_bound != 0), "asked_at_ms", (json_int_t)r.asked_at, "begins_at_ms",
	    (json_int_t)g.begins_at, "ends_at_ms", (json_int_t)g.ends_at, "capabilities", can, "forwards",
	    g.forwards, "login", row->forward_port != 0 ? NULL : target_login_word(target_login(&t)), "legacy",
	    row->forward_port != 0 || old[0] == '\0' ? NULL : old);
	text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(o);
	if (text == NULL)
		log_fatal("out of memory for the facts of a recording");
	return (text);
}

static void
id_bytes(const char *id, unsigned char bytes[STREAM_ID])
{
	for (size_t i = 0; i < STREAM_ID; i++) {
		unsigned v = 0;

		(void)sscanf(id + 2 * i, "%2x", &v);
		bytes[i] = (unsigned char)v;
	}
}

static void
recorder_tell(struct connection *c, struct walk *w, const struct stream *row)
{
	unsigned char id[STREAM_ID];
	char *facts = stream_facts(c, row);

	id_bytes(row->id, id);
	peer_post(c->policy->recorder, STREAM_ALLOWED, stream_allowed, .conn = c->conn, .stream = w->stream,
	    .grant = (uint64_t)w->grant, .id = bytes_of(id, sizeof(id)), .facts = bytes_text(facts), .strict = 0);
	free(facts);
	w->recorder = STEP_TOLD;
}

static void
auth_tell(struct connection *c, struct walk *w, const struct stream *row, const struct grant *g)
{
	struct target t = {.port = 0};

	TEXT_COPY(t.name, row->target);
	(void)must(c->policy, target_get(c->policy->store, &t));
	peer_post(c->policy->auth, CERTIFY, certify, .conn = c->conn, .stream = w->stream,
	    .grant = (uint64_t)w->grant, .target = bytes_text(row->target), .account = bytes_text(row->account),
	    .ends_wall_ms = g->ends_at, .capabilities = (uint32_t)g->capabilities, .how = (uint8_t)target_login(&t),
	    .sha1 = (uint8_t)algorithm_list_has(bytes_text(t.legacy), bytes_text("ssh-rsa")));
	w->auth = STEP_TOLD;
}

static void
dialer_tell(struct connection *c, struct walk *w, const struct stream *row)
{
	struct target t;
	const char *host = row->forward_host;
	int64_t port = row->forward_port;

	if (!w->forward) {
		t = (struct target){.port = 0};
		TEXT_COPY(t.name, row->target);
		if (must(c->policy, target_get(c->policy->store, &t)) == 0)
			return; /* it was removed just now: whoever did that revoked the grant */
		host = t.host;
		port = t.port;
	}
	peer_post(c->policy->dialer, DIAL, dial, .conn = c->conn, .stream = w->stream, .host = bytes_text(host),
	    .port = (uint16_t)port, .guarded = (uint8_t)(w->forward && !forward_is_plain(host)));
	w->dial = STEP_TOLD;
}

static void
walk_advance(struct connection *c, struct walk *w)
{
	struct policy *p = c->policy;
	struct lease *l = lease_find(c, w->grant);
	struct stream row = {.number = w->number};
	struct grant g = {.id = w->grant};

	if (w->stage == WALK_OVER || l == NULL || p->book_held < w->after)
		return;
	lease_tell(c, l);
	if (l->session != LEASE_IS_HELD || l->gateway != LEASE_IS_HELD)
		return;
	if (w->recorder == STEP_DONE && walk_is_permitted(w) && (w->dial != STEP_UNTOLD || w->stage == WALK_BEGUN))
		return;
	if (must(p, stream_get(p->store, &row)) == 0 || must(p, grant_get(p->store, &g)) == 0)
		abort();
	if (w->recorder == STEP_UNTOLD && p->recorder != NULL)
		recorder_tell(c, w, &row);
	if (w->recorder != STEP_DONE)
		return;
	if (w->auth == STEP_UNTOLD && !w->forward && p->auth != NULL)
		auth_tell(c, w, &row, &g);
	if (!walk_is_permitted(w))
		return;
	if (w->dial == STEP_UNTOLD && w->stage == WALK_GOING && p->dialer != NULL)
		dialer_tell(c, w, &row);
}

/* Gateway's limit on the connection: the latest of what it may still wait for or use. */
static void
limit_tell(struct connection *c)
{
	int64_t want = 0;

	if (c->cut)
		return;
	for (const struct lease *l = c->leases; l != NULL; l = l->next)
		if (l->gateway != LEASE_UNTOLD && l->hard_end_boot + KILL_SLACK_MS > want)
			want = l->hard_end_boot + KILL_SLACK_MS;
	for (const struct question *q = c->questions; q != NULL; q = q->next)
		if (!q->told_yes && q->lapse_boot != 0 && q->lapse_boot + WAIT_SLACK_MS > want)
			want = q->lapse_boot + WAIT_SLACK_MS;
	if (want == 0 || want == c->limit_boot)
		return;
	peer_post(c->policy->gateway, KILL_AT, kill_at, .conn = c->conn, .kill_boot_ms = want,
	    .reason = REASON_WINDOW_ENDED);
	c->limit_boot = want;
}

/* What is over is known from the database alone; a connection may forward thousands, one after the other. */
static void
walks_prune(struct connection *c)
{
	struct walk **at = &c->walks, *w;

	while ((w = *at) != NULL) {
		if (w->stage != WALK_OVER) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

void
walks_advance(struct connection *c)
{
	walks_prune(c);
	for (struct walk *w = c->walks; w != NULL; w = w->next)
		walk_advance(c, w);
	limit_tell(c);
}

/* ---- links made anew ---- */

void
walks_session_anew(struct connection *c)
{
	for (struct lease *l = c->leases, *next; l != NULL; l = next) {
		struct grant g = {.id = l->grant};

		next = l->next;
		if (must(c->policy, grant_get(c->policy->store, &g)) == 0)
			abort();
		l->session = LEASE_UNTOLD;
		if (g.state != STATE_OPEN && g.state != STATE_SCHEDULED)
			grant_cut(c->policy, &g, g.state == STATE_EXPIRED ? REASON_WINDOW_ENDED : REASON_REVOKED,
			    g.end_why);
	}
}

void
walks_recorder_anew(struct policy *p)
{
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		for (struct walk *w = c->walks; w != NULL; w = w->next) {
			w->recorder = STEP_UNTOLD;
			/* A descriptor may have died with the old one; if the session has it, the new one will hear so. */
			w->dial = STEP_UNTOLD;
		}
	policy_advance(p);
}

void
walks_auth_anew(struct policy *p)
{
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		for (struct walk *w = c->walks; w != NULL; w = w->next)
			w->auth = STEP_UNTOLD;
	policy_advance(p);
}

void
walks_dialer_anew(struct policy *p)
{
	for (struct connection *c = p->connections; c != NULL; c = c->next)
		for (struct walk *w = c->walks; w != NULL; w = w->next)
			if (w->dial == STEP_TOLD)
				w->dial = STEP_UNTOLD;
	policy_advance(p);
}

/* ---- what comes back ---- */

void
on_lease_held(struct policy *p, enum process by, const struct msg_lease_held *m)
{
	struct connection *c = connection_find(p, m->conn);
	struct lease *l = c == NULL ? NULL : lease_find(c, (int64_t)m->grant);

	if (l == NULL || l->ends_boot != m->ends_boot_ms)
		return; /* an older lease of the same grant */
	if (by == PROCESS_GATEWAY)
		l->gateway = LEASE_IS_HELD;
	else
		l->session = LEASE_IS_HELD;
	policy_advance(p);
}

/* The stream came to nothing: the engineer is told, and so is the book. */
static void
walk_fail(struct connection *c, struct walk *w, enum reason reason, const char *text)
{
	struct policy *p = c->policy;
	struct stream row = {.number = w->number};
	struct happening h;
	int64_t event;

	if (w->stage != WALK_GOING || must(p, stream_get(p->store, &row)) == 0)
		return;
	policy_begin(p);
	row.state = STREAM_STATE_DROPPED;
	row.reason = (int64_t)reason;
	row.ended_at = clock_wall_ms();
	must(p, stream_set(p->store, &row));
	h = (struct happening){.type = EVENT_VISIT_REFUSED,
	    .reason = reason,
	    .who = row.person,
	    .vendor = row.vendor,
	    .source = c->source,
	    .port = c->port,
	    .session = c->visitor.number,
	    .request = row.request,
	    .grant = row.grant,
	    .recording = row.id,
	    .target = row.target,
	    .account = row.account,
	    .what = row.what,
	    .why = text};
	event = event_note(p, &h);
	questions_fail(c, w->stream, reason, text, event);
	policy_commit(p);
	w->stage = WALK_OVER;
	peer_post(p->recorder, STREAM_DROPPED, stream_dropped, .conn = c->conn, .stream = w->stream,
	    .reason = (uint16_t)reason);
	policy_advance(p);
}

void
on_stream_ready(struct policy *p, const struct msg_stream_ready *m)
{
	struct connection *c = connection_find(p, m->conn);
	struct walk *w = c == NULL ? NULL : walk_find(c, m->stream);

	if (w == NULL)
		return;
	if (m->reason != REASON_NONE) {
		walk_fail(c, w, (enum reason)m->reason, reason_what((enum reason)m->reason));
		return;
	}
	w->recorder = STEP_DONE;
	policy_advance(p);
}

void
on_stream_begun(struct policy *p, const struct msg_stream_begun *m)
{
	struct connection *c = connection_find(p, m->conn);
	struct walk *w = c == NULL ? NULL : walk_find(c, m->stream);
	struct stream row = {.number = w == NULL ? 0 : w->number};

	if (w == NULL || w->stage != WALK_GOING || must(p, stream_get(p->store, &row)) == 0)
		return;
	policy_begin(p);
	row.state = STREAM_STATE_BEGUN;
	row.began_at = m->at_wall_ms;
	must(p, stream_set(p->store, &row));
	policy_commit(p);
	w->stage = WALK_BEGUN;
	policy_advance(p);
}

void
on_certify_held(struct policy *p, const struct msg_certify_held *m)
{
	struct connection *c = connection_find(p, m->conn);
	struct walk *w = c == NULL ? NULL : walk_find(c, m->stream);

	if (w == NULL || w->auth != STEP_TOLD)
		return;
	w->auth = STEP_DONE;
	policy_advance(p);
}

void
on_dialed(struct policy *p, const struct msg_dialed *m)
{
	struct connection *c = connection_find(p, m->conn);
	struct walk *w = c == NULL ? NULL : walk_find(c, m->stream);
	char text[ROW_WORDS];

	if (w == NULL || w->dial != STEP_TOLD)
		return;
	if (m->reason == REASON_NONE) {
		w->dial = STEP_DONE;
		return;
	}
	text_clean(text, sizeof(text), m->text);
	walk_fail(c, w, (enum reason)m->reason, text[0] != '\0' ? text : reason_what((enum reason)m->reason));
}

/* ---- ends ---- */

static int
person_has_open(struct policy *p, const char *login)
{
	struct rows found;
	int n = must(p, store_list(p->store, QUERY_GRANTS_OF_PERSON_LIVE, &found, ARG_TEXT(login),
	                    ARG_INT(STATE_OPEN), ARG_INT(STATE_OPEN)));

	rows_free(&found);
	return (n > 0);
}

static int
connection_waits(const struct connection *c)
{
	for (const struct question *q = c->questions; q != NULL; q = q->next)
		if (!q->told_yes && q->lapse_boot != 0)
			return (1);
	return (0);
}

void
grant_cut(struct policy *p, const struct grant *g, enum reason reason, const char *text)
{
	int64_t now = clock_boot_ms();

	for (struct connection *c = p->connections; c != NULL; c = c->next) {
		if (lease_find(c, g->id) == NULL)
			continue;
		peer_post(c->session, END, end, .grant = (uint64_t)g->id, .reason = (uint16_t)reason,
		    .text = bytes_text(text));
		lease_end(c, g->id);
		for (struct walk *w = c->walks; w != NULL; w = w->next)
			if (w->grant == g->id && w->stage == WALK_GOING)
				walk_fail(c, w, reason, text[0] != '\0' ? text : reason_what(reason));
			else if (w->grant == g->id)
				w->stage = WALK_OVER;
		if (c->leases != NULL)
			continue;
		if (connection_waits(c)) { /* for another target: its own limit holds */
			limit_tell(c);
			continue;
		}
		peer_post(p->gateway, KILL_AT, kill_at, .conn = c->conn, .kill_boot_ms = now + KILL_SLACK_MS,
		    .reason = (uint16_t)reason);
		c->cut = 1;
	}
	if (!person_has_open(p, g->person))
		grace_end(p, g->person);
}

void
grant_restate(struct policy *p, const struct grant *g)
{
	for (struct connection *c = p->connections; c != NULL; c = c->next) {
		struct lease *l = lease_find(c, g->id);

		if (l == NULL)
			continue;
		lease_fill(l, g);
		lease_tell(c, l);
		for (struct walk *w = c->walks; w != NULL; w = w->next)
			if (w->grant == g->id)
				w->auth = STEP_UNTOLD; /* its certificates may live longer now */
	}
	policy_advance(p);
}
