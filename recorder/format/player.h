/*
 * A recording drawn as text in its own time, safely (format/safetext.h): what a player writes is fit for any terminal,
 * whatever was recorded.  Pulled: each step gives what is to be written now and how long to wait before the next.
 * A step opens at most one segment.  No clock and no descriptor of its own but the directory's.
 */
#ifndef FORMAT_PLAYER_H
#define FORMAT_PLAYER_H

#include "format/safetext.h"
#include "format/segment.h"

enum { PLAYER_SPEED_MAX = 1000 };

struct player_about {
	int dir;                 /* lent: segments lie here */
	struct age_keyring ring; /* lent */
	double speed;            /* times as fast; 0: without waiting */
	uint64_t idle_ms;        /* no pause is longer; 0: pauses stay */
	uint64_t at_ms;          /* begin there, since the recording began */
	enum safetext_ends ends;
};

struct player;

/* Finds the main track's segments in the directory.  NULL and errno (ENOENT: there are none). */
struct player *player_new(const struct player_about *about);

/* Plays one file that may lie anywhere: `name` in about->dir, sealed or plain asciicast (*.cast). */
struct player *player_new_file(const struct player_about *about, const char *name);

enum player_step { PLAYER_MORE, PLAYER_END, PLAYER_FAILED };

/* Appends to `out`; *wait_ms is how long to wait before the next step.  FAILED: player_why() says why. */
enum player_step player_step(struct player *p, struct blob *out, uint64_t *wait_ms);
const char *player_why(const struct player *p);
void player_free(struct player *p);

/* "01:02:03" or "02:03" in milliseconds; -1 when it is no such time. */
int64_t player_time_parse(const char *text);

#endif
