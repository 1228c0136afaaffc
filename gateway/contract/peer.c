#include "contract/peer.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"

#define FDS_MAX 4 /* more than a row may carry, so that too many are seen */
#define BATCH 64  /* datagrams taken in one go before others get their turn */

/* A datagram that waits: to be sent, or to be handed to the handler after a peer_wait. */
struct letter {
	struct letter *next;
	int fd;
	size_t len;
	uint8_t at[];
};

struct letters {
	struct letter *first, **last;
	size_t bytes;
};

struct peer {
	struct loop *loop;
	struct watch *watch;
	int fd;
	enum process me, other;
	uint64_t conn;
	peer_on_message *on_message;
	peer_on_closed *on_closed;
	void *ctx;
	int greeted; /* its HELLO came */
	int broken;  /* on_closed is due, or was called */
	int told;    /* on_closed was called */
	int closed;  /* by peer_close: no handler any more */
	int reset;   /* the kernel told of a reset already */
	int held;    /* calls and deferrals that still use this structure */
	char why[128];
	struct letters out, in;
};

static uint8_t datagram[PEER_DATAGRAM_MAX + 1]; /* one loop, one thread; copied before a handler may wait */

static void
letters_clear(struct letters *all)
{
	struct letter *l;

	while ((l = all->first) != NULL) {
		all->first = l->next;
		if (l->fd != -1)
			close(l->fd);
		explicit_bzero(l->at, l->len);
		free(l);
	}
	all->last = &all->first;
	all->bytes = 0;
}

static int
letters_add(struct letters *all, const void *at, size_t len, int fd)
{
	struct letter *l = malloc(sizeof(*l) + len);

	if (l == NULL)
		return (-1);
	l->next = NULL;
	l->fd = fd;
	l->len = len;
	memcpy(l->at, at, len);
	*all->last = l;
	all->last = &l->next;
	all->bytes += len;
	return (0);
}

static struct letter *
letters_take(struct letters *all)
{
	struct letter *l = all->first;

	if (l == NULL)
		return (NULL);
	if ((all->first = l->next) == NULL)
		all->last = &all->first;
	all->bytes -= l->len;
	return (l);
}

static void
peer_let_go(struct peer *p)
{
	if (--p->held > 0 || !p->closed)
		return;
	letters_clear(&p->out);
	letters_clear(&p->in);
	free(p);
}

static void
on_broken(void *ctx)
{
	struct peer *p = ctx;

	if (!p->closed && !p->told) {
		p->told = 1;
		p->on_closed(p, p->why, p->ctx);
	}
	peer_let_go(p);
}

static void
peer_break(struct peer *p, const char *why)
{
	if (p->broken || p->closed)
		return;
	p->broken = 1;
	snprintf(p->why, sizeof(p->why), "%s", why);
	watch_end(p->watch);
	p->watch = NULL;
	p->held++;
	loop_defer(p->loop, on_broken, p);
}

/* 1 sent, 0 not now, -1 broken. */
static int
peer_write(struct peer *p, const void *at, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)at, .iov_len = len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd != -1) {
		h.msg_control = control.room;
		h.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	if (sendmsg(p->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) != -1)
		return (1);
	if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR || errno == ETOOMANYREFS)
		return (0);
	return (-1);
}

static void
peer_watch(struct peer *p)
{
	if (p->watch != NULL)
		watch_change(p->watch, WATCH_READ | (p->out.first != NULL ? WATCH_WRITE : 0));
}

static void
peer_flush(struct peer *p)
{
	struct letter *l;
	int sent;

	while (!p->broken && (l = p->out.first) != NULL) {
		if ((sent = peer_write(p, l->at, l->len, l->fd)) == 0)
			break;
		if (sent == -1) {
			/* Its end is gone; what it sent before may still lie here to be read, and tells us of the end. */
			letters_clear(&p->out);
			break;
		}
		l = letters_take(&p->out);
		if (l->fd != -1)
			close(l->fd);
		explicit_bzero(l->at, l->len);
		free(l);
	}
	peer_watch(p);
}

