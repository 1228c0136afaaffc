/*
 * The algorithms of a target's leg (algorithms.def), for those who look one up or make a name-list of them.
 */
#ifndef CONTRACT_ALGORITHMS_H
#define CONTRACT_ALGORITHMS_H

#include <stddef.h>

#include "base/wire.h"

enum algorithm_kind { ALGORITHM_KEX, ALGORITHM_HOSTKEY, ALGORITHM_CIPHER, ALGORITHM_MAC, ALGORITHM_KINDS };
enum algorithm_age { ALGORITHM_MODERN, ALGORITHM_LEGACY };

struct algorithm {
	enum algorithm_kind kind;
	enum algorithm_age age;
	const char *name;
};

#define ALGORITHMS_TEXT 1024 /* room for a name-list of all of a kind, or of all that is old */

/* The i-th row in order of preference; NULL past the last. */
const struct algorithm *algorithm_at(size_t i);
/* The row of that name; NULL: there is none. */
const struct algorithm *algorithm_find(struct bytes name);
/* Nonzero when the name-list has the name. */
int algorithm_list_has(struct bytes list, struct bytes name);
/* The next name of a name-list, taken off its front; len 0 at the end. */
struct bytes algorithm_list_next(struct bytes *list);
/*
 * Prints what is offered to a target of one kind: the modern ones, then those of `legacy` (a name-list, lent; what it has of
 * other kinds does not matter).  -1: no room.
 */
int algorithms_print(enum algorithm_kind kind, struct bytes legacy, char *to, size_t size);

#endif
