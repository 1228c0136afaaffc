/*
 * lodge: the verbs, on the box.  It carries words to lodge-policy, those that come with a secret to lodge-auth, and prints
 * what comes back; it has no right of its own.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "contract/peer.h"
#include "secret_input.h"

#define CONTROL_DEFAULT "/run/lodge/control"
#define SECRETS_NAME "secrets" /* auth's own door, beside the control socket */
#define PATH_SIZE 4096
#define ASK 1            /* one verb a call */
#define SILENCE_MS 10000 /* then it is said that nobody answers */

static struct {
	struct loop *loop;
	struct peer *peer;
	int stream; /* the rest of the output; -1: none */
	struct watch *stream_watch;
	struct timer *silence;
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
	timer_stop(call.silence);
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
	(void)ctx;
	fprintf(stderr, "lodge: %s closed the connection%s%s; try again\n", process_name(peer_process(p)),
	    *why == '\0' ? "" : ": ", why);
	call.ended = 1;
	call_end();
}

/* The socket is gateway's, and takes calls though nobody may be there to hear them. */
static void
on_silence(void *ctx)
{
	(void)ctx;
	fprintf(stderr,
	    "lodge: %s does not answer yet; if it cannot work, lodge-gateway's log says why and what to do\n",
	    process_name(peer_process(call.peer)));
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

/* ---- auth's door ---- */

static int
is_for_auth(int count, char **word)
{
	return (strcmp(word[0], "secret") == 0 ||
	        (count > 1 && strcmp(word[0], "person") == 0 && strcmp(word[1], "enrol") == 0));
}

/* The socket beside the one that was named. */
static void
secrets_path(const char *control, char path[PATH_SIZE])
{
	const char *slash = strrchr(control, '/');
	int len = slash == NULL ? 0 : (int)(slash - control) + 1;

	if (snprintf(path, PATH_SIZE, "%.*s" SECRETS_NAME, len, control) >= PATH_SIZE)
		path[0] = '\0';
}

/* Which word of `secret set` names TARGET+ACCOUNT; 0: the words do not fit, and auth says how they should be. */
static int
about_find(int count, char **word)
{
	int about = 0;

	for (int i = 2; i < count; i++) {
		if (word[i][0] == '-')
			continue;
		if (about != 0) {
			fprintf(stderr,
			    "lodge: secret set: a word too many; if it was the secret, change it: others have "
			    "seen it in ps and in the shell's history. A secret is typed when asked for, or "
			    "comes on standard input\n");
			exit(64);
		}
		about = i;
	}
	return (about != 0 && strchr(word[about], '+') != NULL ? about : 0);
}

/* Reads the secret that belongs to the words, if one does. */
static void
secret_take(int count, char **word, struct secret *s)
{
	enum secret_input what = SECRET_PASSWORD;
	int about;

	if (count < 2 || strcmp(word[0], "secret") != 0 || strcmp(word[1], "set") != 0 ||
	    (about = about_find(count, word)) == 0)
		return;
	for (int i = 2; i < count; i++)
		if (strcmp(word[i], "--key") == 0)
			what = SECRET_KEY;
	/* What is typed is in no core dump, and no debugger of the same user looks at it. */
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (secret_input(s, what, word[about]) == -1)
		exit(64);
}

/* ---- one call ---- */

static void
words_put(struct wire *words, int count, char **word)
{
	for (int i = 0; i < count; i++)
		wire_put_raw(words, word[i], strlen(word[i]) + 1);
	if (words->failed) {
		fprintf(stderr, "lodge: the words are too long\n");
		exit(64);
	}
}

static void
call_open(const char *path, enum process process)
{
	int fd = control_connect(path);

	if ((call.loop = loop_new()) == NULL ||
	    (call.peer = peer_open(call.loop, fd, PROCESS_LODGE, process, 0, on_message, on_closed, NULL)) ==
	        NULL ||
	    (call.silence = timer_new(call.loop, on_silence, NULL)) == NULL) {
		fprintf(stderr, "lodge: out of memory\n");
		exit(71);
	}
}

int
main(int argc, char **argv)
{
	const char *path = CONTROL_DEFAULT;
	char beside[PATH_SIZE];
	struct wire words = {.limit = PEER_DATAGRAM_MAX / 2};
	struct secret input = {0};
	int at = 1;

	log_begin("lodge");
	if (argc > 2 && strcmp(argv[1], "-s") == 0) {
		path = argv[2];
		at = 3;
	}
	if (at >= argc || (argv[at][0] == '-' && strcmp(argv[at], "--help") != 0))
		usage();
	words_put(&words, argc - at, argv + at);
	(void)signal(SIGPIPE, SIG_IGN);
	if (is_for_auth(argc - at, argv + at)) {
		secrets_path(path, beside);
		secret_take(argc - at, argv + at, &input);
		call_open(beside, PROCESS_AUTH);
	} else
		call_open(path, PROCESS_POLICY);
	peer_post(call.peer, VERB, verb, .ask = ASK, .argv = 1, .words = wire_bytes(&words), .columns = columns(),
	    .time_zone = bytes_text(getenv("TZ")));
	if (input.at != NULL)
		peer_post(call.peer, VERB_IN, verb_in, .ask = ASK, .input = bytes_of(input.at, input.len));
	secret_free(&input);
	timer_after(call.silence, SILENCE_MS);
	loop_run(call.loop);
	timer_free(call.silence);
	peer_close(call.peer);
	wire_free(&words);
	loop_free(call.loop);
	return (call.status);
}
