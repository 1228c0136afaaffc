/*
 * Bech32 (BIP 173, without its limit of 90 characters) as age's keys are spelt.  All lower case or all upper case.
 */
#ifndef FORMAT_BECH32_H
#define FORMAT_BECH32_H

#include <stddef.h>

enum { BECH32_TEXT_MAX = 128 };

/* Spells `size` bytes behind `prefix` (lower case) into `out`, NUL-terminated; 0, or -1 when `room` is too small. */
int bech32_encode(const char *prefix, const unsigned char *from, size_t size, char *out, size_t room);

/* Reads `text` whose prefix must be `prefix` (as spelt, its case is the text's case); exactly `size` bytes.  0/-1. */
int bech32_decode(const char *prefix, const char *text, unsigned char *out, size_t size);

#endif
