/*
 * A server on session/ssh_more.h alone, for test_session_more.py: it serves one connection after the other on loopback
 * and writes what the hooks saw, a line each, to its output.
 *
 *     server [--touch] [--openssh]	prints "host KEY-BLOB-IN-HEX", "port N"; ends when its input ends
 *
 * --touch: proofs of FIDO keys without a touch are refused.  --openssh: says that it is one, to be told of eow.  Host key and verifying are OpenSSL's; libssh has only the
 * public half.  Commands: "modes" (what the terminal was asked with), "echo", "sink" (counts), "source N", "exit N".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libssh/callbacks.h>
#include <openssl/evp.h>

#include "ssh_more.h"

#define CHUNK 32768

static EVP_PKEY *host_key;
static int touch_wanted;

struct visit {
	ssh_session ssh;
	ssh_channel channel;
	char command[128];
	uint64_t left;  /* source: bytes to send */
	uint64_t taken; /* sink */
	uint8_t stash[CHUNK];
	size_t stashed;
	int done;
};

__attribute__((format(printf, 1, 2))) static void
say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static const char *
hex(struct bytes b)
{
	static char texts[4][2 * 2048 + 1];
	static int turn;
	char *text = texts[turn = (turn + 1) % 4];
	size_t len = b.len < 2048 ? b.len : 2048;

	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", b.at[i]);
	text[2 * len] = '\0';
	return (text);
}

/* ---- the host key, and verifying ---- */

static void
host_blob(struct wire *w)
{
	uint8_t raw[32];
	size_t len = sizeof(raw);

	EVP_PKEY_get_raw_public_key(host_key, raw, &len);
	wire_put_text(w, bytes_text("ssh-ed25519"));
	wire_put_bytes(w, bytes_of(raw, len));
}

static int
on_sign(void *ctx, struct bytes hash, uint8_t **signature, size_t *len)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t raw[64];
	size_t raw_len = sizeof(raw);
	struct wire w = {0};

	(void)ctx;
	EVP_DigestSignInit(md, NULL, NULL, NULL, host_key);
	EVP_DigestSign(md, raw, &raw_len, hash.at, hash.len);
	EVP_MD_CTX_free(md);
	wire_put_text(&w, bytes_text("ssh-ed25519"));
	wire_put_bytes(&w, bytes_of(raw, raw_len));
	*signature = w.at;
	*len = w.len;
	say("sign %s", hex(hash));
	return (0);
}

static int
ed25519_good(struct bytes public, struct bytes signature, struct bytes text)
{
	EVP_PKEY *k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public.at, public.len);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int good = k != NULL && EVP_DigestVerifyInit(md, NULL, NULL, NULL, k) == 1 &&
	           EVP_DigestVerify(md, signature.at, signature.len, text.at, text.len) == 1;

	EVP_MD_CTX_free(md);
	EVP_PKEY_free(k);
	return (good);
}

/* OpenSSH's PROTOCOL.u2f: what a FIDO key signs. */
static int
token_good(
    struct bytes public, struct bytes application, struct bytes signature, struct bytes tail, struct bytes text)
{
	uint8_t digest[32];
	struct wire w = {0};
	int good;

	EVP_Digest(application.at, application.len, digest, NULL, EVP_sha256(), NULL);
	wire_put_raw(&w, digest, sizeof(digest));
	wire_put_raw(&w, tail.at, tail.len);
	EVP_Digest(text.at, text.len, digest, NULL, EVP_sha256(), NULL);
	wire_put_raw(&w, digest, sizeof(digest));
	good = ed25519_good(public, signature, wire_bytes(&w));
	wire_free(&w);
	return (good);
}

