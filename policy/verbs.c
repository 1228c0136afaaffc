/* The verbs of people; see verbs.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/secret.h"
#include "facts.h"
#include "fresh.h"
#include "readings.h"
#include "target_scan.h"
#include "verb.h"
#include "verbs.h"
#include "walk.h"

#define PIECE 32768    /* bytes of output in one message */
#define KEPT_STATUS 75 /* of an answer that was shown once, asked for again */

static verb_fn *const handlers[COMMAND_COUNT] = {
    [COMMAND_HELP] = verb_help,
    [COMMAND_MENU] = verb_menu,
    [COMMAND_REQUEST] = verb_request,
    [COMMAND_WITHDRAW] = verb_withdraw,
    [COMMAND_EXPLAIN] = verb_explain,
    [COMMAND_SNIPPET] = verb_snippet,
    [COMMAND_REQUESTS] = verb_requests,
    [COMMAND_SHOW] = verb_show,
    [COMMAND_APPROVE] = verb_approve,
    [COMMAND_DENY] = verb_deny,
    [COMMAND_EXTEND] = verb_extend,
    [COMMAND_REVOKE] = verb_revoke,
    [COMMAND_SESSIONS] = verb_sessions,
    [COMMAND_END] = verb_end_sessions,
    [COMMAND_RECORDINGS] = verb_recordings,
    [COMMAND_PLAY] = verb_play,
    [COMMAND_FILES] = verb_files,
    [COMMAND_VERIFY] = verb_verify,
    [COMMAND_EXPORT] = verb_export,
    [COMMAND_EVENTS] = verb_events,
    [COMMAND_VENDOR] = verb_vendor,
    [COMMAND_PERSON] = verb_person,
    [COMMAND_TARGET] = verb_target,
    [COMMAND_SECRET] = verb_secret,
    [COMMAND_STATUS] = verb_status,
};

/* ---- what handlers say ---- */

void
verb_refuse(struct verb *v, enum reason reason, const char *format, ...)
{
	const char *todo = reason_todo(reason);
	char line[768];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (line[0] != '\0')
		text_add(&v->err, "lodge: denied [%s] %s\n", reason_code(reason), line);
	else
		text_add(&v->err, "lodge: denied [%s] %s%s%s\n", reason_code(reason), reason_what(reason),
		    todo[0] == '\0' ? "" : "; ", todo);
	v->status = (uint8_t)reason_status(reason);
}

void
verb_usage(struct verb *v, const char *format, ...)
{
	char line[768];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_add(&v->err, "lodge: %s\n", line);
	v->status = 64;
}

void
verb_changed(struct verb *v, int64_t event)
{
	if (event > v->event)
		v->event = event;
}

void
verb_commit(struct verb *v)
{
	struct policy *p = v->policy;
	struct verb_done done = {
	    .ask = v->ask, .status = v->kept != NULL ? KEPT_STATUS : v->status, .event = v->event};

	if (v->connection != NULL) {
		done.conn = (int64_t)v->connection->conn;
		TEXT_COPY(done.out, v->kept != NULL || v->out.at == NULL ? "" : v->out.at);
		TEXT_COPY(done.err, v->kept != NULL ? v->kept : v->err.at == NULL ? "" : v->err.at);
		must(p, verb_done_add(p->store, &done));
	}
	policy_commit(p);
}

int
verb_number(struct verb *v, size_t i, int64_t *number)
{
	if (number_parse(v->call.argument[i], number) == 0)
		return (0);
	verb_usage(v, "%s: \"%s\" is not a number; see: %s", command_verb(v->call.command), v->call.argument[i],
	    command_is_for(COMMAND_REQUESTS, v->who.role) ? "requests" : "menu");
	return (-1);
}

/* ---- the life of a verb ---- */

struct peer *client_peer(const struct client *c); /* control.c */

struct peer *
verb_peer(const struct verb *v)
{
	if (v->connection != NULL)
		return (v->connection->session);
	return (v->client != NULL ? client_peer(v->client) : NULL);
}

/* What was decided is told though nobody listens any more: the verb goes on without an asker until it is. */
static int
verb_orphan(struct verb *v)
{
	if (v->restate == 0)
		return (0);
	v->connection = NULL;
	v->client = NULL;
	return (1);
}

