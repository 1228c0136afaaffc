/*
 * A house around one real lodge-policy: the test plays gateway, auth, recorder, dialer, book and the sessions at the other
 * ends of its links, as those programs would.  A policy that dies is started again on the same database; its links are told
 * anew, auth and sessions say again what was not answered, and who left meanwhile is told of.
 *
 * tests/policy_crash kills it; tests/bench/policy measures it.
 */
#ifndef POLICY_CRASH_HOUSE_H
#define POLICY_CRASH_HOUSE_H
#include <stdint.h>
#include <sys/types.h>

#include "contract/peer.h"
#include "contract/tables.h"
#include "rows.h"

#define HOUSE_MS 20000 /* what should come comes within this time */
#define HOUSE_SEATS 64
#define HOUSE_LEAVES 4096
#define HOUSE_SAID 4096 /* of a verb's answer so much is kept */

struct house;

/* One person at one connection. */
struct seat {
	struct house *house;
	struct peer *peer;
	uint64_t conn;
	char login[ROW_NAME];
	uint8_t role;
	int held;  /* policy knows who it is */
	int gone;  /* its process has ended */
	int ended; /* END came: how often */
	uint32_t last_ask;
	/* the last question */
	struct {
		uint32_t ask, stream;
		uint8_t kind, verdict;
		uint16_t reason;
		int told; /* a verdict came */
		int over; /* the last one of this question */
		char target[ROW_NAME], command[ROW_NAME];
		uint64_t request, grant;
		int ready, begun; /* as the recorder sees its stream */
		int opened, closed;
		int leased;
	} ask;
	/* the last verb */
	struct {
		uint32_t ask;
		char words[ROW_WORDS];
		int over, status;
		size_t len; /* of all that it said */
		char said[HOUSE_SAID];
	} verb;
};

struct house {
	/* for the whole life */
	char dir[96];
	const char *executable;
	struct loop *loop;
	struct timer *late;
	int is_late;
	unsigned faults;
	/* called before each start, to set the environment; and after each death, before the next start.  NULL: nothing */
	void (*on_start)(struct house *h);
	void (*on_death)(struct house *h);
	/* whatever policy sent, before it is looked at; NULL: nothing */
	void (*on_told)(struct house *h, struct seat *s, const struct message *m);
	void *ctx;

	/* policy */
	pid_t policy;
	unsigned started, died;
	int ready, stopping, ended, broken;

	/* the ends of its links */
	struct peer *gateway, *auth, *recorder, *dialer, *book;
	struct seat seats[HOUSE_SEATS];
	size_t seat_count;

	/* the book: the JSON of each event by its number, when `keeps` says so */
	int keeps;
	int64_t held;
	char *leaves[HOUSE_LEAVES];
};

/* A directory of its own, with policy/ for the database in it; nothing runs yet. */
void house_begin(struct house *h, const char *executable);
char *house_database(const struct house *h); /* its path; static */
void house_start(struct house *h);           /* starts policy, and waits until it is ready */
void house_stop(struct house *h);            /* STOP, and waits for its orderly end */
void house_end(struct house *h);             /* kills, closes, removes */

/* Turns the loop until `is` says 1 (then 1) or ms are over (0). */
int house_until(struct house *h, int (*is)(struct house *h, const void *what), const void *what, int ms);

struct seat *seat_take(struct house *h, const char *login, enum role role);
void seat_ask(struct seat *s, enum ask_kind kind, const char *target, const char *command);
void seat_say(struct seat *s, const char *words); /* a verb */
void seat_opened(struct seat *s);                 /* the target let it in */
void seat_closed(struct seat *s);                 /* and the visit is over */
void seat_leave(struct seat *s);                  /* its process ends */

void house_fault(struct house *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
