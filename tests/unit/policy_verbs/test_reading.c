/* recordings, play, files, verify, export: who may, in which order, and whose status it is. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bench.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
#define FIRST "0123456789abcdef0123456789abcdef"
#define SECOND "0123457777abcdef0123456789abcdef"
#define DIGITS "99999988888877777766666655555544"

static struct seat *
otto_of(struct bench *b)
{
	(void)visit_was(b, FIRST, 7200000);
	(void)visit_was(b, SECOND, 86400000 * INT64_C(3));
	(void)visit_was(b, DIGITS, 60000);
	return (seat_login(b, "otto", KEY_AND_CODE, 1));
}

static void
the_list(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *otto = otto_of(b), *alice = seat_login(b, "alice", KEY_AND_CODE, 1);

	expect(otto, "recordings", 0, FIRST);
	otto->columns = 100;
	expect(otto, "recordings", 0, "0123456789ab ");
	assert_null(strstr(otto->out, FIRST));
	expect(otto, "recordings --since 1d", 0, "0123456789ab");
	assert_null(strstr(otto->out, "012345777"));
	expect(otto, "recordings --person nobody", 0, "no such recording");
	expect(otto, "recordings --vendor unify --target osv1 --json", 0, "\"id\": \"" SECOND "\"");
	expect(otto, "recordings --since never", 64, "--since never");
	expect(alice, "recordings", 77, "[role]");
	expect(alice, "play 1", 77, "[role]");
}

static void
a_reading(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *otto = otto_of(b);
	char got[16] = "";

	expect(otto, "play 1", 69, "lodge-reader is not available");
	reader_link(b);
	book_stall(b);
	say_only(otto, "play 012345678 --at 00:41:07 --speed 4 --idle 2s");
	assert_int_equal(b->readings, 0); /* the event first */
	book_go_on(b);
	settle(b);
	assert_int_equal(b->readings, 1);
	assert_true(b->held_at_reading >= (uint64_t)b->policy.event_last);
	expect_event(b, "reading", "\"recording\":\"" FIRST "\"");
	expect_event(b, "reading", "\"what\":\"play\"");
	assert_string_equal(b->read_verb, "play");
	assert_string_equal(b->read_id, FIRST);
	assert_string_equal(b->read_options, "{\"columns\":0,\"at\":2467000,\"speed\":4.0,\"idle_ms\":2000}");
	assert_int_not_equal(otto->stream, -1);
	assert_int_equal(write(b->reading_fd, "drawn", 5), 5);
	close(b->reading_fd);
	b->reading_fd = -1;
	assert_int_equal(fcntl(otto->stream, F_SETFL, 0), 0);
	assert_int_equal(read(otto->stream, got, sizeof(got)), 5);
	assert_string_equal(got, "drawn");
	assert_int_equal(read(otto->stream, got, sizeof(got)), 0);
	assert_false(otto->ended);
	peer_post(b->reader, READ_DONE, read_done, .reading = b->reading, .status = 3,
	    .summary = bytes_text("chunk \x1b 2 altered"));
	settle(b);
	assert_true(otto->ended);
	assert_int_equal(otto->status, 3);
	assert_string_equal(otto->err, "chunk \\x1b 2 altered\n");
	/* Asked again with the same number (policy was restarted): not read twice. */
	assert_int_equal(say_again(otto, "play 012345678"), 69);
	assert_int_equal(b->readings, 1);
}

