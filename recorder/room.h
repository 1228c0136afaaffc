/*
 * How much room the shelf has, looked at now and then, and told when it changes.  When a write meets a full disk the
 * reserve is given up at once, so that all that lives can be ended and sealed in an orderly way.
 */
#ifndef RECORDER_ROOM_H
#define RECORDER_ROOM_H

#include <stdint.h>

#include "shelf.h"

#define ROOM_LOOK_MS 2000

struct room;
struct loop;

/* Called from the loop when the state is another one, and once after room_new. */
typedef void room_on_change(void *ctx, enum shelf_room state);

struct room *room_new(struct loop *loop, struct shelf *shelf, room_on_change *on_change, void *ctx);
void room_free(struct room *r);

/* A write met a full disk: gives up the reserve.  1 when there was one, so that trying again makes sense. */
int room_full(struct room *r);

enum shelf_room room_state(const struct room *r);
uint64_t room_free_bytes(const struct room *r);

#endif
