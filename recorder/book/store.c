#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <dirent.h>
#include <unistd.h>

#include "format/blob.h"
#include "format/journal.h"
#include "format/tile.h"
#include "disk.h"

#define TAIL_MAGIC "lodge-book v1\n" /* and two zeros */
#define TAIL_HEAD (16u + 8u + STORE_SOURCES * 8u + 4u)
#define LEAF_HEAD 16u
#define TAIL_MAX (TAIL_HEAD + (size_t)TILE_WIDTH * (LEAF_HEAD + STORE_LEAF_MAX + 4u))
#define LEVELS (TILE_LEVEL_MAX + 1)

struct store {
	/* For life. */
	int dir;                          /* ours */
	const struct note_signer *signer; /* lent */
	char trouble[160];                /* not empty: broken */

	/* The tree. */
	struct merkle_edge edge;
	uint64_t last[STORE_SOURCES];
	struct blob level[LEVELS]; /* hashes of the tile being filled, per tile level */
	struct blob entries;       /* its entry bundle */

	/* The tail's log. */
	int tail;
	uint64_t tile; /* its number */
	enum { CLEAN, DIRTY } state;

	/* What is signed. */
	uint64_t signed_size;
	struct blob note;
};

static int
broken(struct store *s, const char *what)
{
	if (s->trouble[0] == '\0')
		(void)snprintf(s->trouble, sizeof s->trouble, "%s: %s", what, strerror(errno));
	return (-1);
}

static void
put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t
get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return (v);
}

static uint32_t
get32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static void
tail_name(char name[32], uint64_t tile)
{
	(void)snprintf(name, 32, "tail.%012" PRIu64, tile);
}

/* --- Tiles ------------------------------------------------------------------------------------------------ */

static int
tile_put(struct store *s, struct tile tile, const struct blob *content)
{
	char path[TILE_PATH_MAX];

	if (tile_path(path, tile) == -1) {
		errno = EOVERFLOW;
		return (broken(s, "tile"));
	}
	if (disk_put(s->dir, path, content->at, content->size) == -1)
		return (broken(s, path));
	return (0);
}

/* A hash of a complete subtree was made: keeps those that tiles hold, and puts a tile that is now full. */
static int
on_complete(void *self, unsigned level, uint64_t index, const struct merkle_hash *hash)
{
	struct store *s = self;
	unsigned t = level / 8;

	if (level % 8 != 0 || t >= LEVELS)
		return (0);
	if (s->level[t].size == (size_t)TILE_WIDTH * MERKLE_SIZE)
		blob_clear(&s->level[t]);
	if (blob_add(&s->level[t], hash->h, MERKLE_SIZE) == -1) {
		errno = ENOMEM;
		return (broken(s, "tile"));
	}
	if (s->level[t].size < (size_t)TILE_WIDTH * MERKLE_SIZE)
		return (0);
	return (tile_put(
	    s, (struct tile){.level = (int)t, .number = index / TILE_WIDTH, .width = TILE_WIDTH}, &s->level[t]));
}

/* Adds a leaf to the tree in memory (and full tiles to the disk). */
static int
leaf_add(struct store *s, const void *leaf, size_t size)
{
	struct merkle_hash hash;

	if (s->edge.size % TILE_WIDTH == 0)
		blob_clear(&s->entries);
	if (merkle_leaf(&hash, leaf, size) == -1 || tile_entry_add(&s->entries, leaf, size) == -1) {
		errno = ENOMEM;
		return (broken(s, "leaf"));
	}
	if (s->edge.size % TILE_WIDTH == TILE_WIDTH - 1 &&
	    tile_put(
	        s, (struct tile){.level = TILE_ENTRIES, .number = s->tile, .width = TILE_WIDTH}, &s->entries) == -1)
		return (-1);
	if (merkle_edge_add(&s->edge, &hash, on_complete, s) == -1)
		return (broken(s, "tree"));
	return (0);
}

