/*
 * What an engineer signed to log in: the text under a publickey userauth request (RFC 4252 §7, and OpenSSH's
 * publickey-hostbound-v00@openssh.com, PROTOCOL §3.1).
 *
 * Who somebody is comes from this text alone, never from what a session says beside it.
 */
#ifndef AUTH_PROOF_H
#define AUTH_PROOF_H
#include "blob.h"

/* No login name that we accept is longer, its target part included. */
#define PROOF_USER_SIZE 256

enum proof_fault {
	PROOF_GOOD,
	PROOF_MALFORMED,
	PROOF_WRONG_SESSION, /* not over the identifier that we signed for this connection */
	PROOF_WRONG_SERVICE, /* not for ssh-connection */
	PROOF_WRONG_METHOD,
	PROOF_WRONG_HOST_KEY, /* bound to a host key that is not ours */
};

struct proof {
	char user[PROOF_USER_SIZE]; /* as typed, target part and all */
	struct bytes algorithm;     /* lent, out of the text */
	struct bytes key;
	int host_bound;
};

/*
 * Reads `text`, which must begin with `identifier` (the session identifier, never empty) and, when it is
 * host-bound, end with `host_key`.  Whether the signature fits is key_verify()'s.
 */
enum proof_fault proof_parse(struct bytes text, struct bytes identifier, struct bytes host_key, struct proof *p);

#endif
