#include "talks.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "children.h"
#include "house.h"

#define TALKS_MAX 64       /* at once */
#define TALK_SLACK_MS 5000 /* past PAMTimeout, for a module that hangs */

struct talk {
	uint64_t ask;
	pid_t pid; /* 0: free */
	struct peer *peer;
	struct timer *limit;
};

static struct talk talks[TALKS_MAX];

static void
on_talk_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)m;
	(void)ctx;
}

static void
on_talk_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)ctx;
	if (*why != '\0')
		log_error("the link to lodge-pam broke: %s", why);
}

static void
on_talk_limit(void *ctx)
{
	struct talk *t = ctx;

	log_warning("a PAM conversation hangs: killed");
	child_kill(t->pid, SIGKILL);
}

static void
talk_over(uint64_t ask)
{
	struct peer *auth = children_peer(PROCESS_AUTH);

	peer_post(auth, PAM_GONE, pam_gone, .ask = ask);
}

static struct talk *
talk_free_one(void)
{
	for (size_t i = 0; i < TALKS_MAX; i++)
		if (talks[i].pid == 0)
			return (&talks[i]);
	return (NULL);
}

void
talk_begin(uint64_t ask)
{
	struct talk *t = talk_free_one();
	int link, pair[2];
	pid_t pid;

	if (t == NULL || link_pair(pair) == -1) {
		log_warning("too many PAM conversations at once: one is refused");
		talk_over(ask);
		return;
	}
	if ((pid = child_start(PROCESS_PAM, &link)) == -1) {
		log_error("cannot start lodge-pam: %s", strerror(errno));
		close(pair[0]);
		close(pair[1]);
		talk_over(ask);
		return;
	}
	t->ask = ask;
	t->pid = pid;
	t->peer =
	    peer_open(house.loop, link, PROCESS_GATEWAY, PROCESS_PAM, ask, on_talk_message, on_talk_closed, t);
	t->limit = timer_new(house.loop, on_talk_limit, t);
	if (t->peer == NULL || t->limit == NULL)
		log_fatal("out of memory");
	peer_post(t->peer, SETTINGS, settings, .text = bytes_text(house.settings_text));
	peer_post_fd(t->peer, pair[0], LINK, link, .peer = PROCESS_AUTH, .conn = ask);
	peer_post_fd(children_peer(PROCESS_AUTH), pair[1], LINK, link, .peer = PROCESS_PAM, .conn = ask);
	timer_after(t->limit, house.set.pam_timeout + TALK_SLACK_MS);
}

int
talk_reaped(pid_t pid)
{
	for (size_t i = 0; i < TALKS_MAX; i++)
		if (pid > 0 && talks[i].pid == pid) {
			talk_over(talks[i].ask);
			peer_close(talks[i].peer);
			timer_free(talks[i].limit);
			talks[i] = (struct talk){0};
			return (1);
		}
	return (0);
}

void
talks_end_all(void)
{
	for (size_t i = 0; i < TALKS_MAX; i++)
		child_kill(talks[i].pid, SIGKILL);
}
