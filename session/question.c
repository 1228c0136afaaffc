#include "question.h"

#include "base/clock.h"
#include "base/log.h"
#include "entry.h"
#include "lease.h"
#include "ssh_more.h"
#include "visit.h"

#define AHEAD_MAX (64 * 1024) /* bytes typed ahead */
#define ANSWER_MS 15000       /* policy answers something within this time, or is away */

static void
ask_post(const struct channel *c)
{
	peer_post(c->session->policy, ASK, ask, .ask = c->ask, .channel = c->number, .kind = (uint8_t)c->kind,
	    .target = bytes_text(c->door->name.target), .account = bytes_text(c->door->name.account),
	    .command = bytes_text(c->command == NULL ? "" : c->command), .pty = (uint8_t)c->has_pty,
	    .wait_ok = (uint8_t)(!c->wont_wait && channel_has_words(c)));
}

void
question_ask(struct channel *c)
{
	c->ask = session_ask(c->session);
	c->asked_boot_ms = clock_boot_ms();
	channel_step(c, CHANNEL_ASKING);
	ask_post(c);
}

static struct channel *
asker_of(struct session *s, uint32_t ask)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->ask == ask && ask != 0)
			return (c);
	return (NULL);
}

/* What was typed before anybody could see that there is a wait is meant for the target, and kept for it. */
static void
ahead_keep(struct channel *c)
{
	uint8_t typed[4096];
	size_t got;

	while (c->has_pty && fifo_bytes(&c->ahead).len < AHEAD_MAX &&
	       (got = ssh_more_read(c->here, 0, typed, sizeof(typed))) > 0)
		if (fifo_put(&c->ahead, typed, got) == -1)
			log_fatal("out of memory");
}

static void
wait_begin(struct channel *c, const struct msg_verdict *m)
{
	char line[512], text[400];

	c->request = m->request;
	c->until_wall_ms = m->until_wall_ms;
	if (!c->is_waiting) {
		ahead_keep(c);
		text_safe(text, sizeof(text), m->text);
		snprintf(line, sizeof(line), "lodge: %s", text);
		channel_say(c, line);
	}
	c->is_waiting = 1;
	c->shown_second = -1;
}

/* It ended while the yes was on its way, and policy has heard so by now; or it is about to, and is awaited. */
static void
again(struct channel *c)
{
	c->ask_due = c->visit->state == VISIT_ROTATING;
	c->visit = NULL;
	c->ask = session_ask(c->session);
	c->asked_boot_ms = clock_boot_ms();
	if (!c->ask_due)
		ask_post(c);
}

static void
again_tick(struct channel *c)
{
	c->asked_boot_ms = clock_boot_ms();
	if (visits_rotate(c->session))
		return;
	c->ask_due = 0;
	ask_post(c);
}

static void
enter(struct channel *c, const struct msg_verdict *m)
{
	char line[512], until[32];
	const struct lease *l = lease_find(c->session, m->grant);

	if (l == NULL) {
		channel_refuse(c, REASON_NO_GRANT, NULL);
		return;
	}
	if ((c->visit = visit_join(c->session, m, c->kind)) == NULL) {
		channel_refuse(c, REASON_LIMIT, NULL);
		return;
	}
	if (c->visit->state == VISIT_OVER || c->visit->state == VISIT_ROTATING) {
		again(c);
		return;
	}
	entry_allow(c);
	if (c->has_pty && c->kind == ASK_SHELL) {
		text_time(until, sizeof(until), l->ends_wall_ms);
		snprintf(line, sizeof(line), "lodge: %s as %s until %s%s%s; this session is recorded",
		    c->visit->target, c->visit->account, until, l->approver[0] == '\0' ? "" : ", approved by ",
		    l->approver);
		channel_say(c, line);
	} else if (c->is_waiting)
		channel_line_clear(c);
	channel_step(c, CHANNEL_ENTERING);
	c->step = ENTRY_OPEN;
}

