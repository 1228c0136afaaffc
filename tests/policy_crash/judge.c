/* The judge; see judge.h. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "judge.h"
#include "script.h"
#include "states.h"

void
told_note(struct told *t, const struct message *m)
{
	size_t i = t->count;

	if (m->type != MSG_LEASE && m->type != MSG_VERDICT)
		return;
	if (i == TOLD_MOST)
		abort();
	if (m->type == MSG_LEASE) {
		t->of[i].what = TOLD_LEASE;
		t->of[i].grant = (int64_t)m->lease.grant;
		t->of[i].ends_at = m->lease.ends_wall_ms;
	} else {
		t->of[i].what = m->verdict.verdict == VERDICT_ALLOW  ? TOLD_ALLOW
		                : m->verdict.verdict == VERDICT_WAIT ? TOLD_WAIT
		                                                     : TOLD_DENY;
		t->of[i].grant = (int64_t)m->verdict.grant;
		t->of[i].request = (int64_t)m->verdict.request;
	}
	t->count++;
}

/* ---- the copy ---- */

static void
file_copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	struct stat st;

	(void)unlink(to);
	if (in == -1) /* there is no log */
		return;
	if (fstat(in, &st) == -1 || (out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == -1 ||
	    sendfile(out, in, NULL, (size_t)st.st_size) != st.st_size || close(out) == -1)
		abort();
	(void)close(in);
}

static sqlite3 *
copy_open(struct house *h, char path[160])
{
	static const char *const ends[] = {"", "-wal"};
	char from[160], to[160];
	sqlite3 *db;

	(void)snprintf(path, 160, "%s/policy/judged.db", h->dir);
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(from, sizeof(from), "%s%s", house_database(h), ends[i]);
		(void)snprintf(to, sizeof(to), "%.120s%s", path, ends[i]);
		file_copy(from, to);
	}
	if (sqlite3_open(path, &db) != SQLITE_OK)
		abort();
	return (db);
}

static void
copy_close(sqlite3 *db, const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char name[160];

	(void)sqlite3_close(db);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		(void)snprintf(name, sizeof(name), "%.120s%s", path, ends[i]);
		(void)unlink(name);
	}
}

/* ---- questions ---- */

static int64_t
number_of(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *q = NULL;
	int64_t n;

	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW) {
		(void)printf("%s: %s\n", sql, sqlite3_errmsg(db));
		abort();
	}
	n = sqlite3_column_int64(q, 0);
	(void)sqlite3_finalize(q);
	return (n);
}

/* A database that was never made: the first policy died before. */
static int
is_empty(sqlite3 *db)
{
	return (number_of(db, "SELECT count(*) FROM sqlite_schema") == 0);
}

static void
integrity_judge(struct house *h, sqlite3 *db)
{
	sqlite3_stmt *q = NULL;

	if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &q, NULL) != SQLITE_OK ||
	    sqlite3_step(q) != SQLITE_ROW)
		house_fault(h, "the database does not open: %s", sqlite3_errmsg(db));
	else if (strcmp((const char *)sqlite3_column_text(q, 0), "ok") != 0)
		house_fault(h, "the database is broken: %s", (const char *)sqlite3_column_text(q, 0));
	(void)sqlite3_finalize(q);
}

static void
events_judge(struct house *h, sqlite3 *db)
{
	int64_t last = number_of(db, "SELECT ifnull(max(sequence), 0) FROM event"), number;
	sqlite3_stmt *q;

	if (number_of(db, "SELECT count(*) FROM event") != last)
		house_fault(h, "events are missing below %lld", (long long)last);
	if (last < h->held)
		house_fault(h, "the book holds event %lld, the database ends with %lld", (long long)h->held,
		    (long long)last);
	if (sqlite3_prepare_v2(db, "SELECT sequence, json FROM event", -1, &q, NULL) != SQLITE_OK)
		abort();
	while (sqlite3_step(q) == SQLITE_ROW) {
		number = sqlite3_column_int64(q, 0);
		if (number <= h->held &&
		    (h->leaves[number] == NULL ||
		        strcmp(h->leaves[number], (const char *)sqlite3_column_text(q, 1)) != 0))
			house_fault(h, "event %lld is not what the book was told", (long long)number);
	}
	(void)sqlite3_finalize(q);
}

