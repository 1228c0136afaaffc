/* A private Ed25519 key of the house: see signer.h.  The file's format is OpenSSH's PROTOCOL.key. */
#include "signer.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 4096
#define ARMOUR_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define ARMOUR_END "-----END OPENSSH PRIVATE KEY-----"
#define MAGIC "openssh-key-v1" /* with its NUL */
#define PADDING_BLOCK 8
#define KIND "ssh-ed25519"
#define SEED_BYTES 32
#define PUBLIC_BYTES 32
#define SIGNATURE_BYTES 64

struct signer {
	EVP_PKEY *pkey;
	uint8_t blob[SIGNER_PUBLIC_SIZE];
};

static void __attribute__((format(printf, 2, 3))) why_set(char *why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, SIGNER_WHY_SIZE, format, ap);
	va_end(ap);
}

/* Reads the whole file into `text`; its length, or -1. */
static ssize_t
file_read(const char *path, char text[FILE_BYTES_MAX + 1], char *why)
{
	struct stat st;
	size_t len = 0;
	ssize_t n = -1;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) == -1) {
		why_set(
		    why, "%s: %s; make it with: ssh-keygen -t ed25519 -N '' -f %s", path, strerror(errno), path);
		return (-1);
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		why_set(why, "%s: not a regular file", path);
		goto out;
	}
	if ((st.st_mode & 077) != 0) {
		why_set(why, "%s: others may read it (mode %03o); chmod 600 %s", path, (unsigned)st.st_mode & 0777,
		    path);
		goto out;
	}
	while (len <= FILE_BYTES_MAX && (n = read(fd, text + len, FILE_BYTES_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n != 0) {
		why_set(why, "%s: %s", path, n == -1 ? strerror(errno) : "too long for a key");
		n = -1;
		goto out;
	}
	n = (ssize_t)len;
out:
	close(fd);
	return (n);
}

/* Takes the base64 out of its armour into `bytes`; how many, or -1. */
static ssize_t
armour_open(const char *text, size_t len, uint8_t bytes[FILE_BYTES_MAX])
{
	EVP_ENCODE_CTX *ctx;
	const char *begin, *end;
	int got = 0, last = 0, ok;

	if (len <= strlen(ARMOUR_BEGIN) || memcmp(text, ARMOUR_BEGIN, strlen(ARMOUR_BEGIN)) != 0)
		return (-1);
	begin = text + strlen(ARMOUR_BEGIN);
	end = memmem(begin, len - strlen(ARMOUR_BEGIN), ARMOUR_END, strlen(ARMOUR_END));
	if (end == NULL || (ctx = EVP_ENCODE_CTX_new()) == NULL)
		return (-1);
	EVP_DecodeInit(ctx);
	ok = EVP_DecodeUpdate(ctx, bytes, &got, (const uint8_t *)begin, (int)(end - begin)) != -1 &&
	     EVP_DecodeFinal(ctx, bytes + got, &last) == 1;
	EVP_ENCODE_CTX_free(ctx);
	return (ok ? got + last : -1);
}

/* The private section: two equal check numbers, the key, a comment, padding 1 2 3 … to a whole block. */
static const char *
section_read(struct bytes section, struct bytes *public, struct bytes *private)
{
	struct reader r = reader_of(section);
	uint32_t check = reader_get_u32(&r), again = reader_get_u32(&r);
	struct bytes padding;

	if (!r.failed && check != again)
		return ("damaged");
	if (!bytes_are(reader_get_bytes(&r), KIND))
		return ("not an Ed25519 key");
	*public = reader_get_bytes(&r);
	*private = reader_get_bytes(&r);
	reader_get_bytes(&r);
	padding = reader_get_raw(&r, r.left);
	if (r.failed || section.len % PADDING_BLOCK != 0 || padding.len >= PADDING_BLOCK)
		return ("damaged");
	for (size_t i = 0; i < padding.len; i++)
		if (padding.at[i] != i + 1)
			return ("damaged");
	if (public->len != PUBLIC_BYTES || private->len != SEED_BYTES + PUBLIC_BYTES ||
	    memcmp(private->at + SEED_BYTES, public->at, PUBLIC_BYTES) != 0)
		return ("damaged");
	return (NULL);
}

/* Everything inside the armour.  Gives what is wrong, or NULL with both halves lent. */
static const char *
body_read(struct bytes body, struct bytes *public, struct bytes *private)
{
	struct reader r = reader_of(body);
	struct bytes magic = reader_get_raw(&r, sizeof(MAGIC)), cipher, kdf, outer, section;
	const char *wrong;

	if (r.failed || memcmp(magic.at, MAGIC, sizeof(MAGIC)) != 0)
		return ("not an OpenSSH private key");
	cipher = reader_get_bytes(&r);
	kdf = reader_get_bytes(&r);
	reader_get_bytes(&r);
	if (!r.failed && (!bytes_are(cipher, "none") || !bytes_are(kdf, "none")))
		return ("encrypted; take its passphrase off with: ssh-keygen -p -N ''");
	if (reader_get_u32(&r) != 1)
		return ("not one key");
	outer = reader_get_bytes(&r);
	section = reader_get_bytes(&r);
	if (!reader_end(&r))
		return ("damaged");
	if ((wrong = section_read(section, public, private)) != NULL)
		return (wrong);
	if (outer.len != SIGNER_PUBLIC_SIZE ||
	    memcmp(outer.at + outer.len - PUBLIC_BYTES, public->at, PUBLIC_BYTES) != 0)
		return ("damaged");
	return (NULL);
}

/* string "ssh-ed25519", string of `len` bytes: both of this file's blobs are so. */
static void
pair_put(uint8_t *to, const uint8_t *bytes, size_t len)
{
	static const uint8_t head[] = "\0\0\0\x0b" KIND "\0\0";

	memcpy(to, head, sizeof(head));
	to[sizeof(head)] = (uint8_t)len;
	memcpy(to + sizeof(head) + 1, bytes, len);
}

static struct signer *signer_new(struct bytes public, struct bytes private)
{
	uint8_t derived[PUBLIC_BYTES];
	size_t len = sizeof(derived);
	struct signer *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	s->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private.at, SEED_BYTES);
	if (s->pkey == NULL || EVP_PKEY_get_raw_public_key(s->pkey, derived, &len) != 1 ||
	    memcmp(derived, public.at, sizeof(derived)) != 0) {
		signer_free(s);
		return (NULL);
	}
	pair_put(s->blob, derived, sizeof(derived));
	return (s);
}

