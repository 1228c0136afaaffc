/*
 * The write-ahead log on its disk: files wal/NNNNNN.wal, preallocated, one behind the other, written by this
 * process alone and never by two.
 *
 * Promises: what wal_append() took is in the file when it returns, so a kill loses nothing; it is durable within
 * WAL_COMMIT_MS, or when a wal_sync() that followed calls back; a file goes only when nobody holds it and none
 * before it is held, so that what a later file says of an earlier one is never lost first.  After a failed write
 * the file is left as it is and a new one begun; after a failed sync everybody is told.  Nothing is tried twice.
 */
#ifndef RECORDER_WAL_H
#define RECORDER_WAL_H

#include <stddef.h>
#include <stdint.h>

#define WAL_COMMIT_MS 250
#define WAL_DIRECTORY "wal"

struct loop;
struct wal;

struct wal_owner {
	/* A new file was begun: what a successor must know is noted again, by wal_append().  0, or -1 when that failed. */
	int (*on_file)(void *ctx);
	/* A write or a sync failed: nothing that was not synced before may be trusted. */
	void (*on_failed)(void *ctx, int error);
	void *ctx;
};

/* Opens the log in the directory `shelf` (lent), its next file being `number`.  NULL and errno. */
struct wal *wal_open(
    struct loop *loop, int shelf, uint32_t number, size_t file_bytes, const struct wal_owner *owner);

/* A file of a predecessor, in the order of their numbers, before anything is held. */
int wal_adopt(struct wal *w, uint32_t number);

/* Writes whole records.  The number of the file that has them, or 0 and errno. */
uint32_t wal_append(struct wal *w, const void *records, size_t size);

/* One JOURNAL_NOTE with this JSON.  0; or -1 and errno. */
int wal_note(struct wal *w, const char *json, size_t size);

void wal_hold(struct wal *w, uint32_t file);    /* it is needed: not sealed yet */
void wal_release(struct wal *w, uint32_t file); /* 0 is fine */

/* Calls `done` from the loop with 0 or errno, once all that is appended now is durable (or will never be). */
void wal_sync(struct wal *w, void (*done)(void *ctx, int error), void *ctx);

/* What a predecessor's files said that still matters was noted again: they may go once that is durable. */
void wal_noted(struct wal *w);

size_t wal_files(const struct wal *w); /* how many there are */
void wal_close(struct wal *w);         /* syncs; frees no file */

#endif
