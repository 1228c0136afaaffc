/*
 * Whoever fails too often waits: a source address (an IPv6 one by its /64), and, for the second factor only, a name.
 *
 * A few failures cost nothing; then each doubles the wait, from `least` to `most`.  A name is counted only after its
 * key was proved, so nobody without the key can lock its owner out.  At most PENALTY_ENTRIES are remembered, in memory
 * alone; when they are full the one that has been quiet longest is forgotten.
 */
#ifndef AUTH_PENALTY_H
#define AUTH_PENALTY_H
#include <stdint.h>

#define PENALTY_ENTRIES 4096
#define PENALTY_FREE 5 /* failures that cost nothing */
#define PENALTY_QUIET_MS \
	(10 * 60 * 1000) /* after this long without a failure, and no wait left, all is forgotten */
#define PENALTY_FORGIVE_MS (2 * 60 * 1000) /* for each of these since the last failure one is forgiven */

enum penalty_kind { PENALTY_SOURCE = 1, PENALTY_NAME = 2 };

struct penalties;

/* Spans in ms; least 0: nobody ever waits.  NULL: no memory. */
struct penalties *penalties_new(int64_t least_ms, int64_t most_ms);
void penalties_free(struct penalties *p);

void penalty_add(struct penalties *p, enum penalty_kind kind, const char *whom, int64_t now_boot_ms);
/* How much longer they wait, in ms; 0 when they do not. */
int64_t penalty_left(const struct penalties *p, enum penalty_kind kind, const char *whom, int64_t now_boot_ms);
void penalty_clear(struct penalties *p, enum penalty_kind kind, const char *whom);

#endif
