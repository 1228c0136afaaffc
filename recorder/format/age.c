/*
 * age v1: keys, headers and payloads on EVP; see age.h.  Numbers in comments are the sections of C2SP age.md.
 * The three parts stay in one file, because each is small and they share the derivations.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "format/age.h"
#include "format/bech32.h"

#define VERSION_LINE "age-encryption.org/v1\n"
#define STANZA_X25519 "X25519"
#define INFO_X25519 "age-encryption.org/v1/X25519"

enum {
	MAC_SIZE = 32,
	BODY_SIZE = AGE_FILE_KEY_SIZE + AGE_TAG_SIZE,
	NONCE_SIZE = 12, /* ChaCha20-Poly1305's */
	SEALED_CHUNK = AGE_CHUNK_SIZE + AGE_TAG_SIZE,
	STANZA_COLUMNS = 64,
	STANZA_ARGS_MAX = 8
};

const char *
age_error_text(enum age_error why)
{
	static const char *const texts[] = {
	    [AGE_OK] = "ok",
	    [AGE_MALFORMED] = "not an age file",
	    [AGE_TRUNCATED] = "truncated",
	    [AGE_NOT_FOR_US] = "not encrypted to this identity",
	    [AGE_HEADER_FORGED] = "header authentication failed",
	    [AGE_CHUNK_FORGED] = "chunk authentication failed",
	    [AGE_TRAILING] = "bytes behind the last chunk",
	    [AGE_SINK] = "stopped by the reader",
	    [AGE_FAILED] = "no memory or no cryptography",
	};

	return ((unsigned)why < sizeof(texts) / sizeof(texts[0]) ? texts[why] : "unknown");
}

/* ---- the two primitives ---- */

struct hkdf {
	const unsigned char *key, *salt; /* salt NULL: none */
	size_t key_size, salt_size;
	const char *info;
};

static int
hkdf_sha256(unsigned char out[AGE_KEY_SIZE], const struct hkdf *from)
{
	char digest[] = "SHA256";
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[5], *p = params;
	int ok;

	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)from->key, from->key_size);
	*p++ = OSSL_PARAM_construct_octet_string(
	    OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)from->info, strlen(from->info));
	if (from->salt != NULL)
		*p++ = OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)from->salt, from->salt_size);
	*p = OSSL_PARAM_construct_end();
	ok = ctx != NULL && EVP_KDF_derive(ctx, out, AGE_KEY_SIZE, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return (ok ? 0 : -1);
}

/* Seals (encrypt 1) or opens (0) one message; `out` gets size +/- the tag.  0, or -1: forged, or the library. */
static int
aead(EVP_CIPHER_CTX *ctx, int encrypt, const unsigned char *key, const unsigned char nonce[NONCE_SIZE],
    const struct blob *in, unsigned char *out)
{
	int size = (int)in->size - (encrypt ? 0 : AGE_TAG_SIZE), done = 0, rest = 0;
	unsigned char *tag = encrypt ? out + size : in->at + size;

	if (EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key, nonce, encrypt) != 1)
		return (-1);
	if (!encrypt && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AGE_TAG_SIZE, tag) != 1)
		return (-1);
	if (size > 0 && EVP_CipherUpdate(ctx, out, &done, in->at, size) != 1)
		return (-1);
	if (EVP_CipherFinal_ex(ctx, out + done, &rest) != 1)
		return (-1);
	if (encrypt && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_SIZE, tag) != 1)
		return (-1);
	return (0);
}

static int
aead_once(int encrypt, const unsigned char *key, const unsigned char *in, size_t size, unsigned char *out)
{
	static const unsigned char zero[NONCE_SIZE];
	const struct blob lent = {.at = (unsigned char *)(uintptr_t)in, .size = size};
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int result = ctx == NULL ? -1 : aead(ctx, encrypt, key, zero, &lent, out);

	EVP_CIPHER_CTX_free(ctx);
	return (result);
}

/* ---- keys ---- */

