/*
 * What gateway knows: its settings, its children and the connections under way.  One house a process.
 */
#ifndef GATEWAY_HOUSE_H
#define GATEWAY_HOUSE_H

#include <stdint.h>
#include <sys/types.h>

#include "contract/messages.h"
#include "contract/peer.h"
#include "contract/settings.h"

struct loop;
struct connection;

struct house {
	struct loop *loop;
	/* From the command line. */
	const char *config_path;
	char *libexec; /* directory of the executables */
	int single_user;
	/* From the configuration. */
	struct settings set;
	char *settings_text; /* what children are given */
	/* Under way. */
	int open;   /* every daemon has been ready once: connections are accepted */
	int ending; /* no child is started any more */
	struct connection *connections;
	uint64_t last_conn;
};

extern struct house house;

#endif
