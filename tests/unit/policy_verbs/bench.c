/* The bench; see bench.h.  One file: every end of it lives on the same loop, in the same struct. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench.h"
#include "control.h"
#include "deadlines.h"
#include "links.h"
#include "outbox.h"
#include "people.h"
#include "verbs.h"
#include "visits.h"
#include "walk.h"

#define LATE_MS 5000
#define QUIET_MS 40

static void
on_guard(void *ctx)
{
	struct bench *b = ctx;

	b->late = 1;
	loop_stop(b->loop);
}

static void
run_for(struct bench *b, int64_t ms)
{
	b->late = 0;
	timer_after(b->guard, ms);
	loop_run(b->loop);
	timer_stop(b->guard);
}

/* A quiet time that lasted longer was none: somebody else had the machine, or the disk was slow. */
void
settle(struct bench *b)
{
	struct timespec from, to;
	int64_t took_ms;

	for (int rounds = 0; rounds < 50; rounds++) {
		(void)clock_gettime(CLOCK_MONOTONIC, &from);
		run_for(b, QUIET_MS);
		(void)clock_gettime(CLOCK_MONOTONIC, &to);
		took_ms = (int64_t)(to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
		if (took_ms < QUIET_MS + 5)
			return;
	}
}

static void
pair_make(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

/* Policy's end goes in as gateway sends it. */
static void
link_give(struct bench *b, enum process peer, int fd)
{
	struct message m = {.type = MSG_LINK, .fd = fd, .link = {.peer = (uint8_t)peer}};

	on_gateway_message(NULL, &m, &b->policy);
}

static void
on_far_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)why;
	(void)ctx;
}

static void
on_seat_closed(struct peer *p, const char *why, void *ctx)
{
	struct seat *s = ctx;

	(void)p;
	(void)why;
	s->closed = 1;
	loop_stop(s->bench->loop);
}

/* ---- the book ---- */

static void
on_book(struct peer *p, struct message *m, void *ctx)
{
	struct bench *b = ctx;

	if (m->type != MSG_LEAF)
		return;
	b->owed = m->leaf.sequence;
	if (b->stalled)
		return;
	b->leaves = m->leaf.sequence;
	peer_post(p, LEAF_HELD, leaf_held, .sequence = m->leaf.sequence, .leaf_index = m->leaf.sequence - 1);
}

void
book_stall(struct bench *b)
{
	b->stalled = 1;
}

void
book_go_on(struct bench *b)
{
	b->stalled = 0;
	b->leaves = b->owed;
	peer_post(b->book, LEAF_HELD, leaf_held, .sequence = b->owed, .leaf_index = b->owed - 1);
}

/* ---- the reader ---- */

static void
on_reader(struct peer *p, struct message *m, void *ctx)
{
	struct bench *b = ctx;

	(void)p;
	if (m->type != MSG_READ)
		return;
	b->readings++;
	b->reading = m->read_.reading;
	b->reading_fd = m->fd;
	m->fd = -1;
	b->held_at_reading = b->leaves;
	bytes_copy(b->read_verb, sizeof(b->read_verb), m->read_.verb);
	bytes_copy(b->read_id, sizeof(b->read_id), m->read_.id);
	bytes_copy(b->read_options, sizeof(b->read_options), m->read_.options);
}

void
reader_link(struct bench *b)
{
	int pair[2];

	peer_close(b->reader);
	pair_make(pair);
	b->reader = peer_open(b->loop, pair[1], PROCESS_READER, PROCESS_POLICY, 0, on_reader, on_far_closed, b);
	link_give(b, PROCESS_READER, pair[0]);
}

/* ---- gateway, auth, recorder, dialer ---- */

static void
on_far_gateway(struct peer *p, struct message *m, void *ctx)
{
	(void)ctx;
	if (m->type == MSG_LEASE)
		peer_post(p, LEASE_HELD, lease_held, .conn = m->lease.conn, .grant = m->lease.grant,
		    .ends_boot_ms = m->lease.ends_boot_ms);
}

static void
on_far_auth(struct peer *p, struct message *m, void *ctx)
{
	struct bench *b = ctx;

	vouched_note(b, p, m);
	if (m->type != MSG_CERTIFY)
		return;
	b->certified++;
	b->certified_how = m->certify.how;
	peer_post(p, CERTIFY_HELD, certify_held, .conn = m->certify.conn, .stream = m->certify.stream);
}

