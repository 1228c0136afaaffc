/*
 * C2SP tlog-proof: one leaf's place in the book, as a file that stands alone: its index, the inclusion proof, and the
 * signed checkpoint that the proof leads to.
 */
#ifndef FORMAT_PROOF_H
#define FORMAT_PROOF_H

#include "format/blob.h"
#include "format/merkle.h"
#include "format/note.h"

enum { PROOF_MAX = NOTE_MAX + 8192 };

struct proof {
	uint64_t index;
	struct merkle_proof path;
	const unsigned char *checkpoint; /* lent: inside the parsed text */
	size_t checkpoint_size;
};

int proof_write(struct blob *to, const struct proof *proof);         /* 0 or -1 */
int proof_parse(struct proof *proof, const void *text, size_t size); /* 0 or -1, strict */

/* That `entry` stands where `proof` says, under a checkpoint that `key` signed.  0 and *at; -1 and *why (static). */
int proof_check(const struct proof *proof, const struct blob *entry, const struct note_key *key,
    struct checkpoint *at, const char **why);

#endif
