/* The connections that live; see visits.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "fresh.h"
#include "keys.h"
#include "links.h"
#include "outbox.h"
#include "secrets.h"
#include "verbs.h"
#include "visits.h"
#include "walk.h"
#include "words.h"

#define CUT_SLACK_MS 2000 /* gateway kills so long after the session was told to end */

struct connection *
connection_find(struct policy *p, uint64_t conn)
{
	struct connection *c;

	for (c = p->connections; c != NULL && c->conn != conn; c = c->next)
		;
	return (c);
}

struct connection *
connection_make(struct policy *p, uint64_t conn)
{
	struct connection *c = connection_find(p, conn);
	struct rows found;

	if (c != NULL)
		return (c);
	if ((c = calloc(1, sizeof(*c))) == NULL)
		log_fatal("out of memory");
	c->policy = p;
	c->conn = conn;
	c->next = p->connections;
	p->connections = c;
	if (must(p, store_list(p->store, QUERY_VISITOR_OF_CONN, &found, ARG_INT((int64_t)conn))) == 1) {
		c->visitor = *rows_at(&found, visitor, 0);
		TEXT_COPY(c->source, c->visitor.source);
		c->port = (uint16_t)c->visitor.port;
		walks_load(c);
	}
	rows_free(&found);
	return (c);
}

static void
questions_free(struct connection *c)
{
	struct question *q;

	while ((q = c->questions) != NULL) {
		c->questions = q->next;
		free(q);
	}
}