static void
on_far_recorder(struct peer *p, struct message *m, void *ctx)
{
	struct bench *b = ctx;

	if (m->type == MSG_STREAM_DROPPED)
		b->dropped++;
	if (m->type != MSG_STREAM_ALLOWED)
		return;
	b->allowed++;
	assert_int_equal(bytes_copy(b->facts, sizeof(b->facts), m->stream_allowed.facts), 0);
	peer_post(
	    p, STREAM_READY, stream_ready, .conn = m->stream_allowed.conn, .stream = m->stream_allowed.stream);
}

static void
on_far_dialer(struct peer *p, struct message *m, void *ctx)
{
	struct bench *b = ctx;

	(void)p;
	if (m->type != MSG_DIAL)
		return;
	b->dials++;
	assert_int_equal(bytes_copy(b->dial_host, sizeof(b->dial_host), m->dial.host), 0);
	b->dial_port = m->dial.port;
	b->dial_stream = m->dial.stream;
}

static struct peer *
far_open(struct bench *b, enum process who, int fd, peer_on_message *on_message)
{
	return (peer_open(b->loop, fd, who, PROCESS_POLICY, 0, on_message, on_far_closed, b));
}

void
house_link(struct bench *b)
{
	const struct {
		enum process who;
		struct peer **end;
		peer_on_message *on_message;
	} all[] = {{PROCESS_AUTH, &b->auth, on_far_auth}, {PROCESS_RECORDER, &b->recorder, on_far_recorder},
	    {PROCESS_DIALER, &b->dialer, on_far_dialer}};
	int pair[2];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		peer_close(*all[i].end);
		pair_make(pair);
		*all[i].end = far_open(b, all[i].who, pair[1], all[i].on_message);
		link_give(b, all[i].who, pair[0]);
	}
	peer_close(b->gateway);
	peer_close(b->policy.gateway);
	pair_make(pair);
	b->gateway = far_open(b, PROCESS_GATEWAY, pair[1], on_far_gateway);
	b->policy.gateway = peer_open(
	    b->loop, pair[0], PROCESS_POLICY, PROCESS_GATEWAY, 0, on_gateway_message, on_far_closed, &b->policy);
	settle(b);
}

void
dial_answer(struct bench *b, struct seat *s, uint32_t stream, uint16_t reason)
{
	peer_post(b->dialer, DIALED, dialed, .conn = s->conn, .stream = stream, .reason = reason,
	    .text = bytes_text(reason == REASON_NONE ? "" : "connection refused"));
	settle(b);
}

void
stream_begins(struct bench *b, struct seat *s, uint32_t stream)
{
	peer_post(b->recorder, STREAM_BEGUN, stream_begun, .conn = s->conn, .stream = stream,
	    .at_wall_ms = clock_wall_ms());
	settle(b);
}

/* ---- seats ---- */

static void
said_add(char *to, struct bytes more)
{
	size_t len = strlen(to);

	assert_true(len + more.len < SAID);
	memcpy(to + len, more.at, more.len);
	to[len + more.len] = '\0';
}

static void
on_seat(struct peer *p, struct message *m, void *ctx)
{
	struct seat *s = ctx;

	switch (m->type) {
	case MSG_VERB_OUT:
		assert_false(s->ended);
		said_add(m->verb_out.to == 1 ? s->out : s->err, m->verb_out.output);
		break;
	case MSG_VERB_STREAM:
		s->stream = m->fd;
		m->fd = -1;
		break;
	case MSG_VERB_END:
		assert_int_equal(m->verb_end.ask, s->ask);
		s->ended = 1;
		s->status = m->verb_end.status;
		loop_stop(s->bench->loop);
		break;
	case MSG_INTENT_ANSWER:
		s->intents++;
		s->intent_ask = m->intent_answer.ask;
		s->intent_reason = m->intent_answer.reason;
		break;
	case MSG_VERDICT:
		s->verdicts++;
		s->verdict = m->verdict.verdict;
		s->verdict_ask = m->verdict.ask;
		s->verdict_stream = m->verdict.stream;
		s->capabilities = m->verdict.capabilities;
		s->reason = m->verdict.reason;
		s->grant = m->verdict.grant;
		s->host_key_len = m->verdict.host_keys.len;
		s->login = m->verdict.login;
		bytes_copy(s->algorithms, sizeof(s->algorithms), m->verdict.algorithms);
		bytes_copy(s->target, sizeof(s->target), m->verdict.target);
		bytes_copy(s->text, sizeof(s->text), m->verdict.text);
		break;
	case MSG_LEASE:
		s->leases++;
		s->lease_ends = m->lease.ends_wall_ms;
		peer_post(p, LEASE_HELD, lease_held, .conn = s->conn, .grant = m->lease.grant,
		    .ends_boot_ms = m->lease.ends_boot_ms);
		break;
	case MSG_END:
		s->ends++;
		s->end_grant = m->end.grant;
		s->end_reason = m->end.reason;
		bytes_copy(s->text, sizeof(s->text), m->end.text);
		break;
	default:
		break;
	}
}

