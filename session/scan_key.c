#include "scan_key.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "contract/algorithms.h"
#include "text.h"

#define SCAN_USER "lodge-scan" /* nobody's name, so that the target's log says who asks */
#define RSA_BITS 1024          /* libssh takes no less */

/* All that is old, as a name-list. */
static void
legacy_print(char *to, size_t size)
{
	size_t at = 0;

	to[0] = '\0';
	for (size_t i = 0; algorithm_at(i) != NULL && at < size; i++)
		if (algorithm_at(i)->age == ALGORITHM_LEGACY)
			at +=
			    (size_t)snprintf(to + at, size - at, "%s%s", at == 0 ? "" : ",", algorithm_at(i)->name);
}

static int
options_set(ssh_session ssh, int fd, const char *algorithms)
{
	static const int off = 0, rsa_bits = RSA_BITS;
	char all[ALGORITHMS_TEXT], kex[ALGORITHMS_TEXT], cipher[ALGORITHMS_TEXT], mac[ALGORITHMS_TEXT];
	const struct {
		enum ssh_options_e option;
		const void *value;
	} rows[] = {
	    {SSH_OPTIONS_PROCESS_CONFIG, &off},
	    {SSH_OPTIONS_SSH_DIR, "/"},
	    {SSH_OPTIONS_KNOWNHOSTS, "/dev/null"},
	    {SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null"},
	    {SSH_OPTIONS_HOST, "target"},
	    {SSH_OPTIONS_USER, SCAN_USER},
	    {SSH_OPTIONS_FD, &fd},
	    {SSH_OPTIONS_RSA_MIN_SIZE, &rsa_bits},
	    {SSH_OPTIONS_HOSTKEYS, algorithms},
	    {SSH_OPTIONS_KEY_EXCHANGE, kex},
	    {SSH_OPTIONS_CIPHERS_C_S, cipher},
	    {SSH_OPTIONS_CIPHERS_S_C, cipher},
	    {SSH_OPTIONS_HMAC_C_S, mac},
	    {SSH_OPTIONS_HMAC_S_C, mac},
	};

	legacy_print(all, sizeof(all));
	if ((algorithms_print(ALGORITHM_KEX, bytes_text(all), kex, sizeof(kex)) |
	        algorithms_print(ALGORITHM_CIPHER, bytes_text(all), cipher, sizeof(cipher)) |
	        algorithms_print(ALGORITHM_MAC, bytes_text(all), mac, sizeof(mac))) != 0)
		return (-1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ssh_options_set(ssh, rows[i].option, rows[i].value) < 0)
			return (-1);
	return (0);
}

/* Whatever it found before stays. */
static void
over(struct scan_key *k, const char *why)
{
	text_safe(k->why, sizeof(k->why), bytes_text(why));
	k->state = SCAN_KEY_OVER;
}

int
scan_key_begin(struct scan_key *k, struct loop *loop, int fd, const char *algorithms, enum scan_key_asks asks,
    leg_on_wake *wake, void *ctx)
{
	ssh_session ssh = ssh_new();

	*k = (struct scan_key){.asks = asks};
	if (ssh != NULL)
		ssh_set_blocking(ssh, 0);
	if (ssh == NULL || options_set(ssh, fd, algorithms) == -1) {
		over(k, ssh == NULL ? "out of memory" : ssh_get_error(ssh));
		ssh_free(ssh);
		close(fd);
		return (-1);
	}
	if (leg_begin(&k->leg, loop, ssh, fd, wake, ctx) == -1) {
		over(k, "out of memory or descriptors");
		close(fd);
		return (-1);
	}
	return (0);
}

/* Its key proved itself: that is what the exchange ends with (RFC 4253 8). */
static int
line_print(struct scan_key *k)
{
	ssh_key key = NULL;
	char *base64 = NULL;
	int n = -1;

	if (ssh_get_server_publickey(k->leg.ssh, &key) == SSH_OK &&
	    ssh_pki_export_pubkey_base64(key, &base64) == SSH_OK)
		n = snprintf(k->line, sizeof(k->line), "%s %s", ssh_key_type_to_char(ssh_key_type(key)), base64);
	ssh_string_free_char(base64);
	ssh_key_free(key);
	if (n > 0 && (size_t)n < sizeof(k->line))
		return (0);
	k->line[0] = '\0';
	return (-1);
}

static void
exchange_step(struct scan_key *k)
{
	int rc = ssh_connect(k->leg.ssh);

	leg_unblock(&k->leg); /* libssh takes it away when it connects */
	if (rc != SSH_OK && rc != SSH_AGAIN) {
		over(k, ssh_get_error(k->leg.ssh));
	} else if (leg_listen(&k->leg) == -1) {
		over(k, "out of memory");
	} else if (rc == SSH_OK) {
		if (line_print(k) == -1)
			over(k, "its host key cannot be written down");
		else if (k->asks == SCAN_KEY_ALONE)
			over(k, "");
		else
			k->state = SCAN_KEY_METHODS;
	}
}

static void
methods_print(struct scan_key *k, int let_in)
{
	static const struct {
		int bit;
		const char *name;
	} rows[] = {
	    {SSH_AUTH_METHOD_PUBLICKEY, "publickey"},
	    {SSH_AUTH_METHOD_PASSWORD, "password"},
	    {SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive"},
	    {SSH_AUTH_METHOD_HOSTBASED, "hostbased"},
	    {SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic"},
	};
	int offered = ssh_userauth_list(k->leg.ssh, NULL);
	size_t at = (size_t)snprintf(k->methods, sizeof(k->methods), "%s", let_in ? "none" : "");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!let_in && (offered & rows[i].bit) != 0)
			at += (size_t)snprintf(
			    k->methods + at, sizeof(k->methods) - at, "%s%s", at == 0 ? "" : ",", rows[i].name);
}

/* The method "none" is how one asks (RFC 4252 5.2): it is not meant to let anybody in, and if it does, that is told. */
static void
methods_step(struct scan_key *k)
{
	int rc = ssh_userauth_none(k->leg.ssh, NULL);

	if (rc == SSH_AUTH_AGAIN)
		return;
	if (rc == SSH_AUTH_ERROR) {
		over(k, ssh_get_error(k->leg.ssh));
		return;
	}
	methods_print(k, rc == SSH_AUTH_SUCCESS);
	over(k, "");
}

int
scan_key_turn(struct scan_key *k)
{
	enum scan_key_state was = k->state;
	int moved = 0;

	if (k->state == SCAN_KEY_EXCHANGE)
		exchange_step(k);
	if (k->state != SCAN_KEY_OVER)
		moved = leg_pump(&k->leg);
	if (k->state == SCAN_KEY_EXCHANGE && !k->leg.over)
		exchange_step(k);
	if (k->state == SCAN_KEY_METHODS && !k->leg.over)
		methods_step(k);
	if (k->state != SCAN_KEY_OVER && k->leg.over)
		over(k,
		    ssh_get_error(k->leg.ssh)[0] == '\0' ? "it closed the connection" : ssh_get_error(k->leg.ssh));
	if (k->state != SCAN_KEY_OVER)
		leg_watch(&k->leg);
	return (moved || k->state != was);
}

void
scan_key_end(struct scan_key *k)
{
	leg_end(&k->leg, NULL);
	k->state = SCAN_KEY_OVER;
}
