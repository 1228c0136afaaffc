/*
 * Capabilities: what a grant lets one do (enum capability of the contract), as people write them, and what each kind of
 * channel needs of them.  Pure.
 */
#ifndef POLICY_CAPABILITIES_H
#define POLICY_CAPABILITIES_H
#include <stddef.h>

#include "contract/messages.h"

/* What a request asks for when it names nothing.  Forwards are asked for one by one, by host and port. */
#define CAPABILITIES_CARRIED (CAPABILITY_SHELL | CAPABILITY_EXEC | CAPABILITY_UPLOAD | CAPABILITY_DOWNLOAD)

/* What a request must ask for by name. */
#define CAPABILITIES_UNUSUAL (CAPABILITY_AGENT | CAPABILITY_X11 | CAPABILITY_REVERSE | CAPABILITY_SOCKET)

/* What must stand in the grant.  Zero: a window, whatever may be done in it. */
struct need {
	unsigned all;        /* each of these */
	unsigned any;        /* and one of these; 0: that is all */
	const char *forward; /* and this host:port among its forwards; NULL: none */
};

/* By enum ask_kind; `forward` is the caller's to set.  -1: there is no such kind. */
int need_of(unsigned kind, struct need *n);
/* What of it is not among `capabilities`; 0: nothing. */
unsigned need_lacks(const struct need *n, unsigned capabilities);

/* "shell,exec" */
void capabilities_print(unsigned capabilities, char *text, size_t size);
/* -1: an unknown word. */
int capabilities_parse(const char *text, unsigned *capabilities);
#endif
