#include "connections.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/ring.h"
#include "children.h"
#include "house.h"
#include "sources.h"

#define KILL_SLACK_MS 2000 /* after hard_end: the third hand */
#define EARLY_MAX 64       /* ends of processes whose birth was not told yet */

struct connection {
	struct connection *next, **back;
	uint64_t conn;
	char source[64];
	uint16_t port;
	struct source *from; /* NULL: let go, with the process */
	/* The process. */
	pid_t pid; /* 0: not born yet */
	int gone;
	int status;
	struct peer *peer;
	/* Its ring, kept until the recorder has sealed what was in it. */
	int ring, filled, freed;
	/* Its limit. */
	int logged_in, enrols;
	struct timer *limit;
};

static struct {
	pid_t pid;
	int status;
} early[EARLY_MAX];
static size_t early_next;
static struct sources *sources;

static struct connection *
connection_find(uint64_t conn)
{
	for (struct connection *c = house.connections; c != NULL; c = c->next)
		if (c->conn == conn)
			return (c);
	return (NULL);
}

static int
descriptor_copy(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy == -1)
		log_error("no descriptor left: %s", strerror(errno));
	return (copy);
}

/* Of its source: it counts no more. */
static void
connection_let_go(struct connection *c)
{
	if (c->from != NULL)
		source_let_go(c->from, c->logged_in);
	c->from = NULL;
}

static void
connection_free(struct connection *c)
{
	connection_let_go(c);
	timer_free(c->limit);
	peer_close(c->peer);
	if (c->ring != -1)
		close(c->ring);
	if (c->filled != -1)
		close(c->filled);
	if (c->freed != -1)
		close(c->freed);
	if (c->back != NULL) {
		*c->back = c->next;
		if (c->next != NULL)
			c->next->back = c->back;
	}
	free(c);
}

static void
memory_post(struct peer *to, const struct connection *c)
{
	const struct {
		uint8_t what;
		int fd;
	} parts[] = {{MEMORY_RING, c->ring}, {MEMORY_RING_FILLED, c->filled}, {MEMORY_RING_FREED, c->freed}};

	if (to == NULL)
		return;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int copy = descriptor_copy(parts[i].fd);

		if (copy != -1)
			peer_post_fd(to, copy, MEMORY, memory, .what = parts[i].what, .conn = c->conn);
	}
}

/* A link between the session and a daemon, when that is ready. */
static void
connection_link(struct connection *c, enum process process)
{
	struct peer *daemon = children_peer(process);
	struct bytes source = bytes_text(c->source);
	int pair[2];

	if (daemon == NULL || c->gone)
		return;
	if (link_pair(pair) == -1) {
		log_error("no link between a session and %s: %s", process_name(process), strerror(errno));
		return;
	}
	peer_post_fd(daemon, pair[0], LINK, link, .peer = PROCESS_SESSION, .conn = c->conn, .source = source,
	    .port = c->port);
	peer_post_fd(c->peer, pair[1], LINK, link, .peer = (uint8_t)process, .conn = c->conn, .source = source,
	    .port = c->port);
}

static void
gone_post(const struct connection *c, enum process to)
{
	struct peer *p = children_peer(to);

	if (p != NULL)
		peer_post(p, SESSION_GONE, session_gone, .conn = c->conn, .status = (uint32_t)c->status);
}

/* What a process dies of that does what it should not, or was made to (as sshd's signal_is_crash). */
static int
is_crash(int status)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

	for (size_t i = 0; WIFSIGNALED(status) && i < sizeof(crashes) / sizeof(crashes[0]); i++)
		if (WTERMSIG(status) == crashes[i])
			return (1);
	return (0);
}

static void
connection_gone(struct connection *c, int status)
{
	if (is_crash(status) && c->from != NULL)
		source_harm(c->from, HARM_CRASH, clock_boot_ms());
	connection_let_go(c);
	c->gone = 1;
	c->status = status;
	timer_stop(c->limit);
	peer_close(c->peer);
	c->peer = NULL;
	if (WIFSIGNALED(status))
		log_warning("session %" PRIu64 " from %s ended by signal %d", c->conn, c->source, WTERMSIG(status));
	gone_post(c, PROCESS_AUTH);
	gone_post(c, PROCESS_POLICY);
	gone_post(c, PROCESS_RECORDER);
}

static void
on_limit(void *ctx)
{
	struct connection *c = ctx;

	if (c->gone)
		return;
	log_warning("session %" PRIu64 " from %s is past its limit: killed", c->conn, c->source);
	if (c->pid == 0) {
		connection_gone(c, SIGKILL);
		return;
	}
	if (!c->logged_in)
		source_harm(c->from, HARM_GRACE, clock_boot_ms());
	child_kill(c->pid, SIGKILL);
}

