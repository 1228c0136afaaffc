/*
 * The door to libssh's private structures: see ssh_more.h.  The only file that includes its private headers; they
 * belong to series 0.12 (etc/libssh takes no other), laid out by the library's own
 * config.h, which session/libssh.cmake includes before everything else.
 *
 * Two ways in.  Packet hooks stand in libssh's list before its own handlers; they run after its filter of what may come
 * in which state.  And the linker's --wrap turns two calls between libssh's files into calls of ours: one signs an
 * exchange hash, the other verifies a signature (session/libssh.cmake).
 *
 * One file, however long: nobody else may see those headers (tests/boundaries).
 */
#include "ssh_more.h"

#include <stdlib.h>
#include <string.h>

#include <libssh/priv.h>
#include <libssh/session.h>
#include <libssh/bind.h>
#include <libssh/buffer.h>
#include <libssh/channels.h>
#include <libssh/crypto.h>
#include <libssh/dh.h>
#include <libssh/messages.h>
#include <libssh/packet.h>
#include <libssh/pki.h>
#include <libssh/socket.h>
#include <libssh/ssh2.h>

#define PACKETS 7 /* rows of packet_rows */

struct more {
	struct more *next;
	ssh_session session; /* lent */
	const struct ssh_more_hooks *hooks;
	void *ctx;
	struct ssh_counter_struct counter;
	struct ssh_packet_callbacks_struct packets[PACKETS];
	/* the try that libssh reads just now; empty otherwise */
	struct bytes key, signature;
};

static struct more *all; /* a handful: one connection and its targets */

static struct more *
more_of(ssh_session session)
{
	for (struct more *m = all; m != NULL; m = m->next)
		if (m->session == session)
			return (m);
	return (NULL);
}

static struct reader
packet_reader(ssh_buffer packet)
{
	return (reader_of(bytes_of(ssh_buffer_get(packet), ssh_buffer_get_len(packet))));
}

/* Changes when a message is queued. */
static const struct ssh_iterator *
message_last(ssh_session session)
{
	return (session->ssh_message_list == NULL ? NULL : session->ssh_message_list->end);
}

/* Sends what was packed into out_buffer; packed is ssh_buffer_pack's result. */
static int
packet_go(ssh_session session, int packed)
{
	if (packed != SSH_OK) {
		(void)ssh_buffer_reinit(session->out_buffer);
		return (-1);
	}
	return (ssh_packet_send(session) == SSH_ERROR ? -1 : 0);
}

/* ---- tries (packets 50 and 61) ---- */

static void
try_failed(struct more *m, struct bytes user)
{
	(void)ssh_auth_reply_default(m->session, 0);
	if (m->hooks->unreadable_try != NULL)
		m->hooks->unreadable_try(m->ctx, user);
}

/* RFC 4252 7, and OpenSSH's PROTOCOL 3.1, whose host key stands between key and signature. */
static struct bytes
try_peek(struct more *m, ssh_buffer packet)
{
	struct reader r = packet_reader(packet);
	struct bytes user = reader_get_bytes(&r), method;
	int bound;

	(void)reader_get_bytes(&r);
	method = reader_get_bytes(&r);
	if (r.failed)
		return (user);
	bound = bytes_are(method, "publickey-hostbound-v00@openssh.com");
	if (!bound && !bytes_are(method, "publickey"))
		return (user);
	if (reader_get_u8(&r) == 0)
		return (user);
	(void)reader_get_bytes(&r);
	m->key = reader_get_bytes(&r);
	if (bound)
		(void)reader_get_bytes(&r);
	m->signature = reader_get_bytes(&r);
	return (user);
}

/* libssh says a try to its user by queueing a message, or says nothing to anybody. */
static int
on_try(ssh_session session, uint8_t type, ssh_buffer packet, void *user)
{
	struct more *m = user;
	struct bytes name;
	const struct ssh_iterator *before = message_last(session);

	if (!session->server)
		return (SSH_PACKET_NOT_USED);
	name = try_peek(m, packet);
	(void)ssh_packet_userauth_request(session, type, packet, NULL);
	m->key = m->signature = (struct bytes){NULL, 0};
	if (message_last(session) == before)
		try_failed(m, name);
	return (SSH_PACKET_USED);
}

