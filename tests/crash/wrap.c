/*
 * Death at the Nth write: linked into lodge-recorder-crash with -Wl,--wrap=..., and into nothing else.
 *
 *	LODGE_CRASH_AT=N		SIGKILL at the Nth of the calls below, counted over all threads; not set or 0: never
 *	LODGE_CRASH_NOTE=WORD		instead: at the first note of the log that has this word
 *	LODGE_CRASH_HOW=before|torn|after	the call is not made; is made with half of its bytes; is made whole
 *	LODGE_CRASH_TRACE=1		says each call on stderr, and notes of the log in words
 *	LODGE_CRASH_LOG_BYTES=N		size of the log's files, so that a short session has several
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/journal.h"
#include "wal.h"

static atomic_long calls;

enum moment { MOMENT_OTHER, MOMENT_BEFORE, MOMENT_TORN, MOMENT_AFTER };

static long
number_of(const char *name)
{
	const char *text = getenv(name);

	return (text == NULL ? 0 : strtol(text, NULL, 10));
}

_Noreturn static void
die(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

/* Counts one call; does not come back when it is the one before which to die. */
static enum moment
count(const char *name, const void *bytes, size_t size)
{
	const char *how = getenv("LODGE_CRASH_HOW"), *word = getenv("LODGE_CRASH_NOTE");
	long n = atomic_fetch_add(&calls, 1) + 1;

	if (number_of("LODGE_CRASH_TRACE") != 0)
		(void)dprintf(STDERR_FILENO, "    call %ld: %s %.*s\n", n, name, bytes == NULL ? 0 : (int)size,
		    (const char *)bytes);
	if (word != NULL ? bytes == NULL || memmem(bytes, size, word, strlen(word)) == NULL
	                 : n != number_of("LODGE_CRASH_AT"))
		return (MOMENT_OTHER);
	if (how != NULL && strcmp(how, "torn") == 0)
		return (MOMENT_TORN);
	if (how != NULL && strcmp(how, "after") == 0)
		return (MOMENT_AFTER);
	die();
}

/* A call without bytes is not made at all when it is to be torn. */
#define WRAP(name, declared, given)                      \
	int __real_##name declared;                      \
	int __wrap_##name declared;                      \
	int __wrap_##name declared                       \
	{                                                \
		enum moment now = count(#name, NULL, 0); \
		int result;                              \
                                                         \
		if (now == MOMENT_TORN)                  \
			die();                           \
		result = __real_##name given;            \
		if (now == MOMENT_AFTER)                 \
			die();                           \
		return (result);                         \
	}

WRAP(fsync, (int fd), (fd))
WRAP(fdatasync, (int fd), (fd))
WRAP(renameat, (int from_dir, const char *from, int to_dir, const char *to), (from_dir, from, to_dir, to))
WRAP(unlinkat, (int dir, const char *name, int flags), (dir, name, flags))
WRAP(mkdirat, (int dir, const char *name, mode_t mode), (dir, name, mode))

ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);

/* The words of a note, which is the one record of the log that is not sealed. */
static const void *
shown_of(const void *bytes, size_t size, size_t *shown)
{
	*shown = size > JOURNAL_HEAD_BYTES && memcmp(bytes, "LdgR", 4) == 0 &&
	                 ((const uint8_t *)bytes)[8] == JOURNAL_NOTE
	             ? size - JOURNAL_HEAD_BYTES
	             : 0;
	return (*shown == 0 ? NULL : (const uint8_t *)bytes + JOURNAL_HEAD_BYTES);
}

ssize_t
__wrap_write(int fd, const void *bytes, size_t size)
{
	size_t shown;
	const void *words = shown_of(bytes, size, &shown);
	enum moment now = fd == STDERR_FILENO ? MOMENT_OTHER : count("write", words, shown);
	ssize_t result = __real_write(fd, bytes, now == MOMENT_TORN ? size / 2 : size);

	if (now != MOMENT_OTHER)
		die();
	return (result);
}

int __real_posix_fallocate(int fd, off_t at, off_t size);
int __wrap_posix_fallocate(int fd, off_t at, off_t size);

int
__wrap_posix_fallocate(int fd, off_t at, off_t size)
{
	enum moment now = count("posix_fallocate", NULL, 0);
	int result = __real_posix_fallocate(fd, at, now == MOMENT_TORN ? size / 2 : size);

	if (now != MOMENT_OTHER)
		die();
	return (result);
}

int __real_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...);

int
__wrap_openat(int dir, const char *name, int flags, ...)
{
	enum moment now = MOMENT_OTHER;
	mode_t mode = 0;
	va_list more;
	int result;

	if ((flags & O_CREAT) != 0) {
		va_start(more, flags);
		mode = va_arg(more, mode_t);
		va_end(more);
		now = count("openat", NULL, 0);
	}
	if (now == MOMENT_TORN)
		die();
	result = __real_openat(dir, name, flags, mode);
	if (now == MOMENT_AFTER)
		die();
	return (result);
}

struct wal *__real_wal_open(
    struct loop *loop, int shelf, uint32_t number, size_t size, const struct wal_owner *owner);
struct wal *__wrap_wal_open(
    struct loop *loop, int shelf, uint32_t number, size_t size, const struct wal_owner *owner);

struct wal *
__wrap_wal_open(struct loop *loop, int shelf, uint32_t number, size_t size, const struct wal_owner *owner)
{
	long less = number_of("LODGE_CRASH_LOG_BYTES");

	return (__real_wal_open(loop, shelf, number, less > 0 ? (size_t)less : size, owner));
}
