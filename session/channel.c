#include "channel.h"

#include <ctype.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "entry.h"
#include "lease.h"
#include "ssh_more.h"
#include "verb.h"
#include "visit.h"

#define OPEN_PROHIBITED 1 /* SSH_OPEN_ADMINISTRATIVELY_PROHIBITED, RFC 4254 5.1 */
#define OPEN_SHORTAGE 4   /* SSH_OPEN_RESOURCE_SHORTAGE */
#define ANSWER_MS 15000   /* policy answers something within this time, or is away */
#define CUT_SEAL_MS 500   /* who is cut off waits so long for the receipt */

static const char *const state_names[] = {
    "gathering", "asking", "entering", "running", "sealing", "verb", "ending", "over"};

/* Which step may follow which. */
static const uint8_t steps[] = {
    [CHANNEL_GATHERING] = 1 << CHANNEL_ASKING | 1 << CHANNEL_VERB | 1 << CHANNEL_ENDING | 1 << CHANNEL_OVER,
    [CHANNEL_ASKING] = 1 << CHANNEL_ENTERING | 1 << CHANNEL_ENDING | 1 << CHANNEL_OVER,
    [CHANNEL_ENTERING] = 1 << CHANNEL_RUNNING | 1 << CHANNEL_SEALING | 1 << CHANNEL_ENDING | 1 << CHANNEL_OVER,
    [CHANNEL_RUNNING] = 1 << CHANNEL_SEALING | 1 << CHANNEL_ENDING | 1 << CHANNEL_OVER,
    [CHANNEL_SEALING] = 1 << CHANNEL_ENDING | 1 << CHANNEL_OVER,
    [CHANNEL_VERB] = 1 << CHANNEL_ENDING | 1 << CHANNEL_OVER,
    [CHANNEL_ENDING] = 1 << CHANNEL_OVER,
    [CHANNEL_OVER] = 0,
};

void
channel_step(struct channel *c, enum channel_state to)
{
	if ((steps[c->state] & 1 << to) == 0)
		log_fatal("channel %u: no step from %s to %s", c->number, state_names[c->state], state_names[to]);
	log_debug("channel %u: %s -> %s", c->number, state_names[c->state], state_names[to]);
	c->state = to;
	session_wake(c->session);
}

/* ---- words of ours ---- */

void
channel_put(struct channel *c, int to, struct bytes text)
{
	struct fifo *f = to == 1 ? &c->out : &c->err;

	if (!c->has_pty) {
		if (fifo_put(f, text.at, text.len) == -1)
			log_fatal("out of memory");
		return;
	}
	for (size_t i = 0; i < text.len; i++)
		if (fifo_put(f, text.at[i] == '\n' ? "\r\n" : (const char *)&text.at[i],
		        text.at[i] == '\n' ? 2 : 1) == -1)
			log_fatal("out of memory");
}

/* Takes the line that lives off the terminal. */
static void
live_line_clear(struct channel *c)
{
	char blank[256];

	if (c->shown_width == 0)
		return;
	snprintf(blank, sizeof(blank), "\r%*s\r", c->shown_width, "");
	channel_put(c, 2, bytes_text(blank));
	c->shown_width = 0;
}

void
channel_say(struct channel *c, const char *line)
{
	live_line_clear(c);
	channel_put(c, 2, bytes_text(line));
	channel_put(c, 2, bytes_text("\n"));
	if (c->visit != NULL && c->visit->has_socket && !c->visit->has_ended)
		record_put(c->session->record, FRAME_NOTICE, c->visit->stream, c->number, bytes_text(line));
}

void
channel_finish(struct channel *c)
{
	if (c->state != CHANNEL_ENDING && c->state != CHANNEL_OVER)
		channel_step(c, CHANNEL_ENDING);
}

/* A program of the target's own may have the terminal in any state. */
static void
terminal_restore(struct channel *c)
{
	if (!c->has_pty || c->state != CHANNEL_RUNNING)
		return;
	if (c->screen.alternate)
		channel_put(c, 2, bytes_text("\x1b[?1049l"));
	channel_put(c, 2, bytes_text("\x1b[0m\x1b[?25h\n"));
	c->screen.alternate = 0;
}

/* 1 when there was somebody to tell. */
static int
reason_say(struct channel *c, enum reason reason, const char *text)
{
	char line[768];

	if (c->state == CHANNEL_ENDING || c->state == CHANNEL_OVER || c->state == CHANNEL_SEALING)
		return (0);
	text_reason(line, sizeof(line), reason, text);
	terminal_restore(c);
	channel_say(c, line);
	c->has_status = 1;
	c->status = (uint32_t)reason_status(reason);
	c->signal[0] = '\0';
	return (1);
}

