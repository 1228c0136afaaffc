/*
 * An agent for one login at one target: the socket's other end is the session's, and speaks what ssh-agent speaks
 * (draft-ietf-sshm-ssh-agent; OpenSSH's PROTOCOL.agent).
 *
 * It knows one key, and signs once: a userauth request (RFC 4252 7) for the account that was permitted, by that very key,
 * with an algorithm that fits it.  All else is answered with a failure, and told.  What it signs for is not known to be
 * the target: the session names the session identifier, and only it knows the host; so a signature is worth no more than
 * the connection that it was permitted for, which is the one that the session holds.
 *
 * Nothing waits: a request is answered at once, and whoever does not read the answer, or sends more than fits, is closed.
 */
#ifndef AUTH_AGENT_H
#define AUTH_AGENT_H
#include "base/loop.h"
#include "blob.h"
#include "contract/tables.h"
#include "private_key.h"

#define AGENT_REQUEST_MAX 16384
#define AGENT_REQUESTS 16 /* in one agent's life */

struct agent;

/* What may be signed. */
struct agent_terms {
	const char *account;
	int sha1;  /* the target knows ssh-rsa only */
	int signs; /* 0: the one signature was given already */
};

enum agent_outcome { AGENT_LISTED, AGENT_SIGNED, AGENT_REFUSED };

/*
 * Answers one request (what stands behind its length) into reply, length and all.  AGENT_REFUSED: the answer is a failure,
 * *reason and *why say what was wrong with it.
 */
enum agent_outcome agent_answer(const struct private_key *key, const struct agent_terms *terms,
    struct bytes request, struct wire *reply, enum reason *reason, const char **why);

/* Called from the loop: as agent_answer(), with the key and the terms of whoever opened it.  An empty reply closes it. */
typedef enum agent_outcome agent_on_request(void *ctx, struct bytes request, struct wire *reply);

/* Gives the session's end in *theirs.  NULL: no memory or descriptors. */
struct agent *agent_open(struct loop *loop, agent_on_request *on_request, void *ctx, int *theirs);
void agent_close(struct agent *a); /* NULL is fine; not inside on_request */

#endif
