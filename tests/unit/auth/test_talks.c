/* How many PAM conversations auth holds at once: one more than it can is told so, and makes room for nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "visit.h"

#define MOST 64

static void
one_too_many(void **state)
{
	struct visit *all = calloc(MOST + 1, sizeof(*all));
	struct bench b;

	(void)state;
	assert_non_null(all);
	bench_begin(&b, "publickey,keyboard-interactive", "");
	for (size_t i = 0; i <= MOST; i++) {
		char source[32];

		/* from many places, so that nobody waits for another's tries */
		snprintf(source, sizeof(source), "192.0.2.%zu", i + 1);
		visit_begin(&all[i], &b, i + 1, source, (uint8_t)(i + 1));
		visit_key(&all[i]);
		(void)visit_step(&all[i], LOGIN_KEYBOARD);
		if (i < MOST)
			(void)end_expect(&b, &b.gateway, MSG_PAM_WANTED);
	}
	policy_event(&all[MOST], "keyboard-interactive", REASON_LIMIT);
	visit_result(&all[MOST], LOGIN_FAILURE, REASON_LIMIT);
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 100);
	for (size_t i = 0; i <= MOST; i++)
		visit_end(&all[i]);
	bench_end(&b);
	free(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_too_many)};

	log_begin("test_talks");
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
