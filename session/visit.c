#include "visit.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <libssh/libssh.h>
#include <libssh/server.h>

#include "base/clock.h"
#include "base/log.h"
#include "beside.h"
#include "channel.h"
#include "ssh_more.h"

#define KEX                                                                                                        \
	"curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521," \
	"mlkem768x25519-sha256,diffie-hellman-group16-sha512,diffie-hellman-group14-sha256"
#define CIPHERS "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"

struct visit *
visit_of(const struct session *s, uint32_t stream)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		if (v->stream == stream)
			return (v);
	return (NULL);
}

static void
visit_tell(const struct visit *v, enum visit_event what, const char *text)
{
	peer_post(v->session->policy, VISIT, visit, .stream = v->stream, .what = (uint8_t)what,
	    .reason = (uint16_t)v->reason, .text = bytes_text(text == NULL ? "" : text));
}

static int
host_key_take(struct visit *v, struct bytes key)
{
	if (key.len == 0 || (v->host_key = malloc(key.len)) == NULL)
		return (-1);
	memcpy(v->host_key, key.at, key.len);
	v->host_key_len = key.len;
	return (0);
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
	struct reader keys = reader_of(m->host_keys);

	if (v != NULL)
		return (v);
	if ((v = visit_new(s, m->stream)) == NULL)
		return (NULL);
	v->grant = m->grant;
	v->capabilities = m->capabilities;
	v->is_plain = kind == ASK_FORWARD;
	if (bytes_copy(v->target, sizeof(v->target), m->target) == -1 ||
	    bytes_copy(v->account, sizeof(v->account), m->account) == -1 ||
	    (!v->is_plain && host_key_take(v, reader_get_bytes(&keys)) == -1)) {
		s->visits = v->next;
		free(v);
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
socket_close(struct visit *v)
{
	watch_end(v->socket_watch);
	v->socket_watch = NULL;
	if (v->socket != -1)
		close(v->socket);
	v->socket = -1;
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
	for (struct channel *c = v->session->channels; c != NULL; c = c->next) {
		if (c->visit != v)
			continue;
		if (reason != REASON_NONE && reason != REASON_DONE)
			channel_cut(c, reason, text);
		channel_leave(c);
	}
	socket_close(v);
	leg_end(&v->leg, "the visit is over");
	ssh_key_free(v->key);
	v->key = NULL;
	if (v->has_socket)
		end_record(v, reason, text);
	visit_tell(v, v->was_open ? VISIT_CLOSED : VISIT_FAILED, text);
	session_wake(v->session);
}

void
visits_end(struct session *s, uint64_t grant, enum reason reason, const char *text)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		if (grant == 0 || v->grant == grant)
			visit_end(v, reason, text);
}

/* ---- the target's leg ---- */

static int
on_host_key(void *ctx, struct bytes key)
{
	struct visit *v = ctx;

	if (bytes_equal(key, bytes_of(v->host_key, v->host_key_len)))
		return (1);
	v->host_key_differs = 1;
	return (0);
}

static const struct ssh_more_hooks hooks = {.host_key = on_host_key};

static void
on_wake(void *ctx)
{
	session_wake(((struct visit *)ctx)->session);
}

/* The algorithms of a pinned key, as they stand in a key exchange (RFC 8332 for RSA). */
static int
host_key_algorithms(const struct visit *v, char *to, size_t size)
{
	struct reader r = reader_of(bytes_of(v->host_key, v->host_key_len));
	struct bytes kind = reader_get_text(&r);

	if (r.failed)
		return (-1);
	if (bytes_are(kind, "ssh-rsa"))
		return (bytes_copy(to, size, bytes_text("rsa-sha2-512,rsa-sha2-256")));
	return (bytes_copy(to, size, kind));
}

static int
options_set(const struct visit *v, ssh_session ssh, int fd)
{
	static const int off = 0;
	char algorithms[64];
	const struct {
		enum ssh_options_e option;
		const void *value;
	} rows[] = {
	    {SSH_OPTIONS_PROCESS_CONFIG, &off},
	    {SSH_OPTIONS_SSH_DIR, "/"},
	    {SSH_OPTIONS_KNOWNHOSTS, "/dev/null"},
	    {SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null"},
	    {SSH_OPTIONS_HOST, "target"},
	    {SSH_OPTIONS_USER, "lodge"}, /* the account goes with the login itself */
	    {SSH_OPTIONS_FD, &fd},
	    {SSH_OPTIONS_HOSTKEYS, algorithms},
	    {SSH_OPTIONS_KEY_EXCHANGE, KEX},
	    {SSH_OPTIONS_CIPHERS_C_S, CIPHERS},
	    {SSH_OPTIONS_CIPHERS_S_C, CIPHERS},
	    {SSH_OPTIONS_HMAC_C_S, MACS},
	    {SSH_OPTIONS_HMAC_S_C, MACS},
	};

	if (host_key_algorithms(v, algorithms, sizeof(algorithms)) == -1)
		return (-1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ssh_options_set(ssh, rows[i].option, rows[i].value) < 0) {
			log_warning("%s: libssh does not take option %zu: %s", v->target, i, ssh_get_error(ssh));
			return (-1);
		}
	return (0);
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
	if (options_set(v, ssh, fd) == -1 || leg_rekey(ssh, &v->session->set) == -1) {
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

static void
cert_ask(const struct visit *v)
{
	char *base64 = NULL;
	uint8_t blob[256];
	size_t len;
	int got;

	if (ssh_pki_export_pubkey_base64(v->key, &base64) != SSH_OK)
		return;
	len = strlen(base64);
	if (len / 4 * 3 <= sizeof(blob) &&
	    (got = EVP_DecodeBlock(blob, (const unsigned char *)base64, (int)len)) > 0) {
		for (size_t i = len; i > 0 && base64[i - 1] == '='; i--)
			got--;
		peer_post(v->session->auth, CERT_WANTED, cert_wanted, .ask = v->cert_ask, .stream = v->stream,
		    .public_key = bytes_of(blob, (size_t)got));
	}
	ssh_string_free_char(base64);
}

static void
certify_begin(struct visit *v)
{
	if (ssh_more_listen(v->leg.ssh, 0) == -1 || ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &v->key) != SSH_OK) {
		visit_end(v, REASON_LIMIT, NULL);
		return;
	}
	v->state = VISIT_CERTIFYING;
	v->cert_ask = session_ask(v->session);
	cert_ask(v);
}

/* Puts the certificate beside the key.  0 or -1. */
static int
cert_take(struct visit *v, struct bytes certificate)
{
	unsigned char *base64 = malloc(certificate.len / 3 * 4 + 5);
	ssh_key cert = NULL;
	int rc = -1;

	if (base64 == NULL)
		return (-1);
	(void)EVP_EncodeBlock(base64, certificate.at, (int)certificate.len);
	if (ssh_pki_import_cert_base64((const char *)base64, SSH_KEYTYPE_ED25519_CERT01, &cert) == SSH_OK &&
	    ssh_pki_copy_cert_to_privkey(cert, v->key) == SSH_OK)
		rc = 0;
	ssh_key_free(cert);
	free(base64);
	return (rc);
}

void
visit_on_cert(struct session *s, const struct msg_cert *m)
{
	struct visit *v = visit_of(s, m->stream);

	if (v == NULL || v->state != VISIT_CERTIFYING || m->ask != v->cert_ask)
		return;
	if (m->reason != REASON_NONE) {
		visit_end(v, (enum reason)m->reason, NULL);
		return;
	}
	if (cert_take(v, m->certificate) == -1) {
		visit_end(v, REASON_TARGET_LOGIN, "lodge-auth gave no certificate that can be used");
		return;
	}
	v->state = VISIT_LOGIN;
	session_wake(s);
}

/* Why the leg is gone, in the state it had. */
static void
leg_lost(struct visit *v)
{
	char text[320], clean[160];
	const char *why = ssh_get_error(v->leg.ssh);

	if (v->host_key_differs) {
		visit_end(v, REASON_HOST_KEY, NULL);
		return;
	}
	text_safe(clean, sizeof(clean), bytes_text(why));
	switch (v->state) {
	case VISIT_EXCHANGE:
		snprintf(text, sizeof(text), "%s did not finish the key exchange: %s", v->target, clean);
		visit_end(v, REASON_UNREACHABLE, text);
		break;
	case VISIT_LOGIN:
		visit_end(v, REASON_TARGET_LOGIN, NULL);
		break;
	default:
		visit_end(v, REASON_TARGET_GONE, NULL);
		break;
	}
}

static int
exchange_step(struct visit *v)
{
	int rc = ssh_connect(v->leg.ssh);

	leg_unblock(&v->leg); /* libssh takes it away when it connects */
	switch (rc) {
	case SSH_OK:
		if (leg_listen(&v->leg) == -1)
			visit_end(v, REASON_LIMIT, NULL);
		else
			certify_begin(v);
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

static int
login_step(struct visit *v)
{
	int rc = ssh_userauth_publickey(v->leg.ssh, v->account, v->key);

	switch (rc) {
	case SSH_AUTH_AGAIN:
		return (0);
	case SSH_AUTH_SUCCESS:
		v->state = VISIT_OPEN;
		v->was_open = 1;
		ssh_key_free(v->key); /* it has done its work */
		v->key = NULL;
		log_info("connection %llu: %s entered as %s", (unsigned long long)v->session->conn, v->target,
		    v->account);
		visit_tell(v, VISIT_OPENED, NULL);
		return (1);
	default:
		leg_lost(v);
		return (1);
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
		if (v->state != VISIT_OPEN && clock_boot_ms() >= v->enter_by_ms)
			visit_end(v, REASON_UNREACHABLE, NULL);
		else if (v->state == VISIT_OPEN && !v->is_plain &&
		         leg_alive_check(&v->leg, s->set.client_alive_interval, s->set.client_alive_count_max))
			visit_end(v, REASON_TARGET_GONE, "the target does not answer any more");
	}
}

void
visits_auth_anew(struct session *s)
{
	for (struct visit *v = s->visits; v != NULL; v = v->next)
		if (v->state == VISIT_CERTIFYING)
			cert_ask(v);
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

static void
visit_free(struct visit *v)
{
	socket_close(v);
	leg_end(&v->leg, NULL);
	ssh_key_free(v->key);
	free(v->host_key);
	free(v);
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
