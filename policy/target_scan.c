/* target scan; see target_scan.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "outbox.h"
#include "scan_report.h"
#include "target_scan.h"
#include "words.h"

#define SCANS_AT_ONCE 4
#define SCAN_STREAMS 8                   /* connections of one; it makes at most six */
#define SCAN_LIMIT_MS 45000              /* the scan ends itself after 30 s, and gateway ends it after 40 */
#define SCAN_NUMBERS (UINT64_C(1) << 63) /* dials tell a scan's number as a connection's: these are none's */

struct scan {
	struct scan *next;
	struct policy *policy;
	uint64_t number;
	struct peer *peer; /* NULL until its process lives, and when it is gone */
	struct timer *limit;
	uint32_t stream;   /* the last connection that was asked for */
	struct verb *verb; /* NULL: nobody listens any more */
	/* what is asked, and by whom: as things stood when it began */
	struct target target;
	struct speaker who;
};

static struct scan *
scan_of(struct policy *p, uint64_t number)
{
	struct scan *s;

	for (s = p->scans; s != NULL && s->number != number; s = s->next)
		;
	return (s);
}

static void
scan_free(struct scan *s)
{
	struct scan **at;

	for (at = &s->policy->scans; *at != s; at = &(*at)->next)
		;
	*at = s->next;
	peer_close(s->peer);
	timer_free(s->limit);
	free(s);
}

void
scans_free(struct policy *p)
{
	while (p->scans != NULL)
		scan_free(p->scans);
}

void
scan_forget(struct verb *v)
{
	for (struct scan *s = v->policy->scans; s != NULL; s = s->next)
		if (s->verb == v)
			s->verb = NULL;
}

/* ---- the end ---- */

static void
report_say(struct scan *s, const struct rows *pinned, enum reason reason, const char *text, const char *json)
{
	struct verb *v = s->verb;
	/* One that was slow in the middle has most of a report. */
	int told = scan_report(&s->target, pinned, json, v->form, &v->out) == 0;

	if (reason != REASON_NONE)
		verb_refuse(v, reason, "%s: %s", s->target.name, text);
	else if (!told)
		verb_refuse(v, REASON_PROTOCOL, "%s: what the scan found does not read", s->target.name);
}

/* The book is told, and then whoever asked. */
static void
scan_over(struct scan *s, enum reason reason, const char *text, const char *json)
{
	struct policy *p = s->policy;
	char summary[ROW_WORDS];
	struct happening h = {.type = EVENT_TARGET_SCANNED,
	    .reason = reason,
	    .who = s->who.login,
	    .vendor = s->who.vendor,
	    .source = s->who.source,
	    .session = s->who.session,
	    .target = s->target.name,
	    .why = reason == REASON_NONE ? summary : text};
	struct rows pinned;
	int64_t event;

	must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &pinned, ARG_TEXT(s->target.name)));
	scan_summary(&pinned, json, summary, sizeof(summary));
	policy_begin(p);
	event = event_note(p, &h);
	policy_commit(p);
	if (s->verb != NULL) {
		report_say(s, &pinned, reason, text, json);
		verb_changed(s->verb, event);
		s->verb->is_scanning = 0;
	}
	rows_free(&pinned);
	scan_free(s);
	policy_advance(p);
}

static void
on_limit(void *ctx)
{
	scan_over(ctx, REASON_UNREACHABLE, "the scan did not come to its end", "{}");
}

void
on_scan_gone(struct policy *p, const struct msg_scan_gone *m)
{
	struct scan *s = scan_of(p, m->scan);

	if (s != NULL)
		scan_over(
		    s, REASON_LIMIT, "the scanning process ended before it had told anything; try again", "{}");
}

/* ---- what the scan says ---- */

