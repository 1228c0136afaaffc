#include "shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"

#define LOCK_TRIES 80 /* of a tenth of a second each */
#define RESERVE "reserve"
#define FULL_BYTES (256u * 1024u) /* with less than this nothing more is begun */

struct shelf {
	int fd, lock;
	struct shelf_limits limits;
	uint64_t free_bytes;
	enum { KEPT, GIVEN } reserve;
	enum shelf_room room;
};

static uint64_t
room_now(const struct shelf *s)
{
	struct statvfs v;

	if (fstatvfs(s->fd, &v) == -1)
		return (0);
	return ((uint64_t)v.f_bavail * v.f_frsize);
}

/* Takes the reserve's room from the disk.  0; or -1 and errno, and no file. */
static int
reserve_make(struct shelf *s)
{
	int fd = openat(s->fd, RESERVE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), error;

	s->reserve = GIVEN;
	if (fd == -1)
		return (-1);
	error = s->limits.reserve == 0 ? 0 : posix_fallocate(fd, 0, (off_t)s->limits.reserve);
	(void)close(fd);
	if (error == 0) {
		s->reserve = KEPT;
		return (0);
	}
	(void)unlinkat(s->fd, RESERVE, 0);
	errno = error;
	return (-1);
}

/* Of a gateway that was killed the recorder still seals what is live: it lets go within DESK_STOP_MS. */
static int
lock_take(int fd)
{
	const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return (0);
		if (errno != EWOULDBLOCK && errno != EINTR)
			return (-1);
		(void)nanosleep(&pause, NULL);
	}
	return (-1);
}

struct shelf *
shelf_open(const char *path, const struct shelf_limits *limits, char *why, size_t why_size)
{
	struct shelf *s = calloc(1, sizeof *s);

	if (s == NULL) {
		(void)snprintf(why, why_size, "no memory");
		return (NULL);
	}
	*s = (struct shelf){.limits = *limits, .lock = -1, .reserve = GIVEN};
	if ((s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    (s->lock = openat(s->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) == -1) {
		(void)snprintf(why, why_size, "RecordingDirectory %s: %s; make it, owned by lodge-recorder", path,
		    strerror(errno));
		goto fail;
	}
	if (lock_take(s->lock) == -1) {
		(void)snprintf(
		    why, why_size, "RecordingDirectory %s: another recorder has it; end that one first", path);
		goto fail;
	}
	(void)reserve_make(s);
	(void)shelf_look(s);
	return (s);
fail:
	shelf_close(s);
	return (NULL);
}

void
shelf_close(struct shelf *s)
{
	if (s == NULL)
		return;
	if (s->lock != -1)
		(void)close(s->lock);
	if (s->fd != -1)
		(void)close(s->fd);
	free(s);
}

int
shelf_fd(const struct shelf *s)
{
	return (s->fd);
}

enum shelf_room
shelf_look(struct shelf *s)
{
	s->free_bytes = room_now(s);
	if (s->reserve == GIVEN && s->free_bytes > s->limits.critical + s->limits.reserve && reserve_make(s) == 0)
		s->free_bytes = room_now(s);
	if (s->reserve == GIVEN || s->free_bytes < FULL_BYTES)
		s->room = SHELF_ROOM_FULL;
	else if (s->free_bytes < s->limits.critical)
		s->room = SHELF_ROOM_CRITICAL;
	else
		s->room = s->free_bytes < s->limits.low ? SHELF_ROOM_LOW : SHELF_ROOM_OK;
	return (s->room);
}

uint64_t
shelf_free(const struct shelf *s)
{
	return (s->free_bytes);
}

int
shelf_give_reserve(struct shelf *s)
{
	if (s->reserve == GIVEN)
		return (0);
	s->reserve = GIVEN;
	s->room = SHELF_ROOM_FULL;
	return (unlinkat(s->fd, RESERVE, 0) == 0);
}

void
shelf_path(char out[SHELF_PATH_MAX], const uint8_t id[16], int64_t started_wall_ms)
{
	time_t t = (time_t)(started_wall_ms / 1000);
	struct tm tm = {0};
	int n;

	(void)gmtime_r(&t, &tm);
	n = snprintf(
	    out, SHELF_PATH_MAX, "s/%04d/%02d/%02d/", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday);
	for (int i = 0; i < 16; i++, n += 2)
		(void)snprintf(out + n, SHELF_PATH_MAX - (size_t)n, "%02x", id[i]);
}

int
shelf_directory(const struct shelf *s, const char *path)
{
	return (openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

int
shelf_directory_make(const struct shelf *s, const char *path)
{
	if (disk_parents(s->fd, path) == -1)
		return (-1);
	if (mkdirat(s->fd, path, 0750) == -1 && errno != EEXIST)
		return (-1);
	if (disk_sync_parent(s->fd, path) == -1)
		return (-1);
	return (shelf_directory(s, path));
}
