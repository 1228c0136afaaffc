/*
 * A visit's certificate: an OpenSSH user certificate over a key that the session made for this one visit
 * (PROTOCOL.certkeys, ssh-ed25519-cert-v01@openssh.com).
 *
 * It names one account, lives two minutes at most and never longer than its grant, works from the gateway's
 * address only where one is configured, and permits what the grant covers of a terminal, an agent, X11 and forwarding
 * (so that the target refuses the rest by itself); never a user rc.
 */
#ifndef AUTH_CERT_H
#define AUTH_CERT_H
#include "blob.h"
#include "signer.h"

#define CERT_LIFE_S 120
/* Begins this much earlier, for a target whose clock is behind ours. */
#define CERT_SLACK_S 60

struct cert_order {
	struct bytes subject; /* the ephemeral public key, as a blob: ssh-ed25519 only */
	uint64_t serial;
	uint64_t grant;
	uint64_t session;
	const char *person;
	const char *account;
	const char *source_address; /* ours, as the target sees it: addresses or CIDR, by commas; "" for any */
	int64_t now_s;              /* wall clock, seconds of UTC */
	int64_t ends_s;             /* the grant's end */
	uint32_t capabilities;      /* of the grant: bits of enum capability */
};

/* 1 when `addresses` can stand in a source-address option: addresses or CIDR by commas, "" for none. */
int cert_addresses_read(const char *addresses);

/*
 * Writes the certificate's blob into `cert` (empty).  -1 when the order is not one that we sign: another kind of key,
 * a name with a character that a principal list or a log line could take for something else, a grant at its end.
 */
int cert_mint(const struct signer *ca, const struct cert_order *order, struct wire *cert);

#endif
