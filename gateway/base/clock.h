/*
 * The two clocks.  Deadlines run on CLOCK_BOOTTIME, wall time is for people.  The test build adds what the page named
 * by LODGE_TEST_CLOCK says (two i64 in the machine's order: boot offset ms, wall offset ms); a release has no such code.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_boot_ms(void);
int64_t clock_boot_us(void);
int64_t clock_wall_ms(void);            /* since 1970, UTC */
void clock_boot_id(char id[static 37]); /* /proc/sys/kernel/random/boot_id, NUL-ended; "" when it cannot be read */
/* Writes wall_ms as RFC 3339 in UTC with milliseconds ("2026-11-24T02:25:35.123Z"); size >= 25. */
void clock_rfc3339(int64_t wall_ms, char *to, size_t size);

#endif
