/*
 * One UTF-8 character at a time, strictly (RFC 3629): no surrogates, nothing overlong, nothing past U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

enum { UTF8_BAD = -1, UTF8_CUT = 0 };

/*
 * Reads one character at `from` (size > 0).  Returns its length 1..4 and sets *point; UTF8_CUT when all `size` bytes
 * are the beginning of a character that may still come; UTF8_BAD when the first byte can be nothing.
 */
int utf8_next(const unsigned char *from, size_t size, uint32_t *point);

/* 1 when all `size` bytes are whole characters, else 0. */
int utf8_is_text(const unsigned char *from, size_t size);

/* How many bytes at the end (0..3) begin a character that is not finished there. */
size_t utf8_tail(const unsigned char *from, size_t size);

/* What reorders or hides the writing: U+200B to 200F, 2028 to 202E, 2060 to 206F (Unicode TR 36). */
int utf8_reorders(uint32_t point);

#endif
