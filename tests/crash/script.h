/*
 * What the session of these tests says: always the same frames, so that whoever opens a recording knows what must be in
 * it.  A few hundred KiB of output with bytes that are no UTF-8, keystrokes, errors, and facts that are numbered.
 */
#ifndef CRASH_SCRIPT_H
#define CRASH_SCRIPT_H

#include "base/ring.h"
#include "format/blob.h"

struct script {
	struct ring_frame *frames; /* sequence and boot_us are not set */
	size_t count;
	struct blob bytes; /* their payloads */
};

/* `rounds` of about 2.5 KiB; the last frame is END. */
void script_make(struct script *s, uint32_t stream, unsigned rounds);
void script_free(struct script *s);

#endif
