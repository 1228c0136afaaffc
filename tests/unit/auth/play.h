/* The test as lodge-pam: what auth asked it for, and what it says. */
#ifndef PLAY_H
#define PLAY_H

#include "visit.h"

/* PAM_WANTED, a link, and the PAM_BEGIN that came over it; checked. */
void play_begin(struct bench *b, struct end *pam, unsigned what, const char *service);
/* Asks for a code. */
void play_ask(struct end *pam);
/* Asks for a code, sees that v was asked by `ask`, answers it, and says so. */
void play_code(struct visit *v, struct end *pam, uint32_t ask, enum reason reason);
void play_says(struct end *pam, enum reason reason);

/* Key and step, up to the event. */
void play_key(struct visit *v);
/* The whole login by the test's own PAM: in. */
void play_login(struct visit *v, struct end *pam, unsigned what);

#endif
