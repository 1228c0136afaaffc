#include "asked.h"

#include <arpa/inet.h>
#include <fnmatch.h>

#include "base/clock.h"
#include "base/log.h"
#include "channel.h"
#include "command.h"
#include "nest.h"
#include "question.h"
#include "ssh_more.h"
#include "verb.h"

#define SSH_PORT 22 /* a target's name with this port is a visit */
#define HOST_MAX 255
#define SOCKET_CHANNEL "direct-streamlocal@openssh.com"
#define X11_MAX 255
#define BREAK_MS_MAX 3000 /* RFC 4335 3 */
#define REFUSALS_TOLD 256 /* of one connection */

/* A client that is refused for ever fills no book: of what comes behind the first ones, fewer and fewer are events. */
void
asked_refused_tell(struct session *s, const char *what, enum reason reason, const char *detail)
{
	char clean[256];

	s->refusals++;
	if (s->refusals > REFUSALS_TOLD && (s->refusals & (s->refusals - 1)) != 0)
		return;
	text_safe(clean, sizeof(clean), bytes_text(detail == NULL ? "" : detail));
	peer_post(s->policy, REFUSED, refused, .what = bytes_text(what), .reason = (uint16_t)reason,
	    .detail = bytes_text(clean));
}

size_t
asked_channels(const struct door *d)
{
	size_t count = 0;

	for (const struct channel *c = d->session->channels; c != NULL; c = c->next)
		count += c->door == d;
	return (count);
}

static struct channel *
channel_of(struct door *d, ssh_channel here)
{
	for (struct channel *c = d->session->channels; c != NULL; c = c->next)
		if (c->here == here && here != NULL && c->state != CHANNEL_OVER)
			return (c);
	return (NULL);
}

/* ---- channels ---- */

/* m is given. */
static void
open_refuse(struct door *d, ssh_message m, uint32_t code, const char *what, enum reason reason, const char *detail)
{
	char line[256];

	text_reason(line, sizeof(line), reason, NULL);
	asked_refused_tell(d->session, what, reason, detail);
	(void)ssh_more_refuse_channel(m, code, line);
	ssh_message_free(m);
}

static void
session_open(struct door *d, ssh_message m)
{
	struct channel *c = channel_add(d);
	ssh_channel here;

	if (c == NULL) {
		open_refuse(d, m, OPEN_SHORTAGE, "session", REASON_LIMIT, "");
		return;
	}
	if ((here = ssh_message_channel_request_open_reply_accept(m)) != NULL)
		channel_take_here(c, here);
	else
		c->state = CHANNEL_OVER;
	ssh_message_free(m);
}

char *
asked_place(const char *host, int port)
{
	char place[HOST_MAX + 16], *copy;

	if (host == NULL)
		host = "";
	snprintf(place, sizeof(place), strchr(host, ':') == NULL ? "%s:%d" : "[%s]:%d", host, port);
	if ((copy = bytes_dup(bytes_text(place))) == NULL)
		log_fatal("out of memory");
	return (copy);
}

/* A TCP connection to host:port: policy is asked for it, and until the socket is there the client waits for its channel. */
static void
forward_open(struct door *d, ssh_message m, const char *host, int port)
{
	struct channel *c = channel_add(d);

	if (c == NULL) {
		open_refuse(d, m, OPEN_SHORTAGE, "direct-tcpip", REASON_LIMIT, host);
		return;
	}
	c->opening = m;
	c->way = WAY_FORWARD;
	c->kind = ASK_FORWARD;
	c->command = asked_place(host, port);
	c->originator = asked_place(
	    ssh_message_channel_request_open_originator(m), ssh_message_channel_request_open_originator_port(m));
	question_ask(c);
}

