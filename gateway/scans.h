/* Scans of targets: a fresh lodge-session --scan for each, linked to lodge-policy and lodge-dialer; its end is told. */
#ifndef GATEWAY_SCANS_H
#define GATEWAY_SCANS_H

#include <stdint.h>
#include <sys/types.h>

void scan_begin(uint64_t scan); /* lodge-policy wants one, by its own number */
int scan_reaped(pid_t pid);     /* 1 when it was one of ours */
void scans_end_all(void);

#endif
