/* The house around a lodge-policy; see house.h.  One file: seven processes that each say little, all of it to one policy. */
#include "house.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "contract/daemon.h"

#define SOURCE "192.0.2.17"

/* The test itself cannot go on. */
#define MUST(that) ((that) ? (void)0 : must_failed(#that, __LINE__))

_Noreturn static void
must_failed(const char *what, int line)
{
	(void)fprintf(stderr, "house.c:%d: %s: %s\n", line, what, strerror(errno));
	abort();
}

void
house_fault(struct house *h, const char *format, ...)
{
	va_list args;

	(void)printf("  FAULT: ");
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)printf("\n");
	(void)fflush(stdout);
	h->faults++;
}

/* ---- turning ---- */

static void
on_late(void *ctx)
{
	struct house *h = ctx;

	h->is_late = 1;
	loop_stop(h->loop);
}

int
house_until(struct house *h, int (*is)(struct house *h, const void *what), const void *what, int ms)
{
	int64_t until_ms = clock_boot_ms() + ms, left;

	while (!is(h, what)) {
		if ((left = until_ms - clock_boot_ms()) <= 0 || h->broken)
			return (0);
		h->is_late = 0;
		timer_after(h->late, left);
		loop_run(h->loop);
		timer_stop(h->late);
	}
	return (1);
}

/* ---- finding ---- */

static struct seat *
seat_of(struct house *h, uint64_t conn)
{
	for (size_t i = 0; i < h->seat_count; i++)
		if (h->seats[i].conn == conn)
			return (&h->seats[i]);
	return (NULL);
}

static void
heard(struct house *h, struct seat *s, const struct message *m)
{
	if (h->on_told != NULL)
		h->on_told(h, s, m);
	loop_stop(h->loop);
}

/* ---- the book ---- */

static void
leaf_keep(struct house *h, const struct msg_leaf *m)
{
	char **at = &h->leaves[m->sequence % HOUSE_LEAVES];

	MUST(m->sequence < HOUSE_LEAVES);
	if (*at != NULL) {
		if (!bytes_are(m->json, *at))
			house_fault(
			    h, "event %llu was told to the book in two forms", (unsigned long long)m->sequence);
		return;
	}
	MUST((*at = bytes_dup(m->json)) != NULL);
}

static void
on_book(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;

	if (m->type != MSG_LEAF)
		return;
	heard(h, NULL, m);
	if ((int64_t)m->leaf.sequence > h->held + 1)
		house_fault(h, "the book got event %llu after %lld", (unsigned long long)m->leaf.sequence,
		    (long long)h->held);
	if (h->keeps)
		leaf_keep(h, &m->leaf);
	if ((int64_t)m->leaf.sequence > h->held)
		h->held = (int64_t)m->leaf.sequence;
	peer_post(p, LEAF_HELD, leaf_held, .sequence = m->leaf.sequence, .leaf_index = m->leaf.sequence - 1);
}

/* ---- auth, recorder, dialer ---- */

static void
on_auth(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;
	struct seat *s;

	heard(h, NULL, m);
	if (m->type == MSG_CERTIFY)
		peer_post(p, CERTIFY_HELD, certify_held, .conn = m->certify.conn, .stream = m->certify.stream);
	if (m->type != MSG_IDENTITY_HELD || (s = seat_of(h, m->identity_held.conn)) == NULL)
		return;
	if (m->identity_held.reason != REASON_NONE)
		house_fault(
		    h, "%s may not come in: %s", s->login, reason_code((enum reason)m->identity_held.reason));
	s->held = 1;
}

/* A person's key has the person's name: it must be one of theirs in the database. */
static void
identity_post(struct house *h, const struct seat *s)
{
	char fingerprint[ROW_FINGERPRINT];

	(void)snprintf(fingerprint, sizeof(fingerprint), "SHA256:%.64s", s->login);
	peer_post(h->auth, IDENTITY, identity, .conn = s->conn, .login = bytes_text(s->login), .role = s->role,
	    .factors = FACTOR_KEY | FACTOR_PAM, .host_bound = 1, .fingerprint = bytes_text(fingerprint),
	    .key_type = bytes_text("ssh-ed25519"), .source = bytes_text(SOURCE), .port = 4711,
	    .at_wall_ms = clock_wall_ms());
}

static void
begun_post(struct house *h, const struct seat *s)
{
	peer_post(h->recorder, STREAM_BEGUN, stream_begun, .conn = s->conn, .stream = s->ask.stream,
	    .at_wall_ms = clock_wall_ms());
}