static void
connection_free(struct connection *c)
{
	struct connection **at;

	for (at = &c->policy->connections; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	verbs_connection_over(c);
	peer_close(c->session);
	questions_free(c);
	fresh_free(c);
	walks_free(c);
	free(c);
}

void
visits_link(struct policy *p, uint64_t conn, const char *source, uint16_t port, int fd)
{
	struct connection *c = connection_make(p, conn);
	struct peer *old = c->session;

	TEXT_COPY(c->source, source);
	c->port = port;
	c->linked = 1;
	if (old != NULL)
		verbs_connection_over(c);
	peer_close(old);
	if ((c->session = peer_open(p->loop, fd, PROCESS_POLICY, PROCESS_SESSION, conn, on_session_message,
	         on_session_closed, c)) == NULL)
		log_fatal("out of memory for a link");
	for (struct question *q = c->questions; q != NULL; q = q->next)
		q->told_waiting = q->told_yes = 0;
	walks_session_anew(c);
	if (c->visitor.cut_at != 0) /* who ordered it was told so: it holds, though policy died over it */
		connection_cut(c, REASON_ENDED_BY_MANAGER, c->visitor.cut_why);
	policy_advance(p);
}

void
connection_cut(struct connection *c, enum reason reason, const char *text)
{
	c->cut = 1;
	peer_post(c->session, END, end, .grant = 0, .reason = (uint16_t)reason, .text = bytes_text(text));
	peer_post(c->policy->gateway, KILL_AT, kill_at, .conn = c->conn,
	    .kill_boot_ms = clock_boot_ms() + CUT_SLACK_MS, .reason = (uint16_t)reason);
}

/* ---- ends ---- */

/* What the book is told of a stream, whatever happened to it; all lent from the row. */
static struct happening
happening_of(const struct stream *row, enum event_type type)
{
	return ((struct happening){.type = type,
	    .who = row->person,
	    .vendor = row->vendor,
	    .session = row->visitor,
	    .request = row->request,
	    .grant = row->grant,
	    .recording = row->id,
	    .recording_number = row->number,
	    .target = row->target,
	    .account = row->account});
}

/* She was let in to the target at row->entered_at; source is "" where nobody knows it any more. */
static void
begun_note(struct policy *p, const struct stream *row, const char *source, uint16_t port)
{
	struct happening h = happening_of(row, EVENT_VISIT_BEGUN);

	h.source = source;
	h.port = port;
	h.what = row->what;
	(void)event_note(p, &h);
}

static void
stream_end(struct policy *p, struct stream *row, enum reason reason, int64_t at, const char *text)
{
	struct happening h = happening_of(row, EVENT_VISIT_ENDED);
	int entered = row->began_at != 0;

	h.outcome = "success";
	h.reason = reason;
	h.why = text;
	/*
	 * Her session has ended, and whom it told of her entering died before it was kept.  She had the target's socket:
	 * the book has no end without a beginning, and the recording shows what came of it.
	 */
	if (entered && row->entered_at == 0) {
		row->entered_at = row->began_at;
		begun_note(p, row, "", 0);
	}
	row->state = entered ? STREAM_STATE_ENDED : STREAM_STATE_DROPPED;
	row->ended_at = at;
	row->reason = (int64_t)reason;
	must(p, stream_set(p->store, row));
	if (entered)
		(void)event_note(p, &h);
}

/* Within a transaction: all that this connection still had in hand is over. */
static void
visitor_end(struct policy *p, struct visitor *v, enum reason reason)
{
	struct happening h = {.type = EVENT_LOGOUT,
	    .outcome = "success",
	    .reason = reason,
	    .who = v->person,
	    .vendor = v->vendor,
	    .source = v->source,
	    .port = v->port,
	    .session = v->number};
	struct rows found;

	must(p, store_list(p->store, QUERY_STREAMS_OF_CONN_LIVE, &found, ARG_INT(v->conn),
	            ARG_INT(STREAM_STATE_ALLOWED), ARG_INT(STREAM_STATE_BEGUN)));
	for (size_t i = 0; i < found.count; i++)
		stream_end(p, rows_at(&found, stream, i), reason, clock_wall_ms(), "");
	rows_free(&found);
	must(p, answers_forget(p->store, v->conn));
	v->ended_at = clock_wall_ms();
	v->reason = (int64_t)reason;
	must(p, visitor_set(p->store, v));
	(void)event_note(p, &h);
}

int
connection_is_gone(const struct policy *p, uint64_t conn)
{
	for (size_t i = 0; i < GONE_KEPT; i++)
		if (p->gone[i] == conn)
			return (1);
	return (0);
}

void
on_session_gone(struct policy *p, const struct msg_session_gone *m)
{
	struct connection *c = connection_make(p, m->conn); /* it may have gone while policy was away */
	enum reason reason = m->status == 0 ? REASON_LEFT : REASON_SESSION_DIED;

	if (c->visitor.number != 0 && c->visitor.ended_at == 0) {
		policy_begin(p);
		visitor_end(p, &c->visitor, reason);
		policy_commit(p);
	}
	p->gone[p->gone_next++ % GONE_KEPT] = m->conn;
	connection_free(c);
	policy_advance(p);
}

void
visits_sweep(struct policy *p)
{
	struct rows here;

	must(p, store_list_all(p->store, QUERY_VISITORS_HERE, &here));
	policy_begin(p);
	for (size_t i = 0; i < here.count; i++) {
		struct visitor *v = rows_at(&here, visitor, i);
		struct connection *c = connection_find(p, (uint64_t)v->conn);

		if (c == NULL || !c->linked)
			visitor_end(p, v, REASON_SESSION_DIED);
	}
	policy_commit(p);
	rows_free(&here);
	for (struct connection *c = p->connections, *next; c != NULL; c = next) {
		next = c->next;
		if (!c->linked)
			connection_free(c);
	}
	policy_advance(p);
}

void
visits_free(struct policy *p)
{
	while (p->connections != NULL)
		connection_free(p->connections);
}

/* ---- what sessions tell ---- */

static int
stream_load(struct policy *p, uint64_t conn, uint32_t stream, struct stream *row)
{
	struct rows found;
	int n =
	    must(p, store_list(p->store, QUERY_STREAM_OF_CONN, &found, ARG_INT((int64_t)conn), ARG_INT(stream)));

	if (n == 1)
		*row = *rows_at(&found, stream, 0);
	rows_free(&found);
	return (n == 1);
}

static void
visit_opened(struct connection *c, struct stream *row)
{
	if (row->entered_at != 0) /* a session tells it again whenever policy is new */
		return;
	row->state = STREAM_STATE_BEGUN;
	row->entered_at = clock_wall_ms();
	if (row->began_at == 0)
		row->began_at = row->entered_at;
	must(c->policy, stream_set(c->policy->store, row));
	begun_note(c->policy, row, c->source, c->port);
}

static void
visit_failed(struct connection *c, struct stream *row, enum reason reason, const char *text)
{
	struct happening h = happening_of(row, EVENT_VISIT_REFUSED);

	h.reason = reason;
	h.source = c->source;
	h.port = c->port;
	h.what = row->what;
	h.why = text;
	row->state = STREAM_STATE_ENDED;
	row->reason = (int64_t)reason;
	row->ended_at = clock_wall_ms();
	must(c->policy, stream_set(c->policy->store, row));
	(void)event_note(c->policy, &h);
}

static void
pinned_print(struct policy *p, const char *target, char *text, size_t size)
{
	struct rows keys;
	size_t n = 0;

	text_copy(text, size, "none");
	must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(target)));
	for (size_t i = 0; i < keys.count && n < size; i++)
		n += (size_t)snprintf(
		    text + n, size - n, "%s%s", n == 0 ? "" : ", ", rows_at(&keys, target_key, i)->fingerprint);
	rows_free(&keys);
}

/* Kept in the target's row until somebody says which key is right; not when that was said meanwhile.  Nonzero: kept. */
static int
host_key_keep(struct connection *c, const struct stream *row, const char *line, const struct key_read *shown)
{
	struct policy *p = c->policy;
	struct target t = {.port = 0};
	struct target_key pinned = {.added = 0};

	TEXT_COPY(t.name, row->target);
	TEXT_COPY(pinned.target, row->target);
	TEXT_COPY(pinned.fingerprint, shown->fingerprint);
	if (must(p, target_get(p->store, &t)) == 0 || must(p, target_key_get(p->store, &pinned)) == 1)
		return (0);
	t.mismatch_at = clock_wall_ms();
	t.mismatch_session = row->visitor;
	TEXT_COPY(t.mismatch_key, line);
	must(p, target_set(p->store, &t));
	return (1);
}