/* Partial tiles for the present size: every level whose last tile is not full. */
static int
partials_put(struct store *s)
{
	uint64_t n = s->edge.size;

	if (n % TILE_WIDTH != 0 &&
	    tile_put(s,
	        (struct tile){.level = TILE_ENTRIES, .number = n / TILE_WIDTH, .width = (unsigned)(n % TILE_WIDTH)},
	        &s->entries) == -1)
		return (-1);
	for (int level = 0; level < (int)LEVELS && n > 0; level++, n /= TILE_WIDTH)
		if (n % TILE_WIDTH != 0 &&
		    tile_put(s,
		        (struct tile){
		            .level = level, .number = n / TILE_WIDTH, .width = (unsigned)(n % TILE_WIDTH)},
		        &s->level[level]) == -1)
			return (-1);
	return (0);
}

/* Takes away the partial tiles of an older checkpoint that the one for `size` now replaces. */
static void
partials_remove(struct store *s, uint64_t older, uint64_t size)
{
	char path[TILE_PATH_MAX];
	struct tile tile;

	for (int level = TILE_ENTRIES; level < (int)LEVELS; level++) {
		unsigned shift = level > 0 ? 8u * (unsigned)level : 0;
		uint64_t was = older >> shift, now = size >> shift;

		if (was == now || was % TILE_WIDTH == 0)
			continue;
		tile = (struct tile){
		    .level = level, .number = was / TILE_WIDTH, .width = (unsigned)(was % TILE_WIDTH)};
		if (tile_path(path, tile) == 0)
			(void)unlinkat(s->dir, path, 0);
	}
}

/* --- The tail's log --------------------------------------------------------------------------------------- */

/* Begins tail.<tile>, durable, and takes the one before away. */
static int
tail_begin(struct store *s, uint64_t tile)
{
	uint8_t head[TAIL_HEAD] = TAIL_MAGIC;
	char name[32];
	int fd;

	put64(head + 16, tile * TILE_WIDTH);
	for (unsigned i = 0; i < STORE_SOURCES; i++)
		put64(head + 24 + (size_t)i * 8, s->last[i]);
	put32(head + TAIL_HEAD - 4, journal_crc(0, head, TAIL_HEAD - 4));
	tail_name(name, tile);
	if (disk_put(s->dir, name, head, sizeof head) == -1 ||
	    (fd = openat(s->dir, name, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW)) == -1)
		return (broken(s, name));
	if (s->tail != -1) {
		(void)close(s->tail);
		tail_name(name, s->tile);
		if (unlinkat(s->dir, name, 0) == -1) {
			(void)close(fd);
			s->tail = -1;
			return (broken(s, name));
		}
	}
	s->tail = fd;
	s->tile = tile;
	s->state = CLEAN;
	return (0);
}

static int
tail_write(struct store *s, unsigned source, uint64_t sequence, const void *leaf, size_t size)
{
	struct blob record = {0};
	uint8_t head[LEAF_HEAD], crc[4];
	int result = -1;

	put32(head, (uint32_t)size);
	put32(head + 4, source);
	put64(head + 8, sequence);
	put32(crc, journal_crc(journal_crc(0, head, sizeof head), leaf, size));
	if (blob_add(&record, head, sizeof head) == 0 && blob_add(&record, leaf, size) == 0 &&
	    blob_add(&record, crc, sizeof crc) == 0) {
		s->state = DIRTY;
		result = disk_write(s->tail, record.at, record.size);
	} else
		errno = ENOMEM;
	blob_free(&record);
	return (result == 0 ? 0 : broken(s, "tail"));
}