static struct seat *
seat_next(struct bench *b)
{
	struct seat *s = &b->seats[b->seat_count++];

	assert_true(b->seat_count <= SEATS);
	*s = (struct seat){.bench = b, .stream = -1};
	return (s);
}

struct seat *
seat_stranger(struct bench *b)
{
	struct seat *s = seat_next(b);
	int pair[2];

	s->conn = ((uint64_t)clock_wall_ms() << 20) + b->seat_count;
	pair_make(pair);
	s->peer = peer_open(b->loop, pair[1], PROCESS_SESSION, PROCESS_POLICY, s->conn, on_seat, on_seat_closed, s);
	visits_link(&b->policy, s->conn, "192.0.2.17", 4711, pair[0]);
	return (s);
}

void
identity_say(struct bench *b, struct seat *s, const char *login, uint32_t factors, int host_bound)
{
	struct person row = {.role = 0};
	struct person_key key = {.added = 0};
	int has_key;

	TEXT_COPY(row.login, login);
	assert_int_equal(person_get(b->policy.store, &row), 1);
	/* A seat's key is everybody's, but for the login alone: no test that shows keys sees it. */
	TEXT_COPY(key.login, login);
	TEXT_COPY(key.fingerprint, "SHA256:a-key");
	policy_begin(&b->policy);
	if (!(has_key = person_key_get(b->policy.store, &key)))
		assert_int_equal(person_key_add(b->policy.store, &key), 0);
	policy_commit(&b->policy);
	on_identity(&b->policy, &(struct msg_identity){.conn = s->conn,
	                            .login = bytes_text(login),
	                            .role = (uint8_t)row.role,
	                            .factors = factors,
	                            .host_bound = (uint8_t)host_bound,
	                            .fingerprint = bytes_text("SHA256:a-key"),
	                            .key_type = bytes_text("ssh-ed25519"),
	                            .source = bytes_text("192.0.2.17"),
	                            .port = 4711,
	                            .at_wall_ms = clock_wall_ms()});
	policy_begin(&b->policy);
	if (!has_key)
		assert_int_equal(person_key_remove(b->policy.store, &key), 1);
	policy_commit(&b->policy);
	settle(b);
}

struct seat *
seat_login(struct bench *b, const char *login, uint32_t factors, int host_bound)
{
	struct seat *s = seat_stranger(b);

	identity_say(b, s, login, factors, host_bound);
	return (s);
}

/* The kernel notes who connects; we are that user for just so long. */
static int
connect_as(const char *path, uid_t uid)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), done;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(seteuid(uid), 0);
	done = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(done, 0);
	return (fd);
}

static void
control_make(struct bench *b)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/control", b->dir);
	assert_int_equal(bind(listening, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(listening, 8), 0);
	assert_int_equal(chmod(b->dir, 0711), 0);
	assert_int_equal(chmod(sun.sun_path, 0666), 0);
	control_begin(&b->policy, listening);
}

struct seat *
seat_box(struct bench *b, unsigned uid)
{
	struct seat *s = seat_next(b);
	char path[96];

	snprintf(path, sizeof(path), "%s/control", b->dir);
	s->peer =
	    peer_open(b->loop, connect_as(path, uid), PROCESS_LODGE, PROCESS_POLICY, 0, on_seat, on_seat_closed, s);
	settle(b);
	return (s);
}

struct seat *
seat_root(struct bench *b)
{
	return (seat_box(b, 0));
}

void
seat_leave(struct seat *s)
{
	peer_close(s->peer);
	s->peer = NULL;
	settle(s->bench);
	on_session_gone(&s->bench->policy, &(struct msg_session_gone){.conn = s->conn});
	settle(s->bench);
}

void
policy_renew(struct seat *s)
{
	struct bench *b = s->bench;
	int pair[2];

	visits_free(&b->policy);
	peer_close(s->peer);
	pair_make(pair);
	s->peer = peer_open(b->loop, pair[1], PROCESS_SESSION, PROCESS_POLICY, s->conn, on_seat, on_seat_closed, s);
	visits_link(&b->policy, s->conn, "192.0.2.17", 4711, pair[0]);
	settle(b);
}

