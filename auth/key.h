/*
 * An engineer's public key: read from SSH's blob, asked whether a signature is its own.
 *
 * Accepted: ssh-ed25519, ecdsa-sha2-nistp256/384/521, ssh-rsa of 2048 bits or more, sk-ssh-ed25519@openssh.com,
 * sk-ecdsa-sha2-nistp256@openssh.com.  Never: DSA, certificates, SHA-1 in any signature, a FIDO signature made
 * without a touch.  Only OpenSSL's EVP computes here.
 */
#ifndef AUTH_KEY_H
#define AUTH_KEY_H
#include "blob.h"

/* "SHA256:" and 43 base64 digits, as ssh-keygen -l prints it. */
#define KEY_FINGERPRINT_SIZE 51
/* No public key blob that we accept is larger (RSA of 8192 bits needs 1047 bytes). */
#define KEY_BLOB_MAX 2048

enum key_fault {
	KEY_GOOD,
	KEY_MALFORMED,     /* not such a blob, or something is left over */
	KEY_WEAK,          /* a kind, size or signature algorithm that we do not accept */
	KEY_BAD_SIGNATURE, /* well formed, but not made by this key over this */
	KEY_NO_TOUCH,      /* made by this FIDO key over this, but nobody touched it */
};

struct key;

/* What a FIDO key says beside its signature; all zero for other keys. */
struct key_token {
	int is_token;
	int verified; /* the token asked for a PIN or a finger */
	uint32_t counter;
};

/* Reads a public key blob (RFC 4253 §6.6, PROTOCOL.u2f).  NULL and *fault when it is not one of ours. */
struct key *key_parse(struct bytes b, enum key_fault *fault);
void key_free(struct key *k);

/* The key's own name for its kind, such as "ssh-ed25519". */
const char *key_kind(const struct key *k);
/* 1 when a userauth request with this key may name that algorithm (RFC 8332 §3.2 for RSA). */
int key_may_use(const struct key *k, struct bytes algorithm);

/*
 * Asks whether `signature` (SSH's signature blob) was made by k, by `algorithm`, over `text`.  Both the request's
 * algorithm and the one inside the signature must be the same.  Fills *token (may be NULL) even when it answers
 * KEY_NO_TOUCH.
 */
enum key_fault key_verify(const struct key *k, struct bytes algorithm, struct bytes signature, struct bytes text,
    struct key_token *token);

/* The fingerprint of any public key blob. */
void key_fingerprint(struct bytes b, char print[KEY_FINGERPRINT_SIZE]);

#endif
