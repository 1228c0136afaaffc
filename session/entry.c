#include "entry.h"

#include <arpa/inet.h>

#include "asked.h"
#include "base/clock.h"
#include "base/log.h"
#include "command.h"
#include "ssh_more.h"
#include "transfer.h"
#include "visit.h"

#define SEAL_MS 1500 /* the engineer waits so long for the digest of an ended recording */

static void
frame(const struct channel *c, enum frame_type type, const void *at, size_t len)
{
	record_put(c->session->record, type, c->visit->stream, c->number, bytes_of(at, len));
}

static void
size_put(struct wire *w, const struct channel *c)
{
	wire_put_u16(w, (uint16_t)(c->columns > UINT16_MAX ? UINT16_MAX : c->columns));
	wire_put_u16(w, (uint16_t)(c->rows > UINT16_MAX ? UINT16_MAX : c->rows));
}

/* ---- what the target says ---- */

static void
on_there_close(ssh_session ssh, ssh_channel there, void *ctx)
{
	(void)ssh;
	(void)there;
	((struct channel *)ctx)->there_closed = 1;
}

/* It is closed, or was cut: what the target says of its end now (to our own TERM, perhaps) is not how it ended. */
static int
ending_is_ours(const struct channel *c)
{
	return (c->there_closed || (c->state != CHANNEL_ENTERING && c->state != CHANNEL_RUNNING));
}

static void
on_exit_status(ssh_session ssh, ssh_channel there, int status, void *ctx)
{
	struct channel *c = ctx;

	(void)ssh;
	(void)there;
	if (ending_is_ours(c))
		return;
	c->has_status = 1;
	c->status = (uint32_t)status;
}

static void
on_exit_signal(ssh_session ssh, ssh_channel there, const char *name, int core, const char *message,
    const char *language, void *ctx)
{
	struct channel *c = ctx;

	(void)ssh;
	(void)there;
	(void)message;
	(void)language;
	if (ending_is_ours(c))
		return;
	snprintf(c->signal, sizeof(c->signal), "%.20s", name);
	c->core_dumped = core != 0;
}

/* ---- entering ---- */

static int
is_subsystem(const struct channel *c)
{
	return (c->kind == ASK_SFTP || c->kind == ASK_SUBSYSTEM);
}

static int
there_open(struct channel *c)
{
	if ((c->there = ssh_channel_new(c->visit->leg.ssh)) == NULL)
		return (-1);
	c->there_calls.userdata = c;
	c->there_calls.channel_close_function = on_there_close;
	c->there_calls.channel_exit_status_function = on_exit_status;
	c->there_calls.channel_exit_signal_function = on_exit_signal;
	ssh_callbacks_init(&c->there_calls);
	return (ssh_add_channel_callbacks(c->there, &c->there_calls) == SSH_OK ? 0 : -1);
}

void
entry_allow(struct channel *c)
{
	uint32_t may = c->visit->capabilities;

	c->agent_on = c->wants_agent && (may & CAPABILITY_AGENT) != 0;
	c->x11_on = c->x11.wanted && (may & CAPABILITY_X11) != 0;
	if (c->wants_agent && !c->agent_on)
		asked_refused_tell(c->session, "auth-agent-req@openssh.com", REASON_CAPABILITY, "");
	if (!c->x11.wanted || c->x11_on)
		return;
	asked_refused_tell(c->session, "x11-req", REASON_CAPABILITY, "");
	if (c->has_pty)
		channel_say(c, "lodge: X11 is not part of the grant; ask for it: request TARGET --with x11");
}

static void
with_record(const struct channel *c, const char *what)
{
	char fact[64];
	int len = snprintf(fact, sizeof(fact), "{\"with\":\"%s\"}", what);

	frame(c, FRAME_FACT, fact, (size_t)len);
}

/* The record says what was asked for, before the target hears of it. */
static void
asked_record(const struct channel *c)
{
	struct wire w = {0};

	if (c->has_pty) {
		size_put(&w, c);
		wire_put_raw(&w, c->term, strlen(c->term));
		frame(c, FRAME_PTY, w.at, w.len);
	}
	for (size_t i = 0; i < c->env_count; i++) {
		wire_clear(&w);
		wire_put_raw(&w, c->env[i].name, strlen(c->env[i].name));
		wire_put_raw(&w, "=", 1);
		wire_put_raw(&w, c->env[i].value, strlen(c->env[i].value));
		frame(c, FRAME_ENV, w.at, w.len);
	}
	if (c->agent_on)
		with_record(c, "agent");
	if (c->x11_on)
		with_record(c, "x11");
	if (c->kind == ASK_SHELL)
		frame(c, FRAME_SHELL, NULL, 0);
	else
		frame(c, is_subsystem(c) ? FRAME_SUBSYSTEM : FRAME_EXEC, c->command, strlen(c->command));
	wire_free(&w);
}

