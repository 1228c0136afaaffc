/*
 * The shelf: RecordingDirectory, of which this process is the only writer (a lock says so), and its room.
 *
 *	lock  reserve  wal/NNNNNN.wal  s/YYYY/MM/DD/<32 hex>/...
 *
 * The reserve is a preallocated file that is given up when the disk is full, so that everything live can be sealed.
 */
#ifndef RECORDER_SHELF_H
#define RECORDER_SHELF_H

#include <stddef.h>
#include <stdint.h>

#include "format/leaf.h"

#define SHELF_PATH_MAX 64

struct shelf;

struct shelf_limits {
	uint64_t low, critical; /* free bytes */
	uint64_t reserve;
};

enum shelf_room { SHELF_ROOM_OK = 0, SHELF_ROOM_LOW = 1, SHELF_ROOM_CRITICAL = 2, SHELF_ROOM_FULL = 3 };

/* Opens and locks; makes the reserve when there is room.  NULL, and one line in `why`. */
struct shelf *shelf_open(const char *path, const struct shelf_limits *limits, char *why, size_t why_size);
void shelf_close(struct shelf *s);

int shelf_fd(const struct shelf *s); /* lent */

/* Looks how much room there is.  FULL lasts until there is more than `critical` again, and the reserve is back. */
enum shelf_room shelf_look(struct shelf *s);
uint64_t shelf_free(const struct shelf *s); /* as of the last look */

/* The disk is full: gives up the reserve.  1 when there was one to give. */
int shelf_give_reserve(struct shelf *s);

/* "s/2026/11/24/<id>" for a recording begun then. */
void shelf_path(char out[SHELF_PATH_MAX], const uint8_t id[16], int64_t started_wall_ms);

/* Opens (make: makes, durably) a recording's directory.  A descriptor (yours), or -1 and errno. */
int shelf_directory_make(const struct shelf *s, const char *path);
int shelf_directory(const struct shelf *s, const char *path);

#endif