/* A unix socket of the target's (PROTOCOL 2.4): the target connects to it. */
static void
socket_open(struct door *d, ssh_message m, const char *path)
{
	struct channel *c = channel_add(d);

	if (c == NULL) {
		open_refuse(d, m, OPEN_SHORTAGE, SOCKET_CHANNEL, REASON_LIMIT, path);
		return;
	}
	c->opening = m;
	c->way = WAY_SOCKET;
	c->kind = ASK_SOCKET;
	if ((c->command = bytes_dup(bytes_text(path))) == NULL)
		log_fatal("out of memory");
	c->originator = asked_place("", 0);
	question_ask(c);
}

static int
host_is_sound(const char *host)
{
	if (host == NULL || host[0] == '\0' || strlen(host) > HOST_MAX)
		return (0);
	for (const unsigned char *p = (const unsigned char *)host; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 127)
			return (0);
	return (1);
}

static int
host_is_address(const char *host)
{
	uint8_t address[sizeof(struct in6_addr)];

	return (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1);
}

static void
tcpip_open(struct door *d, ssh_message m)
{
	const char *host = ssh_message_channel_request_open_destination(m);
	int port = ssh_message_channel_request_open_destination_port(m);
	enum reason reason;

	if (!host_is_sound(host) || port < 1 || port > UINT16_MAX) {
		open_refuse(d, m, OPEN_PROHIBITED, "direct-tcpip", REASON_FORWARD, host);
		return;
	}
	if (port != SSH_PORT) {
		forward_open(d, m, host, port);
		return;
	}
	if (host_is_address(host)) /* targets have names */
		reason = REASON_FORWARD;
	else
		reason = door_is_nested(d) ? REASON_NESTED : nest_open(d, m, host);
	if (reason == REASON_NONE)
		ssh_message_free(m);
	else
		open_refuse(
		    d, m, reason == REASON_LIMIT ? OPEN_SHORTAGE : OPEN_PROHIBITED, "direct-tcpip", reason, host);
}

/* A type that libssh does not know. */
static void
other_open(struct door *d, ssh_message m)
{
	const char *path = ssh_message_channel_request_open_destination(m);
	char what[64];

	if (strcmp(ssh_more_channel_type(m), SOCKET_CHANNEL) == 0 && path != NULL && path[0] == '/' &&
	    strlen(path) <= HOST_MAX) {
		socket_open(d, m, path);
		return;
	}
	text_safe(what, sizeof(what), bytes_text(ssh_more_channel_type(m)));
	open_refuse(d, m, OPEN_PROHIBITED, what, REASON_NOT_SUPPORTED, "");
}

void
asked_open(struct door *d, ssh_message m)
{
	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_SESSION:
		session_open(d, m);
		break;
	case SSH_CHANNEL_DIRECT_TCPIP:
		tcpip_open(d, m);
		break;
	case SSH_CHANNEL_X11:
		open_refuse(d, m, OPEN_PROHIBITED, "x11", REASON_NOT_SUPPORTED, "");
		break;
	default:
		other_open(d, m);
		break;
	}
}

/* ---- requests ---- */

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

/* AcceptEnv, patterns with spaces between. */
static int
env_is_passed(const struct settings *set, const char *name)
{
	char pattern[128];
	size_t len;

	for (const char *at = set->accept_env; *at != '\0'; at += len) {
		at += strspn(at, " ");
		len = strcspn(at, " ");
		if (len == 0 || len >= sizeof(pattern))
			continue;
		memcpy(pattern, at, len);
		pattern[len] = '\0';
		if (fnmatch(pattern, name, 0) == 0)
			return (1);
	}
	return (0);
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
	if (!env_is_passed(&c->session->set, name) || c->env_count == CHANNEL_ENV_MAX ||
	    strlen(name) + strlen(value) > 1024) {
		asked_refused_tell(c->session, "env", REASON_ENV, name);
		return (0);
	}
	c->env[c->env_count].name = bytes_dup(bytes_text(name));
	c->env[c->env_count].value = bytes_dup(bytes_text(value));
	if (c->env[c->env_count].name == NULL || c->env[c->env_count].value == NULL)
		log_fatal("out of memory");
	c->env_count++;
	return (1);
}

