/* The outbox; see outbox.h. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "capabilities.h"
#include "outbox.h"
#include "words.h"

#define OUTBOX_AT_ONCE 256 /* leaves sent and not yet held */
#define OUTBOX_PAGE 64

static void
text_put(json_t *to, const char *key, const char *text)
{
	char clean[2 * ROW_WORDS];
	json_t *value;

	if (text == NULL || text[0] == '\0')
		return;
	text_clean(clean, sizeof(clean), bytes_text(text)); /* whatever it is, no event ends this process */
	if ((value = json_string(clean)) == NULL || json_object_set_new(to, key, value) == -1)
		log_fatal("out of memory");
}

static void
number_put(json_t *to, const char *key, int64_t number)
{
	if (number != 0 && json_object_set_new(to, key, json_integer(number)) == -1)
		log_fatal("out of memory");
}

static void
moment_put(json_t *to, const char *key, int64_t wall_ms)
{
	char text[32];

	if (wall_ms == 0)
		return;
	clock_rfc3339(wall_ms, text, sizeof(text));
	text_put(to, key, text);
}

static void
part_put(json_t *to, const char *key, json_t *part)
{
	if (json_object_size(part) == 0)
		json_decref(part);
	else if (json_object_set_new(to, key, part) == -1)
		log_fatal("out of memory");
}

static json_t *
object_new(void)
{
	json_t *o = json_object();

	if (o == NULL)
		log_fatal("out of memory");
	return (o);
}

static json_t *
lodge_part(const struct happening *h)
{
	json_t *o = object_new();
	char can[64];

	capabilities_print((unsigned)h->capabilities, can, sizeof(can));
	number_put(o, "session", h->session);
	number_put(o, "request", h->request);
	number_put(o, "grant", h->grant);
	text_put(o, "vendor", h->vendor);
	text_put(o, "target", h->target);
	text_put(o, "account", h->account);
	text_put(o, "recording", h->recording);
	number_put(o, "recording_number", h->recording_number);
	text_put(o, "capabilities", can);
	text_put(o, "forwards", h->forwards);
	text_put(o, "what", h->what);
	text_put(o, "why", h->why);
	text_put(o, "ticket", h->ticket);
	text_put(o, "fingerprint", h->fingerprint);
	text_put(o, "method", h->method);
	moment_put(o, "begins", h->begins_at);
	moment_put(o, "ends", h->ends_at);
	return (o);
}

static json_t *
event_json(const struct happening *h, int64_t at)
{
	json_t *o = object_new(), *event = object_new(), *user = object_new(), *source = object_new(), *about;

	moment_put(o, "@timestamp", at);
	text_put(event, "action", event_name(h->type));
	text_put(event, "category", event_category(h->type));
	text_put(event, "outcome",
	    h->outcome != NULL         ? h->outcome
	    : h->reason == REASON_NONE ? "success"
	                               : "failure");
	if (h->reason != REASON_NONE)
		text_put(event, "reason", reason_code(h->reason));
	part_put(o, "event", event);
	text_put(user, "name", h->who);
	if (h->about != NULL && h->about[0] != '\0') {
		about = object_new();
		text_put(about, "name", h->about);
		part_put(user, "target", about);
	}
	part_put(o, "user", user);
	text_put(source, "ip", h->source);
	number_put(source, "port", h->port);
	part_put(o, "source", source);
	part_put(o, "lodge", lodge_part(h));
	return (o);
}

int64_t
event_note(struct policy *p, const struct happening *h)
{
	struct event e = {.at = h->at_wall_ms != 0 ? h->at_wall_ms : clock_wall_ms()};
	json_t *o = event_json(h, e.at);
	char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);

	if (text == NULL || strlen(text) >= sizeof(e.json))
		log_fatal("an event that does not fit: %s", event_name(h->type));
	TEXT_COPY(e.name, event_name(h->type));
	TEXT_COPY(e.json, text);
	free(text);
	json_decref(o);
	must(p, event_add(p->store, &e));
	p->event_last = e.sequence;
	return (e.sequence);
}

void
outbox_begin(struct policy *p)
{
	struct rows found;

	if (must(p, store_list_all(p->store, QUERY_EVENT_LAST, &found)) == 1)
		p->event_last = rows_at(&found, event, 0)->sequence;
	rows_free(&found);
	p->book_held = p->book_sent = -1;
}

void
outbox_pump(struct policy *p)
{
	struct rows found;

	while (p->book != NULL && p->book_held >= 0 && p->book_sent < p->event_last &&
	       p->book_sent - p->book_held < OUTBOX_AT_ONCE) {
		must(p,
		    store_list(p->store, QUERY_EVENTS_AFTER, &found, ARG_INT(p->book_sent), ARG_INT(OUTBOX_PAGE)));
		for (size_t i = 0; i < found.count; i++) {
			const struct event *e = rows_at(&found, event, i);

			peer_post(p->book, LEAF, leaf, .sequence = (uint64_t)e->sequence, .checkpoint = 0,
			    .json = bytes_text(e->json));
			p->book_sent = e->sequence;
		}
		if (found.count == 0)
			log_fatal("events are missing in the database after number %lld", (long long)p->book_sent);
		rows_free(&found);
	}
}

void
outbox_link(struct policy *p, struct peer *book)
{
	peer_close(p->book);
	p->book = book;
	/* What it held it holds still; but what it has of ours it says first (LEAF_LAST). */
	p->book_sent = -1;
	if (book == NULL)
		log_warning("lodge-book is away: nothing is decided until it is back");
}

void
on_leaf_last(struct policy *p, const struct msg_leaf_last *m)
{
	if (m->sequence > (uint64_t)p->event_last) {
		/* An older copy of the database was put back.  Going on would give numbers a second time. */
		log_error("the book holds %llu events of ours, the database only %lld: it is older than the book; "
		          "nothing opens",
		    (unsigned long long)m->sequence, (long long)p->event_last);
		p->book_held = p->book_sent = -1;
		return;
	}
	p->book_held = p->book_sent = (int64_t)m->sequence;
	outbox_pump(p);
	policy_advance(p);
}

void
on_leaf_held(struct policy *p, const struct msg_leaf_held *m)
{
	if (p->book_held < 0 || m->sequence > (uint64_t)p->book_sent)
		return;
	if ((int64_t)m->sequence > p->book_held)
		p->book_held = (int64_t)m->sequence;
	outbox_pump(p);
	policy_advance(p);
}