static int
step_ask(struct channel *c)
{
	switch (c->step) {
	case ENTRY_OPEN:
		return (ssh_channel_open_session(c->there));
	case ENTRY_PTY:
		return (ssh_more_request_pty(c->there, c->term, c->columns, c->rows, c->pixel_width,
		    c->pixel_height, bytes_of(c->modes, c->modes_len)));
	case ENTRY_AGENT:
		return (ssh_channel_request_auth_agent(c->there));
	case ENTRY_X11:
		return (ssh_channel_request_x11(
		    c->there, c->x11.single, c->x11.protocol, c->x11.cookie, (int)c->x11.screen));
	case ENTRY_ENV:
		return (ssh_channel_request_env(c->there, c->env[c->env_next].name, c->env[c->env_next].value));
	case ENTRY_START:
		if (c->kind == ASK_SHELL)
			return (ssh_channel_request_shell(c->there));
		return (is_subsystem(c) ? ssh_channel_request_subsystem(c->there, c->command)
		                        : ssh_channel_request_exec(c->there, c->command));
	}
	return (SSH_ERROR);
}

static void
on_fact(void *ctx, struct bytes json)
{
	frame(ctx, FRAME_FACT, json.at, json.len);
}

/* What carries files is ruled by what the grant covers, and keeps a ledger. */
static int
transfer_begin(struct channel *c)
{
	struct transfer_of of = {
	    .capabilities = c->visit->capabilities, .command = c->command, .fact = on_fact, .ctx = c};

	/* Only commands that are nothing but a transfer are asked for as UPLOAD or DOWNLOAD; rsync's is not read along. */
	if (c->kind == ASK_SFTP)
		of.kind = TRANSFER_SFTP;
	else if (c->kind == ASK_UPLOAD && command_kind(c->command) == COMMAND_SCP_UP)
		of.kind = TRANSFER_SCP_UP;
	else if (c->kind == ASK_DOWNLOAD && command_kind(c->command) == COMMAND_SCP_DOWN)
		of.kind = TRANSFER_SCP_DOWN;
	else
		return (0);
	return ((c->transfer = transfer_new(&of)) == NULL ? -1 : 0);
}

static void
running_begin(struct channel *c)
{
	if (transfer_begin(c) == -1) {
		channel_refuse(c, REASON_LIMIT, NULL);
		entry_leave(c);
		return;
	}
	channel_step(c, CHANNEL_RUNNING);
	c->told = 1;
	peer_post(c->session->policy, VISIT, visit, .stream = c->visit->stream, .channel = c->number,
	    .what = VISIT_CHANNEL_OPENED, .text = bytes_text(c->command == NULL ? "" : c->command));
}

static int
step_applies(const struct channel *c, enum entry_step step)
{
	switch (step) {
	case ENTRY_PTY:
		return (c->has_pty);
	case ENTRY_AGENT:
		return (c->agent_on);
	case ENTRY_X11:
		return (c->x11_on);
	case ENTRY_ENV:
		return (c->env_next < c->env_count);
	default:
		return (1);
	}
}

/* What comes after this step. */
static void
step_next(struct channel *c)
{
	switch (c->step) {
	case ENTRY_START:
		running_begin(c);
		return;
	case ENTRY_OPEN:
		asked_record(c);
		c->resize_due = 0;
		break;
	case ENTRY_ENV:
		if (++c->env_next < c->env_count)
			return;
		break;
	default:
		break;
	}
	do
		c->step++;
	while (!step_applies(c, c->step));
}

static void
step_refused(struct channel *c)
{
	switch (c->step) {
	case ENTRY_AGENT:
		c->agent_on = 0;
		step_next(c);
		return;
	case ENTRY_X11:
		c->x11_on = 0;
		step_next(c);
		return;
	case ENTRY_ENV: /* a target may take none; so does sshd's default */
		step_next(c);
		return;
	case ENTRY_OPEN:
		channel_refuse(c, REASON_TARGET_GONE, "the target opens no further channel");
		break;
	case ENTRY_PTY:
		channel_refuse(c, REASON_TARGET_GONE, "the target gives no terminal");
		entry_leave(c);
		break;
	case ENTRY_START:
		channel_refuse(c, REASON_TARGET_GONE,
		    is_subsystem(c)        ? "the target has no such subsystem"
		    : c->kind == ASK_SHELL ? "the target gives no shell"
		                           : "the target does not run the command");
		entry_leave(c);
		break;
	}
}

int
entry_turn(struct channel *c)
{
	int moved = 0;

	if (c->here_closed) {
		entry_leave(c);
		channel_step(c, CHANNEL_OVER);
		return (1);
	}
	if (c->visit->state != VISIT_OPEN)
		return (0);
	if (c->there == NULL && there_open(c) == -1) {
		channel_refuse(c, REASON_LIMIT, NULL);
		return (1);
	}
	while (c->state == CHANNEL_ENTERING && record_is_clear(c->session->record) && !c->visit->leg.over) {
		switch (step_ask(c)) {
		case SSH_OK:
			step_next(c);
			moved = 1;
			break;
		case SSH_AGAIN:
			if (!c->there_closed)
				return (moved);
			channel_refuse(c, REASON_TARGET_GONE, "the target closed the channel");
			entry_leave(c);
			return (1);
		default:
			if (c->visit->leg.over || !ssh_is_connected(c->visit->leg.ssh))
				return (1); /* the visit says why */
			step_refused(c);
			moved = 1;
			break;
		}
	}
	return (moved);
}

