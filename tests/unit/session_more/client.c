/*
 * The target leg on session/ssh_more.h alone, for test_session_more.py: enters 127.0.0.1:PORT, runs one command, and
 * writes what the hooks saw and what came, a line each, to its output.
 *
 *     client PORT USER KEYFILE|none COMMAND [option value]...
 *
 * kex LIST; pin HEX (the only host key let in; else the first one seen is); modes HEX (asks for a terminal of 91x33,
 * 910x330 pixels, with them); late 1 (reads only when the connection is gone); wait MS (before reading).
 * Exit 0 when the command's end was seen, 1 when the connection broke, 2 when it was never made.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libssh/callbacks.h>

#include "ssh_more.h"

struct way {
	ssh_session ssh;
	int fd;
	uint8_t pin[256];
	size_t pin_len;
	int keys;
	int exit_status;
};

static void
bytes_say(const char *what, struct bytes b)
{
	printf("%s ", what);
	for (size_t i = 0; i < b.len; i++)
		printf("%02x", b.at[i]);
	putchar('\n');
	fflush(stdout);
}

static size_t
unhex(uint8_t *to, size_t size, const char *from)
{
	size_t len = 0;

	for (; len < size && from[0] != '\0' && from[1] != '\0'; from += 2) {
		char two[3] = {from[0], from[1], '\0'};

		to[len++] = (uint8_t)strtoul(two, NULL, 16);
	}
	return (len);
}

static int
on_host_key(void *ctx, struct bytes key)
{
	struct way *w = ctx;

	bytes_say("host_key", key);
	w->keys++;
	if (w->pin_len == 0 && key.len <= sizeof(w->pin)) {
		memcpy(w->pin, key.at, key.len);
		w->pin_len = key.len;
	}
	return (bytes_equal(key, bytes_of(w->pin, w->pin_len)));
}

static int
on_unknown(void *ctx, ssh_channel channel, struct bytes name, struct bytes payload)
{
	(void)ctx;
	(void)payload;
	printf("unknown %.*s ours=%d\n", (int)name.len, (const char *)name.at, channel != NULL);
	return (SSH_MORE_REFUSED);
}

static const struct ssh_more_hooks hooks = {.host_key = on_host_key, .unknown_request = on_unknown};

static void
on_exit_status(ssh_session ssh, ssh_channel channel, int status, void *ctx)
{
	struct way *w = ctx;

	(void)ssh;
	(void)channel;
	w->exit_status = status;
}

static void
breathe(const struct way *w)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};

	fcntl(w->fd, F_SETFL, O_NONBLOCK);
	(void)poll(&p, 1, 20);
}

static int
connected_socket(int port)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return (connect(fd, (void *)&at, sizeof(at)) == -1 ? -1 : fd);
}

static int
enter(struct way *w, const char *user, const char *key_file)
{
	ssh_key key = NULL;
	int rc;

	while ((rc = ssh_connect(w->ssh)) == SSH_AGAIN)
		breathe(w);
	if (rc != SSH_OK || ssh_more_listen(w->ssh, 0) == -1)
		return (-1);
	printf("connected kex=%s cipher=%s\n", ssh_more_kex(w->ssh), ssh_more_cipher(w->ssh));
	if (strcmp(key_file, "none") != 0 &&
	    ssh_pki_import_privkey_file(key_file, NULL, NULL, NULL, &key) != SSH_OK)
		return (-1);
	while ((rc = key == NULL ? ssh_userauth_none(w->ssh, user) : ssh_userauth_publickey(w->ssh, user, key)) ==
	       SSH_AUTH_AGAIN)
		breathe(w);
	ssh_key_free(key);
	return (rc == SSH_AUTH_SUCCESS ? 0 : -1);
}

static int
ask(struct way *w, ssh_channel c, const char *command, struct bytes modes)
{
	int rc;

	while ((rc = ssh_channel_open_session(c)) == SSH_AGAIN)
		breathe(w);
	if (rc != SSH_OK)
		return (-1);
	if (modes.len > 0) {
		while ((rc = ssh_more_request_pty(c, "xterm", 80, 24, 800, 240, modes)) == SSH_AGAIN)
			breathe(w);
		if (rc != SSH_OK)
			return (-1);
	}
	rc = ssh_channel_request_exec(c, command);
	if (modes.len > 0)
		(void)ssh_more_resize(c, 91, 33, 910, 330); /* while its answer is awaited */
	for (; rc == SSH_AGAIN; rc = ssh_channel_request_exec(c, command))
		breathe(w);
	return (rc == SSH_OK ? 0 : -1);
}

