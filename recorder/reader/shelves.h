/*
 * Where recordings lie under RecordingDirectory: s/YYYY/MM/DD/<32 hex>.  Looking only; the recorder alone writes there.
 */
#ifndef READER_SHELVES_H
#define READER_SHELVES_H

#include <stddef.h>
#include <stdint.h>

#include "format/leaf.h"

#define SHELVES_PATH 64 /* "s/2026/11/24/<32 hex>" with its NUL */

/* 32 lower-case hex digits? */
int shelves_id_ok(const char *id);

/* Where the book's session.start says that it lies. */
void shelves_path(char path[SHELVES_PATH], const char *id, int64_t started_ms);

/* Opens the recording's directory, wherever it lies, and says where.  A descriptor (yours); -1 and errno. */
int shelves_find(int shelf, const char *id, char path[SHELVES_PATH]);

/* Everything that lies there, one day a step. */
struct shelves;
struct shelves *shelves_new(int shelf); /* lent; NULL: no memory, or errno */
/* Calls take with the name of each directory of the next day.  1 while there are more days, 0, -1 when one cannot be read. */
typedef int shelves_take(void *ctx, const char *day, const char *name); /* -1 stops */
int shelves_step(struct shelves *s, shelves_take *take, void *ctx);
void shelves_free(struct shelves *s);

#endif
