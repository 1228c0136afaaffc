/* C2SP tlog-proof: see proof.h. */
#include "format/proof.h"

#include <stdio.h>
#include <string.h>

#define FIRST_LINE "c2sp.org/tlog-proof@v1\n"

int
proof_write(struct blob *to, const struct proof *proof)
{
	int failed = blob_add_format(to, FIRST_LINE "index %llu\n", (unsigned long long)proof->index);

	for (size_t i = 0; i < proof->path.count; i++)
		failed |= blob_add_base64(to, proof->path.path[i].h, MERKLE_SIZE) | blob_add_text(to, "\n");
	return (failed | blob_add_text(to, "\n") | blob_add(to, proof->checkpoint, proof->checkpoint_size));
}

/* "index 17": the number in its one spelling. */
static int
index_parse(const char *line, size_t length, uint64_t *out)
{
	static const char word[] = "index ";
	size_t at = sizeof(word) - 1;

	*out = 0;
	if (length <= at || length > at + 18 || memcmp(line, word, at) != 0 || (line[at] == '0' && length > at + 1))
		return (-1);
	for (; at < length; at++) {
		if (line[at] < '0' || line[at] > '9')
			return (-1);
		*out = *out * 10 + (uint64_t)(line[at] - '0');
	}
	return (0);
}

int
proof_parse(struct proof *proof, const void *text, size_t size)
{
	const char *at = text, *end = at + size, *newline;
	size_t first = sizeof(FIRST_LINE) - 1, got;

	memset(proof, 0, sizeof(*proof));
	if (size > PROOF_MAX || size < first || memcmp(at, FIRST_LINE, first) != 0)
		return (-1);
	at += first;
	if ((newline = memchr(at, '\n', (size_t)(end - at))) == NULL ||
	    index_parse(at, (size_t)(newline - at), &proof->index) == -1)
		return (-1);
	for (at = newline + 1;; at = newline + 1) {
		if (at == end || (newline = memchr(at, '\n', (size_t)(end - at))) == NULL)
			return (-1);
		if (newline == at)
			break;
		if (proof->path.count == MERKLE_PROOF_MAX ||
		    base64_decode(at, (size_t)(newline - at), proof->path.path[proof->path.count].h, MERKLE_SIZE,
		        &got) == -1 ||
		    got != MERKLE_SIZE)
			return (-1);
		proof->path.count++;
	}
	proof->checkpoint = (const unsigned char *)newline + 1;
	proof->checkpoint_size = (size_t)(end - newline) - 1;
	return (0);
}

int
proof_check(const struct proof *proof, const struct blob *entry, const struct note_key *key, struct checkpoint *at,
    const char **why)
{
	const struct blob note = {
	    .at = (unsigned char *)(uintptr_t)proof->checkpoint, .size = proof->checkpoint_size};
	struct merkle_hash leaf;

	if (checkpoint_open(at, &note, key, why) == -1)
		return (-1);
	*why = "the leaf is not in the tree that the checkpoint signs";
	if (merkle_leaf(&leaf, entry->at, entry->size) == -1 ||
	    merkle_verify_inclusion(&proof->path, proof->index, at->size, &leaf, &at->root) == -1)
		return (-1);
	return (0);
}
