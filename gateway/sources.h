/*
 * Where connections come from, and how many one source may have: an IPv4 address, or an IPv6 one by its /64 (a mapped
 * IPv4 address is the IPv4 one).  Pure counting: no socket, no clock of its own.
 *
 * Two promises.  One source that holds connections open without logging in takes at most PerSourceMaxStartups places of
 * MaxStartups, so it keeps nobody else out.  Several sources together are thinned out before the places are gone: above
 * half of MaxStartups a newcomer is refused at random, at 30 in a hundred there and rising to all at MaxStartups (as
 * sshd_config(5) MaxStartups start:rate:full), so that whoever tries again comes in sooner or later.
 *
 * A source that did harm waits: after SOURCE_FREE points of harm PenaltyLeast, doubling with each point more, PenaltyMost at
 * most (as sshd_config(5) PerSourcePenalties).  A connection that did not log in in time is a point, and a session process
 * that crashed is so many that the first is felt: each of them is cloned from one parent, and its layout is guessed by
 * crashing.  What failed logins cost is auth's to count (auth/penalty.h), which sees them.
 */
#ifndef GATEWAY_SOURCES_H
#define GATEWAY_SOURCES_H

#include <stddef.h>
#include <stdint.h>

#include "contract/settings.h"

#define SOURCES_QUIET_MAX 4096 /* sources without a connection that are remembered; the one quiet longest goes */
#define SOURCE_FREE 5          /* points that cost nothing */
#define SOURCE_QUIET_MS (10 * 60 * 1000)  /* so long after the last harm, and after the wait, all is forgotten */
#define SOURCE_FORGIVE_MS (2 * 60 * 1000) /* for each of these since the last harm a point is forgiven */
#define SOURCE_TELL_MS (60 * 1000)        /* refusals of one source are told to the log this often */

/* In points; a crash: 2^6 times PenaltyLeast at once. */
enum harm { HARM_GRACE = 1, HARM_CRASH = 12 };

enum source_answer {
	SOURCE_TAKEN,
	SOURCE_WAITS,       /* it did harm */
	SOURCE_STARTUPS,    /* PerSourceMaxStartups */
	SOURCE_CONNECTIONS, /* PerSourceMaxConnections */
	SOURCES_STARTUPS,   /* MaxStartups, by chance or for certain */
	SOURCES_CONNECTIONS /* MaxConnections */
};

struct sources;
struct source;

/* set (lent) may change between calls.  NULL: no memory. */
struct sources *sources_new(const struct settings *set);
void sources_free(struct sources *all); /* every connection was let go */

/* The source of an address as inet_ntop(3) writes it; what is none is a source of that name.  NULL: no memory. */
struct source *source_of(struct sources *all, const char *address);
/* One connection more from there, that has not logged in: takes it, or says why not.  chance: 0 to 99, drawn anew. */
enum source_answer source_take(struct source *from, int64_t now_boot_ms, unsigned chance);
void source_logged_in(struct source *from); /* one that was taken */
/* One that was taken ended; from may be gone with it. */
void source_let_go(struct source *from, int logged_in);
void source_harm(struct source *from, enum harm harm, int64_t now_boot_ms);

/* How much longer it waits, in ms. */
int64_t source_waits_ms(const struct source *from, int64_t now_boot_ms);
/* How many refusals to tell the log of now: 0 when it was told less than SOURCE_TELL_MS ago. */
unsigned source_tell(struct source *from, int64_t now_boot_ms);

/* All of them. */
size_t sources_strangers(const struct sources *all);
size_t sources_connections(const struct sources *all);

#endif