/* ---- running ---- */

static void
requests_pass(struct channel *c)
{
	struct wire w = {0};

	if (c->resize_due && !c->there_closed) {
		c->resize_due = 0;
		size_put(&w, c);
		frame(c, FRAME_RESIZE, w.at, w.len);
		wire_free(&w);
		(void)ssh_more_resize(c->there, c->columns, c->rows, c->pixel_width, c->pixel_height);
	}
	if (c->signal_due[0] != '\0' && !c->there_closed) {
		frame(c, FRAME_SIGNAL_IN, c->signal_due, strlen(c->signal_due));
		(void)ssh_channel_request_send_signal(c->there, c->signal_due);
		c->signal_due[0] = '\0';
	}
	if (c->break_due && !c->there_closed) {
		frame(c, FRAME_SIGNAL_IN, "BREAK", 5);
		(void)ssh_channel_request_send_break(c->there, c->break_ms);
		c->break_due = 0;
	}
	if (c->eow_due && !c->there_closed)
		(void)ssh_more_request(c->there, "eow@openssh.com");
	c->eow_due = 0;
}

/* The ledger is closed, and its sum kept for the receipt. */
static void
transfer_leave(struct channel *c)
{
	const struct transfer_counts *n;
	struct transfer_counts *sum = &c->visit->transfers;

	if (c->transfer == NULL)
		return;
	transfer_end(c->transfer, clock_wall_ms());
	n = transfer_counts(c->transfer);
	sum->files_up += n->files_up;
	sum->files_down += n->files_down;
	sum->refused += n->refused;
	sum->bytes_up += n->bytes_up;
	sum->bytes_down += n->bytes_down;
	transfer_free(c->transfer);
	c->transfer = NULL;
}

static void
closed_tell(struct channel *c)
{
	if (!c->told)
		return;
	c->told = 0;
	peer_post(c->session->policy, VISIT, visit, .stream = c->visit->stream, .channel = c->number,
	    .what = VISIT_CHANNEL_CLOSED, .status = c->has_status ? c->status : UINT32_MAX,
	    .text = bytes_text(c->signal));
}

void
entry_leave(struct channel *c)
{
	uint32_t status = htonl(c->status);

	if (c->there == NULL)
		return;
	transfer_leave(c);
	if (c->there_closed && c->signal[0] != '\0')
		frame(c, FRAME_SIGNAL, c->signal, strlen(c->signal));
	else if (c->there_closed && c->has_status)
		frame(c, FRAME_EXIT, &status, sizeof(status));
	else if (!c->there_closed && !c->has_pty)
		/* Without a terminal nothing else tells it that nobody is there any more. */
		(void)ssh_channel_request_send_signal(c->there, "TERM");
	frame(c, FRAME_CLOSE, NULL, 0);
	if (!c->visit->leg.over && ssh_channel_close(c->there) == SSH_AGAIN)
		(void)ssh_channel_close(c->there);
	closed_tell(c);
	if (c->visit->leg.ssh != NULL)
		ssh_channel_free(c->there);
	c->there = NULL;
}

/* The target's end is closed, and all that it said is with the engineer. */
static void
target_closed(struct channel *c)
{
	struct visit *v = c->visit;

	entry_leave(c);
	if (!c->has_pty || c->kind != ASK_SHELL || c->here_closed) {
		channel_finish(c);
		return;
	}
	channel_step(c, CHANNEL_SEALING);
	c->seal_by_ms = clock_boot_ms() + SEAL_MS;
	if (visit_channels(v) == 0)
		visit_close(v, REASON_DONE);
}

/*
 * A client that said and heard EOF closes its end at once, as OpenSSH does, and takes the exit status in what is left of
 * the channel: until our own CLOSE (RFC 4254 5.3, 6.10).
 */
static int
client_awaits_status(const struct channel *c)
{
	return (c->in_ended && c->out_ended && !c->has_pty && !c->door->leg.over);
}

int
entry_running_turn(struct channel *c)
{
	int moved = relay_turn(c);

	if (record_is_clear(c->session->record))
		requests_pass(c);
	if (c->here_closed && !client_awaits_status(c) && relay_in_is_clear(c) &&
	    (c->there_closed || ssh_channel_poll(c->here, 0) <= 0)) {
		entry_leave(c);
		channel_step(c, CHANNEL_OVER);
		return (1);
	}
	if (c->there_closed && (c->here_closed || relay_is_drained(c)) && record_is_clear(c->session->record)) {
		target_closed(c);
		return (1);
	}
	return (moved);
}
