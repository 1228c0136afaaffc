/*
 * Calls of the vault that reach the disk, counted and cut short (linked with --wrap): the process ends at a chosen one,
 * before it, in the middle of it or after it; or the call fails.
 */
#ifndef FAULT_H
#define FAULT_H

enum fault_moment { FAULT_BEFORE, FAULT_TORN, FAULT_AFTER, FAULT_MOMENTS };

/* The call of this number (from 1) ends the process at that moment; 0: none does. */
void fault_kill_at(int call, enum fault_moment moment);
/* The call of this number fails with ENOSPC; 0: none does. */
void fault_fail_at(int call);
/* Counts from here; gives how many there were since. */
int fault_count(void);
/* What was called since fault_count(), a letter each: o create, w write, f fsync of a file, r rename, d fsync of a directory. */
const char *fault_trace(void);

#endif
