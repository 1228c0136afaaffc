/* RFC 6962's tree: see merkle.h. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "format/merkle.h"

/* SHA-256 of a prefix byte and up to two parts (RFC 6962 §2.1: 0x00 before a leaf, 0x01 before a pair). */
static int
hash_parts(
    struct merkle_hash *out, unsigned char prefix, const void *a, size_t a_size, const void *b, size_t b_size)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
	         EVP_DigestUpdate(ctx, &prefix, 1) == 1 && EVP_DigestUpdate(ctx, a, a_size) == 1 &&
	         (b_size == 0 || EVP_DigestUpdate(ctx, b, b_size) == 1) &&
	         EVP_DigestFinal_ex(ctx, out->h, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return (ok ? 0 : -1);
}

int
merkle_leaf(struct merkle_hash *out, const void *entry, size_t size)
{
	return (hash_parts(out, 0, entry, size, NULL, 0));
}

int
merkle_node(struct merkle_hash *out, const struct merkle_hash *left, const struct merkle_hash *right)
{
	return (hash_parts(out, 1, left->h, MERKLE_SIZE, right->h, MERKLE_SIZE));
}

int
merkle_empty(struct merkle_hash *out)
{
	return (EVP_Digest("", 0, out->h, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1);
}

int
merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b)
{
	return (CRYPTO_memcmp(a->h, b->h, MERKLE_SIZE) == 0);
}

/* ---- making ---- */

struct tree {
	merkle_fetch fetch;
	void *from;
};

/* The largest power of two smaller than n, for n > 1. */
static uint64_t
split_of(uint64_t n)
{
	uint64_t split = 1;

	while (split < n - split)
		split *= 2;
	return (split);
}

/* The hash over leaves [low, high): MTH(D[low:high]). A complete, aligned subtree is fetched. */
static int
hash_range(const struct tree *tree, uint64_t low, uint64_t high, struct merkle_hash *out)
{
	uint64_t size = high - low, split;
	struct merkle_hash left, right;

	if ((size & (size - 1)) == 0 && low % size == 0) {
		unsigned level = 0;

		while ((uint64_t)1 << level < size)
			level++;
		return (tree->fetch(tree->from, level, low >> level, out));
	}
	split = split_of(size);
	if (hash_range(tree, low, low + split, &left) == -1 || hash_range(tree, low + split, high, &right) == -1)
		return (-1);
	return (merkle_node(out, &left, &right));
}

static int
proof_add(struct merkle_proof *proof, const struct tree *tree, uint64_t low, uint64_t high)
{
	if (proof->count == MERKLE_PROOF_MAX || hash_range(tree, low, high, &proof->path[proof->count]) == -1)
		return (-1);
	proof->count++;
	return (0);
}

/* The hashes were gathered from the root downwards; a proof lists them from the leaf upwards. */
static void
proof_reverse(struct merkle_proof *proof)
{
	for (size_t i = 0; i < proof->count / 2; i++) {
		struct merkle_hash other = proof->path[i];

		proof->path[i] = proof->path[proof->count - 1 - i];
		proof->path[proof->count - 1 - i] = other;
	}
}

int
merkle_root(struct merkle_hash *out, uint64_t size, merkle_fetch fetch, void *from)
{
	const struct tree tree = {.fetch = fetch, .from = from};

	return (size == 0 ? merkle_empty(out) : hash_range(&tree, 0, size, out));
}

/* §2.1.1 PATH(m, D[n]) */
int
merkle_prove_inclusion(struct merkle_proof *out, uint64_t index, uint64_t size, merkle_fetch fetch, void *from)
{
	const struct tree tree = {.fetch = fetch, .from = from};
	uint64_t low = 0, high = size;

	out->count = 0;
	if (index >= size)
		return (-1);
	while (high - low > 1) {
		uint64_t middle = low + split_of(high - low);

		if (index < middle) {
			if (proof_add(out, &tree, middle, high) == -1)
				return (-1);
			high = middle;
		} else {
			if (proof_add(out, &tree, low, middle) == -1)
				return (-1);
			low = middle;
		}
	}
	proof_reverse(out);
	return (0);
}

/* §2.1.2 PROOF(m, D[n]); `whole` is the b of SUBPROOF: all of the range so far is the older tree. */
int
merkle_prove_consistency(struct merkle_proof *out, uint64_t older, uint64_t newer, merkle_fetch fetch, void *from)
{
	const struct tree tree = {.fetch = fetch, .from = from};
	uint64_t low = 0, high = newer;
	int whole = 1;

	out->count = 0;
	if (older > newer)
		return (-1);
	if (older == 0 || older == newer)
		return (0);
	while (older < high) {
		uint64_t middle = low + split_of(high - low);

		if (older <= middle) {
			if (proof_add(out, &tree, middle, high) == -1)
				return (-1);
			high = middle;
		} else {
			if (proof_add(out, &tree, low, middle) == -1)
				return (-1);
			low = middle;
			whole = 0;
		}
	}
	if (!whole && proof_add(out, &tree, low, high) == -1)
		return (-1);
	proof_reverse(out);
	return (0);
}

