#include "secret_input.h"

#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t caught; /* the signal that came while a secret was typed */

static void
on_signal(int signum)
{
	caught = signum;
}

/* Everything up to the end.  -1: too long, or cannot be read. */
static int
whole_read(struct secret *s)
{
	size_t have = 0;
	ssize_t got;

	if (secret_new(s, SECRET_INPUT_MAX + 2) == -1) {
		fprintf(stderr, "lodge: out of memory\n");
		return (-1);
	}
	while (have < s->len && (got = read(STDIN_FILENO, s->at + have, s->len - have)) != 0) {
		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			fprintf(stderr, "lodge: standard input: %s\n", strerror(errno));
			return (-1);
		}
		have += (size_t)got;
	}
	if (have == s->len) {
		fprintf(stderr, "lodge: what comes on standard input is too long for a secret\n");
		return (-1);
	}
	return ((int)have);
}

/* One line from the terminal into s, which has room; its length without the line end, -1: a signal, or no line. */
static int
line_read(struct secret *s)
{
	size_t have = 0;
	ssize_t got;

	while (have < s->len && !caught) {
		if ((got = read(STDIN_FILENO, s->at + have, s->len - have)) <= 0)
			return (-1);
		have += (size_t)got;
		if (s->at[have - 1] == '\n')
			return ((int)have - 1);
	}
	return (-1);
}

/* Asks without echo.  The terminal is as it was before, whatever happens; a signal that came takes effect afterwards. */
static int
quiet_ask(struct secret *s, const char *question, const char *about)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
	struct sigaction quiet = {.sa_handler = on_signal}, before[sizeof(signals) / sizeof(signals[0])];
	struct termios was, now;
	int len;

	if (secret_new(s, SECRET_INPUT_MAX) == -1 || tcgetattr(STDIN_FILENO, &was) == -1)
		return (-1);
	caught = 0;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &quiet, &before[i]);
	now = was;
	now.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	now.c_lflag |= ICANON | ISIG;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &now);
	fprintf(stderr, "%s %s: ", question, about);
	len = line_read(s);
	fputc('\n', stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &before[i], NULL);
	if (caught)
		(void)raise(caught);
	return (len);
}

/* `room` bytes of memory hold `len` of a secret: gives those, and wipes the rest with the room. */
static int
room_give(struct secret *room, size_t len, struct secret *s)
{
	int given = secret_copy(s, room->at, len);

	secret_free(room);
	return (given);
}

static int
typed(struct secret *s, const char *about)
{
	struct secret first = {0}, again = {0};
	int len, len_again = -1, same;

	len = quiet_ask(&first, "Password for", about);
	if (len != -1)
		len_again = quiet_ask(&again, "Again, for", about);
	same = len_again != -1 && len == len_again && memcmp(first.at, again.at, (size_t)len) == 0;
	secret_free(&again);
	if (same)
		return (room_give(&first, (size_t)len, s));
	secret_free(&first);
	fprintf(stderr, len_again == -1 ? "lodge: nothing was typed, and nothing was changed\n"
	                                : "lodge: the two are not the same; nothing was changed\n");
	return (-1);
}

int
secret_input(struct secret *s, enum secret_input what, const char *about)
{
	struct secret room = {0};
	int len;

	if (isatty(STDIN_FILENO) && what == SECRET_PASSWORD)
		return (typed(s, about));
	if (isatty(STDIN_FILENO)) {
		fprintf(stderr, "lodge: a private key comes on standard input: lodge secret set %s --key < FILE\n",
		    about);
		return (-1);
	}
	if ((len = whole_read(&room)) == -1) {
		secret_free(&room);
		return (-1);
	}
	if (what == SECRET_PASSWORD && len > 0 && room.at[len - 1] == '\n')
		len--;
	return (room_give(&room, (size_t)len, s));
}