static int
x25519_point(unsigned char point[AGE_KEY_SIZE], const unsigned char scalar[AGE_KEY_SIZE])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, AGE_KEY_SIZE);
	size_t size = AGE_KEY_SIZE;
	int ok = key != NULL && EVP_PKEY_get_raw_public_key(key, point, &size) == 1 && size == AGE_KEY_SIZE;

	EVP_PKEY_free(key);
	return (ok ? 0 : -1);
}

/* The shared secret; OpenSSL refuses the all-zero one, as §X25519 demands. */
static int
x25519_shared(unsigned char out[AGE_KEY_SIZE], const unsigned char scalar[AGE_KEY_SIZE],
    const unsigned char point[AGE_KEY_SIZE])
{
	EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, AGE_KEY_SIZE);
	EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, AGE_KEY_SIZE);
	EVP_PKEY_CTX *ctx = ours == NULL ? NULL : EVP_PKEY_CTX_new(ours, NULL);
	size_t size = AGE_KEY_SIZE;
	int ok = ctx != NULL && theirs != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
	         EVP_PKEY_derive_set_peer(ctx, theirs) == 1 && EVP_PKEY_derive(ctx, out, &size) == 1 &&
	         size == AGE_KEY_SIZE;

	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(theirs);
	EVP_PKEY_free(ours);
	return (ok ? 0 : -1);
}

int
age_recipient_parse(struct age_recipient *recipient, const char *text)
{
	return (bech32_decode("age", text, recipient->point, AGE_KEY_SIZE));
}

int
age_recipient_text(const struct age_recipient *recipient, char out[AGE_RECIPIENT_TEXT])
{
	return (bech32_encode("age", recipient->point, AGE_KEY_SIZE, out, AGE_RECIPIENT_TEXT));
}

int
age_identity_parse(struct age_identity *identity, const char *text)
{
	if (bech32_decode("AGE-SECRET-KEY-", text, identity->scalar, AGE_KEY_SIZE) == 0 &&
	    x25519_point(identity->point, identity->scalar) == 0)
		return (0);
	age_identity_wipe(identity);
	return (-1);
}

int
age_identity_text(const struct age_identity *identity, char out[AGE_IDENTITY_TEXT])
{
	if (bech32_encode("age-secret-key-", identity->scalar, AGE_KEY_SIZE, out, AGE_IDENTITY_TEXT) == -1)
		return (-1);
	for (char *c = out; *c != '\0'; c++)
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
	return (0);
}

int
age_identity_make(struct age_identity *identity)
{
	if (RAND_priv_bytes(identity->scalar, AGE_KEY_SIZE) != 1)
		return (-1);
	return (x25519_point(identity->point, identity->scalar));
}

void
age_identity_wipe(struct age_identity *identity)
{
	OPENSSL_cleanse(identity, sizeof(*identity));
}

/* Calls `parse` for each line of a key file; see age_recipients_read(). */
static int
keys_read(void *out, size_t element, size_t max, const struct blob *file, int (*parse)(void *, const char *),
    unsigned *line)
{
	char text[BECH32_TEXT_MAX + 1];
	size_t count = 0, at = 0;

	for (*line = 1; at < file->size; (*line)++) {
		const unsigned char *begin = file->at + at, *end = memchr(begin, '\n', file->size - at);
		size_t length = end == NULL ? file->size - at : (size_t)(end - begin);

		at += length + 1;
		if (length > 0 && begin[length - 1] == '\r')
			length--;
		if (length == 0 || begin[0] == '#')
			continue;
		if (length > BECH32_TEXT_MAX || count == max || memchr(begin, '\0', length) != NULL)
			return (-1);
		memcpy(text, begin, length);
		text[length] = '\0';
		if (parse((char *)out + count * element, text) == -1)
			return (-1);
		OPENSSL_cleanse(text, sizeof(text));
		count++;
	}
	*line = count == 0 ? 0 : *line;
	return (count == 0 ? -1 : (int)count);
}

static int
parse_recipient(void *out, const char *text)
{
	return (age_recipient_parse(out, text));
}

static int
parse_identity(void *out, const char *text)
{
	return (age_identity_parse(out, text));
}

