#include "leg.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract/settings.h"
#include "ssh_more.h"

#define PUMP_STEPS 64     /* polls of libssh in one pump, each at most 4 KiB in */
#define FAREWELL_STEPS 50 /* polls that the last packets may take */

static void
on_ready(int fd, int events, void *ctx)
{
	struct leg *l = ctx;

	(void)fd;
	(void)events;
	l->wake(l->ctx);
}

int
leg_begin(struct leg *l, struct loop *loop, ssh_session ssh, int fd, leg_on_wake *wake, void *ctx)
{
	static const int on = 1;

	*l = (struct leg){.loop = loop, .ssh = ssh, .fd = fd, .watched = -1, .wake = wake, .ctx = ctx};
	l->heard_ms = clock_boot_ms();
	if ((l->watched = fcntl(fd, F_DUPFD_CLOEXEC, 3)) == -1)
		goto no_copy;
	leg_unblock(l);
	/* Not every descriptor is TCP in a test. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if ((l->watch = watch_begin(loop, l->watched, WATCH_READ, on_ready, l)) == NULL)
		goto no_watch;
	return (0);

no_watch:
	close(l->watched);
no_copy:
	ssh_free(ssh);
	*l = (struct leg){.fd = -1, .watched = -1, .over = 1};
	return (-1);
}

int
leg_rekey(ssh_session ssh, const struct settings *set)
{
	uint64_t bytes = (uint64_t)set->rekey_bytes;
	uint32_t seconds = (uint32_t)(set->rekey_interval / 1000);

	return (ssh_options_set(ssh, SSH_OPTIONS_REKEY_DATA, &bytes) < 0 ||
	                ssh_options_set(ssh, SSH_OPTIONS_REKEY_TIME, &seconds) < 0
	            ? -1
	            : 0);
}

int
leg_listen(struct leg *l)
{
	if (l->event != NULL)
		return (0);
	if ((l->event = ssh_event_new()) == NULL)
		return (-1);
	if (ssh_event_add_session(l->event, l->ssh) != SSH_OK) {
		ssh_event_free(l->event);
		l->event = NULL;
		return (-1);
	}
	return (0);
}

void
leg_unblock(const struct leg *l)
{
	static const int on = 1;
	int flags = fcntl(l->watched, F_GETFL);

	if (flags != -1 && (flags & O_NONBLOCK) == 0)
		(void)fcntl(l->watched, F_SETFL, flags | O_NONBLOCK);
	/* A delayed acknowledgement of ours would meet a peer's Nagle: 40 ms at each step of a login. */
	(void)setsockopt(l->watched, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static int
leg_is_gone(const struct leg *l)
{
	return (!ssh_is_connected(l->ssh) || (ssh_get_status(l->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0);
}

int
leg_pump(struct leg *l)
{
	int moved = 0, rc = SSH_OK;
	uint64_t packets;

	if (l->over || l->event == NULL)
		return (0);
	leg_unblock(l);
	for (int i = 0; i < PUMP_STEPS && rc == SSH_OK; i++) {
		if ((rc = ssh_event_dopoll(l->event, 0)) == SSH_OK)
			moved = 1;
		if (leg_is_gone(l))
			break;
	}
	if (rc == SSH_ERROR || leg_is_gone(l) || ssh_more_unsent(l->ssh) > LEG_UNSENT_LOST ||
	    ssh_more_messages(l->ssh) > LEG_MESSAGES_LOST) {
		l->over = 1;
		return (1);
	}
	if ((packets = ssh_more_packets_in(l->ssh)) != l->packets_seen) {
		l->packets_seen = packets;
		l->heard_ms = clock_boot_ms();
		l->unanswered = 0;
	}
	return (moved);
}

void
leg_watch(struct leg *l)
{
	int events = WATCH_READ;

	if (l->watch == NULL)
		return;
	if (l->over) {
		watch_end(l->watch);
		l->watch = NULL;
		return;
	}
	if ((ssh_get_status(l->ssh) & SSH_WRITE_PENDING) != 0)
		events |= WATCH_WRITE;
	watch_change(l->watch, events);
}

size_t
leg_unsent(const struct leg *l)
{
	return (l->over || l->ssh == NULL ? 0 : ssh_more_unsent(l->ssh));
}

size_t
leg_room(const struct leg *l)
{
	size_t unsent;

	if (l->over || l->ssh == NULL)
		return (0);
	unsent = ssh_more_unsent(l->ssh);
	return (unsent >= LEG_UNSENT_MAX ? 0 : LEG_UNSENT_MAX - unsent);
}

int
leg_alive_check(struct leg *l, int64_t interval_ms, int64_t most)
{
	int64_t now_ms = clock_boot_ms();

	if (l->over || l->event == NULL || now_ms - l->heard_ms < interval_ms || now_ms - l->asked_ms < interval_ms)
		return (0);
	if (l->unanswered >= most)
		return (1);
	l->unanswered++;
	l->asked_ms = now_ms;
	(void)ssh_more_keepalive(l->ssh);
	return (0);
}

/* 1 when l->fd still is the socket of which `watched` is a copy: libssh closes its own or not, as it likes. */
static int
descriptor_is_ours(const struct leg *l)
{
	struct stat a, b;

	return (l->fd != -1 && l->fd != l->watched && fstat(l->fd, &a) == 0 && fstat(l->watched, &b) == 0 &&
	        a.st_ino == b.st_ino && a.st_dev == b.st_dev);
}

void
leg_end(struct leg *l, const char *text)
{
	if (l->ssh == NULL)
		return;
	watch_end(l->watch);
	l->watch = NULL;
	if (!l->over && l->event != NULL) {
		leg_unblock(l);
		/* libssh writes only where it has seen room, and drops what is left at the end. */
		for (int i = 0; i < FAREWELL_STEPS && ssh_event_dopoll(l->event, 0) == SSH_OK; i++)
			if (leg_is_gone(l))
				break;
	}
	if (l->event != NULL) {
		(void)ssh_event_remove_session(l->event, l->ssh);
		ssh_event_free(l->event);
		l->event = NULL;
	}
	if (!leg_is_gone(l) && l->silent)
		ssh_silent_disconnect(l->ssh);
	else if (!leg_is_gone(l)) {
		if (text != NULL)
			(void)ssh_session_set_disconnect_message(l->ssh, text);
		ssh_disconnect(l->ssh);
	}
	ssh_more_end(l->ssh);
	ssh_free(l->ssh);
	l->ssh = NULL;
	if (descriptor_is_ours(l))
		close(l->fd);
	if (l->watched != -1)
		close(l->watched);
	l->fd = l->watched = -1;
	l->over = 1;
}
