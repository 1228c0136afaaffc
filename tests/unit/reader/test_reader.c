/* lodge-reader itself, with a test that plays gateway, policy and those who asked; its clock is turned. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"
#include "contract/peer.h"
#include "site.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define BEGAN_A 1764000000000
#define PATIENCE_MS 8000

static struct site site;
static struct loop *loop;
static struct timer *late;
static struct peer *gateway, *policy;
static pid_t reader;
static int64_t *turned; /* {boot, wall} offsets in ms */
static int is_late, is_ready, is_closed;
static char failed_why[512];

/* The last READ_DONE, and how many there were. */
static struct {
	uint64_t reading;
	unsigned status, count;
	char summary[512];
} done;

/* ---- the other ends ---- */

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	if (m->type == MSG_READY)
		is_ready = 1;
	else if (m->type == MSG_FAILED)
		(void)bytes_copy(failed_why, sizeof(failed_why), m->failed.why);
	loop_stop(loop);
}

static void
on_policy(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	assert_int_equal(m->type, MSG_READ_DONE);
	done.reading = m->read_done.reading;
	done.status = m->read_done.status;
	done.count++;
	assert_int_equal(bytes_copy(done.summary, sizeof(done.summary), m->read_done.summary), 0);
	loop_stop(loop);
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)ctx;
	if (*why != '\0')
		print_message("a link broke: %s\n", why);
	is_closed = 1;
	loop_stop(loop);
}

static void
on_late(void *ctx)
{
	(void)ctx;
	is_late = 1;
	loop_stop(loop);
}

/* Turns the loop for this long, or until something came. */
static void
turn(int64_t ms)
{
	is_late = 0;
	timer_after(late, ms);
	loop_run(loop);
	timer_stop(late);
}

static void
policy_link(void)
{
	int pair[2];

	peer_close(policy);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	policy = peer_open(loop, pair[0], PROCESS_POLICY, PROCESS_READER, 0, on_policy, on_closed, NULL);
	assert_non_null(policy);
	peer_post_fd(gateway, pair[1], LINK, link, .peer = PROCESS_POLICY);
}

static void
reader_start(const char *settings)
{
	int pair[2];

	is_ready = is_closed = 0;
	failed_why[0] = '\0';
	memset(&done, 0, sizeof(done));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	if ((reader = fork()) == 0) {
		int end = fcntl(pair[1], F_DUPFD, 10);

		if (end == -1 || dup2(end, 3) == -1 || close(end) == -1)
			_exit(70);
		execl(LODGE_READER, LODGE_READER, (char *)NULL);
		_exit(71);
	}
	assert_true(reader > 0);
	(void)close(pair[1]);
	gateway = peer_open(loop, pair[0], PROCESS_GATEWAY, PROCESS_READER, 0, on_gateway, on_closed, NULL);
	assert_non_null(gateway);
	peer_post(gateway, SETTINGS, settings, .text = bytes_text(settings));
	for (int i = 0; i < 100 && !is_ready && failed_why[0] == '\0' && !is_closed; i++)
		turn(PATIENCE_MS / 100);
}

static int
reader_wait(void)
{
	int status;

	assert_int_equal(waitpid(reader, &status, 0), reader);
	peer_close(policy);
	peer_close(gateway);
	policy = gateway = NULL;
	return (WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int
setup(void **state)
{
	char path[64];
	int fd;

	(void)state;
	site_begin(&site);
	site_record(&site, A, BEGAN_A, SITE_RECOVERED | SITE_HOSTILE);
	site_record(&site, B, BEGAN_A, SITE_BIG);
	site_checkpoint(&site);
	site_book_close(&site);
	(void)snprintf(path, sizeof(path), "%s/clock", site.dir);
	assert_true((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) != -1);
	assert_int_equal(ftruncate(fd, 16), 0);
	turned = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(turned != MAP_FAILED);
	(void)close(fd);
	assert_non_null(loop = loop_new());
	assert_non_null(late = timer_new(loop, on_late, NULL));
	assert_int_equal(
	    setenv("LODGE_TEST_CLOCK", path, 1), 0); /* the reader's alone: our loop is there already */
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	timer_free(late);
	loop_free(loop);
	(void)munmap(turned, 16);
	site_end(&site);
	return (0);
}

static int
start(void **state)
{
	char settings[1024];

	(void)state;
	turned[0] = turned[1] = 0;
	site_settings(&site, settings, sizeof(settings));
	reader_start(settings);
	assert_string_equal(failed_why, "");
	assert_true(is_ready);
	policy_link();
	return (0);
}

/* STOP: it must end by itself with status 0, whatever is under way. */
static int
stop(void **state)
{
	(void)state;
	peer_post(gateway, STOP, stop, .none = 0);
	assert_int_equal(reader_wait(), 0);
	return (0);
}

/* ---- asking ---- */

/* Our end of the descriptor, which is not read by itself. */
static int
ask(uint64_t number, const char *verb, const char *id, const char *options)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)shutdown(pair[0], SHUT_RD);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	peer_post_fd(policy, pair[0], READ, read_, .reading = number, .verb = bytes_text(verb),
	    .id = bytes_text(id), .options = bytes_text(options));
	return (pair[1]);
}

