#include "door.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <libssh/libssh.h>

#include "asked.h"
#include "base/clock.h"
#include "base/log.h"
#include "inner_login.h"
#include "login.h"
#include "nest.h"
#include "ssh_more.h"

#define AUTH_MS 5000 /* auth signs and verifies within this time, or is away */

/* OpenSSH's clients keep some requests (eow@openssh.com) for servers whose version begins so. */
#define BANNER "OpenSSH_compatible_Lodge_" LODGE_VERSION

#define KEX                                                                                                  \
	"mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-" \
	"nistp384,"                                                                                          \
	"ecdh-sha2-nistp521,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com"
#define CIPHERS "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define PROOFS                                                                                               \
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256," \
	"sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"

/* ---- asking auth, inside libssh ---- */

static void
on_answer(struct peer *p, struct message *m, void *ctx)
{
	struct answer_taken *t = ctx;

	(void)p;
	if (m->type == MSG_PROOF_RESULT && m->proof_result.ask == t->ask)
		t->good = m->proof_result.good == 1;
	if (m->type == MSG_SIGNED && m->signed_.ask == t->ask && m->signed_.signature.len > 0 &&
	    t->signature == NULL && (t->signature = malloc(m->signed_.signature.len)) != NULL) {
		memcpy(t->signature, m->signed_.signature.at, m->signed_.signature.len);
		t->len = m->signed_.signature.len;
		t->good = 1;
	}
}

int
door_auth_ask(struct session *s, struct message *question, struct answer_taken *t)
{
	for (int tries = 0; tries < 3; tries++) {
		struct message copy = *question;

		t->ask = session_ask(s);
		if (copy.type == MSG_SIGN)
			copy.sign.ask = t->ask;
		else
			copy.proof.ask = t->ask;
		if (s->auth != NULL) {
			peer_send(s->auth, &copy);
			if (peer_wait(s->auth, t->type, AUTH_MS, on_answer, t) == 0)
				return (0);
		}
		/* A first key exchange closes at once; whoever is in waits for the new auth. */
		if (s->state == SESSION_EXCHANGE || session_await_auth(s, AUTH_MS) == -1)
			return (-1);
	}
	return (-1);
}

static int
on_sign(void *ctx, struct bytes hash, uint8_t **signature, size_t *len)
{
	const struct door *d = ctx;
	struct answer_taken t = {.type = MSG_SIGNED};
	struct message m = {.type = MSG_SIGN, .fd = -1, .sign = {.leg = d->number, .hash = hash}};

	if (door_auth_ask(d->session, &m, &t) == -1 || !t.good) {
		log_warning("no signature for a key exchange: lodge-auth is away");
		return (-1);
	}
	*signature = t.signature;
	*len = t.len;
	return (0);
}

static int
on_unknown_request(void *ctx, ssh_channel channel, struct bytes name, struct bytes payload)
{
	return (asked_unknown_request(ctx, channel, name, payload));
}

static const struct ssh_more_hooks outer_hooks = {
    .sign = on_sign,
    .proof = login_on_proof,
    .unreadable_try = login_on_unreadable,
    .unknown_request = on_unknown_request,
};

/* Whoever is nested was vouched for outside: a key that they prove again is libssh's to verify, and counts for nothing. */
static const struct ssh_more_hooks nested_hooks = {
    .sign = on_sign,
    .unknown_request = on_unknown_request,
};

/* ---- opening ---- */

void
door_warm(void)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (ssh_init() != SSH_OK)
		log_fatal("libssh does not start");
	/* OpenSSL's own preparations are shared by all clones; its generator seeds itself anew in each process. */
	(void)EVP_Digest("", 0, digest, NULL, EVP_sha256(), NULL);
}

static void
bind_set(ssh_bind b, enum ssh_bind_options_e option, const char *value)
{
	if (ssh_bind_options_set(b, option, value) < 0)
		log_fatal("libssh does not take its options: %s", ssh_get_error(b));
}

static void
on_wake(void *ctx)
{
	session_wake(((struct door *)ctx)->session);
}

