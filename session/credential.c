#include "credential.h"

#include <openssl/evp.h>

#include "agent.h"
#include "base/log.h"
#include "base/secret.h"
#include "contract/algorithms.h"
#include "ssh_more.h"
#include "target_options.h"
#include "visit.h"

#define ROUNDS_MAX 3 /* of questions that a target may ask for one password */

/* How far a login by an agent is. */
enum agent_step { AGENT_KEY, AGENT_SERVICE, AGENT_SIGNATURE, AGENT_ANSWER };

struct credential;

/* ask: of auth, over again when auth was renewed.  show: to the target; SSH_AUTH_AGAIN while it goes on. */
struct kind {
	const char *name, *method, *what;
	void (*ask)(struct credential *c);
	int (*show)(struct credential *c);
};

struct credential {
	struct visit *visit; /* lent */
	const struct kind *kind;
	enum credential_state state;
	uint32_t ask;

	ssh_key key; /* the visit's own, its certificate beside it */

	struct agent *agent;
	enum agent_step step;
	struct wire public_key,
	    request; /* a blob; the request that is signed, the session's identifier before it */

	struct secret password;
	uint8_t attempt; /* 0: the one in use; 1: the one that a rotation may have left there */
	int rounds;

	enum reason reason;
	char text[400];
};

/* text NULL: what stands in c->text. */
static void
out(struct credential *c, enum reason reason, const char *text)
{
	c->state = CREDENTIAL_OUT;
	c->reason = reason;
	if (text != NULL)
		snprintf(c->text, sizeof(c->text), "%s", text);
}

static void
on_wake(void *ctx)
{
	session_wake(((struct credential *)ctx)->visit->session);
}

/* ---- a certificate ---- */

static void
cert_ask(struct credential *c)
{
	char *base64 = NULL;
	uint8_t blob[256];
	size_t len;
	int got;

	if (c->key == NULL && ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &c->key) != SSH_OK) {
		out(c, REASON_LIMIT, "");
		return;
	}
	if (ssh_pki_export_pubkey_base64(c->key, &base64) != SSH_OK)
		return;
	len = strlen(base64);
	if (len / 4 * 3 <= sizeof(blob) &&
	    (got = EVP_DecodeBlock(blob, (const unsigned char *)base64, (int)len)) > 0) {
		for (size_t i = len; i > 0 && base64[i - 1] == '='; i--)
			got--;
		peer_post(c->visit->session->auth, CERT_WANTED, cert_wanted, .ask = c->ask,
		    .stream = c->visit->stream, .public_key = bytes_of(blob, (size_t)got));
	}
	ssh_string_free_char(base64);
}

/* Puts the certificate beside the key.  0 or -1. */
static int
cert_take(struct credential *c, struct bytes certificate)
{
	unsigned char *base64 = malloc(certificate.len / 3 * 4 + 5);
	ssh_key cert = NULL;
	int rc = -1;

	if (base64 == NULL)
		return (-1);
	(void)EVP_EncodeBlock(base64, certificate.at, (int)certificate.len);
	if (ssh_pki_import_cert_base64((const char *)base64, SSH_KEYTYPE_ED25519_CERT01, &cert) == SSH_OK &&
	    ssh_pki_copy_cert_to_privkey(cert, c->key) == SSH_OK)
		rc = 0;
	ssh_key_free(cert);
	free(base64);
	return (rc);
}

static int
cert_show(struct credential *c)
{
	return (ssh_userauth_publickey(c->visit->leg.ssh, c->visit->account, c->key));
}

/* ---- a key that auth keeps ---- */

static void
agent_ask(struct credential *c)
{
	peer_post(c->visit->session->auth, AGENT_WANTED, agent_wanted, .ask = c->ask, .stream = c->visit->stream);
}

static int
agent_broke(struct credential *c)
{
	out(c, REASON_VAULT, "lodge-auth signed nothing for this login; tell the operator: lodge secret list");
	return (SSH_AUTH_ERROR);
}

