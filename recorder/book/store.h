/*
 * The book on its disk: leaves in one Merkle log, C2SP tlog-tiles layout under one directory (tile/, checkpoint),
 * and the tail that has not filled a tile yet in a small log of its own (tail.<tile number>).
 *
 * Promises: a leaf that store_sync() covered is there after any kill or power cut, at the same index; a leaf is
 * entered once for each (source, sequence), however often it is offered and whoever restarted between; no
 * checkpoint is signed for a tree that does not continue the last signed one; nothing is ever removed or changed
 * that a checkpoint covers.
 *
 * tail.<n> begins with "lodge-book v1\n" and two zero bytes, u64 index of its first leaf (n * 256), u64 last
 * sequence of each of STORE_SOURCES sources, u32 CRC-32C of all that; then for each leaf u32 size, u32 source,
 * u64 sequence, the leaf's bytes, u32 CRC-32C of all that.  Big-endian.  A full tile's files are durable before
 * the next tail is made, and the next tail is durable before the old one goes.
 */
#ifndef BOOK_STORE_H
#define BOOK_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "format/merkle.h"
#include "format/note.h"

#define STORE_SOURCES 16u     /* numbers of processes.def: 0..15 */
#define STORE_LEAF_MAX 65535u /* an entry bundle's length is 16 bits */

struct store;

/*
 * Opens the book in `dir` (lent), or begins one.  `signer` is lent for the store's life.  NULL, and one line in
 * `why`, when another process has it, when it is damaged, or when it is shorter than or other than what its own
 * last checkpoint says.
 */
struct store *store_open(int dir, const struct note_signer *signer, char *why, size_t why_size);

enum store_entered {
	STORE_ENTERED, /* new; durable after store_sync() */
	STORE_HELD,    /* was there already; durable after store_sync() */
	STORE_REFUSED, /* too long, empty, or no such source: nothing happened */
	STORE_BROKEN   /* the disk failed: stop this process, trust nothing it had not confirmed */
};

/* Enters one leaf.  Sequences of a source only grow (gaps are allowed): one not above the last is STORE_HELD. */
enum store_entered store_enter(struct store *s, unsigned source, uint64_t sequence, const void *leaf, size_t size);

/* 0 when everything entered is durable; -1 when the disk failed (then STORE_BROKEN for ever). */
int store_sync(struct store *s);

/* Signs the whole tree and makes tiles and checkpoint durable.  0, or -1 (broken).  Does nothing when already so. */
int store_checkpoint(struct store *s);

/* The same, also when nothing was entered since: a fresh signature of the same tree (the hourly one). */
int store_checkpoint_again(struct store *s);

uint64_t store_size(const struct store *s);                  /* leaves entered */
uint64_t store_signed(const struct store *s);                /* leaves under the last durable checkpoint */
uint64_t store_last(const struct store *s, unsigned source); /* its last sequence; 0 for none */
const char *store_trouble(const struct store *s);            /* what broke, for a log line */

/* The last durable checkpoint, a signed note (lent until the next one). */
const struct blob *store_note(const struct store *s);

void store_close(struct store *s); /* syncs nothing */

#endif