static ssh_bind
bind_new(const struct session *s)
{
	static const int no = 0;
	ssh_bind b = ssh_bind_new();

	if (b == NULL)
		return (NULL);
	(void)ssh_bind_options_set(b, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
	bind_set(b, SSH_BIND_OPTIONS_BANNER, BANNER);
	bind_set(b, SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "ssh-ed25519");
	bind_set(b, SSH_BIND_OPTIONS_KEY_EXCHANGE, KEX);
	bind_set(b, SSH_BIND_OPTIONS_CIPHERS_C_S, CIPHERS);
	bind_set(b, SSH_BIND_OPTIONS_CIPHERS_S_C, CIPHERS);
	bind_set(b, SSH_BIND_OPTIONS_HMAC_C_S, MACS);
	bind_set(b, SSH_BIND_OPTIONS_HMAC_S_C, MACS);
	bind_set(b, SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, PROOFS);
	if (ssh_more_public_host_key(b, bytes_of(s->host_key, s->host_key_len)) == -1) {
		ssh_bind_free(b);
		return (NULL);
	}
	return (b);
}

/* fd is given. */
static int
server_begin(struct door *d, int fd)
{
	struct session *s = d->session;
	ssh_session ssh;

	if ((d->bind = bind_new(s)) == NULL || (ssh = ssh_new()) == NULL) {
		close(fd);
		return (-1);
	}
	ssh_set_blocking(ssh, 0);
	if (ssh_bind_accept_fd(d->bind, ssh, fd) != SSH_OK) {
		ssh_free(ssh);
		close(fd);
		return (-1);
	}
	ssh_set_blocking(ssh, 0);
	if (leg_rekey(ssh, &s->set) == -1) {
		ssh_free(ssh);
		return (-1);
	}
	if (leg_begin(&d->leg, s->loop, ssh, fd, on_wake, d) == -1)
		return (-1);
	return (ssh_more_begin(ssh, door_is_nested(d) ? &nested_hooks : &outer_hooks, d));
}

static void
door_free(struct door *d, const char *farewell)
{
	leg_end(&d->leg, farewell);
	if (d->bind != NULL)
		ssh_bind_free(d->bind);
	login_free(d->login);
	inner_login_free(d);
	nest_free(d->nest);
	free(d);
}

struct door *
door_new(struct session *s, uint8_t number, int fd)
{
	struct door *d = calloc(1, sizeof(*d)), **last;

	if (d == NULL) {
		close(fd);
		return (NULL);
	}
	d->session = s;
	d->number = number;
	d->leg.fd = d->leg.watched = -1;
	if (server_begin(d, fd) == -1) {
		door_free(d, NULL);
		return (NULL);
	}
	for (last = &s->door; *last != NULL; last = &(*last)->next)
		;
	*last = d;
	return (d);
}

int
door_open(struct session *s)
{
	int fd = s->client_fd;
	struct door *d;

	s->client_fd = -1;
	if ((d = door_new(s, 0, fd)) == NULL || (d->login = login_new()) == NULL)
		return (-1);
	s->state = SESSION_EXCHANGE;
	return (0);
}

void
doors_close(struct session *s)
{
	struct door *d;

	/* Nested ones first: what they still say goes through the outer one. */
	while (s->door != NULL && (d = s->door->next) != NULL) {
		s->door->next = d->next;
		door_free(d, NULL);
	}
	if (s->door != NULL)
		door_free(s->door, s->farewell[0] == '\0' ? NULL : s->farewell);
	s->door = NULL;
	if (s->client_fd != -1)
		close(s->client_fd);
	s->client_fd = -1;
}

/* ---- the turn ---- */

/* A message, given. */
static void
message_take(struct door *d, ssh_message m)
{
	switch (ssh_message_type(m)) {
	case SSH_REQUEST_SERVICE:
		(void)ssh_message_service_reply_success(m);
		break;
	case SSH_REQUEST_AUTH:
		if (d->state != DOOR_LOGIN)
			break; /* after success: silently ignored (RFC 4252 5.1) */
		if (door_is_nested(d))
			inner_login_try(d, m); /* takes m */
		else
			login_try(d, m); /* takes m */
		return;
	case SSH_REQUEST_CHANNEL_OPEN:
		asked_open(d, m); /* takes m */
		return;
	case SSH_REQUEST_CHANNEL:
		asked_request(d, m);
		break;
	case SSH_REQUEST_GLOBAL:
		asked_global(d, m); /* takes m */
		return;
	default:
		(void)ssh_message_reply_default(m);
		break;
	}
	ssh_message_free(m);
}

/* A try is not answered yet. */
static int
login_is_due(const struct door *d)
{
	if (d->inner != NULL)
		return (inner_login_waits(d->inner));
	return (d->login != NULL && login_waits(d->login));
}

static int
messages_take(struct door *d)
{
	size_t waiting = ssh_more_messages(d->leg.ssh); /* asked for more, libssh reads on as long as any come */
	ssh_message m;
	int moved = 0;

	while (waiting-- > 0 && !d->leg.over && d->session->state != SESSION_LEAVING && !login_is_due(d) &&
	       (m = ssh_message_get(d->leg.ssh)) != NULL) {
		moved = 1;
		message_take(d, m);
	}
	return (moved);
}

static void
exchange_done(struct door *d)
{
	d->state = DOOR_LOGIN;
	if (!door_is_nested(d))
		d->session->state = SESSION_LOGIN;
	log_debug(
	    "door %u: key exchange: %s, %s", d->number, ssh_more_kex(d->leg.ssh), ssh_more_cipher(d->leg.ssh));
}

/* 1 when it moved. */
static int
exchange_step(struct door *d)
{
	leg_unblock(&d->leg);
	switch (ssh_handle_key_exchange(d->leg.ssh)) {
	case SSH_OK:
		if (leg_listen(&d->leg) == -1 || ssh_more_listen(d->leg.ssh, 1) == -1) {
			d->leg.over = 1;
			return (1);
		}
		exchange_done(d);
		return (1);
	case SSH_AGAIN:
		if (leg_listen(&d->leg) == -1)
			d->leg.over = 1;
		return (0);
	default:
		log_debug("door %u: key exchange: %s", d->number, ssh_get_error(d->leg.ssh));
		d->leg.over = 1;
		return (1);
	}
}

static int
door_turn(struct door *d)
{
	int moved = 0;

	if (d->nest != NULL)
		moved |= nest_turn(d);
	if (d->leg.over)
		return (moved);
	if (d->state == DOOR_EXCHANGE)
		moved |= exchange_step(d);
	if (d->leg.over)
		return (1);
	moved |= leg_pump(&d->leg);
	if (d->state == DOOR_EXCHANGE && !d->leg.over)
		moved |= exchange_step(d);
	if (d->state != DOOR_EXCHANGE)
		moved |= messages_take(d);
	return (moved);
}

int
doors_turn(struct session *s)
{
	int moved = 0;

	for (struct door *d = s->door; d != NULL; d = d->next)
		moved |= door_turn(d);
	return (moved);
}

void
doors_tick(struct session *s)
{
	for (struct door *d = s->door; d != NULL; d = d->next) {
		if (leg_alive_check(&d->leg, s->set.client_alive_interval, s->set.client_alive_count_max))
			d->leg.over = 1;
		if (door_is_nested(d) && d->state != DOOR_OPEN && clock_boot_ms() >= d->login_by_ms)
			d->leg.over = 1;
	}
}

void
doors_watch(struct session *s)
{
	for (struct door *d = s->door; d != NULL; d = d->next) {
		leg_watch(&d->leg);
		if (d->nest != NULL)
			nest_watch(d);
	}
}

size_t
doors_unsent(const struct session *s)
{
	size_t sum = 0;

	for (const struct door *d = s->door; d != NULL; d = d->next)
		sum += leg_unsent(&d->leg) + (d->nest == NULL ? 0 : nest_unsent(d->nest));
	return (sum);
}

void
doors_sweep(struct session *s)
{
	struct door *d, **at;

	if (s->door == NULL)
		return;
	for (at = &s->door->next; (d = *at) != NULL;) {
		if (!d->leg.over || asked_channels(d) > 0 || !nest_is_done(d)) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		door_free(d, NULL);
	}
}