int
age_recipients_read(struct age_recipient *out, size_t max, const char *text, size_t size, unsigned *line)
{
	const struct blob file = {.at = (unsigned char *)(uintptr_t)text, .size = size};

	return (keys_read(out, sizeof(*out), max, &file, parse_recipient, line));
}

int
age_identities_read(struct age_identity *out, size_t max, const char *text, size_t size, unsigned *line)
{
	const struct blob file = {.at = (unsigned char *)(uintptr_t)text, .size = size};

	return (keys_read(out, sizeof(*out), max, &file, parse_identity, line));
}

int
age_file_key_make(unsigned char file_key[AGE_FILE_KEY_SIZE])
{
	return (RAND_priv_bytes(file_key, AGE_FILE_KEY_SIZE) == 1 ? 0 : -1);
}

int
age_key_derive(unsigned char out[AGE_KEY_SIZE], const unsigned char file_key[AGE_FILE_KEY_SIZE], const char *info)
{
	const struct hkdf from = {.key = file_key, .key_size = AGE_FILE_KEY_SIZE, .info = info};

	return (hkdf_sha256(out, &from));
}

/* ---- headers ---- */

/* §X25519: the key that wraps the file key, from the shared secret and both public keys. */
static int
wrap_key(unsigned char out[AGE_KEY_SIZE], const unsigned char *shared, const unsigned char *share,
    const unsigned char *point)
{
	unsigned char salt[2 * AGE_KEY_SIZE];
	const struct hkdf from = {
	    .key = shared, .key_size = AGE_KEY_SIZE, .salt = salt, .salt_size = sizeof(salt), .info = INFO_X25519};

	memcpy(salt, share, AGE_KEY_SIZE);
	memcpy(salt + AGE_KEY_SIZE, point, AGE_KEY_SIZE);
	return (hkdf_sha256(out, &from));
}

static int
header_mac(unsigned char out[MAC_SIZE], const unsigned char *file_key, const unsigned char *from, size_t size)
{
	unsigned char key[AGE_KEY_SIZE];
	unsigned length = 0;
	int ok = age_key_derive(key, file_key, "header") == 0 &&
	         HMAC(EVP_sha256(), key, sizeof(key), from, size, out, &length) != NULL && length == MAC_SIZE;

	OPENSSL_cleanse(key, sizeof(key));
	return (ok ? 0 : -1);
}

static int
stanza_make(struct blob *to, const unsigned char *file_key, const struct age_recipient *recipient)
{
	struct age_identity ephemeral;
	unsigned char shared[AGE_KEY_SIZE], key[AGE_KEY_SIZE], body[BODY_SIZE];
	int result = -1;

	if (age_identity_make(&ephemeral) == 0 && x25519_shared(shared, ephemeral.scalar, recipient->point) == 0 &&
	    wrap_key(key, shared, ephemeral.point, recipient->point) == 0 &&
	    aead_once(1, key, file_key, AGE_FILE_KEY_SIZE, body) == 0 &&
	    blob_add_text(to, "-> " STANZA_X25519 " ") == 0 &&
	    blob_add_base64_bare(to, ephemeral.point, AGE_KEY_SIZE) == 0 && blob_add_text(to, "\n") == 0 &&
	    blob_add_base64_bare(to, body, BODY_SIZE) == 0 && blob_add_text(to, "\n") == 0)
		result = 0;
	age_identity_wipe(&ephemeral);
	OPENSSL_cleanse(shared, sizeof(shared));
	OPENSSL_cleanse(key, sizeof(key));
	return (result);
}

int
age_header_make(struct blob *to, const unsigned char file_key[AGE_FILE_KEY_SIZE],
    const struct age_recipient *recipients, size_t count)
{
	unsigned char mac[MAC_SIZE];
	size_t before = to->size;

	if (count == 0 || count > AGE_RECIPIENTS_MAX || blob_add_text(to, VERSION_LINE) == -1)
		goto failed;
	for (size_t i = 0; i < count; i++)
		if (stanza_make(to, file_key, &recipients[i]) == -1)
			goto failed;
	if (blob_add_text(to, "---") == -1 || header_mac(mac, file_key, to->at + before, to->size - before) == -1 ||
	    blob_add_text(to, " ") == -1 || blob_add_base64_bare(to, mac, MAC_SIZE) == -1 ||
	    blob_add_text(to, "\n") == -1)
		goto failed;
	return (0);

failed:
	to->size = before;
	return (-1);
}