static int
on_answers(ssh_session session, uint8_t type, ssh_buffer packet, void *user)
{
	const struct ssh_iterator *before = message_last(session);

	if (!session->server)
		return (SSH_PACKET_NOT_USED);
	(void)ssh_packet_userauth_info_response(session, type, packet, NULL);
	if (message_last(session) == before)
		try_failed(user, bytes_text(""));
	return (SSH_PACKET_USED);
}

/* ---- channels asked for, and confirmed (packets 90 and 91) ---- */

/* The peer broke the protocol in a way that libssh goes on from: the connection ends. */
static int
peer_broke(ssh_session session, const char *how)
{
	ssh_set_error(session, SSH_FATAL, "%s", how);
	session->session_state = SSH_SESSION_STATE_ERROR;
	return (SSH_PACKET_USED);
}

/* libssh drops without a word what it cannot read, and packets of no size.  r: behind the type. */
static void
open_unreadable(ssh_session session, struct reader r)
{
	uint32_t sender = reader_get_u32(&r);

	if (!r.failed && session->session_state != SSH_SESSION_STATE_ERROR)
		(void)packet_go(
		    session, ssh_buffer_pack(session->out_buffer, "bddss", SSH2_MSG_CHANNEL_OPEN_FAILURE, sender,
		                 SSH2_OPEN_CONNECT_FAILED, "the question cannot be read", "en"));
}

/*
 * libssh forgets the name of a type that it does not know; the message's originator, unused then, keeps it.  It also
 * forgets a port's upper half, and what stands behind a NUL in a host's name: port 0 tells that they were no good.
 */
static int
on_open(ssh_session session, uint8_t type, ssh_buffer packet, void *user)
{
	struct reader r = packet_reader(packet);
	struct bytes name = reader_get_bytes(&r), path;
	const struct ssh_iterator *before = message_last(session);
	ssh_message m;

	(void)user;
	(void)ssh_packet_channel_open(session, type, packet, NULL);
	if (message_last(session) == before || message_last(session) == NULL) {
		open_unreadable(session, r);
		return (SSH_PACKET_USED);
	}
	m = (ssh_message)(uintptr_t)message_last(session)->data;
	if (m->type != SSH_REQUEST_CHANNEL_OPEN)
		return (SSH_PACKET_USED);
	(void)reader_get_raw(&r, 12); /* sender, window, packet size */
	path = reader_get_text(&r);
	if ((m->channel_request_open.type == SSH_CHANNEL_DIRECT_TCPIP ||
	        m->channel_request_open.type == SSH_CHANNEL_FORWARDED_TCPIP) &&
	    (reader_get_u32(&r) > UINT16_MAX || r.failed))
		m->channel_request_open.destination_port = 0;
	if (m->channel_request_open.type != SSH_CHANNEL_UNKNOWN || m->channel_request_open.originator != NULL)
		return (SSH_PACKET_USED);
	m->channel_request_open.originator = bytes_dup(name);
	if (!r.failed && bytes_are(name, "direct-streamlocal@openssh.com"))
		m->channel_request_open.destination = bytes_dup(path);
	return (SSH_PACKET_USED);
}

/*
 * libssh takes the numbers of a confirmation before it looks whether one was due; with packets of no size it would then
 * cut what it writes into pieces of nothing, for ever.
 */
static int
on_confirmed(ssh_session session, uint8_t type, ssh_buffer packet, void *user)
{
	struct reader r = packet_reader(packet);
	ssh_channel channel = ssh_channel_from_local(session, reader_get_u32(&r));

	(void)type;
	(void)user;
	if (channel == NULL) /* it was given up meanwhile */
		return (SSH_PACKET_NOT_USED);
	(void)reader_get_raw(&r, 8); /* the peer's number, window */
	if (channel->state != SSH_CHANNEL_STATE_OPENING || reader_get_u32(&r) == 0)
		return (peer_broke(session, "a channel was confirmed that cannot be"));
	return (SSH_PACKET_NOT_USED);
}

