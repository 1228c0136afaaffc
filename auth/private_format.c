/* The formats that people keep private keys in: see private_format.h. */
#include "private_format.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

#include "pkey.h"

#define ARMOUR_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define ARMOUR_END "-----END OPENSSH PRIVATE KEY-----"
#define MAGIC "openssh-key-v1" /* with its NUL */
#define PADDING_BLOCK 8
#define ED25519_BYTES 32
#define EC_NUMBER_MAX 66
#define RSA_NUMBER_MAX 1024
#define ENCRYPTED "it has a passphrase; take that off a copy with: ssh-keygen -p -N '' -f COPY"
#define NOT_TAKEN "it is of a kind that is not taken; make one with: ssh-keygen -t ed25519 -N ''"
#define DAMAGED "it is damaged"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct private_kind kinds[] = {
    {"ssh-ed25519", PRIVATE_ED25519, NULL, NULL, NULL},
    {"ecdsa-sha2-nistp256", PRIVATE_ECDSA, "nistp256", "prime256v1", "P-256"},
    {"ecdsa-sha2-nistp384", PRIVATE_ECDSA, "nistp384", "secp384r1", "P-384"},
    {"ecdsa-sha2-nistp521", PRIVATE_ECDSA, "nistp521", "secp521r1", "P-521"},
    {"ssh-rsa", PRIVATE_RSA, NULL, NULL, NULL},
};

const struct private_kind *
private_kind_find(struct bytes name)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (bytes_are(name, kinds[i].name))
			return (&kinds[i]);
	return (NULL);
}

/* ---- OpenSSH's format ---- */

/* Takes the base64 out of its armour into `bytes` (as long as `text`); how many, or -1. */
static ssize_t
armour_open(struct bytes text, uint8_t *bytes)
{
	EVP_ENCODE_CTX *ctx;
	const char *begin = (const char *)text.at + strlen(ARMOUR_BEGIN), *end;
	size_t left = text.len - strlen(ARMOUR_BEGIN);
	int got = 0, last = 0, ok;

	end = memmem(begin, left, ARMOUR_END, strlen(ARMOUR_END));
	if (end == NULL || (ctx = EVP_ENCODE_CTX_new()) == NULL)
		return (-1);
	EVP_DecodeInit(ctx);
	ok = EVP_DecodeUpdate(ctx, bytes, &got, (const uint8_t *)begin, (int)(end - begin)) != -1 &&
	     EVP_DecodeFinal(ctx, bytes + got, &last) == 1;
	EVP_ENCODE_CTX_free(ctx);
	return (ok ? got + last : -1);
}

/* A private number, in memory that is wiped. */
static BIGNUM *
number_secret(struct bytes b)
{
	BIGNUM *n = BN_secure_new();

	if (n != NULL && BN_bin2bn(b.at, (int)b.len, n) == NULL) {
		BN_clear_free(n);
		return (NULL);
	}
	if (n != NULL)
		BN_set_flags(n, BN_FLG_CONSTTIME);
	return (n);
}

static EVP_PKEY *
ed25519_read(const struct private_kind *kind, struct reader *r)
{
	struct bytes public = reader_get_bytes(r), private = reader_get_bytes(r);

	(void)kind;
	if (r->failed || public.len != ED25519_BYTES || private.len != 2 * ED25519_BYTES ||
	    memcmp(private.at + ED25519_BYTES, public.at, ED25519_BYTES) != 0)
		return (NULL);
	return (EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private.at, ED25519_BYTES));
}

static EVP_PKEY *
ecdsa_read(const struct private_kind *kind, struct reader *r)
{
	struct bytes curve = reader_get_bytes(r), point = reader_get_bytes(r), private = blob_get_mpint(r);
	OSSL_PARAM_BLD *build;
	BIGNUM *d;
	EVP_PKEY *pkey = NULL;

	if (r->failed || !bytes_are(curve, kind->curve) || private.len > EC_NUMBER_MAX)
		return (NULL);
	build = OSSL_PARAM_BLD_new();
	d = number_secret(private);
	if (build != NULL && d != NULL &&
	    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, kind->group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.at, point.len) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1)
		pkey = pkey_build("EC", build, EVP_PKEY_KEYPAIR);
	OSSL_PARAM_BLD_free(build);
	BN_clear_free(d);
	return (pkey);
}

