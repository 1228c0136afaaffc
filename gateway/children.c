#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract/daemon.h"
#include "house.h"

#define RESTART_LEAST_MS 20  /* before a daemon that died is started again; doubles while it keeps dying */
#define RESTART_MOST_MS 1000 /* a session inside a rekey waits 5 s for a new auth: the start must fit in, too */
#define STEADY_MS 10000      /* having lived so long, a daemon's death counts as its first */
#define STOP_MS 8000         /* an orderly end may take so long before it is killed */

enum child_state { CHILD_NONE, CHILD_STARTING, CHILD_READY, CHILD_STOPPING };

struct child {
	enum process process;
	enum child_state state;
	pid_t pid;
	struct peer *peer;
	int64_t started_ms;
	int64_t wait_ms; /* before the next start */
	char why[512];   /* what it said it died of, over and over; "" while it lives on */
	int was_ready;   /* once at least */
	int has_said;    /* of what it dies now */
	struct timer *timer;
};

static struct {
	const struct children_calls *calls;
	struct child all[16];
	size_t count;
	void (*on_stopped)(void);
} kids;

/* Those that gateway keeps alive, in the order in which they start; they end in the opposite one. */
static const enum process daemons[] = {
    PROCESS_BOOK,
    PROCESS_RECORDER,
    PROCESS_READER,
    PROCESS_POLICY,
    PROCESS_AUTH,
    PROCESS_DIALER,
    PROCESS_SESSION,
};

int
link_pair(int pair[2])
{
	return (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
}

/* What of our environment a child is given. */
static char **
child_environment(void)
{
	static char *kept[32];
	static const char *const prefixes[] = {
	    "PATH=",
	    "TZ=",
	    "LODGE_DEBUG=",
#ifdef LODGE_TEST
	    "LODGE_TEST",
	    "ASAN_OPTIONS=",
	    "UBSAN_OPTIONS=",
	    "LSAN_OPTIONS=",
#endif
	};
	size_t count = 0;

	for (char **e = environ; *e != NULL && count < 31; e++)
		for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
			if (strncmp(*e, prefixes[i], strlen(prefixes[i])) == 0)
				kept[count++] = *e;
	kept[count] = NULL;
	return (kept);
}

/* In the child, between fork and exec: becomes its user.  Only calls that are safe there after pw was looked up. */
static int
child_become(const struct passwd *pw)
{
	if (setgroups(0, NULL) == -1 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1)
		return (-1);
	return (setuid(0) == -1 && errno == EPERM ? 0 : -1);
}

static _Noreturn void
child_exec(enum process process, int link, const char *path, const struct passwd *pw)
{
	char *argv[3] = {(char *)(uintptr_t)process_name(process), NULL, NULL};
	sigset_t none;
	int null;

	if (process == PROCESS_SESSION)
		argv[1] = (char *)(uintptr_t) "--parent";
	else if (process == PROCESS_SCAN)
		argv[1] = (char *)(uintptr_t) "--scan";
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	if ((null = open("/dev/null", O_RDWR)) == -1 || dup2(null, STDIN_FILENO) == -1 ||
	    dup2(null, STDOUT_FILENO) == -1)
		goto failed;
	if (link == DAEMON_FD) {
		if (fcntl(link, F_SETFD, 0) == -1)
			goto failed;
	} else if (dup2(link, DAEMON_FD) == -1)
		goto failed;
	if (close_range(DAEMON_FD + 1, ~0U, 0) == -1)
		goto failed;
	umask(027);
	if (pw != NULL && child_become(pw) == -1)
		goto failed;
	if (prctl(PR_SET_PDEATHSIG, 0) == -1)
		goto failed;
	execve(path, argv, child_environment());
failed:
	dprintf(STDERR_FILENO, "lodge-gateway: cannot start %s: %s\n", path, strerror(errno));
	_exit(126);
}

pid_t
child_start(enum process process, int *link)
{
	char path[4096];
	const struct passwd *pw = NULL;
	const char *user = process_user(process);
	int pair[2];
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s", house.libexec, process_name(process));
	if (!house.single_user && strcmp(user, "root") != 0 && (pw = getpwnam(user)) == NULL) {
		errno = ENOENT;
		return (-1);
	}
	if (link_pair(pair) == -1)
		return (-1);
	if ((pid = fork()) == 0)
		child_exec(process, pair[1], path, pw);
	close(pair[1]);
	if (pid == -1)
		close(pair[0]);
	else
		*link = pair[0];
	return (pid);
}

void
child_kill(pid_t pid, int signum)
{
	if (pid > 1 && kill(pid, signum) == -1 && errno != ESRCH)
		log_error("kill %d: %s", (int)pid, strerror(errno));
}

void
child_kill_group(pid_t pid, int signum)
{
	if (pid > 1 && kill(-pid, signum) == -1 && errno != ESRCH)
		log_error("kill group %d: %s", (int)pid, strerror(errno));
}

static struct child *
child_of(enum process process)
{
	for (size_t i = 0; i < kids.count; i++)
		if (kids.all[i].process == process)
			return (&kids.all[i]);
	return (NULL);
}

struct peer *
children_peer(enum process process)
{
	struct child *c = child_of(process);

	return (c != NULL && c->state == CHILD_READY ? c->peer : NULL);
}

int
children_all_ready(void)
{
	for (size_t i = 0; i < kids.count; i++)
		if (kids.all[i].state != CHILD_READY)
			return (0);
	return (1);
}

/* It says why it ends, and will say so each time it is started: the operator reads it once. */
static void
child_failed(struct child *c, struct bytes why)
{
	c->has_said = 1;
	if (bytes_are(why, c->why))
		return;
	log_error("%s cannot work: %.*s", process_name(c->process), (int)why.len, (const char *)why.at);
	(void)bytes_copy(c->why, sizeof(c->why), why);
}

/* What it could not do it can again. */
static void
child_is_well(struct child *c)
{
	if (c->why[0] == '\0')
		return;
	log_info("%s works again", process_name(c->process));
	c->why[0] = '\0';
}

static void
on_child_message(struct peer *p, struct message *m, void *ctx)
{
	struct child *c = ctx;

	(void)p;
	switch (m->type) {
	case MSG_READY:
		if (c->state != CHILD_STARTING)
			break;
		c->state = CHILD_READY;
		c->was_ready = 1;
		timer_after(c->timer, STEADY_MS);
		log_debug("%s is ready", process_name(c->process));
		kids.calls->on_ready(c->process);
		break;
	case MSG_FAILED:
		child_failed(c, m->failed.why);
		if (!c->was_ready) {
			child_kill(c->pid, SIGKILL);
			for (size_t i = 0; i < kids.count; i++)
				child_kill(kids.all[i].pid, SIGTERM);
			exit(78);
		}
		break;
	default:
		kids.calls->on_message(c->process, m);
	}
}

static void
on_child_closed(struct peer *p, const char *why, void *ctx)
{
	struct child *c = ctx;

	(void)p;
	if (*why != '\0')
		log_error("the link to %s broke: %s", process_name(c->process), why);
	/* A process without its link is of no use: its death brings us to child_gone. */
	child_kill(c->pid, SIGKILL);
}

static void
child_begin(struct child *c)
{
	int link;

	c->pid = child_start(c->process, &link);
	if (c->pid == -1) {
		if (errno == ENOENT)
			log_fatal("there is no user '%s': systemd-sysusers makes it from lodge's sysusers.d file",
			    process_user(c->process));
		log_fatal("cannot start %s: %s", process_name(c->process), strerror(errno));
	}
	c->state = CHILD_STARTING;
	c->has_said = 0;
	c->started_ms = clock_boot_ms();
	c->peer = peer_open(house.loop, link, PROCESS_GATEWAY, c->process, 0, on_child_message, on_child_closed, c);
	if (c->peer == NULL)
		log_fatal("out of memory");
	peer_post(c->peer, SETTINGS, settings, .text = bytes_text(house.settings_text));
}

static void
on_child_timer(void *ctx)
{
	struct child *c = ctx;

	if (c->state == CHILD_NONE && !house.ending)
		child_begin(c);
	else if (c->state == CHILD_READY)
		child_is_well(c);
	else if (c->state == CHILD_STOPPING)
		child_kill(c->pid, SIGKILL);
}

static void stop_next(void);

static void
child_gone(struct child *c, int status)
{
	enum child_state was = c->state;

	if (was != CHILD_STOPPING && !c->has_said)
		log_error("%s died (%s %d)%s", process_name(c->process),
		    WIFSIGNALED(status) ? "signal" : "exit status",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		    house.ending ? "" : "; it is started again");
	c->state = CHILD_NONE;
	c->pid = 0;
	peer_close(c->peer);
	c->peer = NULL;
	if (was == CHILD_READY || was == CHILD_STOPPING)
		kids.calls->on_gone(c->process);
	if (house.ending) {
		stop_next();
		return;
	}
	if (!c->was_ready && !house.open)
		log_fatal("%s never became ready", process_name(c->process));
	if (was == CHILD_STOPPING || clock_boot_ms() - c->started_ms > STEADY_MS)
		c->wait_ms = RESTART_LEAST_MS;
	else
		c->wait_ms = c->wait_ms * 2 > RESTART_MOST_MS ? RESTART_MOST_MS : c->wait_ms * 2;
	timer_after(c->timer, c->wait_ms);
}

static void
on_sigchld(int signum, void *ctx)
{
	int status;
	pid_t pid;

	(void)signum;
	(void)ctx;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct child *c = NULL;

		for (size_t i = 0; i < kids.count; i++)
			if (kids.all[i].pid == pid)
				c = &kids.all[i];
		if (c != NULL)
			child_gone(c, status);
		else
			kids.calls->on_reaped(pid, status);
	}
}

