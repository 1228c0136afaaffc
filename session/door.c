#include "door.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <libssh/libssh.h>
#include <libssh/server.h>

#include "base/log.h"
#include "base/secret.h"
#include "channel.h"
#include "ssh_more.h"
#include "text.h"

#define AUTH_MS 5000   /* auth signs and verifies within this time, or is away */
#define PROMPTS_MAX 16 /* in one round */
#define USER_MAX 255

#define KEX                                                                                                  \
	"mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-" \
	"nistp384,"                                                                                          \
	"ecdh-sha2-nistp521,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com"
#define CIPHERS "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr"
#define MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#define PROOFS                                                                                               \
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256," \
	"sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"

/* What auth was asked about the try at hand. */
enum asked { ASKED_NOTHING, ASKED_OFFER, ASKED_STEP, ASKED_ANSWERS };

struct login {
	ssh_bind bind;
	char user[USER_MAX + 1]; /* as the client says it, target and all */
	ssh_message message;     /* the try that waits for auth; ours to free */
	enum asked asked;
	uint32_t ask;
	enum login_method method;
	/* an offer */
	char algorithm[64];
	uint8_t *key;
	size_t key_len;
	/* a round of keyboard-interactive */
	int prompting; /* the client owes answers */
	int stale;     /* to prompts of an auth that is gone */
	/* the last proof: for an auth that is renewed before it was counted */
	struct wire proof; /* {bytes key, bytes signature, bytes signed_data} */
	int proof_refused; /* and is counted already */
};

/* ---- asking auth, inside libssh ---- */

struct answer_taken {
	enum message_type type;
	uint32_t ask;
	int good;
	uint8_t *signature;
	size_t len;
};

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

