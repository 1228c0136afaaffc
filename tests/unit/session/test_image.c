/* The digest of a file whose bytes come in whatever order: told when it is certain, and never otherwise. */
#include "bench.h"
#include "image.h"

#define AGAIN "a byte came twice"

/* Runs as offset-length, in order, over the bytes of `pattern`. */
static const struct row {
	const char *name;
	struct {
		uint64_t offset;
		uint32_t len;
	} runs[6];
	uint64_t told; /* length of the image whose digest is told */
	const char *why;
} rows[] = {
    {"nothing", {{0, 0}}, 0, NULL},
    {"in order", {{0, 10}, {10, 20}, {30, 1}}, 31, NULL},
    {"one ahead", {{0, 10}, {20, 10}, {10, 10}}, 30, NULL},
    {"backwards", {{20, 10}, {10, 10}, {0, 10}}, 30, NULL},
    {"shuffled", {{30, 5}, {10, 10}, {0, 10}, {35, 5}, {20, 10}}, 40, NULL},
    {"nothing between", {{0, 10}, {10, 0}, {10, 5}}, 15, NULL},
    {"the tail", {{1000, 1001}}, 0, "only bytes 1000-2000"},
    {"the tail, in pieces", {{1000, 500}, {1500, 501}}, 0, "only bytes 1000-2000"},
    {"a hole", {{0, 10}, {20, 10}}, 0, "bytes are missing behind byte 10"},
    {"no beginning", {{20, 10}, {10, 10}}, 0, "bytes are missing behind byte 0"},
    {"the same again", {{0, 10}, {0, 10}}, 0, AGAIN},
    {"one byte again", {{0, 10}, {9, 10}}, 0, AGAIN},
    {"again ahead", {{0, 10}, {20, 10}, {20, 10}}, 0, AGAIN},
    {"into what is kept, from below", {{0, 10}, {20, 10}, {15, 6}}, 0, AGAIN},
    {"into what is kept, from above", {{0, 10}, {20, 10}, {29, 6}}, 0, AGAIN},
    {"over what is kept", {{0, 10}, {20, 10}, {15, 30}}, 0, AGAIN},
    {"in order, into what is kept", {{0, 10}, {20, 10}, {10, 11}}, 0, AGAIN},
    {"at the end of numbers", {{UINT64_MAX, 10}}, 0, "beyond any file"},
};

static uint8_t pattern[4096];

static void
image_feed(struct image *i, uint64_t offset, uint32_t len, size_t piece)
{
	image_begin(i, offset, len);
	for (uint32_t done = 0; done < len; done += (uint32_t)piece) {
		size_t take = len - done < piece ? len - done : piece;

		image_add(i, bytes_of(pattern + (offset + done) % (sizeof(pattern) - 64), take));
	}
}

static void
orders_and_their_digests(void **state)
{
	char sha256[IMAGE_SHA256_SIZE], why[IMAGE_WHY_SIZE], want[65];

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		for (size_t piece = 1; piece < 64; piece += 3) {
			struct image_budget budget = {0};
			struct image *i = image_new(&budget);
			int told;

			for (size_t n = 0; n < 6; n++)
				image_feed(i, rows[r].runs[n].offset, rows[r].runs[n].len, piece);
			told = image_tell(i, sha256, why);
			if (told != (rows[r].why == NULL))
				fail_msg("%s: %s", rows[r].name, told ? "told" : why);
			sha256_of(pattern, rows[r].told, want);
			assert_string_equal(told ? sha256 : why, told ? want : rows[r].why);
			image_free(i);
			assert_int_equal(budget.bytes, 0);
			assert_int_equal(budget.pieces, 0);
		}
}

/* What is kept is bounded over all files of a channel, in bytes and in pieces; what was given back can be used again. */
static void
budgets_hold(void **state)
{
	char sha256[IMAGE_SHA256_SIZE], why[IMAGE_WHY_SIZE];
	struct image_budget budget = {0};
	struct image *a = image_new(&budget), *b = image_new(&budget);

	(void)state;
	image_begin(a, 1, IMAGE_KEPT_BYTES_MAX - 1024);
	assert_true(budget.bytes > IMAGE_KEPT_BYTES_MAX - 1024);
	image_begin(b, 1, 2048);
	image_feed(b, 0, 1, 1);
	assert_false(image_tell(b, sha256, why));
	assert_string_equal(why, "not in order");
	assert_int_equal(budget.pieces, 1);
	image_free(a);
	image_free(b);
	assert_int_equal(budget.bytes, 0);

	a = image_new(&budget);
	for (uint64_t n = 0; n < IMAGE_KEPT_PIECES_MAX; n++)
		image_feed(a, 2 * n + 1, 1, 1);
	assert_int_equal(budget.pieces, IMAGE_KEPT_PIECES_MAX);
	image_feed(a, 2 * IMAGE_KEPT_PIECES_MAX + 1, 1, 1);
	assert_int_equal(budget.pieces, 0);
	assert_false(image_tell(a, sha256, why));
	assert_string_equal(why, "not in order");
	image_free(a);
}

/* A run that is cut off by the next one is not taken for whole. */
static void
runs_that_are_cut_off(void **state)
{
	char sha256[IMAGE_SHA256_SIZE], why[IMAGE_WHY_SIZE];
	struct image_budget budget = {0};
	struct image *i = image_new(&budget);

	(void)state;
	image_begin(i, 10, 10);
	image_add(i, bytes_of(pattern, 5));
	image_feed(i, 0, 10, 10);
	assert_false(image_tell(i, sha256, why));
	assert_string_equal(why, "bytes are missing behind byte 10");
	image_free(i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(orders_and_their_digests),
	    cmocka_unit_test(budgets_hold),
	    cmocka_unit_test(runs_that_are_cut_off),
	};

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 31 + i / 256);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
