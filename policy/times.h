/*
 * Moments as people type and read them (spans: base/settings_file.h).  Inside, every moment is milliseconds of UTC since 1970; zones exist only
 * here, at the edge.  Pure but for the zone, which is the process's own (TZ).
 */
#ifndef POLICY_TIMES_H
#define POLICY_TIMES_H
#include <stddef.h>
#include <stdint.h>

#define TIMES_SECOND_MS INT64_C(1000)
#define TIMES_MINUTE_MS (60 * TIMES_SECOND_MS)
#define TIMES_HOUR_MS (60 * TIMES_MINUTE_MS)
#define TIMES_DAY_MS (24 * TIMES_HOUR_MS)
#define TIMES_TEXT 96 /* room for any text made here */

/*
 * Reads "now", "HH:MM" (the next time the local clock shows it after now), "YYYY-MM-DD", "YYYY-MM-DD HH:MM[:SS]" or the same
 * with T, a final Z or an offset as +01:00.  Without either it is local time.  -1 for anything else, and for a local time that a
 * change of the clocks leaves out.
 */
int moment_parse(const char *text, int64_t now_ms, int64_t *moment_ms);

/* "2026-11-24 23:00:00 CET (22:00:00 UTC)"; the second half only where the two differ. */
void moment_print(int64_t moment_ms, char text[TIMES_TEXT]);

/* "23:00:00 CET", for a line that needs no date. */
void moment_print_clock(int64_t moment_ms, char text[TIMES_TEXT]);
#endif