const char *
ssh_more_channel_type(ssh_message m)
{
	if (m->type != SSH_REQUEST_CHANNEL_OPEN || m->channel_request_open.type != SSH_CHANNEL_UNKNOWN ||
	    m->channel_request_open.originator == NULL)
		return ("");
	return (m->channel_request_open.originator);
}

int
ssh_more_refuse_channel(ssh_message m, uint32_t code, const char *text)
{
	if (m->type != SSH_REQUEST_CHANNEL_OPEN)
		return (-1);
	return (
	    packet_go(m->session, ssh_buffer_pack(m->session->out_buffer, "bddss", SSH2_MSG_CHANNEL_OPEN_FAILURE,
	                              m->channel_request_open.sender, code, text, "en")));
}

/* ---- a channel's bytes (packets 94 and 95) ---- */

/* libssh drops what exceeds our window and goes on, so that a stream would have a hole. */
static int
on_bytes(ssh_session session, uint8_t type, ssh_buffer packet, void *user)
{
	struct reader r = packet_reader(packet);
	ssh_channel channel = ssh_channel_from_local(session, reader_get_u32(&r));

	(void)user;
	if (type == SSH2_MSG_CHANNEL_EXTENDED_DATA)
		(void)reader_get_u32(&r);
	if (channel != NULL && reader_get_u32(&r) > channel->local_window)
		return (peer_broke(session, "more bytes came than the window allows"));
	return (SSH_PACKET_NOT_USED);
}

/* ---- channel requests (packet 98) ---- */

static int
name_among(struct bytes name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (bytes_are(name, *names))
			return (1);
	return (0);
}

/* What libssh answers or tells by a channel callback, and what it makes a message of. */
static const char *const told_to_server[] = {"signal", NULL};
static const char *const told_to_client[] = {"exit-status", "exit-signal", "keepalive@openssh.com", NULL};
static const char *const made_messages[] = {
    "pty-req", "window-change", "subsystem", "shell", "exec", "env", "x11-req", NULL};

static void
request_answer(ssh_session session, ssh_channel channel, int good)
{
	(void)packet_go(
	    session, ssh_buffer_pack(session->out_buffer, "bd",
	                 good ? SSH2_MSG_CHANNEL_SUCCESS : SSH2_MSG_CHANNEL_FAILURE, channel->remote_channel));
}

static int
on_request(ssh_session session, uint8_t type, ssh_buffer packet, void *user)
{
	struct more *m = user;
	struct reader r = packet_reader(packet);
	uint32_t number = reader_get_u32(&r);
	struct bytes name = reader_get_bytes(&r), payload;
	int wanted = reader_get_u8(&r) != 0, answer = SSH_MORE_REFUSED;
	const struct ssh_iterator *before = message_last(session);
	ssh_channel channel;

	if (r.failed || name_among(name, session->server ? told_to_server : told_to_client) ||
	    (session->server && bytes_are(name, "keepalive@openssh.com")))
		return (SSH_PACKET_NOT_USED);
	channel = ssh_channel_from_local(session, number);
	if (channel != NULL && channel->flags & SSH_CHANNEL_FLAG_FREED_LOCAL)
		channel = NULL; /* its owner gave it away */
	if (channel == NULL && session->server && name_among(name, made_messages))
		return (SSH_PACKET_USED);
	if (session->server && name_among(name, made_messages)) {
		(void)channel_rcv_request(session, type, packet, NULL);
		if (message_last(session) == before && wanted)
			request_answer(session, channel, 0); /* malformed: libssh would say nothing */
		return (SSH_PACKET_USED);
	}
	payload = bytes_of(r.at, r.left);
	if (m->hooks->unknown_request != NULL)
		answer = m->hooks->unknown_request(m->ctx, channel, name, payload);
	if (channel == NULL)
		return (SSH_PACKET_USED);
	if (answer == SSH_MORE_LATER)
		return (SSH_PACKET_NOT_USED);
	if (wanted)
		request_answer(session, channel, answer == SSH_MORE_DONE);
	return (SSH_PACKET_USED);
}

/* ---- a session's hooks ---- */

