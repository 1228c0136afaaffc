#include "base/clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifdef LODGE_TEST
/* The page that tests turn, {boot offset, wall offset} in ms; NULL when there is none. */
static const volatile int64_t *clock_test_page;

static void
clock_test_open(void)
{
	static int tried;
	const char *path;
	void *at;
	int fd;

	if (tried++ || (path = getenv("LODGE_TEST_CLOCK")) == NULL)
		return;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	at = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at != MAP_FAILED)
		clock_test_page = at;
}

static int64_t
clock_test_offset(int which)
{
	clock_test_open();
	return (clock_test_page == NULL ? 0 : clock_test_page[which]);
}
#else
#define clock_test_offset(which) 0
#endif

static int64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

int64_t
clock_boot_us(void)
{
	return (clock_us(CLOCK_BOOTTIME) + clock_test_offset(0) * 1000);
}

int64_t
clock_boot_ms(void)
{
	return (clock_boot_us() / 1000);
}

int64_t
clock_wall_ms(void)
{
	return (clock_us(CLOCK_REALTIME) / 1000 + clock_test_offset(1));
}

void
clock_boot_id(char id[static 37])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd == -1 ? -1 : read(fd, id, 36);

	if (fd != -1)
		close(fd);
	id[got == 36 ? 36 : 0] = '\0';
}

void
clock_rfc3339(int64_t wall_ms, char *to, size_t size)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	char date[32];

	if (gmtime_r(&seconds, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		date[0] = '\0';
	snprintf(to, size, "%s.%03dZ", date, (int)(wall_ms % 1000));
}
