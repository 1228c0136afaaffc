/*
 * The processes of the house: started from their own executables under their own users, watched, started again when
 * they die, ended in order.  The only place that forks, executes and kills.
 */
#ifndef GATEWAY_CHILDREN_H
#define GATEWAY_CHILDREN_H

#include <stdint.h>
#include <sys/types.h>

#include "contract/peer.h"

/* What a daemon says, and its turning points; all called from the loop. */
struct children_calls {
	void (*on_ready)(enum process process);                      /* it lives: send it its links */
	void (*on_gone)(enum process process);                       /* it died; it will be started again */
	void (*on_message)(enum process process, struct message *m); /* m is lent */
	void (*on_reaped)(pid_t pid, int status);                    /* a process that is none of the daemons */
};

void children_begin(const struct children_calls *calls); /* starts every daemon and the sessions' parent */
/* The link to a daemon that is ready; NULL while it is away.  SESSION: the warm parent. */
struct peer *children_peer(enum process process);
int children_all_ready(void);
void children_renew(
    enum process process); /* stops it in order; it is started again with the settings now in effect */
void children_stop(void (*on_stopped)(void)); /* everything ends, the recorder, the book last */

/* Starts one process more (lodge-pam, a scan).  Gives its pid and the descriptor of its link; -1 and errno. */
pid_t child_start(enum process process, int *link);
void child_kill(pid_t pid, int signum);
void child_kill_group(pid_t pid, int signum); /* it and all that it started and that did not leave its group */

/* Gives a connected pair of SOCK_SEQPACKET; -1 and errno. */
int link_pair(int pair[2]);

#endif
