/* An engineer's public key: see key.h. */
#include "key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "pkey.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_BITS_MAX 64
#define ED25519_BYTES 32
#define ED25519_SIGNATURE_BYTES 64
#define EC_SIGNATURE_DER_MAX 160
#define FIDO_TOUCHED 0x01
#define FIDO_VERIFIED 0x04
/* SHA-256 of the application, flags, counter, SHA-256 of the text. */
#define FIDO_SIGNED_BYTES (2 * SHA256_DIGEST_LENGTH + 1 + 4)

enum key_family { FAMILY_ED25519, FAMILY_ECDSA, FAMILY_RSA };

/* One row for each kind of key. */
static const struct kind {
	const char *name;
	enum key_family family;
	int is_token;
	const char *curve; /* SSH's name of it, RFC 5656 §10.1 */
	const char *group; /* OpenSSL's */
	size_t point_bytes;
} kinds[] = {
    {"ssh-ed25519", FAMILY_ED25519, 0, NULL, NULL, 0},
    {"ecdsa-sha2-nistp256", FAMILY_ECDSA, 0, "nistp256", "P-256", 65},
    {"ecdsa-sha2-nistp384", FAMILY_ECDSA, 0, "nistp384", "P-384", 97},
    {"ecdsa-sha2-nistp521", FAMILY_ECDSA, 0, "nistp521", "P-521", 133},
    {"ssh-rsa", FAMILY_RSA, 0, NULL, NULL, 0},
    {"sk-ssh-ed25519@openssh.com", FAMILY_ED25519, 1, NULL, NULL, 0},
    {"sk-ecdsa-sha2-nistp256@openssh.com", FAMILY_ECDSA, 1, "nistp256", "P-256", 65},
};

/* One row for each signature algorithm: by which kind of key, over which digest.  What is not here is refused. */
static const struct algorithm {
	const char *name;
	const char *kind;
	const char *digest;
} algorithms[] = {
    {"ssh-ed25519", "ssh-ed25519", NULL},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "SHA256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "SHA384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "SHA512"},
    {"rsa-sha2-256", "ssh-rsa", "SHA256"},
    {"rsa-sha2-512", "ssh-rsa", "SHA512"},
    {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", NULL},
    {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "SHA256"},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct key {
	const struct kind *kind;
	EVP_PKEY *pkey;
	uint8_t application[SHA256_DIGEST_LENGTH]; /* the digest of it; FIDO keys only */
};

/* The point must be uncompressed and on its curve (RFC 5656 §3.1); OpenSSL refuses infinity and strays. */
static EVP_PKEY *
pkey_ecdsa(const struct kind *kind, struct bytes point)
{
	OSSL_PARAM_BLD *build;
	EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *check = NULL;

	if (point.len != kind->point_bytes || point.at[0] != POINT_CONVERSION_UNCOMPRESSED)
		return (NULL);
	if ((build = OSSL_PARAM_BLD_new()) == NULL)
		return (NULL);
	if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, kind->group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.at, point.len) == 1)
		pkey = pkey_build("EC", build, EVP_PKEY_PUBLIC_KEY);
	OSSL_PARAM_BLD_free(build);
	if (pkey == NULL || (check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) == NULL ||
	    EVP_PKEY_public_check(check) != 1) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	EVP_PKEY_CTX_free(check);
	return (pkey);
}

static EVP_PKEY *
pkey_rsa(struct bytes exponent, struct bytes modulus)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *e = BN_bin2bn(exponent.at, (int)exponent.len, NULL);
	BIGNUM *n = BN_bin2bn(modulus.at, (int)modulus.len, NULL);
	EVP_PKEY *pkey = NULL;

	if (build != NULL && e != NULL && n != NULL &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		pkey = pkey_build("RSA", build, EVP_PKEY_PUBLIC_KEY);
	OSSL_PARAM_BLD_free(build);
	BN_free(e);
	BN_free(n);
	return (pkey);
}

static size_t
magnitude_bits(struct bytes b)
{
	size_t bits = b.len * 8;

	for (uint8_t first = b.at[0]; first < 0x80; first = (uint8_t)(first << 1))
		bits--;
	return (bits);
}

static enum key_fault
rsa_fault(struct bytes exponent, struct bytes modulus)
{
	size_t bits = magnitude_bits(modulus);

	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		return (KEY_WEAK);
	if ((modulus.at[modulus.len - 1] & 1) == 0 || (exponent.at[exponent.len - 1] & 1) == 0)
		return (KEY_MALFORMED);
	if (magnitude_bits(exponent) < 2 || magnitude_bits(exponent) > RSA_EXPONENT_BITS_MAX)
		return (KEY_WEAK);
	return (KEY_GOOD);
}

