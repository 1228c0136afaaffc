/*
 * lodge-gateway: opens the house, watches over its processes and closes it.  It reads no byte from the network.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cap-ng.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "children.h"
#include "config.h"
#include "connections.h"
#include "doors.h"
#include "house.h"
#include "scans.h"
#include "talks.h"
#include "vault_key.h"

#define LIVE_TABLE_BYTES (4 * 1024 * 1024) /* auth's table of live connections */
#define END_STEP_MS 100
#define END_SESSIONS_MS 3000 /* sessions may take so long to say farewell */
#define END_SEALING_MS 8000  /* and the recorder so long to seal what they left */

struct house house = {.config_path = "/etc/lodge/lodge.conf"};

static int live_table = -1;
static struct timer *end_timer;
static int64_t end_began_ms;
static int end_doors_closed;

static _Noreturn void
usage(void)
{
	fprintf(stderr, "usage: lodge-gateway [-t | -T] [-f file] [--libexec directory] [--single-user]\n");
	exit(64);
}

/* -t and -T answer and end here. */
static void
settings_from(int argc, char **argv)
{
	int test = 0, print = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-t") == 0)
			test = 1;
		else if (strcmp(argv[i], "-T") == 0)
			print = 1;
		else if (strcmp(argv[i], "--single-user") == 0)
			house.single_user = 1;
		else if (strcmp(argv[i], "-f") == 0 && i + 1 < argc)
			house.config_path = argv[++i];
		else if (strcmp(argv[i], "--libexec") == 0 && i + 1 < argc) {
			free(house.libexec);
			house.libexec = bytes_dup(bytes_text(argv[++i]));
		} else
			usage();
	}
	if (config_load(house.config_path, &house.set) != 0)
		exit(78);
	if ((house.settings_text = settings_text(&house.set)) == NULL)
		log_fatal("out of memory");
	if (print)
		fputs(house.settings_text, stdout);
	if (test || print)
		exit(0);
}

/* The siblings lie beside our own executable. */
static void
libexec_find(void)
{
	char path[PATH_MAX];
	ssize_t len;

	if (house.libexec != NULL)
		return;
	if ((len = readlink("/proc/self/exe", path, sizeof(path) - 1)) == -1)
		log_fatal("/proc/self/exe: %s", strerror(errno));
	path[len] = '\0';
	*strrchr(path, '/') = '\0';
	house.libexec = bytes_dup(bytes_text(path));
}

static void
privileges_check(void)
{
	if (geteuid() != 0 && !house.single_user) {
		fprintf(stderr,
		    "lodge-gateway: must be started as root, whose processes it gives users of their own "
		    "(--single-user: for development only)\n");
		exit(78);
	}
	if (house.single_user)
		log_warning("--single-user: every process runs as one user; nothing protects them from each other");
}

/* Keeps what gateway needs; its bounding set stays whole, for lodge-pam must be root as PAM wants it. */
static void
privileges_drop(void)
{
	static const unsigned keep[] = {
	    CAP_SETUID, CAP_SETGID, CAP_KILL, CAP_NET_BIND_SERVICE, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER};

	if (prctl(PR_SET_DUMPABLE, 0) == -1)
		log_fatal("PR_SET_DUMPABLE: %s", strerror(errno));
	if (geteuid() != 0)
		return;
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, keep[i]) == -1)
			log_fatal("capabilities: the set cannot be made");
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		log_fatal("capabilities could not be dropped");
}

/* Links between daemons that are both ready. */
static void
daemons_link(enum process process)
{
	static const struct {
		enum process a, b;
	} rows[] = {
#define LINK(a, b) {PROCESS_##a, PROCESS_##b},
#include "contract/processes.def"
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct peer *a = children_peer(rows[i].a), *b = children_peer(rows[i].b);
		int pair[2];

		if ((rows[i].a != process && rows[i].b != process) || rows[i].a == PROCESS_SESSION || a == NULL ||
		    b == NULL)
			continue;
		if (link_pair(pair) == -1)
			log_fatal("no descriptor left for links: %s", strerror(errno));
		peer_post_fd(a, pair[0], LINK, link, .peer = (uint8_t)rows[i].b);
		peer_post_fd(b, pair[1], LINK, link, .peer = (uint8_t)rows[i].a);
	}
}

static void
copy_post(enum process process, enum message_type type, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy == -1)
		log_fatal("no descriptor left: %s", strerror(errno));
	if (type == MSG_MEMORY)
		peer_post_fd(children_peer(process), copy, MEMORY, memory, .what = MEMORY_LIVE);
	else
		peer_post_fd(children_peer(process), copy, CONTROL, control, .none = 0);
}

