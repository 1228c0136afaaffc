#include "room.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/loop.h"

struct room {
	struct shelf *shelf; /* lent */
	struct timer *timer;
	room_on_change *on_change;
	void *ctx;
	enum shelf_room state;
	int told; /* on_change has heard of `state` */
};

static void
room_tell(struct room *r, enum shelf_room now)
{
	static const char *const names[] = {[SHELF_ROOM_OK] = "enough",
	    [SHELF_ROOM_LOW] = "low",
	    [SHELF_ROOM_CRITICAL] = "critical",
	    [SHELF_ROOM_FULL] = "full"};

	if (r->told && now == r->state)
		return;
	if (now != SHELF_ROOM_OK || r->told)
		log_warning("room on the shelf: %s (%llu MiB free)", names[now],
		    (unsigned long long)(shelf_free(r->shelf) >> 20));
	r->state = now;
	r->told = 1;
	r->on_change(r->ctx, now);
}

static void
on_time(void *ctx)
{
	struct room *r = ctx;

	timer_after(r->timer, ROOM_LOOK_MS);
	room_tell(r, shelf_look(r->shelf));
}

struct room *
room_new(struct loop *loop, struct shelf *shelf, room_on_change *on_change, void *ctx)
{
	struct room *r = calloc(1, sizeof *r);

	if (r == NULL || (r->timer = timer_new(loop, on_time, r)) == NULL) {
		free(r);
		return (NULL);
	}
	r->shelf = shelf;
	r->on_change = on_change;
	r->ctx = ctx;
	r->state = shelf_look(shelf);
	timer_after(r->timer, 0);
	return (r);
}

void
room_free(struct room *r)
{
	if (r == NULL)
		return;
	timer_free(r->timer);
	free(r);
}

int
room_full(struct room *r)
{
	int given = shelf_give_reserve(r->shelf);

	r->told = r->told && r->state == SHELF_ROOM_FULL;
	r->state = SHELF_ROOM_FULL;
	timer_after(r->timer, 0); /* told from the loop: whoever met the full disk is not finished yet */
	return (given);
}

enum shelf_room
room_state(const struct room *r)
{
	return (r->state);
}

uint64_t
room_free_bytes(const struct room *r)
{
	return (shelf_free(r->shelf));
}
