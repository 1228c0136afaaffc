#include "channel.h"

#include "base/clock.h"
#include "base/log.h"
#include "beside.h"
#include "entry.h"
#include "forward.h"
#include "question.h"
#include "receipt.h"
#include "renewal.h"
#include "ssh_more.h"
#include "transfer.h"
#include "verb.h"
#include "visit.h"

#define CUT_SEAL_MS 500 /* who is cut off waits so long for the receipt */

static const char *const state_names[] = {
    "gathering", "asking", "entering", "running", "sealing", "verb", "ending", "over"};

/* Which step may follow which. */
static const uint8_t steps[] = {
    [CHANNEL_GATHERING] =
        1 << CHANNEL_ASKING | 1 << CHANNEL_ENTERING | 1 << CHANNEL_VERB | 1 << CHANNEL_ENDING | 1 << CHANNEL_OVER,
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
	if (to == CHANNEL_ENTERING)
		c->enter_by_ms = clock_boot_ms() + VISIT_ENTER_MS;
	session_wake(c->session);
}

/* ---- beginning ---- */

struct channel *
channel_add(struct door *d)
{
	struct channel *c, **last;
	size_t open = 0, all = 0;

	for (last = &d->session->channels; *last != NULL; last = &(*last)->next) {
		all++;
		/* Those that the client closed, or that we refused, are on their way out. */
		open += !(*last)->here_closed && (*last)->state != CHANNEL_OVER;
	}
	if (d->session->denials > SESSION_DENIALS_MAX || open >= SESSION_CHANNELS_MAX ||
	    all >= 2 * SESSION_CHANNELS_MAX || (c = calloc(1, sizeof(*c))) == NULL)
		return (NULL);
	c->session = d->session;
	c->door = d;
	c->number = ++d->session->last_channel;
	c->verb_fd = -1;
	*last = c;
	return (c);
}