/* One stanza as it lies in the header: its arguments (the type is the first) and its body, still in base64. */
struct stanza {
	const char *args[STANZA_ARGS_MAX];
	size_t arg_sizes[STANZA_ARGS_MAX];
	size_t count;
	const char *body; /* with its line ends */
	size_t body_size;
};

/* One line without its newline; AGE_TRUNCATED when the newline has not come yet. */
static enum age_error
line_next(const struct blob *in, size_t *at, const char **line, size_t *length)
{
	const unsigned char *begin = in->at + *at,
	                    *end = *at == in->size ? NULL : memchr(begin, '\n', in->size - *at);

	if (end == NULL)
		return (in->size > AGE_HEADER_MAX ? AGE_MALFORMED : AGE_TRUNCATED);
	*line = (const char *)begin;
	*length = (size_t)(end - begin);
	*at += *length + 1;
	return (*at > AGE_HEADER_MAX ? AGE_MALFORMED : AGE_OK);
}

/* Splits `-> TYPE ARG...`: single spaces, every argument one or more printable ASCII characters. */
static int
stanza_args(struct stanza *stanza, const char *text, size_t length)
{
	size_t begin = 0;

	stanza->count = 0;
	for (size_t i = 0; i <= length; i++) {
		if (i < length && text[i] != ' ') {
			if (text[i] < 0x21 || text[i] > 0x7e)
				return (-1);
			continue;
		}
		if (i == begin || stanza->count == STANZA_ARGS_MAX)
			return (-1);
		stanza->args[stanza->count] = text + begin;
		stanza->arg_sizes[stanza->count++] = i - begin;
		begin = i + 1;
	}
	return (0);
}

/* A body is lines of exactly 64 columns and one shorter (perhaps empty) last line, canonical base64 throughout. */
static enum age_error
stanza_body(struct stanza *stanza, const struct blob *in, size_t *at)
{
	unsigned char scratch[STANZA_COLUMNS];
	const char *line;
	size_t length, decoded, begin = *at;
	enum age_error why;

	do {
		if ((why = line_next(in, at, &line, &length)) != AGE_OK)
			return (why);
		if (length > STANZA_COLUMNS ||
		    base64_decode_bare(line, length, scratch, sizeof(scratch), &decoded) == -1)
			return (AGE_MALFORMED);
	} while (length == STANZA_COLUMNS);
	stanza->body = (const char *)in->at + begin;
	stanza->body_size = *at - begin;
	return (AGE_OK);
}

/* The MAC line's content, when `line` is one. */
static int
mac_line(const char *line, size_t length, unsigned char mac[MAC_SIZE])
{
	size_t size;

	if (length < 4 || memcmp(line, "--- ", 4) != 0)
		return (-1);
	return (base64_decode_bare(line + 4, length - 4, mac, MAC_SIZE, &size) == 0 && size == MAC_SIZE ? 0 : -1);
}

/* What on_stanza says: go on, or the file key is found. */
typedef enum age_error (*on_stanza)(void *self, const struct stanza *stanza);

struct header {
	size_t size;        /* all of it */
	size_t signed_size; /* what the MAC covers: to "---" */
	size_t stanzas;
	unsigned char mac[MAC_SIZE];
};

