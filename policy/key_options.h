/*
 * What may stand before a person's key, in the words of authorized_keys(5): from="...", expiry-time="...",
 * valid-from="..." (ours, written as expiry-time) and verify-required.  Every other option is refused, with a line that
 * says why: what may be done is the grant's to say.
 *
 * from lists addresses and networks alone, no names, wildcards or negation.  Times are those of the reader's zone, or UTC
 * with a Z behind them.  Quotes may be missing: the shell of whoever typed it has often eaten them.
 */
#ifndef POLICY_KEY_OPTIONS_H
#define POLICY_KEY_OPTIONS_H
#include <stddef.h>

#include "rows.h"

#define KEY_WHY 256

struct key_options {
	int64_t valid_from, valid_until; /* wall clock; 0: not said */
	char networks[ROW_WORDS];
	int64_t bits; /* of enum key_option */
};

/* Reads the list at *p up to the blank behind it, and moves on to what follows.  -1 and why, one line. */
int key_options_read(struct key_options *o, const char **p, char why[KEY_WHY]);

struct key_options key_options_of(const struct person_key *key);
/* As they would be typed, times in UTC: from="192.0.2.0/24",verify-required; "" when there are none. */
#define KEY_OPTIONS_TEXT (ROW_WORDS + 128)
void key_options_print(const struct key_options *o, char text[KEY_OPTIONS_TEXT]);
#endif
