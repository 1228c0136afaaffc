/*
 * What grows is never walked through: every query of queries.def is put to SQLite as a question about its plan, on a database
 * that is full.  And lists are shown in pages; what a connection asked goes with it.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench.h"
#include "visits.h"

#define MANY 2000

static const char *const grow[] = {
    "request", "grant", "visitor", "stream", "asking", "event", "decision", "verb_done"};

static const struct {
	const char *name, *table, *sql;
} queries[] = {
#define TABLE_VENDOR "vendor"
#define TABLE_PERSON "person"
#define TABLE_PERSON_KEY "person_key"
#define TABLE_INVITE "invite"
#define TABLE_TARGET "target"
#define TABLE_TARGET_KEY "target_key"
#define TABLE_REQUEST "request"
#define TABLE_DECISION "decision"
#define TABLE_GRANT "grant"
#define TABLE_VISITOR "visitor"
#define TABLE_STREAM "stream"
#define TABLE_ASKING "asking"
#define TABLE_VERB "verb_done"
#define TABLE_EVENT "event"
#define QUERY(NAME, TABLE, arguments, sql) {#NAME, TABLE_##TABLE, sql},
#include "queries.def"
};
#define QUERIES (sizeof(queries) / sizeof(queries[0]))

/* MANY of everything, a few of them alive; all of one vendor, by forty people on ten targets. */
static void
fill(struct bench *b)
{
	int64_t now = clock_wall_ms();
	struct policy *p = &b->policy;

	policy_begin(p);
	for (int64_t i = 1; i <= MANY; i++) {
		struct request r = {.state = i % 100 == 0 ? STATE_ASKED : STATE_APPROVED,
		    .asked_at = now - (MANY - i) * 3600000,
		    .decided_at = now - (MANY - i) * 3600000,
		    .lapse_at = now + 86400000,
		    .lapse_boot = INT64_MAX};
		struct grant g = {.state = i % 100 == 1 ? STATE_OPEN : STATE_EXPIRED,
		    .entered_at = now,
		    .ends_at = now + 86400000,
		    .ends_boot = clock_boot_ms() + 86400000,
		    .hard_end_boot = clock_boot_ms() + 86400000};
		struct visitor w = {.conn = i, .ended_at = now, .role = ROLE_ENGINEER};
		struct stream t = {.conn = i,
		    .stream = 1,
		    .state = STREAM_STATE_SEALED,
		    .began_at = now - (MANY - i) * 3600000,
		    .entered_at = 1,
		    .ended_at = now,
		    .sealed_at = now};

		snprintf(r.person, sizeof(r.person), "p%d", (int)(i % 40));
		TEXT_COPY(r.vendor, "unify");
		snprintf(r.target, sizeof(r.target), "t%d", (int)(i % 10));
		TEXT_COPY(r.account, "svc");
		assert_int_equal(request_add(p->store, &r), 0);
		TEXT_COPY(g.person, r.person);
		TEXT_COPY(g.target, r.target);
		TEXT_COPY(g.account, "svc");
		g.request = r.id;
		assert_int_equal(r.state == STATE_ASKED ? 0 : grant_add(p->store, &g), 0);
		TEXT_COPY(w.person, r.person);
		TEXT_COPY(w.vendor, r.vendor);
		assert_int_equal(visitor_add(p->store, &w), 0);
		TEXT_COPY(t.person, r.person);
		TEXT_COPY(t.vendor, r.vendor);
		TEXT_COPY(t.target, r.target);
		t.visitor = w.number;
		t.request = r.id;
		snprintf(t.id, sizeof(t.id), "%08x%024x", (unsigned)(i * 2654435761u), (unsigned)i);
		assert_int_equal(stream_add(p->store, &t), 0);
	}
	policy_commit(p);
}

/* "SCAN request", "SCAN request USING INDEX ...": of which table that grows?  NULL: of none. */
static const char *
scanned(const char *plan)
{
	char words[64];

	for (size_t i = 0; i < sizeof(grow) / sizeof(grow[0]); i++) {
		snprintf(words, sizeof(words), "SCAN %s", grow[i]);
		if (strncmp(plan, words, strlen(words)) == 0 &&
		    (plan[strlen(words)] == '\0' || plan[strlen(words)] == ' '))
			return (grow[i]);
	}
	return (NULL);
}