static void
said_free(const struct verb *v, struct text *t)
{
	if (v->kept != NULL)
		secret_wipe(t->at, t->len);
	text_free(t);
}

static void
verb_free(struct verb *v)
{
	struct verb **at;

	for (at = &v->policy->verbs; *at != NULL && *at != v; at = &(*at)->next)
		;
	if (*at == v)
		*at = v->next;
	if (v->waits_for_code)
		fresh_forget(v->connection, v->ask);
	reading_forget(v);
	scan_forget(v);
	said_free(v, &v->out);
	text_free(&v->err);
	free(v);
}

void
verb_forget(struct verb *v)
{
	if (!verb_orphan(v))
		verb_free(v);
}

/* An extended window: whoever is in hears of it only now. */
static void
verb_restate(struct verb *v)
{
	struct grant g = {.id = v->restate};

	v->restate = 0;
	if (g.id != 0 && must(v->policy, grant_get(v->policy->store, &g)) == 1)
		grant_restate(v->policy, &g);
}

static void
text_say(struct verb *v, uint8_t to, struct text *t)
{
	for (size_t at = 0; at < t->len; at += PIECE)
		peer_post(verb_peer(v), VERB_OUT, verb_out, .ask = v->ask, .to = to,
		    .output = bytes_of(t->at + at, t->len - at < PIECE ? t->len - at : PIECE));
	said_free(v, t);
}

void
verb_end(struct verb *v, uint8_t status)
{
	text_say(v, 1, &v->out);
	text_say(v, 2, &v->err);
	peer_post(verb_peer(v), VERB_END, verb_end, .ask = v->ask, .status = status);
	verb_free(v);
}

void
verb_say(struct verb *v)
{
	if (v->waits_for_code || v->is_scanning || (v->event > v->policy->book_held && v->event != 0))
		return;
	verb_restate(v);
	if (!v->said && reading_is_planned(v)) {
		v->said = 1;
		reading_begin(v);
		return;
	}
	if (v->reading != 0)
		return;
	v->said = 1;
	if (!v->follows) {
		verb_end(v, v->status);
		return;
	}
	text_say(v, 1, &v->out);
	verb_events_more(v);
	text_say(v, 1, &v->out);
}

void
verbs_advance(struct policy *p)
{
	for (struct verb *v = p->verbs, *next; v != NULL; v = next) {
		next = v->next;
		verb_say(v);
	}
}

void
verbs_free(struct policy *p)
{
	while (p->verbs != NULL)
		verb_free(p->verbs);
	readings_end(p);
	scans_free(p);
}

/* ---- carrying out ---- */