/* In the order of PROTOCOL.key; EXPONENT1 and EXPONENT2 are not there and are computed. */
enum { RSA_N, RSA_E, RSA_D, RSA_IQMP, RSA_P, RSA_Q, RSA_DMP1, RSA_DMQ1, RSA_NUMBERS };
#define RSA_READ RSA_DMP1

static const char *const rsa_names[RSA_NUMBERS] = {
    OSSL_PKEY_PARAM_RSA_N,
    OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,
    OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,
    OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2,
};

/* d mod (prime - 1); NULL: no memory, or no such number. */
static BIGNUM *
rsa_exponent(const BIGNUM *d, const BIGNUM *prime, BN_CTX *ctx)
{
	BIGNUM *less = BN_secure_new(), *rest = BN_secure_new();

	if (less == NULL || rest == NULL || BN_sub(less, prime, BN_value_one()) != 1)
		goto bad;
	BN_set_flags(less, BN_FLG_CONSTTIME);
	if (BN_mod(rest, d, less, ctx) != 1)
		goto bad;
	BN_clear_free(less);
	return (rest);
bad:
	BN_clear_free(less);
	BN_clear_free(rest);
	return (NULL);
}

static EVP_PKEY *
rsa_build(BIGNUM *number[RSA_NUMBERS])
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;
	int ok = build != NULL;

	for (size_t i = 0; ok && i < RSA_NUMBERS; i++)
		ok = number[i] != NULL && OSSL_PARAM_BLD_push_BN(build, rsa_names[i], number[i]) == 1;
	if (ok)
		pkey = pkey_build("RSA", build, EVP_PKEY_KEYPAIR);
	OSSL_PARAM_BLD_free(build);
	return (pkey);
}

static EVP_PKEY *
rsa_read(const struct private_kind *kind, struct reader *r)
{
	BIGNUM *number[RSA_NUMBERS] = {NULL};
	BN_CTX *ctx = BN_CTX_secure_new();
	EVP_PKEY *pkey = NULL;
	int ok = ctx != NULL;

	(void)kind;
	for (size_t i = 0; ok && i < RSA_READ; i++) {
		struct bytes b = blob_get_mpint(r);

		ok = !r->failed && b.len <= RSA_NUMBER_MAX && (number[i] = number_secret(b)) != NULL;
	}
	if (ok) {
		number[RSA_DMP1] = rsa_exponent(number[RSA_D], number[RSA_P], ctx);
		number[RSA_DMQ1] = rsa_exponent(number[RSA_D], number[RSA_Q], ctx);
		pkey = rsa_build(number);
	}
	for (size_t i = 0; i < RSA_NUMBERS; i++)
		BN_clear_free(number[i]);
	BN_CTX_free(ctx);
	return (pkey);
}

/* The private section: two equal check numbers, the key, a comment, padding 1 2 3 … to a whole block. */
static EVP_PKEY *
section_read(struct bytes section, const struct private_kind **kind, const char **wrong)
{
	static EVP_PKEY *(*const readers[])(const struct private_kind *, struct reader *) = {
	    [PRIVATE_ED25519] = ed25519_read, [PRIVATE_ECDSA] = ecdsa_read, [PRIVATE_RSA] = rsa_read};
	struct reader r = reader_of(section);
	uint32_t check = reader_get_u32(&r), again = reader_get_u32(&r);
	EVP_PKEY *pkey;
	size_t padding;

	*wrong = DAMAGED;
	if (r.failed || check != again || section.len % PADDING_BLOCK != 0)
		return (NULL);
	if ((*kind = private_kind_find(reader_get_bytes(&r))) == NULL) {
		*wrong = NOT_TAKEN;
		return (NULL);
	}
	if ((pkey = readers[(*kind)->family](*kind, &r)) == NULL)
		return (NULL);
	(void)reader_get_bytes(&r);
	padding = r.left;
	for (size_t i = 0; i < padding && !r.failed; i++)
		r.failed = reader_get_u8(&r) != i + 1;
	if (r.failed || padding >= PADDING_BLOCK) {
		EVP_PKEY_free(pkey);
		return (NULL);
	}
	return (pkey);
}