static const struct kind *
kind_find(struct bytes name)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (bytes_are(name, kinds[i].name))
			return (&kinds[i]);
	return (NULL);
}

/* The parts of a blob after its kind's name, and whether they end where it ends. */
struct parts {
	struct bytes curve;
	struct bytes point; /* of ECDSA, or Ed25519's 32 bytes */
	struct bytes exponent;
	struct bytes modulus;
	struct bytes application;
};

static int
parts_read(struct reader *r, const struct kind *kind, struct parts *p)
{
	if (kind->family == FAMILY_RSA) {
		p->exponent = blob_get_mpint(r);
		p->modulus = blob_get_mpint(r);
	} else {
		if (kind->family == FAMILY_ECDSA)
			p->curve = reader_get_bytes(r);
		p->point = reader_get_bytes(r);
	}
	if (kind->is_token)
		p->application = reader_get_bytes(r);
	return (reader_end(r) ? 0 : -1);
}

static EVP_PKEY *
parts_pkey(const struct kind *kind, const struct parts *p, enum key_fault *fault)
{
	*fault = KEY_MALFORMED;
	switch (kind->family) {
	case FAMILY_ED25519:
		if (p->point.len != ED25519_BYTES)
			return (NULL);
		return (EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, p->point.at, p->point.len));
	case FAMILY_ECDSA:
		return (bytes_are(p->curve, kind->curve) ? pkey_ecdsa(kind, p->point) : NULL);
	case FAMILY_RSA:
		if ((*fault = rsa_fault(p->exponent, p->modulus)) != KEY_GOOD)
			return (NULL);
		*fault = KEY_MALFORMED;
		return (pkey_rsa(p->exponent, p->modulus));
	}
	return (NULL);
}

struct key *
key_parse(struct bytes b, enum key_fault *fault)
{
	struct reader r = reader_of(b);
	struct parts parts = {0};
	struct key *k;

	*fault = KEY_MALFORMED;
	if (b.len > KEY_BLOB_MAX || (k = calloc(1, sizeof(*k))) == NULL)
		return (NULL);
	k->kind = kind_find(reader_get_bytes(&r));
	if (k->kind == NULL) {
		*fault = r.failed ? KEY_MALFORMED : KEY_WEAK;
		goto bad;
	}
	if (parts_read(&r, k->kind, &parts) == -1)
		goto bad;
	if ((k->pkey = parts_pkey(k->kind, &parts, fault)) == NULL)
		goto bad;
	if (k->kind->is_token)
		SHA256(parts.application.at, parts.application.len, k->application);
	*fault = KEY_GOOD;
	return (k);
bad:
	key_free(k);
	return (NULL);
}

void
key_free(struct key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

const char *
key_kind(const struct key *k)
{
	return (k->kind->name);
}

static const struct algorithm *
algorithm_find(const struct key *k, struct bytes name)
{
	for (size_t i = 0; i < COUNT(algorithms); i++)
		if (bytes_are(name, algorithms[i].name) && strcmp(algorithms[i].kind, k->kind->name) == 0)
			return (&algorithms[i]);
	return (NULL);
}

int
key_may_use(const struct key *k, struct bytes algorithm)
{
	return (algorithm_find(k, algorithm) != NULL);
}

static enum key_fault
digest_verify(const struct key *k, const struct algorithm *how, struct bytes signature, struct bytes text)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum key_fault fault = KEY_BAD_SIGNATURE;

	if (ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, how->digest, NULL, NULL, k->pkey, NULL) == 1 &&
	    EVP_DigestVerify(ctx, signature.at, signature.len, text.at, text.len) == 1)
		fault = KEY_GOOD;
	EVP_MD_CTX_free(ctx);
	return (fault);
}

