/*
 * Who may enter which target as which account now, and who may answer a request.  Pure: facts in, verdict out; no
 * clock, no file, no memory of the last call.  `explain` prints the very rules that decide walks.
 */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H
#include <stddef.h>

#include "capabilities.h"
#include "contract/messages.h"
#include "contract/tables.h"
#include "rows.h"
#include "states.h"

#define DECIDE_CLOCK_SLACK_MS 5000 /* so far may the wall clock be set back before it opens nothing */
#define DECIDE_OPEN_REQUESTS 20    /* unanswered requests of one person, at most */
#define DECIDE_TEXT 512

/* How this connection came by its code: a target may want one of its own (MFAGrace lets others ride on an earlier one, and a
 * role may need none). */
enum code_kind { CODE_UNKNOWN, CODE_OWN, CODE_EARLIER, CODE_NONE };
enum code_kind code_of(int64_t factors); /* bits of enum factor; 0: no connection to judge */

/* Everything that counts.  All pointers lent; NULL where there is no such row. */
struct facts {
	/* now */
	int64_t wall_ms, boot_ms;
	int64_t high_water_ms; /* the highest wall time ever seen */
	enum shelf_state shelf;
	/* who */
	const struct person *person;
	const struct vendor *vendor; /* the person's, when that names one */
	const char *source;      /* numeric address; "" for nobody's connection (explain on the box): not checked */
	const char *fingerprint; /* key of the login; "" as above */
	enum code_kind code;
	/* what */
	const struct target *target;
	size_t host_keys;    /* of the target, pinned */
	const char *account; /* "": the target's first */
	/* Of this channel.  A forward is never waited for, nor asked about, and wants nothing of the target's own ssh: neither
	 * a host key nor a login. */
	struct need need;
	enum { ASKER_LEAVES, ASKER_WAITS } patience;
	/* what was given and asked before, by this person for this target and account: theirs they are by the query that found
	 * them, and decide does not compare again.  A grant without a fingerprint was asked for on the box, by no key: any
	 * key of theirs serves. */
	const struct grant *grants;
	size_t grant_count;
	const struct request *pending; /* asked and unanswered */
	size_t pending_count;
	size_t open_requests; /* of this person, for whatever */
};

enum outcome {
	OUTCOME_ENTER, /* under verdict.grant */
	OUTCOME_WAIT,  /* for an answer to verdict.request, or for the beginning of verdict.grant */
	OUTCOME_ASK,   /* a new request must be made, and waited for */
	OUTCOME_REFUSE /* for verdict.reason */
};

struct verdict_made {
	enum outcome outcome;
	enum reason reason;
	const struct grant *grant;     /* lent: it lets them in, or came nearest to it; NULL: none is alive */
	const struct request *request; /* lent: it is waited for; or NULL */
	char text[DECIDE_TEXT];        /* what exactly, for people; may be "" */
};

/*
 * First the rules that ask for no grant; the first that fails decides.  Then any grant that is alive and serves lets them in.
 * Where none serves, the nearest is told of (of equals the first): one that has not begun, and is waited for; else one that
 * does not cover the channel; that is another key's; another network's: a no at once, whatever else is asked and unanswered.
 * Only where none is alive, a pending request (the first, whatever it asks for) is waited for, or a new one made.
 */
struct verdict_made decide(const struct facts *f);

/* Walks the same rules and says each: passed, and what it saw.  Gives decide's own verdict. */
typedef void explain_fn(void *ctx, const char *rule, int passed, const char *seen);
struct verdict_made decide_explain(const struct facts *f, explain_fn *say, void *ctx);

/* The rules about the person alone, whatever they want: for the login.  REASON_NONE: let them in. */
enum reason decide_person(const struct facts *f, char text[DECIDE_TEXT]);

/*
 * May `approver` (NULL: root on the box, who operates and never approves) answer `request`?  REASON_NONE: yes.
 * vendor_of_approver counts as it is now; the request's as it was when asked, and as the requester's is now.
 */
enum reason decide_answer(const struct person *approver, const struct vendor *approver_vendor,
    const struct request *request, const char *requester_vendor, int64_t wall_ms);

/* Is the grant's window over on either clock?  Its boot clock is that of this boot (house_boot sees to it). */
int grant_is_over(const struct grant *g, int64_t wall_ms, int64_t boot_ms);
/* Nobody came within ConnectWithin. */
int grant_is_missed(const struct grant *g, int64_t wall_ms);

/* Is `account` in the comma list?  The first one, when account is "", goes to `resolved` (ROW_NAME bytes); -1: none such. */
int account_resolve(const char *accounts, const char *account, char *resolved);
#endif
