#include "contract/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>

#include "base/log.h"
#include "base/loop.h"

#define SETTINGS_WAIT_MS 20000

/* One daemon a process. */
static struct {
	struct loop *loop;
	peer_on_message *on_gateway;
	daemon_on_end *on_end;
	void *ctx;
	int ending;
} daemon_now;

static void
daemon_end(void)
{
	if (daemon_now.ending++)
		return;
	if (daemon_now.on_end != NULL)
		daemon_now.on_end(daemon_now.ctx);
	else
		loop_stop(daemon_now.loop);
}

static void
on_gateway_message(struct peer *p, struct message *m, void *ctx)
{
	if (m->type == MSG_STOP)
		daemon_end();
	else if (daemon_now.on_gateway != NULL)
		daemon_now.on_gateway(p, m, ctx);
}

static void
on_gateway_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)ctx;
	if (*why != '\0')
		log_error("the link to lodge-gateway broke: %s", why);
	daemon_end();
}

static void
on_setting_error(void *ctx, const char *line)
{
	(void)ctx;
	log_error("%s", line);
}

static void
on_settings(struct peer *p, struct message *m, void *ctx)
{
	struct settings *set = ctx;

	(void)p;
	if (settings_from_text(set, "settings from lodge-gateway", (const char *)m->settings.text.at,
	        m->settings.text.len, on_setting_error, NULL) != 0)
		log_fatal("the settings from lodge-gateway do not fit this program: are both of one release?");
}

struct peer *
daemon_begin(struct loop *loop, enum process me, struct settings *set, peer_on_message *on_gateway,
    daemon_on_end *on_end, void *ctx)
{
	struct peer *gateway;

	log_begin(process_name(me));
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C is gateway's to turn into an orderly end */
	if (fcntl(DAEMON_FD, F_GETFD) == -1)
		log_fatal("started by hand: lodge-gateway(8) starts this program");
	if (fcntl(DAEMON_FD, F_SETFD, FD_CLOEXEC) == -1)
		log_fatal("descriptor %d: %s", DAEMON_FD, strerror(errno));
	daemon_now.loop = loop;
	daemon_now.on_gateway = on_gateway;
	daemon_now.on_end = on_end;
	daemon_now.ctx = ctx;
	gateway = peer_open(loop, DAEMON_FD, me, PROCESS_GATEWAY, 0, on_gateway_message, on_gateway_closed, ctx);
	if (gateway == NULL)
		log_fatal("started by hand: lodge-gateway(8) starts this program");
	if (peer_wait(gateway, MSG_SETTINGS, SETTINGS_WAIT_MS, on_settings, set) == -1)
		log_fatal("no settings came from lodge-gateway");
	return (gateway);
}

void
daemon_ready(struct peer *gateway)
{
	peer_post(gateway, READY, ready, .none = 0);
}

void
daemon_failed(struct peer *gateway, const char *format, ...)
{
	char why[512];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	peer_post(gateway, FAILED, failed, .why = bytes_text(why));
	peer_close(gateway);
	exit(78);
}
