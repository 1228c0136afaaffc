/*
 * A small recording for tests: frames of a connection made into segments in a temporary directory, sealed to a key of
 * its own, by the functions that the recorder uses.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include "contract/tables.h"
#include "format/framecast.h"
#include "format/segment.h"

#define FRAMES_BEGAN_BOOT 50000000
#define FRAMES_BEGAN_WALL 1764000000000

struct frames {
	char dir[40];
	int fd;
	struct age_identity identity;
	struct age_recipient recipient;
	struct framecast_screen screen;
	int64_t now_ms; /* since the recording began: of the next frame */
	uint32_t segment;

	/* The open segment. */
	struct blob plain, log;
	struct framecast *cast;
};

void frames_begin(struct frames *r);
void frames_end(struct frames *r); /* removes all of it */

/* One frame of channel 1, now; text without its NUL, or so many bytes. */
void frame_text(struct frames *r, enum frame_type type, const char *text);
void frame_bytes(struct frames *r, enum frame_type type, const void *bytes, size_t size);
void frame_of(struct frames *r, const struct ring_frame *f);

/* Ends the open segment: sealed, or as a killed recorder's log has it.  The next frame begins another. */
void frames_seal(struct frames *r);
void frames_leave(struct frames *r);
void frames_close(struct frames *r); /* SHA256SUMS over what lies there */

struct age_keyring frames_ring(const struct frames *r);
void frames_remove(struct frames *r, const char *name);
void frames_damage(struct frames *r, const char *name); /* one bit, near the end */

/* What the open segment is made of so far, NUL-ended; lent. */
const char *frames_text(struct frames *r);

#endif