/* Everything inside the armour; `outer` is the public half that stands beside the private one. */
static EVP_PKEY *
body_read(struct bytes body, const struct private_kind **kind, struct bytes *outer, const char **wrong)
{
	struct reader r = reader_of(body);
	struct bytes magic = reader_get_raw(&r, sizeof(MAGIC)), cipher, kdf, section;
	uint32_t count;

	*wrong = DAMAGED;
	if (r.failed || memcmp(magic.at, MAGIC, sizeof(MAGIC)) != 0)
		return (NULL);
	cipher = reader_get_bytes(&r);
	kdf = reader_get_bytes(&r);
	(void)reader_get_bytes(&r);
	count = reader_get_u32(&r);
	if (!r.failed && (!bytes_are(cipher, "none") || !bytes_are(kdf, "none"))) {
		*wrong = ENCRYPTED;
		return (NULL);
	}
	*outer = reader_get_bytes(&r);
	section = reader_get_bytes(&r);
	if (!reader_end(&r) || count != 1)
		return (NULL);
	return (section_read(section, kind, wrong));
}

static EVP_PKEY *
openssh_read(struct bytes text, const struct private_kind **kind, struct wire *outer, const char **wrong)
{
	uint8_t *bytes = OPENSSL_malloc(text.len);
	EVP_PKEY *pkey = NULL;
	struct bytes beside = {0};
	ssize_t len;

	*wrong = DAMAGED;
	if (bytes != NULL && (len = armour_open(text, bytes)) != -1 &&
	    (pkey = body_read(bytes_of(bytes, (size_t)len), kind, &beside, wrong)) != NULL)
		wire_put_raw(outer, beside.at, beside.len);
	OPENSSL_clear_free(bytes, text.len);
	return (pkey);
}

/* ---- PEM ---- */

/* OpenSSL asks for the passphrase: there is none, and none is read from a terminal. */
static int
on_passphrase(char *to, int size, int rwflag, void *ctx)
{
	(void)to;
	(void)size;
	(void)rwflag;
	*(int *)ctx = 1;
	return (-1);
}

static const struct private_kind *
kind_of(const EVP_PKEY *pkey)
{
	char group[64];
	size_t len;

	if (EVP_PKEY_is_a(pkey, "ED25519"))
		return (private_kind_find(bytes_text("ssh-ed25519")));
	if (EVP_PKEY_is_a(pkey, "RSA"))
		return (private_kind_find(bytes_text("ssh-rsa")));
	if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1)
		return (NULL);
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (kinds[i].family == PRIVATE_ECDSA &&
		    (strcmp(group, kinds[i].group) == 0 || strcmp(group, kinds[i].alias) == 0))
			return (&kinds[i]);
	return (NULL);
}

static EVP_PKEY *
pem_read(struct bytes text, const struct private_kind **kind, const char **wrong)
{
	BIO *bio = BIO_new_mem_buf(text.at, (int)text.len);
	EVP_PKEY *pkey = NULL;
	int encrypted = 0;

	*wrong = "it is not a private key in OpenSSH's format or PEM";
	if (bio == NULL)
		return (NULL);
	ERR_set_mark();
	pkey = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &encrypted);
	ERR_pop_to_mark();
	BIO_free(bio);
	if (pkey == NULL && encrypted)
		*wrong = ENCRYPTED;
	if (pkey != NULL && (*kind = kind_of(pkey)) == NULL) {
		*wrong = NOT_TAKEN;
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return (pkey);
}

EVP_PKEY *
private_format_read(struct bytes text, const struct private_kind **kind, struct wire *outer, const char **wrong)
{
	if (text.len > strlen(ARMOUR_BEGIN) && memcmp(text.at, ARMOUR_BEGIN, strlen(ARMOUR_BEGIN)) == 0)
		return (openssh_read(text, kind, outer, wrong));
	return (pem_read(text, kind, wrong));
}