static void
take(ssh_channel c, struct wire *taken)
{
	char part[16384];
	size_t n;

	while ((n = ssh_more_read(c, 0, part, sizeof(part))) > 0)
		wire_put_raw(taken, part, n);
}

/* Until the command is over, or the connection is.  0 or -1. */
static int
run(struct way *w, ssh_channel c, int late, int wait_ms, struct wire *taken)
{
	ssh_event event = ssh_event_new();
	int rc, whole, asked = 0;

	ssh_event_add_session(event, w->ssh);
	for (;;) {
		rc = ssh_event_dopoll(event, 50);
		if (rc == SSH_ERROR || (ssh_get_status(w->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0)
			break;
		if (asked++ < 3)
			(void)ssh_more_keepalive(w->ssh);
		if (wait_ms > 0) {
			wait_ms -= 50;
			continue;
		}
		if (!late)
			take(c, taken);
		if (!late && ssh_channel_is_eof(c) && ssh_channel_is_closed(c))
			break;
	}
	take(c, taken);
	whole = ssh_channel_is_eof(c);
	ssh_event_remove_session(event, w->ssh);
	ssh_event_free(event);
	return (whole ? 0 : -1);
}

int
main(int argc, char **argv)
{
	struct way w = {.exit_status = -1};
	struct ssh_channel_callbacks_struct cb = {.userdata = &w, .channel_exit_status_function = on_exit_status};
	uint8_t modes[1024];
	size_t modes_len = 0;
	int no = 0, late = 0, wait_ms = 0, made = -1, over = -1;
	struct wire taken = {0};
	ssh_channel c = NULL;

	if (argc < 5)
		return (64);
	setvbuf(stdout, NULL, _IOLBF, 0);
	ssh_init();
	w.ssh = ssh_new();
	w.fd = connected_socket((int)strtol(argv[1], NULL, 10));
	ssh_options_set(w.ssh, SSH_OPTIONS_PROCESS_CONFIG, &no);
	ssh_options_set(w.ssh, SSH_OPTIONS_HOST, "target");
	ssh_options_set(w.ssh, SSH_OPTIONS_USER, argv[2]);
	ssh_options_set(w.ssh, SSH_OPTIONS_SSH_DIR, "/");
	ssh_options_set(w.ssh, SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
	ssh_options_set(w.ssh, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
	ssh_options_set(w.ssh, SSH_OPTIONS_HOSTKEYS, "ssh-ed25519");
	ssh_options_set(w.ssh, SSH_OPTIONS_FD, &w.fd);
	for (int i = 5; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "kex") == 0)
			ssh_options_set(w.ssh, SSH_OPTIONS_KEY_EXCHANGE, argv[i + 1]);
		else if (strcmp(argv[i], "pin") == 0)
			w.pin_len = unhex(w.pin, sizeof(w.pin), argv[i + 1]);
		else if (strcmp(argv[i], "modes") == 0)
			modes_len = unhex(modes, sizeof(modes), argv[i + 1]);
		else if (strcmp(argv[i], "late") == 0)
			late = 1;
		else if (strcmp(argv[i], "wait") == 0)
			wait_ms = (int)strtol(argv[i + 1], NULL, 10);
	}
	ssh_set_blocking(w.ssh, 0);
	if (w.fd != -1 && ssh_more_begin(w.ssh, &hooks, &w) == 0)
		made = enter(&w, argv[2], argv[3]);
	if (made == 0 && (c = ssh_channel_new(w.ssh)) != NULL) {
		ssh_callbacks_init(&cb);
		ssh_add_channel_callbacks(c, &cb);
		if ((made = ask(&w, c, argv[4], bytes_of(modes, modes_len))) == 0)
			over = run(&w, c, late, wait_ms, &taken);
	}
	printf("taken %zu\nexit %d\nkeys %d\n", taken.len, w.exit_status, w.keys);
	if (taken.len <= 4096)
		bytes_say("text", wire_bytes(&taken));
	if (made == -1 || over == -1)
		printf("error %s\n", ssh_get_error(w.ssh));
	ssh_disconnect(w.ssh);
	ssh_more_end(w.ssh);
	ssh_free(w.ssh);
	wire_free(&taken);
	ssh_finalize();
	return (made == -1 ? 2 : over == -1);
}
