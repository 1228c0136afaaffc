/*
 * lodge-session: carries one engineer's connection.  --parent: the warm parent, from which each one is cloned.  --scan: asks
 * a target what it is.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "parent.h"
#include "scan.h"

int
main(int argc, char **argv)
{
	log_begin("lodge-session");
	if (argc == 2 && strcmp(argv[1], "--parent") == 0) {
		parent_run();
	} else if (argc == 2 && strcmp(argv[1], "--scan") == 0) {
		scan_run();
	} else {
		fprintf(stderr, "usage: lodge-session --parent | --scan\n");
		return (64);
	}
	return (0);
}
