/* What is not one kill at one number: named moments, a book that sleeps, an orderly end, a disk that is full. */
#ifndef CRASH_CASES_H
#define CRASH_CASES_H

#include "run.h"

/* Runs those that counts->next gives, until there are no more. */
void cases_run(struct run_counts *counts);

#endif
