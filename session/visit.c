#include "visit.h"

#include <fcntl.h>
#include <jansson.h>
#include <unistd.h>

#include <libssh/libssh.h>

#include "base/clock.h"
#include "base/log.h"
#include "beside.h"
#include "channel.h"
#include "credential.h"
#include "renewal.h"
#include "ssh_more.h"
#include "target_options.h"

struct visit *
visit_of(const struct session *s, uint32_t stream)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		if (v->stream == stream)
			return (v);
	return (NULL);
}

/* Of a host key that is not good policy keeps the key itself. */
static void
visit_tell(const struct visit *v, enum visit_event what, const char *text)
{
	char *shown = host_keys_differ(&v->host_keys) ? host_keys_shown(&v->host_keys) : NULL;

	if (shown != NULL)
		text = shown;
	peer_post(v->session->policy, VISIT, visit, .stream = v->stream, .what = (uint8_t)what,
	    .reason = (uint16_t)v->reason, .text = bytes_text(text == NULL ? "" : text));
	free(shown);
}

static void
socket_close(struct visit *v)
{
	watch_end(v->socket_watch);
	v->socket_watch = NULL;
	if (v->socket != -1)
		close(v->socket);
	v->socket = -1;
}

/* Leaves the target, whose leg must still be there for what renewal has to say, and wipes. */
static void
leg_leave(struct visit *v, const char *farewell)
{
	renewal_free(v->renewal);
	v->renewal = NULL;
	credential_free(v->credential);
	v->credential = NULL;
	socket_close(v);
	leg_end(&v->leg, farewell);
}

static void
visit_free(struct visit *v)
{
	leg_leave(v, NULL);
	host_keys_free(&v->host_keys);
	free(v);
}

/* In s's list.  NULL: no memory. */
static struct visit *
visit_new(struct session *s, uint32_t stream)
{
	struct visit *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return (NULL);
	v->session = s;
	v->stream = stream;
	v->leg.fd = v->leg.watched = v->socket = -1;
	v->enter_by_ms = clock_boot_ms() + VISIT_ENTER_MS;
	v->next = s->visits;
	s->visits = v;
	return (v);
}

struct visit *
visit_join(struct session *s, const struct msg_verdict *m, enum ask_kind kind)
{
	struct visit *v = visit_of(s, m->stream);

	if (v != NULL)
		return (v);
	if ((v = visit_new(s, m->stream)) == NULL)
		return (NULL);
	v->grant = m->grant;
	v->capabilities = m->capabilities;
	v->is_plain = kind == ASK_FORWARD;
	v->how = (enum target_login)m->login;
	if (bytes_copy(v->target, sizeof(v->target), m->target) == -1 ||
	    bytes_copy(v->account, sizeof(v->account), m->account) == -1 ||
	    bytes_copy(v->legacy, sizeof(v->legacy), m->algorithms) == -1 ||
	    (!v->is_plain && host_keys_take(&v->host_keys, m->host_keys) == -1)) {
		s->visits = v->next;
		visit_free(v);
		return (NULL);
	}
	return (v);
}

/* ---- the end ---- */

static void
end_record(struct visit *v, enum reason reason, const char *text)
{
	struct wire w = {0};

	wire_put_u16(&w, (uint16_t)reason);
	if (text != NULL)
		wire_put_raw(&w, text, strlen(text));
	record_put(v->session->record, FRAME_END, v->stream, 0, wire_bytes(&w));
	v->has_ended = 1;
	wire_free(&w);
}

size_t
visit_channels(const struct visit *v)
{
	size_t count = 0;

	for (const struct channel *c = v->session->channels; c != NULL; c = c->next)
		if (c->visit == v && (c->state == CHANNEL_ENTERING || c->state == CHANNEL_RUNNING))
			count++;
	return (count);
}

static void
channels_leave(struct visit *v, enum reason reason, const char *text)
{
	for (struct channel *c = v->session->channels; c != NULL; c = c->next) {
		if (c->visit != v)
			continue;
		if (reason != REASON_NONE && reason != REASON_DONE)
			channel_cut(c, reason, text);
		channel_leave(c);
	}
}

