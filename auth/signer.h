/*
 * A private Ed25519 key of the house: the host key, or the user CA.
 *
 * Read once at start from the file that `ssh-keygen -t ed25519 -N ''` writes.  The private half lies in OpenSSL's
 * locked secure heap (main() makes it) and never leaves private_key.c; buffers it passed through are wiped.
 */
#ifndef AUTH_SIGNER_H
#define AUTH_SIGNER_H
#include "blob.h"

/* string "ssh-ed25519", string of 32 bytes. */
#define SIGNER_PUBLIC_SIZE 51
/* string "ssh-ed25519", string of 64 bytes. */
#define SIGNER_SIGNATURE_SIZE 83
#define SIGNER_WHY_SIZE 256

struct signer;

/*
 * Reads the key in `path`.  NULL, and in `why` one line that says what is wrong and what to do, when it is not
 * there, readable by others, encrypted, damaged, or not Ed25519.
 */
struct signer *signer_load(const char *path, char why[SIGNER_WHY_SIZE]);
void signer_free(struct signer *s);

/* The public key blob, lent. */
struct bytes signer_public(const struct signer *s);
/* Signs `text` into SSH's signature blob.  -1 only when OpenSSL fails. */
int signer_sign(const struct signer *s, struct bytes text, uint8_t signature[SIGNER_SIGNATURE_SIZE]);

#endif
