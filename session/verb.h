/* A person's words in a channel: carried to policy, and its answer back, to the last byte. */
#ifndef SESSION_VERB_H
#define SESSION_VERB_H

#include "channel.h"

void verb_begin(struct channel *c); /* c->command, or none: policy shows its menu where there is a terminal */
void verb_on_out(struct session *s, const struct msg_verb_out *m);
void verb_on_stream(struct session *s, uint32_t ask, int fd); /* fd given */
void verb_on_end(struct session *s, const struct msg_verb_end *m);
void verbs_policy_anew(struct session *s);
int verb_turn(struct channel *c);
void verb_free(struct channel *c); /* tells policy that nobody listens any more, when it has not ended */

#endif