void
visit_end(struct visit *v, enum reason reason, const char *text)
{
	if (v->state == VISIT_OVER)
		return;
	log_info("connection %llu: %s as %s: %s", (unsigned long long)v->session->conn, v->target, v->account,
	    reason_code(reason));
	v->state = VISIT_OVER;
	v->reason = reason;
	channels_leave(v, reason, text);
	leg_leave(v, "the visit is over");
	if (v->has_socket)
		end_record(v, reason, text);
	visit_tell(v, v->was_open ? VISIT_CLOSED : VISIT_FAILED, text);
	session_wake(v->session);
}

void
visit_close(struct visit *v, enum reason reason)
{
	if (v->state == VISIT_ROTATING)
		return;
	if (v->state != VISIT_OPEN || (v->renewal = renewal_new(v)) == NULL) {
		visit_end(v, reason, NULL);
		return;
	}
	v->state = VISIT_ROTATING;
	v->reason = reason;
	channels_leave(v, reason, NULL);
	session_wake(v->session);
}

void
visits_end(struct session *s, uint64_t grant, enum reason reason, const char *text)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		if (grant == 0 || v->grant == grant)
			visit_end(v, reason, text);
}

void
visits_close(struct session *s, enum reason reason)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		visit_close(v, reason);
}

int
visits_rotate(const struct session *s)
{
	for (const struct visit *v = s->visits; v != NULL; v = v->next)
		if (v->state == VISIT_ROTATING)
			return (1);
	return (0);
}

/* ---- the target's leg ---- */

static int
on_host_key(void *ctx, struct bytes key)
{
	return (host_keys_see(&((struct visit *)ctx)->host_keys, key));
}

static const struct ssh_more_hooks hooks = {.host_key = on_host_key};

static void
on_wake(void *ctx)
{
	session_wake(((struct visit *)ctx)->session);
}

static int
leg_open(struct visit *v, int fd)
{
	ssh_session ssh = ssh_new();

	if (ssh == NULL) {
		close(fd);
		return (-1);
	}
	ssh_set_blocking(ssh, 0);
	if (target_options(ssh, fd, v->target, &v->host_keys, bytes_text(v->legacy)) == -1 ||
	    leg_rekey(ssh, &v->session->set) == -1) {
		ssh_free(ssh);
		close(fd);
		return (-1);
	}
	if (leg_begin(&v->leg, v->session->loop, ssh, fd, on_wake, v) == -1) {
		close(fd);
		return (-1);
	}
	return (ssh_more_begin(ssh, &hooks, v));
}

static void
on_socket(int fd, int events, void *ctx)
{
	(void)fd;
	(void)events;
	on_wake(ctx);
}

/* fd is given. */
static int
socket_open(struct visit *v, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	v->socket = fd;
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    (v->socket_watch = watch_begin(v->session->loop, fd, WATCH_READ, on_socket, v)) == NULL)
		return (-1);
	v->state = VISIT_OPEN;
	v->was_open = 1;
	visit_tell(v, VISIT_OPENED, NULL);
	return (0);
}

/*
 * Whoever asked for it left before the yes came: its recording has begun, and policy thinks that somebody is in.  The
 * visit is kept as over, for a yes to somebody else who shares the stream may be on its way.
 */
static void
unwanted_end(struct session *s, uint32_t stream)
{
	struct visit *v = visit_new(s, stream);

	if (v == NULL)
		log_fatal("out of memory");
	v->has_socket = 1;
	v->state = VISIT_OVER;
	v->reason = REASON_LEFT;
	end_record(v, REASON_LEFT, NULL);
	visit_tell(v, VISIT_FAILED, NULL);
}

void
visit_on_target(struct session *s, uint32_t stream, int fd)
{
	struct visit *v = visit_of(s, stream);

	peer_post(s->recorder, TARGET_HELD, target_held, .stream = stream);
	if (v == NULL || v->has_socket || v->state != VISIT_AWAITED) {
		close(fd);
		if (v != NULL && !v->has_socket) { /* it was given up meanwhile; its recording has begun */
			v->has_socket = 1;
			end_record(v, v->reason, NULL);
		}
		if (v == NULL)
			unwanted_end(s, stream);
		return;
	}
	v->has_socket = 1;
	if ((v->is_plain ? socket_open(v, fd) : leg_open(v, fd)) == -1) {
		visit_end(v, REASON_UNREACHABLE, NULL);
		return;
	}
	if (!v->is_plain)
		v->state = VISIT_EXCHANGE;
	session_wake(s);
}

