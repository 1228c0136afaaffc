#include "scan.h"

#include <stdarg.h>

#include "format/tile.h"

#define TABLE_LEAST 64u
#define WHY_MAX 160

struct scan {
	struct checkpoint at;
	struct tile_shelf entries, hashes;
	struct merkle_edge edge; /* what was read so far */
	char why[WHY_MAX];

	/* What was found, in the book's order, and a table into it by identifier: place + 1, 0 free, open addressing. */
	struct found *found;
	size_t count, room;
	uint32_t *table;
	size_t slots;
};

static enum scan_more failed(struct scan *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum scan_more
failed(struct scan *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	return (SCAN_FAILED);
}

/* ---- the table ---- */

/* Identifiers are random; the table is no stranger's to aim at, for only the recorder's leaves fill it. */
static size_t
slot_of(const struct scan *s, const char *rec)
{
	uint64_t h = 14695981039346656037u;

	for (const char *c = rec; *c != '\0'; c++)
		h = (h ^ (unsigned char)*c) * 1099511628211u;
	for (size_t i = (size_t)h & (s->slots - 1);; i = (i + 1) & (s->slots - 1))
		if (s->table[i] == 0 || strcmp(s->found[s->table[i] - 1].rec, rec) == 0)
			return (i);
}

static int
table_grow(struct scan *s)
{
	size_t slots = s->slots == 0 ? TABLE_LEAST : 2 * s->slots;
	struct found *found = realloc(s->found, slots / 2 * sizeof(*found));
	uint32_t *table;

	if (found == NULL)
		return (-1);
	s->found = found;
	if ((table = calloc(slots, sizeof(*table))) == NULL)
		return (-1);
	free(s->table);
	s->table = table;
	s->slots = slots;
	s->room = slots / 2;
	for (size_t i = 0; i < s->count; i++)
		s->table[slot_of(s, s->found[i].rec)] = (uint32_t)i + 1;
	return (0);
}

/* The one of this name, made when it is new; NULL: no memory. */
static struct found *
found_of(struct scan *s, const char *rec)
{
	size_t slot;

	if (s->count == s->room && table_grow(s) == -1)
		return (NULL);
	slot = slot_of(s, rec);
	if (s->table[slot] == 0) {
		struct found *f = &s->found[s->count];

		*f = (struct found){.claims = NULL};
		(void)snprintf(f->rec, sizeof(f->rec), "%s", rec);
		s->table[slot] = (uint32_t)++s->count;
	}
	return (&s->found[s->table[slot] - 1]);
}

/* ---- life ---- */

struct scan *
scan_new(int dir, const struct checkpoint *at)
{
	struct scan *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (NULL);
	s->at = *at;
	s->entries = (struct tile_shelf){.dir = dir, .size = at->size};
	s->hashes = s->entries;
	if (table_grow(s) == -1) {
		scan_free(s);
		return (NULL);
	}
	return (s);
}

void
scan_free(struct scan *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++)
		if (s->found[i].claims != NULL) {
			claims_free(s->found[i].claims);
			free(s->found[i].claims);
		}
	tile_shelf_end(&s->entries);
	tile_shelf_end(&s->hashes);
	free(s->found);
	free(s->table);
	free(s);
}

int
scan_want(struct scan *s, const char *rec)
{
	struct found *f = found_of(s, rec);

	if (f == NULL)
		return (-1);
	if (f->claims != NULL)
		return (0);
	if ((f->claims = calloc(1, sizeof(*f->claims))) == NULL)
		return (-1);
	f->claims->known = CLAIMS_ALL;
	memcpy(f->claims->rec, f->rec, sizeof(f->claims->rec));
	return (0);
}

const char *
scan_why(const struct scan *s)
{
	return (s->why);
}

/* Wanted and never met: the book does not know it. */
static const struct found *
known_only(const struct found *f)
{
	return (f->claims != NULL && f->claims->start.kind == LEAF_OTHER && f->claims->end.kind == LEAF_OTHER &&
	                f->claims->count == 0
	            ? NULL
	            : f);
}

const struct found *
scan_find(const struct scan *s, const char *rec)
{
	uint32_t place = s->table[slot_of(s, rec)];

	return (place == 0 ? NULL : known_only(&s->found[place - 1]));
}

const struct found *
scan_at(const struct scan *s, size_t i)
{
	return (i < s->count ? &s->found[i] : NULL);
}

/* ---- the walk ---- */

