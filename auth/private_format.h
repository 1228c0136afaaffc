/*
 * The formats that people keep private keys in: OpenSSH's own (PROTOCOL.key), and PEM (PKCS#8, PKCS#1, SEC1).  Text in,
 * OpenSSL's key out; whether its halves fit is asked afterwards (private_key.c, which is the one that reads this).
 */
#ifndef AUTH_PRIVATE_FORMAT_H
#define AUTH_PRIVATE_FORMAT_H
#include <openssl/evp.h>

#include "blob.h"

enum private_family { PRIVATE_ED25519, PRIVATE_ECDSA, PRIVATE_RSA };

/* A kind of key that is taken. */
struct private_kind {
	const char *name;
	enum private_family family;
	const char *curve; /* SSH's name of it, RFC 5656 10.1 */
	const char *group; /* OpenSSL's */
	const char *alias; /* OpenSSL's other one */
};

/* "ssh-ed25519", ...; NULL: not taken. */
const struct private_kind *private_kind_find(struct bytes name);

/*
 * Reads the text of a key that has no passphrase.  outer (empty before): the public blob that stands beside the private half
 * in OpenSSH's format, empty for PEM.  NULL, and *wrong one clause for people.  The key is given.
 */
EVP_PKEY *private_format_read(
    struct bytes text, const struct private_kind **kind, struct wire *outer, const char **wrong);

#endif
