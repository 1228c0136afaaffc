/* One file though it is long: five processes that each say little, and all of it to one recorder. */
#include "house.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/clock.h"
#include "base/loop.h"

static void recorder_start(struct house *h);
static void session_write(struct house *h);

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

/* --- Turning ---------------------------------------------------------------------------------------------- */

static void
on_late(void *ctx)
{
	struct house *h = ctx;

	h->is_late = 1;
	loop_stop(h->loop);
}

int
house_until(struct house *h, int (*is)(struct house *h), int ms)
{
	int64_t until_ms = clock_boot_ms() + ms, left;

	while (is == NULL || !is(h)) {
		if ((left = until_ms - clock_boot_ms()) <= 0 || h->broken)
			return (0);
		h->is_late = 0;
		timer_after(h->late, left);
		loop_run(h->loop);
		timer_stop(h->late);
	}
	return (1);
}

void
house_pass(struct house *h, int ms)
{
	(void)house_until(h, NULL, ms);
}

/* --- The book --------------------------------------------------------------------------------------------- */

static void
leaf_enter(struct house *h, struct book_leaf *l)
{
	struct leaf leaf;

	if (l->sequence <= h->last) { /* held already */
		blob_free(&l->json);
		return;
	}
	h->last = l->sequence;
	if (leaf_parse(&leaf, l->json.at, l->json.size) == -1)
		house_fault(h, "a leaf that is none: %.*s", (int)l->json.size, (const char *)l->json.at);
}

static void
on_book_due(void *ctx)
{
	struct house *h = ctx;

	h->book_due = 0;
	if (h->book_asleep)
		return;
	for (; h->leaf_read < h->leaf_count; h->leaf_read++) {
		struct book_leaf *l = &h->leaves[h->leaf_read];
		struct leaf leaf;

		leaf_enter(h, l);
		l->answered = 1;
		if (l->json.size > 0 && leaf_parse(&leaf, l->json.at, l->json.size) == 0 &&
		    leaf.kind == LEAF_START && strcmp(leaf.rec, h->rec) == 0 && l->checkpoint)
			h->start_held = 1;
		peer_post(h->book, LEAF_HELD, leaf_held, .sequence = l->sequence, .leaf_index = h->leaf_read);
	}
}

static void
book_wake(struct house *h)
{
	if (!h->book_due && !h->book_asleep) {
		h->book_due = 1;
		loop_defer(h->loop, on_book_due, h);
	}
}

void
house_wake_book(struct house *h)
{
	h->book_asleep = 0;
	on_book_due(h);
	peer_post(h->book, LEAF_LAST, leaf_last, .sequence = h->last);
}

static void
on_book(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;
	struct book_leaf *l = &h->leaves[h->leaf_count];

	(void)p;
	if (m->type != MSG_LEAF)
		return;
	MUST(h->leaf_count < HOUSE_LEAVES);
	*l = (struct book_leaf){.sequence = m->leaf.sequence, .checkpoint = m->leaf.checkpoint};
	MUST(blob_add(&l->json, m->leaf.json.at, m->leaf.json.len) == 0);
	h->leaf_count++;
	if (h->leaf_count == h->sleep_at)
		h->book_asleep = 1;
	book_wake(h);
	loop_stop(h->loop);
}

/* --- policy and dialer ------------------------------------------------------------------------------------- */

static void
stream_allow(struct house *h)
{
	h->dialing = 0;
	peer_post(h->policy, STREAM_ALLOWED, stream_allowed, .conn = HOUSE_CONN, .stream = HOUSE_STREAM, .grant = 1,
	    .id = bytes_of(h->id, sizeof h->id), .facts = bytes_text("{\"person\":\"alice\",\"target\":\"osv1\"}"),
	    .strict = (uint8_t)h->strict);
}

/* A socket to the target; what the session can read from it tells which dial it came from. */
static void
dial(struct house *h)
{
	uint8_t number = (uint8_t)h->dials++;
	int pair[2];

	MUST(h->dials < HOUSE_DIALS);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(write(pair[0], &number, 1) == 1);
	(void)close(pair[0]);
	h->dialing = 1;
	peer_post_fd(h->dialer, pair[1], DESCRIPTOR, descriptor, .conn = HOUSE_CONN, .stream = HOUSE_STREAM);
}

static void
on_ready(struct house *h, const struct msg_stream_ready *m)
{
	if (m->reason == REASON_NONE && !h->begun && !h->dialing && !h->gone && h->sealed == 0)
		dial(h);
	else if (m->reason != REASON_NONE && !h->begun && h->sealed == 0 && h->trouble == 0 && !h->stopping)
		house_fault(h, "STREAM_READY says %s", reason_code((enum reason)m->reason));
}

