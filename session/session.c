#include "session.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/log.h"
#include "channel.h"
#include "credential.h"
#include "door.h"
#include "forward.h"
#include "fresh.h"
#include "inner_login.h"
#include "lease.h"
#include "login.h"
#include "question.h"
#include "receipt.h"
#include "renewal.h"
#include "verb.h"
#include "visit.h"

#define TURN_ROUNDS 8 /* before others on the loop get theirs */
#define IDLE_TICK_MS 1000

uint32_t
session_ask(struct session *s)
{
	return (++s->last_ask);
}

/* ---- the clock ---- */

static void
tick_set(struct session *s)
{
	int64_t now_ms = clock_boot_ms(), at_ms = now_ms + (s->channels != NULL ? SESSION_TICK_MS : IDLE_TICK_MS);
	int64_t due_ms = leases_due_ms(s);

	if (due_ms < at_ms)
		at_ms = due_ms;
	if (s->state == SESSION_LEAVING && s->leave_by_ms < at_ms)
		at_ms = s->leave_by_ms;
	timer_set(s->tick, at_ms);
}

/* ---- the end ---- */

void
session_leave(struct session *s, enum reason reason, const char *text)
{
	if (s->state == SESSION_LEAVING)
		return;
	log_debug("leaving: %s", reason_code(reason));
	if (s->farewell[0] == '\0' && reason != REASON_NONE)
		text_reason(s->farewell, sizeof(s->farewell), reason, text);
	s->state = SESSION_LEAVING;
	s->leave_by_ms = clock_boot_ms() + SESSION_LEAVE_MS;
	visits_end(s, 0, reason, text);
	for (struct channel *c = s->channels; c != NULL; c = c->next) {
		/* A client that is told by its channel leaves by itself; cut off at once it would forget the exit status. */
		s->client_leaves |=
		    channel_has_words(c) && c->state != CHANNEL_GATHERING && c->state != CHANNEL_OVER;
		if (c->state == CHANNEL_ASKING)
			peer_post(s->policy, ASK_ENDED, ask_ended, .ask = c->ask);
		if (c->state == CHANNEL_GATHERING)
			channel_finish(c);
		else if (c->state != CHANNEL_SEALING)
			channel_refuse(c, reason, text);
	}
	tick_set(s);
	session_wake(s);
}

static void
on_end(void *ctx)
{
	struct session *s = ctx;

	/* Nothing has begun that could be ended in order. */
	if (s->state == SESSION_ARRIVED || s->state == SESSION_EXCHANGE)
		loop_stop(s->loop);
	else
		session_leave(s, REASON_HOUSE_CLOSING, NULL);
}

/* 1 when nothing is left to be done where the engineer was. */
static int
client_is_gone(struct session *s)
{
	visits_close(s, REASON_LEFT);
	if (!visits_rotate(s))
		return (1);
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		c->here_closed = 1;
	return (0);
}

/* 1 when nothing keeps the process. */
static int
is_over(struct session *s)
{
	if (s->state > SESSION_ARRIVED && s->door->leg.over)
		return (client_is_gone(s));
	if (s->state != SESSION_LEAVING)
		return (0);
	if (clock_boot_ms() >= s->leave_by_ms) {
		s->door->leg.silent = s->client_leaves; /* it was told, and is slow */
		return (1);
	}
	for (const struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->state != CHANNEL_OVER)
			return (0);
	return (doors_unsent(s) == 0 && !s->client_leaves);
}

/* ---- the turn ---- */

static void
on_tick(void *ctx)
{
	struct session *s = ctx;

	if (s->state == SESSION_OPEN) {
		leases_tick(s);
		visits_tick(s);
		channels_tick(s);
		doors_tick(s);
		if (s->visits != NULL && record_stuck_ms(s->record) > SESSION_STUCK_MS)
			session_leave(s, REASON_RECORDER, NULL);
	}
	session_wake(s);
	tick_set(s);
}

static void
on_turn(void *ctx)
{
	struct session *s = ctx;
	int moved = 1;

	s->turn_due = 0;
	for (int i = 0; i < TURN_ROUNDS && moved; i++) {
		moved = doors_turn(s);
		moved |= visits_turn(s);
		if (s->state == SESSION_OPEN || s->state == SESSION_LEAVING)
			moved |= channels_turn(s);
	}
	if (is_over(s)) {
		loop_stop(s->loop);
		return;
	}
	channels_sweep(s);
	visits_sweep(s);
	doors_sweep(s);
	doors_watch(s);
	for (const struct channel *c = s->channels; c != NULL; c = c->next)
		if (channel_is_forward(c))
			forward_watch(c);
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		leg_watch(&v->leg);
	if (moved)
		session_wake(s);
}