/* Nobody does it: it follows from the step before. */
static size_t
is_consequence(const struct step *step)
{
	return (step->act == ACT_ALLOWED || step->act == ACT_DENIED || step->act == ACT_CUT);
}

static void
steps_judge(struct house *h, sqlite3 *db, size_t now)
{
	int64_t stands;

	for (size_t i = 0; i < script_count; i++) {
		if (script[i].proof == NULL)
			continue;
		stands = number_of(db, script[i].proof);
		if (!stands && (i < now || (i == now && step_is_over(h, i))))
			house_fault(h, "lost: step %zu, %s, which was answered", i, script[i].words);
		if (stands && i > now + is_consequence(&script[i]))
			house_fault(h, "invented: step %zu, %s, which nobody has begun", i, script[i].words);
	}
}

static void
told_judge(struct house *h, sqlite3 *db, const struct told *t)
{
	static const char *const sql[] = {
	    [TOLD_LEASE] = "SELECT count(*) FROM \"grant\" WHERE id = %lld AND ends_at >= %lld",
	    [TOLD_ALLOW] = "SELECT count(*) FROM \"grant\" WHERE id = %lld AND request = %lld",
	    [TOLD_WAIT] = "SELECT count(*) FROM request WHERE id > 0 * %lld AND id = %lld",
	    [TOLD_DENY] = "SELECT count(*) FROM request WHERE id > 0 * %lld AND id = %lld AND state = 3",
	};
	static const char *const names[] = {"lease", "yes", "wait", "no"};
	char text[160];

	for (size_t i = 0; i < t->count; i++) {
		int64_t second = t->of[i].what == TOLD_LEASE ? t->of[i].ends_at : t->of[i].request;

		(void)snprintf(
		    text, sizeof(text), sql[t->of[i].what], (long long)t->of[i].grant, (long long)second);
		if (number_of(db, text) != 1)
			house_fault(h, "lost: a %s that was told (request %lld, grant %lld)", names[t->of[i].what],
			    (long long)t->of[i].request, (long long)t->of[i].grant);
	}
}

void
judge_death(struct house *h, const struct told *t, size_t now)
{
	char path[160];
	sqlite3 *db = copy_open(h, path);

	integrity_judge(h, db);
	if (!is_empty(db)) {
		events_judge(h, db);
		steps_judge(h, db, now);
		told_judge(h, db, t);
	}
	copy_close(db, path);
}

/* ---- at the end ---- */

static const char *const dumped[] = {
    "SELECT 'request', id, person, target, account, state, decided_by, decided_why, why, ticket FROM request ORDER "
    "BY id",
    "SELECT 'decision', request, who, what, why FROM decision ORDER BY id",
    "SELECT 'grant', request, person, target, state, approver, ends_at - begins_at, entered_at != 0, end_by FROM "
    "\"grant\" "
    "ORDER BY id",
    "SELECT 'visitor', person, role, ended_at != 0, reason FROM visitor ORDER BY number",
    "SELECT 'stream', person, target, what, state, request, entered_at != 0, reason FROM stream ORDER BY number",
    "SELECT 'asking', count(*) FROM asking",
    "SELECT 'verb_done', count(*) FROM verb_done",
    "SELECT 'event', name, json ->> '$.user.name', json ->> '$.user.target.name', json ->> '$.lodge.request', "
    "json ->> '$.event.reason', count(*) FROM event WHERE name NOT IN ('process.restarted', 'gateway.start') "
    "GROUP BY 2, 3, 4, 5, 6 ORDER BY 2, 3, 4, 5, 6",
};

char *
judge_dump(struct house *h)
{
	char path[160], *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	sqlite3 *db = copy_open(h, path);
	sqlite3_stmt *q;

	if (f == NULL)
		abort();
	for (size_t i = 0; i < sizeof(dumped) / sizeof(dumped[0]); i++) {
		if (sqlite3_prepare_v2(db, dumped[i], -1, &q, NULL) != SQLITE_OK)
			abort();
		while (sqlite3_step(q) == SQLITE_ROW) {
			for (int c = 0; c < sqlite3_column_count(q); c++)
				(void)fprintf(f, "%s%s", c == 0 ? "" : "|",
				    sqlite3_column_text(q, c) == NULL ? ""
				                                      : (const char *)sqlite3_column_text(q, c));
			(void)fprintf(f, "\n");
		}
		(void)sqlite3_finalize(q);
	}
	(void)fclose(f);
	copy_close(db, path);
	return (text);
}
