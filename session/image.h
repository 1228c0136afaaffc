/*
 * SHA-256 of the bytes of one file as they pass by, in whatever order.  What continues what is hashed already is hashed as
 * it streams; what comes ahead of its turn is kept, within the channel's budget, until its turn comes.  What cannot be told
 * for certain is not told: a byte that comes twice, a hole that stays, more ahead than the budget allows.
 */
#ifndef SESSION_IMAGE_H
#define SESSION_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"

#define IMAGE_KEPT_BYTES_MAX ((size_t)4 * 1024 * 1024) /* of a channel, what it costs to keep them included */
#define IMAGE_KEPT_PIECES_MAX 1024
#define IMAGE_SHA256_SIZE 65 /* in hexadecimal, with its NUL */
#define IMAGE_WHY_SIZE 80

/* What all images of a channel keep together.  Zero is a valid beginning. */
struct image_budget {
	size_t bytes;
	unsigned pieces;
};

struct image;

/* NULL: no memory.  The budget is lent and must live longer. */
struct image *image_new(struct image_budget *budget);
/* A run of len bytes that belong at offset begins; the run before it is over. */
void image_begin(struct image *i, uint64_t offset, uint32_t len);
/* The next bytes of the run; never more than its len in all. */
void image_add(struct image *i, struct bytes piece);
/* The digest will not be told, for this reason (static); the first reason counts. */
void image_spoil(struct image *i, const char *why);

uint64_t image_size(const struct image *i); /* the highest byte that was announced, plus one; 0: none was */
/* 1, with the digest of the bytes 0 to image_size in sha256; 0, with the reason in why.  Once. */
int image_tell(struct image *i, char sha256[static IMAGE_SHA256_SIZE], char why[static IMAGE_WHY_SIZE]);
void image_free(struct image *i);

#endif
