/* Public keys as people paste them: lines of authorized_keys, id_*.pub, known_hosts and ssh-keyscan (sshd(8), RFC 4253 6.6). */
#ifndef POLICY_KEYS_H
#define POLICY_KEYS_H
#include <stddef.h>

#include "base/wire.h"
#include "key_options.h"

#define KEY_BLOB_MAX 3072

struct key_read {
	char type[ROW_NAME];
	char blob[ROW_KEY];                /* base64 */
	char fingerprint[ROW_FINGERPRINT]; /* as ssh-keygen -l prints it */
	char comment[ROW_WORDS];
	struct key_options options; /* of a person's key */
};

/* Reads a host key's line: [host names] type base64 [comment].  -1: no such line, or a blob whose own type differs. */
int key_read(struct key_read *k, const char *line);
/*
 * Reads a person's: [options] type base64 [comment], a key whose parts are all there and of a kind that lets people in: ed25519,
 * ecdsa, rsa of 2048 to 8192 bits, and FIDO's sk-.  -1 and why, one line.
 */
int key_read_person(struct key_read *k, const char *line, char why[KEY_WHY]);
/* The same of a blob that auth has examined: its type and fingerprint.  -1: of no such kind. */
int key_read_blob(struct key_read *k, struct bytes blob);

/* Writes the key of a blob as a line of authorized_keys begins: type base64.  -1: no key that we know, or too long. */
int key_print(struct bytes blob, char *line, size_t size);

/* Decodes base64 into blob.  Gives its length; 0: not base64, or too long. */
size_t key_blob(const char *base64, unsigned char *blob, size_t size);
#endif
