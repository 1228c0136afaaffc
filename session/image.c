#include "image.h"

#include <inttypes.h>
#include <openssl/evp.h>

/* A run that came ahead of its turn. */
struct piece {
	struct piece *next; /* with a higher offset */
	uint64_t offset;
	uint32_t len, filled;
	uint8_t bytes[];
};

struct image {
	struct image_budget *budget;
	EVP_MD_CTX *md;
	uint64_t hashed, size; /* bytes */
	uint64_t first, next;  /* the runs so far, as long as each continued the one before */
	unsigned begun, ordered;
	const char *spoilt; /* NULL: not */
	struct piece *kept;
	struct piece *filling; /* one of `kept`, or NULL: the run is hashed as it comes */
	uint64_t left;         /* of the run */
};

struct image *
image_new(struct image_budget *budget)
{
	struct image *i = calloc(1, sizeof(*i));

	if (i == NULL)
		return (NULL);
	i->budget = budget;
	i->ordered = 1;
	i->md = EVP_MD_CTX_new();
	if (i->md != NULL && EVP_DigestInit_ex(i->md, EVP_sha256(), NULL) == 1)
		return (i);
	image_free(i);
	return (NULL);
}

static size_t
piece_cost(const struct piece *p)
{
	return (sizeof(*p) + p->len);
}

static void
first_piece_free(struct image *i)
{
	struct piece *p = i->kept;

	i->kept = p->next;
	i->budget->bytes -= piece_cost(p);
	i->budget->pieces--;
	free(p);
}

void
image_spoil(struct image *i, const char *why)
{
	if (i->spoilt == NULL)
		i->spoilt = why;
	i->filling = NULL;
	while (i->kept != NULL)
		first_piece_free(i);
}

static void
hash(struct image *i, const void *at, size_t len)
{
	if (EVP_DigestUpdate(i->md, at, len) != 1)
		image_spoil(i, "the digest failed");
	else
		i->hashed += len;
}

/* Room for a run ahead of its turn, in its place; NULL: a byte would come twice, or the budget is spent. */
static struct piece *
piece_keep(struct image *i, uint64_t offset, uint32_t len)
{
	struct piece **at = &i->kept, *p;
	uint64_t free_from = i->hashed;

	while (*at != NULL && (*at)->offset < offset) {
		free_from = (*at)->offset + (*at)->len;
		at = &(*at)->next;
	}
	if (offset < free_from || (*at != NULL && (*at)->offset < offset + len)) {
		image_spoil(i, "a byte came twice");
		return (NULL);
	}
	if (i->budget->pieces >= IMAGE_KEPT_PIECES_MAX ||
	    sizeof(*p) + len > IMAGE_KEPT_BYTES_MAX - i->budget->bytes || (p = malloc(sizeof(*p) + len)) == NULL) {
		image_spoil(i, "not in order");
		return (NULL);
	}
	*p = (struct piece){.next = *at, .offset = offset, .len = len};
	*at = p;
	i->budget->bytes += piece_cost(p);
	i->budget->pieces++;
	return (p);
}

void
image_begin(struct image *i, uint64_t offset, uint32_t len)
{
	i->filling = NULL;
	i->left = len;
	if (len == 0)
		return;
	if (offset > UINT64_MAX - len) {
		image_spoil(i, "beyond any file");
		return;
	}
	if (!i->begun)
		i->first = i->next = offset;
	i->begun = 1;
	if (offset != i->next)
		i->ordered = 0;
	i->next = offset + len;
	if (i->next > i->size)
		i->size = i->next;
	if (i->spoilt != NULL)
		return;
	if (offset > i->hashed)
		i->filling = piece_keep(i, offset, len);
	else if (offset < i->hashed || (i->kept != NULL && i->kept->offset < offset + len))
		image_spoil(i, "a byte came twice");
}

void
image_add(struct image *i, struct bytes piece)
{
	struct piece *p = i->filling;

	if (piece.len > i->left)
		piece.len = (size_t)i->left;
	i->left -= piece.len;
	if (i->spoilt != NULL || piece.len == 0)
		return;
	if (p != NULL) {
		memcpy(p->bytes + p->filled, piece.at, piece.len);
		p->filled += (uint32_t)piece.len;
		return;
	}
	hash(i, piece.at, piece.len);
	if (i->left > 0)
		return;
	while (i->kept != NULL && i->kept->offset == i->hashed && i->kept->filled == i->kept->len) {
		hash(i, i->kept->bytes, i->kept->len);
		if (i->kept != NULL)
			first_piece_free(i);
	}
}

uint64_t
image_size(const struct image *i)
{
	return (i->size);
}

int
image_tell(struct image *i, char sha256[static IMAGE_SHA256_SIZE], char why[static IMAGE_WHY_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	sha256[0] = why[0] = '\0';
	if (i->begun && i->ordered && i->first > 0)
		snprintf(why, IMAGE_WHY_SIZE, "only bytes %" PRIu64 "-%" PRIu64, i->first, i->next - 1);
	else if (i->spoilt != NULL)
		snprintf(why, IMAGE_WHY_SIZE, "%s", i->spoilt);
	else if (i->hashed != i->size)
		snprintf(why, IMAGE_WHY_SIZE, "bytes are missing behind byte %" PRIu64, i->hashed);
	else if (EVP_DigestFinal_ex(i->md, digest, &len) != 1)
		snprintf(why, IMAGE_WHY_SIZE, "the digest failed");
	else
		for (unsigned int n = 0; n < len; n++)
			snprintf(sha256 + (size_t)2 * n, 3, "%02x", digest[n]);
	return (sha256[0] != '\0');
}

void
image_free(struct image *i)
{
	if (i == NULL)
		return;
	image_spoil(i, "");
	EVP_MD_CTX_free(i->md);
	free(i);
}
