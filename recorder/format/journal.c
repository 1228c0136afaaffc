#include "format/journal.h"

#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/core_names.h>
#include <openssl/params.h>

#define MAGIC 0x4c646752u /* "LdgR" */
#define AT_CRC 76u
#define NONCE_BYTES 12

static const char PREAMBLE[16] = "lodge-log v1\n";

/* Castagnoli's polynomial, eight tables: a byte of log costs less than its encryption. */
static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
crc_make(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = (c & 1) != 0 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
		crc_table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			crc_table[t][i] = (crc_table[t - 1][i] >> 8) ^ crc_table[0][crc_table[t - 1][i] & 0xff];
}

uint32_t
journal_crc(uint32_t crc, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	(void)pthread_once(&crc_once, crc_make);
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint32_t low =
		    crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		crc = crc_table[7][low & 0xff] ^ crc_table[6][low >> 8 & 0xff] ^ crc_table[5][low >> 16 & 0xff] ^
		      crc_table[4][low >> 24] ^ crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^
		      crc_table[0][p[7]];
	}
	for (; len > 0; p++, len--)
		crc = (crc >> 8) ^ crc_table[0][(crc ^ *p) & 0xff];
	return (~crc);
}

static void
put32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static void
put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | p[i];
	return (v);
}

static uint64_t
get64(const uint8_t *p)
{
	return ((uint64_t)get32(p) << 32 | get32(p + 4));
}

static int
is_sealed(enum journal_type type)
{
	return (type == JOURNAL_BEGIN || type == JOURNAL_FRAMES || type == JOURNAL_END);
}

int
journal_key(uint8_t key[JOURNAL_KEY_BYTES], const uint8_t file_key[JOURNAL_FILE_KEY_BYTES])
{
	char digest[] = "SHA256", info[] = "lodge-log v1";
	uint8_t ikm[JOURNAL_FILE_KEY_BYTES];
	EVP_KDF *kdf = NULL;
	EVP_KDF_CTX *ctx = NULL;
	int result = -1;

	memcpy(ikm, file_key, sizeof ikm);
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, ikm, sizeof ikm),
	    OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof info - 1),
	    OSSL_PARAM_construct_end()};
	if ((kdf = EVP_KDF_fetch(NULL, "HKDF", NULL)) != NULL && (ctx = EVP_KDF_CTX_new(kdf)) != NULL &&
	    EVP_KDF_derive(ctx, key, JOURNAL_KEY_BYTES, params) == 1)
		result = 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	OPENSSL_cleanse(ikm, sizeof ikm);
	return (result);
}

size_t
journal_record_bytes(enum journal_type type, size_t body_len)
{
	return (JOURNAL_HEAD_BYTES + body_len + (is_sealed(type) ? JOURNAL_TAG_BYTES : 0));
}

void
journal_preamble(uint8_t out[JOURNAL_FILE_BYTES], uint32_t number)
{
	memcpy(out, PREAMBLE, sizeof PREAMBLE);
	put32(out + 16, number);
	put32(out + 20, journal_crc(0, out, 20));
}

int
journal_preamble_read(const uint8_t *data, size_t len, uint32_t *number)
{
	if (len < JOURNAL_FILE_BYTES || memcmp(data, PREAMBLE, sizeof PREAMBLE) != 0 ||
	    get32(data + 20) != journal_crc(0, data, 20))
		return (-1);
	*number = get32(data + 16);
	return (0);
}

/* Seals or opens one body.  The cipher is the same in both directions but for where the tag comes from. */
static int
body_crypt(
    const uint8_t *key, const uint8_t *head, const uint8_t *in, size_t in_len, uint8_t *out, uint8_t *tag, int seal)
{
	uint8_t nonce[NONCE_BYTES] = {0};
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	memcpy(nonce + 4, head + 40, 8);
	ok = ctx != NULL && EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key, nonce, seal) == 1;
	if (ok && !seal)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)JOURNAL_TAG_BYTES, tag) == 1;
	ok = ok && EVP_CipherUpdate(ctx, NULL, &n, head, (int)AT_CRC) == 1 &&
	     (in_len == 0 || EVP_CipherUpdate(ctx, out, &n, in, (int)in_len) == 1) &&
	     EVP_CipherFinal_ex(ctx, out + in_len, &n) == 1;
	if (ok && seal)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)JOURNAL_TAG_BYTES, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return (ok ? 0 : -1);
}

static void
head_write(uint8_t *out, const struct journal_record *r, size_t body)
{
	memset(out, 0, JOURNAL_HEAD_BYTES);
	put32(out, MAGIC);
	put32(out + 4, (uint32_t)body);
	out[8] = (uint8_t)r->type;
	out[9] = (uint8_t)r->track;
	put32(out + 12, r->segment);
	memcpy(out + 16, r->stream, 16);
	put64(out + 32, r->connection);
	put64(out + 40, r->sequence);
	put64(out + 48, r->from);
	put64(out + 56, r->to);
	put64(out + 64, r->next_frame);
}

size_t
journal_write(uint8_t *out, const struct journal_record *r, const uint8_t key[JOURNAL_KEY_BYTES])
{
	size_t body = r->body_len + (is_sealed(r->type) ? JOURNAL_TAG_BYTES : 0);
	uint8_t *at = out + JOURNAL_HEAD_BYTES;

	if (r->body_len > JOURNAL_BODY_MAX - JOURNAL_TAG_BYTES || r->from > r->to)
		return (0);
	if (is_sealed(r->type) && (key == NULL || r->sequence == 0))
		return (0);
	head_write(out, r, body);
	if (is_sealed(r->type)) {
		if (body_crypt(key, out, r->body, r->body_len, at, at + r->body_len, 1) == -1)
			return (0);
	} else if (r->body_len > 0)
		memcpy(at, r->body, r->body_len);
	put32(out + AT_CRC, journal_crc(journal_crc(0, out, AT_CRC), at, body));
	return (JOURNAL_HEAD_BYTES + body);
}

