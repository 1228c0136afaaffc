/* Calls that reach the disk, counted and cut short: see fault.h. */
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int calls, kill_at, fail_at;
static enum fault_moment kill_moment;
static char trace[256];

void
fault_kill_at(int call, enum fault_moment moment)
{
	kill_at = call;
	kill_moment = moment;
}

void
fault_fail_at(int call)
{
	fail_at = call;
}

int
fault_count(void)
{
	int had = calls;

	calls = 0;
	memset(trace, 0, sizeof(trace));
	return (had);
}

const char *
fault_trace(void)
{
	return (trace);
}

/* 1 when the call is to fail. */
static int
begin(char letter)
{
	if (calls < (int)sizeof(trace) - 1)
		trace[calls] = letter;
	calls++;
	if (calls == kill_at && kill_moment == FAULT_BEFORE)
		_exit(0);
	if (calls != fail_at)
		return (0);
	errno = ENOSPC;
	return (1);
}

static void
end(void)
{
	if (calls == kill_at)
		_exit(0);
}

ssize_t __real_write(int fd, const void *at, size_t len);
ssize_t __wrap_write(int fd, const void *at, size_t len);
ssize_t
__wrap_write(int fd, const void *at, size_t len)
{
	ssize_t n;

	if (fd == STDERR_FILENO || fd == STDOUT_FILENO)
		return (__real_write(fd, at, len));
	if (begin('w'))
		return (-1);
	n = __real_write(fd, at, calls == kill_at && kill_moment == FAULT_TORN ? len / 2 : len);
	end();
	return (n);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int
__wrap_fsync(int fd)
{
	struct stat st;
	int result;

	if (fstat(fd, &st) == -1)
		abort();
	if (begin(S_ISDIR(st.st_mode) ? 'd' : 'f'))
		return (-1);
	result = __real_fsync(fd);
	end();
	return (result);
}

int __real_renameat(int from, const char *name, int to, const char *new);
int __wrap_renameat(int from, const char *name, int to, const char *new);
int
__wrap_renameat(int from, const char *name, int to, const char *new)
{
	int result;

	if (begin('r'))
		return (-1);
	result = __real_renameat(from, name, to, new);
	end();
	return (result);
}

int __real_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...);
int
__wrap_openat(int dir, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list more;
	int result;

	if ((flags & O_CREAT) == 0)
		return (__real_openat(dir, name, flags));
	va_start(more, flags);
	mode = va_arg(more, mode_t);
	va_end(more);
	if (begin('o'))
		return (-1);
	result = __real_openat(dir, name, flags, mode);
	end();
	return (result);
}