static enum age_error
header_walk(const unsigned char *from, size_t size, struct header *header, on_stanza visit, void *self)
{
	static const size_t version = sizeof(VERSION_LINE) - 1;
	const struct blob in = {
	    .at = (unsigned char *)(uintptr_t)from, .size = size > AGE_HEADER_MAX ? AGE_HEADER_MAX + 1 : size};
	struct stanza stanza;
	enum age_error why;
	const char *line;
	size_t length, at = version;

	*header = (struct header){.size = 0};
	if (memcmp(from, VERSION_LINE, size < version ? size : version) != 0)
		return (AGE_MALFORMED);
	if (size < version)
		return (AGE_TRUNCATED);
	for (;;) {
		if ((why = line_next(&in, &at, &line, &length)) != AGE_OK)
			return (why);
		if (length >= 3 && memcmp(line, "---", 3) == 0)
			break;
		if (++header->stanzas > AGE_RECIPIENTS_MAX || length < 3 || memcmp(line, "-> ", 3) != 0 ||
		    stanza_args(&stanza, line + 3, length - 3) == -1)
			return (AGE_MALFORMED);
		if ((why = stanza_body(&stanza, &in, &at)) != AGE_OK)
			return (why);
		if (visit != NULL && (why = visit(self, &stanza)) != AGE_OK)
			return (why);
	}
	if (header->stanzas == 0 || mac_line(line, length, header->mac) == -1)
		return (AGE_MALFORMED);
	header->signed_size = at - length - 1 + 3;
	header->size = at;
	return (AGE_OK);
}

enum age_error
age_header_measure(const unsigned char *from, size_t size, size_t *header_size, size_t *stanzas)
{
	struct header header;
	enum age_error why = header_walk(from, size, &header, NULL, NULL);

	if (why == AGE_OK)
		*header_size = header.size;
	if (stanzas != NULL)
		*stanzas = header.stanzas;
	return (why);
}

struct unwrap {
	struct age_keyring ring;
	unsigned char *file_key;
	int found;
};

static int
unwrap_with(const struct age_identity *identity, const unsigned char *share, const unsigned char *body,
    unsigned char *file_key)
{
	unsigned char shared[AGE_KEY_SIZE], key[AGE_KEY_SIZE];
	int result = -1;

	if (x25519_shared(shared, identity->scalar, share) == 0 &&
	    wrap_key(key, shared, share, identity->point) == 0)
		result = aead_once(0, key, body, BODY_SIZE, file_key);
	OPENSSL_cleanse(shared, sizeof(shared));
	OPENSSL_cleanse(key, sizeof(key));
	return (result);
}

/* §Recipient stanza: an X25519 stanza must have one argument of 32 bytes and 32 bytes of body; others are ignored. */
static enum age_error
on_unwrap(void *self, const struct stanza *stanza)
{
	struct unwrap *u = self;
	unsigned char share[AGE_KEY_SIZE], body[BODY_SIZE];
	size_t size;

	if (stanza->arg_sizes[0] != sizeof(STANZA_X25519) - 1 ||
	    memcmp(stanza->args[0], STANZA_X25519, sizeof(STANZA_X25519) - 1) != 0)
		return (AGE_OK);
	if (stanza->count != 2 ||
	    base64_decode_bare(stanza->args[1], stanza->arg_sizes[1], share, sizeof(share), &size) == -1 ||
	    size != sizeof(share) ||
	    base64_decode_bare(stanza->body, stanza->body_size - 1, body, sizeof(body), &size) == -1 ||
	    size != sizeof(body))
		return (AGE_MALFORMED);
	for (size_t i = 0; i < u->ring.count && !u->found; i++)
		if (unwrap_with(&u->ring.identities[i], share, body, u->file_key) == 0)
			u->found = 1;
	return (AGE_OK);
}

enum age_error
age_header_open(const unsigned char *from, size_t size, struct age_keyring ring,
    unsigned char file_key[AGE_FILE_KEY_SIZE], size_t *header_size)
{
	struct unwrap unwrap = {.ring = ring, .file_key = file_key};
	struct header header;
	unsigned char mac[MAC_SIZE];
	enum age_error why = header_walk(from, size, &header, on_unwrap, &unwrap);

	if (why == AGE_OK && !unwrap.found)
		why = AGE_NOT_FOR_US;
	if (why == AGE_OK && header_mac(mac, file_key, from, header.signed_size) == -1)
		why = AGE_FAILED;
	if (why == AGE_OK && CRYPTO_memcmp(mac, header.mac, MAC_SIZE) != 0)
		why = AGE_HEADER_FORGED;
	if (why == AGE_OK)
		*header_size = header.size;
	else
		OPENSSL_cleanse(file_key, AGE_FILE_KEY_SIZE);
	return (why);
}

/* ---- payloads (§Payload: STREAM) ---- */

