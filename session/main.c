/* lodge-session: carries one engineer's connection.  --parent: the warm parent, from which each one is cloned. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "parent.h"

int
main(int argc, char **argv)
{
	log_begin("lodge-session");
	if (argc != 2 || strcmp(argv[1], "--parent") != 0) {
		fprintf(stderr, "usage: lodge-session --parent\n");
		return (64);
	}
	parent_run();
	return (0);
}
