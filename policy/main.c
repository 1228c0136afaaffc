/* lodge-policy: decides.  The database of people, vendors, targets, requests and grants; every verb of every door. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/confine.h"
#include "base/log.h"
#include "control.h"
#include "deadlines.h"
#include "links.h"
#include "outbox.h"
#include "policy.h"
#include "verbs.h"
#include "visits.h"

static void
store_begin_with(struct policy *p)
{
	char path[4096], why[256];

	(void)snprintf(path, sizeof(path), "%s/policy/policy.db", p->set.state_directory);
	if ((p->store = store_open(path, why, sizeof(why))) == NULL)
		daemon_failed(p->gateway, "the database: %s", why);
}

static void
on_timer(void *ctx)
{
	deadlines_look(ctx);
}

/* Sessions and the book have what they were told; that we ended in order is written down. */
static void
policy_end(struct policy *p)
{
	timer_free(p->timer);
	p->timer = NULL;
	control_end(p);
	visits_free(p);
	verbs_free(p);
	links_end(p);
	policy_begin(p);
	must(p, meta_put(p->store, "clean", 1, ""));
	policy_commit(p);
	store_close(p->store);
}

int
main(void)
{
	static struct policy policy = {.control_fd = -1};
	struct policy *p = &policy;

	log_begin("lodge-policy");
	if ((p->loop = loop_new()) == NULL || (p->timer = timer_new(p->loop, on_timer, p)) == NULL)
		log_fatal("no event loop");
	(void)umask(077);
	p->gateway = daemon_begin(p->loop, PROCESS_POLICY, &p->set, on_gateway_message, NULL, p);
	if (p->set.time_zone[0] != '\0' && setenv("TZ", p->set.time_zone, 1) == -1)
		daemon_failed(p->gateway, "TimeZone: out of memory");
	tzset();
	store_begin_with(p);
	outbox_begin(p);
	deadlines_begin(p);
	confine(CONFINE_DAEMON);
	daemon_ready(p->gateway);
	deadlines_look(p);
	loop_run(p->loop);
	policy_end(p);
	peer_close(p->gateway);
	settings_free(&p->set);
	loop_free(p->loop);
	return (EXIT_SUCCESS);
}
