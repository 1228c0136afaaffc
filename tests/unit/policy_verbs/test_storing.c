/* A database of an older release becomes one of ours in place; what is none of ours is left as it was. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

struct place {
	char dir[64], path[96], why[512];
};

static int
place_begin(void **state)
{
	struct place *at = calloc(1, sizeof(*at));

	snprintf(at->dir, sizeof(at->dir), "/tmp/lodge-store.XXXXXX");
	assert_non_null(mkdtemp(at->dir));
	snprintf(at->path, sizeof(at->path), "%s/policy.db", at->dir);
	*state = at;
	return (0);
}

static int
place_end(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	struct place *at = *state;
	char path[128];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", at->path, ends[i]);
		unlink(path);
	}
	rmdir(at->dir);
	free(at);
	return (0);
}

static void
run(const struct place *at, const char *sql)
{
	sqlite3 *db;
	char *error = NULL;

	assert_int_equal(sqlite3_open(at->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
	sqlite3_close(db);
}

static int64_t
version_of(const struct place *at)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	int64_t n;

	assert_int_equal(sqlite3_open(at->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return (n);
}

/* As an older release wrote it; the dump says of itself what it is. */
static void
version_make(const struct place *at, const char *dump)
{
	static char sql[32768];
	FILE *f = fopen(dump, "r");
	size_t n;

	assert_non_null(f);
	n = fread(sql, 1, sizeof(sql) - 1, f);
	fclose(f);
	assert_in_range(n, 1000, sizeof(sql) - 2);
	sql[n] = '\0';
	run(at, sql);
}

