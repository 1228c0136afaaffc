#include "scan_hello.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

#define LINES_BYTES 8192 /* of lines before the version (RFC 4253 4.2: a server may send some) */
#define PACKET_MAX 35000 /* RFC 4253 6.1 */
#define PADDING_LEAST 4
#define NAME_MAX_BYTES 64 /* of one algorithm (RFC 4251 6) */
#define PACKETS_BEFORE 8  /* IGNORE and DEBUG, before its KEXINIT */

enum { DISCONNECT = 1, IGNORE = 2, DEBUG = 4, KEXINIT = 20 };

/* The first line of `from`, without its end; -1: it has no end yet. */
static int
line_take(struct bytes *from, struct bytes *line)
{
	const uint8_t *end = from->len == 0 ? NULL : memchr(from->at, '\n', from->len);

	if (end == NULL)
		return (-1);
	*line = bytes_of(from->at, (size_t)(end - from->at));
	*from = bytes_of(end + 1, from->len - line->len - 1);
	if (line->len > 0 && line->at[line->len - 1] == '\r')
		line->len--;
	return (0);
}

static int
begins(struct bytes line, const char *with)
{
	return (line.len >= strlen(with) && memcmp(line.at, with, strlen(with)) == 0);
}

void
hello_so_far(struct bytes from, char why[HELLO_WHY])
{
	struct bytes first = from, line;
	char clean[HELLO_WHY - 32];

	if (from.len == 0) {
		(void)snprintf(why, HELLO_WHY, "it said nothing");
		return;
	}
	if (line_take(&first, &line) == -1)
		line = from;
	text_safe(clean, sizeof(clean), bytes_of(line.at, line.len < 120 ? line.len : 120));
	(void)snprintf(why, HELLO_WHY, "it said \"%s\"", clean);
}

static enum hello_read
version_read(struct hello *h, struct bytes *from, char why[HELLO_WHY])
{
	struct bytes all = *from, line;

	while (line_take(from, &line) == 0) {
		if (begins(line, "SSH-2.0-") || begins(line, "SSH-1.99-")) {
			text_safe(h->version, sizeof(h->version), line);
			return (HELLO_DONE);
		}
		if (begins(line, "SSH-")) {
			text_safe(h->version, sizeof(h->version), line);
			(void)snprintf(why, HELLO_WHY, "it speaks another protocol than SSH 2: %.200s", h->version);
			return (HELLO_BAD);
		}
		if (all.len - from->len > LINES_BYTES)
			break;
	}
	if (all.len - from->len <= LINES_BYTES && from->len <= LINES_BYTES)
		return (HELLO_MORE);
	hello_so_far(all, why);
	(void)snprintf(why + strlen(why), HELLO_WHY - strlen(why), ", which is no ssh server's word");
	return (HELLO_BAD);
}

/* The payload of the next packet, taken off the front (RFC 4253 6; no cipher and no MAC yet). */
static enum hello_read
packet_take(struct bytes *from, struct bytes *payload, char why[HELLO_WHY])
{
	struct reader r = reader_of(*from);
	uint32_t len = reader_get_u32(&r);
	uint8_t padding = reader_get_u8(&r);

	if (r.failed)
		return (HELLO_MORE);
	if (len > PACKET_MAX || padding < PADDING_LEAST || len < (uint32_t)padding + 2) {
		(void)snprintf(why, HELLO_WHY, "behind its version comes no ssh packet");
		return (HELLO_BAD);
	}
	if (from->len < 4 + (size_t)len)
		return (HELLO_MORE);
	*payload = reader_get_raw(&r, (size_t)len - 1 - padding);
	*from = bytes_of(from->at + 4 + len, from->len - 4 - len);
	return (HELLO_DONE);
}

/* A name-list of RFC 4251 5: names of printable ASCII.  -1: it is none. */
static int
list_read(struct bytes list, char to[HELLO_LIST])
{
	size_t name = 0;

	if (list.len >= HELLO_LIST)
		return (-1);
	for (size_t i = 0; i < list.len; i++) {
		name = list.at[i] == ',' ? 0 : name + 1;
		if (list.at[i] <= ' ' || list.at[i] > '~' || name > NAME_MAX_BYTES)
			return (-1);
	}
	return (bytes_copy(to, HELLO_LIST, list));
}

static enum hello_read
kexinit_read(struct hello *h, struct bytes payload, char why[HELLO_WHY])
{
	struct reader r = reader_of(payload);

	(void)reader_get_u8(&r);
	(void)reader_get_raw(&r, 16); /* the cookie */
	for (int i = 0; i < HELLO_LISTS; i++)
		if (list_read(reader_get_bytes(&r), h->lists[i]) == -1 || r.failed) {
			(void)snprintf(why, HELLO_WHY, "its list of algorithms (KEXINIT) does not read");
			return (HELLO_BAD);
		}
	return (HELLO_DONE);
}

/* It does not want to talk (RFC 4253 11.1). */
static enum hello_read
disconnect_read(struct bytes payload, char why[HELLO_WHY])
{
	struct reader r = reader_of(payload);
	char clean[HELLO_WHY - 64];
	struct bytes text;

	(void)reader_get_u8(&r);
	(void)reader_get_u32(&r);
	text = reader_get_bytes(&r);
	text_safe(clean, sizeof(clean), bytes_of(text.at, text.len < 120 ? text.len : 120));
	(void)snprintf(why, HELLO_WHY, "it disconnected: \"%s\"", clean);
	return (HELLO_BAD);
}

enum hello_read
hello_read(struct hello *h, struct bytes from, char why[HELLO_WHY])
{
	enum hello_read got = version_read(h, &from, why);
	struct bytes payload;

	for (int i = 0; got == HELLO_DONE && i <= PACKETS_BEFORE; i++) {
		if ((got = packet_take(&from, &payload, why)) != HELLO_DONE)
			return (got);
		if (payload.at[0] == KEXINIT)
			return (kexinit_read(h, payload, why));
		if (payload.at[0] == DISCONNECT)
			return (disconnect_read(payload, why));
		if (payload.at[0] != IGNORE && payload.at[0] != DEBUG)
			break;
	}
	if (got != HELLO_DONE)
		return (got);
	(void)snprintf(why, HELLO_WHY, "it speaks before it says its algorithms");
	return (HELLO_BAD);
}