static int
on_proof(void *ctx, struct bytes key, struct bytes signature, struct bytes signed_data)
{
	struct visit *v = ctx;
	struct reader k = reader_of(key), s = reader_of(signature), d = reader_of(signed_data);
	struct bytes type = reader_get_bytes(&k), public = reader_get_bytes(&k), raw, tail, method, id;
	int is_token = bytes_are(type, "sk-ssh-ed25519@openssh.com"), good = 0, flags = -1;

	(void)reader_get_bytes(&s);
	raw = reader_get_bytes(&s);
	tail = bytes_of(s.at, s.left);
	if (is_token && tail.len == 5)
		flags = tail.at[0];
	id = reader_get_bytes(&d);
	(void)reader_get_u8(&d);
	(void)reader_get_bytes(&d);
	(void)reader_get_bytes(&d);
	method = reader_get_bytes(&d);
	if (is_token)
		good = flags >= 0 && token_good(public, reader_get_bytes(&k), raw, tail, signed_data);
	else if (bytes_are(type, "ssh-ed25519"))
		good = ed25519_good(public, raw, signed_data);
	say("proof good=%d flags=%d method=%.*s key=%s id=%d", good, flags, (int)method.len,
	    (const char *)method.at, hex(key), bytes_equal(id, ssh_more_identifier(v->ssh)));
	return (good && !(is_token && touch_wanted && (flags & 1) == 0));
}

static void
on_unreadable(void *ctx, struct bytes user)
{
	(void)ctx;
	say("unreadable %.*s", (int)user.len, (const char *)user.at);
}

static int
on_unknown(void *ctx, ssh_channel channel, struct bytes name, struct bytes payload)
{
	const struct visit *v = ctx;

	say("unknown %.*s ours=%d payload=%s", (int)name.len, (const char *)name.at, channel == v->channel,
	    hex(payload));
	if (bytes_are(name, "later@lodge"))
		return (SSH_MORE_LATER);
	return (bytes_are(name, "break") ? SSH_MORE_DONE : SSH_MORE_REFUSED);
}

static const struct ssh_more_hooks hooks = {
    .sign = on_sign,
    .proof = on_proof,
    .unreadable_try = on_unreadable,
    .unknown_request = on_unknown,
};

/* ---- messages ---- */

static void
on_auth(struct visit *v, ssh_message m)
{
	struct bytes algorithm;
	uint8_t *key = NULL;
	size_t len = 0;

	ssh_message_auth_set_methods(m, SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE);
	if (ssh_message_subtype(m) == SSH_AUTH_METHOD_INTERACTIVE && !ssh_message_auth_kbdint_is_response(m)) {
		const char *prompts[] = {"Code: "};
		char echo[] = {0};

		ssh_message_auth_interactive_request(m, "", "", 1, prompts, echo);
		return;
	}
	if (ssh_message_subtype(m) != SSH_AUTH_METHOD_PUBLICKEY) {
		ssh_message_reply_default(m);
		return;
	}
	if (ssh_more_offered_key(m, &algorithm, &key, &len) == 0)
		say("try state=%d algorithm=%.*s key=%s", (int)ssh_message_auth_publickey_state(m),
		    (int)algorithm.len, (const char *)algorithm.at, hex(bytes_of(key, len)));
	free(key);
	if (ssh_message_auth_publickey_state(m) == SSH_PUBLICKEY_STATE_VALID) {
		say("login %s kex=%s cipher=%s", ssh_message_auth_user(m), ssh_more_kex(v->ssh),
		    ssh_more_cipher(v->ssh));
		ssh_message_auth_reply_success(m, 0);
	} else
		ssh_message_auth_reply_pk_ok_simple(m);
}

static void
on_open(struct visit *v, ssh_message m)
{
	if (ssh_message_subtype(m) != SSH_CHANNEL_SESSION || v->channel != NULL) {
		say("refused type=%d name=%s", ssh_message_subtype(m), ssh_more_channel_type(m));
		ssh_more_refuse_channel(m, 2, "Lodge says: not through this door");
		return;
	}
	v->channel = ssh_message_channel_request_open_reply_accept(m);
}

