/*
 * Bytes on the wire: a writer that grows and a reader that refuses.  Numbers are big-endian, text and bytes stand
 * behind a u32 length (as RFC 4251 5 writes them).
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stddef.h>
#include <stdint.h>

/* A run of bytes that somebody else owns.  {NULL, 0} is empty. */
struct bytes {
	const uint8_t *at;
	size_t len;
};

struct bytes bytes_of(const void *at, size_t len);
struct bytes bytes_text(const char *text);       /* without the NUL; NULL is empty */
int bytes_equal(struct bytes a, struct bytes b); /* not constant time */
int bytes_are(struct bytes a, const char *text);
char *bytes_dup(struct bytes b);                       /* gives a NUL-ended copy (free it); NULL: no memory */
int bytes_copy(char *to, size_t size, struct bytes b); /* -1 when it does not fit or holds a NUL; NUL-ended */

/* A writer.  Zero is a valid empty one.  After a failure (no memory, past `limit` when not 0) `failed` stays 1. */
struct wire {
	uint8_t *at;
	size_t len;
	size_t room;
	size_t limit;
	int failed;
};

void wire_put_u8(struct wire *w, uint8_t v);
void wire_put_u16(struct wire *w, uint16_t v);
void wire_put_u32(struct wire *w, uint32_t v);
void wire_put_u64(struct wire *w, uint64_t v);
void wire_put_i64(struct wire *w, int64_t v);
void wire_put_raw(struct wire *w, const void *at, size_t len);
void wire_put_bytes(struct wire *w, struct bytes b);
void wire_put_text(struct wire *w, struct bytes b); /* fails on a NUL inside */
struct bytes wire_bytes(const struct wire *w);      /* what was written; lent until the next put */
void wire_clear(struct wire *w);                    /* empties and wipes it; the memory stays */
void wire_free(struct wire *w);                     /* wipes and frees; w is empty again */

/* A reader over somebody else's bytes.  Once `failed`, every get gives zero or empty and it stays failed. */
struct reader {
	const uint8_t *at;
	size_t left;
	int failed;
};

struct reader reader_of(struct bytes b);
uint8_t reader_get_u8(struct reader *r);
uint16_t reader_get_u16(struct reader *r);
uint32_t reader_get_u32(struct reader *r);
uint64_t reader_get_u64(struct reader *r);
int64_t reader_get_i64(struct reader *r);
struct bytes reader_get_raw(struct reader *r, size_t len);
struct bytes reader_get_bytes(struct reader *r);
struct bytes reader_get_text(struct reader *r); /* fails on a NUL inside */
int reader_end(const struct reader *r);         /* 1 when all was read and nothing failed */

#endif
