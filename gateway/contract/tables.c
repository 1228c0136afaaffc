#include "contract/tables.h"

#include <stddef.h>

static const struct {
	const char *code, *what, *todo;
	int status;
} reasons[] = {
#define REASON(number, NAME, code, status, what, todo) [number] = {code, what, todo, status},
#include "contract/reasons.def"
};

static int
reason_is_known(enum reason r)
{
	return ((size_t)r < sizeof(reasons) / sizeof(reasons[0]) && reasons[r].code != NULL);
}

const char *
reason_code(enum reason r)
{
	return (reason_is_known(r) ? reasons[r].code : "unknown-reason");
}

const char *
reason_what(enum reason r)
{
	return (reason_is_known(r) ? reasons[r].what : "a reason that this release does not know");
}

const char *
reason_todo(enum reason r)
{
	return (reason_is_known(r) ? reasons[r].todo : "");
}

int
reason_status(enum reason r)
{
	return (reason_is_known(r) ? reasons[r].status : 77);
}

static const char *const frames[] = {
#define FRAME(number, NAME, name, payload) [number] = name,
#include "contract/frames.def"
};

const char *
frame_name(uint16_t type)
{
	return (type < sizeof(frames) / sizeof(frames[0]) ? frames[type] : NULL);
}

static const struct {
	const char *name, *category;
} events[] = {
#define EVENT(number, NAME, name, category, what) [number] = {name, category},
#include "contract/events.def"
};

const char *
event_name(enum event_type e)
{
	return (
	    (size_t)e < sizeof(events) / sizeof(events[0]) && events[e].name != NULL ? events[e].name : "unknown");
}

const char *
event_category(enum event_type e)
{
	return (
	    (size_t)e < sizeof(events) / sizeof(events[0]) && events[e].name != NULL ? events[e].category : "host");
}