static void
on_session_message(struct peer *p, struct message *m, void *ctx)
{
	struct connection *c = ctx;

	(void)p;
	if (m->type == MSG_FAILED)
		log_error(
		    "session %" PRIu64 ": %.*s", c->conn, (int)m->failed.why.len, (const char *)m->failed.why.at);
}

static void
on_session_closed(struct peer *p, const char *why, void *ctx)
{
	struct connection *c = ctx;

	(void)p;
	if (*why != '\0')
		log_error("the link to session %" PRIu64 " broke: %s", c->conn, why);
	/* A process that closed its link has ended or must. */
	if (*why == '\0' || c->pid == 0)
		return;
	child_kill(c->pid, SIGKILL);
	if (c->from != NULL)
		source_harm(c->from, HARM_CRASH, clock_boot_ms()); /* it speaks what our code does not */
}

static int
connection_memory(struct connection *c)
{
	if ((c->ring = ring_create()) == -1 || (c->filled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1 ||
	    (c->freed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1) {
		log_error("no ring for a connection: %s", strerror(errno));
		return (-1);
	}
	return (0);
}

/* Has the warm parent clone a process for c; -1: it cannot now. */
static int
connection_bear(struct connection *c)
{
	struct peer *parent = children_peer(PROCESS_SESSION);
	int pair[2];

	if (parent == NULL || link_pair(pair) == -1)
		return (-1);
	c->peer = peer_open(house.loop, pair[0], PROCESS_GATEWAY, PROCESS_SESSION, c->conn, on_session_message,
	    on_session_closed, c);
	if (c->peer == NULL) {
		close(pair[1]);
		return (-1);
	}
	peer_post_fd(parent, pair[1], CONNECTION, connection, .conn = c->conn);
	return (0);
}

/* One line before the version, which RFC 4253 4.2 allows, and the end. */
static void
refuse(int fd, const char *source, const char *what)
{
	char line[160];
	int len = snprintf(line, sizeof(line), "lodge: %s (%s); wait\r\n", what, source);

	(void)send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* A place for one connection more; NULL: it was refused. */
static struct source *
place_take(int fd, const char *source)
{
	static const char *const words[] = {
	    [SOURCE_WAITS] = "too much went wrong with connections from one address",
	    [SOURCE_STARTUPS] = "too many connections from one address that have not logged in",
	    [SOURCE_CONNECTIONS] = "too many connections from one address",
	    [SOURCES_STARTUPS] = "too many connections that have not logged in",
	    [SOURCES_CONNECTIONS] = "too many connections",
	};
	struct source *from = source_of(sources, source);
	int64_t now_ms = clock_boot_ms();
	unsigned chance = 0, refused;
	enum source_answer answer;

	if (from == NULL) {
		close(fd);
		return (NULL);
	}
	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		chance = 0; /* the kernel has no chance to give: refused whenever it decides */
	if ((answer = source_take(from, now_ms, chance % 100)) == SOURCE_TAKEN)
		return (from);
	if ((refused = source_tell(from, now_ms)) > 0)
		log_warning("refused, %u from %s: %s; %zu not logged in, %zu in all, a wait of %" PRIi64 " ms",
		    refused, source, words[answer], sources_strangers(sources), sources_connections(sources),
		    source_waits_ms(from, now_ms));
	refuse(fd, source, words[answer]);
	return (NULL);
}

void
connections_prepare(void)
{
	if ((sources = sources_new(&house.set)) == NULL)
		log_fatal("out of memory");
}

void
connections_accept(int fd, const char *source, uint16_t port)
{
	struct source *from = place_take(fd, source);
	struct connection *c;

	if (from == NULL)
		return;
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		source_let_go(from, 0);
		close(fd);
		return;
	}
	c->from = from;
	c->ring = c->filled = c->freed = -1;
	c->port = port;
	snprintf(c->source, sizeof(c->source), "%s", source);
	c->conn = ++house.last_conn;
	c->limit = timer_new(house.loop, on_limit, c);
	if (c->limit == NULL || connection_memory(c) == -1 || connection_bear(c) == -1) {
		log_error("a connection from %s is refused: it cannot be served now", source);
		connection_free(c);
		close(fd);
		return;
	}
	c->next = house.connections;
	c->back = &house.connections;
	if (c->next != NULL)
		c->next->back = &c->next;
	house.connections = c;
	peer_post(c->peer, SETTINGS, settings, .text = bytes_text(house.settings_text));
	memory_post(c->peer, c);
	memory_post(children_peer(PROCESS_RECORDER), c);
	connection_link(c, PROCESS_AUTH);
	connection_link(c, PROCESS_POLICY);
	connection_link(c, PROCESS_RECORDER);
	peer_post_fd(c->peer, fd, CLIENT, client, .conn = c->conn, .source = bytes_text(c->source), .port = port);
	timer_after(c->limit, house.set.login_grace_time);
}

void
connections_relink(enum process process)
{
	struct peer *daemon = children_peer(process);

	if (process != PROCESS_AUTH && process != PROCESS_POLICY && process != PROCESS_RECORDER)
		return;
	for (struct connection *c = house.connections; c != NULL; c = c->next) {
		if (process == PROCESS_RECORDER)
			memory_post(daemon, c);
		if (c->gone)
			gone_post(c, process);
		else
			connection_link(c, process);
	}
	peer_post(daemon, LINKS_TOLD, links_told, .none = 0);
}

static void
connection_born(uint64_t conn, pid_t pid)
{
	struct connection *c = connection_find(conn);

	if (c == NULL || c->pid != 0)
		return;
	c->pid = pid;
	for (size_t i = 0; i < EARLY_MAX; i++)
		if (early[i].pid == pid) {
			early[i].pid = 0;
			connection_gone(c, early[i].status);
			return;
		}
	if (c->gone)
		child_kill(pid, SIGKILL);
}

/* What policy or auth says of one connection. */
static void
connection_told(struct connection *c, const struct message *m)
{
	struct peer *policy = children_peer(PROCESS_POLICY);

	switch (m->type) {
	case MSG_LOGGED_IN:
		if (!c->logged_in++)
			source_logged_in(c->from);
		timer_after(c->limit, house.set.approval_timeout + KILL_SLACK_MS);
		break;
	case MSG_ENROLS:
		if (!c->logged_in && !c->enrols++)
			timer_after(c->limit, ENROL_MS);
		break;
	case MSG_LEASE:
		timer_set(c->limit, m->lease.hard_end_boot_ms + KILL_SLACK_MS);
		peer_post(policy, LEASE_HELD, lease_held, .conn = c->conn, .grant = m->lease.grant,
		    .ends_boot_ms = m->lease.ends_boot_ms);
		break;
	case MSG_KILL_AT:
		if (m->kill_at.kill_boot_ms == 0)
			timer_stop(c->limit);
		else
			timer_set(c->limit, m->kill_at.kill_boot_ms);
		break;
	default:
		break;
	}
}

void
connections_message(enum process from, struct message *m)
{
	struct connection *c = NULL;

	(void)from;
	switch (m->type) {
	case MSG_BORN:
		connection_born(m->born.conn, (pid_t)m->born.pid);
		return;
	case MSG_LOGGED_IN:
		c = connection_find(m->logged_in.conn);
		break;
	case MSG_ENROLS:
		c = connection_find(m->enrols.conn);
		break;
	case MSG_LEASE:
		c = connection_find(m->lease.conn);
		break;
	case MSG_KILL_AT:
		c = connection_find(m->kill_at.conn);
		break;
	case MSG_RING_SEALED:
		if ((c = connection_find(m->ring_sealed.conn)) != NULL && c->gone) {
			connection_free(c);
			return;
		}
		break;
	default:
		return;
	}
	if (c != NULL && !c->gone)
		connection_told(c, m);
}

int
connections_reaped(pid_t pid, int status)
{
	for (struct connection *c = house.connections; c != NULL; c = c->next)
		if (c->pid == pid && !c->gone) {
			connection_gone(c, status);
			return (1);
		}
	early[early_next].pid = pid;
	early[early_next].status = status;
	early_next = (early_next + 1) % EARLY_MAX;
	return (0);
}

void
connections_parent_gone(void)
{
	for (struct connection *c = house.connections; c != NULL; c = c->next)
		if (c->pid == 0 && !c->gone)
			connection_gone(c, SIGKILL);
}

void
connections_end_all(void)
{
	for (struct connection *c = house.connections; c != NULL; c = c->next)
		if (!c->gone)
			peer_post(c->peer, STOP, stop, .none = 0);
}

void
connections_kill_all(void)
{
	for (struct connection *c = house.connections; c != NULL; c = c->next)
		if (!c->gone && c->pid != 0)
			child_kill(c->pid, SIGKILL);
}

size_t
connections_live(void)
{
	return (sources_connections(sources));
}

size_t
connections_unsealed(void)
{
	size_t count = 0;

	for (struct connection *c = house.connections; c != NULL; c = c->next)
		count++;
	return (count);
}
