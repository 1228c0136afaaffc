/* The book's store, opened again after a kill at any size: it goes on at the same index, with the same tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include <cmocka.h>

#include "store.h"

#define SOURCE 3u
#define NEVER 0u

/* A checkpoint is signed at `checkpoint` leaves (or never), and the process is killed at `killed`. */
static const struct row {
	const char *name;
	uint64_t checkpoint, killed;
} rows[] = {
    {"the first leaf", NEVER, 1},
    {"one before a full tile", NEVER, 255},
    {"a full tile that no checkpoint covers", NEVER, 256},
    {"one behind it", NEVER, 257},
    {"a full tile, a checkpoint in its middle", 100, 256},
    {"a full tile, a checkpoint just before", 255, 256},
    {"a full tile under a checkpoint", 256, 256},
    {"one behind a full tile under a checkpoint", 256, 257},
    {"two full tiles, a checkpoint at the first", 256, 512},
    {"two full tiles, a checkpoint between", 257, 512},
    {"three full tiles, no checkpoint", NEVER, 768},
    {"three full tiles, a checkpoint at the second", 512, 769},
    {"a tile of the level above is full", 300, 65536},
    {"one behind it", 65535, 65537},
};

static struct note_signer signer;

static int
on_file(const char *path, const struct stat *st, int flag, struct FTW *where)
{
	(void)st;
	(void)flag;
	(void)where;
	return (remove(path));
}

static void
leaves_enter(struct store *s, uint64_t from, uint64_t to, uint64_t checkpoint)
{
	char leaf[64];

	for (uint64_t n = from; n <= to; n++) {
		int len = snprintf(leaf, sizeof(leaf), "leaf %llu", (unsigned long long)n);

		assert_int_equal(store_enter(s, SOURCE, n, leaf, (size_t)len), STORE_ENTERED);
		if (n == checkpoint)
			assert_int_equal(store_checkpoint(s), 0);
	}
}

static struct store *
opened(int dir, const char *name)
{
	char why[256] = "";
	struct store *s = store_open(dir, &signer, why, sizeof(why));

	if (s == NULL)
		fail_msg("%s: %s", name, why);
	return (s);
}

/* The signed note over `size` leaves by a store that was never killed. */
static void
note_make(struct blob *note, uint64_t size)
{
	char path[] = "/dev/shm/book.XXXXXX";
	int dir;
	struct store *s;

	assert_non_null(mkdtemp(path));
	assert_true((dir = open(path, O_RDONLY | O_DIRECTORY)) != -1);
	s = opened(dir, "never killed");
	leaves_enter(s, 1, size, NEVER);
	assert_int_equal(store_checkpoint(s), 0);
	assert_int_equal(blob_add(note, store_note(s)->at, store_note(s)->size), 0);
	store_close(s);
	close(dir);
	nftw(path, on_file, 16, FTW_DEPTH | FTW_PHYS);
}

static void
row_try(const struct row *r)
{
	char path[] = "/dev/shm/book.XXXXXX";
	struct blob want = {0};
	struct store *s;
	int dir;

	assert_non_null(mkdtemp(path));
	assert_true((dir = open(path, O_RDONLY | O_DIRECTORY)) != -1);
	s = opened(dir, r->name);
	leaves_enter(s, 1, r->killed, r->checkpoint);
	store_close(s); /* syncs nothing and signs nothing: to the files this is a kill */

	s = opened(dir, r->name);
	assert_int_equal(store_size(s), r->killed);
	assert_int_equal(store_last(s, SOURCE), r->killed);
	assert_int_equal(store_signed(s), r->checkpoint);
	assert_int_equal(store_enter(s, SOURCE, r->killed, "leaf", 4), STORE_HELD);
	leaves_enter(s, r->killed + 1, r->killed + 300, NEVER);
	assert_int_equal(store_checkpoint(s), 0);
	note_make(&want, r->killed + 300);
	assert_int_equal(store_note(s)->size, want.size);
	assert_memory_equal(store_note(s)->at, want.at, want.size);
	store_close(s);
	store_close(opened(dir, r->name));

	blob_free(&want);
	close(dir);
	nftw(path, on_file, 16, FTW_DEPTH | FTW_PHYS);
}

static void
test_killed(void **state)
{
	(void)state;
	assert_int_equal(note_signer_make(&signer, "book"), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		row_try(&rows[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed)};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