enum store_entered
store_enter(struct store *s, unsigned source, uint64_t sequence, const void *leaf, size_t size)
{
	if (s->trouble[0] != '\0')
		return (STORE_BROKEN);
	if (source >= STORE_SOURCES || sequence == 0 || size == 0 || size > STORE_LEAF_MAX)
		return (STORE_REFUSED);
	if (sequence <= s->last[source])
		return (STORE_HELD);
	if (tail_write(s, source, sequence, leaf, size) == -1)
		return (STORE_BROKEN);
	s->last[source] = sequence;
	/* A full tile is made of what lies safely in the tail. */
	if (s->edge.size % TILE_WIDTH == TILE_WIDTH - 1 && store_sync(s) == -1)
		return (STORE_BROKEN);
	if (leaf_add(s, leaf, size) == -1)
		return (STORE_BROKEN);
	if (s->edge.size % TILE_WIDTH == 0 && tail_begin(s, s->edge.size / TILE_WIDTH) == -1)
		return (STORE_BROKEN);
	return (STORE_ENTERED);
}

int
store_sync(struct store *s)
{
	if (s->trouble[0] != '\0')
		return (-1);
	if (s->state == CLEAN)
		return (0);
	if (fdatasync(s->tail) == -1)
		return (broken(s, "tail"));
	s->state = CLEAN;
	return (0);
}

/* --- Checkpoints ------------------------------------------------------------------------------------------ */

int
store_checkpoint(struct store *s)
{
	if (s->trouble[0] == '\0' && s->note.size > 0 && s->signed_size == s->edge.size)
		return (store_sync(s));
	return (store_checkpoint_again(s));
}

int
store_checkpoint_again(struct store *s)
{
	struct checkpoint point = {.size = s->edge.size};
	struct blob note = {0};
	uint64_t older = s->signed_size;

	if (store_sync(s) == -1 || partials_put(s) == -1)
		return (-1);
	if (point.size < s->signed_size) {
		errno = EINVAL;
		return (broken(s, "refusing to sign a smaller tree"));
	}
	(void)snprintf(point.origin, sizeof point.origin, "%s", s->signer->key.name);
	if (merkle_edge_root(&s->edge, &point.root) == -1 || checkpoint_write(&note, &point) == -1 ||
	    note_sign(&note, s->signer) == -1) {
		blob_free(&note);
		errno = ENOMEM;
		return (broken(s, "checkpoint"));
	}
	if (disk_put(s->dir, "checkpoint", note.at, note.size) == -1) {
		blob_free(&note);
		return (broken(s, "checkpoint"));
	}
	blob_free(&s->note);
	s->note = note;
	s->signed_size = point.size;
	partials_remove(s, older, point.size);
	return (0);
}

/* --- Opening ---------------------------------------------------------------------------------------------- */

/* The highest tail.<n> there is; 1 found, 0 none.  Lower ones and half-made files are removed. */
static int
tail_find(struct store *s, uint64_t *tile)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = 0;
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	char name[32];

	if (d == NULL)
		return (broken(s, "directory"));
	while ((e = readdir(d)) != NULL) {
		char *end;
		uint64_t n;

		if (strncmp(e->d_name, "tail.", 5) != 0 || strlen(e->d_name) != 17)
			continue;
		n = strtoull(e->d_name + 5, &end, 10);
		if (*end != '\0')
			continue;
		if (!found || n > *tile)
			*tile = n;
		found = 1;
	}
	(void)closedir(d);
	if (found && *tile > 0) { /* killed between the new tail and the end of the old one */
		tail_name(name, *tile - 1);
		(void)unlinkat(s->dir, name, 0);
	}
	return (found);
}

