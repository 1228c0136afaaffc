/*
 * C2SP tlog-tiles: where the book's hashes and entries lie.  A full tile is 256 hashes of 32 bytes; tile level L
 * holds the tree's hashes of level 8*L.  A partial tile has 1..255 and says so in its name.  Entry bundles are
 * 256 (or fewer) entries, each behind its length in 16 bits, big end first.
 */
#ifndef FORMAT_TILE_H
#define FORMAT_TILE_H

#include "format/blob.h"
#include "format/merkle.h"

enum {
	TILE_WIDTH = 256,
	TILE_LEVEL_MAX = 5, /* enough for 2^40 entries and more than any book will hold */
	TILE_PATH_MAX = 64,
	TILE_ENTRY_MAX = 65535,
	TILE_ENTRIES = -1 /* as `level`: the entry bundle */
};

struct tile {
	int level; /* 0..TILE_LEVEL_MAX, or TILE_ENTRIES */
	uint64_t number;
	unsigned width; /* 1..256; 256 is a full tile */
};

/* "tile/0/x001/234", "tile/entries/067.p/8".  0, or -1 when the tile cannot be. */
int tile_path(char out[TILE_PATH_MAX], struct tile tile);
int tile_path_parse(struct tile *tile, const char *path);

/* The tile that holds entry or hash `index` (of tree level 8*level) in a tree of `size` leaves; -1 past the end. */
int tile_of(struct tile *tile, int level, uint64_t index, uint64_t size);

/* A tile's bytes: the hash at `index` of `width`, or the hash of the complete subtree of 2^height of them. 0/-1. */
int tile_hash(
    const struct blob *content, struct tile tile, unsigned height, uint64_t index, struct merkle_hash *out);

/* Entry bundles.  add: -1 past TILE_ENTRY_MAX.  next: *offset starts at 0; 1 an entry (lent), 0 the end, -1 malformed. */
int tile_entry_add(struct blob *bundle, const void *entry, size_t size);
int tile_entry_next(const struct blob *bundle, size_t *offset, const unsigned char **entry, size_t *size);

/*
 * The book as files under one directory, for one tree size.  Partial tiles are looked for at the exact width that
 * `size` asks for, then as any wider one up to the full tile (a newer book may have replaced them).
 */
struct tile_shelf {
	int dir;          /* lent */
	uint64_t size;    /* leaves */
	struct tile held; /* the tile kept below; width 0: none */
	struct blob content;
};
int tile_shelf_fetch(void *shelf, unsigned level, uint64_t index, struct merkle_hash *out); /* a merkle_fetch */
int tile_shelf_entry(struct tile_shelf *shelf, uint64_t index, struct blob *entry);         /* appends; 0/-1 */
void tile_shelf_end(struct tile_shelf *shelf); /* frees what it holds */

#endif
