#include "shelves.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY_TEXT 16 /* "s/2026/11/24" with its NUL */
#define DEPTH 4     /* s, year, month, day */

struct shelves {
	int shelf; /* lent */
	char (*days)[DAY_TEXT];
	size_t count, room, next;
};

int
shelves_id_ok(const char *id)
{
	return (strlen(id) == LEAF_REC_TEXT - 1 && id[strspn(id, "0123456789abcdef")] == '\0');
}

void
shelves_path(char path[SHELVES_PATH], const char *id, int64_t started_ms)
{
	time_t t = (time_t)(started_ms / 1000);
	struct tm tm = {0};

	(void)gmtime_r(&t, &tm);
	(void)snprintf(path, SHELVES_PATH, "s/%04d/%02d/%02d/%.32s", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
	    tm.tm_mday, id);
}

static DIR *
directory(int shelf, const char *path)
{
	int fd = openat(shelf, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), error;
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	error = errno;
	if (d == NULL && fd != -1)
		(void)close(fd);
	errno = error;
	return (d);
}

static int
day_add(struct shelves *s, const char *path)
{
	if (s->count == s->room) {
		size_t room = s->room == 0 ? 64 : 2 * s->room;
		void *days = realloc(s->days, room * sizeof(s->days[0]));

		if (days == NULL)
			return (-1);
		s->days = days;
		s->room = room;
	}
	(void)snprintf(s->days[s->count++], DAY_TEXT, "%.*s", DAY_TEXT - 1, path);
	return (0);
}

/* Collects the days below path, which lies `depth` directories down.  0; -1 and errno. */
static int
days_collect(struct shelves *s, const char *path, int depth)
{
	const size_t digits = depth == 1 ? 4 : 2;
	const struct dirent *entry;
	int result = 0;
	DIR *d;

	if (depth == DEPTH)
		return (day_add(s, path));
	if ((d = directory(s->shelf, path)) == NULL)
		return (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1);
	while (result == 0 && (entry = readdir(d)) != NULL) {
		char below[DAY_TEXT];

		if (strlen(entry->d_name) != digits || strspn(entry->d_name, "0123456789") != digits)
			continue;
		(void)snprintf(below, sizeof(below), "%.9s/%.4s", path, entry->d_name);
		result = days_collect(s, below, depth + 1);
	}
	(void)closedir(d);
	return (result);
}

static int
by_day(const void *a, const void *b)
{
	return (strcmp(b, a)); /* the newest first */
}

struct shelves *
shelves_new(int shelf)
{
	struct shelves *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (NULL);
	s->shelf = shelf;
	if (days_collect(s, "s", 1) == -1) {
		int error = errno;

		shelves_free(s);
		errno = error;
		return (NULL);
	}
	if (s->count > 0)
		qsort(s->days, s->count, sizeof(s->days[0]), by_day);
	return (s);
}

int
shelves_step(struct shelves *s, shelves_take *take, void *ctx)
{
	const struct dirent *entry;
	const char *day;
	int result = 1;
	DIR *d;

	if (s->next == s->count)
		return (0);
	day = s->days[s->next++];
	if ((d = directory(s->shelf, day)) == NULL)
		return (-1);
	while (result == 1 && (entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    take(ctx, day, entry->d_name) == -1)
			result = -1;
	(void)closedir(d);
	return (result);
}

void
shelves_free(struct shelves *s)
{
	if (s == NULL)
		return;
	free(s->days);
	free(s);
}

int
shelves_find(int shelf, const char *id, char path[SHELVES_PATH])
{
	struct shelves *s = shelves_new(shelf);
	int fd = -1, error = ENOENT;

	if (s == NULL)
		return (-1);
	for (size_t i = 0; i < s->count && fd == -1; i++) {
		(void)snprintf(path, SHELVES_PATH, "%s/%.32s", s->days[i], id);
		fd = openat(shelf, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd == -1 && errno != ENOENT)
			error = errno;
	}
	shelves_free(s);
	errno = error;
	return (fd);
}
