/* Public keys as people paste them; see keys.h. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "keys.h"

size_t
key_blob(const char *base64, unsigned char *blob, size_t size)
{
	unsigned char room[ROW_KEY];
	size_t n = strlen(base64), pad = 0;
	int got;

	if (n == 0 || n % 4 != 0 || n >= sizeof(room))
		return (0);
	while (pad < 2 && base64[n - 1 - pad] == '=')
		pad++;
	if (strspn(base64, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") != n - pad)
		return (0);
	if ((got = EVP_DecodeBlock(room, (const unsigned char *)base64, (int)n)) == -1 || (size_t)got - pad > size)
		return (0);
	memcpy(blob, room, (size_t)got - pad);
	return ((size_t)got - pad);
}

static int
fingerprint_make(const unsigned char *blob, size_t len, char *text, size_t size)
{
	unsigned char digest[EVP_MAX_MD_SIZE], base64[EVP_MAX_MD_SIZE * 2];
	unsigned n;

	if (EVP_Digest(blob, len, digest, &n, EVP_sha256(), NULL) != 1)
		return (-1);
	(void)EVP_EncodeBlock(base64, digest, (int)n);
	base64[strcspn((const char *)base64, "=")] = '\0';
	snprintf(text, size, "SHA256:%.64s", (const char *)base64);
	return (0);
}

/* Copies the next word of *p; -1 when it is empty or does not fit. */
static int
word_take(const char **p, char *to, size_t size)
{
	size_t n = strcspn(*p, " \t");

	if (n == 0 || n >= size)
		return (-1);
	memcpy(to, *p, n);
	to[n] = '\0';
	*p += n;
	*p += strspn(*p, " \t");
	return (0);
}

static int
type_is_known(const char *type)
{
	static const char *const known[] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
	    "ecdsa-sha2-nistp521", "ssh-rsa", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i], type) == 0)
			return (1);
	return (0);
}

int
key_read(struct key_read *k, const char *line)
{
	unsigned char blob[KEY_BLOB_MAX];
	const char *p = line;
	char first[ROW_WORDS];
	size_t len, named;

	*k = (struct key_read){.type = ""};
	p += strspn(p, " \t");
	if (word_take(&p, first, sizeof(first)) == -1)
		return (-1);
	if (type_is_known(first))
		snprintf(k->type, sizeof(k->type), "%.64s", first);
	else if (word_take(&p, k->type, sizeof(k->type)) == -1 || !type_is_known(k->type))
		return (-1);
	if (word_take(&p, k->blob, sizeof(k->blob)) == -1 || (len = key_blob(k->blob, blob, sizeof(blob))) < 4)
		return (-1);
	named = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
	if (named != strlen(k->type) || named > len - 4 || memcmp(blob + 4, k->type, named) != 0)
		return (-1);
	snprintf(k->comment, sizeof(k->comment), "%.512s", p);
	return (fingerprint_make(blob, len, k->fingerprint, sizeof(k->fingerprint)));
}

int
key_print(struct bytes blob, char *line, size_t size)
{
	unsigned char base64[ROW_KEY];
	struct reader r = reader_of(blob);
	char type[ROW_NAME];
	int n;

	if (blob.len > KEY_BLOB_MAX || bytes_copy(type, sizeof(type), reader_get_bytes(&r)) == -1 ||
	    !type_is_known(type))
		return (-1);
	(void)EVP_EncodeBlock(base64, blob.at, (int)blob.len);
	n = snprintf(line, size, "%s %s", type, (const char *)base64);
	return (n < 0 || (size_t)n >= size ? -1 : 0);
}
