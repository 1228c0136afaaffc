/*
 * One agent's socket, asked for its one key and for one signature (draft-ietf-sshm-ssh-agent 3).  auth sits at the other end.
 * Nothing here waits: an answer is there or not yet, and no answer is longer than AGENT_ANSWER_MAX.
 */
#ifndef SESSION_AGENT_H
#define SESSION_AGENT_H

#include <stdint.h>

#include "base/wire.h"

#define AGENT_ANSWER_MAX (16 * 1024)
#define AGENT_RSA_SHA2_256 2 /* flags of a request to sign */
#define AGENT_RSA_SHA2_512 4

struct agent;
struct loop;

typedef void agent_on_wake(void *ctx);

/* fd is given.  NULL: no memory (fd is closed). */
struct agent *agent_new(struct loop *loop, int fd, agent_on_wake *wake, void *ctx);
void agent_free(struct agent *a); /* closes; NULL is fine */

/* One question at a time.  0, or -1: it cannot be asked. */
int agent_ask_keys(struct agent *a);
int agent_ask_signature(struct agent *a, struct bytes key, struct bytes text, uint32_t flags);

/* The answer: 1 when it is there (lent until the next question), 0 not yet, -1 when there is none to come: the agent refused,
 * left, or broke the protocol. */
int agent_key(struct agent *a, struct bytes *key); /* the first one's blob */
int agent_signature(struct agent *a, struct bytes *signature);

#endif