void
channel_refuse(struct channel *c, enum reason reason, const char *text)
{
	if (reason_say(c, reason, text))
		channel_finish(c);
}

void
channel_cut(struct channel *c, enum reason reason, const char *text)
{
	int has_receipt = c->state == CHANNEL_RUNNING && c->has_pty && !c->is_exec;

	if (!reason_say(c, reason, text))
		return;
	if (!has_receipt) {
		channel_finish(c);
		return;
	}
	channel_step(c, CHANNEL_SEALING);
	c->seal_by_ms = clock_boot_ms() + CUT_SEAL_MS;
}

/* ---- what the client asks ---- */

static void
refused_tell(struct session *s, const char *what, enum reason reason, const char *detail)
{
	char clean[256];

	text_safe(clean, sizeof(clean), bytes_text(detail == NULL ? "" : detail));
	peer_post(s->policy, REFUSED, refused, .what = bytes_text(what), .reason = (uint16_t)reason,
	    .detail = bytes_text(clean));
}

static void
on_here_close(ssh_session ssh, ssh_channel here, void *ctx)
{
	(void)ssh;
	(void)here;
	((struct channel *)ctx)->here_closed = 1;
	session_wake(((struct channel *)ctx)->session);
}

static void
on_here_signal(ssh_session ssh, ssh_channel here, const char *name, void *ctx)
{
	struct channel *c = ctx;

	(void)ssh;
	(void)here;
	snprintf(c->signal_due, sizeof(c->signal_due), "%.20s", name);
	session_wake(c->session);
}

static size_t
channels_count(const struct session *s)
{
	size_t count = 0;

	for (const struct channel *c = s->channels; c != NULL; c = c->next)
		count++;
	return (count);
}

static struct channel *
channel_of(struct session *s, ssh_channel here)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->here == here && c->state != CHANNEL_OVER)
			return (c);
	return (NULL);
}

static void
open_refuse(struct session *s, ssh_message m, uint32_t code, const char *what, enum reason reason)
{
	char line[256];
	const char *host = ssh_message_channel_request_open_destination(m);

	text_reason(line, sizeof(line), reason, NULL);
	refused_tell(s, what, reason, ssh_message_subtype(m) == SSH_CHANNEL_DIRECT_TCPIP ? host : "");
	(void)ssh_more_refuse_channel(m, code, line);
}

void
channel_open(struct session *s, ssh_message m)
{
	struct channel *c, **last;

	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_SESSION:
		break;
	case SSH_CHANNEL_DIRECT_TCPIP:
		open_refuse(s, m, OPEN_PROHIBITED, "direct-tcpip", REASON_FORWARD);
		return;
	case SSH_CHANNEL_X11:
		open_refuse(s, m, OPEN_PROHIBITED, "x11", REASON_NOT_SUPPORTED);
		return;
	default:
		open_refuse(s, m, OPEN_PROHIBITED, ssh_more_channel_type(m), REASON_NOT_SUPPORTED);
		return;
	}
	if (channels_count(s) >= SESSION_CHANNELS_MAX || (c = calloc(1, sizeof(*c))) == NULL) {
		open_refuse(s, m, OPEN_SHORTAGE, "session", REASON_LIMIT);
		return;
	}
	if ((c->here = ssh_message_channel_request_open_reply_accept(m)) == NULL) {
		free(c);
		return;
	}
	c->session = s;
	c->number = ++s->last_channel;
	c->verb_fd = -1;
	c->here_calls.userdata = c;
	c->here_calls.channel_close_function = on_here_close;
	c->here_calls.channel_signal_function = on_here_signal;
	ssh_callbacks_init(&c->here_calls);
	(void)ssh_add_channel_callbacks(c->here, &c->here_calls);
	for (last = &s->channels; *last != NULL; last = &(*last)->next)
		;
	*last = c;
}

static int
pty_take(struct channel *c, ssh_message m)
{
	const char *term = ssh_message_channel_request_pty_term(m);
	struct bytes modes;

	if (c->has_pty || c->state != CHANNEL_GATHERING || term == NULL || strlen(term) >= sizeof(c->term))
		return (-1);
	modes = ssh_more_pty_modes(m, &c->pixel_width, &c->pixel_height);
	if (modes.len > 0) {
		if ((c->modes = malloc(modes.len)) == NULL)
			return (-1);
		memcpy(c->modes, modes.at, modes.len);
		c->modes_len = modes.len;
	}
	snprintf(c->term, sizeof(c->term), "%s", term);
	c->columns = (uint32_t)ssh_message_channel_request_pty_width(m);
	c->rows = (uint32_t)ssh_message_channel_request_pty_height(m);
	c->has_pty = 1;
	return (0);
}

