/*
 * The last line before the world: no new privileges, no capabilities, no core dumps, not dumpable, few descriptors and
 * processes.  (Each process's system-call filter comes here too.)
 */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

enum confine_how {
	CONFINE_DAEMON,  /* may open files in its own directories */
	CONFINE_SESSION, /* opens nothing; one process */
	CONFINE_PARENT,  /* clones sessions */
	CONFINE_PAM      /* root, as PAM wants: no core dumps, not dumpable, dies with its parent */
};

void confine(enum confine_how how); /* cannot: the process ends, saying why */

#endif
