/* SHA256SUMS: see sums.h. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "format/sums.h"

enum { HEX = 2 * SUMS_SHA256, READ_SIZE = 256 * 1024 };

int
sums_name_ok(const char *name)
{
	size_t part = 0;

	if (name[0] == '\0' || strlen(name) > SUMS_NAME_MAX)
		return (0);
	for (const char *c = name;; c++) {
		if (*c != '/' && *c != '\0') {
			if ((unsigned char)*c <= ' ' || *c == '\\' || *c == 0x7f)
				return (0);
			part++;
			continue;
		}
		if (part == 0 || (part == 1 && c[-1] == '.') || (part == 2 && c[-1] == '.' && c[-2] == '.'))
			return (0);
		if (*c == '\0')
			return (1);
		part = 0;
	}
}

/* Where `name` is (*found 1) or belongs. */
static size_t
place_of(const struct sums *sums, const char *name, int *found)
{
	size_t low = 0, high = sums->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(sums->lines[middle].name, name);

		if (order == 0) {
			*found = 1;
			return (middle);
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = 0;
	return (low);
}

int
sums_add(struct sums *sums, const char *name, const unsigned char sha256[SUMS_SHA256])
{
	int found;
	size_t at;
	char *copy;

	if (!sums_name_ok(name) || sums->count == SUMS_LINES_MAX)
		return (-1);
	at = place_of(sums, name, &found);
	if (found)
		return (-1);
	if (sums->count == sums->room) {
		size_t room = sums->room == 0 ? 16 : 2 * sums->room;
		struct sums_line *lines = realloc(sums->lines, room * sizeof(*lines));

		if (lines == NULL)
			return (-1);
		sums->lines = lines;
		sums->room = room;
	}
	if ((copy = strdup(name)) == NULL)
		return (-1);
	memmove(&sums->lines[at + 1], &sums->lines[at], (sums->count - at) * sizeof(sums->lines[0]));
	sums->lines[at].name = copy;
	memcpy(sums->lines[at].sha256, sha256, SUMS_SHA256);
	sums->count++;
	return (0);
}

int
sums_write(const struct sums *sums, struct blob *to)
{
	for (size_t i = 0; i < sums->count; i++)
		if (blob_add_hex(to, sums->lines[i].sha256, SUMS_SHA256) == -1 ||
		    blob_add_format(to, "  %s\n", sums->lines[i].name) == -1)
			return (-1);
	return (0);
}

/* One line without its newline. */
static int
line_parse(struct sums *sums, const char *line, size_t length)
{
	unsigned char sha256[SUMS_SHA256];
	char name[SUMS_NAME_MAX + 1];
	size_t name_size = length - HEX - 2;

	if (length < HEX + 3 || name_size > SUMS_NAME_MAX || line[HEX] != ' ' || line[HEX + 1] != ' ' ||
	    hex_decode(line, HEX, sha256, SUMS_SHA256) == -1 || memchr(line + HEX + 2, '\0', name_size) != NULL)
		return (-1);
	memcpy(name, line + HEX + 2, name_size);
	name[name_size] = '\0';
	if (sums->count > 0 && strcmp(sums->lines[sums->count - 1].name, name) >= 0)
		return (-1);
	return (sums_add(sums, name, sha256));
}

int
sums_parse(struct sums *sums, const void *text, size_t size, unsigned *line)
{
	const char *at = text, *end = at + size;

	*sums = (struct sums){.lines = NULL};
	for (*line = 1; at < end; (*line)++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (newline == NULL || line_parse(sums, at, (size_t)(newline - at)) == -1) {
			sums_free(sums);
			return (-1);
		}
		at = newline + 1;
	}
	return (0);
}

const struct sums_line *
sums_find(const struct sums *sums, const char *name)
{
	int found;
	size_t at = place_of(sums, name, &found);

	return (found ? &sums->lines[at] : NULL);
}

void
sums_free(struct sums *sums)
{
	for (size_t i = 0; i < sums->count; i++)
		free(sums->lines[i].name);
	free(sums->lines);
	*sums = (struct sums){.lines = NULL};
}

int
sha256_of(unsigned char out[SUMS_SHA256], const void *bytes, size_t size)
{
	if (EVP_Digest(size == 0 ? "" : bytes, size, out, NULL, EVP_sha256(), NULL) == 1)
		return (0);
	errno = ENOMEM;
	return (-1);
}

static int
digest_fd(EVP_MD_CTX *ctx, int fd, uint64_t *size)
{
	unsigned char *part = malloc(READ_SIZE);
	ssize_t got = -1;

	*size = 0;
	if (part == NULL)
		return (-1);
	for (;;) {
		if ((got = read(fd, part, READ_SIZE)) == -1 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		*size += (uint64_t)got;
		if (EVP_DigestUpdate(ctx, part, (size_t)got) != 1) {
			errno = ENOMEM;
			got = -1;
			break;
		}
	}
	free(part);
	return (got == 0 ? 0 : -1);
}

int
sha256_of_file(unsigned char out[SUMS_SHA256], int dir, const char *name, uint64_t *size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), result = -1, saved;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct stat st;

	if (fd == -1 || ctx == NULL || fstat(fd, &st) == -1)
		goto out;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		goto out;
	}
	if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && digest_fd(ctx, fd, size) == 0 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1)
		result = 0;
out:
	saved = errno;
	EVP_MD_CTX_free(ctx);
	if (fd != -1)
		(void)close(fd);
	errno = saved;
	return (result);
}