/* How an RSA key signs: as the target says that it takes it; one that says nothing is an old one (RFC 8332 3.3). */
static const char *
rsa_algorithm(const struct credential *c, uint32_t *flags)
{
	int sha2 = ssh_more_rsa_sha2(c->visit->leg.ssh);

	if (sha2 == 0 && algorithm_list_has(bytes_text(c->visit->legacy), bytes_text("ssh-rsa")))
		return ("ssh-rsa");
	*flags = sha2 == 512 ? AGENT_RSA_SHA2_512 : AGENT_RSA_SHA2_256;
	return (sha2 == 512 ? "rsa-sha2-512" : "rsa-sha2-256");
}

/* RFC 4252 7: what is signed, and without its first field is sent. */
static int
request_sign(struct credential *c)
{
	struct bytes key = wire_bytes(&c->public_key);
	struct reader r = reader_of(key);
	struct bytes algorithm = reader_get_text(&r);
	struct wire *w = &c->request;
	uint32_t flags = 0;

	if (bytes_are(algorithm, "ssh-rsa"))
		algorithm = bytes_text(rsa_algorithm(c, &flags));
	wire_put_bytes(w, ssh_more_identifier(c->visit->leg.ssh));
	wire_put_u8(w, 50); /* SSH_MSG_USERAUTH_REQUEST */
	wire_put_bytes(w, bytes_text(c->visit->account));
	wire_put_bytes(w, bytes_text("ssh-connection"));
	wire_put_bytes(w, bytes_text("publickey"));
	wire_put_u8(w, 1);
	wire_put_bytes(w, algorithm);
	wire_put_bytes(w, key);
	return (r.failed || w->failed ? -1 : agent_ask_signature(c->agent, key, wire_bytes(w), flags));
}

static int
request_send(struct credential *c, struct bytes signature)
{
	size_t identifier = ssh_more_identifier(c->visit->leg.ssh).len + 4;

	wire_put_bytes(&c->request, signature);
	return (c->request.failed ? -1
	                          : ssh_more_publickey_send(c->visit->leg.ssh,
	                                bytes_of(c->request.at + identifier, c->request.len - identifier)));
}

/* 1: the step is done; 0: not yet; -1: it fails. */
static int
agent_go(struct credential *c)
{
	struct bytes got;
	int rc;

	switch (c->step) {
	case AGENT_KEY:
		if ((rc = agent_key(c->agent, &got)) == 1)
			wire_put_raw(&c->public_key, got.at, got.len);
		return (rc);
	case AGENT_SERVICE: /* after it the target has said how RSA keys may sign */
		if ((rc = ssh_service_request(c->visit->leg.ssh, "ssh-userauth")) == SSH_OK)
			return (request_sign(c) == -1 ? -1 : 1);
		return (rc == SSH_AGAIN ? 0 : -1);
	case AGENT_SIGNATURE:
		if ((rc = agent_signature(c->agent, &got)) == 1)
			return (request_send(c, got) == -1 ? -1 : 1);
		return (rc);
	default:
		return (0);
	}
}

static int
agent_show(struct credential *c)
{
	int rc;

	while (c->step != AGENT_ANSWER) {
		if ((rc = agent_go(c)) == 0)
			return (SSH_AUTH_AGAIN);
		if (rc == -1 && c->step == AGENT_SERVICE)
			return (SSH_AUTH_ERROR);
		if (rc == -1)
			return (agent_broke(c));
		c->step++;
	}
	return (ssh_userauth_none(c->visit->leg.ssh, NULL)); /* the answer to what was sent: ssh_more.h */
}

static int
agent_take(struct credential *c, struct message *m)
{
	c->agent = agent_new(c->visit->session->loop, m->fd, on_wake, c);
	m->fd = -1;
	return (c->agent == NULL ? -1 : agent_ask_keys(c->agent));
}

/* ---- a password ---- */

static void
password_ask(struct credential *c)
{
	peer_post(c->visit->session->auth, PASSWORD_WANTED, password_wanted, .ask = c->ask,
	    .stream = c->visit->stream, .attempt = c->attempt);
}

static int
password_take(struct credential *c, struct bytes password)
{
	if (password.len == 0 || memchr(password.at, 0, password.len) != NULL)
		return (-1);
	return (secret_copy(&c->password, password.at, password.len));
}

static int
password_show(struct credential *c)
{
	ssh_more_burn(c->visit->leg.ssh);
	return (ssh_userauth_password(c->visit->leg.ssh, c->visit->account, (const char *)c->password.at));
}

