/* Signed notes and checkpoints: see note.h. */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "format/note.h"
#include "base/utf8.h"

#define SIGNATURE_MARK "\xe2\x80\x94 " /* an em dash and a space */
#define SIGNER_MARK "PRIVATE+KEY+"

enum {
	ALGORITHM_ED25519 = 1,
	SIGNATURE_SIZE = 64,
	ID_SIZE = 4,
	MARK_SIZE = 4,
	LINE_PAYLOAD_MAX = 8192 /* decoded bytes of a signature line that is not ours */
};

/* ---- keys ---- */

static int
name_ok(const char *name, size_t length)
{
	if (length == 0 || length >= NOTE_NAME_MAX || !utf8_is_text((const unsigned char *)name, length))
		return (0);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == '+' || name[i] == 0x7f)
			return (0);
	return (1);
}

/* The first four bytes of SHA-256(name, newline, algorithm, key). */
static int
key_id(struct note_key *key)
{
	unsigned char text[NOTE_NAME_MAX + 2 + NOTE_KEY_SIZE], digest[32];
	size_t length = strlen(key->name);

	memcpy(text, key->name, length);
	text[length] = '\n';
	text[length + 1] = ALGORITHM_ED25519;
	memcpy(text + length + 2, key->point, NOTE_KEY_SIZE);
	if (EVP_Digest(text, length + 2 + NOTE_KEY_SIZE, digest, NULL, EVP_sha256(), NULL) != 1)
		return (-1);
	key->id = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
	return (0);
}

/* "name+hash+base64(algorithm, 32 bytes)": both kinds of key look so behind their mark. */
static int
key_fields(const char *text, struct note_key *key, uint32_t *id, unsigned char material[NOTE_KEY_SIZE])
{
	const char *hash = strchr(text, '+'), *base = hash == NULL ? NULL : strchr(hash + 1, '+');
	unsigned char packed[1 + NOTE_KEY_SIZE], raw[ID_SIZE];
	size_t size;
	int result = -1;

	if (base == NULL || !name_ok(text, (size_t)(hash - text)) ||
	    hex_decode(hash + 1, (size_t)(base - hash - 1), raw, ID_SIZE) == -1 ||
	    base64_decode(base + 1, strlen(base + 1), packed, sizeof(packed), &size) == -1 ||
	    size != sizeof(packed) || packed[0] != ALGORITHM_ED25519)
		goto out;
	memset(key, 0, sizeof(*key));
	memcpy(key->name, text, (size_t)(hash - text));
	memcpy(material, packed + 1, NOTE_KEY_SIZE);
	*id = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
	result = 0;
out:
	OPENSSL_cleanse(packed, sizeof(packed));
	return (result);
}

static int
fields_text(const char *mark, const struct note_key *key, const unsigned char *material, char out[NOTE_KEY_TEXT])
{
	unsigned char packed[1 + NOTE_KEY_SIZE] = {ALGORITHM_ED25519};
	struct blob text = {.at = NULL};
	int result = -1;

	memcpy(packed + 1, material, NOTE_KEY_SIZE);
	if (blob_add_format(&text, "%s%s+%08x+", mark, key->name, key->id) == 0 &&
	    blob_add_base64(&text, packed, sizeof(packed)) == 0 && text.size < NOTE_KEY_TEXT) {
		memcpy(out, text.at, text.size);
		out[text.size] = '\0';
		result = 0;
	}
	blob_free(&text);
	OPENSSL_cleanse(packed, sizeof(packed));
	return (result);
}

int
note_key_parse(struct note_key *key, const char *text)
{
	uint32_t id;

	if (strlen(text) >= NOTE_KEY_TEXT || key_fields(text, key, &id, key->point) == -1 || key_id(key) == -1)
		return (-1);
	return (key->id == id ? 0 : -1);
}

int
note_key_text(const struct note_key *key, char out[NOTE_KEY_TEXT])
{
	return (fields_text("", key, key->point, out));
}

/* The public half from the seed. */
static int
signer_complete(struct note_signer *signer)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, signer->seed, NOTE_KEY_SIZE);
	size_t size = NOTE_KEY_SIZE;
	int ok = key != NULL && EVP_PKEY_get_raw_public_key(key, signer->key.point, &size) == 1;

	EVP_PKEY_free(key);
	return (ok ? key_id(&signer->key) : -1);
}

int
note_signer_parse(struct note_signer *signer, const char *text)
{
	size_t mark = sizeof(SIGNER_MARK) - 1;
	uint32_t id;

	if (strlen(text) >= NOTE_KEY_TEXT || strncmp(text, SIGNER_MARK, mark) != 0 ||
	    key_fields(text + mark, &signer->key, &id, signer->seed) == -1 || signer_complete(signer) == -1 ||
	    signer->key.id != id) {
		note_signer_wipe(signer);
		return (-1);
	}
	return (0);
}

