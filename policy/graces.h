/*
 * MFAGrace ends with the last window of somebody, with a change of who they are, and with a new secret for codes: auth is
 * told, and an auth that was away meanwhile is told when it is back.  What is remembered dies with this process, and each
 * with the span of MFAGrace; to be told twice costs a code.
 */
#ifndef POLICY_GRACES_H
#define POLICY_GRACES_H
#include "policy.h"

void grace_end(struct policy *p, const char *login);
void graces_auth_anew(struct policy *p);
void graces_free(struct policy *p);
#endif