static int
env_is_passed(const char *name)
{
	return (strcmp(name, "LANG") == 0 || strncmp(name, "LC_", 3) == 0);
}

/* 1 when it is taken. */
static int
env_take(struct channel *c, const char *name, const char *value)
{
	if (name == NULL || value == NULL || c->state != CHANNEL_GATHERING)
		return (0);
	if (strcmp(name, "LODGE_WAIT") == 0) {
		c->wont_wait = strcmp(value, "0") == 0;
		return (1);
	}
	if (strcmp(name, "TZ") == 0 && strlen(value) < sizeof(c->zone)) {
		snprintf(c->zone, sizeof(c->zone), "%s", value); /* in which our own words tell times */
		return (1);
	}
	if (!env_is_passed(name) || c->env_count == CHANNEL_ENV_MAX || strlen(name) + strlen(value) > 1024) {
		refused_tell(c->session, "env", REASON_ENV, name);
		return (0);
	}
	c->env[c->env_count].name = bytes_dup(bytes_text(name));
	c->env[c->env_count].value = bytes_dup(bytes_text(value));
	if (c->env[c->env_count].name == NULL || c->env[c->env_count].value == NULL)
		log_fatal("out of memory");
	c->env_count++;
	return (1);
}

static void
ask_post(struct channel *c)
{
	struct session *s = c->session;

	peer_post(s->policy, ASK, ask, .ask = c->ask, .channel = c->number,
	    .kind = (uint8_t)(c->is_exec ? ASK_EXEC : ASK_SHELL), .target = bytes_text(s->name.target),
	    .account = bytes_text(s->name.account), .command = bytes_text(c->is_exec ? c->command : ""),
	    .pty = (uint8_t)c->has_pty, .wait_ok = (uint8_t)!c->wont_wait);
}

/* A shell or a command: to the target, or a person's words to policy.  0 or -1. */
static int
start_take(struct channel *c, const char *command)
{
	struct session *s = c->session;

	if (c->state != CHANNEL_GATHERING)
		return (-1);
	if (command != NULL) {
		if (strlen(command) > CHANNEL_COMMAND_MAX) {
			refused_tell(s, "exec", REASON_LIMIT, "the command is too long");
			return (-1);
		}
		if ((c->command = bytes_dup(bytes_text(command))) == NULL)
			log_fatal("out of memory");
		c->is_exec = 1;
	}
	if (s->name.target[0] == '\0') {
		channel_step(c, CHANNEL_VERB);
		verb_begin(c);
		return (0);
	}
	c->ask = session_ask(s);
	c->asked_boot_ms = clock_boot_ms();
	channel_step(c, CHANNEL_ASKING);
	ask_post(c);
	return (0);
}

static int
resize_take(struct channel *c, ssh_message m)
{
	(void)ssh_more_pty_modes(m, &c->pixel_width, &c->pixel_height);
	c->columns = (uint32_t)ssh_message_channel_request_pty_width(m);
	c->rows = (uint32_t)ssh_message_channel_request_pty_height(m);
	c->resize_due = 1;
	return (c->has_pty ? 0 : -1);
}

/* A subsystem is refused where its client shows it: on standard error, with our exit status. */
static void
subsystem_refuse(struct channel *c, ssh_message m)
{
	refused_tell(c->session, "subsystem", REASON_NOT_SUPPORTED, ssh_message_channel_request_subsystem(m));
	if (c->state != CHANNEL_GATHERING) {
		(void)ssh_message_reply_default(m);
		return;
	}
	(void)ssh_message_channel_request_reply_success(m);
	channel_refuse(c, REASON_NOT_SUPPORTED, NULL);
}

void
channel_request(struct session *s, ssh_message m)
{
	struct channel *c = channel_of(s, ssh_message_channel_request_channel(m));
	int good = 0;

	if (c == NULL) {
		(void)ssh_message_reply_default(m);
		return;
	}
	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_REQUEST_PTY:
		good = pty_take(c, m) == 0;
		break;
	case SSH_CHANNEL_REQUEST_ENV:
		good =
		    env_take(c, ssh_message_channel_request_env_name(m), ssh_message_channel_request_env_value(m));
		break;
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
		good = resize_take(c, m) == 0;
		break;
	case SSH_CHANNEL_REQUEST_SHELL:
		good = start_take(c, NULL) == 0;
		break;
	case SSH_CHANNEL_REQUEST_EXEC:
		good = start_take(c, ssh_message_channel_request_command(m)) == 0;
		break;
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		subsystem_refuse(c, m);
		return;
	case SSH_CHANNEL_REQUEST_X11:
		refused_tell(s, "x11-req", REASON_NOT_SUPPORTED, "");
		break;
	default: /* told by channel_unknown_request */
		break;
	}
	if (good)
		(void)ssh_message_channel_request_reply_success(m);
	else
		(void)ssh_message_reply_default(m);
}