/* What the command is, and so which capability it needs: a command that is nothing but a transfer is one. */
static enum ask_kind
command_ask(const char *command)
{
	switch (command_kind(command)) {
	case COMMAND_SCP_UP:
	case COMMAND_RSYNC_UP:
		return (ASK_UPLOAD);
	case COMMAND_SCP_DOWN:
	case COMMAND_RSYNC_DOWN:
		return (ASK_DOWNLOAD);
	default:
		return (ASK_EXEC);
	}
}

/* A terminal's line discipline would give its program other bytes than those that were ruled and recorded. */
static void
terminal_drop(struct channel *c)
{
	if (c->kind == ASK_SFTP || c->kind == ASK_UPLOAD || c->kind == ASK_DOWNLOAD)
		c->has_pty = 0;
}

/* What c->kind and c->command say goes to the target; or, where none was named, is a person's words to policy. */
static void
start(struct channel *c)
{
	terminal_drop(c);
	if (c->door->name.target[0] != '\0') {
		question_ask(c);
		return;
	}
	if (c->kind == ASK_SFTP || c->kind == ASK_SUBSYSTEM) {
		channel_refuse(c, REASON_UNKNOWN_TARGET, "files lie on targets: name one, as in alice+osv1@lodge");
		return;
	}
	channel_step(c, CHANNEL_VERB);
	verb_begin(c);
}

/* 0 or -1. */
static int
command_take(struct channel *c, const char *command)
{
	if (command == NULL || strlen(command) > CHANNEL_COMMAND_MAX) {
		asked_refused_tell(c->session, "exec", REASON_LIMIT, "the command is too long");
		return (-1);
	}
	if ((c->command = bytes_dup(bytes_text(command))) == NULL)
		log_fatal("out of memory");
	return (0);
}

static int
shell_take(struct channel *c)
{
	if (c->state != CHANNEL_GATHERING)
		return (-1);
	c->kind = ASK_SHELL;
	start(c);
	return (0);
}

static int
exec_take(struct channel *c, const char *command)
{
	if (c->state != CHANNEL_GATHERING || command_take(c, command) == -1)
		return (-1);
	c->kind = command_ask(c->command);
	start(c);
	return (0);
}

static int
subsystem_take(struct channel *c, const char *name)
{
	if (c->state != CHANNEL_GATHERING || command_take(c, name) == -1)
		return (-1);
	c->kind = strcmp(c->command, "sftp") == 0 ? ASK_SFTP : ASK_SUBSYSTEM;
	start(c);
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

/* Whether the grant covers it is known later (entry_allow); then the target is not told, and the client goes on. */
static int
x11_take(struct channel *c, ssh_message m)
{
	const char *protocol = ssh_message_channel_request_x11_auth_protocol(m),
	           *cookie = ssh_message_channel_request_x11_auth_cookie(m);

	if (c->state != CHANNEL_GATHERING || c->x11.wanted || protocol == NULL || cookie == NULL ||
	    strlen(protocol) > X11_MAX || strlen(cookie) > X11_MAX)
		return (-1);
	if ((c->x11.protocol = bytes_dup(bytes_text(protocol))) == NULL ||
	    (c->x11.cookie = bytes_dup(bytes_text(cookie))) == NULL)
		log_fatal("out of memory");
	c->x11.wanted = 1;
	c->x11.single = ssh_message_channel_request_x11_single_connection(m);
	c->x11.screen = (uint32_t)ssh_message_channel_request_x11_screen_number(m);
	return (0);
}

void
asked_request(struct door *d, ssh_message m)
{
	struct channel *c = channel_of(d, ssh_message_channel_request_channel(m));
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
		good = shell_take(c) == 0;
		break;
	case SSH_CHANNEL_REQUEST_EXEC:
		good = exec_take(c, ssh_message_channel_request_command(m)) == 0;
		break;
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		good = subsystem_take(c, ssh_message_channel_request_subsystem(m)) == 0;
		break;
	case SSH_CHANNEL_REQUEST_X11:
		good = x11_take(c, m) == 0;
		break;
	default: /* told by asked_unknown_request */
		break;
	}
	if (good)
		(void)ssh_message_channel_request_reply_success(m);
	else
		(void)ssh_message_reply_default(m);
}