void
children_begin(const struct children_calls *calls)
{
	kids.calls = calls;
	if (loop_on_signal(house.loop, SIGCHLD, on_sigchld, NULL) == -1)
		log_fatal("SIGCHLD cannot be caught");
	for (size_t i = 0; i < sizeof(daemons) / sizeof(daemons[0]); i++) {
		struct child *c = &kids.all[kids.count++];

		c->process = daemons[i];
		c->wait_ms = RESTART_LEAST_MS;
		if ((c->timer = timer_new(house.loop, on_child_timer, c)) == NULL)
			log_fatal("out of memory");
		child_begin(c);
	}
}

static void
child_stop(struct child *c)
{
	peer_post(c->peer, STOP, stop, .none = 0);
	c->state = CHILD_STOPPING;
	timer_after(c->timer, STOP_MS);
}

void
children_renew(enum process process)
{
	struct child *c = child_of(process);

	if (c != NULL && (c->state == CHILD_READY || c->state == CHILD_STARTING))
		child_stop(c);
}

/* Ends the last daemon in the order of starting; when none is left, the house is empty. */
static void
stop_next(void)
{
	for (size_t i = kids.count; i-- > 0;) {
		struct child *c = &kids.all[i];

		if (c->state == CHILD_STOPPING)
			return;
		if (c->state != CHILD_NONE) {
			child_stop(c);
			return;
		}
	}
	kids.on_stopped();
}

void
children_stop(void (*on_stopped)(void))
{
	house.ending = 1;
	kids.on_stopped = on_stopped;
	stop_next();
}
