/*
 * lodge-reader: plays, lists, verifies and exports recordings that policy allowed to be read.  It judges nobody and writes
 * nothing but to the descriptor of who asked.
 */
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract/daemon.h"
#include "holdings.h"
#include "readings.h"

static struct readings *readings;

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	if (m->type != MSG_LINK || m->link.peer != PROCESS_POLICY)
		return;
	readings_link(readings, m->fd);
	m->fd = -1;
}

int
main(void)
{
	struct settings set = {0};
	struct holdings holdings;
	struct loop *loop = loop_new();
	struct peer *gateway;
	char why[512];

	if (loop == NULL)
		log_fatal("out of memory");
	gateway = daemon_begin(loop, PROCESS_READER, &set, on_gateway, NULL, NULL);
	if (holdings_open(&holdings, &set, why, sizeof(why)) == -1)
		daemon_failed(gateway, "%s", why);
	if ((readings = readings_new(loop, &holdings)) == NULL)
		daemon_failed(gateway, "no memory");
	confine(CONFINE_DAEMON);
	daemon_ready(gateway);
	loop_run(loop);

	readings_free(readings);
	holdings_close(&holdings);
	peer_close(gateway);
	settings_free(&set);
	loop_free(loop);
	return (0);
}