void
session_wake(struct session *s)
{
	if (s->turn_due++)
		return;
	loop_defer(s->loop, on_turn, s);
}

static void
on_room(void *ctx)
{
	session_wake(ctx);
}

/* ---- what siblings say ---- */

static void
arrive_check(struct session *s)
{
	if (s->state != SESSION_ARRIVED || s->client_fd == -1 || s->host_key == NULL)
		return;
	for (size_t i = 0; i < 3; i++)
		if (s->memory[i] == -1)
			return;
	s->record = record_open(s->loop, s->memory[0], s->memory[1], s->memory[2], on_room, s);
	s->memory[0] = s->memory[1] = s->memory[2] = -1;
	if (s->record == NULL)
		log_fatal("the ring from lodge-gateway cannot be used");
	if (door_open(s) == -1)
		log_fatal("the connection cannot be served: out of memory");
	tick_set(s);
	session_wake(s);
}

static void
on_auth(struct peer *p, struct message *m, void *ctx)
{
	struct session *s = ctx;

	(void)p;
	switch (m->type) {
	case MSG_HOST_KEY:
		if (s->host_key == NULL && m->host_key.blob.len > 0 &&
		    (s->host_key = malloc(m->host_key.blob.len)) != NULL) {
			memcpy(s->host_key, m->host_key.blob.at, m->host_key.blob.len);
			s->host_key_len = m->host_key.blob.len;
		}
		arrive_check(s);
		break;
	case MSG_CERT:
	case MSG_AGENT:
	case MSG_PASSWORD:
		credential_on_auth(s, m);
		break;
	case MSG_CREDENTIAL_REFUSED:
		credential_on_auth(s, m);
		renewal_on_auth(s, m);
		break;
	case MSG_ROTATION:
		renewal_on_auth(s, m);
		break;
	case MSG_PROMPTS:
		if (!fresh_on_prompts(s, &m->prompts) && !inner_login_on_prompts(s, &m->prompts)) {
			if (s->state == SESSION_OPEN) /* whoever it was for has left meanwhile */
				fresh_unanswered(s, m->prompts.ask);
			else
				login_on_auth(s, m);
		}
		session_wake(s);
		break;
	default:
		login_on_auth(s, m);
		break;
	}
}

static void
on_order_to_end(struct session *s, const struct msg_end *m)
{
	char text[400];

	text_safe(text, sizeof(text), m->text);
	if (m->grant == 0)
		session_leave(s, (enum reason)m->reason, text);
	else
		visits_end(s, m->grant, (enum reason)m->reason, text);
}

static void
on_policy(struct peer *p, struct message *m, void *ctx)
{
	struct session *s = ctx;

	(void)p;
	switch (m->type) {
	case MSG_VERDICT:
		question_on_verdict(s, &m->verdict);
		break;
	case MSG_NOTICE:
		question_on_notice(s, &m->notice);
		break;
	case MSG_LEASE:
		lease_on_lease(s, &m->lease);
		if (s->record != NULL)
			tick_set(s);
		break;
	case MSG_END:
		on_order_to_end(s, &m->end);
		break;
	case MSG_INTENT_ANSWER:
		inner_login_on_answer(s, &m->intent_answer);
		break;
	case MSG_VERB_OUT:
		verb_on_out(s, &m->verb_out);
		break;
	case MSG_VERB_STREAM:
		verb_on_stream(s, m->verb_stream.ask, m->fd);
		m->fd = -1;
		break;
	case MSG_VERB_END:
		verb_on_end(s, &m->verb_end);
		break;
	default:
		break;
	}
	session_wake(s);
}

static void
on_trouble(struct session *s, const struct msg_recorder_trouble *m)
{
	char text[300];

	text_safe(text, sizeof(text), m->text);
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		if (m->stream == 0 || v->stream == m->stream)
			visit_end(v, (enum reason)m->reason, text);
}

static void
on_recorder(struct peer *p, struct message *m, void *ctx)
{
	struct session *s = ctx;

	(void)p;
	switch (m->type) {
	case MSG_TARGET:
		visit_on_target(s, m->target.stream, m->fd);
		m->fd = -1;
		break;
	case MSG_SEALED:
		receipt_on_sealed(s, &m->sealed);
		break;
	case MSG_RECORDER_TROUBLE:
		on_trouble(s, &m->recorder_trouble);
		break;
	default:
		break;
	}
	session_wake(s);
}

