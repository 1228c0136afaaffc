/*
 * A session process that was taken over: linked into lodge-session-liar with -Wl,--wrap=..., and into nothing else.
 *
 * Whoever has its memory sends over its links what they like, and writes into its ring.  Here a scene has it: the
 * file `script` in the directory LODGE_TEST_LIES says what to do and when, `log` there gets each datagram, both ways.
 *
 *	source ADDRESS			first line: only a connection from there lies and is logged
 *	send MESSAGE DO			when the session itself is about to send that message
 *	sent MESSAGE DO			when it has
 *	take MESSAGE DO			when it takes that message
 *
 * DO is one of these; all but `swap` and `put` are done once in a connection:
 *
 *	say PROCESS HEX			sends this datagram to that process (auth, policy, recorder, gateway)
 *	give PROCESS HEX		the same, with a descriptor
 *	swap HEX HEX			puts other bytes, as many, in place of those, wherever they stand (send, take)
 *	put OFFSET HEX			puts these bytes at that offset of the datagram (send, take)
 *	keep				sends nothing (send only)
 *	frame TYPE STREAM CHANNEL HEX	puts this frame into the ring
 *	stream N			from now on each frame it writes says that it is of stream N
 *
 * A line of the log: pid, "took" or "sent", the other process, MESSAGE, "fd" or "-", HEX.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ring.h"
#include "contract/peer.h"

#define PATH_SIZE 512
#define LINES_MAX 256
#define PEERS_MAX 8
#define WORDS_MAX 8

/* What the scene wants of this process. */
static struct {
	char *text;
	char *lines[LINES_MAX];
	int done[LINES_MAX];
	size_t count;
	int is_on; /* this connection's source is the one that lies */
} script;

static struct peer *peers[PEERS_MAX];

/* What message_encode puts into the datagram at hand in place of the message. */
static uint8_t *forged;
static size_t forged_len;

static struct ring *ring;
static uint32_t false_stream;

static FILE *
file_open(const char *name, const char *mode)
{
	const char *directory = getenv("LODGE_TEST_LIES");
	char path[PATH_SIZE];

	if (directory == NULL)
		return (NULL);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return (fopen(path, mode));
}

/* ---- the script ---- */

/* Once, when this process learns whose connection it has. */
static void
script_read(struct bytes source)
{
	FILE *f = file_open("script", "re");
	char *rest, *line, liar[64];
	size_t size = 0;

	if (f == NULL)
		return;
	if (getdelim(&script.text, &size, '\0', f) == -1)
		script.text = NULL;
	(void)fclose(f);
	rest = script.text;
	while (rest != NULL && (line = strsep(&rest, "\n")) != NULL && script.count < LINES_MAX)
		script.lines[script.count++] = line;
	script.is_on =
	    script.count > 0 && sscanf(script.lines[0], "source %63s", liar) == 1 && bytes_are(source, liar);
}

/* The words of a line; gives their number. */
static size_t
words_of(const char *line, char *copy, size_t size, char *words[WORDS_MAX + 1])
{
	size_t count = 0;
	char *rest = copy, *word;

	snprintf(copy, size, "%s", line);
	while (count < WORDS_MAX && (word = strsep(&rest, " ")) != NULL)
		if (*word != '\0')
			words[count++] = word;
	for (size_t i = count; i <= WORDS_MAX; i++)
		words[i] = NULL;
	return (count);
}

static size_t
hex_read(const char *hex, uint8_t **bytes)
{
	size_t len = hex == NULL ? 0 : strlen(hex) / 2;
	unsigned byte;

	*bytes = calloc(1, len + 1);
	if (*bytes == NULL)
		abort();
	for (size_t i = 0; i < len; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			abort();
		(*bytes)[i] = (uint8_t)byte;
	}
	return (len);
}

static struct peer *
peer_of(const char *name)
{
	char whole[64];

	snprintf(whole, sizeof(whole), "lodge-%s", name);
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (peers[i] != NULL && strcmp(process_name(peer_process(peers[i])), whole) == 0)
			return (peers[i]);
	return (NULL);
}

