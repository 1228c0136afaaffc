/*
 * A code given anew, after the login, in the channel of a verb that wants one: auth's questions on standard error, the
 * answers read from what the person types there, a line each.
 *
 * On a terminal only what is typed after a question was shown is an answer to it, and nothing is echoed but where auth says
 * so; without one the lines of standard input are taken in their order.  The end of input, Ctrl-C and Ctrl-D answer nothing.
 */
#ifndef SESSION_FRESH_H
#define SESSION_FRESH_H

#include "channel.h"

struct fresh;

/* auth's PROMPTS: 1 when they were for a verb. */
int fresh_on_prompts(struct session *s, const struct msg_prompts *m);
/* auth's question is for somebody who has left: nothing is answered, so that it goes on to the next. */
void fresh_unanswered(struct session *s, uint32_t ask);
/* A turn of a channel that is asked; 1 when something moved. */
int fresh_turn(struct channel *c);
void fresh_free(struct fresh *f); /* wipes; NULL is fine */

#endif
