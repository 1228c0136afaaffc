/*
 * One connection to a target that shows one of its host keys, proved by a whole key exchange, and where that is asked the
 * login methods that it offers somebody whom it does not know.  No credential is ever sent; all that libssh has is allowed.
 */
#ifndef SESSION_SCAN_KEY_H
#define SESSION_SCAN_KEY_H

#include "leg.h"

#define SCAN_KEY_LINE 4162
#define SCAN_KEY_TEXT 320

enum scan_key_asks { SCAN_KEY_ALONE, SCAN_KEY_AND_METHODS };
enum scan_key_state { SCAN_KEY_EXCHANGE, SCAN_KEY_METHODS, SCAN_KEY_OVER };

/* Zero is one that never began. */
struct scan_key {
	enum scan_key_state state;
	enum scan_key_asks asks;
	struct leg leg;
	char line[SCAN_KEY_LINE];    /* "ssh-ed25519 AAAA..."; "" until it is proved */
	char methods[SCAN_KEY_TEXT]; /* "publickey,password"; "" until it is told */
	char why[SCAN_KEY_TEXT];     /* what went wrong, clean text */
};

/* fd is given; algorithms: a name-list of the host key's.  -1: it cannot begin; why says so. */
int scan_key_begin(struct scan_key *k, struct loop *loop, int fd, const char *algorithms, enum scan_key_asks asks,
    leg_on_wake *wake, void *ctx);
/* After each wake.  1: something moved, and it wants another turn.  state is OVER when there is no more to come. */
int scan_key_turn(struct scan_key *k);
void scan_key_end(struct scan_key *k);

#endif
