/* One agent's answers, whole and in pieces, and all that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent.h"
#include "base/loop.h"

struct both {
	struct loop *loop;
	struct agent *agent;
	int far; /* the agent's own end */
};

static void
on_wake(void *ctx)
{
	(void)ctx;
}

static void
open_both(struct both *b)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	b->loop = loop_new();
	b->agent = agent_new(b->loop, pair[0], on_wake, b);
	b->far = pair[1];
	assert_non_null(b->agent);
}

static void
on_last_turn(void *ctx)
{
	loop_stop(ctx);
}

static void
close_both(struct both *b)
{
	agent_free(b->agent);
	loop_defer(b->loop, on_last_turn, b->loop); /* its watch is closed in a turn */
	loop_run(b->loop);
	if (b->far != -1)
		close(b->far);
	loop_free(b->loop);
}

static void
say(struct both *b, struct bytes what)
{
	assert_int_equal(send(b->far, what.at, what.len, 0), what.len);
}

static size_t
request(struct both *b, uint8_t *to, size_t size)
{
	ssize_t got = recv(b->far, to, size, 0);

	assert_true(got >= 5);
	return ((size_t)got);
}

static void
keys_and_a_signature(void **state)
{
	static const uint8_t keys[] = "\0\0\0\x11\x0c\0\0\0\1\0\0\0\4blob\0\0\0\0";
	static const uint8_t signature[] = "\0\0\0\x08\x0e\0\0\0\3sig";
	struct both b;
	struct bytes got;
	uint8_t asked[256];

	(void)state;
	open_both(&b);
	assert_int_equal(agent_ask_keys(b.agent), 0);
	assert_int_equal(request(&b, asked, sizeof(asked)), 5);
	assert_memory_equal(asked, "\0\0\0\1\x0b", 5);
	for (size_t i = 0; i < sizeof(keys) - 1; i++) {
		assert_int_equal(agent_key(b.agent, &got), 0);
		say(&b, bytes_of(keys + i, 1));
	}
	assert_int_equal(agent_key(b.agent, &got), 1);
	assert_int_equal(bytes_are(got, "blob"), 1);
	assert_int_equal(
	    agent_ask_signature(b.agent, bytes_text("blob"), bytes_text("text"), AGENT_RSA_SHA2_512), 0);
	assert_int_equal(request(&b, asked, sizeof(asked)), 25);
	assert_memory_equal(asked, "\0\0\0\x15\x0d\0\0\0\4blob\0\0\0\4text\0\0\0\4", 25);
	say(&b, bytes_of(signature, sizeof(signature) - 1));
	assert_int_equal(agent_signature(b.agent, &got), 1);
	assert_int_equal(bytes_are(got, "sig"), 1);
	close_both(&b);
}

static void
what_is_no_answer(void **state)
{
	static const struct {
		const char *at;
		size_t len;
	} rows[] = {
	    {"\0\0\0\1\5", 5},                      /* SSH_AGENT_FAILURE */
	    {"\0\0\0\5\x0c\0\0\0\0", 9},            /* no key */
	    {"\0\0\0\x9\x0c\0\0\0\1\0\0\0\x9", 13}, /* a key that is cut off */
	    {"\0\0\0\x9\x0c\0\0\0\1\0\0\0\0", 13},  /* an empty one */
	    {"\0\0\0\0", 4},                        /* nothing at all */
	    {"\x7f\xff\xff\xff", 4},                /* too long */
	    {"\0\0\0\1\5\5", 6},                    /* more than it says */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct both b;
		struct bytes got;

		open_both(&b);
		assert_int_equal(agent_ask_keys(b.agent), 0);
		say(&b, bytes_of(rows[i].at, rows[i].len));
		assert_int_equal(agent_key(b.agent, &got), -1);
		close_both(&b);
	}
}

static void
nobody_there(void **state)
{
	struct both b;
	struct bytes got;

	(void)state;
	open_both(&b);
	assert_int_equal(agent_ask_keys(b.agent), 0);
	close(b.far);
	b.far = -1;
	assert_int_equal(agent_key(b.agent, &got), -1);
	assert_int_equal(agent_ask_keys(b.agent), -1);
	close_both(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_and_a_signature),
	    cmocka_unit_test(what_is_no_answer),
	    cmocka_unit_test(nobody_there),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
