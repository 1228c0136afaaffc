/*
 * The host keys by which a target is known: those that are pinned, the one it showed first, and one it showed that is not
 * good, as evidence.  Any pinned key is good at the first exchange; at each later one (a rekey) only the same.
 */
#ifndef SESSION_HOST_KEYS_H
#define SESSION_HOST_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"

#define HOST_KEY_FINGERPRINT 52   /* room for "SHA256:..." as ssh-keygen -l prints it */
#define HOST_KEYS_ALGORITHMS 1024 /* room for a name-list */

/* Zero is one without keys. */
struct host_keys {
	struct wire pinned; /* repeated {bytes blob}, read through once */
	struct wire first;  /* the blob that it showed first; empty before the exchange */
	struct wire shown;  /* a blob that is not good */
};

/* Takes VERDICT's list of pinned keys (lent).  -1: there is none, or it does not read. */
int host_keys_take(struct host_keys *k, struct bytes list);
void host_keys_free(struct host_keys *k);

/* A key proved itself: 1 when it is good; else it is kept as evidence. */
int host_keys_see(struct host_keys *k, struct bytes key);
int host_keys_differ(const struct host_keys *k); /* 1 once one was not good */

/* The signature algorithms of the pinned keys' kinds, as in a key exchange, the preferred first (RFC 4253 7.1, RFC 8332);
 * legacy: a name-list of what is allowed beyond the modern ones.  -1: no room, or none. */
int host_keys_algorithms(const struct host_keys *k, struct bytes legacy, char *to, size_t size);

/* "SHA256:..." */
void host_key_fingerprint(struct bytes key, char to[HOST_KEY_FINGERPRINT]);
/* The first one's; "" before the exchange. */
void host_keys_first(const struct host_keys *k, char to[HOST_KEY_FINGERPRINT]);
/* The key that is not good as a line of authorized_keys begins: "ssh-ed25519 AAAA...".  Gives a string (free it). */
char *host_keys_shown(const struct host_keys *k);
/* The engineer's words about it, the fingerprints in them. */
void host_keys_line(const struct host_keys *k, const char *target, char *to, size_t size);
/* {"host_key":{"shown":"ssh-ed25519 AAAA...","pinned":["SHA256:...",...],"at":"login"|"rekey"}}.  Gives a string. */
char *host_keys_fact(const struct host_keys *k);

#endif
