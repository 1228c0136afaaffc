/*
 * lodge: the verbs, on the box.  It carries words to lodge-policy and prints what comes back; it has no right of its own.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "contract/peer.h"

#define CONTROL_DEFAULT "/run/lodge/control"
#define ASK 1 /* one verb a call */

static struct {
	struct loop *loop;
	struct peer *policy;
	int stream; /* the rest of the output; -1: none */
	struct watch *stream_watch;
	int status; /* the verb's, once it came */
	int ended;  /* VERB_END came */
} call = {.stream = -1, .status = 69};

static void
output_write(int to, const uint8_t *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(to, at, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			(void)poll(&(struct pollfd){.fd = to, .events = POLLOUT}, 1, -1);
			continue;
		}
		if (n == -1) /* nobody reads it any more */
			exit(errno == EPIPE ? 141 : 74);
		at += n;
		len -= (size_t)n;
	}
}

static void
call_end(void)
{
	if (call.ended && call.stream == -1)
		loop_stop(call.loop);
}

static void
on_stream(int fd, int events, void *ctx)
{
	static uint8_t room[65536];
	ssize_t got = read(fd, room, sizeof(room));

	(void)events;
	(void)ctx;
	if (got > 0) {
		output_write(STDOUT_FILENO, room, (size_t)got);
		return;
	}
	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	watch_end(call.stream_watch);
	call.stream_watch = NULL;
	close(call.stream);
	call.stream = -1;
	call_end();
}

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	switch (m->type) {
	case MSG_VERB_OUT:
		output_write(m->verb_out.to == 2 ? STDERR_FILENO : STDOUT_FILENO, m->verb_out.output.at,
		    m->verb_out.output.len);
		break;
	case MSG_VERB_STREAM:
		if (call.stream != -1)
			break;
		call.stream = m->fd;
		m->fd = -1;
		call.stream_watch = watch_begin(call.loop, call.stream, WATCH_READ, on_stream, NULL);
		break;
	case MSG_VERB_END:
		call.status = m->verb_end.status;
		call.ended = 1;
		call_end();
		break;
	default:
		break;
	}
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)ctx;
	fprintf(
	    stderr, "lodge: lodge-policy closed the connection%s%s; try again\n", *why == '\0' ? "" : ": ", why);
	call.ended = 1;
	call_end();
}

static int
control_connect(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	int fd;

	if (len >= sizeof(sun.sun_path)) {
		fprintf(stderr, "lodge: %s: the path is too long for a socket\n", path);
		exit(64);
	}
	memcpy(sun.sun_path, path, len + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd == -1 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		fprintf(stderr, "lodge: %s: %s (is lodge-gateway running?)\n", path, strerror(errno));
		exit(69);
	}
	return (fd);
}

static uint16_t
columns(void)
{
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1)
		return (0);
	return (size.ws_col);
}

static _Noreturn void
usage(void)
{
	fprintf(stderr, "usage: lodge [-s control-socket] verb [argument ...]\nverbs: lodge help\n");
	exit(64);
}

int
main(int argc, char **argv)
{
	const char *path = CONTROL_DEFAULT;
	struct wire words = {.limit = PEER_DATAGRAM_MAX / 2};
	int at = 1, fd;

	log_begin("lodge");
	if (argc > 2 && strcmp(argv[1], "-s") == 0) {
		path = argv[2];
		at = 3;
	}
	if (at >= argc || (argv[at][0] == '-' && strcmp(argv[at], "--help") != 0))
		usage();
	for (; at < argc; at++)
		wire_put_raw(&words, argv[at], strlen(argv[at]) + 1);
	if (words.failed) {
		fprintf(stderr, "lodge: the words are too long\n");
		return (64);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	fd = control_connect(path);
	if ((call.loop = loop_new()) == NULL || (call.policy = peer_open(call.loop, fd, PROCESS_LODGE,
	                                             PROCESS_POLICY, 0, on_message, on_closed, NULL)) == NULL) {
		fprintf(stderr, "lodge: out of memory\n");
		return (71);
	}
	peer_post(call.policy, VERB, verb, .ask = ASK, .argv = 1, .words = wire_bytes(&words), .columns = columns(),
	    .time_zone = bytes_text(getenv("TZ")));
	loop_run(call.loop);
	peer_close(call.policy);
	wire_free(&words);
	loop_free(call.loop);
	return (call.status);
}