int
note_signer_text(const struct note_signer *signer, char out[NOTE_KEY_TEXT])
{
	return (fields_text(SIGNER_MARK, &signer->key, signer->seed, out));
}

/* A key that wants a passphrase is refused: nobody is there to be asked. */
static int
no_passphrase(char *out, int size, int writing, void *ctx)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)ctx;
	return (-1);
}

int
note_signer_make(struct note_signer *signer, const char *name)
{
	size_t length = strlen(name);

	memset(signer, 0, sizeof(*signer));
	if (!name_ok(name, length) || RAND_priv_bytes(signer->seed, NOTE_KEY_SIZE) != 1)
		return (-1);
	memcpy(signer->key.name, name, length);
	return (signer_complete(signer));
}

int
note_signer_pem(struct note_signer *signer, const char *name, const char *pem, size_t size)
{
	BIO *in = size > INT32_MAX ? NULL : BIO_new_mem_buf(pem, (int)size);
	EVP_PKEY *key = in == NULL ? NULL : PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
	size_t length = strlen(name), seed = NOTE_KEY_SIZE;
	int result = -1;

	memset(signer, 0, sizeof(*signer));
	if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_ED25519 && name_ok(name, length) &&
	    EVP_PKEY_get_raw_private_key(key, signer->seed, &seed) == 1 && seed == NOTE_KEY_SIZE) {
		memcpy(signer->key.name, name, length);
		result = signer_complete(signer);
	}
	if (result == -1)
		note_signer_wipe(signer);
	EVP_PKEY_free(key);
	BIO_free(in);
	return (result);
}

void
note_signer_wipe(struct note_signer *signer)
{
	OPENSSL_cleanse(signer, sizeof(*signer));
}

int
note_key_pem(const struct note_key *key, struct blob *to)
{
	/* RFC 8410 §4: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING } before the 32 bytes. */
	unsigned char spki[12 + NOTE_KEY_SIZE] = {
	    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};

	memcpy(spki + 12, key->point, NOTE_KEY_SIZE);
	return (blob_add_text(to, "-----BEGIN PUBLIC KEY-----\n") | blob_add_base64(to, spki, sizeof(spki)) |
	        blob_add_text(to, "\n-----END PUBLIC KEY-----\n"));
}

/* ---- notes ---- */

static int
ed25519_sign(const struct note_signer *signer, const void *text, size_t size, unsigned char out[SIGNATURE_SIZE])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, signer->seed, NOTE_KEY_SIZE);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t length = SIGNATURE_SIZE;
	int ok = key != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	         EVP_DigestSign(ctx, out, &length, text, size) == 1 && length == SIGNATURE_SIZE;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return (ok ? 0 : -1);
}

static int
ed25519_verify(const struct note_key *public, const void *text, size_t size, const unsigned char *signature)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public->point, NOTE_KEY_SIZE);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	         EVP_DigestVerify(ctx, signature, SIGNATURE_SIZE, text, size) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return (ok ? 0 : -1);
}

int
note_sign(struct blob *note, const struct note_signer *signer)
{
	unsigned char packed[ID_SIZE + SIGNATURE_SIZE];
	size_t before = note->size;

	if (before == 0 || note->at[before - 1] != '\n' || memmem(note->at, before, "\n\n", 2) != NULL ||
	    ed25519_sign(signer, note->at, before, packed + ID_SIZE) == -1)
		return (-1);
	for (unsigned i = 0; i < ID_SIZE; i++)
		packed[i] = (unsigned char)(signer->key.id >> 8 * (3 - i));
	if (blob_add_format(note, "\n" SIGNATURE_MARK "%s ", signer->key.name) == 0 &&
	    blob_add_base64(note, packed, sizeof(packed)) == 0 && blob_add_text(note, "\n") == 0)
		return (0);
	note->size = before;
	return (-1);
}

/* Where the signed text ends: behind the newline before the last empty line.  0 when the note has no such place. */
static size_t
text_end(const unsigned char *note, size_t size)
{
	if (size > NOTE_MAX || size < 3 || note[size - 1] != '\n' || !utf8_is_text(note, size))
		return (0);
	for (size_t i = 0; i < size; i++)
		if (note[i] < 0x20 && note[i] != '\n')
			return (0);
	for (size_t i = size - 1; i > 0; i--)
		if (note[i] == '\n' && note[i - 1] == '\n')
			return (i < size - 1 ? i : 0);
	return (0);
}

enum line_is { LINE_BAD, LINE_OTHERS, LINE_OURS };