static void
on_recorder(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;
	struct seat *s;

	heard(h, NULL, m);
	if (m->type != MSG_STREAM_ALLOWED || (s = seat_of(h, m->stream_allowed.conn)) == NULL)
		return;
	s->ask.stream = m->stream_allowed.stream;
	peer_post(p, STREAM_READY, stream_ready, .conn = s->conn, .stream = s->ask.stream);
	if (s->ask.begun)
		begun_post(h, s);
}

static void
on_dialer(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;
	struct seat *s;

	heard(h, NULL, m);
	if (m->type != MSG_DIAL || (s = seat_of(h, m->dial.conn)) == NULL)
		return;
	peer_post(p, DIALED, dialed, .conn = s->conn, .stream = m->dial.stream);
	s->ask.begun = 1;
	begun_post(h, s);
}

/* ---- sessions ---- */

static void
on_verdict(struct seat *s, const struct msg_verdict *m)
{
	if (m->ask != s->ask.ask) /* of a question that it asks no more */
		return;
	s->ask.told = 1;
	s->ask.verdict = m->verdict;
	s->ask.reason = m->reason;
	s->ask.request = m->request;
	s->ask.grant = m->grant;
	if (m->verdict == VERDICT_ALLOW)
		s->ask.stream = m->stream;
	s->ask.over = m->verdict != VERDICT_WAIT;
}

static void
verb_said(struct seat *s, struct bytes more)
{
	size_t room = HOUSE_SAID - 1 > s->verb.len ? HOUSE_SAID - 1 - s->verb.len : 0;

	memcpy(s->verb.said + (s->verb.len < HOUSE_SAID ? s->verb.len : 0), more.at,
	    more.len < room ? more.len : room);
	s->verb.len += more.len;
	s->verb.said[s->verb.len < HOUSE_SAID ? s->verb.len : HOUSE_SAID - 1] = '\0';
}

static void
on_seat(struct peer *p, struct message *m, void *ctx)
{
	struct seat *s = ctx;

	heard(s->house, s, m);
	switch (m->type) {
	case MSG_VERDICT:
		on_verdict(s, &m->verdict);
		break;
	case MSG_LEASE:
		s->ask.leased = 1;
		peer_post(p, LEASE_HELD, lease_held, .conn = s->conn, .grant = m->lease.grant,
		    .ends_boot_ms = m->lease.ends_boot_ms);
		break;
	case MSG_END:
		s->ended++;
		break;
	case MSG_VERB_OUT:
		if (m->verb_out.ask == s->verb.ask)
			verb_said(s, m->verb_out.output);
		break;
	case MSG_VERB_END:
		if (m->verb_end.ask != s->verb.ask)
			break;
		s->verb.over = 1;
		s->verb.status = m->verb_end.status;
		break;
	default:
		break;
	}
}

static void
ask_post(const struct seat *s)
{
	peer_post(s->peer, ASK, ask, .ask = s->ask.ask, .kind = s->ask.kind, .target = bytes_text(s->ask.target),
	    .command = bytes_text(s->ask.command), .wait_ok = 1);
}

static void
verb_post(struct seat *s)
{
	s->verb.len = 0;
	s->verb.said[0] = '\0';
	peer_post(s->peer, VERB, verb, .ask = s->verb.ask, .words = bytes_text(s->verb.words),
	    .time_zone = bytes_text("UTC"));
}

static void
visit_post(const struct seat *s, enum visit_event what, enum reason reason)
{
	peer_post(
	    s->peer, VISIT, visit, .stream = s->ask.stream, .what = (uint8_t)what, .reason = (uint16_t)reason);
}

/* As session/session.c does at a new link to policy. */
static void
seat_again(struct seat *s)
{
	if (s->ask.opened)
		visit_post(s, VISIT_OPENED, REASON_NONE);
	if (s->ask.closed)
		visit_post(s, VISIT_CLOSED, REASON_DONE);
	if (s->ask.ask != 0 && (!s->ask.over || (s->ask.verdict == VERDICT_ALLOW && !s->ask.begun)))
		ask_post(s);
	if (s->verb.ask != 0 && !s->verb.over)
		verb_post(s);
}

/* ---- gateway ---- */

static void
on_link_closed(struct peer *p, const char *why, void *ctx)
{
	struct house *h = ctx;
	struct peer **links[] = {&h->auth, &h->recorder, &h->dialer, &h->book};

	if (*why != '\0')
		house_fault(h, "the link of %s broke: %s", process_name(peer_process(p)), why);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (*links[i] == p)
			*links[i] = NULL;
	peer_close(p);
}

static void
on_seat_closed(struct peer *p, const char *why, void *ctx)
{
	struct seat *s = ctx;

	if (*why != '\0')
		house_fault(s->house, "the link of %s's session broke: %s", s->login, why);
	if (s->peer == p)
		s->peer = NULL;
	peer_close(p);
}

