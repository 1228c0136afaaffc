/*
 * A FIDO token for OpenSSH's clients (SecurityKeyProvider, PROTOCOL.u2f): ed25519 keys whose handle is the private key.
 *
 * LODGE_TOKEN in the environment names a file that holds two numbers, the next counter and the flags of the next
 * signature (1 touched, 4 PIN or finger, 0: as ssh asks for).  Each signature counts it on; a scene may write what it
 * likes there.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION 0x000a0000 /* of OpenSSH 9.2 */
#define ALGORITHM_ED25519 1
#define FAILED (-1)
#define UNSUPPORTED (-2)
#define KEY_BYTES 32
#define SIGNATURE_BYTES 64
#define DIGEST_BYTES 32

struct sk_option;

struct sk_enroll_response {
	uint8_t flags;
	uint8_t *public_key;
	size_t public_key_len;
	uint8_t *key_handle;
	size_t key_handle_len;
	uint8_t *signature;
	size_t signature_len;
	uint8_t *attestation_cert;
	size_t attestation_cert_len;
	uint8_t *authdata;
	size_t authdata_len;
};

struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r;
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

uint32_t sk_api_version(void);
int sk_enroll(uint32_t algorithm, const uint8_t *challenge, size_t challenge_len, const char *application,
    uint8_t flags, const char *pin, struct sk_option **options, struct sk_enroll_response **gives);
int sk_sign(uint32_t algorithm, const uint8_t *text, size_t text_len, const char *application,
    const uint8_t *handle, size_t handle_len, uint8_t flags, const char *pin, struct sk_option **options,
    struct sk_sign_response **gives);
int sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *count);

uint32_t
sk_api_version(void)
{
	return (API_VERSION);
}

int
sk_enroll(uint32_t algorithm, const uint8_t *challenge, size_t challenge_len, const char *application,
    uint8_t flags, const char *pin, struct sk_option **options, struct sk_enroll_response **gives)
{
	struct sk_enroll_response *r = calloc(1, sizeof(*r));
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	(void)challenge, (void)challenge_len, (void)application, (void)pin, (void)options;
	if (algorithm != ALGORITHM_ED25519 || r == NULL || key == NULL)
		return (UNSUPPORTED);
	r->flags = flags;
	r->public_key = malloc(r->public_key_len = KEY_BYTES);
	r->key_handle = malloc(r->key_handle_len = KEY_BYTES);
	r->signature = calloc(1, 1);
	if (r->public_key == NULL || r->key_handle == NULL || r->signature == NULL ||
	    EVP_PKEY_get_raw_public_key(key, r->public_key, &r->public_key_len) != 1 ||
	    EVP_PKEY_get_raw_private_key(key, r->key_handle, &r->key_handle_len) != 1)
		return (FAILED);
	EVP_PKEY_free(key);
	*gives = r;
	return (0);
}

/* What the scene wants of this signature; counts it. */
static int
state_take(uint32_t *counter, unsigned *flags)
{
	const char *path = getenv("LODGE_TOKEN");
	FILE *f = path == NULL ? NULL : fopen(path, "r+");
	int ok;

	if (f == NULL)
		return (-1);
	ok = fscanf(f, "%u %u", counter, flags) == 2;
	rewind(f);
	ok = ok && fprintf(f, "%-10u %u\n", *counter == 0 ? 0 : *counter + 1, *flags) > 0;
	return (fclose(f) == 0 && ok ? 0 : -1);
}

static int
sha256(const void *at, size_t len, uint8_t digest[DIGEST_BYTES])
{
	return (EVP_Digest(at, len, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1);
}

int
sk_sign(uint32_t algorithm, const uint8_t *text, size_t text_len, const char *application, const uint8_t *handle,
    size_t handle_len, uint8_t flags, const char *pin, struct sk_option **options, struct sk_sign_response **gives)
{
	struct sk_sign_response *r = calloc(1, sizeof(*r));
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, handle, handle_len);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t text_signed[2 * DIGEST_BYTES + 5];
	unsigned wanted = 0;

	(void)pin, (void)options;
	if (algorithm != ALGORITHM_ED25519 || r == NULL || key == NULL || ctx == NULL ||
	    state_take(&r->counter, &wanted) == -1)
		return (FAILED);
	r->flags = wanted != 0 ? (uint8_t)wanted : flags;
	if (sha256(application, strlen(application), text_signed) == -1 ||
	    sha256(text, text_len, text_signed + DIGEST_BYTES + 5) == -1)
		return (FAILED);
	text_signed[DIGEST_BYTES] = r->flags;
	for (int i = 0; i < 4; i++)
		text_signed[DIGEST_BYTES + 1 + i] = (uint8_t)(r->counter >> (24 - 8 * i));
	r->sig_r = malloc(r->sig_r_len = SIGNATURE_BYTES);
	if (r->sig_r == NULL || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, r->sig_r, &r->sig_r_len, text_signed, sizeof(text_signed)) != 1)
		return (FAILED);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	*gives = r;
	return (0);
}

int
sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *count)
{
	(void)pin, (void)options, (void)keys, (void)count;
	return (UNSUPPORTED);
}
