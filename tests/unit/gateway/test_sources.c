/* How many connections one source may have, what all together may, and how long one that did harm waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "sources.h"

#define SURE 0   /* the chance that is refused whenever chance decides */
#define LUCKY 99 /* the one that is taken while there is a place */

static const struct settings usual = {.max_startups = 100,
    .per_source_max_startups = 20,
    .max_connections = 1000,
    .per_source_max_connections = 200,
    .penalty_least = 1000,
    .penalty_most = 600000};

static void
addresses_that_are_one_source(void **state)
{
	static const struct {
		const char *one, *other;
		int same;
	} rows[] = {
	    {"192.0.2.1", "192.0.2.1", 1},
	    {"192.0.2.1", "192.0.2.2", 0},
	    {"192.0.2.1", "::ffff:192.0.2.1", 1},
	    {"::ffff:192.0.2.2", "::ffff:192.0.2.1", 0},
	    {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", 1},
	    {"2001:db8::1", "2001:db8:0:1::1", 0},
	    {"::1", "::2", 1},
	    {"?", "?", 1},
	    {"?", "192.0.2.1", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sources *all = sources_new(&usual);

		assert_int_equal(source_of(all, rows[i].one) == source_of(all, rows[i].other), rows[i].same);
		sources_free(all);
	}
}

static size_t
taken_of(struct sources *all, const char *address, size_t tries, unsigned chance)
{
	size_t taken = 0;

	while (tries-- > 0)
		taken += source_take(source_of(all, address), 0, chance) == SOURCE_TAKEN;
	return (taken);
}

static void
one_source_keeps_nobody_out(void **state)
{
	struct sources *all = sources_new(&usual);
	struct source *flood = source_of(all, "192.0.2.1"), *other = source_of(all, "192.0.2.2");

	(void)state;
	assert_int_equal(taken_of(all, "192.0.2.1", 500, LUCKY), 20);
	assert_int_equal(source_take(flood, 0, LUCKY), SOURCE_STARTUPS);
	assert_int_equal(source_take(other, 0, SURE), SOURCE_TAKEN);
	/* A place that was left, or whose holder logged in, is free again. */
	source_logged_in(flood);
	assert_int_equal(taken_of(all, "192.0.2.1", 500, LUCKY), 1);
	source_let_go(flood, 0);
	source_let_go(flood, 1);
	assert_int_equal(sources_strangers(all), 20);
	assert_int_equal(taken_of(all, "192.0.2.1", 500, LUCKY), 1);
	/* In, they count on. */
	for (size_t i = 0; i < 180; i++) {
		source_logged_in(flood);
		assert_int_equal(source_take(flood, 0, LUCKY), SOURCE_TAKEN);
	}
	assert_int_equal(source_take(flood, 0, LUCKY), SOURCE_CONNECTIONS);
	sources_free(all);
}

static void
all_together(void **state)
{
	struct settings set = usual;
	struct sources *all = sources_new(&set);
	char address[32];
	/* strangers there are, the highest chance that is refused; -1: none */
	static const struct {
		size_t strangers;
		int refused;
	} rows[] = {{0, -1}, {49, -1}, {50, 29}, {75, 64}, {99, 97}, {100, 99}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned n = (unsigned)sources_strangers(all); n < rows[i].strangers; n++) {
			snprintf(address, sizeof(address), "198.51.100.%u", n);
			assert_int_equal(source_take(source_of(all, address), 0, LUCKY), SOURCE_TAKEN);
		}
		for (int chance = 0; chance <= rows[i].refused; chance++)
			assert_int_equal(
			    source_take(source_of(all, "192.0.2.1"), 0, (unsigned)chance), SOURCES_STARTUPS);
		if (rows[i].refused == LUCKY)
			continue;
		assert_int_equal(
		    source_take(source_of(all, "192.0.2.1"), 0, (unsigned)(rows[i].refused + 1)), SOURCE_TAKEN);
		source_let_go(source_of(all, "192.0.2.1"), 0);
	}
	set.max_connections = 100; /* read anew */
	assert_int_equal(source_take(source_of(all, "192.0.2.1"), 0, LUCKY), SOURCES_CONNECTIONS);
	sources_free(all);
}

static void
one_place(void **state)
{
	struct settings set = usual;
	struct sources *all = sources_new(&set);

	(void)state;
	set.max_startups = 1;
	assert_int_equal(taken_of(all, "192.0.2.1", 3, SURE), 1);
	sources_free(all);
}

static void
harm_makes_it_wait(void **state)
{
	struct sources *all = sources_new(&usual);
	struct source *slow = source_of(all, "192.0.2.1"), *crashed = source_of(all, "192.0.2.2");
	static const int64_t after_grace_ms[] = {0, 0, 0, 0, 0, 1000, 2000, 4000, 8000};

	(void)state;
	for (size_t i = 0; i < sizeof(after_grace_ms) / sizeof(after_grace_ms[0]); i++) {
		source_harm(slow, HARM_GRACE, 5000);
		assert_int_equal(source_waits_ms(slow, 5000), after_grace_ms[i]);
	}
	assert_int_equal(source_take(slow, 12999, LUCKY), SOURCE_WAITS);
	assert_int_equal(source_take(slow, 13000, LUCKY), SOURCE_TAKEN);
	source_harm(crashed, HARM_CRASH, 5000);
	assert_int_equal(source_waits_ms(crashed, 5000), 64000);
	source_harm(crashed, HARM_CRASH, 5000);
	assert_int_equal(source_waits_ms(crashed, 5000), 600000);
	for (int i = 0; i < 1000; i++)
		source_harm(crashed, HARM_CRASH, 5000);
	assert_int_equal(source_waits_ms(crashed, 5000), 600000);
	/* Forgotten after a quiet time. */
	source_harm(crashed, HARM_GRACE, 5000 + 600000 + SOURCE_QUIET_MS + 1);
	assert_int_equal(source_waits_ms(crashed, 5000 + 600000 + SOURCE_QUIET_MS + 1), 0);
	sources_free(all);
}

/* Of the many people behind one address somebody is always late; that never shuts all of them out. */
static void
harm_now_and_then_costs_nothing(void **state)
{
	struct sources *all = sources_new(&usual);
	struct source *many = source_of(all, "192.0.2.1");

	(void)state;
	for (int i = 0; i < 1000; i++) {
		source_harm(many, HARM_GRACE, (int64_t)i * SOURCE_FORGIVE_MS);
		assert_int_equal(source_waits_ms(many, (int64_t)i * SOURCE_FORGIVE_MS), 0);
	}
	source_harm(many, HARM_CRASH, (int64_t)1000 * SOURCE_FORGIVE_MS); /* a crash is felt all the same */
	assert_true(source_waits_ms(many, (int64_t)1000 * SOURCE_FORGIVE_MS) >= 64000);
	sources_free(all);
}

static void
nobody_waits_without_penalties(void **state)
{
	struct settings set = usual;
	struct sources *all = sources_new(&set);
	struct source *s = source_of(all, "192.0.2.1");

	(void)state;
	set.penalty_least = 0;
	for (int i = 0; i < 20; i++)
		source_harm(s, HARM_CRASH, 5000);
	assert_int_equal(source_waits_ms(s, 5000), 0);
	sources_free(all);
}

static void
the_log_is_told_once_a_minute(void **state)
{
	struct settings set = usual;
	struct sources *all = sources_new(&set);
	struct source *s = source_of(all, "192.0.2.1");

	(void)state;
	set.max_connections = 0;
	(void)source_take(s, 0, LUCKY);
	assert_int_equal(source_tell(s, 0), 1);
	for (int i = 0; i < 300; i++) {
		(void)source_take(s, SOURCE_TELL_MS - 1, LUCKY);
		assert_int_equal(source_tell(s, SOURCE_TELL_MS - 1), 0);
	}
	(void)source_take(s, SOURCE_TELL_MS, LUCKY);
	assert_int_equal(source_tell(s, SOURCE_TELL_MS), 301);
	sources_free(all);
}

/* More sources than are remembered: those with connections stay, of the quiet ones the latest. */
static void
memory_has_an_end(void **state)
{
	struct settings set = usual;
	struct sources *all = sources_new(&set);
	struct source *held = source_of(all, "192.0.2.1"), *harmed = source_of(all, "192.0.2.2");
	char address[40];

	(void)state;
	assert_int_equal(source_take(held, 0, LUCKY), SOURCE_TAKEN);
	source_harm(harmed, HARM_CRASH, 0);
	for (unsigned i = 0; i < 2 * SOURCES_QUIET_MAX; i++) {
		snprintf(address, sizeof(address), "2001:db8:0:%x::1", i);
		assert_non_null(source_of(all, address));
	}
	assert_ptr_equal(source_of(all, "192.0.2.1"), held);
	assert_int_equal(source_waits_ms(source_of(all, "192.0.2.2"), 0), 0); /* forgotten */
	source_let_go(held, 0);
	assert_int_equal(sources_connections(all), 0);
	for (unsigned i = SOURCES_QUIET_MAX + 2; i < 2 * SOURCES_QUIET_MAX; i++) { /* and these are not */
		snprintf(address, sizeof(address), "2001:db8:0:%x::2", i);
		source_harm(source_of(all, address), HARM_CRASH, 0);
	}
	for (unsigned i = SOURCES_QUIET_MAX + 2; i < 2 * SOURCES_QUIET_MAX; i++) {
		snprintf(address, sizeof(address), "2001:db8:0:%x::3", i);
		assert_int_equal(source_waits_ms(source_of(all, address), 0), 64000);
	}
	sources_free(all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses_that_are_one_source),
	    cmocka_unit_test(one_source_keeps_nobody_out),
	    cmocka_unit_test(all_together),
	    cmocka_unit_test(one_place),
	    cmocka_unit_test(harm_makes_it_wait),
	    cmocka_unit_test(harm_now_and_then_costs_nothing),
	    cmocka_unit_test(nobody_waits_without_penalties),
	    cmocka_unit_test(the_log_is_told_once_a_minute),
	    cmocka_unit_test(memory_has_an_end),
	};

	return (cmocka_run_group_tests_name("sources", tests, NULL, NULL));
}
