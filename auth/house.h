/*
 * lodge-auth as a whole: its keys, its links, and the visitors it vouches for.
 *
 * Links may be replaced at any moment: gateway says LINK again, and what was unanswered is said again.  A session that
 * breaks the protocol loses its link, and nobody else does; a malformed message from policy stops this process.
 */
#ifndef AUTH_HOUSE_H
#define AUTH_HOUSE_H
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "contract/peer.h"
#include "contract/roles.h"
#include "contract/settings.h"
#include "contract/tables.h"
#include "live.h"
#include "penalty.h"
#include "signer.h"
#include "tell.h"
#include "vault.h"

#define HOUSE_BUCKETS 1024
#define HOUSE_TALKS_MAX 64       /* PAM conversations at once */
#define HOUSE_CHECKS_MAX 16      /* accounts examined at once, besides; more wait their turn */
#define HOUSE_ATTEMPTS_MAX 1024  /* attempts remembered for a policy that is away */
#define HOUSE_CODE_DELAY_MS 2000 /* a wrong code is answered no sooner */
#define HOUSE_CODE_DELAY_MAX_MS 10000

struct visitor;
struct enrol;
struct caller;
struct rekey;

/* One attempt to log in, for the book. */
struct attempt {
	uint64_t conn;
	char login[LIVE_LOGIN_SIZE];
	const char *method;
	enum reason reason;
	char source[LIVE_SOURCE_SIZE];
	uint16_t port;
	char fingerprint[LIVE_PRINT_SIZE];
	int64_t at_wall_ms;
};

struct house {
	/* for life */
	struct loop *loop;
	const struct settings *set; /* lent */
	struct signer *host_key;
	struct signer *user_ca;
	struct penalties *penalties;
	struct vault *vault;
	struct tells *tells; /* for policy, while it is away */
	struct roles roles;  /* what each must show */

	/* as gateway gives them */
	struct peer *gateway;
	struct peer *policy; /* NULL while away */
	struct live *live;   /* NULL until the table came */

	/* our own door */
	int door_fd;
	struct watch *door_watch; /* NULL: there is none yet */
	struct caller *callers;
	struct rekey *rekey; /* the vault is looked through */

	/* who is here */
	struct visitor *buckets[HOUSE_BUCKETS];
	size_t talks;
	size_t checks;
	uint64_t turns;       /* the last place given in the queue for an examination */
	struct enrol *enrols; /* users file being written */
	uint64_t asks;        /* the last number given to a question of ours */
	int64_t delay_ms;     /* after a wrong code: the longest that any module asked for */

	/* told to policy when it comes back */
	struct attempt attempts[HOUSE_ATTEMPTS_MAX];
	size_t attempts_first;
	size_t attempts_count;
};

/*
 * Takes keys (given) and settings (lent); h->roles is filled already.  -1 when memory is short.  `house` may be anywhere, but is large.
 * Afterwards house_on_gateway() takes what gateway sends.
 */
int house_begin(struct house *h, struct loop *loop, const struct settings *set, struct signer *host_key,
    struct signer *user_ca);
peer_on_message house_on_gateway;
void house_end(struct house *h);

struct visitor *house_visitor(struct house *h, uint64_t conn);
/* Tells policy, now or when it is back, and the operator's log. */
void house_attempt(struct house *h, const struct attempt *a);
uint64_t house_ask(struct house *h);

#endif