/* One signature line without its newline.  Ours: its name and key id are the key's; `out` gets the signature. */
static enum line_is
line_read(const char *line, size_t length, const struct note_key *key, unsigned char out[SIGNATURE_SIZE])
{
	unsigned char packed[LINE_PAYLOAD_MAX];
	const char *name = line + MARK_SIZE, *space;
	size_t name_size, size;
	uint32_t id;

	if (length <= MARK_SIZE || memcmp(line, SIGNATURE_MARK, MARK_SIZE) != 0 ||
	    (space = memchr(name, ' ', length - MARK_SIZE)) == NULL ||
	    !name_ok(name, name_size = (size_t)(space - name)) ||
	    base64_decode(space + 1, length - MARK_SIZE - name_size - 1, packed, sizeof(packed), &size) == -1 ||
	    size < 5)
		return (LINE_BAD);
	id = (uint32_t)packed[0] << 24 | (uint32_t)packed[1] << 16 | (uint32_t)packed[2] << 8 | packed[3];
	if (id != key->id || name_size != strlen(key->name) || memcmp(name, key->name, name_size) != 0)
		return (LINE_OTHERS);
	if (size != ID_SIZE + SIGNATURE_SIZE)
		return (LINE_BAD);
	memcpy(out, packed + ID_SIZE, SIGNATURE_SIZE);
	return (LINE_OURS);
}

/* Walks the signature lines; 1 and the signature when `key` has exactly one line, 0 when none, -1 malformed. */
static int
signature_find(const unsigned char *note, size_t size, const struct note_key *key,
    unsigned char out[SIGNATURE_SIZE], size_t *text)
{
	unsigned lines = 0;
	int found = 0;
	size_t at;

	if ((*text = text_end(note, size)) == 0)
		return (-1);
	for (at = *text + 1; at < size; lines++) {
		const unsigned char *end = memchr(note + at, '\n', size - at);
		enum line_is is = line_read((const char *)note + at, (size_t)(end - note) - at, key, out);

		if (is == LINE_BAD || lines == NOTE_SIGNATURES_MAX || (is == LINE_OURS && found))
			return (-1);
		if (is == LINE_OURS)
			found = 1;
		at = (size_t)(end - note) + 1;
	}
	return (found);
}

int
note_signature(const void *note, size_t size, const struct note_key *key, unsigned char out[SIGNATURE_SIZE])
{
	unsigned char signature[SIGNATURE_SIZE];
	size_t text;

	if (signature_find(note, size, key, signature, &text) != 1)
		return (-1);
	memcpy(out, signature, SIGNATURE_SIZE);
	return (0);
}

int
note_verify(const void *note, size_t size, const struct note_key *key, size_t *text_size)
{
	unsigned char signature[SIGNATURE_SIZE];

	if (signature_find(note, size, key, signature, text_size) != 1)
		return (-1);
	return (ed25519_verify(key, note, *text_size, signature));
}

/* ---- checkpoints ---- */

int
checkpoint_write(struct blob *to, const struct checkpoint *checkpoint)
{
	return (blob_add_format(to, "%s\n%llu\n", checkpoint->origin, (unsigned long long)checkpoint->size) |
	        blob_add_base64(to, checkpoint->root.h, MERKLE_SIZE) | blob_add_text(to, "\n"));
}

/* A decimal number in its one spelling. */
static int
decimal_parse(const char *text, size_t length, uint64_t *out)
{
	*out = 0;
	if (length == 0 || length > 18 || (text[0] == '0' && length > 1))
		return (-1);
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return (-1);
		*out = *out * 10 + (uint64_t)(text[i] - '0');
	}
	return (0);
}

int
checkpoint_parse(struct checkpoint *checkpoint, const void *text, size_t size)
{
	const char *lines[3], *at = text, *end = at + size;
	size_t lengths[3], root_size;

	memset(checkpoint, 0, sizeof(*checkpoint));
	for (unsigned i = 0; i < 3; i++) {
		const char *newline = at == end ? NULL : memchr(at, '\n', (size_t)(end - at));

		if (newline == NULL)
			return (-1);
		lines[i] = at;
		lengths[i] = (size_t)(newline - at);
		at = newline + 1;
	}
	if (lengths[0] == 0 || lengths[0] >= NOTE_NAME_MAX || memchr(lines[0], '\0', lengths[0]) != NULL ||
	    decimal_parse(lines[1], lengths[1], &checkpoint->size) == -1 ||
	    base64_decode(lines[2], lengths[2], checkpoint->root.h, MERKLE_SIZE, &root_size) == -1 ||
	    root_size != MERKLE_SIZE)
		return (-1);
	memcpy(checkpoint->origin, lines[0], lengths[0]);
	return (0);
}

int
checkpoint_open(
    struct checkpoint *checkpoint, const struct blob *note, const struct note_key *key, const char **why)
{
	size_t text;

	*why = "the checkpoint is not signed by this log's key";
	if (note->size == 0 || note_verify(note->at, note->size, key, &text) == -1)
		return (-1);
	*why = "the checkpoint is malformed";
	if (checkpoint_parse(checkpoint, note->at, text) == -1)
		return (-1);
	*why = "the checkpoint is another log's";
	return (strcmp(checkpoint->origin, key->name) == 0 ? 0 : -1);
}
