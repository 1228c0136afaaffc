/*
 * How every process that gateway starts comes to life: descriptor 3 is its link to gateway, over which its settings,
 * its links and the order to stop arrive (main.c of each room reads like a table of contents).
 */
#ifndef CONTRACT_DAEMON_H
#define CONTRACT_DAEMON_H

#include "contract/peer.h"
#include "contract/settings.h"

#define DAEMON_FD 3

/*
 * Opens the link to gateway and waits for SETTINGS; ends the process when there is none.  Afterwards on_gateway gets
 * what gateway sends (LINK, MEMORY, …) from the loop.  STOP, and the end of gateway, call on_end once (NULL: the loop
 * stops), which must bring the loop to its end in order.
 */
typedef void daemon_on_end(void *ctx);
struct peer *daemon_begin(struct loop *loop, enum process me, struct settings *set, peer_on_message *on_gateway,
    daemon_on_end *on_end, void *ctx);

/* Everything is set up: gateway may send links now. */
void daemon_ready(struct peer *gateway);

/* It cannot be: tells gateway (and so the operator) why, in one line with the remedy, and ends the process, status 78. */
_Noreturn void daemon_failed(struct peer *gateway, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
