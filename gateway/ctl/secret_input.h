/* A secret from whoever calls `lodge`: typed twice without echo, or whole from standard input; never from the words. */
#ifndef CTL_SECRET_INPUT_H
#define CTL_SECRET_INPUT_H

#include "base/secret.h"

#define SECRET_INPUT_MAX 16384 /* bytes; a private key is the longest */

enum secret_input { SECRET_PASSWORD, SECRET_KEY };

/*
 * Gives it in *s (empty before), of a password one line end taken off.  -1: said on standard error already; nothing is
 * left in memory.  `about` names it in the question.
 */
int secret_input(struct secret *s, enum secret_input what, const char *about);

#endif