/* What was there is there, with nothing in what is new, and both can be written. */
static void
rows_look(struct store *s)
{
	struct request r = {.id = 1};
	struct grant g = {.id = 1};
	struct stream t = {.number = 1};
	struct event e = {.sequence = 1};

	assert_int_equal(request_get(s, &r), 1);
	assert_string_equal(r.why, "kernel dump");
	assert_int_equal(r.state, STATE_APPROVED);
	assert_string_equal(r.forwards, "");
	assert_int_equal(grant_get(s, &g), 1);
	assert_string_equal(g.approver, "maria");
	assert_int_equal(g.ends_at, 1764007200000);
	assert_string_equal(g.forwards, "");
	assert_int_equal(stream_get(s, &t), 1);
	assert_string_equal(t.id, "0123456789abcdef0123456789abcdef");
	assert_string_equal(t.forward_host, "");
	assert_int_equal(t.forward_port, 0);
	assert_int_equal(event_get(s, &e), 1);
	r.id = 2;
	assert_int_equal(request_get(s, &r), 1);
	assert_int_equal(r.state, STATE_ASKED);
	TEXT_COPY(r.forwards, "cmp:443");
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(request_set(s, &r), 0);
	assert_int_equal(request_add(s, &r), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(r.id, 3);
}

/* Version 3: people have keys with options, targets say how they are entered, invitations are there. */
static void
new_columns_look(struct store *s)
{
	struct person p = {.login = "alice"};
	struct person_key k = {.login = "alice", .fingerprint = "SHA256:abc"};
	struct target t = {.name = "osv1"};
	struct visitor v = {.number = 1};
	struct invite i = {.digest = "0123", .login = "alice", .made_by = "maria", .expires_at = 5};

	assert_int_equal(person_get(s, &p), 1);
	assert_string_equal(p.name, "Alice Engineer");
	assert_string_equal(p.pam_user, "");
	assert_int_equal(person_key_get(s, &k), 1);
	assert_int_equal(k.added, 1764000000000);
	assert_string_equal(k.networks, "");
	assert_int_equal(k.valid_until + k.options + k.counter + k.last_used + k.invited, 0);
	assert_int_equal(target_get(s, &t), 1);
	assert_int_equal(t.port, 2222);
	assert_int_equal(t.login + t.fresh_code, 0);
	assert_string_equal(t.legacy, "");
	assert_int_equal(visitor_get(s, &v), 1);
	assert_int_equal(v.factors, 3);
	assert_string_equal(v.suspicion, "");
	k.counter = 7;
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(person_key_set(s, &k), 0);
	assert_int_equal(invite_add(s, &i), 0);
	assert_int_equal(store_commit(s), 0);
	i.expires_at = 0;
	assert_int_equal(invite_get(s, &i), 1);
	assert_int_equal(i.expires_at, 5);
}

static void
the_version_before_is_taken_over(void **state)
{
	struct place *at = *state;
	struct store *s;

	version_make(at, VERSION_2);
	assert_int_equal(version_of(at), 2);
	if ((s = store_open(at->path, at->why, sizeof(at->why))) == NULL)
		fail_msg("%s", at->why);
	new_columns_look(s);
	store_close(s);
	assert_int_equal(version_of(at), 4);
}

static void
the_first_version_is_taken_over(void **state)
{
	struct place *at = *state;
	struct request r = {.id = 2};
	struct store *s;

	version_make(at, VERSION_1);
	assert_int_equal(version_of(at), 1);
	if ((s = store_open(at->path, at->why, sizeof(at->why))) == NULL)
		fail_msg("%s", at->why);
	rows_look(s);
	store_close(s);
	assert_int_equal(version_of(at), 4);
	assert_non_null(s = store_open(at->path, at->why, sizeof(at->why)));
	assert_int_equal(request_get(s, &r), 1);
	assert_string_equal(r.forwards, "cmp:443");
	store_close(s);
}

/* The last of its steps fails: the file is as before, and is taken over once the cause is gone. */
static void
a_renewal_that_fails_changes_nothing(void **state)
{
	struct place *at = *state;
	struct store *s;

	version_make(at, VERSION_2);
	run(at, "CREATE TABLE invite (x)");
	assert_null(store_open(at->path, at->why, sizeof(at->why)));
	assert_non_null(strstr(at->why, "invite"));
	assert_int_equal(version_of(at), 2);
	run(at, "DROP TABLE invite");
	run(at, "ALTER TABLE target ADD COLUMN mismatch_session TEXT");
	assert_null(store_open(at->path, at->why, sizeof(at->why)));
	assert_non_null(strstr(at->why, "mismatch_session"));
	assert_int_equal(version_of(at), 2);
	run(at, "ALTER TABLE target DROP COLUMN mismatch_session");
	if ((s = store_open(at->path, at->why, sizeof(at->why))) == NULL)
		fail_msg("%s", at->why);
	new_columns_look(s);
	store_close(s);
}

static void
what_is_not_ours_is_refused(void **state)
{
	static const char *const makings[] = {"PRAGMA user_version = 5", "PRAGMA user_version = 0",
	    "PRAGMA user_version = -1", "PRAGMA application_id = 1"};
	struct place *at = *state;
	struct store *s;

	for (size_t i = 0; i < sizeof(makings) / sizeof(makings[0]); i++) {
		unlink(at->path);
		assert_non_null(s = store_open(at->path, at->why, sizeof(at->why)));
		store_close(s);
		run(at, makings[i]);
		if ((s = store_open(at->path, at->why, sizeof(at->why))) != NULL)
			fail_msg("opened after %s", makings[i]);
		assert_non_null(strstr(at->why, "not a database of this release"));
	}
}

/* The names of all indexes that we made, in one line; the caller frees it. */
static char *
indexes_of(const struct place *at)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	char *names;

	assert_int_equal(sqlite3_open(at->path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(db,
	        "SELECT group_concat(sql, '; ') FROM (SELECT sql FROM sqlite_schema WHERE type = 'index' "
	        "AND sql IS NOT NULL ORDER BY name)",
	        -1, &q, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	names = strdup((const char *)sqlite3_column_text(q, 0));
	sqlite3_finalize(q);
	sqlite3_close(db);
	return (names);
}

/* Version 4: every index is as in a new database, and answers that nobody can ask for are gone. */
static void
indexes_are_made_anew(void **state)
{
	struct place *at = *state;
	struct asking gone = {.conn = 7, .ask = 1}, here = {.conn = 8, .ask = 1};
	struct visitor v = {.conn = 8};
	struct store *s;
	char *fresh, *renewed;

	assert_non_null(s = store_open(at->path, at->why, sizeof(at->why)));
	fresh = indexes_of(at);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(visitor_add(s, &v), 0);
	assert_int_equal(asking_add(s, &gone), 0);
	assert_int_equal(asking_add(s, &here), 0);
	assert_int_equal(store_commit(s), 0);
	store_close(s);
	run(at, "DROP INDEX request_person; DROP INDEX grant_ends; CREATE INDEX request_state ON request(state);"
	        "ALTER TABLE visitor DROP COLUMN cut_at; ALTER TABLE visitor DROP COLUMN cut_why;"
	        "PRAGMA user_version = 3");
	if ((s = store_open(at->path, at->why, sizeof(at->why))) == NULL)
		fail_msg("%s", at->why);
	renewed = indexes_of(at);
	assert_string_equal(renewed, fresh);
	assert_int_equal(asking_get(s, &gone), 0);
	assert_int_equal(asking_get(s, &here), 1);
	assert_int_equal(visitor_get(s, &v), 1);
	assert_int_equal(v.cut_at, 0);
	store_close(s);
	free(fresh);
	free(renewed);
}

/* The file is removed under it: nothing is written to where nobody finds it, and nothing that was there is lost. */
static void
what_was_removed_is_saved(void **state)
{
	struct place *at = *state;
	struct vendor v = {.name = "unify", .valid_until = 5};
	char saved[128];
	struct store *s;

	assert_non_null(s = store_open(at->path, at->why, sizeof(at->why)));
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(vendor_add(s, &v), 0);
	assert_int_equal(store_commit(s), 0);
	unlink(at->path);
	assert_int_equal(store_begin(s), -1);
	assert_non_null(strstr(store_trouble(s), "it was removed; what it held is in "));
	store_close(s);
	snprintf(saved, sizeof(saved), "%s-wal", at->path); /* it would be read into whatever is put there */
	assert_int_equal(access(saved, F_OK), -1);
	/* no empty one is made in its place */
	assert_null(store_open(at->path, at->why, sizeof(at->why)));
	assert_non_null(strstr(at->why, "is gone; what it held is in "));
	snprintf(saved, sizeof(saved), "%s.saved", at->path);
	assert_int_equal(rename(saved, at->path), 0);
	if ((s = store_open(at->path, at->why, sizeof(at->why))) == NULL)
		fail_msg("%s", at->why);
	v.valid_until = 0;
	assert_int_equal(vendor_get(s, &v), 1);
	assert_int_equal(v.valid_until, 5);
	/* another one in its place is not ours either */
	assert_int_equal(rename(at->path, saved), 0);
	close(open(at->path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(store_begin(s), -1);
	assert_non_null(strstr(store_trouble(s), "could not be saved"));
	store_close(s);
	unlink(saved);
}

/* Killed, and then removed without its log: what is left of it is not thrown away for an empty one. */
static void
a_log_that_is_left_alone(void **state)
{
	struct place *at = *state;
	char log[128], kept[128];
	struct store *s;

	snprintf(log, sizeof(log), "%s-wal", at->path);
	snprintf(kept, sizeof(kept), "%s.kept", at->path);
	assert_non_null(s = store_open(at->path, at->why, sizeof(at->why)));
	assert_int_equal(rename(log, kept), 0); /* closing in order would remove it */
	store_close(s);
	assert_int_equal(rename(kept, log), 0);
	unlink(at->path);
	assert_null(store_open(at->path, at->why, sizeof(at->why)));
	assert_non_null(strstr(at->why, "is gone, and its log is still there"));
	assert_int_equal(access(at->path, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_begin, place_end)
const struct CMUnitTest storing[] = {TEST(the_version_before_is_taken_over), TEST(the_first_version_is_taken_over),
    TEST(a_renewal_that_fails_changes_nothing), TEST(what_is_not_ours_is_refused), TEST(indexes_are_made_anew),
    TEST(what_was_removed_is_saved), TEST(a_log_that_is_left_alone)};
const size_t storing_count = sizeof(storing) / sizeof(storing[0]);
