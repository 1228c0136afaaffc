/* The bytes of one file of the vault: see vault_file.h. */
#include "vault_file.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "lodge vault 1\n" /* the format's version */
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define FILL_BYTES 256

/* The readable part, which is the seal's associated data. */
static void
head_put(struct wire *w, const struct vault_record *r, const char *id)
{
	wire_put_raw(w, MAGIC, strlen(MAGIC));
	wire_put_u8(w, r->kind);
	wire_put_text(w, bytes_text(id));
	wire_put_text(w, bytes_text(r->about));
}

/* -1 when it is not such a part, or not of r->about. */
static int
head_get(struct reader *from, struct vault_record *r)
{
	struct bytes magic = reader_get_raw(from, strlen(MAGIC)), id, name;

	r->kind = reader_get_u8(from);
	id = reader_get_text(from);
	name = reader_get_text(from);
	if (from->failed || memcmp(magic.at, MAGIC, magic.len) != 0 || !bytes_are(name, r->about) ||
	    (r->kind != VAULT_PASSWORD && r->kind != VAULT_KEY) || id.len != VAULT_ID_SIZE - 1) {
		r->kind = 0;
		return (-1);
	}
	return (bytes_copy(r->id, sizeof(r->id), id));
}

static void
body_put(struct wire *w, const struct vault_record *r)
{
	wire_put_u8(w, r->rotate);
	wire_put_i64(w, r->set_wall_ms);
	wire_put_i64(w, r->rotated_wall_ms);
	wire_put_i64(w, r->used_wall_ms);
	wire_put_u64(w, r->turn);
	wire_put_text(w, bytes_text(r->by));
	wire_put_bytes(w, bytes_of(r->current.at, r->current.len));
	wire_put_bytes(w, bytes_of(r->pending.at, r->pending.len));
	wire_put_bytes(w, bytes_of(r->former.at, r->former.len));
	while (w->len % FILL_BYTES != 0 && !w->failed)
		wire_put_u8(w, 0);
}

static int
secret_get(struct reader *from, struct secret *s)
{
	struct bytes b = reader_get_bytes(from);

	if (from->failed || b.len > VAULT_SECRET_MAX)
		return (-1);
	return (b.len == 0 ? 0 : secret_copy(s, b.at, b.len));
}

static int
body_get(struct bytes body, struct vault_record *r)
{
	struct reader from = reader_of(body);

	r->rotate = reader_get_u8(&from);
	r->set_wall_ms = reader_get_i64(&from);
	r->rotated_wall_ms = reader_get_i64(&from);
	r->used_wall_ms = reader_get_i64(&from);
	r->turn = reader_get_u64(&from);
	if (bytes_copy(r->by, sizeof(r->by), reader_get_text(&from)) == -1 || r->rotate > VAULT_ALWAYS)
		return (-1);
	if (secret_get(&from, &r->current) == -1 || secret_get(&from, &r->pending) == -1 ||
	    secret_get(&from, &r->former) == -1)
		return (-1);
	return (from.failed || r->current.len == 0 ? -1 : 0);
}

/* Seals `body` into `to` (as long), and its tag; the nonce is random: 2^32 writes under one key are far away. */
static int
seal(const struct vault_key *key, struct bytes head, const uint8_t nonce[NONCE_BYTES], struct bytes body,
    uint8_t *to, uint8_t tag[TAG_BYTES])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0, ok;

	ok = ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->at, nonce) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &len, head.at, (int)head.len) == 1 &&
	     EVP_EncryptUpdate(ctx, to, &len, body.at, (int)body.len) == 1 && len == (int)body.len &&
	     EVP_EncryptFinal_ex(ctx, to + len, &len) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return (ok ? 0 : -1);
}

static int
unseal(const struct vault_key *key, struct bytes head, const uint8_t *nonce, struct bytes sealed,
    const uint8_t *tag, uint8_t *to)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t copy[TAG_BYTES];
	int len = 0, ok;

	memcpy(copy, tag, sizeof(copy));
	ok = ctx != NULL && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->at, nonce) == 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &len, head.at, (int)head.len) == 1 &&
	     EVP_DecryptUpdate(ctx, to, &len, sealed.at, (int)sealed.len) == 1 && len == (int)sealed.len &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, copy) == 1 &&
	     EVP_DecryptFinal_ex(ctx, to + len, &len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return (ok ? 0 : -1);
}

/* The whole file. */
int
vault_file_seal(const struct vault_key *key, const struct vault_record *r, struct wire *file)
{
	struct wire body = {0};
	uint8_t nonce[NONCE_BYTES], tag[TAG_BYTES], *sealed = NULL;
	size_t head_len;
	int ok = 0;

	body_put(&body, r);
	head_put(file, r, key->id);
	head_len = file->len;
	if (body.failed || file->failed || (sealed = malloc(body.len)) == NULL)
		goto out;
	if (RAND_bytes(nonce, sizeof(nonce)) != 1 ||
	    seal(key, bytes_of(file->at, head_len), nonce, wire_bytes(&body), sealed, tag) == -1)
		goto out;
	wire_put_raw(file, nonce, sizeof(nonce));
	wire_put_bytes(file, bytes_of(sealed, body.len));
	wire_put_raw(file, tag, sizeof(tag));
	ok = !file->failed && file->len <= VAULT_FILE_MAX;
out:
	wire_free(&body);
	free(sealed);
	return (ok ? 0 : -1);
}

int
vault_file_head(struct bytes file, struct vault_record *r)
{
	struct reader from = reader_of(file);

	return (head_get(&from, r));
}

enum vault_fault
vault_file_open(const struct vault_key *key, struct bytes file, struct vault_record *r)
{
	struct reader from = reader_of(file);
	struct bytes head, nonce, sealed, tag;
	struct secret body;
	enum vault_fault fault = VAULT_DAMAGED;

	if (head_get(&from, r) == -1)
		return (VAULT_DAMAGED);
	head = bytes_of(file.at, file.len - from.left);
	nonce = reader_get_raw(&from, NONCE_BYTES);
	sealed = reader_get_bytes(&from);
	tag = reader_get_raw(&from, TAG_BYTES);
	if (!reader_end(&from))
		return (VAULT_DAMAGED);
	if (secret_new(&body, sealed.len) == -1)
		return (VAULT_TROUBLE);
	if (unseal(key, head, nonce.at, sealed, tag.at, body.at) == 0 &&
	    body_get(bytes_of(body.at, body.len), r) == 0)
		fault = VAULT_GOOD;
	secret_free(&body);
	return (fault);
}
