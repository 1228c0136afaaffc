/*
 * How long this connection may use a grant: the session's own hand on the end (policy's order and gateway's kill are the
 * other two).  A grant ends at the earlier of its ends on the wall clock and on the boot clock.  Silence extends nothing.
 */
#ifndef SESSION_LEASE_H
#define SESSION_LEASE_H

#include "session.h"

struct lease {
	struct lease *next;
	uint64_t grant;
	int64_t begins_wall_ms, ends_wall_ms, ends_boot_ms, hard_end_boot_ms;
	int64_t span_ms;   /* that was left when it was first told, or made longer */
	int64_t warned_ms; /* the distance of the last warning said; INT64_MAX: none yet */
	char approver[128];
};

/* Keeps it and says so.  A lease for a grant that there is one for replaces it. */
void lease_on_lease(struct session *s, const struct msg_lease *m);
const struct lease *lease_find(const struct session *s, uint64_t grant);
int64_t lease_left_ms(const struct lease *l); /* by the clock that says less */
/* Ends what is over, warns who is to be warned. */
void leases_tick(struct session *s);
/* When leases_tick is due at the latest, on the boot clock; INT64_MAX: never. */
int64_t leases_due_ms(const struct session *s);
void leases_free(struct session *s);

#endif
