#include "target_options.h"

#include "base/log.h"
#include "contract/algorithms.h"
#include "text.h"

#define RSA_BITS 2048        /* a host key's, at least */
#define RSA_BITS_LEGACY 1024 /* where SHA-1 signatures are allowed too; libssh takes no less */

int
target_options_any(ssh_session ssh, int fd, const char *user, const char *host_keys, struct bytes legacy)
{
	static const int off = 0;
	int rsa_bits = algorithm_list_has(legacy, bytes_text("ssh-rsa")) ? RSA_BITS_LEGACY : RSA_BITS;
	char kex[ALGORITHMS_TEXT], cipher[ALGORITHMS_TEXT], mac[ALGORITHMS_TEXT];
	const struct {
		enum ssh_options_e option;
		const void *value;
	} rows[] = {
	    {SSH_OPTIONS_PROCESS_CONFIG, &off},
	    {SSH_OPTIONS_SSH_DIR, "/"},
	    {SSH_OPTIONS_KNOWNHOSTS, "/dev/null"},
	    {SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null"},
	    {SSH_OPTIONS_HOST, "target"},
	    {SSH_OPTIONS_USER, user},
	    {SSH_OPTIONS_FD, &fd},
	    {SSH_OPTIONS_HOSTKEYS, host_keys},
	    {SSH_OPTIONS_KEY_EXCHANGE, kex},
	    {SSH_OPTIONS_CIPHERS_C_S, cipher},
	    {SSH_OPTIONS_CIPHERS_S_C, cipher},
	    {SSH_OPTIONS_HMAC_C_S, mac},
	    {SSH_OPTIONS_HMAC_S_C, mac},
	    {SSH_OPTIONS_RSA_MIN_SIZE, &rsa_bits},
	};

	if ((algorithms_print(ALGORITHM_KEX, legacy, kex, sizeof(kex)) |
	        algorithms_print(ALGORITHM_CIPHER, legacy, cipher, sizeof(cipher)) |
	        algorithms_print(ALGORITHM_MAC, legacy, mac, sizeof(mac))) != 0)
		return (-1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ssh_options_set(ssh, rows[i].option, rows[i].value) < 0) {
			log_warning("libssh does not take option %zu: %s", i, ssh_get_error(ssh));
			return (-1);
		}
	return (0);
}

int
target_options(ssh_session ssh, int fd, const char *target, const struct host_keys *keys, struct bytes legacy)
{
	char host_keys[HOST_KEYS_ALGORITHMS];

	if (host_keys_algorithms(keys, legacy, host_keys, sizeof(host_keys)) != 0) {
		log_warning("%s: no pinned host key has an algorithm that may be used", target);
		return (-1);
	}
	/* The account goes with the login itself. */
	return (target_options_any(ssh, fd, "lodge", host_keys, legacy));
}

/* ---- how it lets people in ---- */

void
target_methods(ssh_session ssh, const char *between, char *to, size_t size)
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
	int bits = ssh_userauth_list(ssh, NULL);
	size_t len = 0;

	to[0] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && len < size; i++)
		if ((bits & rows[i].bit) != 0)
			len +=
			    (size_t)snprintf(to + len, size - len, "%s%s", len == 0 ? "" : between, rows[i].name);
}

/* ---- nothing in common ---- */

/* libssh's names of the lists of a key exchange (kex.c), and what people call them. */
static const struct {
	const char *libssh, *name;
} methods[] = {
    {"kex algos", "key exchange"},
    {"server host key algo", "kind of host key"},
    {"encryption client->server", "cipher"},
    {"encryption server->client", "cipher"},
    {"mac algo client->server", "MAC"},
    {"mac algo server->client", "MAC"},
    {"compression algo client->server", "compression"},
    {"compression algo server->client", "compression"},
};

/* "kex error : no match for method METHOD: server [LIST], client [LIST]" */
int
target_nothing_common(const char *error, const char *target, char *to, size_t size)
{
	static const char begin[] = "no match for method ", between[] = ": server [";
	const char *method = strstr(error, begin), *list, *end;
	const char *name = "algorithm";
	char clean[300];

	if (method == NULL || (list = strstr(method, between)) == NULL)
		return (-1);
	method += sizeof(begin) - 1;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (bytes_are(bytes_of(method, (size_t)(list - method)), methods[i].libssh))
			name = methods[i].name;
	list += sizeof(between) - 1;
	if ((end = strstr(list, "], client [")) == NULL)
		end = list + strlen(list);
	text_safe(clean, sizeof(clean), bytes_of(list, (size_t)(end - list)));
	snprintf(to, size, "%s and the gateway have no %s in common: it has %s; tell the operator: target scan %s",
	    target, name, clean, target);
	return (0);
}