/* The target is not what it was, or not itself: evidence.  `text` becomes what the visit's own event says of it. */
static void
host_key_shown(struct connection *c, const struct stream *row, struct bytes told, char *text, size_t size)
{
	struct happening h = happening_of(row, EVENT_TARGET_HOST_KEY);
	char line[ROW_KEY_LINE], pinned[ROW_WORDS];
	struct key_read shown = {.type = ""};

	text_clean(line, sizeof(line), told);
	if (key_read(&shown, line) == -1) {
		shown = (struct key_read){.type = ""};
		text_copy(line, sizeof(line), "");
	}
	if (shown.fingerprint[0] != '\0' && !host_key_keep(c, row, line, &shown))
		return;
	pinned_print(c->policy, row->target, pinned, sizeof(pinned));
	(void)snprintf(text, size, "it showed %s %s; pinned: %.300s", shown.fingerprint, shown.type, pinned);
	h.reason = REASON_HOST_KEY;
	h.source = c->source;
	h.fingerprint = shown.fingerprint;
	h.what = line;
	h.why = text;
	(void)event_note(c->policy, &h);
}

void
on_visit(struct connection *c, const struct msg_visit *m)
{
	struct policy *p = c->policy;
	struct walk *w = walk_find(c, m->stream);
	struct stream row;
	char text[ROW_WORDS];

	if (!stream_load(p, c->conn, m->stream, &row)) {
		suspect_note(c, "told of a stream that policy never allowed");
		return;
	}
	if (row.state != STREAM_STATE_ALLOWED && row.state != STREAM_STATE_BEGUN)
		return;
	policy_begin(p);
	if (m->reason == REASON_HOST_KEY && (m->what == VISIT_FAILED || m->what == VISIT_CLOSED)) {
		text_copy(text, sizeof(text), "");
		host_key_shown(c, &row, m->text, text, sizeof(text));
	} else
		text_clean(text, sizeof(text), m->text);
	switch (m->what) {
	case VISIT_OPENED:
		visit_opened(c, &row);
		if (w != NULL && w->stage == WALK_GOING)
			w->stage = WALK_BEGUN;
		break;
	case VISIT_FAILED:
		visit_failed(c, &row, (enum reason)m->reason, text);
		if (w != NULL)
			w->stage = WALK_OVER;
		break;
	case VISIT_CLOSED:
		stream_end(p, &row, (enum reason)m->reason, clock_wall_ms(), text);
		if (w != NULL)
			w->stage = WALK_OVER;
		break;
	default: /* channels are in the recording */
		break;
	}
	policy_commit(p);
	policy_advance(p);
}

void
on_refused(struct connection *c, const struct msg_refused *m)
{
	struct happening h = {.type = EVENT_CHANNEL_REFUSED,
	    .reason = (enum reason)m->reason,
	    .who = c->visitor.person,
	    .vendor = c->visitor.vendor,
	    .source = c->source,
	    .port = c->port,
	    .session = c->visitor.number};
	char what[ROW_NAME], detail[ROW_WORDS];

	text_clean(what, sizeof(what), m->what);
	text_clean(detail, sizeof(detail), m->detail);
	h.what = what;
	h.why = detail;
	policy_begin(c->policy);
	(void)event_note(c->policy, &h);
	policy_commit(c->policy);
}

void
on_sealed(struct policy *p, const struct msg_sealed *m)
{
	struct connection *c;
	struct stream row;

	if (!stream_load(p, m->conn, m->stream, &row))
		return;
	policy_begin(p);
	if (row.state == STREAM_STATE_ALLOWED || row.state == STREAM_STATE_BEGUN) {
		struct walk *w = (c = connection_find(p, m->conn)) == NULL ? NULL : walk_find(c, m->stream);

		stream_end(p, &row, (enum reason)m->reason, m->at_wall_ms, "");
		if (w != NULL)
			w->stage = WALK_OVER;
	}
	if (row.began_at != 0)
		row.state = STREAM_STATE_SEALED;
	row.sealed_at = m->at_wall_ms;
	row.sealed_state = m->state;
	row.segments = m->segments;
	row.bytes_out = (int64_t)m->bytes_out;
	row.bytes_in = (int64_t)m->bytes_in;
	for (size_t i = 0; i < m->digest.len && i < 32; i++)
		snprintf(row.digest + 2 * i, sizeof(row.digest) - 2 * i, "%02x", m->digest.at[i]);
	must(p, stream_set(p->store, &row));
	policy_commit(p);
	/* The recorder listens to it no more, and it may have the target's socket still: gateway ends it. */
	if (m->reason == REASON_SUSPECT && (c = connection_find(p, m->conn)) != NULL && !c->cut) {
		suspect_note(c, "told the recorder what is not its own");
		connection_cut(c, REASON_SUSPECT, "");
	}
}