/* ---- checking (RFC 9162 §2.1.3.2 and §2.1.4.2, the same proofs told as algorithms) ---- */

int
merkle_verify_inclusion(const struct merkle_proof *proof, uint64_t index, uint64_t size,
    const struct merkle_hash *leaf, const struct merkle_hash *root)
{
	struct merkle_hash r = *leaf;
	uint64_t fn = index, sn = size - 1;

	if (index >= size || proof->count > MERKLE_PROOF_MAX)
		return (-1);
	for (size_t i = 0; i < proof->count; i++) {
		const struct merkle_hash *p = &proof->path[i];

		if (sn == 0)
			return (-1);
		if ((fn & 1) != 0 || fn == sn) {
			if (merkle_node(&r, p, &r) == -1)
				return (-1);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else if (merkle_node(&r, &r, p) == -1)
			return (-1);
		fn >>= 1;
		sn >>= 1;
	}
	return (sn == 0 && merkle_equal(&r, root) ? 0 : -1);
}

/* The walk of §2.1.4.2 with both roots rebuilt at once; `first` is where the older tree's own subtree stands. */
static int
consistency_walk(
    const struct merkle_hash *path, size_t count, uint64_t older, uint64_t newer, struct merkle_hash roots[2])
{
	uint64_t fn = older - 1, sn = newer - 1;

	while ((fn & 1) != 0) {
		fn >>= 1;
		sn >>= 1;
	}
	for (size_t i = 0; i < count; i++) {
		if (sn == 0)
			return (-1);
		if ((fn & 1) != 0 || fn == sn) {
			if (merkle_node(&roots[0], &path[i], &roots[0]) == -1 ||
			    merkle_node(&roots[1], &path[i], &roots[1]) == -1)
				return (-1);
			while ((fn & 1) == 0 && fn != 0) {
				fn >>= 1;
				sn >>= 1;
			}
		} else if (merkle_node(&roots[1], &roots[1], &path[i]) == -1)
			return (-1);
		fn >>= 1;
		sn >>= 1;
	}
	return (sn == 0 ? 0 : -1);
}

int
merkle_verify_consistency(const struct merkle_proof *proof, uint64_t older, uint64_t newer,
    const struct merkle_hash *older_root, const struct merkle_hash *newer_root)
{
	const struct merkle_hash *path = proof->path;
	size_t count = proof->count;
	struct merkle_hash roots[2];

	if (older > newer || count > MERKLE_PROOF_MAX)
		return (-1);
	if (older == newer)
		return (count == 0 && merkle_equal(older_root, newer_root) ? 0 : -1);
	if (older == 0)
		return (count == 0 && merkle_empty(&roots[0]) == 0 && merkle_equal(&roots[0], older_root) ? 0 : -1);
	if (count == 0)
		return (-1);
	if ((older & (older - 1)) == 0) /* the older tree is itself the first subtree */
		roots[0] = *older_root;
	else {
		roots[0] = path[0];
		path++;
		count--;
	}
	roots[1] = roots[0];
	if (consistency_walk(path, count, older, newer, roots) == -1)
		return (-1);
	return (merkle_equal(&roots[0], older_root) && merkle_equal(&roots[1], newer_root) ? 0 : -1);
}

/* ---- the edge ---- */

int
merkle_edge_add(
    struct merkle_edge *edge, const struct merkle_hash *leaf, merkle_on_complete on_complete, void *self)
{
	struct merkle_hash hash = *leaf;
	unsigned level = 0;

	for (;; level++) {
		if (on_complete != NULL && on_complete(self, level, edge->size >> level, &hash) != 0)
			return (-1);
		if ((edge->size >> level & 1) == 0)
			break;
		if (merkle_node(&hash, &edge->at[level], &hash) == -1)
			return (-1);
	}
	edge->at[level] = hash;
	edge->size++;
	return (0);
}

int
merkle_edge_root(const struct merkle_edge *edge, struct merkle_hash *out)
{
	int begun = 0;

	for (unsigned level = 0; level < 64; level++) {
		if ((edge->size >> level & 1) == 0)
			continue;
		if (!begun)
			*out = edge->at[level];
		else if (merkle_node(out, &edge->at[level], out) == -1)
			return (-1);
		begun = 1;
	}
	return (begun ? 0 : merkle_empty(out));
}

int
merkle_edge_load(struct merkle_edge *edge, uint64_t size, merkle_fetch fetch, void *from)
{
	memset(edge, 0, sizeof(*edge));
	for (unsigned level = 0; level < 64; level++)
		if ((size >> level & 1) != 0 && fetch(from, level, (size >> level) - 1, &edge->at[level]) == -1)
			return (-1);
	edge->size = size;
	return (0);
}