static void
on_link_closed(struct peer *p, const char *why, void *ctx)
{
	struct session *s = ctx;

	if (*why != '\0')
		log_warning("the link to %s broke: %s", process_name(peer_process(p)), why);
	if (p == s->auth)
		s->auth = NULL;
	if (p == s->policy)
		s->policy = NULL;
	if (p == s->recorder)
		s->recorder = NULL;
	peer_close(p);
}

/* A link, the first or a new one; fd is given. */
static void
link_take(struct session *s, enum process other, int fd)
{
	static const struct {
		enum process process;
		size_t at;
		peer_on_message *handler;
	} rows[] = {
	    {PROCESS_AUTH, offsetof(struct session, auth), on_auth},
	    {PROCESS_POLICY, offsetof(struct session, policy), on_policy},
	    {PROCESS_RECORDER, offsetof(struct session, recorder), on_recorder},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer **peer = (struct peer **)(void *)((char *)s + rows[i].at);

		if (rows[i].process != other)
			continue;
		peer_close(*peer);
		*peer = peer_open(s->loop, fd, PROCESS_SESSION, other, s->conn, rows[i].handler, on_link_closed, s);
		if (*peer == NULL)
			log_fatal("out of memory");
		return;
	}
	close(fd);
}

static void
on_link(struct session *s, const struct msg_link *m, int fd)
{
	link_take(s, (enum process)m->peer, fd);
	if (s->state == SESSION_ARRIVED)
		return;
	switch (m->peer) {
	case PROCESS_AUTH:
		login_auth_anew(s);
		visits_auth_anew(s);
		break;
	case PROCESS_POLICY:
		visits_policy_anew(s);
		questions_policy_anew(s);
		verbs_policy_anew(s);
		login_policy_anew(s);
		inner_logins_policy_anew(s);
		break;
	case PROCESS_RECORDER:
		visits_recorder_anew(s);
		break;
	default:
		break;
	}
	session_wake(s);
}

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	struct session *s = ctx;
	static const uint8_t places[] = {MEMORY_RING, MEMORY_RING_FILLED, MEMORY_RING_FREED};

	(void)p;
	switch (m->type) {
	case MSG_MEMORY:
		for (size_t i = 0; i < sizeof(places); i++)
			if (m->memory.what == places[i] && s->memory[i] == -1) {
				s->memory[i] = m->fd;
				m->fd = -1;
			}
		break;
	case MSG_LINK:
		on_link(s, &m->link, m->fd);
		m->fd = -1;
		break;
	case MSG_CLIENT:
		if (s->client_fd != -1 || s->state != SESSION_ARRIVED)
			break;
		s->conn = m->client.conn;
		s->client_fd = m->fd;
		m->fd = -1;
		s->port = m->client.port;
		(void)bytes_copy(s->source, sizeof(s->source), m->client.source);
		break;
	default:
		break;
	}
	arrive_check(s);
}

int
session_await_auth(struct session *s, int timeout_ms)
{
	int64_t by_ms = clock_boot_ms() + timeout_ms, left_ms;

	peer_close(s->auth);
	s->auth = NULL;
	while (s->auth == NULL) {
		if ((left_ms = by_ms - clock_boot_ms()) <= 0 ||
		    peer_wait(s->gateway, MSG_LINK, (int)left_ms, on_gateway, s) == -1)
			return (-1);
	}
	return (0);
}

void
session_run(int fd)
{
	static struct session session = {.memory = {-1, -1, -1}, .client_fd = -1};
	struct session *s = &session;

	if (dup2(fd, DAEMON_FD) == -1 || (s->loop = loop_new()) == NULL ||
	    (s->tick = timer_new(s->loop, on_tick, s)) == NULL)
		log_fatal("a connection cannot be served: no descriptors or memory");
	s->gateway = daemon_begin(s->loop, PROCESS_SESSION, &s->set, on_gateway, on_end, s);
	confine(CONFINE_SESSION);
	loop_run(s->loop);

	channels_free(s);
	visits_free(s);
	doors_close(s);
	leases_free(s);
	record_close(s->record);
	peer_close(s->auth);
	peer_close(s->policy);
	peer_close(s->recorder);
	peer_close(s->gateway);
}