static ssh_packet_callback on_try_list[] = {on_try};
static ssh_packet_callback on_answers_list[] = {on_answers};
static ssh_packet_callback on_open_list[] = {on_open};
static ssh_packet_callback on_confirmed_list[] = {on_confirmed};
static ssh_packet_callback on_bytes_list[] = {on_bytes};
static ssh_packet_callback on_request_list[] = {on_request};

static const struct {
	uint8_t type;
	ssh_packet_callback *list;
} packet_rows[PACKETS] = {
    {SSH2_MSG_USERAUTH_REQUEST, on_try_list},
    {SSH2_MSG_USERAUTH_INFO_RESPONSE, on_answers_list},
    {SSH2_MSG_CHANNEL_OPEN, on_open_list},
    {SSH2_MSG_CHANNEL_OPEN_CONFIRMATION, on_confirmed_list},
    {SSH2_MSG_CHANNEL_DATA, on_bytes_list},
    {SSH2_MSG_CHANNEL_EXTENDED_DATA, on_bytes_list},
    {SSH2_MSG_CHANNEL_REQUEST, on_request_list},
};

static int
packets_hook(struct more *m)
{
	for (size_t i = 0; i < PACKETS; i++) {
		m->packets[i] = (struct ssh_packet_callbacks_struct){
		    .start = packet_rows[i].type, .n_callbacks = 1, .callbacks = packet_rows[i].list, .user = m};
		if (ssh_list_prepend(m->session->packet_callbacks, &m->packets[i]) != SSH_OK)
			return (-1);
	}
	return (0);
}

static void
packets_unhook(struct more *m)
{
	if (m->session->packet_callbacks == NULL) /* ssh_disconnect frees the list */
		return;
	for (size_t i = 0; i < PACKETS; i++)
		ssh_packet_remove_callbacks(m->session, &m->packets[i]);
}

int
ssh_more_begin(ssh_session session, const struct ssh_more_hooks *hooks, void *ctx)
{
	struct more *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return (-1);
	m->session = session;
	m->hooks = hooks;
	m->ctx = ctx;
	m->next = all;
	all = m;
	/* libssh would look the home of our user up in files, and whoever has none there has no need of it. */
	if (session->opts.homedir == NULL && (session->opts.homedir = strdup("/")) == NULL)
		goto no_memory;
	/* libssh makes its list when it knows the peer's banner, and appends to one that is there. */
	if (session->packet_callbacks == NULL && (session->packet_callbacks = ssh_list_new()) == NULL)
		goto no_memory;
	if (packets_hook(m) == -1)
		goto no_memory;
	ssh_set_counters(session, NULL, &m->counter);
	return (0);

no_memory:
	ssh_more_end(session);
	return (-1);
}

int
ssh_more_listen(ssh_session session, int is_server)
{
	const struct more *m = more_of(session);
	struct ssh_iterator *i;
	int ours = 0;

	if (m == NULL || (is_server != 0) != (session->server != 0) || session->packet_callbacks == NULL)
		return (-1);
	for (i = ssh_list_get_iterator(session->packet_callbacks); i != NULL; i = i->next) {
		if (i->data == &session->default_packet_callbacks)
			return (ours == PACKETS ? 0 : -1);
		for (size_t k = 0; k < PACKETS; k++)
			ours += i->data == &m->packets[k];
	}
	return (-1);
}

void
ssh_more_end(ssh_session session)
{
	struct more **at = &all, *m;

	while ((m = *at) != NULL && m->session != session)
		at = &m->next;
	if (m == NULL)
		return;
	*at = m->next;
	packets_unhook(m);
	ssh_set_counters(session, NULL, NULL);
	free(m);
}

/* ---- the two wraps ---- */

ssh_string __real_ssh_srv_pki_do_sign_sessionid(ssh_session, const ssh_key, const enum ssh_digest_e);
ssh_string __wrap_ssh_srv_pki_do_sign_sessionid(ssh_session, const ssh_key, const enum ssh_digest_e);
int __real_ssh_pki_signature_verify(ssh_session, ssh_signature, const ssh_key, const unsigned char *, size_t);
int __wrap_ssh_pki_signature_verify(ssh_session, ssh_signature, const ssh_key, const unsigned char *, size_t);