/* Times are told in the zone of who asks. */
static void
zone_set(const struct verb *v)
{
	for (const char *c = v->zone; *c != '\0'; c++)
		if (!((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
		        strchr("/_+-", *c) != NULL))
			return;
	if (v->zone[0] == '\0' || v->zone[0] == '/')
		return;
	if (setenv("TZ", v->zone, 1) == -1)
		log_fatal("out of memory");
	tzset();
}

static void
zone_reset(const struct verb *v)
{
	const char *own = v->policy->set.time_zone;

	if (own[0] == '\0' ? unsetenv("TZ") : setenv("TZ", own, 1))
		log_fatal("out of memory");
	tzset();
}

/* ssh without a command: the menu, where there is a terminal to read it on.  -1: there is none, and that was said. */
static int
menu_stands_in(struct verb *v)
{
	char why[WORDS_WHY];

	if (v->words.count > 0 || v->connection == NULL)
		return (0);
	if (v->columns != 0)
		return (words_split(&v->words, bytes_text(command_verb(COMMAND_MENU)), WORDS_LINE, why));
	verb_usage(v, "no command, and no terminal to show a menu on; try: ssh -t %s@lodge, or ssh %s@lodge help",
	    v->who.login, v->who.login);
	return (-1);
}

/*
 * Over ssh they speak as who they were at the login: may they still come, and are they that?  (control.c asks at each verb.)
 * Whoever is cut off has two seconds before gateway kills the session's process.  Nonzero: no, and that was said.
 */
static int
speaker_is_over(struct verb *v)
{
	char text[DECIDE_TEXT] = "";
	struct facts_held h;
	enum reason reason;

	if (v->connection == NULL)
		return (0);
	facts_load(v->policy, &h, v->who.login, "", "");
	h.facts.source = v->connection->source;
	reason = decide_person(&h.facts, text);
	if (reason == REASON_NONE &&
	    (h.person.role != v->who.role || strcmp(h.person.vendor, v->who.vendor) != 0)) {
		reason = REASON_ENDED_BY_MANAGER;
		text[0] = '\0';
	}
	facts_free(&h);
	if (reason != REASON_NONE)
		verb_refuse_noted(v, reason, 0, text);
	return (reason != REASON_NONE);
}

static void
verb_carry_out(struct verb *v, struct bytes from, enum words_kind kind)
{
	char why[WORDS_WHY];

	if (words_split(&v->words, from, kind, why) == -1) {
		verb_usage(v, "%s", why);
		return;
	}
	if (menu_stands_in(v) == -1)
		return;
	if (call_parse(&v->call, &v->words, kind, why) == -1) {
		verb_usage(v, "%s", why);
		return;
	}
	v->form = v->call.json ? SHEET_JSON : SHEET_TEXT;
	if (!command_is_for(v->call.command, v->who.role)) {
		verb_refuse_noted(v, REASON_ROLE, 0, "");
		return;
	}
	if (speaker_is_over(v))
		return;
	zone_set(v);
	handlers[v->call.command](v);
	zone_reset(v);
}

void
verb_resume(struct verb *v)
{
	v->waits_for_code = 0;
	if (speaker_is_over(v))
		return;
	zone_set(v);
	handlers[v->call.command](v);
	zone_reset(v);
}

void
verb_run(struct verb *v, struct bytes from, enum words_kind kind)
{
	struct verb **last;

	for (last = &v->policy->verbs; *last != NULL; last = &(*last)->next)
		;
	*last = v;
	verb_carry_out(v, from, kind);
	policy_advance(v->policy);
}

/* ---- from a session ---- */

static struct verb *
verb_of(const struct connection *c, uint32_t ask)
{
	for (struct verb *v = c->policy->verbs; v != NULL; v = v->next)
		if (v->connection == c && v->ask == ask)
			return (v);
	return (NULL);
}

static struct verb *
verb_new(struct connection *c, const struct msg_verb *m)
{
	struct verb *v = calloc(1, sizeof(*v));

	if (v == NULL)
		log_fatal("out of memory");
	v->policy = c->policy;
	v->connection = c;
	v->ask = m->ask;
	v->columns = m->columns;
	text_clean(v->zone, sizeof(v->zone), m->time_zone);
	TEXT_COPY(v->who.login, c->visitor.person);
	TEXT_COPY(v->who.vendor, c->visitor.vendor);
	TEXT_COPY(v->who.source, c->source);
	v->who.role = (int)c->visitor.role;
	v->who.session = c->visitor.number;
	v->who.visitor = &c->visitor;
	return (v);
}

void
verbs_from_session(struct connection *c, const struct msg_verb *m)
{
	struct policy *p = c->policy;
	struct verb_done done = {.conn = (int64_t)c->conn, .ask = m->ask};
	struct verb *v;

	if (verb_of(c, m->ask) != NULL)
		return; /* it is under way */
	v = verb_new(c, m);
	if (c->visitor.number == 0) {
		verb_refuse(v, REASON_AUTH_AWAY, "%s", "");
	} else if (must(p, verb_done_get(p->store, &done)) == 1) { /* it was done; only its answer was lost */
		text_put(&v->out, done.out);
		text_put(&v->err, done.err);
		v->status = (uint8_t)done.status;
		v->event = done.event;
	} else {
		verb_run(v, m->words, m->argv ? WORDS_ARGV : WORDS_LINE);
		return;
	}
	v->next = p->verbs;
	p->verbs = v;
	policy_advance(p);
}

void
verbs_gone(struct connection *c, uint32_t ask)
{
	struct verb *v = verb_of(c, ask);

	if (v != NULL)
		verb_forget(v);
}

void
verbs_connection_over(struct connection *c)
{
	for (struct verb *v = c->policy->verbs, *next; v != NULL; v = next) {
		next = v->next;
		if (v->connection == c)
			verb_forget(v);
	}
}
