#include "scans.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "children.h"
#include "house.h"

#define SCANS_MAX 8         /* at once; policy allows fewer */
#define SCAN_LIMIT_MS 40000 /* it ends itself well before */

struct scan {
	uint64_t number;
	pid_t pid; /* 0: free */
	struct peer *peer;
	struct timer *limit;
};

static struct scan scans[SCANS_MAX];

static void
on_scan_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)m;
	(void)ctx;
}

static void
on_scan_closed(struct peer *p, const char *why, void *ctx)
{
	struct scan *s = ctx;

	(void)p;
	if (*why == '\0')
		return;
	log_error("the link to a scan broke: %s", why);
	child_kill(s->pid, SIGKILL);
}

static void
on_scan_limit(void *ctx)
{
	struct scan *s = ctx;

	log_warning("a scan hangs: killed");
	child_kill(s->pid, SIGKILL);
}

static void
scan_over(uint64_t number)
{
	peer_post(children_peer(PROCESS_POLICY), SCAN_GONE, scan_gone, .scan = number);
}

static struct scan *
scan_free_one(void)
{
	for (size_t i = 0; i < SCANS_MAX; i++)
		if (scans[i].pid == 0)
			return (&scans[i]);
	return (NULL);
}

/* A link between the scan and a daemon, whose end goes first: it knows of the scan before that can say anything. */
static void
scan_link(const struct scan *s, enum process process)
{
	struct peer *daemon = children_peer(process);
	int pair[2];

	if (daemon == NULL)
		return;
	if (link_pair(pair) == -1)
		log_fatal("no descriptor left for links: %s", strerror(errno));
	peer_post_fd(daemon, pair[0], LINK, link, .peer = PROCESS_SCAN, .conn = s->number);
	peer_post_fd(s->peer, pair[1], LINK, link, .peer = (uint8_t)process, .conn = s->number);
}

void
scan_begin(uint64_t number)
{
	struct scan *s = scan_free_one();
	int link;
	pid_t pid;

	if (s == NULL || house.ending) {
		log_warning("too many scans at once: one is refused");
		scan_over(number);
		return;
	}
	if ((pid = child_start(PROCESS_SCAN, &link)) == -1) {
		log_error("cannot start a scan: %s", strerror(errno));
		scan_over(number);
		return;
	}
	s->number = number;
	s->pid = pid;
	s->peer =
	    peer_open(house.loop, link, PROCESS_GATEWAY, PROCESS_SCAN, number, on_scan_message, on_scan_closed, s);
	s->limit = timer_new(house.loop, on_scan_limit, s);
	if (s->peer == NULL || s->limit == NULL)
		log_fatal("out of memory");
	peer_post(s->peer, SETTINGS, settings, .text = bytes_text(house.settings_text));
	scan_link(s, PROCESS_DIALER);
	scan_link(s, PROCESS_POLICY);
	timer_after(s->limit, SCAN_LIMIT_MS);
}

int
scan_reaped(pid_t pid)
{
	for (size_t i = 0; i < SCANS_MAX; i++)
		if (pid > 0 && scans[i].pid == pid) {
			peer_close(scans[i].peer);
			timer_free(scans[i].limit);
			scan_over(scans[i].number);
			scans[i] = (struct scan){0};
			return (1);
		}
	return (0);
}

void
scans_end_all(void)
{
	for (size_t i = 0; i < SCANS_MAX; i++)
		child_kill(scans[i].pid, SIGKILL);
}