struct signer *
signer_load(const char *path, char why[SIGNER_WHY_SIZE])
{
	char text[FILE_BYTES_MAX + 1];
	uint8_t bytes[FILE_BYTES_MAX];
	struct bytes public, private;
	struct signer *s = NULL;
	const char *wrong = "not what ssh-keygen -t ed25519 writes";
	ssize_t len;

	if ((len = file_read(path, text, why)) == -1)
		goto out;
	if ((len = armour_open(text, (size_t)len, bytes)) != -1 &&
	    (wrong = body_read(bytes_of(bytes, (size_t)len), &public, &private)) == NULL &&
	    (s = signer_new(public, private)) == NULL)
		wrong = "its two halves do not belong together";
	if (s == NULL)
		why_set(why, "%s: %s", path, wrong);
out:
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return (s);
}

void
signer_free(struct signer *s)
{
	if (s == NULL)
		return;
	EVP_PKEY_free(s->pkey);
	free(s);
}

struct bytes
signer_public(const struct signer *s)
{
	return (bytes_of(s->blob, sizeof(s->blob)));
}

int
signer_sign(const struct signer *s, struct bytes text, uint8_t signature[SIGNER_SIGNATURE_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t raw[SIGNATURE_BYTES];
	size_t len = sizeof(raw);
	int ok;

	ok = ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, s->pkey, NULL) == 1 &&
	     EVP_DigestSign(ctx, raw, &len, text.at, text.len) == 1 && len == sizeof(raw);
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return (-1);
	pair_put(signature, raw, len);
	return (0);
}