/* How many steps of the plan are a walk through such a table. */
static int
plan_look(sqlite3 *db, const char *name, const char *sql)
{
	sqlite3_stmt *q;
	char text[4096];
	int walks = 0;

	snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", sql);
	if (sqlite3_prepare_v2(db, text, -1, &q, NULL) != SQLITE_OK)
		fail_msg("%s: %s", name, sqlite3_errmsg(db));
	while (sqlite3_step(q) == SQLITE_ROW)
		if (scanned((const char *)sqlite3_column_text(q, 3)) != NULL) {
			print_error("%s: %s\n", name, (const char *)sqlite3_column_text(q, 3));
			walks++;
		}
	sqlite3_finalize(q);
	return (walks);
}

static sqlite3 *
database_open(const struct bench *b)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/policy.db", b->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	return (db);
}

static void
no_query_walks_through_what_grows(void **state)
{
	struct bench *b = bench_of(state);
	char sql[4096];
	int walks = 0;
	sqlite3 *db;

	fill(b);
	db = database_open(b);
	for (size_t i = 0; i < QUERIES; i++) {
		snprintf(sql, sizeof(sql), "SELECT * FROM \"%s\" %s", queries[i].table, queries[i].sql);
		walks += plan_look(db, queries[i].name, sql);
	}
	walks += plan_look(db, "events_hold", "UPDATE event SET held = 1 WHERE held = 0 AND sequence <= ?1");
	walks += plan_look(db, "answers_forget", "DELETE FROM asking WHERE conn = ?1");
	walks += plan_look(db, "answers_forget", "DELETE FROM verb_done WHERE conn = ?1");
	/* this test can fail */
	assert_int_equal(plan_look(db, "(meant to be seen)", "SELECT * FROM request WHERE why = ?1"), 1);
	sqlite3_close(db);
	assert_int_equal(walks, 0);
}

static size_t
lines(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return (n);
}

/* Follows the lists' own advice to the end; gives how many lines with `part` there were on all pages, and how many pages. */
static size_t
pages_turn(struct seat *s, const char *words, const char *part, size_t *pages)
{
	char line[256], *next;
	size_t rows = 0, n;

	snprintf(line, sizeof(line), "%s", words);
	for (*pages = 1;; ++*pages) {
		if (say(s, line) != 0)
			fail_msg("%s: %s", line, s->err);
		for (char *at = s->out; (at = strstr(at, part)) != NULL; at += strlen(part))
			rows++;
		assert_in_range(lines(s->out), 0, 210);
		if ((next = strstr(s->err, "older ones: ")) == NULL)
			return (rows);
		next += strlen("older ones: ");
		n = strcspn(next, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)n, next);
		assert_in_range(*pages, 1, 30);
	}
}

static void
lists_have_pages(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *maria, *umar, *otto;
	size_t pages;

	fill(b);
	maria = seat_login(b, "maria", FACTOR_KEY | FACTOR_PAM, 1);
	umar = seat_login(b, "umar", FACTOR_KEY | FACTOR_PAM, 1);
	otto = seat_login(b, "otto", FACTOR_KEY | FACTOR_PAM, 1);
	assert_int_equal(pages_turn(maria, "requests --all", " as svc", &pages), MANY);
	assert_int_equal(pages, 10);
	assert_int_equal(pages_turn(umar, "requests --all", " as svc", &pages), MANY);
	/* what waits (20), is open (20), or was asked within a day (24 more, but one of each of the former) */
	assert_int_equal(pages_turn(maria, "requests", " as svc", &pages), 20 + 20 + 24 - 1);
	assert_int_equal(pages, 1);
	assert_int_equal(pages_turn(maria, "sessions --all", "unify", &pages), MANY + 1); /* and umar */
	assert_int_equal(pages, 11);
	assert_int_equal(pages_turn(umar, "sessions --all", "unify", &pages), MANY + 1);
	assert_int_equal(pages_turn(otto, "recordings", "whole", &pages), MANY);
	assert_int_equal(pages, 10);
	assert_int_equal(pages_turn(otto, "recordings --person p7", "whole", &pages), MANY / 40);
	assert_int_equal(pages_turn(otto, "recordings --target t3 --vendor unify", "whole", &pages), MANY / 10);
	assert_int_equal(pages_turn(otto, "recordings --since 10h", "whole", &pages), 10);
	assert_int_equal(pages_turn(otto, "recordings --vendor acme", "whole", &pages), 0);
	expect(maria, "requests --before x", 64, "--before x");
	expect(maria, "requests --all --before 1", 0, "there are no older ones");
	expect(maria, "sessions --before 7", 64, "--all");
}