static void
on_ready(enum process process)
{
	if (process == PROCESS_AUTH) {
		copy_post(process, MSG_MEMORY, live_table);
		vault_keys_post(children_peer(process));
	}
	daemons_link(process);
	connections_relink(process);
	if (doors_control(process) != -1)
		copy_post(process, MSG_CONTROL, doors_control(process));
	if (!house.open && children_all_ready()) {
		house.open = 1;
		doors_open();
		log_info("ready on port %d", (int)house.set.port);
	}
}

static void
on_gone(enum process process)
{
	if (process == PROCESS_SESSION)
		connections_parent_gone();
	if (process == PROCESS_AUTH)
		talks_end_all();
	if (process == PROCESS_POLICY)
		scans_end_all();
}

static void
on_message(enum process process, struct message *m)
{
	if (m->type == MSG_PAM_WANTED)
		talk_begin(m->pam_wanted.ask);
	else if (m->type == MSG_SCAN_BEGIN)
		scan_begin(m->scan_begin.scan);
	else
		connections_message(process, m);
}

static void
on_reaped(pid_t pid, int status)
{
	if (!talk_reaped(pid) && !scan_reaped(pid))
		(void)connections_reaped(pid, status);
}

static void
on_empty(void)
{
	loop_stop(house.loop);
}

/* PAM sessions close by themselves once auth is gone. */
static void
on_stopped(void)
{
	talks_wait(on_empty);
}

/* The end, step by step: no new connection; sessions say farewell; the recorder seals; then the daemons. */
static void
on_end_step(void *ctx)
{
	int64_t passed_ms = clock_boot_ms() - end_began_ms;

	(void)ctx;
	if (connections_live() > 0 && passed_ms > END_SESSIONS_MS)
		connections_kill_all();
	if ((connections_live() > 0 || connections_unsealed() > 0) && passed_ms < END_SEALING_MS) {
		timer_after(end_timer, END_STEP_MS);
		return;
	}
	talks_end_all();
	scans_end_all();
	children_stop(on_stopped);
}

static void
on_end_signal(int signum, void *ctx)
{
	(void)ctx;
	if (end_doors_closed++)
		return;
	log_info("closing (signal %d)", signum);
	end_began_ms = clock_boot_ms();
	doors_close();
	connections_end_all();
	timer_after(end_timer, 0);
}

/* Parses, checks, swaps, or keeps the old and says so.  The daemons are renewed one by one, which cuts nobody off. */
static void
on_hup(int signum, void *ctx)
{
	static const enum process renewed[] = {PROCESS_AUTH, PROCESS_POLICY, PROCESS_READER, PROCESS_DIALER,
	    PROCESS_BOOK, PROCESS_RECORDER, PROCESS_SESSION};
	struct settings set;
	char *text;

	(void)signum;
	(void)ctx;
	if (house.ending || end_doors_closed)
		return;
	if (config_load(house.config_path, &set) != 0 || (text = settings_text(&set)) == NULL) {
		settings_free(&set);
		log_error("%s has errors: the old settings stay in effect", house.config_path);
		return;
	}
	settings_free(&house.set);
	free(house.settings_text);
	house.set = set;
	house.settings_text = text;
	for (size_t i = 0; i < sizeof(renewed) / sizeof(renewed[0]); i++)
		children_renew(renewed[i]);
	log_info("%s was read again (Port and ListenAddress: only at a restart)", house.config_path);
}

static const struct children_calls calls = {
    .on_ready = on_ready,
    .on_gone = on_gone,
    .on_message = on_message,
    .on_reaped = on_reaped,
};

static void
house_prepare(void)
{
	if ((house.loop = loop_new()) == NULL || (end_timer = timer_new(house.loop, on_end_step, NULL)) == NULL)
		log_fatal("out of memory");
	if ((live_table = memfd_create("lodge-live", MFD_CLOEXEC | MFD_ALLOW_SEALING)) == -1 ||
	    ftruncate(live_table, LIVE_TABLE_BYTES) == -1 ||
	    fcntl(live_table, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1)
		log_fatal("memory for the table of live connections: %s", strerror(errno));
	(void)signal(SIGPIPE, SIG_IGN);
	if (loop_on_signal(house.loop, SIGTERM, on_end_signal, NULL) == -1 ||
	    loop_on_signal(house.loop, SIGINT, on_end_signal, NULL) == -1 ||
	    loop_on_signal(house.loop, SIGHUP, on_hup, NULL) == -1)
		log_fatal("signals cannot be caught");
	connections_prepare();
	house.last_conn = (uint64_t)clock_wall_ms() << 20;
}

int
main(int argc, char **argv)
{
	log_begin("lodge-gateway");
	settings_from(argc, argv);
	libexec_find();
	privileges_check();
	house_prepare();
	doors_prepare();
	doors_bind();
	privileges_drop();
	children_begin(&calls);
	loop_run(house.loop);
	log_info("closed");
	return (0);
}