/* ---- logging in ---- */

static void
fact_record(const struct visit *v, char *json)
{
	record_put(v->session->record, FRAME_FACT, v->stream, 0, bytes_text(json));
	free(json);
}

/* How it let us in, for whoever reads the recording. */
static void
login_record(const struct visit *v)
{
	char host_key[HOST_KEY_FINGERPRINT], *text = NULL;
	json_t *o;

	host_keys_first(&v->host_keys, host_key);
	o = json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "login", "how", credential_name(v->how), "method",
	    credential_method(v->how), "host_key", host_key, "kex", ssh_more_kex(v->leg.ssh), "cipher",
	    ssh_more_cipher(v->leg.ssh), "mac", ssh_more_mac(v->leg.ssh), "legacy", v->legacy);
	if (o == NULL || (text = json_dumps(o, JSON_COMPACT)) == NULL)
		log_fatal("out of memory");
	json_decref(o);
	fact_record(v, text);
}

/* The evidence stands in the recording before its end does. */
static void
host_key_refuse(struct visit *v)
{
	char line[768];

	fact_record(v, host_keys_fact(&v->host_keys));
	host_keys_line(&v->host_keys, v->target, line, sizeof(line));
	visit_end(v, REASON_HOST_KEY, line);
}

static void
exchange_lost(struct visit *v)
{
	char text[512], clean[160];
	const char *why = ssh_get_error(v->leg.ssh);

	if (target_nothing_common(why, v->target, text, sizeof(text)) == 0) {
		visit_end(v, REASON_NO_COMMON, text);
		return;
	}
	text_safe(clean, sizeof(clean), bytes_text(why));
	snprintf(text, sizeof(text), "%s did not finish the key exchange: %s", v->target, clean);
	visit_end(v, REASON_UNREACHABLE, text);
}

/* Its words outlive it. */
static void
login_refused(struct visit *v)
{
	enum reason reason = credential_reason(v->credential);
	char text[512];

	snprintf(text, sizeof(text), "%s", credential_text(v->credential));
	if (host_keys_differ(&v->host_keys))
		host_key_refuse(v);
	else
		visit_end(v, reason, text);
}

/* Why the leg is gone, in the state it had. */
static void
leg_lost(struct visit *v)
{
	if (host_keys_differ(&v->host_keys)) {
		host_key_refuse(v);
		return;
	}
	switch (v->state) {
	case VISIT_EXCHANGE:
		exchange_lost(v);
		break;
	case VISIT_LOGIN:
		credential_lost(v->credential);
		login_refused(v);
		break;
	case VISIT_ROTATING:
		visit_end(v, v->reason, NULL);
		break;
	default:
		visit_end(v, REASON_TARGET_GONE, NULL);
		break;
	}
}

static void
login_begin(struct visit *v)
{
	if (leg_listen(&v->leg) == -1 || ssh_more_listen(v->leg.ssh, 0) == -1 ||
	    (v->credential = credential_new(v)) == NULL) {
		visit_end(v, REASON_LIMIT, NULL);
		return;
	}
	v->state = VISIT_LOGIN;
}

static int
exchange_step(struct visit *v)
{
	int rc = ssh_connect(v->leg.ssh);

	leg_unblock(&v->leg); /* libssh takes it away when it connects */
	switch (rc) {
	case SSH_OK:
		login_begin(v);
		return (1);
	case SSH_AGAIN:
		if (leg_listen(&v->leg) == -1)
			visit_end(v, REASON_LIMIT, NULL);
		return (0);
	default:
		leg_lost(v);
		return (1);
	}
}

static void
login_done(struct visit *v)
{
	credential_free(v->credential); /* it has done its work */
	v->credential = NULL;
	login_record(v);
	v->state = VISIT_OPEN;
	v->was_open = 1;
	log_info("connection %llu: %s entered as %s (%s)", (unsigned long long)v->session->conn, v->target,
	    v->account, credential_name(v->how));
	visit_tell(v, VISIT_OPENED, NULL);
}