void
peer_send(struct peer *p, struct message *m)
{
	struct wire w = {.limit = PEER_DATAGRAM_MAX};
	int fd = m->fd, sent = 0;

	m->fd = -1;
	if (p == NULL || p->broken || p->closed)
		goto drop;
	if (message_encode(&w, m, p->me, p->other) == -1 || (fd != -1) != message_carries_fd(m->type)) {
		log_error("message %s from %s to %s does not fit the contract", message_name(m->type),
		    process_name(p->me), process_name(p->other));
		abort();
	}
	if (p->out.first == NULL)
		sent = peer_write(p, w.at, w.len, fd);
	if (sent == 0) {
		if (p->out.bytes + w.len > PEER_QUEUE_MAX || letters_add(&p->out, w.at, w.len, fd) == -1)
			peer_break(p, "it does not read what it is sent");
		else
			fd = -1;
		peer_watch(p);
	}
drop:
	if (fd != -1)
		close(fd);
	wire_free(&w);
}

/* Takes one datagram into `datagram`. 1 and *len, *fd (-1: none; -2: more than one), 0 none now, -1 broken or ended. */
static int
peer_read(struct peer *p, size_t *len, int *fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = datagram, .iov_len = sizeof(datagram)};
	struct msghdr h = {
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof(control.room),
	};
	ssize_t got;
	int fds[FDS_MAX];
	size_t count = 0;

	/* An end that closed without having read all resets the link, once, ahead of what it sent before: read on. */
	do {
		h.msg_controllen = sizeof(control.room);
		got = recvmsg(p->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (got == -1 && errno == ECONNRESET && !p->reset++);

	*fd = -1;
	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return (0);
	if (got <= 0) {
		peer_break(p, got == 0 || errno == ECONNRESET ? "" : strerror(errno));
		return (-1);
	}
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c != NULL; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	}
	*len = (size_t)got;
	if (count == 1)
		*fd = fds[0];
	if (count > 1 || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		peer_break(p, "a message that is too long, or has too many descriptors");
		return (-1);
	}
	return (1);
}

/* The first message of a link. */
static void
peer_greet(struct peer *p, const struct message *m)
{
	if (m->type != MSG_HELLO || m->hello.process != p->other)
		peer_break(p, "its first message is not its HELLO");
	else if (m->hello.version != CONTRACT_VERSION)
		peer_break(p, "it speaks another version of the contract");
	else
		p->greeted = 1;
}

/* Decodes at[len] and hands it to `fn`; fd is given. */
static void
peer_hand(struct peer *p, const uint8_t *at, size_t len, int fd, peer_on_message *fn, void *ctx)
{
	struct message m;
	char why[96];

	if (message_decode(at, len, p->other, p->me, fd != -1, &m) == -1) {
		snprintf(why, sizeof(why), "a malformed message (number %u, %zu bytes)",
		    len > 1 ? (unsigned)at[0] << 8 | at[1] : 0, len);
		peer_break(p, why);
	} else if (m.type == MSG_HELLO || !p->greeted) {
		if (p->greeted)
			peer_break(p, "a second HELLO");
		else
			peer_greet(p, &m);
	} else {
		m.fd = fd;
		fn(p, &m, ctx);
		fd = m.fd;
	}
	if (fd != -1)
		close(fd);
}

/* Hands a datagram on from memory of its own: the handler may wait, and so read others. */
static void
peer_deliver(struct peer *p, struct letter *l)
{
	p->held++;
	peer_hand(p, l->at, l->len, l->fd, p->on_message, p->ctx);
	explicit_bzero(l->at, l->len);
	free(l);
	peer_let_go(p);
}

/* 1 while there may be more. */
static int
peer_take_one(struct peer *p)
{
	struct letter *l;
	size_t len;
	int fd;

	if ((l = letters_take(&p->in)) != NULL) {
		peer_deliver(p, l);
		return (1);
	}
	if (p->broken || peer_read(p, &len, &fd) != 1)
		return (0);
	if ((l = malloc(sizeof(*l) + len)) == NULL) {
		if (fd != -1)
			close(fd);
		peer_break(p, "out of memory");
		return (0);
	}
	l->next = NULL;
	l->fd = fd;
	l->len = len;
	memcpy(l->at, datagram, len);
	explicit_bzero(datagram, len);
	peer_deliver(p, l);
	return (1);
}

