/* Public keys as people paste them; see keys.h. */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "contract/messages.h"
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

#define RSA_BITS_LEAST 2048 /* what auth takes as well */
#define RSA_BITS_MOST 8192

/* One row for each kind of key: what its blob holds behind the type (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, PROTOCOL.u2f). */
static const struct kind {
	const char *type;
	enum { SHAPE_ED25519, SHAPE_ECDSA, SHAPE_RSA } shape;
	const char *curve;
	size_t point; /* bytes of the public key */
	int is_token; /* its application stands behind that */
} kinds[] = {
    {"ssh-ed25519", SHAPE_ED25519, NULL, 32, 0},
    {"ecdsa-sha2-nistp256", SHAPE_ECDSA, "nistp256", 65, 0},
    {"ecdsa-sha2-nistp384", SHAPE_ECDSA, "nistp384", 97, 0},
    {"ecdsa-sha2-nistp521", SHAPE_ECDSA, "nistp521", 133, 0},
    {"ssh-rsa", SHAPE_RSA, NULL, 0, 0},
    {"sk-ssh-ed25519@openssh.com", SHAPE_ED25519, NULL, 32, 1},
    {"sk-ecdsa-sha2-nistp256@openssh.com", SHAPE_ECDSA, "nistp256", 65, 1},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *
kind_of(const char *type)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(kinds[i].type, type) == 0)
			return (&kinds[i]);
	return (NULL);
}

static int
fail(char why[KEY_WHY], const char *words)
{
	(void)snprintf(why, KEY_WHY, "%s", words);
	return (-1);
}

#define NOT_A_KEY "not a public key as in authorized_keys (ed25519, ecdsa, rsa, sk-)"

/* What a word in the place of a key's type can be, beside a type that we know. */
static int
type_refuse(const char *type, char why[KEY_WHY])
{
	if (strstr(type, "-cert-v0") != NULL)
		return (fail(why, "a certificate: people come by keys of their own; give the key without -cert"));
	if (strcmp(type, "ssh-dss") == 0)
		return (fail(why, "a DSA key, which is too weak; ssh-keygen -t ed25519 makes a good one"));
	return (fail(why, NOT_A_KEY));
}

/* Does it stand where options would, and is it a type or nothing that options could be? */
static int
looks_like_a_type(const char *word)
{
	return (strncmp(word, "ssh-", 4) == 0 || strncmp(word, "ecdsa-", 6) == 0 || strncmp(word, "sk-", 3) == 0 ||
	        strncmp(word, "webauthn-", 9) == 0);
}

/* Reads type, base64 and comment at p.  -1: the blob is of another type, or none. */
static int
key_take(struct key_read *k, const char *p)
{
	unsigned char blob[KEY_BLOB_MAX];
	size_t len, named;

	if (word_take(&p, k->type, sizeof(k->type)) == -1 || kind_of(k->type) == NULL)
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
key_read(struct key_read *k, const char *line)
{
	const char *p = line + strspn(line, " \t");
	const char *behind = p;
	char first[ROW_WORDS];

	*k = (struct key_read){.type = ""};
	if (word_take(&behind, first, sizeof(first)) == -1)
		return (-1);
	return (key_take(k, kind_of(first) != NULL ? p : behind));
}

/* ---- of people ---- */

static size_t
magnitude_bits(struct bytes b)
{
	size_t bits;

	while (b.len > 0 && b.at[0] == 0) {
		b.at++;
		b.len--;
	}
	bits = b.len * 8;
	for (unsigned first = b.len > 0 ? b.at[0] : 0x80; first < 0x80; first <<= 1)
		bits--;
	return (bits);
}

static int
blob_examine(const struct kind *kind, struct bytes blob, char why[KEY_WHY])
{
	struct reader r = reader_of(blob);
	struct bytes point;
	size_t bits;

	(void)reader_get_bytes(&r);
	if (kind->shape == SHAPE_RSA) {
		(void)reader_get_bytes(&r);
		bits = magnitude_bits(reader_get_bytes(&r));
		if (!reader_end(&r))
			return (fail(why, NOT_A_KEY));
		if (bits >= RSA_BITS_LEAST && bits <= RSA_BITS_MOST)
			return (0);
		(void)snprintf(why, KEY_WHY, "an RSA key of %zu bits: %d to %d are taken", bits, RSA_BITS_LEAST,
		    RSA_BITS_MOST);
		return (-1);
	}
	if (kind->shape == SHAPE_ECDSA && !bytes_are(reader_get_bytes(&r), kind->curve))
		return (fail(why, NOT_A_KEY));
	point = reader_get_bytes(&r);
	if (kind->is_token)
		(void)reader_get_bytes(&r);
	return (point.len == kind->point && reader_end(&r) ? 0 : fail(why, NOT_A_KEY));
}

/* Moves *p on to the type, past the options where there are some. */
static int
options_skip(struct key_read *k, const char **p, char why[KEY_WHY])
{
	const char *behind = *p;
	char first[ROW_NAME];

	*p += strspn(*p, " \t");
	behind = *p;
	if (**p == '\0')
		return (fail(why, NOT_A_KEY));
	if (word_take(&behind, first, sizeof(first)) == 0) {
		if (kind_of(first) != NULL)
			return (0);
		if (looks_like_a_type(first))
			return (type_refuse(first, why));
	}
	return (key_options_read(&k->options, p, why));
}

int
key_read_person(struct key_read *k, const char *line, char why[KEY_WHY])
{
	unsigned char blob[KEY_BLOB_MAX];
	const char *p = line;
	char type[ROW_NAME] = "";
	size_t len;

	*k = (struct key_read){.type = ""};
	if (options_skip(k, &p, why) == -1)
		return (-1);
	if (key_take(k, p) == -1) {
		(void)word_take(&p, type, sizeof(type));
		return (type_refuse(type, why));
	}
	len = key_blob(k->blob, blob, sizeof(blob));
	if (blob_examine(kind_of(k->type), bytes_of(blob, len), why) == -1)
		return (-1);
	if ((k->options.bits & KEY_OPTION_VERIFY) && !kind_of(k->type)->is_token)
		return (fail(why, "verify-required is for FIDO keys (sk-): no other can show a PIN or a finger"));
	return (0);
}

int
key_read_blob(struct key_read *k, struct bytes blob)
{
	char line[ROW_KEY + ROW_NAME], why[KEY_WHY];

	return (key_print(blob, line, sizeof(line)) == -1 ? -1 : key_read_person(k, line, why));
}

int
key_print(struct bytes blob, char *line, size_t size)
{
	unsigned char base64[ROW_KEY];
	struct reader r = reader_of(blob);
	char type[ROW_NAME];
	int n;

	if (blob.len > KEY_BLOB_MAX || bytes_copy(type, sizeof(type), reader_get_bytes(&r)) == -1 ||
	    kind_of(type) == NULL)
		return (-1);
	(void)EVP_EncodeBlock(base64, blob.at, (int)blob.len);
	n = snprintf(line, size, "%s %s", type, (const char *)base64);
	return (n < 0 || (size_t)n >= size ? -1 : 0);
}