/* One round of questions (RFC 4256 3.2).  What a target shows as it is typed is no password's place.  0 or -1. */
static int
round_answer(struct credential *c)
{
	ssh_session ssh = c->visit->leg.ssh;
	int count = ssh_userauth_kbdint_getnprompts(ssh);
	char echo;

	if (++c->rounds > ROUNDS_MAX)
		return (-1);
	for (int i = 0; i < count; i++)
		if (ssh_userauth_kbdint_getprompt(ssh, (unsigned)i, &echo) == NULL || echo ||
		    ssh_userauth_kbdint_setanswer(ssh, (unsigned)i, (const char *)c->password.at) != 0)
			return (-1);
	return (0);
}

static int
keyboard_show(struct credential *c)
{
	int rc;

	ssh_more_burn(c->visit->leg.ssh);
	while ((rc = ssh_userauth_kbdint(c->visit->leg.ssh, c->visit->account, NULL)) == SSH_AUTH_INFO) {
		if (round_answer(c) == -1) {
			snprintf(c->text, sizeof(c->text), "%s asks for more than the password of %s",
			    c->visit->target, c->visit->account);
			out(c, REASON_TARGET_LOGIN, NULL);
			return (SSH_AUTH_ERROR);
		}
	}
	return (rc);
}

/* ---- the table ---- */

static const struct kind kinds[] = {
    [TARGET_CERTIFICATE] = {"certificate", "publickey", "the gateway's certificate", cert_ask, cert_show},
    [TARGET_KEY] = {"key", "publickey", "the gateway's key", agent_ask, agent_show},
    [TARGET_PASSWORD] = {"password", "password", "the gateway's password", password_ask, password_show},
    [TARGET_KEYBOARD] = {"keyboard-interactive", "keyboard-interactive", "the gateway's password", password_ask,
        keyboard_show},
};

static const struct kind *
kind_of(enum target_login how)
{
	return (how >= TARGET_CERTIFICATE && how <= TARGET_KEYBOARD ? &kinds[how] : &kinds[TARGET_CERTIFICATE]);
}

const char *
credential_name(enum target_login how)
{
	return (kind_of(how)->name);
}

const char *
credential_method(enum target_login how)
{
	return (kind_of(how)->method);
}

int
credential_is_password(enum target_login how)
{
	return (how == TARGET_PASSWORD || how == TARGET_KEYBOARD);
}

/* ---- its life ---- */

/* What lies in memory for this try alone. */
static void
try_drop(struct credential *c)
{
	secret_free(&c->password);
	agent_free(c->agent);
	c->agent = NULL;
	wire_free(&c->public_key);
	wire_free(&c->request);
	ssh_key_free(c->key);
	c->key = NULL;
}

static void
ask(struct credential *c)
{
	c->state = CREDENTIAL_ASKED;
	c->ask = session_ask(c->visit->session);
	c->kind->ask(c);
}

struct credential *
credential_new(struct visit *v)
{
	struct credential *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return (NULL);
	c->visit = v;
	c->kind = kind_of(v->how);
	ask(c);
	return (c);
}

void
credential_free(struct credential *c)
{
	if (c == NULL)
		return;
	try_drop(c);
	free(c);
}

void
credential_ask_again(struct credential *c)
{
	if (c->state == CREDENTIAL_ASKED)
		c->kind->ask(c);
}

/* auth says no.  No other password: what the target said of the first one stands. */
static void
on_refused(struct credential *c, enum reason reason)
{
	if (c->attempt == 0)
		out(c, reason == REASON_NONE ? REASON_VAULT : reason, "");
	else
		out(c, c->reason, NULL);
}

/* 0; -1: what auth gave is of no use. */
static int
gift_take(struct credential *c, struct message *m)
{
	switch (m->type) {
	case MSG_CERT:
		return (c->kind == &kinds[TARGET_CERTIFICATE] ? cert_take(c, m->cert.certificate) : -1);
	case MSG_AGENT:
		return (c->kind == &kinds[TARGET_KEY] ? agent_take(c, m) : -1);
	case MSG_PASSWORD:
		return (c->kind->ask == password_ask ? password_take(c, m->password.password) : -1);
	default:
		return (-1);
	}
}

