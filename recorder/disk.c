#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 512

int
disk_write(int fd, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return (-1);
		if (n == 0) {
			errno = EIO;
			return (-1);
		}
		p += n;
		size -= (size_t)n;
	}
	return (0);
}

/* The directory part of `path` ("." when it has none). */
static int
parent_of(char out[PATH_ROOM], const char *path)
{
	const char *slash = strrchr(path, '/');
	int n = slash == NULL ? snprintf(out, PATH_ROOM, ".")
	                      : snprintf(out, PATH_ROOM, "%.*s", (int)(slash - path), path);

	if (n >= 0 && n < PATH_ROOM)
		return (0);
	errno = ENAMETOOLONG;
	return (-1);
}

static int
directory_sync(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), result;

	if (fd == -1)
		return (-1);
	result = fsync(fd);
	(void)close(fd);
	return (result);
}

int
disk_sync_parent(int dir, const char *path)
{
	char parent[PATH_ROOM];

	return (parent_of(parent, path) == -1 ? -1 : directory_sync(dir, parent));
}

int
disk_parents(int dir, const char *path)
{
	char part[PATH_ROOM];

	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		int n = snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);

		if (n < 0 || (size_t)n >= sizeof part) {
			errno = ENAMETOOLONG;
			return (-1);
		}
		if (mkdirat(dir, part, 0750) == 0) {
			if (disk_sync_parent(dir, part) == -1)
				return (-1);
		} else if (errno != EEXIST)
			return (-1);
	}
	return (0);
}

int
disk_put(int dir, const char *path, const void *bytes, size_t size)
{
	char tmp[PATH_ROOM];
	int n = snprintf(tmp, sizeof tmp, "%s.tmp", path), fd, saved;

	if (n < 0 || (size_t)n >= sizeof tmp) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd == -1 && errno == ENOENT && disk_parents(dir, path) == 0)
		fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd == -1)
		return (-1);
	if (disk_write(fd, bytes, size) == -1 || fsync(fd) == -1) {
		saved = errno;
		(void)close(fd);
		(void)unlinkat(dir, tmp, 0);
		errno = saved;
		return (-1);
	}
	if (close(fd) == -1 || renameat(dir, tmp, dir, path) == -1)
		return (-1);
	return (disk_sync_parent(dir, path));
}
