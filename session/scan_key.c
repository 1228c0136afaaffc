#include "scan_key.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "contract/algorithms.h"
#include "target_options.h"
#include "text.h"

#define SCAN_USER "lodge-scan" /* nobody's name, so that the target's log says who asks */

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
	char all[ALGORITHMS_TEXT];

	*k = (struct scan_key){.asks = asks};
	if (ssh != NULL)
		ssh_set_blocking(ssh, 0);
	legacy_print(all, sizeof(all));
	if (ssh == NULL || target_options_any(ssh, fd, SCAN_USER, algorithms, bytes_text(all)) == -1) {
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
	if (rc == SSH_AUTH_SUCCESS)
		snprintf(k->methods, sizeof(k->methods), "none");
	else
		target_methods(k->leg.ssh, ",", k->methods, sizeof(k->methods));
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
