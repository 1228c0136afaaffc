/*
 * Death at the Nth call: linked into lodge-policy-crash, and into nothing else.  SQLite lets one put functions of one's own
 * in the place of its system calls; what goes over links passes by -Wl,--wrap=sendmsg.
 *
 *	LODGE_CRASH_AT=N			SIGKILL at the Nth of those calls; not set or 0: never
 *	LODGE_CRASH_HOW=before|torn|after	the call is not made; is made with half of its bytes; is made whole
 *	LODGE_CRASH_COUNT=FILE			the number of calls so far is kept there, with the name of the last one
 *
 * SQLite's syncs are not among its own calls, and tell nothing here: what a killed process has written stays written.
 */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

enum moment { MOMENT_OTHER, MOMENT_TORN, MOMENT_AFTER };

static struct {
	long calls, at;
	enum { HOW_BEFORE, HOW_TORN, HOW_AFTER } how;
	int count; /* descriptor, or -1 */
} crash = {.count = -1};

_Noreturn static void
die(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

/* Counts one call; does not come back when it is the one before which to die. */
static enum moment
count(const char *name)
{
	char line[64];
	int len;

	crash.calls++;
	if (crash.count != -1) {
		len = snprintf(line, sizeof(line), "%-8ld%-16s\n", crash.calls, name);
		if (pwrite(crash.count, line, (size_t)len, 0) != len)
			abort();
	}
	if (crash.calls != crash.at)
		return (MOMENT_OTHER);
	if (crash.how == HOW_BEFORE)
		die();
	return (crash.how == HOW_TORN ? MOMENT_TORN : MOMENT_AFTER);
}

static ssize_t
crash_pwrite(int fd, const void *bytes, size_t size, off_t at)
{
	enum moment now = count("pwrite");
	ssize_t result = pwrite(fd, bytes, now == MOMENT_TORN ? size / 2 : size, at);

	if (now != MOMENT_OTHER)
		die();
	return (result);
}

static ssize_t
crash_write(int fd, const void *bytes, size_t size)
{
	enum moment now = count("write");
	ssize_t result = write(fd, bytes, now == MOMENT_TORN ? size / 2 : size);

	if (now != MOMENT_OTHER)
		die();
	return (result);
}

/* A call without bytes is not made at all when it is to be torn. */
#define CRASH_CALL(name, declared, given)       \
	static int crash_##name declared        \
	{                                       \
		enum moment now = count(#name); \
		int result;                     \
                                                \
		if (now == MOMENT_TORN)         \
			die();                  \
		result = name given;            \
		if (now == MOMENT_AFTER)        \
			die();                  \
		return (result);                \
	}

CRASH_CALL(ftruncate, (int fd, off_t size), (fd, size))
CRASH_CALL(unlink, (const char *path), (path))
CRASH_CALL(fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))

/* sqlite3's type of a call fits no call. */
#define CALL(f) ((sqlite3_syscall_ptr)(void (*)(void))(f))

__attribute__((constructor)) static void
crash_begin(void)
{
	const char *at = getenv("LODGE_CRASH_AT"), *how = getenv("LODGE_CRASH_HOW"),
	           *path = getenv("LODGE_CRASH_COUNT");
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {{"pwrite", CALL(crash_pwrite)}, {"pwrite64", CALL(crash_pwrite)}, {"write", CALL(crash_write)},
	    {"ftruncate", CALL(crash_ftruncate)}, {"unlink", CALL(crash_unlink)},
	    {"fallocate", CALL(crash_fallocate)}};

	crash.at = at == NULL ? 0 : strtol(at, NULL, 10);
	if (how != NULL)
		crash.how = strcmp(how, "torn") == 0    ? HOW_TORN
		            : strcmp(how, "after") == 0 ? HOW_AFTER
		                                        : HOW_BEFORE;
	if (path != NULL && (crash.count = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == -1)
		abort();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		(void)vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call); /* some it was built without */
}

ssize_t __real_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

ssize_t
__wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	enum moment now = count("sendmsg");
	ssize_t result;

	if (now == MOMENT_TORN) /* a datagram is not cut */
		die();
	result = __real_sendmsg(fd, m, flags);
	if (now == MOMENT_AFTER)
		die();
	return (result);
}