static void
on_more(struct scan *s, uint32_t stream)
{
	struct policy *p = s->policy;

	/* It reads what a stranger says: it may be the stranger's by now, and gets no more than it can need. */
	if (stream <= s->stream || stream > SCAN_STREAMS)
		return;
	s->stream = stream;
	if (p->dialer == NULL)
		peer_post(s->peer, SCAN_FAILED, scan_failed, .stream = stream, .reason = REASON_UNREACHABLE,
		    .text = bytes_text("lodge-dialer is away; try again in a minute"));
	else
		peer_post(p->dialer, DIAL, dial, .conn = s->number, .stream = stream,
		    .host = bytes_text(s->target.host), .port = (uint16_t)s->target.port, .scan = 1);
}

static void
on_done(struct scan *s, const struct msg_scan_done *m)
{
	char text[ROW_WORDS], *json = bytes_dup(m->json);
	enum reason reason = m->reason == REASON_NONE ? REASON_NONE : (enum reason)m->reason;

	if (json == NULL)
		log_fatal("out of memory");
	text_clean(text, sizeof(text), m->text);
	scan_over(s, reason, text, json);
	free(json);
}

static void
on_message(struct peer *peer, struct message *m, void *ctx)
{
	(void)peer;
	if (m->type == MSG_SCAN_MORE)
		on_more(ctx, m->scan_more.stream);
	else if (m->type == MSG_SCAN_DONE)
		on_done(ctx, &m->scan_done);
}

static void
on_closed(struct peer *peer, const char *why, void *ctx)
{
	struct scan *s = ctx;

	if (*why != '\0')
		log_warning("the link to a scan broke: %s", why);
	peer_close(peer);
	s->peer = NULL; /* gateway tells of its end */
}

void
scans_link(struct policy *p, uint64_t number, int fd)
{
	struct scan *s = scan_of(p, number);
	struct peer *peer = peer_open(p->loop, fd, PROCESS_POLICY, PROCESS_SCAN, number, on_message, on_closed, s);

	if (peer == NULL)
		log_fatal("out of memory for a link");
	if (s == NULL || s->peer != NULL) {
		peer_close(peer); /* whoever asked for it was another policy */
		return;
	}
	s->peer = peer;
}

int
scans_dialed(struct policy *p, const struct msg_dialed *m)
{
	struct scan *s = scan_of(p, m->conn);

	if (m->conn < SCAN_NUMBERS)
		return (0);
	if (s != NULL && m->reason != REASON_NONE)
		peer_post(
		    s->peer, SCAN_FAILED, scan_failed, .stream = m->stream, .reason = m->reason, .text = m->text);
	return (1);
}

/* ---- the beginning ---- */

static int
scan_may(struct verb *v)
{
	size_t under_way = 0;

	if (v->who.vendor[0] != '\0') {
		verb_refuse_noted(v, REASON_OWN_VENDOR, 0, "a vendor's own people scan no targets");
		return (-1);
	}
	for (const struct scan *s = v->policy->scans; s != NULL; s = s->next)
		under_way++;
	if (under_way >= SCANS_AT_ONCE) {
		verb_refuse(
		    v, REASON_LIMIT, "%zu targets are being scanned; try again in half a minute", under_way);
		return (-1);
	}
	return (0);
}

void
target_scan(struct keeping *k)
{
	struct verb *v = k->v;
	struct policy *p = v->policy;
	struct scan *s;

	if (scan_may(v) == -1)
		return;
	if ((s = calloc(1, sizeof(*s))) == NULL || (s->limit = timer_new(p->loop, on_limit, s)) == NULL)
		log_fatal("out of memory");
	if (p->last_scan == 0)
		p->last_scan = SCAN_NUMBERS + ((uint64_t)clock_wall_ms() << 8);
	s->number = ++p->last_scan;
	s->policy = p;
	s->verb = v;
	s->target = k->target;
	s->who = v->who;
	s->who.visitor = NULL;
	s->next = p->scans;
	p->scans = s;
	v->is_scanning = 1;
	timer_after(s->limit, SCAN_LIMIT_MS);
	peer_post(p->gateway, SCAN_BEGIN, scan_begin, .scan = s->number);
}
