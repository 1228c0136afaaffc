/* One run of the house: its parts, and the whole of one with kills in it. */
#ifndef CRASH_RUN_H
#define CRASH_RUN_H

#include "house.h"
#include "judge.h"

/* What all workers count together, in shared memory. */
struct run_counts {
	_Atomic unsigned kills, passed, failed, next;
	_Atomic long last; /* the highest N at which a recorder died */
};

/* For house_until(). */
int is_said(struct house *h);   /* the session has said all and delivered it, or is in trouble */
int is_sealed(struct house *h); /* policy knows */
int is_let_go(struct house *h); /* gateway may let go of the ring */
int is_ended(struct house *h);  /* the recorder has stopped, or died of it */

/* The session has said all: it waits for its receipt, leaves, all is put away, the recorder stops; then judge(). */
void run_end(struct house *h, enum judge_how how);
/* Says how it went, and ends the house.  1: passed. */
int run_close(struct house *h, const char *name);

/* The whole script with these deaths.  How many recorders died. */
int run_kill(struct run_counts *counts, const struct deaths *deaths, const char *name);

#endif
