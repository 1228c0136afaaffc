/* The target's end of a channel: opened, given its terminal and environment, started, and watched until it closes. */
#ifndef SESSION_ENTRY_H
#define SESSION_ENTRY_H

#include "channel.h"

/* policy said yes: what of the agent and of X11 the grant covers, the target will be told of. */
void entry_allow(struct channel *c);
int entry_turn(struct channel *c);         /* ENTERING: 1 when something moved */
int entry_running_turn(struct channel *c); /* RUNNING */
/* The channel leaves its visit, whose end is at hand: what runs is told to stop, the record to close. */
void entry_leave(struct channel *c);

#endif