int
age_sink_blob(void *to, const unsigned char *bytes, size_t size)
{
	return (blob_add(to, bytes, size));
}

/* What writer and reader share: the payload's key, the chunk in the making and its number. */
struct stream {
	EVP_CIPHER_CTX *cipher;
	age_sink sink;
	void *to;
	unsigned char key[AGE_KEY_SIZE];
	uint64_t chunk;
	size_t fill;
	unsigned char in[SEALED_CHUNK];
	unsigned char out[SEALED_CHUNK];
};

static int
stream_begin(struct stream *s, age_sink sink, void *to)
{
	s->sink = sink;
	s->to = to;
	return ((s->cipher = EVP_CIPHER_CTX_new()) == NULL ? -1 : 0);
}

static int
stream_key(struct stream *s, const unsigned char *file_key, const unsigned char nonce[AGE_NONCE_SIZE])
{
	const struct hkdf from = {.key = file_key,
	    .key_size = AGE_FILE_KEY_SIZE,
	    .salt = nonce,
	    .salt_size = AGE_NONCE_SIZE,
	    .info = "payload"};

	return (hkdf_sha256(s->key, &from));
}

/* Seals or opens the chunk in `in` under number and last flag. */
static int
stream_chunk(struct stream *s, int encrypt, int last)
{
	const struct blob in = {.at = s->in, .size = s->fill};
	unsigned char nonce[NONCE_SIZE] = {0};

	for (unsigned i = 0; i < 8; i++)
		nonce[3 + i] = (unsigned char)(s->chunk >> 8 * (7 - i));
	nonce[NONCE_SIZE - 1] = (unsigned char)last;
	return (aead(s->cipher, encrypt, s->key, nonce, &in, s->out));
}

struct age_writer {
	struct stream s;
	enum age_error why;
	int begun;
	unsigned char nonce[AGE_NONCE_SIZE];
};

struct age_writer *
age_writer_new(const unsigned char file_key[AGE_FILE_KEY_SIZE], age_sink sink, void *to)
{
	struct age_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return (NULL);
	if (stream_begin(&w->s, sink, to) == -1 || RAND_bytes(w->nonce, AGE_NONCE_SIZE) != 1 ||
	    stream_key(&w->s, file_key, w->nonce) == -1) {
		age_writer_free(w);
		return (NULL);
	}
	return (w);
}

static enum age_error
writer_chunk(struct age_writer *w, int last)
{
	if (!w->begun && w->s.sink(w->s.to, w->nonce, AGE_NONCE_SIZE) != 0)
		return (w->why = AGE_SINK);
	w->begun = 1;
	if (stream_chunk(&w->s, 1, last) == -1)
		return (w->why = AGE_FAILED);
	if (w->s.sink(w->s.to, w->s.out, w->s.fill + AGE_TAG_SIZE) != 0)
		return (w->why = AGE_SINK);
	w->s.fill = 0;
	w->s.chunk++;
	return (AGE_OK);
}

enum age_error
age_writer_add(struct age_writer *w, const void *plain, size_t size)
{
	const unsigned char *from = plain;

	while (size > 0 && w->why == AGE_OK) {
		size_t part = AGE_CHUNK_SIZE - w->s.fill;

		if (part == 0) {
			(void)writer_chunk(w, 0);
			continue;
		}
		part = part < size ? part : size;
		memcpy(w->s.in + w->s.fill, from, part);
		w->s.fill += part;
		from += part;
		size -= part;
	}
	return (w->why);
}

enum age_error
age_writer_end(struct age_writer *w)
{
	return (w->why != AGE_OK ? w->why : writer_chunk(w, 1));
}

void
age_writer_free(struct age_writer *w)
{
	if (w == NULL)
		return;
	EVP_CIPHER_CTX_free(w->s.cipher);
	OPENSSL_cleanse(w, sizeof(*w));
	free(w);
}

struct age_reader {
	struct stream s;
	struct age_keyring ring;
	enum age_error why;
	enum { AT_HEADER, AT_NONCE, AT_CHUNKS, AT_END } at;
	struct blob header; /* until it is whole; then it, and what came with it */
	unsigned char file_key[AGE_FILE_KEY_SIZE];
};