static void
what_was_carried(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *otto = otto_of(b), *maria = seat_login(b, "maria", KEY_AND_CODE, 1),
	            *rides = seat_login(b, "maria", FACTOR_KEY | FACTOR_GRACE, 0),
	            *alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	struct seat *const may[] = {otto, maria};

	reader_link(b);
	for (size_t i = 0; i < 2; i++) {
		say_only(may[i], "files 1 --json");
		for (int more = 0; more < 50 && b->readings < i + 1; more++)
			settle(b); /* a slow machine */
		assert_int_equal(b->readings, i + 1);
		assert_string_equal(b->read_verb, "files");
		assert_string_equal(b->read_id, FIRST);
		assert_string_equal(b->read_options, "{\"columns\":0,\"json\":true}");
		expect_event(b, "reading", "\"what\":\"files\"");
		close(b->reading_fd);
		b->reading_fd = -1;
		peer_post(b->reader, READ_DONE, read_done, .reading = b->reading);
		settle(b);
		assert_true(may[i]->ended);
	}
	expect(maria, "play 1", 77, "[role]");
	expect(rides, "files 1", 69, "[auth-away]");
	expect(alice, "files 1", 77, "[role]");
	expect(maria, "files 9", 77, "there is no recording 9");
	expect(maria, "files", 64, "lodge: ");
	assert_int_equal(b->readings, 2);
}

static void
a_reader_that_dies(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *otto = otto_of(b);

	reader_link(b);
	say_only(otto, "verify 2");
	assert_int_equal(b->readings, 1);
	assert_false(otto->ended);
	reader_link(b);
	settle(b);
	assert_true(otto->ended);
	assert_int_equal(otto->status, 69);
	assert_non_null(strstr(otto->err, "restarted"));
}

static void
which_one(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *otto = otto_of(b);
	static const struct {
		const char *words;
		const char *id; /* NULL: refused */
		int status;
	} all[] = {{"verify 1", FIRST, 0}, {"verify #2", SECOND, 0}, {"verify 0123456", FIRST, 0},
	    {"verify " SECOND, SECOND, 0}, {"verify 999999", DIGITS, 0}, {"verify 012345", NULL, 77},
	    {"verify 0123", NULL, 77}, {"verify 4", NULL, 77}, {"verify 000001", FIRST, 0},
	    {"verify ../../etc", NULL, 77}, {"verify", NULL, 64}, {"verify 1 --all", NULL, 64},
	    {"verify --since 1s", NULL, 77}, {"play 1 --speed -1", NULL, 64}, {"play 1 --speed 9999", NULL, 64},
	    {"play 1 --at 1:99:00", NULL, 64}, {"play 1 --at x", NULL, 64}, {"play 1 --idle x", NULL, 64}};

	reader_link(b);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		unsigned before = b->readings;

		if (all[i].id == NULL) {
			expect(otto, all[i].words, all[i].status, "lodge: ");
			assert_int_equal(b->readings, before);
			continue;
		}
		say_only(otto, all[i].words);
		assert_int_equal(b->readings, before + 1);
		assert_string_equal(b->read_id, all[i].id);
		close(b->reading_fd);
		b->reading_fd = -1;
		peer_post(b->reader, READ_DONE, read_done, .reading = b->reading);
		settle(b);
		assert_true(otto->ended);
		assert_int_equal(otto->status, 0);
	}
}

static void
all_and_bundles(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *otto = otto_of(b), *rides = seat_login(b, "otto", FACTOR_KEY | FACTOR_GRACE, 0);

	reader_link(b);
	say_only(otto, "verify --since 1d --json");
	assert_string_equal(b->read_id, "");
	assert_string_equal(
	    b->read_options, "{\"columns\":0,\"json\":true,\"ids\":[\"" FIRST "\",\"" DIGITS "\"]}");
	close(b->reading_fd);
	b->reading_fd = -1;
	peer_post(b->reader, READ_DONE, read_done, .reading = b->reading);
	settle(b);
	expect(rides, "export 1", 69, "[auth-away]");
	otto->columns = 80;
	expect(otto, "export 1", 64, "> bundle.tar");
	otto->columns = 0;
	say_only(otto, "export 1");
	assert_string_equal(b->read_verb, "export");
	assert_non_null(strstr(b->read_options, "\"request\":{\"request\":1"));
}

const struct CMUnitTest reading[] = {TEST(the_list), TEST(a_reading), TEST(what_was_carried),
    TEST(a_reader_that_dies), TEST(which_one), TEST(all_and_bundles)};
const size_t reading_count = sizeof(reading) / sizeof(reading[0]);