void
ask(struct seat *s, uint32_t number, unsigned kind, const char *target, const char *command)
{
	peer_post(s->peer, ASK, ask, .ask = number, .kind = (uint8_t)kind, .target = bytes_text(target),
	    .command = bytes_text(command), .pty = kind == ASK_SHELL, .wait_ok = 1);
	settle(s->bench);
}

static void
verb_post(struct seat *s, const char *words)
{
	s->out[0] = s->err[0] = '\0';
	s->ended = s->status = 0;
	if (s->stream != -1)
		close(s->stream);
	s->stream = -1;
	peer_post(s->peer, VERB, verb, .ask = s->ask, .words = bytes_text(words), .columns = (uint16_t)s->columns,
	    .time_zone = bytes_text(s->zone));
}

void
say_only(struct seat *s, const char *words)
{
	s->ask++;
	verb_post(s, words);
	settle(s->bench);
}

int
say_again(struct seat *s, const char *words)
{
	verb_post(s, words);
	if (!s->ended)
		run_for(s->bench, LATE_MS);
	if (!s->ended)
		fail_msg("no end of: %s", words);
	return (s->status);
}

int
say(struct seat *s, const char *words)
{
	s->ask++;
	return (say_again(s, words));
}

/* ---- expecting ---- */

void
expect_clean(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++)
		if ((*c < 0x20 && *c != '\n') || *c == 0x7f)
			fail_msg("a control character %02x in: %s", *c, text);
}

void
expect_at(struct seat *s, const char *words, int want, const char *part, const char *file, int line)
{
	int status = say(s, words);
	const char *answer = want == 0 ? s->out : s->err;

	expect_clean(s->out);
	expect_clean(s->err);
	if (status != want || strstr(answer, part) == NULL) {
		print_error("%s: status %d for %d; wanted \"%s\"\nout: %s\nerr: %s\n", words, status, want, part,
		    s->out, s->err);
		_fail(file, line);
	}
	if (want != 0 &&
	    (strncmp(s->err, "lodge: ", 7) != 0 || strchr(s->err, '\n') != s->err + strlen(s->err) - 1)) {
		print_error("%s: not one line of ours: %s\n", words, s->err);
		_fail(file, line);
	}
}

void
expect_event(struct bench *b, const char *name, const char *part)
{
	const char *json = "none";
	struct rows found;
	int good = 0;

	assert_true(store_list(b->policy.store, QUERY_EVENTS_AFTER, &found, ARG_INT(0), ARG_INT(100000)) >= 0);
	for (size_t i = 0; i < found.count; i++)
		if (strcmp(rows_at(&found, event, i)->name, name) == 0) {
			json = rows_at(&found, event, i)->json;
			good = strstr(json, part) != NULL;
		}
	if (!good)
		print_error("the last %s: %s\nwants: %s\n", name, json, part);
	rows_free(&found);
	assert_true(good);
}

size_t
events_named(struct bench *b, const char *name)
{
	struct rows found;
	size_t n = 0;

	assert_true(store_list(b->policy.store, QUERY_EVENTS_AFTER, &found, ARG_INT(0), ARG_INT(100000)) >= 0);
	for (size_t i = 0; i < found.count; i++)
		n += strcmp(rows_at(&found, event, i)->name, name) == 0;
	rows_free(&found);
	return (n);
}

/* ---- the world ---- */

static int64_t *clock_page;

/* A page of offsets, which base/clock.h reads; once, for it looks for it once. */
static void
clock_page_make(void)
{
	char path[64];
	int fd;

	if (clock_page != NULL)
		return;
	fd = memfd_create("clock", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4096), 0);
	clock_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(clock_page != MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	setenv("LODGE_TEST_CLOCK", path, 1);
	(void)clock_wall_ms();
	close(fd);
}

void
clocks_turn(struct bench *b, int64_t boot_ms, int64_t wall_ms)
{
	struct policy *p = &b->policy;

	clock_page[0] += boot_ms;
	clock_page[1] += wall_ms;
	p->timer = timer_new(b->loop, on_guard, b); /* no test waits: time does something here, and only here */
	deadlines_look(p);
	timer_free(p->timer);
	p->timer = NULL;
	settle(b);
}

const char *
key_line(int n)
{
	static char line[4][256];
	static int turn;
	char *to = line[turn++ % 4];
	unsigned char blob[51] = "\0\0\0\013ssh-ed25519\0\0\0\040", text[128];

	memset(blob + 19, n, 32);
	EVP_EncodeBlock(text, blob, sizeof(blob));
	snprintf(to, sizeof(line[0]), "ssh-ed25519 %s somebody@somewhere", (const char *)text);
	return (to);
}

