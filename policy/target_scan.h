/*
 * `target scan`: asks gateway for a scanning process, has the dialer make its connections, and says what it found.  What a
 * target says of itself is believed no more than that: nothing is pinned or allowed by it, only shown, and the book told.
 */
#ifndef POLICY_TARGET_SCAN_H
#define POLICY_TARGET_SCAN_H
#include "keep.h"
#include "policy.h"

struct scan;

/* The act of `target`; see keep.h. */
void target_scan(struct keeping *k);
/* Who asked has left; the scan goes on, for the book. */
void scan_forget(struct verb *v);
/* Nonzero when the answer was to a dial of a scan. */
int scans_dialed(struct policy *p, const struct msg_dialed *m);
void scans_link(struct policy *p, uint64_t number, int fd); /* fd is given */
void on_scan_gone(struct policy *p, const struct msg_scan_gone *m);
void scans_free(struct policy *p);
#endif