/* Posts with `post`, waits for the answer; over again when auth was renewed meanwhile.  0 or -1. */
static int
auth_ask(struct session *s, struct message *question, uint32_t *number, struct answer_taken *t)
{
	for (int tries = 0; tries < 3; tries++) {
		struct message copy = *question;

		*number = t->ask = session_ask(s);
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
	struct session *s = ctx;
	struct answer_taken t = {.type = MSG_SIGNED};
	struct message m = {.type = MSG_SIGN, .fd = -1, .sign = {.leg = 0, .hash = hash}};
	uint32_t ask;

	if (auth_ask(s, &m, &ask, &t) == -1 || !t.good) {
		log_warning("no signature for a key exchange: lodge-auth is away");
		return (-1);
	}
	*signature = t.signature;
	*len = t.len;
	return (0);
}

static int
on_proof(void *ctx, struct bytes key, struct bytes signature, struct bytes signed_data)
{
	struct session *s = ctx;
	struct answer_taken t = {.type = MSG_PROOF_RESULT};
	struct message m = {.type = MSG_PROOF,
	    .fd = -1,
	    .proof = {.leg = 0, .key = key, .signature = signature, .signed_data = signed_data}};
	uint32_t ask;

	wire_clear(&s->login->proof);
	wire_put_bytes(&s->login->proof, key);
	wire_put_bytes(&s->login->proof, signature);
	wire_put_bytes(&s->login->proof, signed_data);
	if (auth_ask(s, &m, &ask, &t) == 0 && t.good)
		return (1);
	s->login->proof_refused = 1;
	return (0);
}

static void
on_unreadable_try(void *ctx, struct bytes user)
{
	struct session *s = ctx;

	if (s->login->proof_refused) { /* auth refused it, and so has counted it */
		s->login->proof_refused = 0;
		return;
	}
	peer_post(s->auth, LOGIN_UNREADABLE, login_unreadable, .login = user, .reason = REASON_WEAK_KEY);
}

static int
on_unknown_request(void *ctx, ssh_channel channel, struct bytes name, struct bytes payload)
{
	return (channel_unknown_request(ctx, channel, name, payload));
}

static const struct ssh_more_hooks hooks = {
    .sign = on_sign,
    .proof = on_proof,
    .unreadable_try = on_unreadable_try,
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
	session_wake(ctx);
}

static ssh_bind
bind_new(const struct session *s)
{
	static const int no = 0;
	ssh_bind b = ssh_bind_new();

	if (b == NULL)
		return (NULL);
	(void)ssh_bind_options_set(b, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
	bind_set(b, SSH_BIND_OPTIONS_BANNER, "Lodge_" LODGE_VERSION);
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

int
door_open(struct session *s)
{
	ssh_session ssh;
	int fd = s->client_fd;

	if ((s->login = calloc(1, sizeof(*s->login))) == NULL || (s->login->bind = bind_new(s)) == NULL)
		return (-1);
	if ((ssh = ssh_new()) == NULL)
		return (-1);
	ssh_set_blocking(ssh, 0);
	s->client_fd = -1;
	if (ssh_bind_accept_fd(s->login->bind, ssh, fd) != SSH_OK) {
		ssh_free(ssh);
		close(fd);
		return (-1);
	}
	ssh_set_blocking(ssh, 0);
	if (leg_begin(&s->door, s->loop, ssh, fd, on_wake, s) == -1)
		return (-1);
	if (ssh_more_begin(ssh, &hooks, s) == -1)
		return (-1);
	s->state = SESSION_EXCHANGE;
	return (0);
}

static void
message_drop(struct login *l)
{
	if (l->message != NULL)
		ssh_message_free(l->message);
	l->message = NULL;
	l->asked = ASKED_NOTHING;
}

void
door_close(struct session *s)
{
	struct login *l = s->login;

	if (l != NULL)
		message_drop(l);
	leg_end(&s->door, s->farewell[0] == '\0' ? NULL : s->farewell);
	if (l != NULL) {
		if (l->bind != NULL)
			ssh_bind_free(l->bind);
		wire_free(&l->proof);
		free(l->key);
		free(l);
		s->login = NULL;
	}
	if (s->client_fd != -1)
		close(s->client_fd);
	s->client_fd = -1;
}

/* ---- tries ---- */

static void
offer_ask(struct session *s)
{
	struct login *l = s->login;

	peer_post(s->auth, KEY_OFFER, key_offer, .ask = l->ask, .login = bytes_text(l->user),
	    .algorithm = bytes_text(l->algorithm), .key = bytes_of(l->key, l->key_len));
}

static void
step_ask(struct session *s)
{
	struct login *l = s->login;

	peer_post(s->auth, LOGIN_STEP, login_step, .ask = l->ask, .login = bytes_text(l->user),
	    .method = (uint8_t)l->method);
}

static void
step_begin(struct session *s, ssh_message m, enum login_method method)
{
	struct login *l = s->login;

	l->message = m;
	l->asked = ASKED_STEP;
	l->method = method;
	l->ask = session_ask(s);
	l->prompting = 0;
	step_ask(s);
}

static void
publickey_try(struct session *s, ssh_message m)
{
	struct login *l = s->login;
	struct bytes algorithm;

	if (ssh_message_auth_publickey_state(m) == SSH_PUBLICKEY_STATE_VALID) {
		step_begin(s, m, LOGIN_PUBLICKEY);
		return;
	}
	free(l->key);
	l->key = NULL;
	if (ssh_more_offered_key(m, &algorithm, &l->key, &l->key_len) == -1 ||
	    bytes_copy(l->algorithm, sizeof(l->algorithm), algorithm) == -1) {
		step_begin(s, m, LOGIN_OTHER);
		return;
	}
	l->message = m;
	l->asked = ASKED_OFFER;
	l->ask = session_ask(s);
	offer_ask(s);
}

static void
answers_send(struct session *s, ssh_message m)
{
	struct login *l = s->login;
	ssh_session ssh = s->door.ssh;
	int count = ssh_userauth_kbdint_getnanswers(ssh);
	struct wire answers = {.limit = PEER_DATAGRAM_MAX / 2};

	if (l->stale || count < 0) {
		l->stale = 0;
		step_begin(s, m, LOGIN_KEYBOARD); /* asked anew: that conversation is gone */
		return;
	}
	for (int i = 0; i < count; i++)
		wire_put_text(&answers, bytes_text(ssh_userauth_kbdint_getanswer(ssh, (unsigned)i)));
	l->message = m;
	l->asked = ASKED_ANSWERS;
	l->prompting = 0;
	if (answers.failed)
		step_begin(s, m, LOGIN_OTHER);
	else
		peer_post(s->auth, ANSWERS, answers, .ask = l->ask, .count = (uint16_t)count,
		    .answers = wire_bytes(&answers));
	wire_free(&answers);
}

static void
keyboard_try(struct session *s, ssh_message m)
{
	struct login *l = s->login;

	if (!ssh_message_auth_kbdint_is_response(m))
		step_begin(s, m, LOGIN_KEYBOARD);
	else if (l->prompting)
		answers_send(s, m);
	else
		step_begin(s, m, LOGIN_OTHER);
}

/* m is given. */
static void
auth_try(struct session *s, ssh_message m)
{
	struct login *l = s->login;
	const char *user = ssh_message_auth_user(m);

	if (user != NULL) {
		if (strlen(user) > USER_MAX) {
			ssh_message_free(m);
			session_leave(s, REASON_PROTOCOL, NULL);
			return;
		}
		snprintf(l->user, sizeof(l->user), "%s", user);
	}
	l->proof_refused = 0;
	switch (ssh_message_subtype(m)) {
	case SSH_AUTH_METHOD_PUBLICKEY:
		publickey_try(s, m);
		break;
	case SSH_AUTH_METHOD_INTERACTIVE:
		keyboard_try(s, m);
		break;
	case SSH_AUTH_METHOD_NONE:
		step_begin(s, m, LOGIN_NONE);
		break;
	default:
		step_begin(s, m, LOGIN_OTHER);
		break;
	}
}

/* ---- auth's answers ---- */

static int
methods_bits(struct bytes list)
{
	char text[128];
	unsigned bits = 0;

	if (bytes_copy(text, sizeof(text), list) == -1)
		return (0);
	if (strstr(text, "publickey") != NULL)
		bits |= SSH_AUTH_METHOD_PUBLICKEY;
	if (strstr(text, "keyboard-interactive") != NULL)
		bits |= SSH_AUTH_METHOD_INTERACTIVE;
	return ((int)bits);
}

static void
banner_send(struct session *s, struct bytes text)
{
	char clean[500], line[512];
	ssh_string banner;

	if (text.len == 0)
		return;
	text_safe(clean, sizeof(clean), text);
	snprintf(line, sizeof(line), "%s\n", clean);
	if ((banner = ssh_string_from_char(line)) == NULL)
		return;
	(void)ssh_send_issue_banner(s->door.ssh, banner);
	ssh_string_free(banner);
}

static void
success(struct session *s, const struct msg_login_result *m)
{
	struct login *l = s->login;

	if (loginname_split(bytes_text(l->user), &s->name) == -1 ||
	    bytes_copy(s->person, sizeof(s->person), m->person) == -1) {
		session_leave(s, REASON_PROTOCOL, NULL);
		return;
	}
	s->state = SESSION_OPEN;
	(void)ssh_message_auth_reply_success(l->message, 0);
	message_drop(l);
}

static void
on_result(struct session *s, const struct msg_login_result *m)
{
	struct login *l = s->login;

	if (m->outcome == LOGIN_DISCONNECT) {
		char line[256];

		text_safe(line, sizeof(line), m->message);
		snprintf(s->farewell, sizeof(s->farewell), "%s", line);
		message_drop(l);
		session_leave(s, (enum reason)m->reason, NULL);
		return;
	}
	if (l->message == NULL || l->asked == ASKED_OFFER || m->ask != l->ask)
		return; /* an answer to what was asked twice */
	if (m->outcome == LOGIN_SUCCESS) {
		success(s, m);
		return;
	}
	banner_send(s, m->message);
	(void)ssh_message_auth_set_methods(l->message, methods_bits(m->methods));
	if (m->outcome == LOGIN_PARTIAL)
		(void)ssh_message_auth_reply_success(l->message, 1);
	else
		(void)ssh_message_reply_default(l->message);
	message_drop(l);
}

static void
on_prompts(struct session *s, const struct msg_prompts *m)
{
	struct login *l = s->login;
	struct reader r = reader_of(m->prompts);
	char *name = bytes_dup(m->name), *instruction = bytes_dup(m->instruction);
	char *prompts[PROMPTS_MAX] = {NULL}, echo[PROMPTS_MAX] = {0};

	if (l->message == NULL || l->asked == ASKED_OFFER || m->ask != l->ask || m->count > PROMPTS_MAX ||
	    name == NULL || instruction == NULL)
		goto done;
	for (uint16_t i = 0; i < m->count; i++) {
		echo[i] = (char)(reader_get_u8(&r) != 0);
		if ((prompts[i] = bytes_dup(reader_get_text(&r))) == NULL)
			goto done;
	}
	if (!reader_end(&r))
		goto done;
	(void)ssh_message_auth_interactive_request(
	    l->message, name, instruction, m->count, m->count == 0 ? NULL : (const char **)prompts, echo);
	l->prompting = 1;
	l->stale = 0;
	message_drop(l);
done:
	for (size_t i = 0; i < PROMPTS_MAX; i++)
		free(prompts[i]);
	free(name);
	free(instruction);
}

static void
on_key_answer(struct session *s, const struct msg_key_answer *m)
{
	struct login *l = s->login;

	if (l->message == NULL || l->asked != ASKED_OFFER || m->ask != l->ask)
		return;
	if (m->acceptable)
		(void)ssh_message_auth_reply_pk_ok_simple(l->message);
	else {
		(void)ssh_message_auth_set_methods(l->message, SSH_AUTH_METHOD_PUBLICKEY);
		(void)ssh_message_reply_default(l->message);
	}
	message_drop(l);
}

void
door_on_auth(struct session *s, const struct message *m)
{
	if (s->login == NULL || s->state == SESSION_LEAVING)
		return;
	switch (m->type) {
	case MSG_KEY_ANSWER:
		on_key_answer(s, &m->key_answer);
		break;
	case MSG_LOGIN_RESULT:
		on_result(s, &m->login_result);
		break;
	case MSG_PROMPTS:
		on_prompts(s, &m->prompts);
		break;
	default:
		break;
	}
	session_wake(s);
}

/* The answer, PROOF_RESULT, is of no use to us: the LOGIN_STEP that follows has its own. */
static void
proof_again(struct session *s)
{
	struct reader r = reader_of(wire_bytes(&s->login->proof));
	struct bytes key = reader_get_bytes(&r), signature = reader_get_bytes(&r),
	             signed_data = reader_get_bytes(&r);

	if (reader_end(&r))
		peer_post(s->auth, PROOF, proof, .ask = session_ask(s), .leg = 0, .key = key,
		    .signature = signature, .signed_data = signed_data);
}

void
door_auth_anew(struct session *s)
{
	struct login *l = s->login;

	if (l == NULL || s->state != SESSION_LOGIN)
		return;
	l->stale = l->prompting;
	switch (l->asked) {
	case ASKED_OFFER:
		offer_ask(s);
		break;
	case ASKED_ANSWERS: /* that conversation died; a new one asks again */
		l->asked = ASKED_STEP;
		l->method = LOGIN_KEYBOARD;
		step_ask(s);
		break;
	case ASKED_STEP:
		if (l->method == LOGIN_PUBLICKEY)
			proof_again(s);
		step_ask(s);
		break;
	default:
		break;
	}
}

/* ---- the turn ---- */

static int
messages_take(struct session *s)
{
	ssh_message m;
	int moved = 0;

	while (!s->door.over && s->state != SESSION_LEAVING && s->login->message == NULL &&
	       (m = ssh_message_get(s->door.ssh)) != NULL) {
		moved = 1;
		switch (ssh_message_type(m)) {
		case SSH_REQUEST_SERVICE:
			(void)ssh_message_service_reply_success(m);
			break;
		case SSH_REQUEST_AUTH:
			if (s->state == SESSION_LOGIN) {
				auth_try(s, m); /* takes m */
				continue;
			}
			break; /* after success: silently ignored (RFC 4252 5.1) */
		case SSH_REQUEST_CHANNEL_OPEN:
			channel_open(s, m);
			break;
		case SSH_REQUEST_CHANNEL:
			channel_request(s, m);
			break;
		case SSH_REQUEST_GLOBAL:
			channel_global(s, m);
			break;
		default:
			(void)ssh_message_reply_default(m);
			break;
		}
		ssh_message_free(m);
	}
	return (moved);
}

/* 1 when it moved. */
static int
exchange_step(struct session *s)
{
	leg_unblock(&s->door);
	switch (ssh_handle_key_exchange(s->door.ssh)) {
	case SSH_OK:
		if (leg_listen(&s->door) == -1 || ssh_more_listen(s->door.ssh, 1) == -1) {
			s->door.over = 1;
			return (1);
		}
		s->state = SESSION_LOGIN;
		log_debug("key exchange: %s, %s", ssh_more_kex(s->door.ssh), ssh_more_cipher(s->door.ssh));
		return (1);
	case SSH_AGAIN:
		if (leg_listen(&s->door) == -1)
			s->door.over = 1;
		return (0);
	default:
		log_debug("key exchange: %s", ssh_get_error(s->door.ssh));
		s->door.over = 1;
		return (1);
	}
}

int
door_turn(struct session *s)
{
	int moved = 0;

	if (s->door.ssh == NULL || s->door.over)
		return (0);
	if (s->state == SESSION_EXCHANGE)
		moved |= exchange_step(s);
	if (s->door.over)
		return (1);
	moved |= leg_pump(&s->door);
	if (s->state == SESSION_EXCHANGE && !s->door.over)
		moved |= exchange_step(s);
	if (s->state == SESSION_LOGIN || s->state == SESSION_OPEN)
		moved |= messages_take(s);
	return (moved);
}