/* Replays the tail's leaves.  Bytes behind the last sound one were never confirmed to anybody: they are cut. */
static int
tail_replay(struct store *s, const struct blob *tail)
{
	size_t at = TAIL_HEAD;

	for (; tail->size - at >= LEAF_HEAD + 4;) {
		const uint8_t *h = tail->at + at;
		size_t size = get32(h);

		if (size == 0 || size > STORE_LEAF_MAX || size > tail->size - at - LEAF_HEAD - 4 ||
		    get32(h + 4) >= STORE_SOURCES ||
		    get32(h + LEAF_HEAD + size) != journal_crc(0, h, LEAF_HEAD + size))
			break;
		if (get64(h + 8) <= s->last[get32(h + 4)] || s->edge.size - s->tile * TILE_WIDTH == TILE_WIDTH) {
			errno = EILSEQ;
			return (broken(s, "tail: sequence"));
		}
		s->last[get32(h + 4)] = get64(h + 8);
		if (leaf_add(s, h + LEAF_HEAD, size) == -1)
			return (-1);
		at += LEAF_HEAD + size + 4;
	}
	if (at < tail->size && (ftruncate(s->tail, (off_t)at) == -1 || fdatasync(s->tail) == -1))
		return (broken(s, "tail"));
	return (0);
}

struct hashes_from {
	struct tile_shelf shelf; /* of a size that full tiles cover */
	struct store *store;
};

/* As tile_shelf_fetch(), but what unfinished tiles hold comes from memory: no checkpoint may cover them yet. */
static int
fetch_any(void *from, unsigned level, uint64_t index, struct merkle_hash *out)
{
	struct hashes_from *f = from;
	unsigned shift = level % 8, t = level / 8;
	uint64_t first = index << shift, start = ((f->shelf.size >> (8 * t)) / TILE_WIDTH) * TILE_WIDTH;
	struct tile tile = {.level = (int)t, .width = (unsigned)(f->store->level[t].size / MERKLE_SIZE)};

	if (first < start)
		return (tile_shelf_fetch(&f->shelf, level, index, out));
	return (tile_hash(&f->store->level[t], tile, shift, (first - start) >> shift, out));
}

/* The root of a full tile: one hash of the tile level above it. */
static int
tile_root(const struct store *s, unsigned level, uint64_t number, struct merkle_hash *out)
{
	struct tile tile = {.level = (int)level, .number = number, .width = TILE_WIDTH};
	struct blob content = {0};
	char path[TILE_PATH_MAX];
	int result = -1;

	if (tile_path(path, tile) == 0 && blob_read_at(&content, s->dir, path, TILE_WIDTH * MERKLE_SIZE) == 0)
		result = tile_hash(&content, tile, 8, 0, out);
	blob_free(&content);
	return (result);
}

/*
 * The hashes of each level's unfinished tile, made from the full tiles below it: its own partial tile may be narrower
 * than the tree is, or not be there, when a full tile was the last that was written before a kill.
 */
static int
levels_load(struct store *s, struct hashes_from *from)
{
	uint64_t n = from->shelf.size / TILE_WIDTH;
	struct merkle_hash h;

	for (unsigned t = 1; t < LEVELS && n > 0; t++, n /= TILE_WIDTH)
		for (uint64_t i = n - n % TILE_WIDTH; i < n; i++)
			if (tile_root(s, t - 1, i, &h) == -1 || blob_add(&s->level[t], h.h, MERKLE_SIZE) == -1)
				return (-1);
	return (merkle_edge_load(&s->edge, from->shelf.size, fetch_any, from));
}

static int
tail_load(struct store *s)
{
	struct hashes_from from = {.shelf = {.dir = s->dir, .size = s->tile * TILE_WIDTH}, .store = s};
	struct blob tail = {0};
	char name[32];
	int result = -1, loaded;

	tail_name(name, s->tile);
	errno = EILSEQ;
	if ((s->tail = openat(s->dir, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW)) == -1 ||
	    blob_read(&tail, s->tail, TAIL_MAX) == -1) {
		(void)broken(s, name);
		goto out;
	}
	errno = EILSEQ;
	if (tail.size < TAIL_HEAD || memcmp(tail.at, TAIL_MAGIC, sizeof TAIL_MAGIC) != 0 ||
	    get32(tail.at + TAIL_HEAD - 4) != journal_crc(0, tail.at, TAIL_HEAD - 4) ||
	    get64(tail.at + 16) != s->tile * TILE_WIDTH) {
		(void)broken(s, name);
		goto out;
	}
	for (unsigned i = 0; i < STORE_SOURCES; i++)
		s->last[i] = get64(tail.at + 24 + (size_t)i * 8);
	loaded = levels_load(s, &from);
	tile_shelf_end(&from.shelf);
	if (loaded == -1) {
		errno = EILSEQ;
		(void)broken(s, "tiles");
	} else if (tail_replay(s, &tail) == 0)
		result = 0;
	if (result == 0 && s->edge.size == (s->tile + 1) * TILE_WIDTH) /* killed before the next tail was made */
		result = tail_begin(s, s->tile + 1);
out:
	blob_free(&tail);
	return (result);
}

