#include "base/wire.h"

struct bytes
bytes_of(const void *at, size_t len)
{
	return ((struct bytes){.at = at, .len = len});
}

struct bytes
bytes_text(const char *text)
{
	return (bytes_of(text, text == NULL ? 0 : strlen(text)));
}

int
bytes_equal(struct bytes a, struct bytes b)
{
	return (a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0));
}

int
bytes_are(struct bytes a, const char *text)
{
	return (bytes_equal(a, bytes_text(text)));
}

char *
bytes_dup(struct bytes b)
{
	char *copy = malloc(b.len + 1);

	if (copy == NULL)
		return (NULL);
	if (b.len > 0)
		memcpy(copy, b.at, b.len);
	copy[b.len] = '\0';
	return (copy);
}

int
bytes_copy(char *to, size_t size, struct bytes b)
{
	if (b.len >= size || (b.len > 0 && memchr(b.at, 0, b.len) != NULL)) {
		if (size > 0)
			to[0] = '\0';
		return (-1);
	}
	if (b.len > 0)
		memcpy(to, b.at, b.len);
	to[b.len] = '\0';
	return (0);
}

/* Makes room for len more bytes; the old memory is wiped when it moves. */
static int
wire_grow(struct wire *w, size_t len)
{
	size_t room = w->room == 0 ? 256 : w->room;
	uint8_t *at;

	if (w->failed)
		return (-1);
	if (len > SIZE_MAX - w->len || (w->limit != 0 && w->len + len > w->limit))
		goto failed;
	if (w->len + len <= w->room)
		return (0);
	while (room < w->len + len) {
		if (room > SIZE_MAX / 2)
			goto failed;
		room *= 2;
	}
	if ((at = malloc(room)) == NULL)
		goto failed;
	if (w->at != NULL) {
		memcpy(at, w->at, w->len);
		explicit_bzero(w->at, w->len);
		free(w->at);
	}
	w->at = at;
	w->room = room;
	return (0);

failed:
	w->failed = 1;
	return (-1);
}

void
wire_put_raw(struct wire *w, const void *at, size_t len)
{
	if (wire_grow(w, len) == -1 || len == 0)
		return;
	memcpy(w->at + w->len, at, len);
	w->len += len;
}

static void
wire_put_number(struct wire *w, uint64_t v, size_t octets)
{
	uint8_t raw[8];

	for (size_t i = 0; i < octets; i++)
		raw[i] = (uint8_t)(v >> (8 * (octets - 1 - i)));
	wire_put_raw(w, raw, octets);
}

void
wire_put_u8(struct wire *w, uint8_t v)
{
	wire_put_number(w, v, 1);
}

void
wire_put_u16(struct wire *w, uint16_t v)
{
	wire_put_number(w, v, 2);
}

void
wire_put_u32(struct wire *w, uint32_t v)
{
	wire_put_number(w, v, 4);
}

void
wire_put_u64(struct wire *w, uint64_t v)
{
	wire_put_number(w, v, 8);
}

void
wire_put_i64(struct wire *w, int64_t v)
{
	wire_put_number(w, (uint64_t)v, 8);
}

void
wire_put_bytes(struct wire *w, struct bytes b)
{
	if (b.len > UINT32_MAX) {
		w->failed = 1;
		return;
	}
	wire_put_u32(w, (uint32_t)b.len);
	wire_put_raw(w, b.at, b.len);
}

void
wire_put_text(struct wire *w, struct bytes b)
{
	if (b.len > 0 && memchr(b.at, 0, b.len) != NULL) {
		w->failed = 1;
		return;
	}
	wire_put_bytes(w, b);
}

struct bytes
wire_bytes(const struct wire *w)
{
	return (bytes_of(w->at, w->len));
}

void
wire_clear(struct wire *w)
{
	if (w->at != NULL)
		explicit_bzero(w->at, w->len);
	w->len = 0;
	w->failed = 0;
}

void
wire_free(struct wire *w)
{
	if (w->at != NULL)
		explicit_bzero(w->at, w->room);
	free(w->at);
	*w = (struct wire){0};
}

struct reader
reader_of(struct bytes b)
{
	return ((struct reader){.at = b.at, .left = b.len});
}

struct bytes
reader_get_raw(struct reader *r, size_t len)
{
	struct bytes b;

	if (r->failed || len > r->left) {
		r->failed = 1;
		return (bytes_of(NULL, 0));
	}
	b = bytes_of(r->at, len);
	if (len > 0)
		r->at += len;
	r->left -= len;
	return (b);
}

static uint64_t
reader_get_number(struct reader *r, size_t octets)
{
	struct bytes b = reader_get_raw(r, octets);
	uint64_t v = 0;

	for (size_t i = 0; i < b.len; i++)
		v = v << 8 | b.at[i];
	return (v);
}

uint8_t
reader_get_u8(struct reader *r)
{
	return ((uint8_t)reader_get_number(r, 1));
}

uint16_t
reader_get_u16(struct reader *r)
{
	return ((uint16_t)reader_get_number(r, 2));
}

uint32_t
reader_get_u32(struct reader *r)
{
	return ((uint32_t)reader_get_number(r, 4));
}

uint64_t
reader_get_u64(struct reader *r)
{
	return (reader_get_number(r, 8));
}

int64_t
reader_get_i64(struct reader *r)
{
	return ((int64_t)reader_get_number(r, 8));
}

struct bytes
reader_get_bytes(struct reader *r)
{
	uint32_t len = reader_get_u32(r);

	return (reader_get_raw(r, len));
}

struct bytes
reader_get_text(struct reader *r)
{
	struct bytes b = reader_get_bytes(r);

	if (b.len > 0 && memchr(b.at, 0, b.len) != NULL) {
		r->failed = 1;
		return (bytes_of(NULL, 0));
	}
	return (b);
}

int
reader_end(const struct reader *r)
{
	return (!r->failed && r->left == 0);
}