/* Which stream and question an answer is of. */
static void
answer_of(const struct message *m, uint32_t *stream, uint32_t *question)
{
	static const struct {
		enum message_type type;
		size_t stream, ask;
	} rows[] = {
	    {MSG_CERT, offsetof(struct message, cert.stream), offsetof(struct message, cert.ask)},
	    {MSG_AGENT, offsetof(struct message, agent.stream), offsetof(struct message, agent.ask)},
	    {MSG_PASSWORD, offsetof(struct message, password.stream), offsetof(struct message, password.ask)},
	    {MSG_CREDENTIAL_REFUSED, offsetof(struct message, credential_refused.stream),
	        offsetof(struct message, credential_refused.ask)},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (m->type == rows[i].type) {
			memcpy(stream, (const char *)m + rows[i].stream, sizeof(*stream));
			memcpy(question, (const char *)m + rows[i].ask, sizeof(*question));
		}
}

void
credential_on_auth(struct session *s, struct message *m)
{
	uint32_t stream = 0, question = 0;
	struct credential *c;
	struct visit *v;

	answer_of(m, &stream, &question);
	if ((v = visit_of(s, stream)) == NULL || (c = v->credential) == NULL || c->state != CREDENTIAL_ASKED ||
	    question != c->ask)
		return;
	if (m->type == MSG_CREDENTIAL_REFUSED)
		on_refused(c, (enum reason)m->credential_refused.reason);
	else if (m->type == MSG_CERT && m->cert.reason != REASON_NONE)
		on_refused(c, (enum reason)m->cert.reason);
	else if (gift_take(c, m) == -1)
		out(c, REASON_TARGET_LOGIN, "lodge-auth gave nothing that can be used");
	else
		c->state = CREDENTIAL_SHOWN;
	session_wake(s);
}

/* ---- the target's answer ---- */

static void
on_denied(struct credential *c, const char *what_it_does)
{
	char methods[128];

	target_methods(c->visit->leg.ssh, ", ", methods, sizeof(methods));
	if (methods[0] == '\0')
		snprintf(methods, sizeof(methods), "nothing that is known here");
	snprintf(c->text, sizeof(c->text), "%s %s %s for %s; it takes: %s; tell the operator", c->visit->target,
	    what_it_does, c->kind->what, c->visit->account, methods);
	c->reason = REASON_TARGET_LOGIN;
	if (c->kind->ask == password_ask && c->attempt == 0) {
		try_drop(c);
		c->attempt = 1;
		c->rounds = 0;
		ask(c);
		return;
	}
	c->state = CREDENTIAL_OUT;
}

void
credential_lost(struct credential *c)
{
	if (c->state == CREDENTIAL_OUT) /* we gave it up ourselves */
		return;
	if (c->state == CREDENTIAL_SHOWN)
		snprintf(c->text, sizeof(c->text), "%s ended the connection at the sight of %s", c->visit->target,
		    c->kind->what);
	out(c, REASON_TARGET_LOGIN, NULL);
}

static void
on_in(struct credential *c)
{
	c->state = CREDENTIAL_IN;
	if (c->kind->ask == password_ask)
		peer_post(c->visit->session->auth, PASSWORD_GOOD, password_good, .stream = c->visit->stream,
		    .attempt = c->attempt);
}

enum credential_state
credential_turn(struct credential *c)
{
	if (c->state != CREDENTIAL_SHOWN)
		return (c->state);
	switch (c->kind->show(c)) {
	case SSH_AUTH_AGAIN:
		return (c->state);
	case SSH_AUTH_SUCCESS:
		on_in(c);
		break;
	case SSH_AUTH_DENIED:
		on_denied(c, "refuses");
		break;
	case SSH_AUTH_PARTIAL:
		on_denied(c, "wants more than");
		break;
	default:
		credential_lost(c);
		break;
	}
	if (c->state != CREDENTIAL_SHOWN && c->state != CREDENTIAL_ASKED)
		try_drop(c);
	return (c->state);
}

enum reason
credential_reason(const struct credential *c)
{
	return (c->reason);
}

const char *
credential_text(const struct credential *c)
{
	return (c->text);
}