static void
on_sealed(struct house *h, const struct msg_sealed *m)
{
	if (m->conn != HOUSE_CONN || m->stream != HOUSE_STREAM ||
	    !bytes_equal(m->id, bytes_of(h->id, sizeof h->id)) || m->digest.len != sizeof h->digest) {
		house_fault(h, "SEALED of something else");
		return;
	}
	if (h->sealed > 0 && (memcmp(h->digest, m->digest.at, sizeof h->digest) != 0 || h->state != m->state))
		house_fault(h, "SEALED says two things: state %d and then %d", h->state, m->state);
	memcpy(h->digest, m->digest.at, sizeof h->digest);
	h->state = m->state;
	h->sealed++;
}

static void
on_policy(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;

	(void)p;
	if (m->type == MSG_STREAM_READY)
		on_ready(h, &m->stream_ready);
	else if (m->type == MSG_STREAM_BEGUN)
		h->begun = 1;
	else if (m->type == MSG_SEALED)
		on_sealed(h, &m->sealed);
	loop_stop(h->loop);
}

static void
on_nothing(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)m;
	(void)ctx;
}

/* --- The session ------------------------------------------------------------------------------------------- */

uint64_t
house_delivered(struct house *h)
{
	uint64_t freed = ring_freed_position(h->ring), n = 0;

	while (n < h->put && h->put_to[n] <= freed)
		n++;
	return (n);
}

/* Puts frames until a burst stands in the ring, and rings the bell once. */
static void
session_write(struct house *h)
{
	static const uint64_t one = 1;
	uint64_t limit = h->halt_at > 0 ? h->halt_at : h->script.count;
	size_t before = h->put;

	if (!h->held || h->gone || h->trouble != 0)
		return;
	while (h->put < limit && ring_put_position(h->ring) - ring_freed_position(h->ring) < h->burst) {
		struct ring_frame f = h->script.frames[h->put];

		f.boot_us = clock_boot_us();
		if (ring_put(h->ring, &f) == 0)
			break;
		h->put_to[h->put++] = ring_put_position(h->ring);
	}
	if (h->put > before)
		MUST(write(h->filled, &one, sizeof one) == sizeof one);
}

void
house_say(struct house *h)
{
	session_write(h);
}

static void
on_bell(int fd, int events, void *ctx)
{
	struct house *h = ctx;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof count) == -1 && errno != EAGAIN)
		MUST(0);
	session_write(h);
	loop_stop(h->loop);
}

static void
on_target(struct house *h, int fd)
{
	uint8_t number = 255;

	if (!h->start_held)
		house_fault(h, "the target was handed over before session.start stood in the book");
	if (read(fd, &number, 1) != 1 || number >= HOUSE_DIALS)
		house_fault(h, "the target that was handed over is none");
	else if (++h->handed[number] > 1)
		house_fault(h, "the target of dial %u was handed over %u times", number, h->handed[number]);
	peer_post(h->session, TARGET_HELD, target_held, .stream = HOUSE_STREAM);
	if (h->held)
		(void)close(fd);
	else
		h->target = fd;
	h->held = 1;
	session_write(h);
}

static void
on_session(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;

	(void)p;
	if (m->type == MSG_TARGET) {
		on_target(h, m->fd);
		m->fd = -1;
	} else if (m->type == MSG_SEALED)
		h->sealed_session++;
	else if (m->type == MSG_RECORDER_TROUBLE)
		h->trouble = m->recorder_trouble.reason;
	loop_stop(h->loop);
}

void
house_leave(struct house *h, int status)
{
	h->gone = 1;
	peer_close(h->session);
	h->session = NULL;
	peer_post(h->gateway, SESSION_GONE, session_gone, .conn = HOUSE_CONN, .status = (uint32_t)status);
}

/* --- gateway ----------------------------------------------------------------------------------------------- */

static void
on_link_closed(struct peer *p, const char *why, void *ctx)
{
	struct house *h = ctx;
	struct peer **links[] = {&h->policy, &h->dialer, &h->session, &h->book};

	if (*why != '\0')
		house_fault(h, "the link of %s broke: %s", process_name(peer_process(p)), why);
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		if (*links[i] == p)
			*links[i] = NULL;
	peer_close(p);
}

static void
links_pair(int pair[2])
{
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
}

