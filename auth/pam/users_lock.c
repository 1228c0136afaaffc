/* See users_lock.h. */
#include "users_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define NAP_MS 10

/* A lock of somebody else's, as long as it is the same one and nobody holds it. */
struct orphan {
	ino_t inode; /* 0: none seen yet */
	int64_t since_boot_ms;
};

static void
nap(void)
{
	(void)nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
}

int
users_directory(const char *path, const char **name)
{
	char dir[USERS_PATH_SIZE];
	const char *slash = strrchr(path, '/');

	if (path[0] != '/' || slash == NULL || slash[1] == '\0' || strlen(slash) > 240 ||
	    strlen(path) >= sizeof(dir)) {
		errno = EINVAL;
		return (-1);
	}
	*name = slash + 1;
	snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	return (open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* 1: the whole of it is ours.  0: somebody's, *holder says whose. */
static int
lock_hold(int fd, pid_t *holder)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_SETLK, &all) == 0)
		return (1);
	if (fcntl(fd, F_GETLK, &all) == 0 && all.l_type != F_UNLCK)
		*holder = all.l_pid;
	return (0);
}

/* Looks at a lock that is there: takes it away when nobody has held it for long. */
static void
orphan_look(struct orphan *o, const struct users_lock *l, pid_t *holder)
{
	struct stat open_one, named;
	int fd = openat(l->dir, l->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	*holder = 0;
	if (fd == -1)
		return;
	if (fstat(fd, &open_one) == -1 || !S_ISREG(open_one.st_mode) || !lock_hold(fd, holder)) {
		o->inode = 0;
	} else if (o->inode != open_one.st_ino) {
		*o = (struct orphan){.inode = open_one.st_ino, .since_boot_ms = clock_boot_ms()};
	} else if (clock_boot_ms() - o->since_boot_ms >= USERS_STALE_MS &&
	           fstatat(l->dir, l->name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == open_one.st_ino) {
		/* While we hold it nobody else can come to the same end and remove the next one's. */
		log_warning("%s was left behind by a process that is gone: removed", l->name);
		(void)unlinkat(l->dir, l->name, 0);
	}
	close(fd);
}

int
users_lock_take(struct users_lock *l, int dir, const char *name, int wait_ms, pid_t *holder)
{
	int64_t until_ms = clock_boot_ms() + wait_ms;
	struct orphan orphan = {0};
	char new[sizeof(l->name)];

	*holder = 0;
	l->dir = dir;
	if (snprintf(l->name, sizeof(l->name), "%s.lock", name) >= (int)sizeof(l->name)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	while ((l->fd = openat(dir, l->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) == -1) {
		if (errno != EEXIST)
			return (-1);
		orphan_look(&orphan, l, holder);
		if (clock_boot_ms() >= until_ms) {
			errno = EAGAIN;
			return (-1);
		}
		nap();
	}
	(void)lock_hold(l->fd, holder);
	snprintf(new, sizeof(new), "%s.new", name);
	(void)unlinkat(dir, new, 0);
	return (0);
}

void
users_lock_end(struct users_lock *l)
{
	/* In this order: a lock that has its name and no holder looks as if it had been left behind. */
	(void)unlinkat(l->dir, l->name, 0);
	close(l->fd);
	l->fd = -1;
}

/* What a login that was killed left behind goes, before the next one stumbles over it. */
static void
turn_tidy(int dir, const char *name)
{
	struct users_lock lock;
	char lock_name[sizeof(lock.name)], new_name[sizeof(lock.name)];
	pid_t holder;

	snprintf(lock_name, sizeof(lock_name), "%s.lock", name);
	snprintf(new_name, sizeof(new_name), "%s.new", name);
	if (faccessat(dir, lock_name, F_OK, AT_SYMLINK_NOFOLLOW) == -1 &&
	    faccessat(dir, new_name, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
		return;
	if (users_lock_take(&lock, dir, name, USERS_STALE_MS + 10 * NAP_MS, &holder) == 0)
		users_lock_end(&lock);
	else
		log_warning(
		    "%s stays locked by process %d: whoever gives a code now is refused", name, (int)holder);
}

void
users_turn_take(struct users_turn *t, const char *path)
{
	int64_t until_ms = clock_boot_ms() + USERS_LATE_MS;
	const char *name;
	int locked;

	t->fd = -1;
	if (path[0] == '\0' || (t->fd = users_directory(path, &name)) == -1)
		return;
	while (
	    (locked = flock(t->fd, LOCK_EX | LOCK_NB)) == -1 && errno == EWOULDBLOCK && clock_boot_ms() < until_ms)
		nap();
	if (locked == -1)
		log_warning("somebody else's PAM conversation is slow: not waiting for it any longer");
	turn_tidy(t->fd, name);
}

void
users_turn_end(struct users_turn *t)
{
	if (t->fd == -1)
		return;
	/* By name, for a child that a module left behind may hold the descriptor too. */
	(void)flock(t->fd, LOCK_UN);
	close(t->fd);
	t->fd = -1;
}