static void
on_here_close(ssh_session ssh, ssh_channel here, void *ctx)
{
	struct channel *c = ctx;

	(void)ssh;
	(void)here;
	c->here_closed = 1;
	session_wake(c->session);
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

void
channel_take_here(struct channel *c, ssh_channel here)
{
	c->here = here;
	c->here_calls.userdata = c;
	c->here_calls.channel_close_function = on_here_close;
	c->here_calls.channel_signal_function = on_here_signal;
	ssh_callbacks_init(&c->here_calls);
	(void)ssh_add_channel_callbacks(here, &c->here_calls);
}

int
channel_is_forward(const struct channel *c)
{
	return (c->way == WAY_FORWARD);
}

int
channel_has_words(const struct channel *c)
{
	return (c->way == WAY_SESSION);
}

int
channel_hears(const struct channel *c)
{
	return (c->here != NULL && !c->here_closed && !c->door->leg.over);
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

void
channel_line_clear(struct channel *c)
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
	if (channel_has_words(c)) {
		channel_line_clear(c);
		channel_put(c, 2, bytes_text(line));
		channel_put(c, 2, bytes_text("\n"));
	}
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

/* Whoever asked for it is answered; OVER. */
static void
opening_refuse(struct channel *c, enum reason reason, const char *line)
{
	if (c->way == WAY_LISTEN)
		(void)ssh_message_reply_default(c->opening);
	else
		(void)ssh_more_refuse_channel(
		    c->opening, reason_status(reason) == 69 ? OPEN_FAILED : OPEN_PROHIBITED, line);
	ssh_message_free(c->opening);
	c->opening = NULL;
	channel_step(c, CHANNEL_OVER);
}

/* 1 when there was somebody to tell. */
static int
reason_say(struct channel *c, enum reason reason, const char *text)
{
	char line[768];

	if (c->state == CHANNEL_ENDING || c->state == CHANNEL_OVER || c->state == CHANNEL_SEALING)
		return (0);
	text_reason(line, sizeof(line), reason, text);
	if (c->opening != NULL) {
		opening_refuse(c, reason, line);
		return (1);
	}
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
	int has_receipt = c->state == CHANNEL_RUNNING && c->has_pty && c->kind == ASK_SHELL;

	if (!reason_say(c, reason, text))
		return;
	if (!has_receipt) {
		channel_finish(c);
		return;
	}
	channel_step(c, CHANNEL_SEALING);
	c->seal_by_ms = clock_boot_ms() + CUT_SEAL_MS;
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

			if (leg_room(&c->door->leg) == 0)
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
	if (c->here != NULL && !c->door->leg.over) {
		if (!c->here_closed && !words_flush(c))
			return;
		if (!channel_has_words(c))
			; /* its end is all there is to say */
		else if (c->signal[0] != '\0')
			(void)ssh_channel_request_send_exit_signal(c->here, c->signal, c->core_dumped, "", "");
		else if (c->has_status)
			(void)ssh_channel_request_send_exit_status(c->here, (int)c->status);
		/* Sends EOF first, and comes back where that had to wait. */
		if (ssh_channel_close(c->here) == SSH_AGAIN)
			(void)ssh_channel_close(c->here);
	}
	channel_step(c, CHANNEL_OVER);
}

static void
sealing_turn(struct channel *c)
{
	int is_long = c->visit->renewal != NULL && renewal_has_begun(c->visit->renewal);

	if (!c->here_closed && !c->visit->is_sealed && !is_long && clock_boot_ms() < c->seal_by_ms)
		return;
	if (!c->here_closed)
		receipt_say(c->visit, c);
	channel_finish(c);
}

static int
entering_turn(struct channel *c)
{
	if (channel_has_words(c))
		return (entry_turn(c));
	return (channel_is_forward(c) ? forward_entering_turn(c) : beside_entering_turn(c));
}

static int
running_turn(struct channel *c)
{
	if (channel_has_words(c))
		return (entry_running_turn(c));
	return (channel_is_forward(c) ? forward_running_turn(c) : beside_running_turn(c));
}

void
channel_leave(struct channel *c)
{
	if (channel_has_words(c))
		entry_leave(c);
	else if (channel_is_forward(c))
		forward_leave(c);
	else
		beside_leave(c);
}

int
channels_turn(struct session *s)
{
	int moved = 0;

	for (struct channel *c = s->channels; c != NULL; c = c->next) {
		enum channel_state before = c->state;

		if (door_is_nested(c->door) && c->door->leg.over)
			c->here_closed = 1; /* the others go on */
		if (c->state != CHANNEL_OVER && c->state != CHANNEL_ENDING && channel_hears(c))
			(void)words_flush(c);
		switch (c->state) {
		case CHANNEL_GATHERING:
			if (c->here_closed)
				channel_step(c, CHANNEL_ENDING);
			break;
		case CHANNEL_ASKING:
			question_turn(c);
			break;
		case CHANNEL_ENTERING:
			moved |= entering_turn(c);
			break;
		case CHANNEL_RUNNING:
			moved |= running_turn(c);
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

/* A target that lives, and never answers what it is asked for.  (A forward's socket has its visit's time.) */
static void
entering_tick(struct channel *c)
{
	if (channel_is_forward(c) || clock_boot_ms() < c->enter_by_ms)
		return;
	channel_refuse(c, REASON_UNREACHABLE, NULL);
	channel_leave(c);
}

void
channels_tick(struct session *s)
{
	for (struct channel *c = s->channels; c != NULL; c = c->next)
		if (c->state == CHANNEL_ASKING)
			question_tick(c);
		else if (c->state == CHANNEL_ENTERING)
			entering_tick(c);
}

static void
channel_drop(struct channel *c)
{
	if (c->here != NULL && c->door->leg.ssh != NULL)
		ssh_channel_free(c->here);
	if (c->opening != NULL)
		ssh_message_free(c->opening);
	if (c->visit != NULL && c->visit->global == c)
		c->visit->global = NULL;
	if (c->there != NULL && c->visit != NULL && c->visit->leg.ssh != NULL)
		ssh_channel_free(c->there);
	verb_free(c);
	relay_free(c);
	fifo_free(&c->out);
	fifo_free(&c->err);
	fifo_free(&c->ahead);
	for (size_t i = 0; i < c->env_count; i++) {
		free(c->env[i].name);
		free(c->env[i].value);
	}
	transfer_free(c->transfer);
	free(c->modes);
	free(c->command);
	free(c->originator);
	free(c->x11.protocol);
	free(c->x11.cookie);
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
