/*
 * What time does by itself: requests lapse, windows begin and end, waiting has its limit.  Deadlines stand in both
 * clocks and the earlier one counts; the boot clock wakes us, and while anything is open the wall clock is looked at
 * twice a second, for it may be set.
 */
#ifndef POLICY_DEADLINES_H
#define POLICY_DEADLINES_H
#include "policy.h"

/* At start: takes up the clocks where the database left them (another boot: boot-clock ends are counted anew). */
void deadlines_begin(struct policy *p);
/* Looks what is due, does it, and sets the timer for the next. */
void deadlines_look(struct policy *p);
#endif
