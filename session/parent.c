#include "parent.h"

#include <errno.h>
#include <jansson.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract/daemon.h"
#include "door.h"
#include "session.h"

static struct peer *gateway;

/* Keeps the standard descriptors and link, the one that was meant for this connection, and nothing of the parent's. */
static _Noreturn void
clone_run(int link)
{
	if (dup2(link, DAEMON_FD) == -1 || syscall(SYS_close_range, DAEMON_FD + 1, ~0U, 0) == -1)
		log_fatal("a connection cannot be served: %s", strerror(errno));
	session_run(DAEMON_FD);
	_exit(0); /* the parent's memory is not ours to tidy up */
}

static void
connection_bear(uint64_t conn, int link)
{
	/* CLONE_PARENT: gateway is the clone's parent, waits for it, and kills it when it must. */
	long pid = syscall(SYS_clone, (unsigned long)(CLONE_PARENT | SIGCHLD), 0, 0, 0, 0);

	if (pid == 0)
		clone_run(link);
	if (pid == -1) {
		log_error("no process for a connection: %s", strerror(errno));
		return;
	}
	peer_post(gateway, BORN, born, .conn = conn, .pid = (uint32_t)pid);
}

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	if (m->type == MSG_CONNECTION)
		connection_bear(m->connection.conn, m->fd);
}

void
parent_run(void)
{
	static struct settings set;
	struct loop *loop = loop_new();

	if (loop == NULL)
		log_fatal("no event loop");
	gateway = daemon_begin(loop, PROCESS_SESSION, &set, on_gateway, NULL, NULL);
	if (set.time_zone[0] != '\0' && setenv("TZ", set.time_zone, 1) == -1)
		daemon_failed(gateway, "out of memory");
	tzset();             /* clones open no file: the zone is read here */
	json_object_seed(0); /* clones open no file: jansson would ask /dev/urandom at its first object */
	door_warm();
	confine(CONFINE_PARENT);
	daemon_ready(gateway);
	loop_run(loop);
	peer_close(gateway);
	settings_free(&set);
	loop_free(loop);
}