/* Cheap: most leaves are events, and only ours are worth a parser.  leaf_write() spells them so, and only so. */
static int
is_of_a_recording(const unsigned char *entry, size_t size)
{
	static const char *const begins[] = {
	    "{\"leaf\":\"session.start\"", "{\"leaf\":\"segment\"", "{\"leaf\":\"session.end\""};

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++)
		if (size >= strlen(begins[i]) && memcmp(entry, begins[i], strlen(begins[i])) == 0)
			return (1);
	return (0);
}

/* 0; -1: no memory. */
static int
leaf_take(struct scan *s, uint64_t index, const struct leaf *leaf)
{
	struct found *f = found_of(s, leaf->rec);

	if (f == NULL)
		return (-1);
	if (leaf->kind == LEAF_START) {
		f->started_ms = leaf->at_ms;
		f->start_index = index;
	} else if (leaf->kind == LEAF_END)
		f->end_index = index;
	if (f->claims != NULL && claims_add(f->claims, leaf) == -1)
		f->contradicted = 1;
	return (0);
}

/* One entry: hashed, compared with the tile of hashes (which names the damage), and taken when it is a recording's. */
static enum scan_more
entry_take(struct scan *s, const char *path, const unsigned char *entry, size_t size)
{
	uint64_t index = s->edge.size;
	struct merkle_hash hash, held;
	struct leaf leaf;

	if (merkle_leaf(&hash, entry, size) == -1 || merkle_edge_add(&s->edge, &hash, NULL, NULL) == -1)
		return (failed(s, "no memory"));
	if (tile_shelf_fetch(&s->hashes, 0, index, &held) == -1)
		return (
		    failed(s, "the tile with the hash of leaf %llu is missing or cut", (unsigned long long)index));
	if (!merkle_equal(&hash, &held))
		return (failed(
		    s, "%s: leaf %llu is not the one whose hash is in the tree", path, (unsigned long long)index));
	if (!is_of_a_recording(entry, size))
		return (SCAN_MORE);
	if (leaf_parse(&leaf, entry, size) == -1)
		return (failed(s, "%s: leaf %llu is malformed", path, (unsigned long long)index));
	if (leaf.kind != LEAF_OTHER && leaf_take(s, index, &leaf) == -1)
		return (failed(s, "no memory"));
	return (SCAN_MORE);
}

static enum scan_more
root_check(struct scan *s)
{
	struct merkle_hash root;

	if ((s->at.size == 0 ? merkle_empty(&root) : merkle_edge_root(&s->edge, &root)) == -1)
		return (failed(s, "no memory"));
	if (!merkle_equal(&root, &s->at.root))
		return (failed(s, "checkpoint: the book's leaves are not the ones that it signs"));
	return (SCAN_DONE);
}

enum scan_more
scan_step(struct scan *s)
{
	struct blob first = {.at = NULL};
	const unsigned char *entry;
	char path[TILE_PATH_MAX];
	size_t offset = 0, size;
	struct tile tile;
	uint64_t most;

	if (s->edge.size == s->at.size)
		return (root_check(s));
	if (tile_of(&tile, TILE_ENTRIES, s->edge.size, s->at.size) == -1 || tile_path(path, tile) == -1)
		return (failed(s, "checkpoint: more leaves than a book can have"));
	/* Holds the bundle; its leaves are then walked where they lie. */
	if (tile_shelf_entry(&s->entries, s->edge.size, &first) == -1)
		return (failed(s, "%s: is missing or cut", path));
	blob_free(&first);
	most = s->edge.size + tile.width;
	while (s->edge.size < most) {
		if (tile_entry_next(&s->entries.content, &offset, &entry, &size) != 1)
			return (failed(s, "%s: is cut", path));
		if (entry_take(s, path, entry, size) == SCAN_FAILED)
			return (SCAN_FAILED);
	}
	return (SCAN_MORE);
}

int
scan_prove(const struct scan *s, uint64_t index, struct blob *entry, struct proof *proof)
{
	struct tile_shelf shelf = {.dir = s->entries.dir, .size = s->at.size};
	struct merkle_hash leaf;
	size_t before = entry->size;
	int result = -1;

	*proof = (struct proof){.index = index};
	if (tile_shelf_entry(&shelf, index, entry) == 0 &&
	    merkle_leaf(&leaf, entry->at + before, entry->size - before) == 0 &&
	    merkle_prove_inclusion(&proof->path, index, s->at.size, tile_shelf_fetch, &shelf) == 0)
		result = merkle_verify_inclusion(&proof->path, index, s->at.size, &leaf, &s->at.root);
	tile_shelf_end(&shelf);
	return (result);
}