/* Appends what is there now.  1 at the end of file. */
static int
take(int fd, struct blob *out)
{
	char piece[65536];
	ssize_t got;

	while ((got = read(fd, piece, sizeof(piece))) > 0)
		assert_int_equal(blob_add(out, piece, (size_t)got), 0);
	if (got == -1)
		assert_int_equal(errno, EAGAIN);
	return (got == 0);
}

static void
take_all(int fd, struct blob *out)
{
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		if (take(fd, out)) {
			(void)close(fd);
			return;
		}
		turn(10);
	}
	fail_msg("no end after: %.*s", (int)out->size, (const char *)out->at);
}

static void
expect_done(uint64_t number, unsigned status, const char *says)
{
	for (int i = 0; i < PATIENCE_MS / 10 && done.reading != number; i++)
		turn(10);
	assert_int_equal(done.reading, number);
	if (done.status != status || strstr(done.summary, says) == NULL)
		fail_msg("status %u, '%s'", done.status, done.summary);
}

/* ---- tests ---- */

static void
it_says_why_it_cannot_begin(void **state)
{
	char settings[1024], *key;

	(void)state;
	site_settings(&site, settings, sizeof(settings));
	key = strstr(settings, "reading.age");
	memcpy(key, "nothing.age", 11);
	reader_start(settings);
	assert_non_null(
	    strstr(failed_why, "nothing.age: No such file or directory; make one, owned by lodge-reader"));
	assert_int_equal(reader_wait(), 78);
}

static void
four_verbs(void **state)
{
	struct blob out = {.at = NULL};

	(void)state;
	take_all(ask(1, "play", A, "{\"columns\":80,\"speed\":0.0}"), &out);
	expect_done(1, 0, "");
	assert_true(blob_has(&out, "segment 0 says hello\r\n"));
	assert_true(blob_has(&out, "recovered says hello\r\n"));
	assert_false(blob_has(&out, "\x1b"));
	blob_clear(&out);
	take_all(ask(2, "verify", "", "{\"columns\":0,\"ids\":[\"" A "\",\"" B "\"]}"), &out);
	expect_done(2, 0, "");
	assert_true(blob_has(&out, "2 recordings: 1 sealed, 1 recovered\n"));
	blob_clear(&out);
	take_all(ask(3, "export", B, "{\"columns\":0,\"request\":{}}"), &out);
	expect_done(3, 0, "");
	assert_true(out.size > 500000 && out.size % 512 == 0);
	blob_clear(&out);
	take_all(ask(4, "files", A, "{\"columns\":80}"), &out);
	expect_done(4, 0, "recovered after a crash");
	assert_true(
	    blob_has(&out, "00:00:01        4  upload               5  aabbccddeeff  ok                   /tmp/"));
	assert_true(blob_has(&out, "PATH\r\n"));
	assert_false(blob_has(&out, "\x1b"));
	blob_clear(&out);
	take_all(ask(5, "files", B, "{\"columns\":0,\"json\":true}"), &out);
	expect_done(5, 0, "");
	assert_true(blob_has(
	    &out, "[\n{\"at_ms\":0,\"channel\":4,\"file\":{\"op\":\"upload\",\"path\":\"/tmp/\\u001B[2J\""));
	assert_true(blob_has(&out, "\n]\n"));
	blob_free(&out);
}

static void
what_it_cannot_do_it_refuses(void **state)
{
	static const struct {
		const char *verb, *id, *options;
	} asks[] = {{"delete", A, "{}"}, {"play", "", "{}"}, {"play", "../../x", "{}"}, {"verify", A, "[]"},
	    {"verify", A, "nonsense"}, {"verify", "", "{\"ids\":[]}"}};
	struct blob out = {.at = NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		take_all(ask(i + 1, asks[i].verb, asks[i].id, asks[i].options), &out);
		expect_done(i + 1, 69, "lodge: ");
	}
	assert_int_equal(out.size, 0);
	take_all(ask(20, "play", "cccccccccccccccccccccccccccccccc", "{}"), &out);
	expect_done(20, 1, "the shelf does not hold recording");
	take_all(ask(21, "files", "cccccccccccccccccccccccccccccccc", "{}"), &out);
	expect_done(21, 1, "the shelf does not hold recording");
}