static void
pair_make(int pair[2])
{
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
}

static void
link_make(struct house *h, struct peer **end, enum process who, peer_on_message *on_message)
{
	int pair[2];

	peer_close(*end);
	pair_make(pair);
	MUST((*end = peer_open(h->loop, pair[0], who, PROCESS_POLICY, 0, on_message, on_link_closed, h)) != NULL);
	peer_post_fd(h->gateway, pair[1], LINK, link, .peer = (uint8_t)who);
}

static void
seat_link(struct seat *s)
{
	struct house *h = s->house;
	int pair[2];

	peer_close(s->peer);
	s->peer = NULL;
	if (s->gone) {
		peer_post(h->gateway, SESSION_GONE, session_gone, .conn = s->conn, .status = 0);
		return;
	}
	pair_make(pair);
	s->peer = peer_open(h->loop, pair[0], PROCESS_SESSION, PROCESS_POLICY, s->conn, on_seat, on_seat_closed, s);
	MUST(s->peer != NULL);
	peer_post_fd(h->gateway, pair[1], LINK, link, .peer = PROCESS_SESSION, .conn = s->conn,
	    .source = bytes_text(SOURCE), .port = 4711);
}

/* As gateway/main.c and connections.c do when a daemon is ready; then as those at the other ends do. */
static void
links_tell(struct house *h)
{
	link_make(h, &h->auth, PROCESS_AUTH, on_auth);
	link_make(h, &h->recorder, PROCESS_RECORDER, on_recorder);
	link_make(h, &h->dialer, PROCESS_DIALER, on_dialer);
	link_make(h, &h->book, PROCESS_BOOK, on_book);
	for (size_t i = 0; i < h->seat_count; i++)
		seat_link(&h->seats[i]);
	peer_post(h->gateway, LINKS_TOLD, links_told, .none = 0);
	peer_post(h->book, LEAF_LAST, leaf_last, .sequence = (uint64_t)h->held);
	peer_post(h->recorder, SHELF, shelf, .state = SHELF_OK, .free_bytes = UINT64_C(1) << 40);
	for (size_t i = 0; i < h->seat_count; i++) {
		struct seat *s = &h->seats[i];

		if (s->gone)
			continue;
		if (!s->held)
			identity_post(h, s);
		seat_again(s);
	}
}

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;

	heard(h, NULL, m);
	if (m->type == MSG_READY) {
		h->ready = 1;
		links_tell(h);
	} else if (m->type == MSG_FAILED)
		house_fault(h, "policy cannot begin: %.*s", (int)m->failed.why.len, (const char *)m->failed.why.at);
	else if (m->type == MSG_LEASE)
		peer_post(p, LEASE_HELD, lease_held, .conn = m->lease.conn, .grant = m->lease.grant,
		    .ends_boot_ms = m->lease.ends_boot_ms);
}

static void policy_start(struct house *h);

static void
on_gateway_closed(struct peer *p, const char *why, void *ctx)
{
	struct house *h = ctx;
	int status;

	(void)why;
	peer_close(p);
	h->gateway = NULL;
	h->ready = 0;
	MUST(waitpid(h->policy, &status, 0) == h->policy);
	h->policy = 0;
	loop_stop(h->loop);
	if (h->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		h->ended = 1;
		return;
	}
	h->died++;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		house_fault(h, "policy ended: status %d, signal %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		    WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		h->broken = 1;
		return;
	}
	if (h->on_death != NULL)
		h->on_death(h);
	if (h->stopping) /* it was done but for its good-bye */
		h->ended = 1;
	else
		policy_start(h);
}

/* What it says goes to policy.log. */
static void
policy_exec(struct house *h, int link)
{
	char path[128];
	int end = fcntl(link, F_DUPFD, 10), log;

	(void)snprintf(path, sizeof(path), "%s/policy.log", h->dir);
	if ((log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600)) == -1 || dup2(log, 2) == -1 || end == -1 ||
	    dup2(end, DAEMON_FD) == -1 || close(end) == -1 || (log > DAEMON_FD && close(log) == -1))
		_exit(70);
	execl(h->executable, h->executable, (char *)NULL);
	_exit(71);
}

