/* The listening sockets and the directories of the house: what only root can make. */
#ifndef GATEWAY_DOORS_H
#define GATEWAY_DOORS_H

#include "contract/messages.h"

void doors_prepare(
    void); /* directories, the lock against a second gateway, the sockets for `lodge`; or the process ends */
void doors_bind(void); /* the ssh port on every address; or the process ends */
void doors_open(void); /* from now on connections are accepted */
void doors_close(void);
/* The socket for `lodge` that this process listens on (policy, auth), lent. */
int doors_control(enum process process);

#endif