const char *
visit_was(struct bench *b, const char *id, int64_t ago_ms)
{
	static int64_t n = 1000;
	struct stream row = {.conn = n++,
	    .stream = 1,
	    .state = STREAM_STATE_SEALED,
	    .began_at = clock_wall_ms() - ago_ms,
	    .ended_at = clock_wall_ms() - ago_ms + 1000,
	    .sealed_at = clock_wall_ms() - ago_ms + 2000,
	    .request = 1};

	TEXT_COPY(row.id, id);
	TEXT_COPY(row.person, "alice");
	TEXT_COPY(row.vendor, "unify");
	TEXT_COPY(row.target, "osv1");
	TEXT_COPY(row.account, "svc");
	TEXT_COPY(row.what, "shell");
	policy_begin(&b->policy);
	assert_int_equal(stream_add(b->policy.store, &row), 0);
	policy_commit(&b->policy);
	return (id);
}

void
people_come(struct bench *b)
{
	static const struct {
		const char *words;
		int key;
	} all[] = {
	    {"vendor add unify", 0},
	    {"vendor add acme", 0},
	    {"person add alice --vendor unify --name \"Alice Engineer\" --key ", 1},
	    {"person add bob --vendor acme --key ", 2},
	    {"person add maria --role manager --key ", 3},
	    {"person add mona --role manager --uid 4711 --key ", 4},
	    {"person add umar --role manager --vendor unify --key ", 5},
	    {"person add otto --role auditor --key ", 6},
	    {"target add osv1 --address 127.0.0.1:2222 --account svc,root --about \"voice node\" --host-key ", 7},
	};
	struct seat *root = seat_root(b);
	char words[1024];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		snprintf(words, sizeof(words), "%s%s", all[i].words, all[i].key == 0 ? "" : key_line(all[i].key));
		expect(root, words, 0, "added");
	}
}

int
bench_begin(void **state)
{
	static const char text[] = "RecordingRecipients age1x\n";
	struct bench *b = calloc(1, sizeof(*b));
	struct policy *p = &b->policy;
	char path[96], why[256];
	int pair[2];

	setenv("TZ", "UTC0", 1);
	clock_page_make();
	b->heard.code_answer = -1;
	snprintf(b->dir, sizeof(b->dir), "/tmp/lodge-verbs.XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	b->loop = p->loop = loop_new();
	b->guard = timer_new(b->loop, on_guard, b);
	p->control_fd = -1;
	b->reading_fd = -1;
	assert_int_equal(settings_from_text(&p->set, "test", text, sizeof(text) - 1, NULL, NULL), 0);
	snprintf(path, sizeof(path), "%s/policy.db", b->dir);
	p->store = store_open(path, why, sizeof(why));
	assert_non_null(p->store);
	outbox_begin(p);
	deadlines_begin(p);
	pair_make(pair);
	b->book = peer_open(b->loop, pair[1], PROCESS_BOOK, PROCESS_POLICY, 0, on_book, on_far_closed, b);
	link_give(b, PROCESS_BOOK, pair[0]);
	peer_post(b->book, LEAF_LAST, leaf_last, .sequence = 0);
	control_make(b);
	settle(b);
	people_come(b);
	*state = b;
	return (0);
}

int
bench_end(void **state)
{
	struct bench *b = *state;
	char path[128];

	for (size_t i = 0; i < b->seat_count; i++) {
		peer_close(b->seats[i].peer);
		if (b->seats[i].stream != -1)
			close(b->seats[i].stream);
	}
	if (b->reading_fd != -1)
		close(b->reading_fd);
	control_end(&b->policy);
	visits_free(&b->policy);
	verbs_free(&b->policy);
	links_end(&b->policy);
	peer_close(b->policy.gateway);
	peer_close(b->gateway);
	peer_close(b->auth);
	peer_close(b->recorder);
	peer_close(b->dialer);
	peer_close(b->book);
	peer_close(b->reader);
	store_close(b->policy.store);
	clock_page[0] = clock_page[1] = 0;
	settings_free(&b->policy.set);
	timer_free(b->guard);
	loop_free(b->loop);
	for (size_t i = 0; i < 4; i++) {
		static const char *const names[] = {"policy.db", "policy.db-wal", "policy.db-shm", "control"};

		snprintf(path, sizeof(path), "%s/%s", b->dir, names[i]);
		unlink(path);
	}
	rmdir(b->dir);
	free(b);
	return (0);
}
