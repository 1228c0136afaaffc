#include "counter.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "store.h"

/* A leaf that waits for its answer. */
struct held {
	struct held *next;
	enum process from;
	uint64_t sequence, index;
	int checkpoint;
};

struct counter {
	struct loop *loop;
	struct store *store;               /* lent */
	struct peer *links[STORE_SOURCES]; /* by process */
	struct held *first, **last;
	struct timer *timer;
	int deferred;
	int64_t due_boot_ms; /* of the next checkpoint */
};

/* A book whose disk fails stops: gateway starts it again, and it goes on from what is durable. */
static void
store_check(struct counter *c, int result)
{
	if (result == -1)
		log_fatal("the book cannot be written: %s", store_trouble(c->store));
}

static void
due_set(struct counter *c, int64_t after_ms)
{
	c->due_boot_ms = clock_boot_ms() + after_ms;
	timer_set(c->timer, c->due_boot_ms);
}

static void
checkpoint_made(struct counter *c)
{
	due_set(c, COUNTER_IDLE_MS);
}

/* The end of a turn: one sync, one checkpoint if anybody asked, then all answers. */
static void
on_turn_end(void *ctx)
{
	struct counter *c = ctx;
	struct held *h;
	int wanted = 0;

	c->deferred = 0;
	store_check(c, store_sync(c->store));
	for (h = c->first; h != NULL; h = h->next)
		wanted |= h->checkpoint;
	if (wanted) {
		store_check(c, store_checkpoint(c->store));
		checkpoint_made(c);
	} else if (store_size(c->store) > store_signed(c->store) &&
	           c->due_boot_ms > clock_boot_ms() + COUNTER_CHECKPOINT_MS)
		due_set(c, COUNTER_CHECKPOINT_MS);
	while ((h = c->first) != NULL) {
		peer_post(c->links[h->from], LEAF_HELD, leaf_held, .sequence = h->sequence, .leaf_index = h->index);
		c->first = h->next;
		free(h);
	}
	c->last = &c->first;
}

static void
on_time(void *ctx)
{
	struct counter *c = ctx;

	store_check(c, store_checkpoint_again(c->store));
	checkpoint_made(c);
}

static void
on_leaf(struct counter *c, enum process from, const struct msg_leaf *leaf)
{
	struct held *h = calloc(1, sizeof *h);

	if (h == NULL)
		log_fatal("no memory");
	*h = (struct held){.from = from,
	    .sequence = leaf->sequence,
	    .index = store_size(c->store),
	    .checkpoint = leaf->checkpoint != 0};
	switch (store_enter(c->store, from, leaf->sequence, leaf->json.at, leaf->json.len)) {
	case STORE_ENTERED:
		break;
	case STORE_HELD:
		h->index = UINT64_MAX; /* it was entered before; where, only the book's reader looks up */
		break;
	case STORE_REFUSED:
		log_fatal("%s handed in a leaf that cannot be entered (number %llu, %zu bytes)", process_name(from),
		    (unsigned long long)leaf->sequence, leaf->json.len);
	case STORE_BROKEN:
		store_check(c, -1);
	}
	*c->last = h;
	c->last = &h->next;
	if (!c->deferred) {
		c->deferred = 1;
		loop_defer(c->loop, on_turn_end, c);
	}
}

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	if (m->type == MSG_LEAF)
		on_leaf(ctx, peer_process(p), &m->leaf);
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	struct counter *c = ctx;

	if (*why != '\0')
		log_warning("the link to %s broke: %s", process_name(peer_process(p)), why);
	c->links[peer_process(p)] = NULL;
	peer_close(p);
}

void
counter_link(struct counter *c, enum process from, int fd)
{
	if ((unsigned)from >= STORE_SOURCES) {
		(void)close(fd);
		return;
	}
	peer_close(c->links[from]);
	if ((c->links[from] = peer_open(c->loop, fd, PROCESS_BOOK, from, 0, on_message, on_closed, c)) == NULL)
		log_fatal("no memory");
	/* What was entered before a death of ours counts as held from here on: under a signature, then. */
	store_check(c, store_checkpoint(c->store));
	peer_post(c->links[from], LEAF_LAST, leaf_last, .sequence = store_last(c->store, from));
}

struct counter *
counter_new(struct loop *loop, struct store *store)
{
	struct counter *c = calloc(1, sizeof *c);

	if (c == NULL || (c->timer = timer_new(loop, on_time, c)) == NULL) {
		free(c);
		return (NULL);
	}
	c->loop = loop;
	c->store = store;
	c->last = &c->first;
	due_set(c, store_size(store) > store_signed(store) || store_note(store)->size == 0 ? 0 : COUNTER_IDLE_MS);
	return (c);
}

void
counter_free(struct counter *c)
{
	if (c == NULL)
		return;
	on_turn_end(c);
	store_check(c, store_checkpoint(c->store));
	for (unsigned i = 0; i < STORE_SOURCES; i++)
		peer_close(c->links[i]);
	timer_free(c->timer);
	free(c);
}
