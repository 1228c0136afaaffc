/* What auth asks and tells about people: who may log in, who did, who tried. */
#ifndef POLICY_PEOPLE_H
#define POLICY_PEOPLE_H
#include "policy.h"

void on_person_wanted(struct policy *p, const struct msg_person_wanted *m);
void on_identity(struct policy *p, const struct msg_identity *m);
void on_login_event(struct policy *p, const struct msg_login_event *m);
/* Last use, and the highest counter of a FIDO key. */
void on_key_used(struct policy *p, const struct msg_key_used *m);
#endif
