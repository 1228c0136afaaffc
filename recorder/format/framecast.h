/*
 * Frames of a ring into asciicast: the one place that says what each frame looks like in a segment, used by the
 * recorder when it seals and by the reader when it opens what a dead recorder left (*.wal).
 *
 * One call of framecast_add() a frame, in the order of the ring.  IN goes to the input track and only there, the rest
 * to the main track and only there; a frame of the other track is ignored.  Unknown types become a fact.
 *
 * A fact is #E {"ev":NAME,"channel":N,"boot_ms":N, ...}: NAME of frames.def, when on the clock of the segment's own fact
 * {"ev":"segment","n":N,"boot_ms":N,"wall_ms":N}; behind it, where a player should show it, a marker in words.  Texts
 * of a client's stand in it twice, once as text and, for that may lose bytes, once in base64.
 */
#ifndef FORMAT_FRAMECAST_H
#define FORMAT_FRAMECAST_H

#include "base/ring.h"
#include "format/cast.h"
#include "format/journal.h"

#define FRAMECAST_CHANNELS 64 /* channels of a connection at once, as many as a session carries */

/* What the next segment must know of the ones before.  Zero: nothing known yet. */
struct framecast_screen {
	unsigned cols, rows;
	char term[64];
	/* Channels that have a terminal, and those known to have none.  One that is in neither may have one. */
	struct framecast_channels {
		uint32_t channel[FRAMECAST_CHANNELS];
		size_t count;
	} terminals, bare;
};

struct framecast_begin {
	enum journal_track track;
	uint32_t segment;
	int64_t boot_ms, wall_ms; /* when the segment begins */
};

struct framecast;

/* Which track a frame belongs to. */
enum journal_track framecast_track(uint16_t type);

/* Begins a segment in `to` (lent); `screen` is lent for its life and kept up to date.  NULL: no memory. */
struct framecast *framecast_new(
    struct blob *to, struct framecast_screen *screen, const struct framecast_begin *begin);

int framecast_add(
    struct framecast *c, const struct ring_frame *f);    /* 0; -1: no memory, the segment is not to be trusted */
int framecast_end(struct framecast *c, int64_t boot_ms); /* 0 or -1; only free may follow */
void framecast_free(struct framecast *c);

uint32_t framecast_events(const struct framecast *c); /* frames that left something */

#endif
