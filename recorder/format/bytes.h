/*
 * A growing run of bytes that wipes itself.  Zero is a valid empty value.  Everything in format/ that makes
 * bytes appends to one of these, so that no plaintext of a recording outlives its use in freed memory.
 */
#ifndef FORMAT_BYTES_H
#define FORMAT_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct bytes {
	unsigned char	*at;	/* NULL while room is 0 */
	size_t		 size;	/* bytes in use */
	size_t		 room;	/* bytes allocated */
};

/* Append.  Each returns 0, or -1 (and leaves the value as it was) when there is no memory. */
int	bytes_add(struct bytes *b, const void *from, size_t size);
int	bytes_add_text(struct bytes *b, const char *text);
int	bytes_add_format(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int	bytes_add_hex(struct bytes *b, const unsigned char *from, size_t size);
int	bytes_add_base64(struct bytes *b, const unsigned char *from, size_t size);		/* with padding */
int	bytes_add_base64_bare(struct bytes *b, const unsigned char *from, size_t size);	/* without */

/* Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
int	bytes_add_json(struct bytes *b, const void *text, size_t size);

/* Makes room for `more` bytes after `size` without a change of content; 0, or -1. */
int	bytes_reserve(struct bytes *b, size_t more);

/* Removes the first `size` bytes (at most all of them); what was behind moves to the front. */
void	bytes_drop(struct bytes *b, size_t size);

/* Wipes the content and keeps the room. */
void	bytes_clear(struct bytes *b);

/* Wipes and frees; `b` is empty and usable again. */
void	bytes_free(struct bytes *b);

/* The whole of an open file from its start, at most `max` bytes.  0; -1 and errno (EFBIG when longer). */
int	bytes_read(struct bytes *b, int fd, size_t max);

/* The same, by name inside `dir` (lent); never follows a symbolic link, only a regular file (else EINVAL). */
int	bytes_read_at(struct bytes *b, int dir, const char *name, size_t max);

/*
 * Strict text to bytes: one spelling only, no white space.  `out` holds `room` bytes.  0 and *size set; -1 when
 * anything is odd or too long.
 */
int	base64_decode(const char *text, size_t length, unsigned char *out, size_t room, size_t *size);
int	base64_decode_bare(const char *text, size_t length, unsigned char *out, size_t room, size_t *size);
int	hex_decode(const char *text, size_t length, unsigned char *out, size_t room);	/* length must be 2*room; lower case */

#endif
