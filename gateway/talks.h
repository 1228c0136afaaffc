/*
 * Conversations with PAM: a fresh lodge-pam for each, its link handed to lodge-auth, its end told.
 *
 *     begin -> talking (at most TALKS_MAX, each within PAMTimeout) [-> staying: a PAM session, while its connection lives]
 *
 * What lodge-pam's modules started and left behind ends with it.
 */
#ifndef GATEWAY_TALKS_H
#define GATEWAY_TALKS_H

#include <stdint.h>
#include <sys/types.h>

void talk_begin(uint64_t ask); /* lodge-auth wants one, by its own number */
int talk_reaped(pid_t pid);    /* 1 when it was one of ours */
/* auth is gone: who talks is killed; who stays ends its session, for its link is closed, and is killed if that takes long. */
void talks_end_all(void);
/* The house is empty: calls on_ended when no talk lives any more, at once or later. */
void talks_wait(void (*on_ended)(void));

#endif
