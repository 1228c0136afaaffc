/*
 * A growing run of bytes that wipes itself.  Zero is a valid empty value.  Everything in format/ that makes
 * bytes appends to one of these, so that no plaintext of a recording outlives its use in freed memory.
 */
#ifndef FORMAT_BLOB_H
#define FORMAT_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct blob {
	unsigned char *at; /* NULL while room is 0 */
	size_t size;       /* bytes in use */
	size_t room;       /* bytes allocated */
};

/* Append.  Each returns 0, or -1 (and leaves the value as it was) when there is no memory. */
int blob_add(struct blob *b, const void *from, size_t size);
int blob_add_text(struct blob *b, const char *text);
int blob_add_format(struct blob *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int blob_add_hex(struct blob *b, const unsigned char *from, size_t size);
int blob_add_base64(struct blob *b, const unsigned char *from, size_t size);      /* with padding */
int blob_add_base64_bare(struct blob *b, const unsigned char *from, size_t size); /* without */

/* Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
int blob_add_json(struct blob *b, const void *text, size_t size);

/* Makes room for `more` bytes after `size` without a change of content; 0, or -1. */
int blob_reserve(struct blob *b, size_t more);

/* Removes the first `size` bytes (at most all of them); what was behind moves to the front. */
void blob_drop(struct blob *b, size_t size);

/* Wipes the content and keeps the room. */
void blob_clear(struct blob *b);

/* Wipes and frees; `b` is empty and usable again. */
void blob_free(struct blob *b);

/* The whole of an open file from its start, at most `max` bytes.  0; -1 and errno (EFBIG when longer). */
int blob_read(struct blob *b, int fd, size_t max);

/* The same, by name inside `dir` (lent); never follows a symbolic link, only a regular file (else EINVAL). */
int blob_read_at(struct blob *b, int dir, const char *name, size_t max);

/*
 * Strict text to bytes: one spelling only, no white space.  `out` holds `room` bytes.  0 and *size set; -1 when
 * anything is odd or too long.
 */
int base64_decode(const char *text, size_t length, unsigned char *out, size_t room, size_t *size);
int base64_decode_bare(const char *text, size_t length, unsigned char *out, size_t room, size_t *size);
int hex_decode(
    const char *text, size_t length, unsigned char *out, size_t room); /* length must be 2*room; lower case */

#endif
