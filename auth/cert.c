/* A visit's certificate: see cert.h. */
#include "cert.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "contract/messages.h"

#define KIND "ssh-ed25519-cert-v01@openssh.com"
#define TYPE_USER 1
#define NONCE_BYTES 32
#define NAME_MAX_BYTES 64
#define ADDRESS_MAX_BYTES 512
#define KEY_ID_SIZE 192

/* The 32 bytes of an ssh-ed25519 blob; empty when it is something else. */
static struct bytes
subject_point(struct bytes subject)
{
	struct reader r = reader_of(subject);
	struct bytes kind = reader_get_bytes(&r), point = reader_get_bytes(&r);

	if (!reader_end(&r) || !bytes_are(kind, "ssh-ed25519") || point.len != 32)
		return (bytes_of(NULL, 0));
	return (point);
}

/*
 * sshd splits principals at commas and matches some fields as patterns, and a key id is printed in the target's
 * log: so a name is letters, digits and a few marks, and does not begin with a dash.
 */
static int
name_is_plain(const char *name)
{
	size_t len = strlen(name);

	return (len > 0 && len <= NAME_MAX_BYTES && name[0] != '-' &&
	        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@$\\-") == len);
}

int
cert_addresses_read(const char *addresses)
{
	size_t len = strlen(addresses);

	return (len <= ADDRESS_MAX_BYTES && strspn(addresses, "0123456789abcdefABCDEF.:/,") == len);
}

/* Extensions and the capabilities that give them, in the order that PROTOCOL.certkeys wants. */
static const struct {
	const char *name;
	uint32_t capabilities;
} extensions[] = {
    {"permit-X11-forwarding", CAPABILITY_X11},
    {"permit-agent-forwarding", CAPABILITY_AGENT},
    {"permit-port-forwarding", CAPABILITY_REVERSE | CAPABILITY_SOCKET},
    {"permit-pty", CAPABILITY_SHELL},
};

static void
put_options(struct wire *w, const struct cert_order *order)
{
	size_t list = blob_put_begin(w), value;

	if (order->source_address[0] != '\0') {
		blob_put_text(w, "source-address");
		value = blob_put_begin(w);
		blob_put_text(w, order->source_address);
		blob_put_end(w, value);
	}
	blob_put_end(w, list);
	list = blob_put_begin(w);
	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if ((order->capabilities & extensions[i].capabilities) != 0) {
			blob_put_text(w, extensions[i].name);
			blob_put_text(w, "");
		}
	blob_put_end(w, list);
}

static void
put_names(struct wire *w, const struct cert_order *order)
{
	char id[KEY_ID_SIZE];
	size_t list;

	snprintf(id, sizeof(id), "lodge grant=%" PRIu64 " session=%" PRIu64 " person=%s", order->grant,
	    order->session, order->person);
	blob_put_text(w, id);
	list = blob_put_begin(w);
	blob_put_text(w, order->account);
	blob_put_end(w, list);
}

static int
order_is_good(const struct cert_order *order, int64_t before)
{
	return (name_is_plain(order->person) && name_is_plain(order->account) &&
	        cert_addresses_read(order->source_address) && order->now_s >= CERT_SLACK_S &&
	        before > order->now_s);
}

int
cert_mint(const struct signer *ca, const struct cert_order *order, struct wire *cert)
{
	struct bytes point = subject_point(order->subject);
	uint8_t nonce[NONCE_BYTES], signature[SIGNER_SIGNATURE_SIZE];
	int64_t before = order->now_s + CERT_LIFE_S;

	if (before > order->ends_s)
		before = order->ends_s;
	if (point.len == 0 || !order_is_good(order, before) || RAND_bytes(nonce, sizeof(nonce)) != 1)
		return (-1);
	blob_put_text(cert, KIND);
	wire_put_bytes(cert, bytes_of(nonce, sizeof(nonce)));
	wire_put_bytes(cert, point);
	wire_put_u64(cert, order->serial);
	wire_put_u32(cert, TYPE_USER);
	put_names(cert, order);
	wire_put_u64(cert, (uint64_t)(order->now_s - CERT_SLACK_S));
	wire_put_u64(cert, (uint64_t)before);
	put_options(cert, order);
	blob_put_text(cert, ""); /* reserved */
	wire_put_bytes(cert, signer_public(ca));
	if (cert->failed || signer_sign(ca, wire_bytes(cert), signature) == -1)
		return (-1);
	wire_put_bytes(cert, bytes_of(signature, sizeof(signature)));
	return (cert->failed ? -1 : 0);
}