static ssh_string
string_of(struct bytes b)
{
	ssh_string s = ssh_string_new(b.len);

	if (s != NULL && b.len > 0 && ssh_string_fill(s, b.at, b.len) != 0) {
		ssh_string_free(s);
		return (NULL);
	}
	return (s);
}

ssh_string
__wrap_ssh_srv_pki_do_sign_sessionid(ssh_session session, const ssh_key key, const enum ssh_digest_e digest)
{
	const struct more *m = more_of(session);
	const struct ssh_crypto_struct *crypto;
	uint8_t *signature = NULL;
	size_t len = 0;
	ssh_string s = NULL;

	if (m == NULL || m->hooks->sign == NULL)
		return (__real_ssh_srv_pki_do_sign_sessionid(session, key, digest));
	crypto = session->next_crypto != NULL ? session->next_crypto : session->current_crypto;
	if (crypto != NULL && crypto->secret_hash != NULL &&
	    m->hooks->sign(m->ctx, bytes_of(crypto->secret_hash, crypto->digest_len), &signature, &len) == 0)
		s = string_of(bytes_of(signature, len));
	free(signature);
	if (s == NULL)
		ssh_set_error(session, SSH_FATAL, "the exchange hash was not signed");
	return (s);
}

static int
proof_ask(const struct more *m, struct bytes signed_data)
{
	if (m->key.at == NULL || m->signature.at == NULL)
		return (SSH_ERROR);
	return (m->hooks->proof(m->ctx, m->key, m->signature, signed_data) == 1 ? SSH_OK : SSH_ERROR);
}

static int
host_key_ask(const struct more *m, const ssh_key key)
{
	ssh_string blob = NULL;
	int good;

	if (ssh_pki_export_pubkey_blob(key, &blob) != SSH_OK)
		return (SSH_ERROR);
	good = m->hooks->host_key(m->ctx, bytes_of(ssh_string_data(blob), ssh_string_len(blob)));
	ssh_string_free(blob);
	return (good == 1 ? SSH_OK : SSH_ERROR);
}

int
__wrap_ssh_pki_signature_verify(
    ssh_session session, ssh_signature signature, const ssh_key key, const unsigned char *text, size_t len)
{
	const struct more *m = more_of(session);

	if (m != NULL && session->server && m->hooks->proof != NULL)
		return (proof_ask(m, bytes_of(text, len)));
	if (__real_ssh_pki_signature_verify(session, signature, key, text, len) != SSH_OK)
		return (SSH_ERROR);
	if (m != NULL && !session->server && m->hooks->host_key != NULL)
		return (host_key_ask(m, key));
	return (SSH_OK);
}

/* ---- keys ---- */

int
ssh_more_public_host_key(ssh_bind sshbind, struct bytes blob)
{
	ssh_string s = string_of(blob);
	ssh_key key = NULL;
	int imported = s == NULL ? SSH_ERROR : ssh_pki_import_pubkey_blob(s, &key);

	ssh_string_free(s);
	if (imported != SSH_OK)
		return (-1);
	if (ssh_key_type(key) != SSH_KEYTYPE_ED25519) {
		ssh_key_free(key);
		return (-1);
	}
	key->flags |= SSH_KEY_FLAG_PRIVATE; /* or libssh does not even ask for a signature */
	ssh_key_free(sshbind->ed25519);
	sshbind->ed25519 = key;
	return (0);
}

int
ssh_more_offered_key(ssh_message m, struct bytes *algorithm, uint8_t **key, size_t *len)
{
	ssh_string blob = NULL;

	if (m->type != SSH_REQUEST_AUTH || m->auth_request.method != SSH_AUTH_METHOD_PUBLICKEY ||
	    m->auth_request.sigtype == NULL || ssh_pki_export_pubkey_blob(m->auth_request.pubkey, &blob) != SSH_OK)
		return (-1);
	*algorithm = bytes_text(m->auth_request.sigtype);
	*len = ssh_string_len(blob);
	if ((*key = malloc(*len)) != NULL)
		memcpy(*key, ssh_string_data(blob), *len);
	ssh_string_free(blob);
	return (*key == NULL ? -1 : 0);
}

