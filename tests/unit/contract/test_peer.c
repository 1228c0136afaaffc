/* A link: messages and descriptors arrive in order, a wait keeps the others, a broken promise ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "contract/peer.h"

struct seen {
	struct loop *loop;
	uint32_t asks[64];
	size_t count, stop_at;
	int fd;
	int closed;
	char why[128];
};

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	struct seen *s = ctx;

	(void)p;
	if (m->type == MSG_SIGN)
		s->asks[s->count++] = m->sign.ask;
	else if (m->type == MSG_TARGET) {
		s->asks[s->count++] = m->target.stream;
		s->fd = m->fd;
		m->fd = -1;
	} else if (m->type == MSG_SIGNED)
		s->asks[s->count++] = m->signed_.ask;
	else if (m->type == MSG_HOST_KEY)
		s->asks[s->count++] = 1000;
	if (s->count == s->stop_at)
		loop_stop(s->loop);
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	struct seen *s = ctx;

	s->closed = 1;
	snprintf(s->why, sizeof(s->why), "%s", why);
	peer_close(p);
	loop_stop(s->loop);
}

static void
pair_make(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

static void
many_arrive_in_order(void **state)
{
	struct seen s = {.stop_at = 50, .fd = -1}, none = {0};
	struct peer *session, *auth;
	int pair[2];

	(void)state;
	s.loop = none.loop = loop_new();
	pair_make(pair);
	session = peer_open(s.loop, pair[0], PROCESS_SESSION, PROCESS_AUTH, 7, on_message, on_closed, &none);
	auth = peer_open(s.loop, pair[1], PROCESS_AUTH, PROCESS_SESSION, 7, on_message, on_closed, &s);
	for (uint32_t i = 0; i < 50; i++)
		peer_post(session, SIGN, sign, .ask = i, .hash = bytes_of(&i, sizeof(i)));
	loop_run(s.loop);
	assert_int_equal(s.count, 50);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(s.asks[i], i);
	peer_close(session);
	peer_close(auth);
	loop_free(s.loop);
}

static void
a_descriptor_comes_with_its_message(void **state)
{
	struct seen s = {.stop_at = 1, .fd = -1}, none = {0};
	struct peer *recorder, *session;
	int pair[2], ends[2];

	(void)state;
	s.loop = none.loop = loop_new();
	pair_make(pair);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	recorder = peer_open(s.loop, pair[0], PROCESS_RECORDER, PROCESS_SESSION, 7, on_message, on_closed, &none);
	session = peer_open(s.loop, pair[1], PROCESS_SESSION, PROCESS_RECORDER, 7, on_message, on_closed, &s);
	peer_post_fd(recorder, ends[1], TARGET, target, .stream = 3);
	loop_run(s.loop);
	assert_int_equal(s.asks[0], 3);
	assert_int_not_equal(s.fd, -1);
	assert_int_equal(write(s.fd, "x", 1), 1);
	close(s.fd);
	close(ends[0]);
	peer_close(recorder);
	peer_close(session);
	loop_free(s.loop);
}

static void
a_wait_keeps_what_else_comes(void **state)
{
	struct seen s = {.stop_at = 4, .fd = -1}, none = {0};
	struct peer *session, *auth;
	int pair[2];

	(void)state;
	s.loop = none.loop = loop_new();
	pair_make(pair);
	session = peer_open(s.loop, pair[0], PROCESS_SESSION, PROCESS_AUTH, 7, on_message, on_closed, &s);
	auth = peer_open(s.loop, pair[1], PROCESS_AUTH, PROCESS_SESSION, 7, on_message, on_closed, &none);
	peer_post(auth, HOST_KEY, host_key, .blob = bytes_text("key"));
	peer_post(auth, SIGNED, signed_, .ask = 9, .signature = bytes_text("s"));
	assert_int_equal(peer_wait(session, MSG_SIGNED, 2000, on_message, &s), 0);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.asks[0], 9);
	peer_post(auth, SIGNED, signed_, .ask = 10, .signature = bytes_text("s"));
	peer_post(auth, SIGNED, signed_, .ask = 11, .signature = bytes_text("s"));
	loop_run(s.loop);
	assert_int_equal(s.count, 4);
	assert_int_equal(s.asks[1], 1000);
	assert_int_equal(s.asks[2], 10);
	assert_int_equal(s.asks[3], 11);
	assert_int_equal(peer_wait(session, MSG_SIGNED, 30, on_message, &s), -1);
	peer_close(session);
	peer_close(auth);
	loop_free(s.loop);
}

static void
a_broken_promise_ends_the_link(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} rows[] = {
	    {"\0\1\0\1\6", 5, ""},             /* a good HELLO, then the end */
	    {"\0\1\0\1\5", 5, "HELLO"},        /* somebody else's */
	    {"\0\1\0\2\6", 5, "version"},      /* another contract */
	    {"\0\36\0\0\0\0", 6, "malformed"}, /* HOST_KEY: not this way, nor first */
	    {"x", 1, "malformed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seen s = {.stop_at = 9, .fd = -1};
		int pair[2];

		s.loop = loop_new();
		pair_make(pair);
		assert_non_null(
		    peer_open(s.loop, pair[0], PROCESS_AUTH, PROCESS_SESSION, 7, on_message, on_closed, &s));
		assert_int_equal(send(pair[1], rows[i].bytes, rows[i].len, 0), (ssize_t)rows[i].len);
		close(pair[1]);
		loop_run(s.loop);
		assert_int_equal(s.closed, 1);
		if (rows[i].why[0] == '\0')
			assert_string_equal(s.why, "");
		else
			assert_non_null(strstr(s.why, rows[i].why));
		loop_free(s.loop);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(many_arrive_in_order),
	    cmocka_unit_test(a_descriptor_comes_with_its_message),
	    cmocka_unit_test(a_wait_keeps_what_else_comes),
	    cmocka_unit_test(a_broken_promise_ends_the_link),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
