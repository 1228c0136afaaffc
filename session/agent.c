#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"

enum { REQUEST_IDENTITIES = 11, IDENTITIES_ANSWER = 12, SIGN_REQUEST = 13, SIGN_RESPONSE = 14 };

struct agent {
	int fd;
	struct watch *watch;
	agent_on_wake *wake;
	void *ctx;
	struct wire answer; /* as far as it came, its length first */
	int broken;
};

static void
on_ready(int fd, int events, void *ctx)
{
	struct agent *a = ctx;

	(void)fd;
	(void)events;
	a->wake(a->ctx);
}

struct agent *
agent_new(struct loop *loop, int fd, agent_on_wake *wake, void *ctx)
{
	struct agent *a = calloc(1, sizeof(*a));
	int flags = fcntl(fd, F_GETFL);

	if (a == NULL || flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    (a->watch = watch_begin(loop, fd, WATCH_READ, on_ready, a)) == NULL) {
		free(a);
		close(fd);
		return (NULL);
	}
	a->fd = fd;
	a->wake = wake;
	a->ctx = ctx;
	return (a);
}

void
agent_free(struct agent *a)
{
	if (a == NULL)
		return;
	watch_end(a->watch);
	close(a->fd);
	wire_free(&a->answer);
	free(a);
}

/* A request is small and the socket empty: all of it goes at once, or there is something wrong with it. */
static int
request_send(struct agent *a, struct wire *request)
{
	struct wire framed = {.at = NULL};
	ssize_t sent = -1;

	wire_put_bytes(&framed, wire_bytes(request));
	if (!request->failed && !framed.failed)
		sent = send(a->fd, framed.at, framed.len, MSG_NOSIGNAL);
	a->broken = sent == -1 || (size_t)sent != framed.len;
	wire_free(&framed);
	wire_free(request);
	wire_clear(&a->answer);
	return (a->broken ? -1 : 0);
}

int
agent_ask_keys(struct agent *a)
{
	struct wire w = {.at = NULL};

	wire_put_u8(&w, REQUEST_IDENTITIES);
	return (request_send(a, &w));
}

int
agent_ask_signature(struct agent *a, struct bytes key, struct bytes text, uint32_t flags)
{
	struct wire w = {.at = NULL};

	wire_put_u8(&w, SIGN_REQUEST);
	wire_put_bytes(&w, key);
	wire_put_bytes(&w, text);
	wire_put_u32(&w, flags);
	return (request_send(a, &w));
}

/* What the answer begins with: its length.  0: that is not there yet. */
static size_t
answer_len(const struct agent *a)
{
	struct reader r = reader_of(wire_bytes(&a->answer));
	uint32_t len = reader_get_u32(&r);

	return (r.failed ? 0 : (size_t)len + 4);
}

static void
answer_read(struct agent *a)
{
	uint8_t piece[1024];
	ssize_t got;

	while (!a->broken && (answer_len(a) == 0 || a->answer.len < answer_len(a))) {
		got = recv(a->fd, piece, sizeof(piece), 0);
		if (got == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got > 0)
			wire_put_raw(&a->answer, piece, (size_t)got);
		a->broken = got <= 0 || a->answer.failed || answer_len(a) > AGENT_ANSWER_MAX ||
		            (answer_len(a) > 0 && a->answer.len > answer_len(a));
	}
}

/* 1 and *r behind the type; 0 not yet; -1 no answer of that type. */
static int
answer_take(struct agent *a, uint8_t type, struct reader *r)
{
	answer_read(a);
	if (a->broken)
		return (-1);
	if (answer_len(a) == 0 || a->answer.len < answer_len(a))
		return (0);
	*r = reader_of(bytes_of(a->answer.at + 4, a->answer.len - 4));
	return (reader_get_u8(r) == type ? 1 : -1);
}

int
agent_key(struct agent *a, struct bytes *key)
{
	struct reader r;
	int rc = answer_take(a, IDENTITIES_ANSWER, &r);

	if (rc != 1)
		return (rc);
	if (reader_get_u32(&r) < 1)
		return (-1);
	*key = reader_get_bytes(&r);
	return (r.failed || key->len == 0 ? -1 : 1);
}

int
agent_signature(struct agent *a, struct bytes *signature)
{
	struct reader r;
	int rc = answer_take(a, SIGN_RESPONSE, &r);

	if (rc != 1)
		return (rc);
	*signature = reader_get_bytes(&r);
	return (!reader_end(&r) || signature->len == 0 ? -1 : 1);
}