int
channel_unknown_request(struct session *s, ssh_channel here, struct bytes name, struct bytes payload)
{
	char what[64];

	(void)here;
	(void)payload;
	if (bytes_are(name, "eow@openssh.com")) /* its sender reads no more; the closing says the same */
		return (0);
	text_safe(what, sizeof(what), name);
	refused_tell(s, what, REASON_NOT_SUPPORTED, "");
	return (0);
}

void
channel_global(struct session *s, ssh_message m)
{
	char where[256];

	switch (ssh_message_subtype(m)) {
	case SSH_GLOBAL_REQUEST_TCPIP_FORWARD:
		snprintf(where, sizeof(where), "%s:%d",
		    ssh_message_global_request_address(m) == NULL ? "" : ssh_message_global_request_address(m),
		    ssh_message_global_request_port(m));
		refused_tell(s, "tcpip-forward", REASON_FORWARD, where);
		break;
	case SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD:
		break;
	default:
		refused_tell(s, "global request", REASON_NOT_SUPPORTED, "");
		break;
	}
	(void)ssh_message_reply_default(m);
}

/* ---- the question ---- */

static struct channel *
channel_asking(struct session *s, uint32_t ask)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->ask == ask && ask != 0)
			return (c);
	return (NULL);
}

static void
wait_begin(struct channel *c, const struct msg_verdict *m)
{
	char line[512], text[400];

	c->request = m->request;
	c->until_wall_ms = m->until_wall_ms;
	if (!c->is_waiting) {
		text_safe(text, sizeof(text), m->text);
		snprintf(line, sizeof(line), "lodge: %s", text);
		channel_say(c, line);
	}
	c->is_waiting = 1;
	c->shown_second = -1;
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
	if ((c->visit = visit_join(c->session, m)) == NULL) {
		channel_refuse(c, REASON_LIMIT, NULL);
		return;
	}
	if (c->has_pty && !c->is_exec) {
		text_time(until, sizeof(until), l->ends_wall_ms);
		snprintf(line, sizeof(line), "lodge: %s as %s until %s%s%s; this session is recorded",
		    c->visit->target, c->visit->account, until, l->approver[0] == '\0' ? "" : ", approved by ",
		    l->approver);
		channel_say(c, line);
	} else if (c->is_waiting)
		live_line_clear(c);
	channel_step(c, CHANNEL_ENTERING);
	c->step = ENTRY_OPEN;
}