/* The newest page's rows stand in the order of their numbers, and JSON has the same ones. */
static void
a_page_in_json(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *otto;
	const char *first, *last;

	fill(b);
	otto = seat_login(b, "otto", FACTOR_KEY | FACTOR_PAM, 1);
	expect(otto, "recordings --before 101 --json", 0, "\"number\": 100,");
	assert_non_null(first = strstr(otto->out, "\"number\": 1,"));
	assert_non_null(last = strstr(otto->out, "\"number\": 100,"));
	assert_true(first < last);
	assert_null(strstr(otto->out, "\"number\": 101,"));
}

static int64_t
count_of(const struct bench *b, const char *table)
{
	sqlite3 *db = database_open(b);
	sqlite3_stmt *q;
	char sql[96];
	int64_t n;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return (n);
}

static void
what_was_asked_goes_with_the_connection(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice, *maria;

	house_link(b);
	alice = seat_login(b, "alice", FACTOR_KEY | FACTOR_PAM, 1);
	maria = seat_login(b, "maria", FACTOR_KEY | FACTOR_PAM, 1);
	ask(alice, 1, ASK_SHELL, "osv1", "");
	expect(maria, "approve 1", 0, "approved");
	ask(alice, 2, ASK_SFTP, "osv1", "");
	assert_int_equal(count_of(b, "asking"), 2);
	assert_int_equal(count_of(b, "verb_done"), 1);
	seat_leave(alice);
	assert_int_equal(count_of(b, "asking"), 0);
	assert_int_equal(count_of(b, "verb_done"), 1);
	seat_leave(maria);
	assert_int_equal(count_of(b, "verb_done"), 0);
}

/* Policy dies between the order and the cut: whoever comes back to the next one is cut off, and hears by whom. */
static void
an_end_outlives_policy(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", FACTOR_KEY | FACTOR_PAM, 1),
	            *maria = seat_login(b, "maria", FACTOR_KEY | FACTOR_PAM, 1);

	house_link(b);
	ask(alice, 1, ASK_SHELL, "osv1", "");
	expect(maria, "approve 1", 0, "approved");
	expect(maria, "end --target osv1 --why enough", 0, "1 session is cut off");
	assert_int_equal(alice->ends, 1);
	policy_renew(alice);
	assert_int_equal(alice->ends, 2);
	assert_int_equal(alice->end_reason, REASON_ENDED_BY_MANAGER);
	assert_string_equal(alice->text, "maria ended the session: enough");
}

/* A session that ended while policy was away ended as gateway says, and not as one that died. */
static void
who_left_meanwhile_has_left(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", FACTOR_KEY | FACTOR_PAM, 1);

	visits_free(&b->policy);
	on_session_gone(&b->policy, &(struct msg_session_gone){.conn = alice->conn, .status = 0});
	expect_event(b, "logout", "\"reason\":\"left\"");
	visits_sweep(&b->policy);
	assert_int_equal(events_named(b, "logout"), 1);
	assert_null(b->policy.connections);
}

/* Auth's word may come when gateway's, that the session is gone, was heard already: nobody stays who is not there. */
static void
who_is_gone_does_not_come_in(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_stranger(b), *maria = seat_login(b, "maria", FACTOR_KEY | FACTOR_PAM, 1);

	visits_sweep(&b->policy);
	seat_leave(alice);
	identity_say(b, alice, "alice", FACTOR_KEY | FACTOR_PAM, 1);
	expect(maria, "sessions", 0, "maria");
	assert_null(strstr(maria->out, "alice"));
	assert_int_equal(events_named(b, "login"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
const struct CMUnitTest plans[] = {TEST(no_query_walks_through_what_grows), TEST(lists_have_pages),
    TEST(a_page_in_json), TEST(what_was_asked_goes_with_the_connection), TEST(an_end_outlives_policy),
    TEST(who_left_meanwhile_has_left), TEST(who_is_gone_does_not_come_in)};
const size_t plans_count = sizeof(plans) / sizeof(plans[0]);