static void
link_make(struct house *h, struct peer **end, enum process who, peer_on_message *on_message)
{
	int pair[2];

	peer_close(*end);
	links_pair(pair);
	*end = peer_open(h->loop, pair[0], who, PROCESS_RECORDER, 0, on_message, on_link_closed, h);
	MUST(*end != NULL);
	peer_post_fd(h->gateway, pair[1], LINK, link, .peer = (uint8_t)who,
	    .conn = who == PROCESS_SESSION ? HOUSE_CONN : 0,
	    .source = bytes_text(who == PROCESS_SESSION ? "192.0.2.7" : ""), .port = 40000);
}

static void
memory_post(struct house *h)
{
	const int fds[] = {h->memory, h->filled, h->freed};
	const uint8_t kinds[] = {MEMORY_RING, MEMORY_RING_FILLED, MEMORY_RING_FREED};

	for (int i = 0; i < 3; i++)
		peer_post_fd(h->gateway, fcntl(fds[i], F_DUPFD_CLOEXEC, 10), MEMORY, memory, .what = kinds[i],
		    .conn = HOUSE_CONN);
}

/* The recorder is ready: as gateway/connections.c does it, and then what policy and the session do at a new link. */
static void
links_tell(struct house *h)
{
	link_make(h, &h->policy, PROCESS_POLICY, on_policy);
	link_make(h, &h->dialer, PROCESS_DIALER, on_nothing);
	link_make(h, &h->book, PROCESS_BOOK, on_book);
	if (!h->book_asleep)
		peer_post(h->book, LEAF_LAST, leaf_last, .sequence = h->last);
	if (!h->ring_sealed) {
		memory_post(h);
		if (h->gone)
			peer_post(h->gateway, SESSION_GONE, session_gone, .conn = HOUSE_CONN, .status = 0);
		else
			link_make(h, &h->session, PROCESS_SESSION, on_session);
	}
	peer_post(h->gateway, LINKS_TOLD, links_told, .none = 0);
	if (h->sealed == 0)
		stream_allow(h);
	if (h->held)
		peer_post(h->session, TARGET_HELD, target_held, .stream = HOUSE_STREAM);
	session_write(h);
}

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	struct house *h = ctx;

	(void)p;
	if (m->type == MSG_READY)
		links_tell(h);
	else if (m->type == MSG_FAILED)
		house_fault(
		    h, "the recorder cannot begin: %.*s", (int)m->failed.why.len, (const char *)m->failed.why.at);
	else if (m->type == MSG_RING_SEALED) {
		if (m->ring_sealed.conn == HOUSE_CONN && !h->gone)
			house_fault(h, "the ring is let go while its session lives");
		h->ring_sealed = m->ring_sealed.conn == HOUSE_CONN;
	}
	loop_stop(h->loop);
}

static void
on_gateway_closed(struct peer *p, const char *why, void *ctx)
{
	struct house *h = ctx;
	int status;

	(void)why;
	peer_close(p);
	h->gateway = NULL;
	MUST(waitpid(h->recorder, &status, 0) == h->recorder);
	h->recorder = 0;
	loop_stop(h->loop);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		if (!h->stopping)
			house_fault(h, "the recorder ended by itself");
		h->ended = 1;
		return;
	}
	h->died++;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		house_fault(h, "the recorder ended: status %d, signal %d", WEXITSTATUS(status), WTERMSIG(status));
		h->broken = 1;
		return;
	}
	h->stopping = 0;
	if (h->no_session) {
		h->no_session = 0;
		h->gone = 1;
		peer_close(h->session);
		h->session = NULL;
	}
	recorder_start(h);
}

static void
environment_set(const struct house *h)
{
	static const char *const how[] = {"before", "torn", "after"};
	char number[32];
	size_t n = h->started - 1;

	if (n >= sizeof h->deaths.of / sizeof h->deaths.of[0])
		return;
	(void)snprintf(number, sizeof number, "%ld", h->deaths.of[n].at);
	(void)setenv("LODGE_CRASH_AT", number, 1);
	if (h->deaths.of[n].note != NULL)
		(void)setenv("LODGE_CRASH_NOTE", h->deaths.of[n].note, 1);
	else
		(void)unsetenv("LODGE_CRASH_NOTE");
	(void)setenv("LODGE_CRASH_HOW", how[h->deaths.of[n].how], 1);
}

/* What it says goes to recorder.log. */
static void
recorder_exec(const struct house *h, int link)
{
	char path[128];
	int end = fcntl(link, F_DUPFD, 10), log;

	(void)snprintf(path, sizeof path, "%s/recorder.log", h->dir);
	environment_set(h);
	if ((log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600)) == -1 || dup2(log, 2) == -1 || end == -1 ||
	    dup2(end, 3) == -1 || close(end) == -1 || (log > 3 && close(log) == -1))
		_exit(70);
	execl(LODGE_RECORDER, LODGE_RECORDER, (char *)NULL);
	_exit(71);
}

