/*
 * What the people of these tests do, always the same, each step begun when the one before was answered; and what must stand
 * in the database when a step was answered, and may not before it was begun.
 */
#ifndef POLICY_CRASH_SCRIPT_H
#define POLICY_CRASH_SCRIPT_H
#include "house.h"

enum act { ACT_LOGIN, ACT_ASK, ACT_VERB, ACT_ALLOWED, ACT_DENIED, ACT_OPENED, ACT_CLOSED, ACT_CUT, ACT_LEAVE };

struct step {
	unsigned seat; /* index in house.seats; each LOGIN takes the next */
	enum act act;
	const char *words; /* login; target; verb */
	const char
	    *proof; /* SQL that gives 1 from when the step is answered on, and 0 until it is begun; NULL: none */
	int number; /* ACT_LOGIN: role; ACT_ASK: enum ask_kind */
};

extern const struct step script[];
extern const size_t script_count;

/* Vendors, people and targets, written through policy's own store. */
void script_people(const char *database);
/* Begins step i. */
void step_begin(struct house *h, size_t i);
/* Was it answered? */
int step_is_over(struct house *h, size_t i);
#endif