static void
log_datagram(const char *what, enum process other, const uint8_t *at, size_t len, int has_fd)
{
	unsigned type = len >= 2 ? (unsigned)at[0] << 8 | at[1] : 0;
	FILE *f;

	if (!script.is_on || (f = file_open("log", "ae")) == NULL)
		return;
	(void)setvbuf(f, NULL, _IOFBF, 1024 * 1024); /* one write a line */
	(void)fprintf(f, "%d %s %s %s %s ", (int)getpid(), what, process_name(other),
	    message_name((enum message_type)type), has_fd ? "fd" : "-");
	for (size_t i = 0; i < len; i++)
		(void)fprintf(f, "%02x", at[i]);
	(void)fputs(len == 0 ? "-\n" : "\n", f);
	(void)fclose(f);
}

/* ---- what it does ---- */

void __real_peer_send(struct peer *p, struct message *m);
void __wrap_peer_send(struct peer *p, struct message *m);
int __real_ring_put(struct ring *r, const struct ring_frame *f);
int __wrap_ring_put(struct ring *r, const struct ring_frame *f);

/* A datagram of any bytes: peer_send encodes a message that carries a descriptor or none, and we forge what comes out. */
static void
say(struct peer *p, const char *hex, int fd)
{
	struct message m = {.type = fd == -1 ? MSG_READY : MSG_LINK, .fd = fd};

	forged_len = hex_read(hex, &forged);
	__real_peer_send(p, &m);
	free(forged);
	forged = NULL;
}

static void
frame_add(char *const *words)
{
	uint8_t *bytes;
	size_t len = hex_read(words[3], &bytes);
	struct ring_frame f = {.type = (uint16_t)strtoul(words[0], NULL, 10),
	    .stream = (uint32_t)strtoul(words[1], NULL, 10),
	    .channel = (uint32_t)strtoul(words[2], NULL, 10),
	    .at = bytes,
	    .len = (uint32_t)len};

	if (ring == NULL || !__real_ring_put(ring, &f))
		(void)fputs("lodge-session-liar: the frame found no place\n", stderr);
	free(bytes);
}

/* One thing that is done once.  words: DO and what follows.  0: that process is not there yet, and so it is to be done later. */
static int
act(char *const *words)
{
	if ((strcmp(words[0], "say") == 0 || strcmp(words[0], "give") == 0) && peer_of(words[1]) == NULL)
		return (0);
	if (strcmp(words[0], "say") == 0)
		say(peer_of(words[1]), words[2], -1);
	else if (strcmp(words[0], "give") == 0)
		say(peer_of(words[1]), words[2], open("/dev/null", O_RDONLY | O_CLOEXEC));
	else if (strcmp(words[0], "frame") == 0)
		frame_add(words + 1);
	else if (strcmp(words[0], "stream") == 0)
		false_stream = (uint32_t)strtoul(words[1], NULL, 10);
	return (1);
}

/* Goes through the lines for this moment. `each` gives 0 for what is to be done again the next time. */
typedef int each_fn(char *const *words, void *ctx);

static void
moment(const char *when, enum message_type type, each_fn *each, void *ctx)
{
	char *words[WORDS_MAX + 1];

	for (size_t i = 0; script.is_on && i < script.count; i++) {
		size_t size = strlen(script.lines[i]) + 1;
		char *copy;

		if (script.done[i] || (copy = malloc(size)) == NULL)
			continue;
		if (words_of(script.lines[i], copy, size, words) >= 3 && strcmp(words[0], when) == 0 &&
		    strcmp(words[1], message_name(type)) == 0)
			script.done[i] = each(words + 2, ctx);
		free(copy);
	}
}

static int
each_act(char *const *words, void *ctx)
{
	(void)ctx;
	if (strcmp(words[0], "swap") == 0 || strcmp(words[0], "put") == 0 || strcmp(words[0], "keep") == 0)
		return (0); /* not of this moment */
	return (act(words));
}

static int
each_keep(char *const *words, void *ctx)
{
	if (strcmp(words[0], "keep") != 0)
		return (0);
	*(int *)ctx = 1;
	return (1);
}

