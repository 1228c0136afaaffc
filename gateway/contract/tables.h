/* The small tables of the contract as enums and names: reasons, frames, events. */
#ifndef CONTRACT_TABLES_H
#define CONTRACT_TABLES_H

#include <stdint.h>

enum reason {
#define REASON(number, NAME, code, status, what, todo) REASON_##NAME = number,
#include "contract/reasons.def"
};
const char *reason_code(enum reason r); /* "no-grant"; "unknown-reason" for a number that is not in the table */
const char *reason_what(enum reason r);
const char *reason_todo(enum reason r); /* "" when there is nothing to do */
int reason_status(enum reason r);       /* the exit status the engineer's client returns */

enum frame_type {
#define FRAME(number, NAME, name, payload) FRAME_##NAME = number,
#include "contract/frames.def"
};
const char *frame_name(uint16_t type); /* NULL when there is no such frame */

enum event_type {
#define EVENT(number, NAME, name, category, what) EVENT_##NAME = number,
#include "contract/events.def"
};
const char *event_name(enum event_type e);
const char *event_category(enum event_type e);

#endif