/* ---- terminals ---- */

struct bytes
ssh_more_pty_modes(ssh_message m, uint32_t *pixel_width, uint32_t *pixel_height)
{
	const struct ssh_channel_request *r = &m->channel_request;

	*pixel_width = *pixel_height = 0;
	if (m->type != SSH_REQUEST_CHANNEL ||
	    (r->type != SSH_CHANNEL_REQUEST_PTY && r->type != SSH_CHANNEL_REQUEST_WINDOW_CHANGE))
		return (bytes_of(NULL, 0));
	*pixel_width = r->pxwidth;
	*pixel_height = r->pxheight;
	if (r->type != SSH_CHANNEL_REQUEST_PTY || r->modes == NULL)
		return (bytes_of(NULL, 0));
	return (bytes_of(ssh_string_data(r->modes), ssh_string_len(r->modes)));
}

/* libssh sends no pixel sizes.  We send the packet in its stead, and let its own function wait for the answer. */
int
ssh_more_request_pty(ssh_channel channel, const char *term, uint32_t columns, uint32_t rows, uint32_t pixel_width,
    uint32_t pixel_height, struct bytes modes)
{
	static const uint8_t none[] = {0}; /* TTY_OP_END */
	ssh_session session = channel->session;

	if (modes.len == 0)
		modes = bytes_of(none, sizeof(none));
	if (channel->request_state == SSH_CHANNEL_REQ_STATE_NONE) {
		if (packet_go(session, ssh_buffer_pack(session->out_buffer, "bdsbsdddddP", SSH2_MSG_CHANNEL_REQUEST,
		                           channel->remote_channel, "pty-req", 1, term, columns, rows, pixel_width,
		                           pixel_height, (uint32_t)modes.len, modes.len, modes.at)) == -1)
			return (SSH_ERROR);
		channel->request_state = SSH_CHANNEL_REQ_STATE_PENDING;
	}
	return (ssh_channel_request_pty_size_modes(channel, term, (int)columns, (int)rows, modes.at, modes.len));
}

int
ssh_more_resize(ssh_channel channel, uint32_t columns, uint32_t rows, uint32_t pixel_width, uint32_t pixel_height)
{
	ssh_session session = channel->session;

	return (packet_go(
	    session, ssh_buffer_pack(session->out_buffer, "bdsbdddd", SSH2_MSG_CHANNEL_REQUEST,
	                 channel->remote_channel, "window-change", 0, columns, rows, pixel_width, pixel_height)));
}

int
ssh_more_request(ssh_channel channel, const char *name)
{
	ssh_session session = channel->session;

	return (packet_go(session, ssh_buffer_pack(session->out_buffer, "bdsb", SSH2_MSG_CHANNEL_REQUEST,
	                               channel->remote_channel, name, 0)));
}

/* ---- bytes ---- */

#define WINDOW (64u * 32768u) /* channels.c: WINDOW_DEFAULT */

/* As libssh does after each read of its own: opens the window again when less than half of it is open or unread. */
static void
window_grow(ssh_channel channel)
{
	ssh_session session = channel->session;
	uint32_t used = channel->local_window + ssh_buffer_get_len(channel->stdout_buffer) +
	                ssh_buffer_get_len(channel->stderr_buffer);

	if (used > WINDOW / 2 || channel->remote_eof || !session->alive)
		return;
	if (packet_go(session, ssh_buffer_pack(session->out_buffer, "bdd", SSH2_MSG_CHANNEL_WINDOW_ADJUST,
	                           channel->remote_channel, WINDOW - used)) == 0)
		channel->local_window += WINDOW - used;
}

