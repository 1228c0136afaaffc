/*
 * Which segments of a track lie in a recording's directory, by number, sealed or recovered; and, when it is closed,
 * which ones SHA256SUMS names that do not lie there.  Names only: nothing is opened but that list.
 */
#ifndef FORMAT_TRACK_H
#define FORMAT_TRACK_H

#include "format/segment.h"

struct track_segment {
	uint32_t number;
	char name[SEGMENT_NAME_MAX];
};

/* Zero is a valid empty value; track_free() afterwards. */
struct track {
	struct track_segment *segments;
	size_t count;
};

/* Those in dir (lent).  0; -1 and errno (ENOENT: there are none). */
int track_find(struct track *t, int dir, enum segment_track which);

/* Adds those that SHA256SUMS names.  0; 1: there is no such file, the recording is not closed; -1: it is not readable. */
int track_find_listed(struct track *t, int dir, enum segment_track which);

void track_free(struct track *t);

#endif
