/* The listening sockets and the directories of the house: what only root can make. */
#ifndef GATEWAY_DOORS_H
#define GATEWAY_DOORS_H

void doors_prepare(
    void);             /* directories, the lock against a second gateway, the control socket; or the process ends */
void doors_bind(void); /* the ssh port on every address; or the process ends */
void doors_open(void); /* from now on connections are accepted */
void doors_close(void);
int doors_control(void); /* the control socket, lent */

#endif