/* Segments begin one second apart, the recovered one at nine seconds. */
static void
play_keeps_the_recordings_time(void **state)
{
	struct blob out = {.at = NULL};
	int fd = ask(1, "play", A, "{\"columns\":0}");

	(void)state;
	for (int i = 0; i < 60; i++)
		turn(10);
	assert_false(take(fd, &out));
	assert_true(blob_has(&out, "segment 0 says hello"));
	assert_false(blob_has(&out, "segment 1"));
	turned[0] += 1200;
	for (int i = 0; i < 20; i++)
		turn(10);
	assert_false(take(fd, &out));
	assert_true(blob_has(&out, "segment 1 says hello"));
	assert_false(blob_has(&out, "recovered"));
	assert_int_equal(done.count, 0);
	for (int i = 0; i < 100 && !take(fd, &out); i++) {
		turned[0] += 1000;
		turn(50);
	}
	assert_true(blob_has(&out, "recovered says hello"));
	expect_done(1, 0, "");
	(void)close(fd);
	blob_free(&out);
}

static void
a_slow_reader_keeps_nobody_waiting(void **state)
{
	struct blob slow = {.at = NULL}, out = {.at = NULL};
	int fd = ask(1, "export", B, "{\"columns\":0}");

	(void)state;
	for (int i = 0; i < 30; i++)
		turn(10);
	for (uint64_t n = 2; n < 6; n++) {
		take_all(ask(n, "verify", B, "{\"columns\":0}"), &out);
		expect_done(n, 0, "");
	}
	assert_int_equal(done.count, 4);
	take_all(fd, &slow);
	expect_done(1, 0, "");
	assert_true(slow.size > 500000);
	blob_free(&slow);
	blob_free(&out);
}

static void
who_hangs_up_is_noticed(void **state)
{
	/* The next thing to show stands more than six seconds away: it is not writing that tells. */
	int waiting = ask(1, "play", A, "{\"columns\":0,\"at\":1500}"),
	    writing = ask(2, "export", B, "{\"columns\":0}");

	(void)state;
	for (int i = 0; i < 30; i++)
		turn(10);
	assert_int_equal(done.count, 0);
	(void)close(writing);
	expect_done(2, 69, "nobody reads on");
	(void)close(waiting);
	turned[0] += 1100;
	for (int i = 0; i < 100 && done.count < 2; i++)
		turn(10);
	assert_int_equal(done.count, 2);
	expect_done(1, 69, "nobody reads on");
}

static void
readings_have_a_limit(void **state)
{
	struct blob out = {.at = NULL};
	int fds[32];

	(void)state;
	for (uint64_t n = 0; n < 32; n++)
		fds[n] = ask(n + 1, "play", A, "{\"columns\":0}");
	take_all(ask(33, "play", A, "{\"columns\":0}"), &out);
	expect_done(33, 69, "too many readings at once");
	for (int n = 0; n < 32; n++)
		(void)close(fds[n]);
	blob_free(&out);
}

/* The new policy counts from one again: it must not be told of the old one's. */
static void
readings_outlive_policy_and_are_not_told_to_another(void **state)
{
	struct blob out = {.at = NULL};
	int fd = ask(1, "export", B, "{\"columns\":0}");

	(void)state;
	for (int i = 0; i < 30; i++)
		turn(10);
	policy_link();
	take_all(fd, &out);
	assert_true(out.size > 500000);
	blob_clear(&out);
	take_all(ask(7, "verify", A, "{\"columns\":0}"), &out);
	expect_done(7, 0, "");
	assert_int_equal(done.count, 1);
	blob_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_says_why_it_cannot_begin),
	    cmocka_unit_test_setup_teardown(four_verbs, start, stop),
	    cmocka_unit_test_setup_teardown(what_it_cannot_do_it_refuses, start, stop),
	    cmocka_unit_test_setup_teardown(play_keeps_the_recordings_time, start, stop),
	    cmocka_unit_test_setup_teardown(a_slow_reader_keeps_nobody_waiting, start, stop),
	    cmocka_unit_test_setup_teardown(who_hangs_up_is_noticed, start, stop),
	    cmocka_unit_test_setup_teardown(readings_have_a_limit, start, stop),
	    cmocka_unit_test_setup_teardown(readings_outlive_policy_and_are_not_told_to_another, start, stop),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
