/* The segments of a track: see track.h. */
#include "format/track.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/sums.h"

static int
by_number(const void *a, const void *b)
{
	const struct track_segment *x = a, *y = b;

	if (x->number != y->number)
		return (x->number < y->number ? -1 : 1);
	return (strcmp(x->name, y->name));
}

/* A name that is no segment's of this track, or is among the first `known`, is passed over.  0; -1: no memory. */
static int
add(struct track *t, const char *name, enum segment_track which, size_t known)
{
	struct track_segment one, *grown;
	enum segment_track track;
	enum segment_form form;

	if (segment_name_parse(name, &track, &one.number, &form) == -1 || track != which)
		return (0);
	(void)snprintf(one.name, sizeof(one.name), "%.*s", (int)sizeof(one.name) - 1, name);
	if (known > 0 && bsearch(&one, t->segments, known, sizeof(one), by_number) != NULL)
		return (0);
	if ((grown = realloc(t->segments, (t->count + 1) * sizeof(*grown))) == NULL)
		return (-1);
	t->segments = grown;
	grown[t->count++] = one;
	return (0);
}

static void
sort(struct track *t)
{
	if (t->count > 1)
		qsort(t->segments, t->count, sizeof(t->segments[0]), by_number);
}

int
track_find(struct track *t, int dir, enum segment_track which)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed = 0;
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (d == NULL) {
		if (fd != -1)
			(void)close(fd);
		return (-1);
	}
	while (!failed && (entry = readdir(d)) != NULL)
		failed = add(t, entry->d_name, which, 0) == -1;
	(void)closedir(d);
	sort(t);
	if (!failed && t->count > 0)
		return (0);
	errno = failed ? ENOMEM : ENOENT;
	return (-1);
}

int
track_find_listed(struct track *t, int dir, enum segment_track which)
{
	struct blob text = {.at = NULL};
	struct sums sums = {.lines = NULL};
	size_t known = t->count;
	unsigned line;
	int result = -1;

	if (blob_read_at(&text, dir, SUMS_FILE, SUMS_MAX) == -1)
		return (errno == ENOENT ? 1 : -1);
	if (sums_parse(&sums, text.at, text.size, &line) == 0) {
		result = 0;
		for (size_t i = 0; i < sums.count && result == 0; i++)
			result = add(t, sums.lines[i].name, which, known);
		sort(t);
	}
	sums_free(&sums);
	blob_free(&text);
	return (result);
}

void
track_free(struct track *t)
{
	free(t->segments);
	*t = (struct track){.segments = NULL};
}
