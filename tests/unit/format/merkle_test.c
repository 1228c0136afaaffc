/* The tree: the eight roots every RFC 6962 implementation agrees on, every proof for small trees, every lie refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/blob.h"
#include "format/merkle.h"

enum { LEAVES = 70 };

static struct merkle_hash leaves[LEAVES];

static int
fetch(void *from, unsigned level, uint64_t index, struct merkle_hash *out)
{
	struct merkle_hash left, right;

	if (level == 0) {
		*out = leaves[index];
		return (0);
	}
	return (fetch(from, level - 1, 2 * index, &left) | fetch(from, level - 1, 2 * index + 1, &right) |
	        merkle_node(out, &left, &right));
}

static void
roots_are_the_known_ones(void **state)
{
	static const char *const inputs[] = {
	    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
	static const char *const roots[] = {
	    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	};
	struct merkle_edge edge = {.size = 0};
	struct merkle_hash root, want;

	(void)state;
	assert_int_equal(merkle_empty(&root), 0);
	assert_int_equal(
	    hex_decode("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 64, want.h, 32), 0);
	assert_true(merkle_equal(&root, &want));
	for (unsigned i = 0; i < 8; i++) {
		unsigned char entry[16];

		assert_int_equal(hex_decode(inputs[i], strlen(inputs[i]), entry, strlen(inputs[i]) / 2), 0);
		assert_int_equal(merkle_leaf(&leaves[i], entry, strlen(inputs[i]) / 2), 0);
		assert_int_equal(merkle_edge_add(&edge, &leaves[i], NULL, NULL), 0);
		assert_int_equal(hex_decode(roots[i], 64, want.h, 32), 0);
		assert_int_equal(merkle_root(&root, i + 1, fetch, NULL), 0);
		assert_true(merkle_equal(&root, &want));
		assert_int_equal(merkle_edge_root(&edge, &root), 0);
		assert_true(merkle_equal(&root, &want));
	}
}

static void
leaves_make(void)
{
	for (unsigned i = 0; i < LEAVES; i++)
		assert_int_equal(merkle_leaf(&leaves[i], &i, sizeof(i)), 0);
}

static void
every_leaf_is_proven_and_no_other(void **state)
{
	struct merkle_proof proof;
	struct merkle_hash root;

	(void)state;
	leaves_make();
	for (uint64_t size = 1; size <= LEAVES; size++) {
		assert_int_equal(merkle_root(&root, size, fetch, NULL), 0);
		for (uint64_t i = 0; i < size; i++) {
			assert_int_equal(merkle_prove_inclusion(&proof, i, size, fetch, NULL), 0);
			assert_int_equal(merkle_verify_inclusion(&proof, i, size, &leaves[i], &root), 0);
			assert_int_equal(
			    merkle_verify_inclusion(&proof, i, size, &leaves[(i + 1) % LEAVES], &root), -1);
			for (uint64_t other = 0; other < size; other++)
				if (other != i)
					assert_int_equal(
					    merkle_verify_inclusion(&proof, other, size, &leaves[i], &root), -1);
			proof.count++;
			assert_int_equal(merkle_verify_inclusion(&proof, i, size, &leaves[i], &root), -1);
			proof.count--;
			if (proof.count > 0) {
				proof.path[proof.count - 1].h[3] ^= 1;
				assert_int_equal(merkle_verify_inclusion(&proof, i, size, &leaves[i], &root), -1);
				proof.count--;
				assert_int_equal(merkle_verify_inclusion(&proof, i, size, &leaves[i], &root), -1);
			}
		}
		assert_int_equal(merkle_prove_inclusion(&proof, size, size, fetch, NULL), -1);
	}
}

static void
every_growth_is_proven_and_no_other(void **state)
{
	struct merkle_hash roots[LEAVES + 1];
	struct merkle_proof proof;

	(void)state;
	leaves_make();
	for (uint64_t size = 0; size <= LEAVES; size++)
		assert_int_equal(merkle_root(&roots[size], size, fetch, NULL), 0);
	for (uint64_t newer = 0; newer <= LEAVES; newer++)
		for (uint64_t older = 0; older <= newer; older++) {
			struct merkle_hash wrong = roots[older];

			assert_int_equal(merkle_prove_consistency(&proof, older, newer, fetch, NULL), 0);
			assert_int_equal(
			    merkle_verify_consistency(&proof, older, newer, &roots[older], &roots[newer]), 0);
			wrong.h[0] ^= 1;
			assert_int_equal(
			    merkle_verify_consistency(&proof, older, newer, &wrong, &roots[newer]), -1);
			if (older == 0)
				continue;
			wrong = roots[newer];
			wrong.h[31] ^= 1;
			assert_int_equal(
			    merkle_verify_consistency(&proof, older, newer, &roots[older], &wrong), -1);
			if (older > 1)
				assert_int_equal(merkle_verify_consistency(
				                     &proof, older - 1, newer, &roots[older], &roots[newer]),
				    -1);
			if (proof.count > 0) {
				proof.path[0].h[0] ^= 1;
				assert_int_equal(
				    merkle_verify_consistency(&proof, older, newer, &roots[older], &roots[newer]),
				    -1);
			}
		}
}

static void
an_edge_is_loaded_again(void **state)
{
	struct merkle_edge edge = {.size = 0}, again;
	struct merkle_hash a, b;

	(void)state;
	leaves_make();
	for (unsigned i = 0; i < LEAVES; i++) {
		assert_int_equal(merkle_edge_add(&edge, &leaves[i], NULL, NULL), 0);
		assert_int_equal(merkle_edge_load(&again, i + 1, fetch, NULL), 0);
		assert_int_equal(merkle_edge_root(&edge, &a) | merkle_edge_root(&again, &b), 0);
		assert_true(merkle_equal(&a, &b));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(roots_are_the_known_ones),
	    cmocka_unit_test(every_leaf_is_proven_and_no_other),
	    cmocka_unit_test(every_growth_is_proven_and_no_other),
	    cmocka_unit_test(an_edge_is_loaded_again),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
