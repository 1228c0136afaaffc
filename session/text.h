/* What people read: the one line with which Lodge refuses or ends something (design.md 1), and bytes waiting for them. */
#ifndef SESSION_TEXT_H
#define SESSION_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"
#include "contract/tables.h"

/*
 * "lodge: denied [no-grant] no approved window; ask for one: ..." without a line end; text "" or NULL: the reason's own
 * words.  The verb goes with the exit status: denied, not yet, unreachable, ended.
 */
void text_reason(char *to, size_t size, enum reason reason, const char *text);
/* "1h30m", "20 s": for people, never more than two units. */
void text_span(char *to, size_t size, int64_t ms);
/* "1500 bytes", "63.2 MiB". */
void text_bytes(char *to, size_t size, uint64_t bytes);
/* "14:05:09" or, on another day than now, "2026-11-24 14:05"; in the process's zone. */
void text_time(char *to, size_t size, int64_t wall_ms);
/* Copies text from a sibling so that no control character of it reaches a terminal. */
void text_safe(char *to, size_t size, struct bytes from);
/* The same for text of many lines, whose ends and tabs stay, as all that can be printed does: gives a string; NULL: no memory. */
char *text_lines(struct bytes from);

/* Bytes that wait, first in, first out.  Zero is a valid empty one. */
struct fifo {
	uint8_t *at;
	size_t from, to, room;
};
int fifo_put(struct fifo *f, const void *at, size_t len); /* -1: no memory */
struct bytes fifo_bytes(const struct fifo *f);            /* lent until the next put or take */
void fifo_take(struct fifo *f, size_t len);
void fifo_free(struct fifo *f);

#endif
