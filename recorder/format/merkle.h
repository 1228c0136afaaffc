/*
 * RFC 6962 §2.1: the Merkle tree of the book, SHA-256.  Making needs only the hashes of complete subtrees, fetched
 * by level and index (level 0: leaves; a hash at level L, index I covers leaves [I*2^L, (I+1)*2^L)), as tiles keep
 * them; verifying needs nothing but the arguments.
 */
#ifndef FORMAT_MERKLE_H
#define FORMAT_MERKLE_H

#include <stddef.h>
#include <stdint.h>

enum {
	MERKLE_SIZE = 32,
	MERKLE_PROOF_MAX = 64 /* hashes in any proof for a tree of fewer than 2^63 leaves */
};

struct merkle_hash {
	unsigned char h[MERKLE_SIZE];
};

struct merkle_proof {
	struct merkle_hash path[MERKLE_PROOF_MAX];
	size_t count;
};

/* Hashes.  0 or -1 (the crypto library failed). */
int merkle_leaf(struct merkle_hash *out, const void *entry, size_t size);
int merkle_node(struct merkle_hash *out, const struct merkle_hash *left, const struct merkle_hash *right);
int merkle_empty(struct merkle_hash *out);                                  /* the root of no leaves */
int merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b); /* 1 or 0 */

/* Gives the hash of one complete subtree; 0, or -1 when it cannot. */
typedef int (*merkle_fetch)(void *from, unsigned level, uint64_t index, struct merkle_hash *out);

/* Made from fetched hashes.  0, or -1: an index past the size, or a fetch that failed. */
int merkle_root(struct merkle_hash *out, uint64_t size, merkle_fetch fetch, void *from);
int merkle_prove_inclusion(struct merkle_proof *out, uint64_t index, uint64_t size, merkle_fetch fetch, void *from);
int merkle_prove_consistency(
    struct merkle_proof *out, uint64_t older, uint64_t newer, merkle_fetch fetch, void *from);

/* Checked.  0 when proven, -1 when not (for whatever reason). */
int merkle_verify_inclusion(const struct merkle_proof *proof, uint64_t index, uint64_t size,
    const struct merkle_hash *leaf, const struct merkle_hash *root);
int merkle_verify_consistency(const struct merkle_proof *proof, uint64_t older, uint64_t newer,
    const struct merkle_hash *older_root, const struct merkle_hash *newer_root);

/*
 * The right edge of a growing tree: what an appender must remember.  Zero is the empty tree.  merkle_edge_add()
 * calls `on_complete` (may be NULL) once for each subtree that this leaf completes, the leaf itself first.
 */
struct merkle_edge {
	uint64_t size;
	struct merkle_hash at[64]; /* at[L] is meaningful when bit L of size is set */
};
typedef int (*merkle_on_complete)(void *self, unsigned level, uint64_t index, const struct merkle_hash *hash);

int merkle_edge_add(
    struct merkle_edge *edge, const struct merkle_hash *leaf, merkle_on_complete on_complete, void *self);
int merkle_edge_root(const struct merkle_edge *edge, struct merkle_hash *out);
int merkle_edge_load(struct merkle_edge *edge, uint64_t size, merkle_fetch fetch, void *from);

#endif
