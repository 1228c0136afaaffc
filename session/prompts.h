/*
 * One round of questions from auth, made fit for whoever reads them, and its answers (RFC 4256 3.2): for a login, and for a
 * code that is wanted anew.  What is answered is wiped.
 */
#ifndef SESSION_PROMPTS_H
#define SESSION_PROMPTS_H

#include "base/wire.h"
#include "contract/messages.h"

#define PROMPTS_MAX 16 /* in one round */

/* Zero is a round without anything. */
struct prompts {
	uint16_t count;
	char *name, *instruction; /* never NULL once read */
	char *prompt[PROMPTS_MAX];
	char echo[PROMPTS_MAX];
};

/* 0; -1: it does not read, or has too many. */
int prompts_read(struct prompts *p, const struct msg_prompts *m);
void prompts_free(struct prompts *p); /* wipes: an invitation's secret stands in one; zero again */

#endif
