/* Public keys as people paste them: lines of authorized_keys, id_*.pub, known_hosts and ssh-keyscan (sshd(8), RFC 4253 6.6). */
#ifndef POLICY_KEYS_H
#define POLICY_KEYS_H
#include <stddef.h>

#include "base/wire.h"
#include "rows.h"

#define KEY_BLOB_MAX 3072

struct key_read {
	char type[ROW_NAME];
	char blob[ROW_KEY];                /* base64 */
	char fingerprint[ROW_FINGERPRINT]; /* as ssh-keygen -l prints it */
	char comment[ROW_WORDS];
};

/* Reads one line: [host names] type base64 [comment].  -1: no such line, or a blob whose own type differs; options are refused. */
int key_read(struct key_read *k, const char *line);

/* Writes the key of a blob as a line of authorized_keys begins: type base64.  -1: no key that we know, or too long. */
int key_print(struct bytes blob, char *line, size_t size);

/* Decodes base64 into blob.  Gives its length; 0: not base64, or too long. */
size_t key_blob(const char *base64, unsigned char *blob, size_t size);
#endif
