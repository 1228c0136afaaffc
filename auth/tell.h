/*
 * What policy is told for the book, kept while policy is away.
 *
 * A message is encoded when it is told, so nothing of the teller's memory is needed later.  The number kept is bounded:
 * the oldest is forgotten first, which the log says.
 */
#ifndef AUTH_TELL_H
#define AUTH_TELL_H
#include "contract/peer.h"

#define TELLS_MAX 1024

struct tells;

struct tells *tells_new(void); /* NULL: no memory */
void tells_free(struct tells *t);

/* Sends m (without a descriptor) to policy; NULL: keeps it. */
void tells_add(struct tells *t, struct peer *policy, struct message *m);
/* policy is back: says all that was kept, in its order. */
void tells_flush(struct tells *t, struct peer *policy);

/* peer_post for a house h, whose policy may be away. */
#define tell_policy(h, NAME, name, ...) \
	tells_add((h)->tells, (h)->policy, &(struct message){.type = MSG_##NAME, .fd = -1, .name = {__VA_ARGS__}})

#endif