void
channel_on_verdict(struct session *s, const struct msg_verdict *m)
{
	struct channel *c = channel_asking(s, m->ask);
	char text[512];

	if (c == NULL)
		return;
	text_safe(text, sizeof(text), m->text);
	if (m->verdict == VERDICT_DENY && (c->state == CHANNEL_ASKING || c->state == CHANNEL_ENTERING)) {
		if (c->visit != NULL)
			visit_end(c->visit, (enum reason)m->reason, text);
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
channel_on_notice(struct session *s, const struct msg_notice *m)
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
channels_policy_anew(struct session *s)
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
	live_line_clear(c);
	channel_put(c, 2, bytes_text(line));
	c->shown_width = (int)strlen(line);
}

/* On a terminal Ctrl-C and Ctrl-D give up; what else is typed while nobody listens goes nowhere. */
static int
gave_up(struct channel *c)
{
	uint8_t typed[256];
	int got;

	if (c->here_closed)
		return (1);
	while (c->has_pty && (got = ssh_channel_read_nonblocking(c->here, typed, sizeof(typed), 0)) > 0)
		if (memchr(typed, 3, (size_t)got) != NULL || memchr(typed, 4, (size_t)got) != NULL)
			return (1);
	return (0);
}

static void
asking_turn(struct channel *c)
{
	char line[160];

	if (!gave_up(c))
		return;
	peer_post(c->session->policy, ASK_ENDED, ask_ended, .ask = c->ask);
	if (c->here_closed) {
		channel_step(c, CHANNEL_OVER);
		return;
	}
	snprintf(line, sizeof(line), "you left the queue; request %llu stands: show %llu",
	    (unsigned long long)c->request, (unsigned long long)c->request);
	channel_refuse(c, c->is_waiting ? REASON_WAITING : REASON_LEFT, c->is_waiting ? line : NULL);
}

/* ---- the end ---- */

/* Gives the client what waits; 1 when nothing does. */
static int
words_flush(struct channel *c)
{
	struct fifo *fifos[] = {&c->err, &c->out};

	for (size_t i = 0; i < 2; i++) {
		struct bytes b;

		while ((b = fifo_bytes(fifos[i])).len > 0) {
			size_t len = b.len < RELAY_PIECE ? b.len : RELAY_PIECE;
			int wrote;

			if (leg_room(&c->session->door) == 0)
				return (0);
			wrote = fifos[i] == &c->err ? ssh_channel_write_stderr(c->here, b.at, (uint32_t)len)
			                            : ssh_channel_write(c->here, b.at, (uint32_t)len);
			if (wrote <= 0)
				return (0);
			fifo_take(fifos[i], (size_t)wrote);
		}
	}
	return (1);
}

static void
ending_turn(struct channel *c)
{
	if (!c->session->door.over) {
		if (!c->here_closed && !words_flush(c))
			return;
		if (c->signal[0] != '\0')
			(void)ssh_channel_request_send_exit_signal(c->here, c->signal, c->core_dumped, "", "");
		else if (c->has_status)
			(void)ssh_channel_request_send_exit_status(c->here, (int)c->status);
	}
	/* Sends EOF first, and comes back where that had to wait. */
	if (!c->session->door.over && ssh_channel_close(c->here) == SSH_AGAIN)
		(void)ssh_channel_close(c->here);
	channel_step(c, CHANNEL_OVER);
}

static void
sealing_turn(struct channel *c)
{
	if (!c->here_closed && !c->visit->is_sealed && clock_boot_ms() < c->seal_by_ms)
		return;
	if (!c->here_closed)
		visit_receipt(c->visit, c);
	channel_finish(c);
}

int
channels_turn(struct session *s)
{
	int moved = 0;

	for (struct channel *c = s->channels; c != NULL; c = c->next) {
		enum channel_state before = c->state;

		if (c->state != CHANNEL_OVER && c->state != CHANNEL_ENDING && !c->here_closed && !s->door.over)
			(void)words_flush(c);
		switch (c->state) {
		case CHANNEL_GATHERING:
			if (c->here_closed)
				channel_step(c, CHANNEL_ENDING);
			break;
		case CHANNEL_ASKING:
			asking_turn(c);
			break;
		case CHANNEL_ENTERING:
			moved |= entry_turn(c);
			break;
		case CHANNEL_RUNNING:
			moved |= entry_running_turn(c);
			break;
		case CHANNEL_SEALING:
			sealing_turn(c);
			break;
		case CHANNEL_VERB:
			moved |= verb_turn(c);
			break;
		case CHANNEL_ENDING:
			ending_turn(c);
			break;
		default:
			break;
		}
		moved |= c->state != before;
	}
	return (moved);
}

void
channels_tick(struct session *s)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next) {
		if (c->state != CHANNEL_ASKING)
			continue;
		live_line_show(c);
		if (!c->is_waiting && clock_boot_ms() - c->asked_boot_ms > ANSWER_MS) {
			peer_post(s->policy, ASK_ENDED, ask_ended, .ask = c->ask);
			channel_refuse(c, REASON_POLICY_AWAY, NULL);
		}
	}
}

static void
channel_drop(struct channel *c)
{
	if (c->session->door.ssh != NULL)
		ssh_channel_free(c->here);
	if (c->there != NULL && c->visit != NULL && c->visit->leg.ssh != NULL)
		ssh_channel_free(c->there);
	verb_free(c);
	relay_free(c);
	fifo_free(&c->out);
	fifo_free(&c->err);
	for (size_t i = 0; i < c->env_count; i++) {
		free(c->env[i].name);
		free(c->env[i].value);
	}
	free(c->modes);
	free(c->command);
	free(c);
}

static void
channels_drop(struct session *s, int all)
{
	struct channel *c, **at = &s->channels;

	while ((c = *at) != NULL)
		if (all || c->state == CHANNEL_OVER) {
			*at = c->next;
			channel_drop(c);
		} else
			at = &c->next;
}

void
channels_sweep(struct session *s)
{
	channels_drop(s, 0);
}

void
channels_free(struct session *s)
{
	channels_drop(s, 1);
}