static void
policy_start(struct house *h)
{
	char settings[512];
	int pair[2];

	pair_make(pair);
	h->started++;
	if (h->on_start != NULL)
		h->on_start(h);
	if ((h->policy = fork()) == 0)
		policy_exec(h, pair[1]);
	MUST(h->policy > 0);
	(void)close(pair[1]);
	h->gateway =
	    peer_open(h->loop, pair[0], PROCESS_GATEWAY, PROCESS_POLICY, 0, on_gateway, on_gateway_closed, h);
	MUST(h->gateway != NULL);
	(void)snprintf(
	    settings, sizeof(settings), "RecordingRecipients age1x\nStateDirectory %s\nMaxWindow 720h\n", h->dir);
	peer_post(h->gateway, SETTINGS, settings, .text = bytes_text(settings));
}

/* ---- life ---- */

void
house_begin(struct house *h, const char *executable)
{
	char path[128];

	*h = (struct house){.executable = executable};
	(void)snprintf(h->dir, sizeof(h->dir), "%s/lodge-policy-XXXXXX",
	    getenv("LODGE_HOUSE_DIR") != NULL ? getenv("LODGE_HOUSE_DIR")
	    : access("/dev/shm", W_OK) == 0   ? "/dev/shm"
	                                      : "/tmp");
	MUST(mkdtemp(h->dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/policy", h->dir);
	MUST(mkdir(path, 0700) == 0);
	MUST((h->loop = loop_new()) != NULL && (h->late = timer_new(h->loop, on_late, h)) != NULL);
}

char *
house_database(const struct house *h)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/policy/policy.db", h->dir);
	return (path);
}

static int
is_ready(struct house *h, const void *what)
{
	(void)what;
	return (h->ready);
}

static int
is_ended(struct house *h, const void *what)
{
	(void)what;
	return (h->ended);
}

void
house_start(struct house *h)
{
	policy_start(h);
	if (!house_until(h, is_ready, NULL, HOUSE_MS))
		house_fault(h, "policy does not become ready");
}

void
house_stop(struct house *h)
{
	h->stopping = 1;
	peer_post(h->gateway, STOP, stop, .none = 0);
	if (!house_until(h, is_ended, NULL, HOUSE_MS))
		house_fault(h, "policy does not stop");
}

void
house_end(struct house *h)
{
	static const char *const names[] = {
	    "policy/policy.db", "policy/policy.db-wal", "policy/policy.db-shm", "policy", "policy.log", ""};
	struct peer *ends[] = {h->gateway, h->auth, h->recorder, h->dialer, h->book};
	char path[160];

	if (h->policy > 0) {
		(void)kill(h->policy, SIGKILL);
		(void)waitpid(h->policy, NULL, 0);
	}
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		peer_close(ends[i]);
	for (size_t i = 0; i < h->seat_count; i++)
		peer_close(h->seats[i].peer);
	for (size_t i = 0; i < HOUSE_LEAVES; i++)
		free(h->leaves[i]);
	timer_free(h->late);
	loop_free(h->loop);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", h->dir, names[i]);
		if (unlink(path) == -1)
			(void)rmdir(path);
	}
}

/* ---- what people do ---- */

struct seat *
seat_take(struct house *h, const char *login, enum role role)
{
	struct seat *s = &h->seats[h->seat_count++];

	MUST(h->seat_count <= HOUSE_SEATS);
	*s = (struct seat){.house = h, .role = (uint8_t)role};
	s->conn = ((uint64_t)clock_wall_ms() << 20) + h->seat_count;
	(void)snprintf(s->login, sizeof(s->login), "%s", login);
	if (!h->ready)
		return (s); /* it is told when policy is */
	seat_link(s);
	identity_post(h, s);
	return (s);
}

void
seat_ask(struct seat *s, enum ask_kind kind, const char *target, const char *command)
{
	memset(&s->ask, 0, sizeof(s->ask));
	s->ask.ask = ++s->last_ask;
	s->ask.kind = (uint8_t)kind;
	(void)snprintf(s->ask.target, sizeof(s->ask.target), "%s", target);
	(void)snprintf(s->ask.command, sizeof(s->ask.command), "%s", command);
	ask_post(s);
}

void
seat_say(struct seat *s, const char *words)
{
	s->verb.ask = ++s->last_ask;
	s->verb.over = s->verb.status = 0;
	(void)snprintf(s->verb.words, sizeof(s->verb.words), "%s", words);
	verb_post(s);
}

void
seat_opened(struct seat *s)
{
	s->ask.opened = 1;
	visit_post(s, VISIT_OPENED, REASON_NONE);
}

void
seat_closed(struct seat *s)
{
	s->ask.closed = 1;
	visit_post(s, VISIT_CLOSED, REASON_DONE);
}

void
seat_leave(struct seat *s)
{
	s->gone = 1;
	peer_close(s->peer);
	s->peer = NULL;
	peer_post(s->house->gateway, SESSION_GONE, session_gone, .conn = s->conn, .status = 0);
}
