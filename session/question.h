/*
 * What a channel asks policy, and the wait for its answer: inside the channel, nothing flowing, keepalives going on; a
 * line that lives on a terminal, one line on standard error elsewhere.
 */
#ifndef SESSION_QUESTION_H
#define SESSION_QUESTION_H

#include "channel.h"

/* GATHERING to ASKING: c->kind and c->command say what it wants to be. */
void question_ask(struct channel *c);
void question_turn(struct channel *c); /* ASKING */
void question_tick(struct channel *c);

/* From policy. */
void question_on_verdict(struct session *s, const struct msg_verdict *m);
void question_on_notice(struct session *s, const struct msg_notice *m);
void questions_policy_anew(struct session *s);

#endif