static int
login_step(struct visit *v)
{
	switch (credential_turn(v->credential)) {
	case CREDENTIAL_IN:
		login_done(v);
		return (1);
	case CREDENTIAL_OUT:
		login_refused(v);
		return (1);
	default:
		return (0);
	}
}

/* 1 while what the target said before it was gone is on its way to the engineer. */
static int
leg_has_more(const struct visit *v)
{
	for (const struct channel *c = v->session->channels; c != NULL; c = c->next)
		if (c->visit == v && c->state == CHANNEL_RUNNING && c->there != NULL && channel_hears(c) &&
		    !relay_is_drained(c))
			return (1);
	return (0);
}

static int
visit_turn(struct visit *v)
{
	int moved = 0;

	if (v->state == VISIT_OVER || v->state == VISIT_AWAITED || v->is_plain)
		return (0);
	if (v->state == VISIT_EXCHANGE)
		moved |= exchange_step(v);
	if (v->state == VISIT_OVER)
		return (1);
	moved |= leg_pump(&v->leg);
	if (v->state == VISIT_EXCHANGE && !v->leg.over)
		moved |= exchange_step(v);
	if (v->state == VISIT_LOGIN && !v->leg.over)
		moved |= login_step(v);
	if (v->state == VISIT_ROTATING && renewal_turn(v->renewal)) {
		if (v->leg.over)
			leg_lost(v); /* perhaps for its host key */
		else
			visit_end(v, v->reason, NULL);
		return (1);
	}
	if (v->state != VISIT_OVER)
		moved |= beside_messages(v);
	if (v->state != VISIT_OVER && v->leg.over && !leg_has_more(v)) {
		leg_lost(v);
		moved = 1;
	}
	return (moved);
}

int
visits_turn(struct session *s)
{
	int moved = 0;

	for (struct visit *v = s->visits; v != NULL; v = v->next)
		moved |= visit_turn(v);
	return (moved);
}

void
visits_tick(struct session *s)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next) {
		if (v->state == VISIT_OVER)
			continue;
		if (v->state < VISIT_OPEN && clock_boot_ms() >= v->enter_by_ms)
			visit_end(v,
			    v->credential != NULL && credential_turn(v->credential) == CREDENTIAL_ASKED
			        ? REASON_AUTH_AWAY
			        : REASON_UNREACHABLE,
			    NULL);
		else if (v->state == VISIT_OPEN && !v->is_plain &&
		         leg_alive_check(&v->leg, s->set.client_alive_interval, s->set.client_alive_count_max))
			visit_end(v, REASON_TARGET_GONE, "the target does not answer any more");
	}
}

void
visits_auth_anew(struct session *s)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next) {
		if (v->credential != NULL)
			credential_ask_again(v->credential);
		if (v->renewal != NULL)
			renewal_ask_again(v->renewal);
	}
}

void
visits_policy_anew(struct session *s)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next) {
		if (v->was_open)
			visit_tell(v, VISIT_OPENED, NULL);
		if (v->state == VISIT_OVER)
			visit_tell(v, v->was_open ? VISIT_CLOSED : VISIT_FAILED, NULL);
	}
}

void
visits_recorder_anew(struct session *s)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		if (v->has_socket)
			peer_post(s->recorder, TARGET_HELD, target_held, .stream = v->stream);
}

static int
visit_is_used(const struct visit *v)
{
	for (const struct channel *c = v->session->channels; c != NULL; c = c->next)
		if (c->visit == v)
			return (1);
	return (0);
}

void
visits_sweep(struct session *s)
{
	struct visit *v, **at = &s->visits;

	/* While policy is away it has not heard of the end, and will be told again. */
	while (s->policy != NULL && (v = *at) != NULL)
		if (v->state == VISIT_OVER && v->is_sealed && !visit_is_used(v)) {
			*at = v->next;
			visit_free(v);
		} else
			at = &v->next;
}

void
visits_free(struct session *s)
{
	struct visit *v;

	while ((v = s->visits) != NULL) {
		s->visits = v->next;
		visit_free(v);
	}
}
