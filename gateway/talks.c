#include "talks.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "children.h"
#include "house.h"

#define TALKS_MAX 96       /* at once; auth asks for fewer (auth/house.h), and enrols besides */
#define TALK_SLACK_MS 5000 /* past PAMTimeout, for a module that hangs */
#define STAY_END_MS 5000   /* that a PAM session may take to close, once auth is gone */

struct talk {
	struct talk *next;
	uint64_t ask;
	pid_t pid;
	struct peer *peer;
	struct timer *limit;
	int stays; /* the conversation is over, its PAM session is not */
};

static struct {
	struct talk *first;
	size_t talking, staying;
	void (*on_ended)(void); /* NULL: nobody waits for the last one */
} talks;

/* With all that its modules started: lodge-pam leads a group of its own. */
static void
talk_kill(const struct talk *t)
{
	child_kill(t->pid, SIGKILL);
	child_kill_group(t->pid, SIGKILL);
}

/* Nothing limits it but its connection's end; there cannot be more than connections. */
static void
talk_stays(struct talk *t)
{
	if (t->stays)
		return;
	if (talks.staying >= (size_t)house.set.max_connections) {
		log_error("more PAM sessions than connections: one is ended");
		talk_kill(t);
		return;
	}
	timer_stop(t->limit);
	t->stays = 1;
	talks.talking--;
	talks.staying++;
}

static void
on_talk_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	if (m->type == MSG_PAM_STAYS)
		talk_stays(ctx);
}

static void
on_talk_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	if (*why == '\0')
		return;
	log_error("the link to lodge-pam broke: %s", why);
	talk_kill(ctx);
}

static void
on_talk_limit(void *ctx)
{
	const struct talk *t = ctx;

	log_warning(t->stays ? "a PAM session does not close: killed" : "a PAM conversation hangs: killed");
	talk_kill(t);
}

static void
talk_over(uint64_t ask)
{
	struct peer *auth = children_peer(PROCESS_AUTH);

	peer_post(auth, PAM_GONE, pam_gone, .ask = ask);
}

/* Links it, and counts it among those that talk. */
static void
talk_link(uint64_t ask, pid_t pid, int link, const int pair[2])
{
	struct talk *t = calloc(1, sizeof(*t));

	if (t == NULL)
		log_fatal("out of memory");
	t->ask = ask;
	t->pid = pid;
	t->next = talks.first;
	talks.first = t;
	talks.talking++;
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

void
talk_begin(uint64_t ask)
{
	int link, pair[2];
	pid_t pid;

	if (talks.talking >= TALKS_MAX || link_pair(pair) == -1) {
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
	talk_link(ask, pid, link, pair);
}

static void
talk_free(struct talk *t)
{
	if (t->stays)
		talks.staying--;
	else
		talks.talking--;
	peer_close(t->peer);
	timer_free(t->limit);
	free(t);
}

int
talk_reaped(pid_t pid)
{
	for (struct talk **at = &talks.first, *t; (t = *at) != NULL; at = &t->next) {
		if (t->pid != pid)
			continue;
		child_kill_group(pid, SIGKILL); /* what is left of it; nobody else has its number while one lives */
		talk_over(t->ask);
		*at = t->next;
		talk_free(t);
		if (talks.first == NULL && talks.on_ended != NULL)
			talks.on_ended();
		return (1);
	}
	return (0);
}

void
talks_end_all(void)
{
	for (const struct talk *t = talks.first; t != NULL; t = t->next) {
		if (t->stays)
			timer_after(t->limit, STAY_END_MS);
		else
			talk_kill(t);
	}
}

void
talks_wait(void (*on_ended)(void))
{
	talks.on_ended = on_ended;
	if (talks.first == NULL)
		on_ended();
}
