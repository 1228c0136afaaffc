/*
 * Readings under way: each task (task.h) with the descriptor of who asked.  Sliced: every turn of the loop does one
 * step of each, so that a long one keeps nobody waiting; written without blocking: a task rests while more than
 * READINGS_OUT_MOST bytes wait to be taken.  A reading ends when its task does and all is written, or when nobody reads
 * on.
 */
#ifndef READER_READINGS_H
#define READER_READINGS_H

#include "contract/peer.h"
#include "holdings.h"

enum { READINGS_MOST = 32, READINGS_OUT_MOST = 128 * 1024 };

struct loop;
struct readings;

/* All lent.  NULL: no memory. */
struct readings *readings_new(struct loop *loop, struct holdings *holdings);

/* The link to policy (fd given); it takes the place of the one before.  Readings of an earlier policy go on, for who
 * asked still reads, but nobody is told how they end: a new policy counts anew. */
void readings_link(struct readings *r, int fd);

void readings_free(struct readings *r); /* NULL is fine */

#endif
