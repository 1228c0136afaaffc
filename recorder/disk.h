/*
 * Writing that survives a kill and a power cut: whole writes, and files that appear whole or not at all.
 */
#ifndef RECORDER_DISK_H
#define RECORDER_DISK_H

#include <stddef.h>

/* Writes all of it (EINTR and short writes go on).  0; or -1 and errno, and then some prefix was written. */
int disk_write(int fd, const void *bytes, size_t size);

/* Makes the directories on `path` (all but the last part), durably.  0; or -1 and errno. */
int disk_parents(int dir, const char *path);

/* Puts a file at `path` under `dir` (tmp, fsync, rename, fsync of its directory), over one that is there.  0/-1. */
int disk_put(int dir, const char *path, const void *bytes, size_t size);

/* fsync of the directory that holds `path`.  0; or -1 and errno. */
int disk_sync_parent(int dir, const char *path);

#endif
