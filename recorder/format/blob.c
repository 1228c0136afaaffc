/* A growing run of bytes that wipes itself: see blob.h. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "format/blob.h"
#include "base/utf8.h"

static const char digits[] = "0123456789abcdef";

#define BASE64_MAX (512u * 1024u * 1024u) /* bytes at once: EVP counts in int */

int
blob_reserve(struct blob *b, size_t more)
{
	size_t room = b->room < 64 ? 64 : b->room;
	unsigned char *at;

	if (more <= b->room - b->size && b->room > 0)
		return (0);
	if (more > SIZE_MAX / 4 - b->size)
		return (-1);
	while (room < b->size + more)
		room *= 2;
	if ((at = malloc(room)) == NULL)
		return (-1);
	if (b->size > 0)
		memcpy(at, b->at, b->size);
	if (b->at != NULL)
		OPENSSL_cleanse(b->at, b->room);
	free(b->at);
	b->at = at;
	b->room = room;
	return (0);
}

int
blob_add(struct blob *b, const void *from, size_t size)
{
	if (size == 0)
		return (0);
	if (blob_reserve(b, size) == -1)
		return (-1);
	memcpy(b->at + b->size, from, size);
	b->size += size;
	return (0);
}

int
blob_add_text(struct blob *b, const char *text)
{
	return (blob_add(b, text, strlen(text)));
}

int
blob_add_format(struct blob *b, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0 || blob_reserve(b, (size_t)length + 1) == -1)
		return (-1);
	va_start(args, format);
	(void)vsnprintf((char *)b->at + b->size, (size_t)length + 1, format, args);
	va_end(args);
	b->size += (size_t)length;
	return (0);
}

int
blob_add_hex(struct blob *b, const unsigned char *from, size_t size)
{
	if (blob_reserve(b, 2 * size) == -1)
		return (-1);
	for (size_t i = 0; i < size; i++) {
		b->at[b->size++] = (unsigned char)digits[from[i] >> 4];
		b->at[b->size++] = (unsigned char)digits[from[i] & 15];
	}
	return (0);
}

int
blob_add_base64(struct blob *b, const unsigned char *from, size_t size)
{
	if (size > BASE64_MAX || blob_reserve(b, (size + 2) / 3 * 4 + 1) == -1) /* EVP adds a NUL */
		return (-1);
	b->size += (size_t)EVP_EncodeBlock(b->at + b->size, from, (int)size);
	return (0);
}

int
blob_add_base64_bare(struct blob *b, const unsigned char *from, size_t size)
{
	if (blob_add_base64(b, from, size) == -1)
		return (-1);
	b->size -= (3 - size % 3) % 3;
	return (0);
}

/* How many bytes JSON takes as they are. */
static size_t
plain_run(const unsigned char *from, size_t size)
{
	uint32_t point;
	size_t at = 0;

	while (at < size) {
		int length = utf8_next(from + at, size - at, &point);

		if (length <= 0 || point < 0x20 || point == '"' || point == '\\' || point == 0x7f)
			break;
		at += (size_t)length;
	}
	return (at);
}

/* The JSON spelling of one ASCII character that needs an escape. */
static int
add_escape(struct blob *b, uint32_t point)
{
	const char code[] = {'\\', 'u', '0', '0', digits[point >> 4], digits[point & 15]};

	switch (point) {
	case '"':
		return (blob_add_text(b, "\\\""));
	case '\\':
		return (blob_add_text(b, "\\\\"));
	case '\n':
		return (blob_add_text(b, "\\n"));
	case '\r':
		return (blob_add_text(b, "\\r"));
	case '\t':
		return (blob_add_text(b, "\\t"));
	default:
		return (blob_add(b, code, sizeof(code)));
	}
}

int
blob_add_json(struct blob *b, const void *text, size_t size)
{
	const unsigned char *from = text;
	size_t before = b->size, at = 0, run;
	int failed = blob_add(b, "\"", 1);
	uint32_t point;

	while (at < size && failed == 0) {
		run = plain_run(from + at, size - at);
		failed = blob_add(b, from + at, run);
		if ((at += run) == size || failed != 0)
			break;
		failed = utf8_next(from + at, size - at, &point) <= 0 ? blob_add_text(b, UTF8_REPLACEMENT)
		                                                      : add_escape(b, point);
		at++;
	}
	if (failed != 0 || blob_add(b, "\"", 1) == -1) {
		b->size = before;
		return (-1);
	}
	return (0);
}

void
blob_drop(struct blob *b, size_t size)
{
	if (size >= b->size) {
		blob_clear(b);
		return;
	}
	memmove(b->at, b->at + size, b->size - size);
	OPENSSL_cleanse(b->at + b->size - size, size);
	b->size -= size;
}

void
blob_clear(struct blob *b)
{
	if (b->size > 0)
		OPENSSL_cleanse(b->at, b->size);
	b->size = 0;
}

void
blob_free(struct blob *b)
{
	if (b->at != NULL)
		OPENSSL_cleanse(b->at, b->room);
	free(b->at);
	*b = (struct blob){.at = NULL};
}

int
blob_read(struct blob *b, int fd, size_t max)
{
	size_t before = b->size;
	ssize_t got;

	for (;;) {
		if (blob_reserve(b, 65536) == -1) {
			errno = ENOMEM;
			break;
		}
		got = pread(fd, b->at + b->size, 65536, (off_t)(b->size - before));
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			break;
		if (got == 0)
			return (0);
		b->size += (size_t)got;
		if (b->size - before > max) {
			errno = EFBIG;
			break;
		}
	}
	OPENSSL_cleanse(b->at + before, b->size - before);
	b->size = before;
	return (-1);
}

int
blob_read_at(struct blob *b, int dir, const char *name, size_t max)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	int result = -1, saved;
	struct stat st;

	if (fd == -1)
		return (-1);
	if (fstat(fd, &st) == -1)
		goto out;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		goto out;
	}
	result = blob_read(b, fd, max);
out:
	saved = errno;
	(void)close(fd);
	errno = saved;
	return (result);
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (c - 'A');
	if (c >= 'a' && c <= 'z')
		return (c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (c - '0' + 52);
	return (c == '+' ? 62 : c == '/' ? 63 : -1);
}

int
base64_decode_bare(const char *text, size_t length, unsigned char *out, size_t room, size_t *size)
{
	uint32_t group = 0;
	unsigned bits = 0;
	size_t made = 0;

	if (length % 4 == 1)
		return (-1);
	for (size_t i = 0; i < length; i++) {
		int value = base64_value(text[i]);

		if (value == -1)
			return (-1);
		group = group << 6 | (uint32_t)value;
		bits += 6;
		if (bits < 8)
			continue;
		if (made == room)
			return (-1);
		bits -= 8;
		out[made++] = (unsigned char)(group >> bits);
	}
	if ((group & ((1U << bits) - 1)) != 0)
		return (-1);
	*size = made;
	return (0);
}

int
base64_decode(const char *text, size_t length, unsigned char *out, size_t room, size_t *size)
{
	size_t bare = length;

	if (length % 4 != 0)
		return (-1);
	while (bare > 0 && length - bare < 2 && text[bare - 1] == '=')
		bare--;
	return (base64_decode_bare(text, bare, out, room, size));
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

int
hex_decode(const char *text, size_t length, unsigned char *out, size_t room)
{
	if (length != 2 * room)
		return (-1);
	for (size_t i = 0; i < room; i++) {
		int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);

		if (high == -1 || low == -1)
			return (-1);
		out[i] = (unsigned char)(high << 4 | low);
	}
	return (0);
}