size_t
ssh_more_read(ssh_channel channel, int is_stderr, void *to, size_t size)
{
	ssh_buffer from = is_stderr ? channel->stderr_buffer : channel->stdout_buffer;
	uint32_t len = ssh_buffer_get_len(from);

	if (len > size)
		len = (uint32_t)size;
	if (len == 0)
		return (0);
	memcpy(to, ssh_buffer_get(from), len);
	(void)ssh_buffer_pass_bytes(from, len);
	if (channel->delayed_close && ssh_buffer_get_len(channel->stdout_buffer) == 0 &&
	    ssh_buffer_get_len(channel->stderr_buffer) == 0)
		channel->state = SSH_CHANNEL_STATE_CLOSED;
	window_grow(channel);
	return (len);
}

size_t
ssh_more_unread(ssh_channel channel, int is_stderr)
{
	return (ssh_buffer_get_len(is_stderr ? channel->stderr_buffer : channel->stdout_buffer));
}

/* ---- what is under way ---- */

size_t
ssh_more_unsent(ssh_session session)
{
	size_t sum = (size_t)ssh_socket_buffered_write_bytes(session->socket);
	const struct ssh_iterator *i;

	if (session->out_queue != NULL)
		for (i = ssh_list_get_iterator(session->out_queue); i != NULL; i = i->next)
			sum += ssh_buffer_get_len((ssh_buffer)(uintptr_t)i->data);
	return (sum);
}

int
ssh_more_in_rekey(ssh_session session)
{
	return ((session->flags & SSH_SESSION_FLAG_AUTHENTICATED) != 0 &&
	        session->dh_handshake_state != DH_STATE_FINISHED);
}

size_t
ssh_more_messages(ssh_session session)
{
	return (session->ssh_message_list == NULL ? 0 : ssh_list_count(session->ssh_message_list));
}

uint64_t
ssh_more_packets_in(ssh_session session)
{
	const struct more *m = more_of(session);

	return (m == NULL ? 0 : m->counter.in_packets);
}

int
ssh_more_keepalive(ssh_session session)
{
	return (packet_go(session,
	    ssh_buffer_pack(session->out_buffer, "bsb", SSH2_MSG_GLOBAL_REQUEST, "keepalive@openssh.com", 1)));
}

struct bytes
ssh_more_identifier(ssh_session session)
{
	const struct ssh_crypto_struct *crypto = session->current_crypto;

	if (crypto == NULL || crypto->session_id == NULL)
		return (bytes_of(NULL, 0));
	return (bytes_of(crypto->session_id, crypto->session_id_len));
}

/* ---- logging in to a target ---- */

int
ssh_more_rsa_sha2(ssh_session session)
{
	if ((session->extensions & SSH_EXT_SIG_RSA_SHA512) != 0)
		return (512);
	return ((session->extensions & SSH_EXT_SIG_RSA_SHA256) != 0 ? 256 : 0);
}

/*
 * libssh's own agent client waits without end for an agent that says nothing.  So the request is made elsewhere, and libssh
 * waits for the answer as for that to a "none", whose function has nothing of its own to do while one is pending.
 */
int
ssh_more_publickey_send(ssh_session session, struct bytes request)
{
	if (session->pending_call_state != SSH_PENDING_CALL_NONE || request.len > UINT32_MAX ||
	    ssh_buffer_add_data(session->out_buffer, request.at, (uint32_t)request.len) < 0) {
		(void)ssh_buffer_reinit(session->out_buffer);
		return (-1);
	}
	session->auth.current_method = SSH_AUTH_METHOD_PUBLICKEY;
	session->auth.state = SSH_AUTH_STATE_PUBKEY_AUTH_SENT;
	session->pending_call_state = SSH_PENDING_CALL_AUTH_NONE;
	return (ssh_packet_send(session) == SSH_ERROR ? -1 : 0);
}

void
ssh_more_burn(ssh_session session)
{
	ssh_buffer_set_secure(session->out_buffer);
}

const char *
ssh_more_kex(ssh_session session)
{
	const char *name = ssh_get_kex_algo(session);

	return (name == NULL ? "" : name);
}

const char *
ssh_more_cipher(ssh_session session)
{
	const char *name = ssh_get_cipher_out(session);

	return (name == NULL ? "" : name);
}

const char *
ssh_more_mac(ssh_session session)
{
	const char *name = ssh_get_hmac_out(session);

	return (name == NULL ? "" : name);
}
