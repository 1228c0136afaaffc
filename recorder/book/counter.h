/*
 * The book's counter: where policy and recorder hand in leaves.  Everything that came in one turn of the loop is made
 * durable by one sync, then answered; what asked for a checkpoint is answered under one.
 *
 * Checkpoints: at once when a leaf asks for one, else at most COUNTER_CHECKPOINT_MS after a leaf came, and every
 * COUNTER_IDLE_MS in any case, so that silence is signed too.
 */
#ifndef BOOK_COUNTER_H
#define BOOK_COUNTER_H

#include <stdint.h>

#include "contract/peer.h"

#define COUNTER_CHECKPOINT_MS (10 * 1000)
#define COUNTER_IDLE_MS (3600 * 1000)

struct counter;
struct store;

/* `store` is lent.  NULL: no memory. */
struct counter *counter_new(struct loop *loop, struct store *store);

/* A link to one of the house that may hand in leaves (fd given); it replaces that process's link before. */
void counter_link(struct counter *c, enum process from, int fd);

/* Signs what is not signed yet and closes the links. */
void counter_free(struct counter *c);

#endif
