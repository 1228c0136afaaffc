/* Tiles: C2SP's paths, hashes inside tiles, bundles cut anywhere, a book of 70000 leaves read back from its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include "format/tile.h"

static void
paths_are_the_standards(void **state)
{
	static const struct {
		struct tile tile;
		const char *path;
	} rows[] = {
	    {{0, 0, 256}, "tile/0/000"},
	    {{1, 67, 8}, "tile/1/067.p/8"},
	    {{0, 1234067, 256}, "tile/0/x001/x234/067"},
	    {{0, 1234067, 8}, "tile/0/x001/x234/067.p/8"},
	    {{TILE_ENTRIES, 67, 8}, "tile/entries/067.p/8"},
	    {{TILE_ENTRIES, 999999999999, 255}, "tile/entries/x999/x999/x999/999.p/255"},
	};
	static const char *const bad[] = {"", "tile/0/0", "tile/0/0000", "tile/0/x000/000", "tile/00/000",
	    "tile/6/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/08", "tile/0/000.p/8x",
	    "tile/0/../000", "tile/entriesx/000", "tile/0/000/", "/tile/0/000", "tile/-1/000", "tile/0/x001/x234"};
	char path[TILE_PATH_MAX];
	struct tile tile;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(tile_path(path, rows[i].tile), 0);
		assert_string_equal(path, rows[i].path);
		assert_int_equal(tile_path_parse(&tile, path), 0);
		assert_true(tile.level == rows[i].tile.level && tile.number == rows[i].tile.number &&
		            tile.width == rows[i].tile.width);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tile_path_parse(&tile, bad[i]), -1);
}

static void
bundles_are_read_strictly(void **state)
{
	struct blob bundle = {.at = NULL};
	const unsigned char *entry;
	size_t offset = 0, size;

	(void)state;
	assert_int_equal(tile_entry_add(&bundle, "one", 3) | tile_entry_add(&bundle, "", 0) |
	                     tile_entry_add(&bundle, "three", 5),
	    0);
	assert_int_equal(tile_entry_next(&bundle, &offset, &entry, &size), 1);
	assert_memory_equal(entry, "one", 3);
	assert_int_equal(tile_entry_next(&bundle, &offset, &entry, &size), 1);
	assert_int_equal(size, 0);
	assert_int_equal(tile_entry_next(&bundle, &offset, &entry, &size), 1);
	assert_int_equal(size, 5);
	assert_int_equal(tile_entry_next(&bundle, &offset, &entry, &size), 0);
	bundle.size--;
	offset = 7;
	assert_int_equal(tile_entry_next(&bundle, &offset, &entry, &size), -1);
	bundle.size = 8;
	assert_int_equal(tile_entry_next(&bundle, &offset, &entry, &size), -1);
	assert_int_equal(tile_entry_add(&bundle, bundle.at, TILE_ENTRY_MAX + 1), -1);
	blob_free(&bundle);
}

/* A tiny book: every tile level written as an appender would. */
struct book {
	int dir;
	struct blob rows[TILE_LEVEL_MAX + 1];
	uint64_t done[TILE_LEVEL_MAX + 1];
};

static void
put(int dir, const char *path, const struct blob *content)
{
	char part[TILE_PATH_MAX];
	int fd;

	for (size_t i = 0; path[i] != '\0'; i++)
		if (path[i] == '/') {
			memcpy(part, path, i);
			part[i] = '\0';
			(void)mkdirat(dir, part, 0755);
		}
	assert_true((fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644)) >= 0);
	assert_int_equal(write(fd, content->at, content->size), (ssize_t)content->size);
	assert_int_equal(close(fd), 0);
}

static int
on_complete(void *self, unsigned level, uint64_t index, const struct merkle_hash *hash)
{
	struct book *book = self;
	char path[TILE_PATH_MAX];
	unsigned row = level / 8;

	(void)index;
	if (level % 8 != 0)
		return (0);
	assert_int_equal(blob_add(&book->rows[row], hash->h, MERKLE_SIZE), 0);
	if (book->rows[row].size == 256 * MERKLE_SIZE) {
		assert_int_equal(tile_path(path, (struct tile){(int)row, book->done[row]++, 256}), 0);
		put(book->dir, path, &book->rows[row]);
		blob_clear(&book->rows[row]);
	}
	return (0);
}

static void
a_book_is_read_from_its_tiles(void **state)
{
	enum { SIZE = 70000 };
	char name[] = "/tmp/tile_test.XXXXXX", path[TILE_PATH_MAX], command[64];
	struct book book = {.dir = -1};
	struct merkle_edge edge = {.size = 0};
	struct merkle_hash leaf, root = {.h = {0}}, again;
	struct tile_shelf shelf = {.size = SIZE};
	struct merkle_proof proof;

	(void)state;
	assert_non_null(mkdtemp(name));
	shelf.dir = book.dir = open(name, O_RDONLY | O_DIRECTORY);
	for (uint32_t i = 0; i < SIZE; i++) {
		assert_int_equal(merkle_leaf(&leaf, &i, sizeof(i)), 0);
		assert_int_equal(merkle_edge_add(&edge, &leaf, on_complete, &book), 0);
	}
	for (unsigned row = 0; row <= TILE_LEVEL_MAX; row++)
		if (book.rows[row].size > 0) { /* one wider than asked for, for the widening */
			unsigned width = (unsigned)(book.rows[row].size / MERKLE_SIZE);

			if (row == 0) {
				assert_int_equal(blob_add(&book.rows[row], root.h, MERKLE_SIZE), 0);
				width++;
			}
			assert_int_equal(tile_path(path, (struct tile){(int)row, book.done[row], width}), 0);
			put(book.dir, path, &book.rows[row]);
			blob_free(&book.rows[row]);
		} else
			blob_free(&book.rows[row]);
	assert_int_equal(merkle_edge_root(&edge, &root), 0);
	assert_int_equal(merkle_root(&again, SIZE, tile_shelf_fetch, &shelf), 0);
	assert_true(merkle_equal(&root, &again));
	for (uint32_t i = 0; i < SIZE; i += 997) {
		assert_int_equal(merkle_leaf(&leaf, &i, sizeof(i)), 0);
		assert_int_equal(merkle_prove_inclusion(&proof, i, SIZE, tile_shelf_fetch, &shelf), 0);
		assert_int_equal(merkle_verify_inclusion(&proof, i, SIZE, &leaf, &root), 0);
	}
	assert_int_equal(tile_shelf_fetch(&shelf, 0, SIZE, &leaf), -1);
	assert_int_equal(tile_shelf_fetch(&shelf, 63, UINT64_MAX, &leaf), -1);
	tile_shelf_end(&shelf);
	(void)close(book.dir);
	(void)snprintf(command, sizeof(command), "rm -r %s", name);
	{
		FILE *rm = popen(command, "r");

		assert_int_equal(pclose(rm), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_are_the_standards),
	    cmocka_unit_test(bundles_are_read_strictly),
	    cmocka_unit_test(a_book_is_read_from_its_tiles),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