/* SSH gives r and s as two mpints (RFC 5656 §3.1.2), OpenSSL wants them in DER. */
static enum key_fault
ecdsa_verify(const struct key *k, const struct algorithm *how, struct bytes signature, struct bytes text)
{
	struct reader inner = reader_of(signature);
	struct bytes r = blob_get_mpint(&inner), s = blob_get_mpint(&inner);
	uint8_t der[EC_SIGNATURE_DER_MAX], *end = der;
	ECDSA_SIG *sig;
	BIGNUM *big_r, *big_s;
	int len;

	if (!reader_end(&inner) || r.len > k->kind->point_bytes / 2 || s.len > k->kind->point_bytes / 2)
		return (KEY_MALFORMED);
	sig = ECDSA_SIG_new();
	big_r = BN_bin2bn(r.at, (int)r.len, NULL);
	big_s = BN_bin2bn(s.at, (int)s.len, NULL);
	if (sig == NULL || big_r == NULL || big_s == NULL || ECDSA_SIG_set0(sig, big_r, big_s) != 1) {
		BN_free(big_r);
		BN_free(big_s);
		ECDSA_SIG_free(sig);
		return (KEY_BAD_SIGNATURE);
	}
	len = i2d_ECDSA_SIG(sig, NULL);
	if (len > 0 && len <= EC_SIGNATURE_DER_MAX)
		len = i2d_ECDSA_SIG(sig, &end);
	else
		len = 0;
	ECDSA_SIG_free(sig);
	return (digest_verify(k, how, bytes_of(der, (size_t)len), text));
}

/* RFC 8332 §3 wants as many bytes as the modulus has; some clients drop leading zeros, as OpenSSH accepts. */
static enum key_fault
rsa_verify(const struct key *k, const struct algorithm *how, struct bytes signature, struct bytes text)
{
	uint8_t full[RSA_BITS_MAX / 8] = {0};
	size_t size = (size_t)EVP_PKEY_get_size(k->pkey);

	if (size > sizeof(full) || signature.len > size || signature.len == 0)
		return (KEY_MALFORMED);
	memcpy(full + size - signature.len, signature.at, signature.len);
	return (digest_verify(k, how, bytes_of(full, size), text));
}

static enum key_fault
family_verify(const struct key *k, const struct algorithm *how, struct bytes signature, struct bytes text)
{
	switch (k->kind->family) {
	case FAMILY_ED25519:
		if (signature.len != ED25519_SIGNATURE_BYTES)
			return (KEY_MALFORMED);
		return (digest_verify(k, how, signature, text));
	case FAMILY_ECDSA:
		return (ecdsa_verify(k, how, signature, text));
	case FAMILY_RSA:
		return (rsa_verify(k, how, signature, text));
	}
	return (KEY_MALFORMED);
}

/* PROTOCOL.u2f: a token signs digests, its flags and its counter, never the text itself. */
static enum key_fault
token_verify(const struct key *k, const struct algorithm *how, struct bytes signature, struct bytes text,
    const struct key_token *token, uint8_t flags)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	struct wire w = {.limit = FIDO_SIGNED_BYTES};
	enum key_fault fault;

	SHA256(text.at, text.len, digest);
	wire_put_raw(&w, k->application, sizeof(k->application));
	wire_put_u8(&w, flags);
	wire_put_u32(&w, token->counter);
	wire_put_raw(&w, digest, sizeof(digest));
	fault = w.failed ? KEY_BAD_SIGNATURE : family_verify(k, how, signature, wire_bytes(&w));
	wire_free(&w);
	if (fault == KEY_GOOD && (flags & FIDO_TOUCHED) == 0)
		return (KEY_NO_TOUCH);
	return (fault);
}

enum key_fault
key_verify(
    const struct key *k, struct bytes algorithm, struct bytes signature, struct bytes text, struct key_token *token)
{
	struct reader r = reader_of(signature);
	struct bytes named = reader_get_bytes(&r), inner = reader_get_bytes(&r);
	const struct algorithm *how = algorithm_find(k, algorithm);
	struct key_token told = {.is_token = k->kind->is_token};
	uint8_t flags = 0;

	if (told.is_token) {
		flags = reader_get_u8(&r);
		told.counter = reader_get_u32(&r);
		told.verified = (flags & FIDO_VERIFIED) != 0;
	}
	if (token != NULL)
		*token = told;
	if (how == NULL)
		return (KEY_WEAK);
	if (!reader_end(&r))
		return (KEY_MALFORMED);
	if (!bytes_equal(named, algorithm))
		return (algorithm_find(k, named) == NULL ? KEY_WEAK : KEY_BAD_SIGNATURE);
	if (told.is_token)
		return (token_verify(k, how, inner, text, &told, flags));
	return (family_verify(k, how, inner, text));
}

void
key_fingerprint(struct bytes b, char print[KEY_FINGERPRINT_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint8_t text[4 * ((SHA256_DIGEST_LENGTH + 2) / 3) + 1];

	SHA256(b.at, b.len, digest);
	EVP_EncodeBlock(text, digest, sizeof(digest));
	memcpy(print, "SHA256:", 7);
	memcpy(print + 7, text, 43); /* the 44th is always padding */
	print[50] = '\0';
}
