/* The verbs of people; each group on a policy of its own. */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

static int
run(const char *name, const struct CMUnitTest *tests, size_t count)
{
	return (_cmocka_run_group_tests(name, tests, count, NULL, NULL));
}

int
main(void)
{
	return (run("rules", rules, rules_count) + run("storing", storing, storing_count) +
	        run("deciding", deciding, deciding_count) + run("forwarding", forwarding, forwarding_count) +
	        run("keeping", keeping, keeping_count) + run("keying", keying, keying_count) +
	        run("middle", middle, middle_count) + run("inviting", inviting, inviting_count) +
	        run("freshness", freshness, freshness_count) + run("secrets", secrets, secrets_count) +
	        run("reading", reading, reading_count) + run("seeing", seeing, seeing_count) +
	        run("plans", plans, plans_count) + run("targeting", targeting, targeting_count) +
	        run("scanning", scanning, scanning_count));
}
