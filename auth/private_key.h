/*
 * A private key: read from the text that people keep it in, asked for its public half, and to sign.
 *
 * Taken: ed25519, ecdsa (nistp256, nistp384, nistp521) and rsa of 2048 to 8192 bits, in OpenSSH's format (PROTOCOL.key)
 * or as PEM (PKCS#8, PKCS#1, SEC1), never with a passphrase.  The private half lies where OpenSSL keeps such things,
 * is wiped by private_key_free(), and never leaves this file but as a signature, or as the text of a key just made.
 */
#ifndef AUTH_PRIVATE_KEY_H
#define AUTH_PRIVATE_KEY_H
#include "base/secret.h"
#include "blob.h"

#define PRIVATE_KEY_TEXT_MAX 16384 /* bytes of a key's file */

struct private_key;

/* NULL, and *wrong one clause that says what is wrong with `text`, and what to do. */
struct private_key *private_key_read(struct bytes text, const char **wrong);
/* A new ed25519 key, and its text (PEM, PKCS#8; an empty secret before).  NULL only when OpenSSL fails. */
struct private_key *private_key_make(struct secret *text);
void private_key_free(struct private_key *k);

/* "ssh-ed25519", "ecdsa-sha2-nistp256", ..., "ssh-rsa". */
const char *private_key_kind(const struct private_key *k);
/* The public key blob (RFC 4253 6.6), lent. */
struct bytes private_key_public(const struct private_key *k);
/* 1 when this key signs by that algorithm; ssh-rsa (SHA-1) is one of them: whether it may is the caller's to know. */
int private_key_signs(const struct private_key *k, struct bytes algorithm);
/* Appends SSH's signature blob over `text`.  -1 when it does not sign so, or OpenSSL fails. */
int private_key_sign(
    const struct private_key *k, struct bytes algorithm, struct bytes text, struct wire *signature);

#endif