struct age_reader *
age_reader_new(struct age_keyring ring, age_sink sink, void *to)
{
	struct age_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	r->ring = ring;
	if (stream_begin(&r->s, sink, to) == -1) {
		free(r);
		return (NULL);
	}
	return (r);
}

/* Opens the chunk held.  A wrong last flag is told apart from a forgery, for the words of verify. */
static enum age_error
reader_chunk(struct age_reader *r, int last)
{
	size_t plain = r->s.fill - AGE_TAG_SIZE;

	if (r->s.fill < AGE_TAG_SIZE)
		return (AGE_TRUNCATED);
	if (stream_chunk(&r->s, 0, last) == -1) {
		if (stream_chunk(&r->s, 0, !last) == 0)
			return (last ? AGE_TRUNCATED : AGE_TRAILING);
		return (AGE_CHUNK_FORGED);
	}
	if (plain == 0 && r->s.chunk > 0)
		return (AGE_MALFORMED); /* only an empty payload ends in an empty chunk */
	if (plain > 0 && r->s.sink(r->s.to, r->s.out, plain) != 0)
		return (AGE_SINK);
	r->s.fill = 0;
	r->s.chunk++;
	return (AGE_OK);
}

/* Takes `size` bytes that lie behind the header: the nonce, then chunks. */
static enum age_error
reader_payload(struct age_reader *r, const unsigned char *from, size_t size)
{
	enum age_error why = AGE_OK;

	while (size > 0 && why == AGE_OK) {
		size_t want = r->at == AT_NONCE ? AGE_NONCE_SIZE : SEALED_CHUNK;
		size_t part = want - r->s.fill < size ? want - r->s.fill : size;

		if (part == 0) { /* a full chunk, and more behind it: not the last */
			why = reader_chunk(r, 0);
			continue;
		}
		memcpy(r->s.in + r->s.fill, from, part);
		r->s.fill += part;
		from += part;
		size -= part;
		if (r->at == AT_NONCE && r->s.fill == want) {
			if (stream_key(&r->s, r->file_key, r->s.in) == -1)
				why = AGE_FAILED;
			r->s.fill = 0;
			r->at = AT_CHUNKS;
		}
	}
	return (why);
}

static enum age_error
reader_header(struct age_reader *r, const unsigned char *from, size_t size)
{
	size_t part = AGE_HEADER_MAX + 1 - r->header.size, header_size;
	enum age_error why;

	part = part < size ? part : size;
	if (blob_add(&r->header, from, part) == -1)
		return (AGE_FAILED);
	if ((why = age_header_measure(r->header.at, r->header.size, &header_size, NULL)) == AGE_TRUNCATED)
		return (AGE_OK);
	if (why == AGE_OK)
		why = age_header_open(r->header.at, r->header.size, r->ring, r->file_key, &header_size);
	if (why != AGE_OK)
		return (why);
	r->at = AT_NONCE;
	why = reader_payload(r, r->header.at + header_size, r->header.size - header_size);
	return (why != AGE_OK ? why : reader_payload(r, from + part, size - part));
}

enum age_error
age_reader_add(struct age_reader *r, const unsigned char *bytes, size_t size)
{
	if (r->why != AGE_OK || size == 0)
		return (r->why);
	if (r->at == AT_END)
		r->why = AGE_TRAILING;
	else if (r->at == AT_HEADER)
		r->why = reader_header(r, bytes, size);
	else
		r->why = reader_payload(r, bytes, size);
	return (r->why);
}

enum age_error
age_reader_end(struct age_reader *r)
{
	if (r->why != AGE_OK || r->at == AT_END)
		return (r->why);
	r->why = r->at == AT_CHUNKS ? reader_chunk(r, 1) : AGE_TRUNCATED;
	r->at = AT_END;
	return (r->why);
}

uint64_t
age_reader_chunk(const struct age_reader *r)
{
	return (r->s.chunk);
}

void
age_reader_free(struct age_reader *r)
{
	if (r == NULL)
		return;
	EVP_CIPHER_CTX_free(r->s.cipher);
	blob_free(&r->header);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
}