static void
on_channel_request(struct visit *v, ssh_message m)
{
	uint32_t pixel_width, pixel_height;
	struct bytes modes = ssh_more_pty_modes(m, &pixel_width, &pixel_height);
	char line[256];

	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_REQUEST_PTY:
		snprintf(line, sizeof(line), "pty %s %dx%d %" PRIu32 "x%" PRIu32 " ",
		    ssh_message_channel_request_pty_term(m), ssh_message_channel_request_pty_width(m),
		    ssh_message_channel_request_pty_height(m), pixel_width, pixel_height);
		say("%s%s", line, hex(modes));
		ssh_message_channel_request_reply_success(m);
		return;
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
		say("resize %dx%d %" PRIu32 "x%" PRIu32, ssh_message_channel_request_pty_width(m),
		    ssh_message_channel_request_pty_height(m), pixel_width, pixel_height);
		return;
	case SSH_CHANNEL_REQUEST_EXEC:
	case SSH_CHANNEL_REQUEST_SHELL:
		snprintf(v->command, sizeof(v->command), "%s",
		    ssh_message_subtype(m) == SSH_CHANNEL_REQUEST_EXEC ? ssh_message_channel_request_command(m)
		                                                       : "echo");
		if (strncmp(v->command, "source ", 7) == 0)
			v->left = strtoull(v->command + 7, NULL, 10);
		ssh_message_channel_request_reply_success(m);
		return;
	default:
		say("message %d", ssh_message_subtype(m));
		ssh_message_reply_default(m);
	}
}

static void
messages_take(struct visit *v)
{
	ssh_message m;

	while ((m = ssh_message_get(v->ssh)) != NULL) {
		switch (ssh_message_type(m)) {
		case SSH_REQUEST_SERVICE:
			ssh_message_service_reply_success(m);
			break;
		case SSH_REQUEST_AUTH:
			on_auth(v, m);
			break;
		case SSH_REQUEST_CHANNEL_OPEN:
			on_open(v, m);
			break;
		case SSH_REQUEST_CHANNEL:
			on_channel_request(v, m);
			break;
		default:
			ssh_message_reply_default(m);
		}
		ssh_message_free(m);
	}
}

/* ---- commands ---- */

static void
command_end(struct visit *v, int status)
{
	say("end %s taken=%" PRIu64 " rekeying=%d", v->command, v->taken, ssh_more_in_rekey(v->ssh));
	ssh_channel_request_send_exit_status(v->channel, status);
	v->done = 1;
}

/* What was read and not yet written: libssh takes less than it is given during a rekey, and says so. */
static int
stash_write(struct visit *v)
{
	int n;

	if (v->stashed == 0)
		return (1);
	if (ssh_more_unsent(v->ssh) > 1024 * 1024 ||
	    (n = ssh_channel_write(v->channel, v->stash, (uint32_t)v->stashed)) <= 0)
		return (0);
	memmove(v->stash, v->stash + n, v->stashed - (size_t)n);
	v->stashed -= (size_t)n;
	return (v->stashed == 0);
}

static void
bytes_move(struct visit *v)
{
	size_t n;

	while (stash_write(v)) {
		if (v->left > 0) {
			v->stashed = v->left < CHUNK ? (size_t)v->left : CHUNK;
			memset(v->stash, 'x', v->stashed);
			v->left -= v->stashed;
			if (v->left == 0 && stash_write(v))
				break;
			continue;
		}
		if ((n = ssh_more_read(v->channel, 0, v->stash, CHUNK)) == 0)
			break;
		v->taken += n;
		if (strcmp(v->command, "sink") != 0)
			v->stashed = n;
	}
	if (v->stashed > 0 || v->left > 0)
		return;
	if (strncmp(v->command, "source ", 7) == 0 || ssh_channel_is_eof(v->channel))
		command_end(v, 7);
}

static void
command_run(struct visit *v)
{
	if (v->channel == NULL || v->command[0] == '\0')
		return;
	if (v->done) {
		(void)ssh_channel_close(v->channel); /* until it could */
		return;
	}
	if (strncmp(v->command, "exit ", 5) == 0)
		command_end(v, (int)strtol(v->command + 5, NULL, 10));
	else
		bytes_move(v);
}

