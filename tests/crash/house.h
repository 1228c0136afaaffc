/*
 * A house around one real lodge-recorder: the test plays gateway, policy, dialer, book and one session at the other ends
 * of its links, as those programs would.  A recorder that dies is started again, its rings and links are told anew, policy
 * allows and dials again what has not begun, the session says which target it holds.
 *
 * Faults are collected and not thrown: a run goes on to its end, and what is on the disk is judged then (judge.h).
 */
#ifndef CRASH_HOUSE_H
#define CRASH_HOUSE_H

#include <stdint.h>
#include <sys/types.h>

#include "contract/peer.h"
#include "contract/tables.h"
#include "format/age.h"
#include "format/leaf.h"
#include "script.h"

#define HOUSE_MS 15000 /* what should come comes within this time */
#define HOUSE_CONN 77u
#define HOUSE_STREAM 5u
#define HOUSE_DIALS 64
#define HOUSE_LEAVES 256

/* Where the first, the second, ... recorder dies: 0 and no more of them, they live. */
struct deaths {
	struct {
		long at;
		const char *note; /* not NULL: at the first note of the log with this word */
		enum { HOW_BEFORE, HOW_TORN, HOW_AFTER } how;
	} of[4];
};

struct book_leaf {
	struct blob json;
	uint64_t sequence;
	int checkpoint, answered;
};

struct house {
	/* For one run. */
	char dir[64];
	int shelf;
	struct deaths deaths;
	int strict;
	int no_session; /* it ends together with the next recorder that dies */
	unsigned burst; /* bytes that the session writes before it waits for them to be safe */
	const char *settings_more;
	struct loop *loop;
	struct timer *late;
	int is_late;
	struct age_identity key;
	uint8_t id[16];
	char rec[33];
	struct script script;
	unsigned faults;

	/* The recorder. */
	pid_t recorder;
	unsigned started, died;
	int stopping, ended; /* STOP was sent; it ended with status 0 */
	int broken;          /* it ended as it must not: nothing is waited for */

	/* The ends of its links. */
	struct peer *gateway, *policy, *dialer, *session, *book;

	/* The connection. */
	int memory, filled, freed;
	struct ring *ring;
	struct watch *bell;
	size_t put;            /* frames */
	uint64_t put_to[4096]; /* ring position behind each frame */
	uint64_t halt_at;      /* frames after which the session waits; 0: all */
	int held;              /* it has its target */
	int target;            /* the socket */
	int gone, ring_sealed;
	unsigned handed[HOUSE_DIALS], dials;
	uint16_t trouble; /* reason of RECORDER_TROUBLE */

	/* policy */
	int begun, dialing;
	unsigned sealed, sealed_session; /* how often it was told */
	uint8_t digest[32], state;

	/* book */
	struct book_leaf leaves[HOUSE_LEAVES];
	size_t leaf_count, leaf_read; /* came, entered */
	uint64_t last;
	size_t sleep_at;           /* when so many leaves came it falls asleep; 0: not by itself */
	int book_asleep, book_due; /* stopped; answers are due */
	int start_held;
};

void house_begin(struct house *h, unsigned rounds); /* set what is to be set between this and house_start */
void house_start(struct house *h);                  /* the first recorder */
void house_end(struct house *h);                    /* kills, closes, removes */

/* Turns the loop until `is` says 1 (then 1) or ms are over (0). */
int house_until(struct house *h, int (*is)(struct house *h), int ms);
void house_pass(struct house *h, int ms);

void house_leave(struct house *h, int status); /* the session's process ends; status as waitpid(2) gives it */
void house_stop(struct house *h);              /* STOP to the recorder */
void house_kill(struct house *h);              /* SIGKILL from outside; a new one is started */
void house_wake_book(struct house *h);
void house_say(struct house *h);        /* after halt_at was moved */
int house_shelf_again(struct house *h); /* something was mounted there; -1 and errno */
void house_fill(struct house *h);       /* takes all the room that is free on the shelf's disk */

uint64_t house_delivered(struct house *h); /* frames that the session may deliver: freed in the ring */
size_t house_wal_files(const struct house *h);

void house_fault(struct house *h, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
