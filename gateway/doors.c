#include "doors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "connections.h"
#include "house.h"

#define DOORS_MAX 16
#define BACKLOG 256

static struct {
	int fd;
	struct watch *watch;
} doors[DOORS_MAX];
static size_t door_count;

/* The sockets on which `lodge` speaks to processes of the house. */
static struct control {
	enum process process;
	const char *name; /* below RunDirectory */
	int fd;
	char path[108];
} controls[] = {
    {.process = PROCESS_POLICY, .name = "control", .fd = -1},
    {.process = PROCESS_AUTH, .name = "secrets", .fd = -1},
};
#define CONTROLS (sizeof(controls) / sizeof(controls[0]))

/* Makes a directory with this mode for user:group, or brings one that is there to it. */
static void
directory_make(const char *path, mode_t mode, const char *user, const char *group)
{
	const struct passwd *pw;
	const struct group *gr;

	if (mkdir(path, mode) == -1 && errno != EEXIST)
		log_fatal("cannot make %s: %s", path, strerror(errno));
	if (house.single_user)
		return;
	if ((pw = getpwnam(user)) == NULL)
		log_fatal("there is no user '%s': systemd-sysusers makes it from lodge's sysusers.d file", user);
	if ((gr = getgrnam(group)) == NULL)
		log_fatal("there is no group '%s': systemd-sysusers makes it from lodge's sysusers.d file", group);
	if (chown(path, pw->pw_uid, gr->gr_gid) == -1 || chmod(path, mode) == -1)
		log_fatal("cannot hand %s to %s: %s", path, user, strerror(errno));
}

/* Each process finds its own directory; what the reader may read carries its group on (set-group-ID). */
static void
directories_make(void)
{
	const struct {
		const char *under, *name;
		mode_t mode;
		const char *user, *group;
	} rows[] = {
	    {house.set.run_directory, "", 0755, "root", "root"},
	    {house.set.state_directory, "", 0755, "root", "root"},
	    {house.set.state_directory, "/policy", 0700, "lodge-policy", "lodge-policy"},
	    {house.set.state_directory, "/auth", 0700, "lodge-auth", "lodge-auth"},
	    {house.set.state_directory, "/book", 02750, "lodge-book", "lodge-reader"},
	    {house.set.recording_directory, "", 02750, "lodge-recorder", "lodge-reader"},
	};
	char path[4096];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", rows[i].under, rows[i].name);
		directory_make(path, rows[i].mode, rows[i].user, rows[i].group);
	}
}

static void
lock_take(void)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/lock", house.set.run_directory);
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) == -1)
		log_fatal("%s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		log_fatal("another lodge-gateway holds %s: stop it first", path);
	/* fd stays open, and the lock with it, as long as this process lives. */
}

/* Anybody may speak there: the kernel tells the process behind it who does. */
static void
control_bind(struct control *c)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (snprintf(c->path, sizeof(c->path), "%s/%s", house.set.run_directory, c->name) >= (int)sizeof(c->path))
		log_fatal("RunDirectory: the path is too long for a socket (%zu bytes with /%s)",
		    sizeof(c->path) - 1, c->name);
	memcpy(sun.sun_path, c->path, sizeof(sun.sun_path));
	(void)unlink(c->path);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd == -1 || bind(c->fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 || chmod(c->path, 0666) == -1 ||
	    listen(c->fd, BACKLOG) == -1)
		log_fatal("%s: %s", c->path, strerror(errno));
}

void
doors_prepare(void)
{
	directories_make();
	lock_take();
	for (size_t i = 0; i < CONTROLS; i++)
		control_bind(&controls[i]);
}

int
doors_control(enum process process)
{
	for (size_t i = 0; i < CONTROLS; i++)
		if (controls[i].process == process)
			return (controls[i].fd);
	return (-1);
}

static int
door_bind(const char *address, int *wrong)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)house.set.port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)house.set.port)};
	int six = inet_pton(AF_INET6, address, &in6.sin6_addr) == 1, on = 1, fd;

	if (!six && inet_pton(AF_INET, address, &in.sin_addr) != 1)
		return (-1);
	if ((fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) == -1)
		goto failed;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		goto failed;
	if ((six ? bind(fd, (struct sockaddr *)&in6, sizeof(in6)) : bind(fd, (struct sockaddr *)&in, sizeof(in))) ==
	        -1 ||
	    listen(fd, BACKLOG) == -1)
		goto failed;
	return (fd);

failed:
	*wrong = errno;
	if (fd != -1)
		close(fd);
	return (-1);
}

void
doors_bind(void)
{
	char address[64];
	const char *at = house.set.listen_address;

	while (*at != '\0' && door_count < DOORS_MAX) {
		size_t len = strcspn(at, " ");
		int wrong = EINVAL, fd;

		if (len > 0 && len < sizeof(address)) {
			memcpy(address, at, len);
			address[len] = '\0';
			fd = door_bind(address, &wrong);
			if (fd == -1 && wrong != EAFNOSUPPORT && wrong != EADDRNOTAVAIL)
				log_fatal("cannot listen on %s port %d: %s", address, (int)house.set.port,
				    strerror(wrong));
			if (fd == -1)
				log_warning("not listening on %s: %s", address, strerror(wrong));
			else
				doors[door_count++].fd = fd;
		}
		at += len + strspn(at + len, " ");
	}
	if (door_count == 0)
		log_fatal("no address to listen on: see ListenAddress in %s", house.config_path);
}

static void
on_door(int fd, int events, void *ctx)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} from = {0};
	socklen_t len = sizeof(from);
	char source[INET6_ADDRSTRLEN] = "?";
	int got, on = 1;

	(void)events;
	(void)ctx;
	if ((got = accept4(fd, &from.sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK)) == -1) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_error("accept: %s", strerror(errno));
		return;
	}
	(void)setsockopt(got, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (from.sa.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &from.in6.sin6_addr, source, sizeof(source));
		connections_accept(got, source, ntohs(from.in6.sin6_port));
	} else {
		(void)inet_ntop(AF_INET, &from.in.sin_addr, source, sizeof(source));
		connections_accept(got, source, ntohs(from.in.sin_port));
	}
}

void
doors_open(void)
{
	for (size_t i = 0; i < door_count; i++)
		if ((doors[i].watch = watch_begin(house.loop, doors[i].fd, WATCH_READ, on_door, NULL)) == NULL)
			log_fatal("out of memory");
}

void
doors_close(void)
{
	for (size_t i = 0; i < door_count; i++) {
		watch_end(doors[i].watch);
		close(doors[i].fd);
	}
	door_count = 0;
	for (size_t i = 0; i < CONTROLS; i++) {
		if (controls[i].fd == -1)
			continue;
		close(controls[i].fd);
		(void)unlink(controls[i].path);
		controls[i].fd = -1;
	}
}
