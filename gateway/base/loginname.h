/*
 * The one splitter of login names: person[+target[+account]], with + space % : # as separators (the client's own
 * syntax eats some of them).  Who the person is, is not decided here.
 */
#ifndef BASE_LOGINNAME_H
#define BASE_LOGINNAME_H

#include "base/wire.h"

#define LOGINNAME_PART_MAX 64 /* bytes of each part */

struct loginname {
	char person[LOGINNAME_PART_MAX + 1];
	char target[LOGINNAME_PART_MAX + 1];  /* "" when not given */
	char account[LOGINNAME_PART_MAX + 1]; /* "" when not given */
};

/* 0; -1 when a part is empty where another follows, too long, or has a byte other than [A-Za-z0-9._@-] (first one alphanumeric or _). */
int loginname_split(struct bytes name, struct loginname *to);

#endif
