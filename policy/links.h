/*
 * Policy's links: gateway's word, and what each of the siblings says over theirs.  A sibling that breaks the contract
 * loses its link here; gateway starts it again or ends the session.
 */
#ifndef POLICY_LINKS_H
#define POLICY_LINKS_H
#include "policy.h"

/* From gateway (contract/daemon.h). */
peer_on_message on_gateway_message;
/* A session's link; ctx is its struct connection. */
peer_on_message on_session_message;
peer_on_closed on_session_closed;

/* Closes all links but gateway's. */
void links_end(struct policy *p);
#endif
