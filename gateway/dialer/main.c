/*
 * lodge-dialer: resolves a name and connects, on policy's word alone; hands the descriptor to the recorder, or to the
 * scan of a target, and keeps no copy.  It reads no byte of what it connected.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract/daemon.h"
#include "contract/tables.h"

#define DIALS_MAX 256 /* under way at once */
#define SCANS_MAX 8

/* One target being dialled: its addresses are tried in turn until the deadline. */
struct dial {
	struct dial *next, **back;
	uint64_t conn;
	uint32_t stream;
	char host[256];
	char service[8];
	uv_getaddrinfo_t resolving;
	int is_resolving;
	int over; /* answered; freed when the resolver lets go */
	struct addrinfo *found, *at;
	int fd;
	int last_error;
	int is_scan;           /* the descriptor goes to scan number `conn` */
	int guarded, was_near; /* an address of this machine or its link is not dialled; there was one */
	struct watch *watch;
	struct timer *deadline;
};

static struct {
	struct loop *loop;
	struct settings set;
	struct peer *policy, *recorder;
	struct peer *scans[SCANS_MAX]; /* NULL: a free place */
	struct dial *dials;
	size_t count;
} dialer;

static void dial_next(struct dial *d);

static void
dial_free(struct dial *d)
{
	watch_end(d->watch);
	timer_free(d->deadline);
	if (d->fd != -1)
		close(d->fd);
	if (d->found != NULL)
		uv_freeaddrinfo(d->found);
	*d->back = d->next;
	if (d->next != NULL)
		d->next->back = d->back;
	dialer.count--;
	free(d);
}

/* Tells policy, and ends the dial. */
static void
dial_over(struct dial *d, enum reason reason, const char *text)
{
	if (!d->over)
		peer_post(dialer.policy, DIALED, dialed, .conn = d->conn, .stream = d->stream,
		    .reason = (uint16_t)reason, .text = bytes_text(text));
	d->over = 1;
	if (d->is_resolving)
		(void)uv_cancel((uv_req_t *)&d->resolving); /* on_resolved frees it */
	else
		dial_free(d);
}

static struct peer *
scan_of(uint64_t number)
{
	for (size_t i = 0; i < SCANS_MAX; i++)
		if (dialer.scans[i] != NULL && peer_conn(dialer.scans[i]) == number)
			return (dialer.scans[i]);
	return (NULL);
}

static void
dial_hand_on(struct dial *d)
{
	struct peer *to = d->is_scan ? scan_of(d->conn) : dialer.recorder;
	int on = 1;

	if (to == NULL) {
		dial_over(d, d->is_scan ? REASON_LEFT : REASON_RECORDER,
		    d->is_scan ? "the scan is over" : "the recorder is away");
		return;
	}
	watch_end(d->watch);
	d->watch = NULL;
	(void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(d->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	peer_post_fd(to, d->fd, DESCRIPTOR, descriptor, .conn = d->conn, .stream = d->stream);
	d->fd = -1;
	dial_over(d, REASON_NONE, "");
}

static void
on_connected(int fd, int events, void *ctx)
{
	struct dial *d = ctx;
	socklen_t len = sizeof(d->last_error);

	(void)events;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &d->last_error, &len) == -1)
		d->last_error = errno;
	if (d->last_error == 0)
		dial_hand_on(d);
	else
		dial_next(d);
}

/* This machine, its link, or nobody in particular (RFC 6890): a name that somebody else keeps must not lead there. */
static int
address_is_near(const struct sockaddr *sa)
{
	const struct sockaddr_in6 *six = (const void *)sa;
	const struct sockaddr_in *four = (const void *)sa;
	const uint8_t *at = six->sin6_addr.s6_addr;
	uint32_t v4;

	if (sa->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return (IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr) ||
		        IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) || IN6_IS_ADDR_MULTICAST(&six->sin6_addr));
	v4 = sa->sa_family == AF_INET
	         ? ntohl(four->sin_addr.s_addr)
	         : (uint32_t)at[12] << 24 | (uint32_t)at[13] << 16 | (uint32_t)at[14] << 8 | at[15];
	return (v4 >> 24 == 127 || v4 >> 24 == 0 || v4 >> 16 == 0xa9fe || v4 >> 28 >= 14);
}

/* Tries the next address; when there is none left, the dial has failed. */
static void
dial_next(struct dial *d)
{
	struct addrinfo *ai;
	char text[320];

	watch_end(d->watch);
	d->watch = NULL;
	if (d->fd != -1)
		close(d->fd);
	d->fd = -1;
	while ((ai = d->at) != NULL) {
		d->at = ai->ai_next;
		if (d->guarded && address_is_near(ai->ai_addr)) {
			d->was_near = 1;
			continue;
		}
		d->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (d->fd != -1 && (connect(d->fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS) &&
		    (d->watch = watch_begin(dialer.loop, d->fd, WATCH_WRITE, on_connected, d)) != NULL)
			return;
		d->last_error = errno;
		if (d->fd != -1)
			close(d->fd);
		d->fd = -1;
	}
	if (d->was_near && d->last_error == 0) {
		snprintf(text, sizeof(text), "%s port %s: the name leads to the gateway itself or its link",
		    d->host, d->service);
		dial_over(d, REASON_FORWARD, text);
		return;
	}
	snprintf(text, sizeof(text), "%s port %s: %s", d->host, d->service, strerror(d->last_error));
	dial_over(d, REASON_UNREACHABLE, text);
}

static void
on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct dial *d = req->data;
	char text[320];

	d->is_resolving = 0;
	d->found = found;
	if (d->over) {
		dial_free(d);
		return;
	}
	if (status != 0) {
		snprintf(text, sizeof(text), "%s: %s", d->host, uv_strerror(status));
		dial_over(d, REASON_UNREACHABLE, text);
		return;
	}
	d->at = found;
	dial_next(d);
}