/* ---- a visit ---- */

static int
exchange(ssh_session ssh)
{
	struct pollfd p = {.fd = ssh_get_fd(ssh), .events = POLLIN};
	int rc;

	while ((rc = ssh_handle_key_exchange(ssh)) == SSH_AGAIN)
		if (poll(&p, 1, 5000) <= 0)
			return (-1);
	return (rc == SSH_OK ? 0 : -1);
}

static void
visit_run(ssh_bind sshbind, int fd)
{
	struct visit v = {.ssh = ssh_new()};
	ssh_event event = ssh_event_new();
	int quiet = 0;

	ssh_set_blocking(v.ssh, 0);
	ssh_more_begin(v.ssh, &hooks, &v);
	if (ssh_bind_accept_fd(sshbind, v.ssh, fd) != SSH_OK)
		say("accept: %s", ssh_get_error(sshbind));
	ssh_set_auth_methods(v.ssh, SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (exchange(v.ssh) == -1 || ssh_more_listen(v.ssh, 1) == -1)
		say("no exchange: %s", ssh_get_error(v.ssh));
	else if (ssh_event_add_session(event, v.ssh) == SSH_OK) {
		while (ssh_is_connected(v.ssh) && quiet < 100) {
			uint64_t before = ssh_more_packets_in(v.ssh);

			if (ssh_event_dopoll(event, ssh_more_unsent(v.ssh) > 0 ? 2 : 20) == SSH_ERROR)
				break;
			messages_take(&v);
			command_run(&v);
			quiet = v.done && before == ssh_more_packets_in(v.ssh) && ssh_more_unsent(v.ssh) == 0
			            ? quiet + 1
			            : 0;
		}
		ssh_event_remove_session(event, v.ssh);
	}
	say("gone");
	ssh_event_free(event);
	ssh_disconnect(v.ssh);
	ssh_more_end(v.ssh);
	ssh_free(v.ssh);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	struct wire blob = {0};
	ssh_bind sshbind = ssh_bind_new();
	int listener = socket(AF_INET, SOCK_STREAM, 0), no = 0;
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--touch") == 0)
			touch_wanted = 1;
		else if (strcmp(argv[i], "--openssh") == 0)
			ssh_bind_options_set(sshbind, SSH_BIND_OPTIONS_BANNER, "OpenSSH_9.9");
	}
	ssh_init();
	EVP_PKEY_keygen_init(c);
	EVP_PKEY_keygen(c, &host_key);
	EVP_PKEY_CTX_free(c);
	host_blob(&blob);
	ssh_bind_options_set(sshbind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
	ssh_bind_options_set(sshbind, SSH_BIND_OPTIONS_KEY_EXCHANGE,
	    "mlkem768x25519-sha256,sntrup761x25519-sha512@openssh.com,curve25519-sha256,ecdh-sha2-nistp256");
	ssh_bind_options_set(
	    sshbind, SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, "ssh-ed25519,sk-ssh-ed25519@openssh.com");
	if (ssh_more_public_host_key(sshbind, wire_bytes(&blob)) == -1 || bind(listener, (void *)&at, len) == -1 ||
	    listen(listener, 4) == -1 || getsockname(listener, (void *)&at, &len) == -1)
		return (1);
	say("host %s", hex(wire_bytes(&blob)));
	say("port %d", ntohs(at.sin_port));
	for (;;) {
		struct pollfd p[2] = {{.fd = listener, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

		if (poll(p, 2, -1) == -1 || p[1].revents != 0)
			break;
		visit_run(sshbind, accept(listener, NULL, NULL));
	}
	wire_free(&blob);
	ssh_bind_free(sshbind);
	EVP_PKEY_free(host_key);
	close(listener);
	ssh_finalize();
	return (0);
}
