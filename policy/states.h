/* The life of a request and its grant, made from states.def. */
#ifndef POLICY_STATES_H
#define POLICY_STATES_H
#include <stdint.h>

enum state {
#define STATE(number, NAME, name, promise) STATE_##NAME = number,
#include "states.def"
	STATE_COUNT
};

const char *state_name(int64_t state); /* "asked"; "?" for a number that is none */

/* Goes from *state to `to`, and logs the step of `what` (a request's or grant's number).  -1, and nothing changed: no such step. */
int state_step(int64_t *state, enum state to, const char *what, int64_t number);
#endif