/* The last checkpoint must be ours and this tree must continue it: a book that shrank or changed is not opened. */
static int
checkpoint_check(struct store *s)
{
	struct hashes_from from = {
	    .shelf = {.dir = s->dir, .size = s->edge.size - s->edge.size % TILE_WIDTH}, .store = s};
	struct checkpoint point;
	struct merkle_hash root;
	const char *why = NULL;
	int result = -1;

	if (blob_read_at(&s->note, s->dir, "checkpoint", NOTE_MAX) == -1)
		return (errno == ENOENT ? 0 : broken(s, "checkpoint"));
	errno = EILSEQ;
	if (checkpoint_open(&point, &s->note, &s->signer->key, &why) == -1) {
		(void)broken(s, why != NULL ? why : "checkpoint");
	} else if (point.size > s->edge.size) {
		(void)broken(s, "the book is shorter than its last checkpoint");
	} else if ((point.size == 0 ? merkle_empty(&root) : merkle_root(&root, point.size, fetch_any, &from)) ==
	               -1 ||
	           !merkle_equal(&root, &point.root)) {
		(void)broken(s, "the book is not the one that its last checkpoint signed");
	} else {
		s->signed_size = point.size;
		result = 0;
	}
	tile_shelf_end(&from.shelf);
	return (result);
}

struct store *
store_open(int dir, const struct note_signer *signer, char *why, size_t why_size)
{
	struct store *s = calloc(1, sizeof *s);
	int found;

	if (s == NULL || (s->dir = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		(void)snprintf(why, why_size, "the book's directory: %s", strerror(s == NULL ? ENOMEM : errno));
		free(s);
		return (NULL);
	}
	s->tail = -1;
	s->signer = signer;
	if (flock(s->dir, LOCK_EX | LOCK_NB) == -1) {
		(void)broken(s, "another process has the book");
		goto refuse;
	}
	if ((found = tail_find(s, &s->tile)) == -1)
		goto refuse;
	if (!found && faccessat(s->dir, "checkpoint", F_OK, 0) == 0) {
		errno = EILSEQ;
		(void)broken(s, "the book has a checkpoint but no tail");
		goto refuse;
	}
	if ((found ? tail_load(s) : tail_begin(s, 0)) == -1 || checkpoint_check(s) == -1)
		goto refuse;
	return (s);
refuse:
	(void)snprintf(why, why_size, "%s", s->trouble);
	store_close(s);
	return (NULL);
}

uint64_t
store_size(const struct store *s)
{
	return (s->edge.size);
}

uint64_t
store_signed(const struct store *s)
{
	return (s->signed_size);
}

uint64_t
store_last(const struct store *s, unsigned source)
{
	return (source < STORE_SOURCES ? s->last[source] : 0);
}

const char *
store_trouble(const struct store *s)
{
	return (s->trouble);
}

const struct blob *
store_note(const struct store *s)
{
	return (&s->note);
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->tail != -1)
		(void)close(s->tail);
	for (unsigned i = 0; i < LEVELS; i++)
		blob_free(&s->level[i]);
	blob_free(&s->entries);
	blob_free(&s->note);
	(void)close(s->dir);
	free(s);
}