static void
recorder_start(struct house *h)
{
	char settings[512], recipient[AGE_RECIPIENT_TEXT];
	const struct age_recipient to = {.point = {0}};
	struct age_recipient mine = to;
	int pair[2];

	links_pair(pair);
	h->started++;
	h->ended = 0;
	if ((h->recorder = fork()) == 0)
		recorder_exec(h, pair[1]);
	MUST(h->recorder > 0);
	(void)close(pair[1]);
	h->gateway =
	    peer_open(h->loop, pair[0], PROCESS_GATEWAY, PROCESS_RECORDER, 0, on_gateway, on_gateway_closed, h);
	MUST(h->gateway != NULL);
	memcpy(mine.point, h->key.point, sizeof mine.point);
	MUST(age_recipient_text(&mine, recipient) == 0);
	(void)snprintf(settings, sizeof settings, "RecordingRecipients %s\nRecordingDirectory %s/shelf\n%s",
	    recipient, h->dir, h->settings_more);
	peer_post(h->gateway, SETTINGS, settings, .text = bytes_text(settings));
}

void
house_stop(struct house *h)
{
	h->stopping = 1;
	peer_post(h->gateway, STOP, stop, .none = 0);
}

void
house_kill(struct house *h)
{
	unsigned before = h->died;

	MUST(kill(h->recorder, SIGKILL) == 0);
	while (h->died == before)
		house_pass(h, 20);
}

/* --- Life -------------------------------------------------------------------------------------------------- */

void
house_begin(struct house *h, unsigned rounds)
{
	char path[128];

	*h = (struct house){.burst = 24 * 1024, .memory = -1, .target = -1};
	(void)snprintf(
	    h->dir, sizeof h->dir, "%s/lodge-crash-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	MUST(mkdtemp(h->dir) != NULL);
	(void)snprintf(path, sizeof path, "%s/shelf", h->dir);
	MUST(mkdir(path, 0700) == 0);
	MUST((h->shelf = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) != -1);
	h->settings_more = "DiskLow 1M\nDiskCritical 512K\nDiskReserve 16M\n";
	MUST((h->loop = loop_new()) != NULL && (h->late = timer_new(h->loop, on_late, h)) != NULL);
	MUST(age_identity_make(&h->key) == 0 && RAND_bytes(h->id, sizeof h->id) == 1);
	for (size_t i = 0; i < sizeof h->id; i++)
		(void)snprintf(h->rec + 2 * i, 3, "%02x", h->id[i]);
	script_make(&h->script, HOUSE_STREAM, rounds);
	MUST(h->script.count < sizeof h->put_to / sizeof h->put_to[0]);
	MUST((h->memory = ring_create()) != -1 && (h->ring = ring_open(h->memory)) != NULL);
	MUST((h->filled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) != -1);
	MUST((h->freed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) != -1);
	MUST((h->bell = watch_begin(h->loop, h->freed, WATCH_READ, on_bell, h)) != NULL);
}

void
house_start(struct house *h)
{
	recorder_start(h);
}

static void
tree_remove(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == -1)
			tree_remove(dirfd(d), e->d_name);
	}
	if (d != NULL)
		(void)closedir(d);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

void
house_end(struct house *h)
{
	struct peer *ends[] = {h->gateway, h->policy, h->dialer, h->session, h->book};
	int fds[] = {h->memory, h->filled, h->freed, h->target, h->shelf};

	if (h->recorder > 0) {
		(void)kill(h->recorder, SIGKILL);
		(void)waitpid(h->recorder, NULL, 0);
	}
	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		peer_close(ends[i]);
	watch_end(h->bell);
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] != -1)
			(void)close(fds[i]);
	for (size_t i = 0; i < h->leaf_count; i++)
		blob_free(&h->leaves[i].json);
	ring_close(h->ring);
	script_free(&h->script);
	timer_free(h->late);
	loop_free(h->loop);
	age_identity_wipe(&h->key);
	tree_remove(AT_FDCWD, h->dir);
}

int
house_shelf_again(struct house *h)
{
	char path[128];

	(void)snprintf(path, sizeof path, "%s/shelf", h->dir);
	(void)close(h->shelf);
	return ((h->shelf = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ? -1 : 0);
}

void
house_fill(struct house *h)
{
	static const char zeros[4096];
	int fd = openat(h->shelf, "filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	MUST(fd != -1);
	while (write(fd, zeros, sizeof zeros) > 0)
		;
	(void)close(fd);
}

size_t
house_wal_files(const struct house *h)
{
	int fd = openat(h->shelf, "wal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t n = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	if (d != NULL)
		(void)closedir(d);
	return (n);
}
