/*
 * Work that may take its time (compressing, encrypting, fsync of files): done in libuv's threads, a few at once, so
 * that rings are drained meanwhile and a thread is always left for the log's own fdatasync.
 */
#ifndef RECORDER_WORKS_H
#define RECORDER_WORKS_H

#include <stddef.h>

#define WORKS_AT_ONCE 3 /* of libuv's four threads */

struct loop;
struct works;

struct works *works_new(struct loop *loop);
void works_free(struct works *w); /* only when works_count() is 0 */

/* Calls `work` in a thread, then `done` in the loop; in the order of adding as far as threads allow.  -1: no memory. */
int works_add(struct works *w, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);

size_t works_count(const struct works *w); /* waiting or at work */

#endif