void
question_on_verdict(struct session *s, const struct msg_verdict *m)
{
	struct channel *c = asker_of(s, m->ask);
	char text[512];

	if (c == NULL)
		return;
	text_safe(text, sizeof(text), m->text);
	if (m->verdict == VERDICT_DENY && (c->state == CHANNEL_ASKING || c->state == CHANNEL_ENTERING)) {
		if (c->visit != NULL)
			visit_end(c->visit, (enum reason)m->reason, text);
		s->denials++;
		channel_refuse(c, (enum reason)m->reason, text);
		return;
	}
	if (c->state != CHANNEL_ASKING)
		return; /* answered already */
	if (m->verdict == VERDICT_WAIT)
		wait_begin(c, m);
	else
		enter(c, m);
}

void
question_on_notice(struct session *s, const struct msg_notice *m)
{
	char text[512], line[540];

	text_safe(text, sizeof(text), m->text);
	snprintf(line, sizeof(line), "lodge: %s", text);
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		if ((m->ask != 0 && c->ask == m->ask && c->state == CHANNEL_ASKING) ||
		    (m->ask == 0 && c->state == CHANNEL_RUNNING && c->has_pty && !c->screen.alternate))
			channel_say(c, line);
}

void
questions_policy_anew(struct session *s)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->state == CHANNEL_ASKING || (c->state == CHANNEL_ENTERING && !c->visit->has_socket))
			ask_post(c);
}

/* The line that lives: only on a terminal, once a second. */
static void
live_line_show(struct channel *c)
{
	char waited[32], left[32], line[200];
	int64_t second = (clock_boot_ms() - c->asked_boot_ms) / 1000;

	if (!c->has_pty || !c->is_waiting || second == c->shown_second || c->err.to > c->err.from)
		return;
	c->shown_second = second;
	text_span(waited, sizeof(waited), second * 1000);
	text_span(left, sizeof(left), c->until_wall_ms - clock_wall_ms());
	snprintf(line, sizeof(line), "lodge: waiting %s; lapses in %s; Ctrl-C leaves ", waited, left);
	if (c->columns > 8 && c->columns < strlen(line))
		line[c->columns - 1] = '\0';
	channel_line_clear(c);
	channel_put(c, 2, bytes_text(line));
	c->shown_width = (int)strlen(line);
}

/* On a terminal Ctrl-C and Ctrl-D give up; what else is typed while one sees that nobody listens goes nowhere. */
static int
gave_up(struct channel *c)
{
	uint8_t typed[256];
	size_t got;

	if (c->here_closed || c->door->leg.over)
		return (1);
	while (c->has_pty && c->is_waiting && (got = ssh_more_read(c->here, 0, typed, sizeof(typed))) > 0)
		if (memchr(typed, 3, got) != NULL || memchr(typed, 4, got) != NULL)
			return (1);
	return (0);
}

void
question_turn(struct channel *c)
{
	char line[160];

	if (!gave_up(c))
		return;
	peer_post(c->session->policy, ASK_ENDED, ask_ended, .ask = c->ask);
	if (!channel_hears(c)) {
		channel_step(c, CHANNEL_OVER);
		return;
	}
	snprintf(line, sizeof(line), "you left the queue; request %llu stands: show %llu",
	    (unsigned long long)c->request, (unsigned long long)c->request);
	channel_refuse(c, c->is_waiting ? REASON_WAITING : REASON_LEFT, c->is_waiting ? line : NULL);
}

void
question_tick(struct channel *c)
{
	if (c->ask_due)
		again_tick(c);
	live_line_show(c);
	if (!c->is_waiting && clock_boot_ms() - c->asked_boot_ms > ANSWER_MS) {
		peer_post(c->session->policy, ASK_ENDED, ask_ended, .ask = c->ask);
		channel_refuse(c, REASON_POLICY_AWAY, NULL);
	}
}