static void
on_link(int fd, int events, void *ctx)
{
	struct peer *p = ctx;

	(void)fd;
	p->held++;
	if (events & WATCH_WRITE)
		peer_flush(p);
	for (int i = 0; i < BATCH && !p->closed; i++)
		if (!peer_take_one(p))
			break;
	peer_let_go(p);
}

static void
on_waiting(void *ctx)
{
	struct peer *p = ctx;

	while (!p->closed && p->in.first != NULL)
		(void)peer_take_one(p);
	peer_let_go(p);
}

struct peer *
peer_open(struct loop *loop, int fd, enum process me, enum process other, uint64_t conn,
    peer_on_message *on_message, peer_on_closed *on_closed, void *ctx)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->watch = watch_begin(loop, fd, WATCH_READ, on_link, p)) == NULL) {
		free(p);
		close(fd);
		return (NULL);
	}
	p->loop = loop;
	p->fd = fd;
	p->me = me;
	p->other = other;
	p->conn = conn;
	p->on_message = on_message;
	p->on_closed = on_closed;
	p->ctx = ctx;
	p->held = 1; /* peer_close's */
	p->out.last = &p->out.first;
	p->in.last = &p->in.first;
	peer_post(p, HELLO, hello, .version = CONTRACT_VERSION, .process = (uint8_t)me);
	return (p);
}

void
peer_close(struct peer *p)
{
	if (p == NULL || p->closed)
		return;
	peer_flush(p);
	watch_end(p->watch);
	p->watch = NULL;
	close(p->fd);
	p->fd = -1;
	p->closed = 1;
	letters_clear(&p->in);
	p->held -= loop_forget(p->loop, p);
	peer_let_go(p);
}

uint64_t
peer_conn(const struct peer *p)
{
	return (p->conn);
}

enum process
peer_process(const struct peer *p)
{
	return (p->other);
}

uint32_t
peer_uid(const struct peer *p)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1)
		return ((uint32_t)-1);
	return (who.uid);
}

size_t
peer_queued(const struct peer *p)
{
	return (p->out.bytes);
}

/* Waits until the socket can be read (or written, while something waits to be sent). 0, or -1 at the deadline. */
static int
peer_poll(struct peer *p, int64_t deadline_ms)
{
	struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
	int64_t left = deadline_ms - clock_boot_ms();

	if (p->out.first != NULL)
		pfd.events |= POLLOUT;
	if (left <= 0)
		return (-1);
	if (poll(&pfd, 1, left > 1000 ? 1000 : (int)left) > 0 && (pfd.revents & POLLOUT) != 0)
		peer_flush(p);
	return (0);
}

int
peer_wait(struct peer *p, enum message_type type, int timeout_ms, peer_on_message *take, void *ctx)
{
	int64_t deadline_ms = clock_boot_ms() + timeout_ms;
	size_t len;
	int fd, got;

	if (p == NULL || p->closed)
		return (-1);
	while (!p->broken) {
		if ((got = peer_read(p, &len, &fd)) == -1)
			break;
		if (got == 0) {
			if (peer_poll(p, deadline_ms) == -1)
				return (-1);
			continue;
		}
		if (!p->greeted || (len >= 2 && (datagram[0] << 8 | datagram[1]) == (int)type)) {
			int answer = p->greeted;

			p->held++;
			peer_hand(p, datagram, len, fd, take, ctx);
			explicit_bzero(datagram, len); /* it may have been a secret; `take` does not wait */
			peer_let_go(p);
			if (answer)
				return (p->broken ? -1 : 0);
			continue;
		}
		if (letters_add(&p->in, datagram, len, fd) == -1) {
			if (fd != -1)
				close(fd);
			peer_break(p, "out of memory");
			break;
		}
		explicit_bzero(datagram, len);
		p->held++;
		loop_defer(p->loop, on_waiting, p);
	}
	return (-1);
}