static void
on_deadline(void *ctx)
{
	struct dial *d = ctx;
	char text[320];

	snprintf(text, sizeof(text), "%s port %s: no answer in time", d->host, d->service);
	dial_over(d, REASON_UNREACHABLE, text);
}

static void
dial_refuse(const struct msg_dial *m, enum reason reason, const char *text)
{
	peer_post(dialer.policy, DIALED, dialed, .conn = m->conn, .stream = m->stream, .reason = (uint16_t)reason,
	    .text = bytes_text(text));
}

static void
dial_begin(const struct msg_dial *m)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct dial *d;

	for (d = dialer.dials; d != NULL; d = d->next)
		if (d->conn == m->conn && d->stream == m->stream && !d->over)
			return; /* asked again after a restart of policy's */
	if (dialer.count >= DIALS_MAX || (d = calloc(1, sizeof(*d))) == NULL) {
		dial_refuse(m, REASON_LIMIT, "too many targets are being dialled");
		return;
	}
	d->fd = -1;
	d->conn = m->conn;
	d->stream = m->stream;
	d->guarded = m->guarded != 0;
	d->is_scan = m->scan != 0;
	d->next = dialer.dials;
	d->back = &dialer.dials;
	if (d->next != NULL)
		d->next->back = &d->next;
	dialer.dials = d;
	dialer.count++;
	if (bytes_copy(d->host, sizeof(d->host), m->host) == -1 || m->port == 0) {
		dial_over(d, REASON_UNREACHABLE, "the target's address is not one");
		return;
	}
	snprintf(d->service, sizeof(d->service), "%u", m->port);
	if ((d->deadline = timer_new(dialer.loop, on_deadline, d)) == NULL) {
		dial_over(d, REASON_LIMIT, "out of memory");
		return;
	}
	timer_after(d->deadline, dialer.set.dial_timeout);
	d->resolving.data = d;
	if (uv_getaddrinfo(loop_uv(dialer.loop), &d->resolving, on_resolved, d->host, d->service, &hints) != 0)
		dial_over(d, REASON_UNREACHABLE, "the resolver cannot be asked");
	else
		d->is_resolving = 1;
}

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	if (m->type == MSG_DIAL)
		dial_begin(&m->dial);
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	(void)ctx;
	if (*why != '\0')
		log_fatal("the link to %s broke: %s", process_name(peer_process(p)), why);
	if (p == dialer.policy)
		dialer.policy = NULL;
	else if (p == dialer.recorder)
		dialer.recorder = NULL;
	peer_close(p);
}

/* A scan reads what strangers say: whatever becomes of its link is its own end alone. */
static void
on_scan_closed(struct peer *p, const char *why, void *ctx)
{
	struct peer **at = ctx;

	if (*why != '\0')
		log_warning("the link to a scan broke: %s", why);
	peer_close(p);
	*at = NULL;
}

/* fd is given. */
static void
scan_link(uint64_t number, int fd)
{
	for (size_t i = 0; i < SCANS_MAX; i++) {
		if (dialer.scans[i] != NULL)
			continue;
		dialer.scans[i] = peer_open(dialer.loop, fd, PROCESS_DIALER, PROCESS_SCAN, number, on_message,
		    on_scan_closed, &dialer.scans[i]);
		if (dialer.scans[i] == NULL)
			log_fatal("out of memory");
		return;
	}
	close(fd); /* gateway starts fewer */
}

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	struct peer **at;
	int fd = m->fd;

	(void)p;
	(void)ctx;
	if (m->type != MSG_LINK)
		return;
	if (m->link.peer == PROCESS_SCAN) {
		m->fd = -1;
		scan_link(m->link.conn, fd);
		return;
	}
	at = m->link.peer == PROCESS_POLICY     ? &dialer.policy
	     : m->link.peer == PROCESS_RECORDER ? &dialer.recorder
	                                        : NULL;
	if (at == NULL)
		return;
	m->fd = -1;
	peer_close(*at);
	if ((*at = peer_open(dialer.loop, fd, PROCESS_DIALER, m->link.peer, 0, on_message, on_closed, NULL)) ==
	    NULL)
		log_fatal("out of memory");
}

int
main(void)
{
	struct peer *gateway;

	if ((dialer.loop = loop_new()) == NULL)
		log_fatal("out of memory");
	gateway = daemon_begin(dialer.loop, PROCESS_DIALER, &dialer.set, on_gateway, NULL, NULL);
	confine(CONFINE_DAEMON);
	daemon_ready(gateway);
	loop_run(dialer.loop);

	peer_close(dialer.policy);
	peer_close(dialer.recorder);
	for (size_t i = 0; i < SCANS_MAX; i++)
		peer_close(dialer.scans[i]);
	peer_close(gateway);
	return (0);
}
