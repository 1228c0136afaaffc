/* The control socket: `lodge` on the box.  Who speaks is what the kernel says (SO_PEERCRED): root operates and never approves. */
#ifndef POLICY_CONTROL_H
#define POLICY_CONTROL_H
#include "verb.h"

void control_begin(struct policy *p, int fd); /* fd given: bound and listening; one before is closed */
void control_end(struct policy *p);

/* Who that Unix user is, as they are now: role ROLE_NONE when they may not come.  -1: nobody of ours. */
int speaker_of(struct policy *p, uint32_t uid, struct speaker *who);
#endif
