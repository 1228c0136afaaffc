/*
 * The bytes of one file of the vault: a readable head, a nonce, what is sealed, the seal.
 *
 *     "lodge vault 1\n", u8 kind, text key's number, text about | 12 bytes nonce | bytes sealed | 16 bytes tag
 *
 * The head is the associated data.  Sealed, filled up with zeros to a multiple of 256 bytes: u8 rotate, i64 set, rotated and
 * used (wall clock, ms), u64 turn, text by, bytes current, pending and former.
 */
#ifndef AUTH_VAULT_FILE_H
#define AUTH_VAULT_FILE_H
#include "vault.h"

#define VAULT_KEY_BYTES 32
#define VAULT_FILE_MAX 65536 /* bytes */

struct vault_key {
	uint8_t *at; /* VAULT_KEY_BYTES in locked memory; NULL: none */
	char id[VAULT_ID_SIZE];
};

/* Writes the whole file into `file` (empty before).  -1: no memory, no randomness, too long. */
int vault_file_seal(const struct vault_key *key, const struct vault_record *r, struct wire *file);
/* The readable part into r.  -1: it is none, or not of r->about. */
int vault_file_head(struct bytes file, struct vault_record *r);
/* The sealed part into r, whose head was read. */
enum vault_fault vault_file_open(const struct vault_key *key, struct bytes file, struct vault_record *r);

#endif