/* Reads the record at `at`.  1 when sound, 0 when not; *end is where it would end. */
static int
record_read(const uint8_t *data, size_t len, size_t at, struct journal_record *r, size_t *end)
{
	const uint8_t *h = data + at;
	uint32_t body;

	if (len - at < JOURNAL_HEAD_BYTES || get32(h) != MAGIC)
		return (0);
	body = get32(h + 4);
	if (body > JOURNAL_BODY_MAX || body > len - at - JOURNAL_HEAD_BYTES)
		return (0);
	if (get32(h + AT_CRC) != journal_crc(journal_crc(0, h, AT_CRC), h + JOURNAL_HEAD_BYTES, body))
		return (0);
	if (h[8] < JOURNAL_HEADER || h[8] > JOURNAL_NOTE || h[9] > JOURNAL_INPUT || h[10] != 0 || h[11] != 0 ||
	    get32(h + 72) != 0)
		return (0);
	*r = (struct journal_record){.type = (enum journal_type)h[8],
	    .track = (enum journal_track)h[9],
	    .segment = get32(h + 12),
	    .connection = get64(h + 32),
	    .sequence = get64(h + 40),
	    .from = get64(h + 48),
	    .to = get64(h + 56),
	    .next_frame = get64(h + 64),
	    .body = h + JOURNAL_HEAD_BYTES,
	    .body_len = body,
	    .head = h,
	    .at = at};
	memcpy(r->stream, h + 16, 16);
	if (r->from > r->to || (is_sealed(r->type) && (body < JOURNAL_TAG_BYTES || r->sequence == 0)))
		return (0);
	*end = at + JOURNAL_HEAD_BYTES + body;
	return (1);
}

void
journal_scan_begin(struct journal_scan *s, const uint8_t *data, size_t len)
{
	*s = (struct journal_scan){.data = data, .len = len};
	if (journal_preamble_read(data, len, &s->number) == -1) {
		s->end = JOURNAL_NOT_A_LOG;
		return;
	}
	s->at = JOURNAL_FILE_BYTES;
}

/* Nothing but zeros from here on: the part of a preallocated file that was never written. */
static int
is_blank(const struct journal_scan *s)
{
	for (size_t i = s->at; i < s->len; i++)
		if (s->data[i] != 0)
			return (0);
	return (1);
}

int
journal_next(struct journal_scan *s, struct journal_record *r)
{
	size_t end;

	if (s->end != JOURNAL_MORE)
		return (0);
	if (record_read(s->data, s->len, s->at, r, &end)) {
		s->at = end;
		return (1);
	}
	s->end = is_blank(s) ? JOURNAL_CLEAN : JOURNAL_TORN;
	return (0);
}

int
journal_resync(struct journal_scan *s)
{
	struct journal_record r;
	const uint8_t *p;
	size_t end;

	if (s->end != JOURNAL_TORN)
		return (0);
	for (size_t at = s->at + 1; at < s->len; at++) {
		if ((p = memchr(s->data + at, MAGIC >> 24, s->len - at)) == NULL)
			return (0);
		at = (size_t)(p - s->data);
		if (record_read(s->data, s->len, at, &r, &end)) {
			s->at = at;
			s->end = JOURNAL_MORE;
			return (1);
		}
	}
	return (0);
}

int
journal_open(const struct journal_record *r, const uint8_t key[JOURNAL_KEY_BYTES], uint8_t *out)
{
	uint8_t tag[JOURNAL_TAG_BYTES];
	size_t len;

	if (!is_sealed(r->type) || r->body_len < JOURNAL_TAG_BYTES)
		return (-1);
	len = r->body_len - JOURNAL_TAG_BYTES;
	memcpy(tag, r->body + len, sizeof tag);
	if (body_crypt(key, r->head, r->body, len, out, tag, 0) == 0)
		return (0);
	OPENSSL_cleanse(out, len);
	return (-1);
}

size_t
journal_frame_write(uint8_t *out, const struct ring_frame *f)
{
	memset(out, 0, JOURNAL_FRAME_HEAD);
	out[0] = (uint8_t)(f->type >> 8);
	out[1] = (uint8_t)f->type;
	put32(out + 4, f->stream);
	put32(out + 8, f->channel);
	put32(out + 12, f->len);
	put64(out + 16, f->sequence);
	put64(out + 24, (uint64_t)f->boot_us);
	if (f->len > 0)
		memcpy(out + JOURNAL_FRAME_HEAD, f->at, f->len);
	return (JOURNAL_FRAME_HEAD + f->len);
}

int
journal_frame_next(const uint8_t *plain, size_t len, size_t *offset, struct ring_frame *f)
{
	const uint8_t *h = plain + *offset;

	if (*offset == len)
		return (0);
	if (len - *offset < JOURNAL_FRAME_HEAD || h[2] != 0 || h[3] != 0)
		return (-1);
	*f = (struct ring_frame){.type = (uint16_t)(h[0] << 8 | h[1]),
	    .stream = get32(h + 4),
	    .channel = get32(h + 8),
	    .len = get32(h + 12),
	    .sequence = get64(h + 16),
	    .boot_us = (int64_t)get64(h + 24),
	    .at = h + JOURNAL_FRAME_HEAD};
	if (f->len > RING_FRAME_MAX || f->len > len - *offset - JOURNAL_FRAME_HEAD)
		return (-1);
	*offset += JOURNAL_FRAME_HEAD + f->len;
	return (1);
}