/* The other side reads no more: what runs may end, as at a direct connection. */
static int
eow_take(struct channel *c)
{
	c->eow_due = 1;
	session_wake(c->session);
	return (SSH_MORE_DONE);
}

/* RFC 4335: on a terminal's line, whose target may be a console. */
static int
break_take(struct channel *c, struct bytes payload)
{
	struct reader r = reader_of(payload);
	uint32_t length_ms = reader_get_u32(&r);

	if (!reader_end(&r) || !c->has_pty)
		return (SSH_MORE_REFUSED);
	c->break_ms = length_ms > BREAK_MS_MAX ? BREAK_MS_MAX : length_ms;
	c->break_due = 1;
	session_wake(c->session);
	return (SSH_MORE_DONE);
}

int
asked_unknown_request(struct door *d, ssh_channel here, struct bytes name, struct bytes payload)
{
	struct channel *c = channel_of(d, here);
	char what[64];

	if (c != NULL && c->state == CHANNEL_RUNNING && bytes_are(name, "eow@openssh.com"))
		return (eow_take(c));
	if (bytes_are(name, "eow@openssh.com"))
		return (SSH_MORE_REFUSED);
	if (c != NULL && c->state == CHANNEL_RUNNING && bytes_are(name, "break"))
		return (break_take(c, payload));
	if (c != NULL && c->state == CHANNEL_GATHERING && bytes_are(name, "auth-agent-req@openssh.com")) {
		c->wants_agent = 1; /* as with X11 */
		return (SSH_MORE_DONE);
	}
	text_safe(what, sizeof(what), name);
	asked_refused_tell(d->session, what, REASON_NOT_SUPPORTED, "");
	return (SSH_MORE_REFUSED);
}

/* The target shall listen; m is given. */
static void
listen_take(struct door *d, ssh_message m)
{
	const char *address = ssh_message_global_request_address(m);
	int port = ssh_message_global_request_port(m);
	struct channel *c = NULL;

	/* A port that the target chooses would have to be told back: it must be named. */
	if (d->name.target[0] != '\0' && port >= 1 && port <= UINT16_MAX && address != NULL &&
	    strlen(address) <= HOST_MAX)
		c = channel_add(d);
	if (c == NULL) {
		asked_refused_tell(d->session, "tcpip-forward", REASON_FORWARD, address);
		(void)ssh_message_reply_default(m);
		ssh_message_free(m);
		return;
	}
	c->opening = m;
	c->way = WAY_LISTEN;
	c->kind = ASK_REVERSE;
	c->command = asked_place(address, port);
	c->originator = asked_place("", 0);
	question_ask(c);
}

static int
listen_cancel(struct door *d, ssh_message m)
{
	char *place = asked_place(ssh_message_global_request_address(m), ssh_message_global_request_port(m));
	int found = 0;

	for (struct channel *c = d->session->channels; c != NULL && !found; c = c->next)
		if (c->door == d && c->way == WAY_LISTEN && c->state == CHANNEL_RUNNING &&
		    strcmp(c->command, place) == 0) {
			c->here_closed = found = 1;
			session_wake(d->session);
		}
	free(place);
	return (found);
}

void
asked_global(struct door *d, ssh_message m)
{
	switch (ssh_message_subtype(m)) {
	case SSH_GLOBAL_REQUEST_TCPIP_FORWARD:
		listen_take(d, m);
		return;
	case SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD:
		if (listen_cancel(d, m))
			(void)ssh_message_global_request_reply_success(m, 0);
		else
			(void)ssh_message_reply_default(m);
		break;
	default:
		asked_refused_tell(d->session, "global request", REASON_NOT_SUPPORTED, "");
		(void)ssh_message_reply_default(m);
		break;
	}
	ssh_message_free(m);
}