/* Changes the bytes of a datagram. */
static int
each_change(char *const *words, void *ctx)
{
	struct wire *w = ctx;
	uint8_t *from, *to, *at;
	size_t len, offset;

	if (strcmp(words[0], "put") == 0) {
		len = hex_read(words[2], &to);
		offset = strtoul(words[1], NULL, 10);
		if (offset + len <= w->len)
			memcpy(w->at + offset, to, len);
		free(to);
	} else if (strcmp(words[0], "swap") == 0) {
		len = hex_read(words[1], &from);
		if (hex_read(words[2], &to) == len && len > 0)
			while (memcmp(from, to, len) != 0 && (at = memmem(w->at, w->len, from, len)) != NULL)
				memcpy(at, to, len);
		free(from);
		free(to);
	}
	return (0);
}

/* ---- what is wrapped ---- */

struct peer *__real_peer_open(struct loop *loop, int fd, enum process me, enum process other, uint64_t conn,
    peer_on_message *on_message, peer_on_closed *on_closed, void *ctx);
struct peer *__wrap_peer_open(struct loop *loop, int fd, enum process me, enum process other, uint64_t conn,
    peer_on_message *on_message, peer_on_closed *on_closed, void *ctx);

struct peer *
__wrap_peer_open(struct loop *loop, int fd, enum process me, enum process other, uint64_t conn,
    peer_on_message *on_message, peer_on_closed *on_closed, void *ctx)
{
	struct peer *p = __real_peer_open(loop, fd, me, other, conn, on_message, on_closed, ctx);

	for (size_t i = 0; i < PEERS_MAX && p != NULL; i++)
		if (peers[i] == NULL) {
			peers[i] = p;
			break;
		}
	return (p);
}

void __real_peer_close(struct peer *p);
void __wrap_peer_close(struct peer *p);

void
__wrap_peer_close(struct peer *p)
{
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (peers[i] == p)
			peers[i] = NULL;
	__real_peer_close(p);
}

void
__wrap_peer_send(struct peer *p, struct message *m)
{
	int keep = 0;
	enum message_type type = m->type;

	moment("send", type, each_act, NULL);
	moment("send", type, each_keep, &keep);
	if (keep) {
		if (m->fd != -1)
			(void)close(m->fd);
		m->fd = -1;
		return;
	}
	__real_peer_send(p, m);
	moment("sent", type, each_act, NULL);
}

int __real_message_encode(struct wire *w, const struct message *m, enum process from, enum process to);
int __wrap_message_encode(struct wire *w, const struct message *m, enum process from, enum process to);

int
__wrap_message_encode(struct wire *w, const struct message *m, enum process from, enum process to)
{
	int result = 0;

	if (forged != NULL)
		wire_put_raw(w, forged, forged_len);
	else if ((result = __real_message_encode(w, m, from, to)) == 0)
		moment("send", m->type, each_change, w);
	log_datagram("sent", to, w->at, w->len, m->fd != -1);
	return (result);
}

int __real_message_decode(
    const void *data, size_t len, enum process from, enum process to, int fds, struct message *m);
int __wrap_message_decode(
    const void *data, size_t len, enum process from, enum process to, int fds, struct message *m);

int
__wrap_message_decode(const void *data, size_t len, enum process from, enum process to, int fds, struct message *m)
{
	struct wire changed = {0};
	int result = __real_message_decode(data, len, from, to, fds, m);

	if (result == -1)
		return (-1);
	if (m->type == MSG_CLIENT)
		script_read(m->client.source);
	if (!script.is_on)
		return (0);
	log_datagram("took", from, data, len, fds);
	wire_put_raw(&changed, data, len);
	moment("take", m->type, each_change, &changed);
	moment("take", m->type, each_act, NULL);
	if (memcmp(changed.at, data, len) != 0)
		return (__real_message_decode(
		    changed.at, changed.len, from, to, fds, m)); /* which points into it for good */
	wire_free(&changed);
	return (result);
}

struct ring *__real_ring_open(int fd);
struct ring *__wrap_ring_open(int fd);

struct ring *
__wrap_ring_open(int fd)
{
	return (ring = __real_ring_open(fd));
}

int
__wrap_ring_put(struct ring *r, const struct ring_frame *f)
{
	struct ring_frame lie = *f;

	if (false_stream != 0)
		lie.stream = false_stream;
	return (__real_ring_put(r, &lie));
}
