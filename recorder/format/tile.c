/* C2SP tlog-tiles: see tile.h. */
#include <stdio.h>
#include <string.h>

#include "format/tile.h"

enum { TILE_BYTES_MAX = TILE_WIDTH * MERKLE_SIZE, BUNDLE_BYTES_MAX = TILE_WIDTH * (TILE_ENTRY_MAX + 2) };

#define TILE_NUMBER_MAX 1000000000000ULL /* four groups of three digits */

int
tile_path(char out[TILE_PATH_MAX], struct tile tile)
{
	unsigned groups[4], count = 0;
	size_t at;

	if (tile.level < TILE_ENTRIES || tile.level > TILE_LEVEL_MAX || tile.width == 0 ||
	    tile.width > TILE_WIDTH || tile.number >= TILE_NUMBER_MAX)
		return (-1);
	do {
		groups[count++] = (unsigned)(tile.number % 1000);
		tile.number /= 1000;
	} while (tile.number > 0);
	at = (size_t)(tile.level == TILE_ENTRIES ? snprintf(out, TILE_PATH_MAX, "tile/entries")
	                                         : snprintf(out, TILE_PATH_MAX, "tile/%d", tile.level));
	while (count-- > 0)
		at +=
		    (size_t)snprintf(out + at, TILE_PATH_MAX - at, "/%s%03u", count > 0 ? "x" : "", groups[count]);
	if (tile.width < TILE_WIDTH)
		(void)snprintf(out + at, TILE_PATH_MAX - at, ".p/%u", tile.width);
	return (0);
}

/* Reads leniently and then demands the one spelling that tile_path() makes. */
int
tile_path_parse(struct tile *tile, const char *path)
{
	char again[TILE_PATH_MAX], level[8];
	unsigned long long number = 0;
	unsigned width = TILE_WIDTH;
	int at = 0;

	*tile = (struct tile){.width = 0};
	if (strlen(path) >= TILE_PATH_MAX || sscanf(path, "tile/%7[^/]/%n", level, &at) != 1 || at == 0)
		return (-1);
	if (strcmp(level, "entries") == 0)
		tile->level = TILE_ENTRIES;
	else if (sscanf(level, "%2d", &tile->level) != 1)
		return (-1);
	for (const char *c = path + at; *c != '\0' && *c != '.'; c++)
		if (*c >= '0' && *c <= '9' && number < TILE_NUMBER_MAX)
			number = number * 10 + (unsigned)(*c - '0');
	if (strstr(path, ".p/") != NULL && sscanf(strstr(path, ".p/"), ".p/%3u", &width) != 1)
		return (-1);
	tile->number = number;
	tile->width = width;
	return (tile_path(again, *tile) == 0 && strcmp(again, path) == 0 ? 0 : -1);
}

int
tile_of(struct tile *tile, int level, uint64_t index, uint64_t size)
{
	uint64_t count = size >> 8 * (level == TILE_ENTRIES ? 0 : (unsigned)level);
	uint64_t left;

	if (level < TILE_ENTRIES || level > TILE_LEVEL_MAX || index >= count)
		return (-1);
	left = count - index / TILE_WIDTH * TILE_WIDTH;
	*tile = (struct tile){
	    .level = level, .number = index / TILE_WIDTH, .width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH};
	return (0);
}

int
tile_hash(const struct blob *content, struct tile tile, unsigned height, uint64_t index, struct merkle_hash *out)
{
	uint64_t first = index << height, count = (uint64_t)1 << height;
	struct merkle_hash row[TILE_WIDTH];

	if (height > 8 || index >= TILE_WIDTH || first + count > tile.width ||
	    content->size < (size_t)tile.width * MERKLE_SIZE)
		return (-1);
	memcpy(row, content->at + first * MERKLE_SIZE, (size_t)count * MERKLE_SIZE);
	for (; count > 1; count /= 2)
		for (uint64_t i = 0; i < count / 2; i++)
			if (merkle_node(&row[i], &row[2 * i], &row[2 * i + 1]) == -1)
				return (-1);
	*out = row[0];
	return (0);
}

int
tile_entry_add(struct blob *bundle, const void *entry, size_t size)
{
	const unsigned char length[2] = {(unsigned char)(size >> 8), (unsigned char)size};

	if (size > TILE_ENTRY_MAX || blob_reserve(bundle, size + 2) == -1)
		return (-1);
	return (blob_add(bundle, length, 2) | blob_add(bundle, entry, size));
}

int
tile_entry_next(const struct blob *bundle, size_t *offset, const unsigned char **entry, size_t *size)
{
	size_t left = bundle->size - *offset, length;

	if (left == 0)
		return (0);
	if (left < 2)
		return (-1);
	length = (size_t)bundle->at[*offset] << 8 | bundle->at[*offset + 1];
	if (length > left - 2)
		return (-1);
	*entry = bundle->at + *offset + 2;
	*size = length;
	*offset += length + 2;
	return (1);
}

/* ---- the shelf ---- */

static int
shelf_try(struct tile_shelf *shelf, struct tile tile)
{
	char path[TILE_PATH_MAX];
	size_t max = tile.level == TILE_ENTRIES ? BUNDLE_BYTES_MAX : TILE_BYTES_MAX;

	blob_clear(&shelf->content);
	shelf->held.width = 0;
	if (tile_path(path, tile) == -1 || blob_read_at(&shelf->content, shelf->dir, path, max) == -1)
		return (-1);
	if (tile.level != TILE_ENTRIES && shelf->content.size != (size_t)tile.width * MERKLE_SIZE)
		return (-1);
	shelf->held = tile;
	return (0);
}

/* Makes `tile`, or a wider one of the same number, the held one. */
static int
shelf_hold(struct tile_shelf *shelf, struct tile tile)
{
	unsigned wanted = tile.width;

	if (shelf->held.width >= wanted && shelf->held.level == tile.level && shelf->held.number == tile.number)
		return (0);
	if (shelf_try(shelf, tile) == 0)
		return (0);
	for (tile.width = TILE_WIDTH; tile.width > wanted; tile.width--)
		if (shelf_try(shelf, tile) == 0)
			return (0);
	return (-1);
}

int
tile_shelf_fetch(void *from, unsigned level, uint64_t index, struct merkle_hash *out)
{
	struct tile_shelf *shelf = from;
	unsigned height = level % 8;
	struct tile tile;

	if (level / 8 > TILE_LEVEL_MAX || index >= UINT64_MAX >> (height + 1) ||
	    tile_of(&tile, (int)(level / 8), ((index + 1) << height) - 1, shelf->size) == -1 ||
	    shelf_hold(shelf, tile) == -1)
		return (-1);
	return (tile_hash(&shelf->content, shelf->held, height, index % ((uint64_t)TILE_WIDTH >> height), out));
}

int
tile_shelf_entry(struct tile_shelf *shelf, uint64_t index, struct blob *entry)
{
	const unsigned char *at;
	size_t offset = 0, size;
	struct tile tile;

	if (tile_of(&tile, TILE_ENTRIES, index, shelf->size) == -1 || shelf_hold(shelf, tile) == -1)
		return (-1);
	for (uint64_t i = 0; i <= index % TILE_WIDTH; i++)
		if (tile_entry_next(&shelf->content, &offset, &at, &size) != 1)
			return (-1);
	return (blob_add(entry, at, size));
}

void
tile_shelf_end(struct tile_shelf *shelf)
{
	blob_free(&shelf->content);
	shelf->held.width = 0;
}
