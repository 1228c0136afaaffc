/* Conversations with PAM: a fresh lodge-pam for each, its link handed to lodge-auth, its end told. */
#ifndef GATEWAY_TALKS_H
#define GATEWAY_TALKS_H

#include <stdint.h>
#include <sys/types.h>

void talk_begin(uint64_t ask); /* lodge-auth wants one, by its own number */
int talk_reaped(pid_t pid);    /* 1 when it was one of ours */
void talks_end_all(void);

#endif
