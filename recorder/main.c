/* lodge-recorder: remembers.  Writes what rings hold, seals it, recovers it.  See lodge-recorder.8 and DESIGN.md. */
#include "contract/daemon.h"

#include <sys/stat.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/loop.h"
#include "desk.h"
#include "shelf.h"
#include "works.h"

static struct desk *desk;

static void
on_end(void *ctx)
{
	(void)ctx;
	desk_stop(desk);
}

static struct shelf *
shelf_from(struct peer *gateway, const struct settings *set)
{
	const struct shelf_limits limits = {.low = (uint64_t)set->disk_low,
	    .critical = (uint64_t)set->disk_critical,
	    .reserve = (uint64_t)set->disk_reserve};
	char why[512];
	struct shelf *shelf = shelf_open(set->recording_directory, &limits, why, sizeof why);

	if (shelf == NULL)
		daemon_failed(gateway, "%s", why);
	return (shelf);
}

static struct desk *
desk_from(struct loop *loop, struct peer *gateway, struct shelf *shelf, const struct settings *set)
{
	const struct desk_about about = {.loop = loop,
	    .gateway = gateway,
	    .shelf = shelf,
	    .recipients = set->recording_recipients,
	    .input_recipients = set->input_recipients};
	char why[512];
	struct desk *d = desk_open(&about, why, sizeof why);

	if (d == NULL)
		daemon_failed(gateway, "%s", why);
	return (d);
}

int
main(void)
{
	struct settings set = {0};
	struct loop *loop = loop_new();
	struct peer *gateway;
	struct shelf *shelf;

	if (loop == NULL)
		log_fatal("no memory");
	gateway = daemon_begin(loop, PROCESS_RECORDER, &set, desk_on_gateway, on_end, &desk);
	(void)umask(027);
	shelf = shelf_from(gateway, &set);
	confine(CONFINE_DAEMON);
	desk = desk_from(loop, gateway, shelf, &set);
	daemon_ready(gateway);
	loop_run(loop);

	desk_close(desk);
	shelf_close(shelf);
	peer_close(gateway);
	settings_free(&set);
	loop_free(loop);
	return (0);
}
