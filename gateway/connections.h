/*
 * The connections under way: each one numbered, given its links and its ring, its process watched and, at its limit,
 * killed.  Gateway reads no byte of any of them.
 */
#ifndef GATEWAY_CONNECTIONS_H
#define GATEWAY_CONNECTIONS_H

#include <stdint.h>
#include <sys/types.h>

#include "contract/messages.h"

void connections_prepare(void);
/* A TCP connection (fd given) from source:port.  Refused with one line and closed past a limit of sources.h. */
void connections_accept(int fd, const char *source, uint16_t port);

/* A daemon came (back) to life: gives it its links and rings, and the connections theirs to it. */
void connections_relink(enum process process);

/* From the daemons and the warm parent. */
void connections_message(enum process from, struct message *m);

/* A process ended: 1 when it was one of ours.  parent_gone: connections not yet born never will be. */
int connections_reaped(pid_t pid, int status);
void connections_parent_gone(void);

void connections_end_all(void); /* tells every session to end */
void connections_kill_all(void);
size_t connections_live(void);     /* processes that still run */
size_t connections_unsealed(void); /* rings that the recorder has not sealed yet */

#endif
