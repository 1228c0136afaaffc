/* A private key: see private_key.h. */
#include "private_key.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"
#include "private_format.h"

#define EC_POINT_MAX 133
#define SIGNATURE_MAX 1024 /* RSA of 8192 bits */
#define DAMAGED "it is damaged"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ssh-rsa signs with SHA-1 (RFC 4253 6.6): for targets that know no other. */
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
    {"ssh-rsa", "ssh-rsa", "SHA1"},
};

struct private_key {
	const struct private_kind *kind;
	EVP_PKEY *pkey;
	struct wire blob;
};

/* ---- the public half ---- */

/* A positive number as an mpint (RFC 4251 5). */
static void
number_put(struct wire *w, const BIGNUM *n)
{
	uint8_t raw[SIGNATURE_MAX];
	int len = BN_num_bytes(n);

	if (len < 1 || len > (int)sizeof(raw) || BN_bn2bin(n, raw) != len) {
		w->failed = 1;
		return;
	}
	wire_put_u32(w, (uint32_t)len + (raw[0] > 0x7f));
	if (raw[0] > 0x7f)
		wire_put_u8(w, 0);
	wire_put_raw(w, raw, (size_t)len);
}

static void
rsa_public(const EVP_PKEY *pkey, struct wire *blob)
{
	BIGNUM *n = NULL, *e = NULL;

	if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1 ||
	    EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1)
		blob->failed = 1;
	else {
		number_put(blob, e);
		number_put(blob, n);
	}
	BN_free(n);
	BN_free(e);
}

static void
public_put(const struct private_kind *kind, EVP_PKEY *pkey, struct wire *blob)
{
	uint8_t point[EC_POINT_MAX];
	size_t len = sizeof(point);
	int ok = 1;

	blob_put_text(blob, kind->name);
	if (kind->family == PRIVATE_RSA) {
		rsa_public(pkey, blob);
		return;
	}
	if (kind->family == PRIVATE_ED25519)
		ok = EVP_PKEY_get_raw_public_key(pkey, point, &len) == 1;
	else {
		blob_put_text(blob, kind->curve);
		ok = EVP_PKEY_set_utf8_string_param(
		         pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") == 1 &&
		     EVP_PKEY_get_octet_string_param(
		         pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point, sizeof(point), &len) == 1;
	}
	if (ok)
		wire_put_bytes(blob, bytes_of(point, len));
	else
		blob->failed = 1;
}

/* Signs something, and lets the reader of engineers' keys verify it: so both halves fit, and are of a size we take. */
static int
halves_fit(const struct private_key *k, const char **wrong)
{
	static const char text[] = "both halves";
	const char *by = k->kind->family == PRIVATE_RSA ? "rsa-sha2-512" : k->kind->name;
	struct wire signature = {0};
	enum key_fault fault;
	struct key *public = key_parse(wire_bytes(&k->blob), &fault);

	if (public != NULL) {
		fault = KEY_BAD_SIGNATURE;
		if (private_key_sign(k, bytes_text(by), bytes_text(text), &signature) == 0)
			fault = key_verify(public, bytes_text(by), wire_bytes(&signature), bytes_text(text), NULL);
	}
	*wrong = fault == KEY_WEAK ? "it is too short: rsa wants 2048 bits, 8192 at most"
	                           : "its two halves do not belong together";
	key_free(public);
	wire_free(&signature);
	return (fault == KEY_GOOD);
}

struct private_key *
private_key_read(struct bytes text, const char **wrong)
{
	struct private_key *k = calloc(1, sizeof(*k));
	struct wire outer = {0};

	*wrong = "out of memory";
	if (k == NULL)
		return (NULL);
	while (text.len > 0 && (*text.at == '\n' || *text.at == '\r' || *text.at == ' ')) {
		text.at++;
		text.len--;
	}
	*wrong = "it is too long for a key";
	if (text.len > PRIVATE_KEY_TEXT_MAX)
		goto bad;
	if ((k->pkey = private_format_read(text, &k->kind, &outer, wrong)) == NULL)
		goto bad;
	public_put(k->kind, k->pkey, &k->blob);
	*wrong = DAMAGED;
	if (k->blob.failed || (outer.len > 0 && !bytes_equal(wire_bytes(&k->blob), wire_bytes(&outer))) ||
	    !halves_fit(k, wrong))
		goto bad;
	wire_free(&outer);
	return (k);
bad:
	wire_free(&outer);
	private_key_free(k);
	return (NULL);
}

/* The text of a new key: PEM, from memory that OpenSSL wipes. */
static int
text_make(const struct private_key *k, struct secret *text)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *at = NULL;
	long len = 0;
	int ok;

	ok = bio != NULL && PEM_write_bio_PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
	     (len = BIO_get_mem_data(bio, &at)) > 0 && secret_copy(text, at, (size_t)len) == 0;
	BIO_free(bio);
	return (ok ? 0 : -1);
}

struct private_key *
private_key_make(struct secret *text)
{
	struct private_key *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return (NULL);
	k->kind = private_kind_find(bytes_text("ssh-ed25519"));
	if ((k->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")) != NULL)
		public_put(k->kind, k->pkey, &k->blob);
	if (k->pkey == NULL || k->blob.failed || text_make(k, text) == -1) {
		private_key_free(k);
		return (NULL);
	}
	return (k);
}

void
private_key_free(struct private_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	wire_free(&k->blob);
	free(k);
}

const char *
private_key_kind(const struct private_key *k)
{
	return (k->kind->name);
}

struct bytes
private_key_public(const struct private_key *k)
{
	return (wire_bytes(&k->blob));
}

/* ---- signing ---- */

static const struct algorithm *
algorithm_find(const struct private_key *k, struct bytes name)
{
	for (size_t i = 0; i < COUNT(algorithms); i++)
		if (bytes_are(name, algorithms[i].name) && strcmp(algorithms[i].kind, k->kind->name) == 0)
			return (&algorithms[i]);
	return (NULL);
}

int
private_key_signs(const struct private_key *k, struct bytes algorithm)
{
	return (algorithm_find(k, algorithm) != NULL);
}

/* OpenSSL gives r and s in DER, SSH wants two mpints (RFC 5656 3.1.2). */
static void
ecdsa_put(struct wire *w, const uint8_t *der, size_t len)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	size_t mark;

	if (sig == NULL) {
		w->failed = 1;
		return;
	}
	mark = blob_put_begin(w);
	number_put(w, ECDSA_SIG_get0_r(sig));
	number_put(w, ECDSA_SIG_get0_s(sig));
	blob_put_end(w, mark);
	ECDSA_SIG_free(sig);
}

int
private_key_sign(const struct private_key *k, struct bytes algorithm, struct bytes text, struct wire *signature)
{
	const struct algorithm *how = algorithm_find(k, algorithm);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t raw[SIGNATURE_MAX];
	size_t len = sizeof(raw);
	int ok;

	ok = how != NULL && ctx != NULL &&
	     EVP_DigestSignInit_ex(ctx, NULL, how->digest, NULL, NULL, k->pkey, NULL) == 1 &&
	     EVP_DigestSign(ctx, raw, &len, text.at, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return (-1);
	blob_put_text(signature, how->name);
	if (k->kind->family == PRIVATE_ECDSA)
		ecdsa_put(signature, raw, len);
	else
		wire_put_bytes(signature, bytes_of(raw, len));
	return (signature->failed ? -1 : 0);
}
