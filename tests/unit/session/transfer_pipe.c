/*
 * A transfer between a real client and a real server: standard input and output are the engineer's side, the program named
 * is the target's.
 *	transfer_pipe sftp|up|down CAPABILITIES FACTS PIECE [COMMAND] -- PROGRAM [ARGUMENT...]
 * Facts are appended to the file FACTS, then a line of counts.  Nothing is read in larger pieces than PIECE bytes, nor while
 * 256 KiB wait on the other side.  Exits as the program does, and with 76 when the protocol was broken.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract/messages.h"
#include "transfer.h"

#define WAITING_MAX (256 * 1024)
#define PIECE_MAX (128 * 1024)

/* What waits for one side. */
struct side {
	int in, out; /* -1: closed */
	struct fifo due;
};

static uint8_t piece[PIECE_MAX];

static void
on_fact(void *ctx, struct bytes json)
{
	FILE *to = ctx;

	fwrite(json.at, 1, json.len, to);
	fputc('\n', to);
	fflush(to);
}

static pid_t
program_start(char **argv, int *fd)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1 || (pid = fork()) == -1) {
		perror("transfer_pipe");
		exit(71);
	}
	if (pid == 0) {
		dup2(pair[1], 0);
		dup2(pair[1], 1);
		close(pair[0]);
		close(pair[1]);
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	close(pair[1]);
	*fd = pair[0];
	return (pid);
}

static void
side_write(struct side *s)
{
	struct bytes b = fifo_bytes(&s->due);
	ssize_t wrote = write(s->out, b.at, b.len);

	if (wrote > 0) {
		fifo_take(&s->due, (size_t)wrote);
	} else if (wrote == -1 && errno != EINTR) {
		fifo_free(&s->due);
		s->out = -1;
	}
}

/* 1 while there is something to wait for. */
static int
sides_turn(struct transfer *t, struct side *engineer, struct side *target, size_t piece_max)
{
	struct pollfd fds[4] = {
	    {.fd = fifo_bytes(&target->due).len < WAITING_MAX ? engineer->in : -1, .events = POLLIN},
	    {.fd = fifo_bytes(&engineer->due).len < WAITING_MAX ? target->in : -1, .events = POLLIN},
	    {.fd = fifo_bytes(&engineer->due).len > 0 ? engineer->out : -1, .events = POLLOUT},
	    {.fd = fifo_bytes(&target->due).len > 0 ? target->out : -1, .events = POLLOUT},
	};
	ssize_t got;
	int good = 0;

	if (engineer->in == -1 && fifo_bytes(&target->due).len == 0)
		(void)shutdown(target->out, SHUT_WR);
	if (target->in == -1 && fifo_bytes(&engineer->due).len == 0)
		return (0);
	(void)poll(fds, 4, -1);
	if (fds[0].revents != 0) {
		if ((got = read(engineer->in, piece, piece_max)) <= 0)
			engineer->in = -1;
		else
			good = transfer_from_engineer(
			    t, bytes_of(piece, (size_t)got), 1000, &target->due, &engineer->due);
	}
	if (good == 0 && fds[1].revents != 0) {
		if ((got = read(target->in, piece, piece_max)) <= 0)
			target->in = -1;
		else
			good = transfer_from_target(t, bytes_of(piece, (size_t)got), 1000, &engineer->due);
	}
	if (fds[2].revents != 0)
		side_write(engineer);
	if (fds[3].revents != 0)
		side_write(target);
	return (good == 0);
}

static enum transfer_kind
kind_of(const char *name)
{
	if (strcmp(name, "sftp") == 0)
		return (TRANSFER_SFTP);
	return (strcmp(name, "up") == 0 ? TRANSFER_SCP_UP : TRANSFER_SCP_DOWN);
}

static void
counts_print(const struct transfer *t, FILE *to)
{
	const struct transfer_counts *c = transfer_counts(t);

	fprintf(to,
	    "{\"counts\":{\"files_up\":%u,\"files_down\":%u,\"refused\":%u,\"bytes_up\":%" PRIu64
	    ",\"bytes_down\":%" PRIu64 "}}\n",
	    c->files_up, c->files_down, c->refused, c->bytes_up, c->bytes_down);
}

int
main(int argc, char **argv)
{
	struct side engineer = {.in = 0, .out = 1}, target = {0};
	struct transfer_of of = {.fact = on_fact};
	struct transfer *t;
	int at = argc > 6 && strcmp(argv[5], "--") == 0 ? 6 : 7, status;
	size_t piece_max;
	pid_t pid;

	if (argc <= at) {
		fputs("transfer_pipe sftp|up|down CAPABILITIES FACTS PIECE [COMMAND] -- PROGRAM...\n", stderr);
		return (64);
	}
	of.kind = kind_of(argv[1]);
	of.capabilities = (unsigned)strtoul(argv[2], NULL, 10);
	of.command = at == 7 ? argv[5] : NULL;
	if ((of.ctx = fopen(argv[3], "a")) == NULL || (t = transfer_new(&of)) == NULL)
		return (71);
	piece_max = strtoul(argv[4], NULL, 10);
	piece_max = piece_max == 0 || piece_max > PIECE_MAX ? PIECE_MAX : piece_max;
	signal(SIGPIPE, SIG_IGN);
	pid = program_start(argv + at, &target.in);
	target.out = target.in;
	while (sides_turn(t, &engineer, &target, piece_max))
		;
	transfer_end(t, 2000);
	counts_print(t, of.ctx);
	status = transfer_trouble(t)[0] == '\0' ? 0 : 76;
	if (status != 0)
		fprintf(stderr, "transfer_pipe: %s\n", transfer_trouble(t));
	transfer_free(t);
	fifo_free(&engineer.due);
	fifo_free(&target.due);
	fclose(of.ctx);
	(void)shutdown(target.in == -1 ? target.out : target.in, SHUT_RDWR);
	close(target.out);
	(void)waitpid(pid, &at, 0);
	return (status != 0 ? status : WIFEXITED(at) ? WEXITSTATUS(at) : 1);
}
