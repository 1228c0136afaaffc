/*
 * What the whole of lodge-policy holds: its links, its database, its two clocks' memory.  One loop, one thread.
 *
 * A failure of the database ends the process at once (must): gateway starts it again, and everything that was answered
 * is on the disk.  Nothing is told to anybody before the book holds the event that says it (outbox.h).
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H
#include "base/loop.h"
#include "contract/daemon.h"
#include "contract/tables.h"
#include "store.h"

#define GONE_KEPT 1024

struct connection;
struct verb;
struct reading;
struct scan;
struct promise;
struct grace_ended;

struct policy {
	/* for the whole life */
	struct loop *loop;
	struct settings set;
	struct store *store;
	struct peer *gateway;
	char boot_id[40];

	/* links that come and go; NULL while away */
	struct peer *auth, *recorder, *dialer, *book, *reader;

	/* Lodge's own host key, "ssh-ed25519 AAAA..."; "" until auth has said it */
	char host_key[ROW_NAME + ROW_KEY];

	/* visits.h, verbs.h */
	struct connection *connections;
	uint64_t askings; /* how often a row of asking was changed */
	/* connections that ended lately: auth's last word about one may come after gateway's */
	uint64_t gone[GONE_KEPT];
	size_t gone_next;
	struct verb *verbs;
	struct reading *readings;
	struct client *clients;
	struct watch *control_watch;
	int control_fd;
	uint64_t next_reading, next_client;
	struct scan *scans;
	uint64_t last_scan; /* 0: none yet */

	/* outbox.h */
	int64_t event_last;  /* number of the newest event in the database */
	int64_t book_sent;   /* highest event sent over the present link */
	int64_t book_held;   /* all up to here are in the book; -1 while we do not know */
	int64_t book_marked; /* and so marked in the database */

	/* promises.h: answers to auth that wait for it */
	struct promise *promises;

	/* graces.h: whose MFAGrace ended lately */
	struct grace_ended *graces;

	/* deadlines.h */
	int advance_due;
	struct timer *timer;
	int64_t high_water_ms;  /* the highest wall time seen, as the database has it */
	int64_t wall_less_boot; /* their difference when last looked at */
	enum shelf_state shelf;
	uint64_t shelf_free;
};

/* Passes rc on; ends the process when it is -1, naming the database's trouble. */
int must(struct policy *p, int rc);

/*
 * A change: everything between is one transaction.  policy_commit also keeps the high-water mark and what the book holds,
 * then sends the new events to the book.
 */
void policy_begin(struct policy *p);
void policy_commit(struct policy *p);

/* Everything that waits looks again whether it may go on: after news from the book, a link, a decision, a timer. */
void policy_advance(struct policy *p);

/* The wall clock, or the highest time seen where it was set behind that: for ends after which nothing lives again. */
int64_t policy_latest_ms(const struct policy *p);

/* The recorder's word on the room that is left. */
void shelf_take(struct policy *p, const struct msg_shelf *m);

void text_copy(char *to, size_t size, const char *from); /* cut at the size, NUL-ended */
#define TEXT_COPY(array, from) text_copy((array), sizeof(array), (from))
#endif
