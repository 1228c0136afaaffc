/*
 * The database on SQLite; see store.h.  The SQL of rows is made from rows.h, that of queries stands in queries.def;
 * every statement is prepared when the store opens, so that a wrong schema is found then and not tonight.  One file,
 * for nobody else may link sqlite3.
 */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store.h"

#define STORE_VERSION 4
#define STORE_APPLICATION 0x4c6f6467 /* "Lodg", in the file's header: see PRAGMA application_id */
#define SQL_MAX 4096

enum column_kind { COLUMN_ID, COLUMN_TEXT, COLUMN_INT };

struct column {
	const char *name;
	enum column_kind kind;
	size_t offset, size;
};

#define COLUMN_OF_ID(field) {#field, COLUMN_ID, offsetof(struct ROW, field), 8},
#define COLUMN_OF_TEXT(field, size) {#field, COLUMN_TEXT, offsetof(struct ROW, field), size},
#define COLUMN_OF_INT(field) {#field, COLUMN_INT, offsetof(struct ROW, field), 8},
#define COLUMNS_OF(COLUMNS)                                          \
	{                                                            \
		COLUMNS(COLUMN_OF_ID, COLUMN_OF_TEXT, COLUMN_OF_INT) \
	}
#define ROW vendor
static const struct column vendor_columns[] = COLUMNS_OF(VENDOR_COLUMNS);
#undef ROW
#define ROW person
static const struct column person_columns[] = COLUMNS_OF(PERSON_COLUMNS);
#undef ROW
#define ROW person_key
static const struct column person_key_columns[] = COLUMNS_OF(PERSON_KEY_COLUMNS);
#undef ROW
#define ROW invite
static const struct column invite_columns[] = COLUMNS_OF(INVITE_COLUMNS);
#undef ROW
#define ROW target
static const struct column target_columns[] = COLUMNS_OF(TARGET_COLUMNS);
#undef ROW
#define ROW target_key
static const struct column target_key_columns[] = COLUMNS_OF(TARGET_KEY_COLUMNS);
#undef ROW
#define ROW request
static const struct column request_columns[] = COLUMNS_OF(REQUEST_COLUMNS);
#undef ROW
#define ROW decision
static const struct column decision_columns[] = COLUMNS_OF(DECISION_COLUMNS);
#undef ROW
#define ROW grant
static const struct column grant_columns[] = COLUMNS_OF(GRANT_COLUMNS);
#undef ROW
#define ROW visitor
static const struct column visitor_columns[] = COLUMNS_OF(VISITOR_COLUMNS);
#undef ROW
#define ROW stream
static const struct column stream_columns[] = COLUMNS_OF(STREAM_COLUMNS);
#undef ROW
#define ROW asking
static const struct column asking_columns[] = COLUMNS_OF(ASKING_COLUMNS);
#undef ROW
#define ROW verb_done
static const struct column verb_done_columns[] = COLUMNS_OF(VERB_COLUMNS);
#undef ROW
#define ROW event
static const struct column event_columns[] = COLUMNS_OF(EVENT_COLUMNS);
#undef ROW
#define ROW meta
static const struct column meta_columns[] = COLUMNS_OF(META_COLUMNS);
#undef ROW

static const struct table {
	const char *name;
	size_t size, keys, count;
	const struct column *columns;
} tables[] = {
#define TABLE(NAME, name, keys, COLUMNS) \
	[ROWS_##NAME] = {                \
	    #name, sizeof(struct name), keys, sizeof(name##_columns) / sizeof(name##_columns[0]), name##_columns},
    ROW_TABLES(TABLE)
#undef TABLE
};

static const struct {
	enum row_table table;
	const char *arguments, *sql;
} queries[] = {
#define QUERY(NAME, TABLE, arguments, sql) [QUERY_##NAME] = {ROWS_##TABLE, arguments, sql},
#include "queries.def"
};

/*
 * What queries.def looks up besides the keys, so that none of it walks through a table that grows; a connection number and
 * a recording's id name one row each.
 */
static const char *const indexes[] = {
    "CREATE INDEX person_role ON person(role)",
    "CREATE INDEX person_uid ON person(uid)",
    "CREATE INDEX person_vendor ON person(vendor)",
    "CREATE INDEX person_key_fingerprint ON person_key(fingerprint)",
    "CREATE INDEX invite_login ON invite(login)",
    "CREATE UNIQUE INDEX visitor_conn ON visitor(conn)",
    "CREATE INDEX visitor_here ON visitor(ended_at)",
    "CREATE INDEX visitor_source ON visitor(person, source)",
    "CREATE INDEX visitor_key ON visitor(person, fingerprint)",
    "CREATE INDEX visitor_suspect ON visitor(person) WHERE suspect_at != 0",
    "CREATE INDEX visitor_vendor ON visitor(vendor)",
    "CREATE UNIQUE INDEX stream_conn ON stream(conn, stream)",
    "CREATE UNIQUE INDEX stream_id ON stream(id)",
    "CREATE INDEX stream_conn_state ON stream(conn, state)",
    "CREATE INDEX stream_state ON stream(state)",
    "CREATE INDEX stream_person ON stream(person) WHERE began_at != 0",
    "CREATE INDEX stream_person_target ON stream(person, target) WHERE began_at != 0",
    "CREATE INDEX stream_target ON stream(target) WHERE began_at != 0",
    "CREATE INDEX stream_vendor ON stream(vendor) WHERE began_at != 0",
    "CREATE INDEX stream_began ON stream(began_at)",
    "CREATE INDEX request_lapse ON request(state, lapse_at)",
    "CREATE INDEX request_lapse_boot ON request(state, lapse_boot)",
    "CREATE INDEX request_person ON request(person, state, decided_at)",
    "CREATE INDEX request_vendor ON request(vendor)",
    "CREATE INDEX request_asked ON request(asked_at)",
    "CREATE INDEX request_decided ON request(decided_at)",
    "CREATE INDEX decision_request ON decision(request)",
    "CREATE INDEX grant_person ON \"grant\"(person, state)",
    "CREATE INDEX grant_request ON \"grant\"(request)",
    "CREATE INDEX grant_ends ON \"grant\"(state, ends_at)",
    "CREATE INDEX grant_ends_boot ON \"grant\"(state, ends_boot)",
    "CREATE INDEX grant_begins ON \"grant\"(state, begins_at)",
    "CREATE INDEX grant_connect ON \"grant\"(state, entered_at, connect_by)",
    "CREATE INDEX asking_lapse ON asking(state, lapse_at)",
    "CREATE INDEX asking_lapse_boot ON asking(state, lapse_boot)",
    "CREATE INDEX asking_request ON asking(request, state)",
    "CREATE INDEX asking_stream ON asking(conn, stream)",
    "CREATE INDEX event_held ON event(held) WHERE held = 0",
};

/* What each version added to the tables of the one before: a column, whose kind stands in rows.h, or (NULL) the whole table.
 * Indexes are made anew with each version; 4 also takes away answers kept for nobody. */
static const struct {
	int version;
	enum row_table table;
	const char *column;
} additions[] = {
    {2, ROWS_REQUEST, "forwards"},
    {2, ROWS_GRANT, "forwards"},
    {2, ROWS_STREAM, "forward_host"},
    {2, ROWS_STREAM, "forward_port"},
    {3, ROWS_PERSON, "pam_user"},
    {3, ROWS_PERSON_KEY, "valid_from"},
    {3, ROWS_PERSON_KEY, "valid_until"},
    {3, ROWS_PERSON_KEY, "networks"},
    {3, ROWS_PERSON_KEY, "options"},
    {3, ROWS_PERSON_KEY, "counter"},
    {3, ROWS_PERSON_KEY, "last_used"},
    {3, ROWS_PERSON_KEY, "last_source"},
    {3, ROWS_PERSON_KEY, "invited"},
    {3, ROWS_INVITE, NULL},
    {3, ROWS_VISITOR, "suspect_at"},
    {3, ROWS_VISITOR, "suspicion"},
    {3, ROWS_TARGET, "login"},
    {3, ROWS_TARGET, "fresh_code"},
    {3, ROWS_TARGET, "legacy"},
    {3, ROWS_TARGET, "legacy_until"},
    {3, ROWS_TARGET, "legacy_why"},
    {3, ROWS_TARGET, "mismatch_at"},
    {3, ROWS_TARGET, "mismatch_key"},
    {3, ROWS_TARGET, "mismatch_session"},
    {4, ROWS_VISITOR, "cut_at"},
    {4, ROWS_VISITOR, "cut_why"},
};
#define ADDITIONS (sizeof(additions) / sizeof(additions[0]))

#define PATH_SIZE 4096
#define SAVED ".saved" /* what a database held that was removed under us */
/* The database, SQLite's log of it, and that log's index: nothing of one database may lie beside another. */
static const char *const file_ends[] = {"", "-wal", "-shm"};
#define FILES (sizeof(file_ends) / sizeof(file_ends[0]))

enum work { WORK_GET, WORK_ADD, WORK_SET, WORK_REMOVE, WORK_COUNT };

struct store {
	sqlite3 *db;
	sqlite3_stmt *rows[ROW_TABLE_COUNT][WORK_COUNT];
	sqlite3_stmt *queries[QUERY_COUNT];
	sqlite3_stmt *hold, *forget_askings, *forget_verbs;
	int begun;
	char path[PATH_SIZE];
	struct stat files[FILES]; /* as they were opened */
	char trouble[512];
};

/* What the operator does about it, by SQLite's code. */
static const struct {
	int code;
	const char *remedy;
} remedies[] = {
    {SQLITE_BUSY, "another process keeps it locked: fuser on the file says which"},
    {SQLITE_READONLY, "the file and its directory must be lodge-policy's to write"},
    {SQLITE_PERM, "the file and its directory must be lodge-policy's to write"},
    {SQLITE_CANTOPEN, "the file and its directory must be lodge-policy's to write"},
    {SQLITE_FULL, "make room on its disk"},
    {SQLITE_CORRUPT, "put the newest backup in its place, or what sqlite3's .recover makes of it"},
    {SQLITE_NOTADB, "put the newest backup in its place"},
    {SQLITE_IOERR, "look at its disk; the kernel's log says more"},
};

static int
store_fail(struct store *s, const char *what)
{
	int code = s->db == NULL ? SQLITE_NOMEM : sqlite3_errcode(s->db) & 0xff;
	const char *remedy = NULL;

	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (remedies[i].code == code)
			remedy = remedies[i].remedy;
	if (s->trouble[0] == '\0')
		snprintf(s->trouble, sizeof(s->trouble), "%.100s: %.200s%s%s", what,
		    s->db == NULL ? "no memory" : sqlite3_errmsg(s->db), remedy == NULL ? "" : "; ",
		    remedy == NULL ? "" : remedy);
	return (-1);
}

const char *
store_trouble(const struct store *s)
{
	return (s->trouble);
}

/* ---- SQL made from the tables ---- */

static void
sql_add(char sql[SQL_MAX], const char *format, ...)
{
	size_t n = strlen(sql);
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(sql + n, SQL_MAX - n, format, ap);
	va_end(ap);
}

static void
sql_names(char sql[SQL_MAX], const struct table *t, const char *format, size_t from, size_t to, const char *between)
{
	for (size_t i = from; i < to; i++) {
		sql_add(sql, format, t->columns[i].name, (int)(i + 1));
		if (i + 1 < to)
			sql_add(sql, "%s", between);
	}
}

static void
sql_column(char sql[SQL_MAX], const struct column *c)
{
	if (c->kind == COLUMN_ID)
		sql_add(sql, "\"%s\" INTEGER PRIMARY KEY AUTOINCREMENT", c->name);
	else if (c->kind == COLUMN_TEXT)
		sql_add(sql, "\"%s\" TEXT NOT NULL CHECK (length(CAST(\"%s\" AS BLOB)) < %d)", c->name, c->name,
		    (int)c->size);
	else
		sql_add(sql, "\"%s\" INTEGER NOT NULL", c->name);
}

/* A row that was there before has nothing in the new column. */
static void
sql_alter(char sql[SQL_MAX], const struct table *t, const char *column)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->columns[i].name, column) == 0) {
			sql_add(sql, "ALTER TABLE \"%s\" ADD COLUMN ", t->name);
			sql_column(sql, &t->columns[i]);
			sql_add(sql, t->columns[i].kind == COLUMN_TEXT ? " DEFAULT ''" : " DEFAULT 0");
		}
}

static void
sql_create(char sql[SQL_MAX], const struct table *t)
{
	sql_add(sql, "CREATE TABLE \"%s\" (", t->name);
	for (size_t i = 0; i < t->count; i++) {
		sql_add(sql, i == 0 ? "" : ", ");
		sql_column(sql, &t->columns[i]);
	}
	if (t->columns[0].kind != COLUMN_ID) {
		sql_add(sql, ", PRIMARY KEY (");
		sql_names(sql, t, "\"%s\"", 0, t->keys, ", ");
		sql_add(sql, ")");
	}
	sql_add(sql, ") STRICT");
}

static void
sql_select(char sql[SQL_MAX], const struct table *t, const char *rest)
{
	sql_add(sql, "SELECT ");
	sql_names(sql, t, "\"%s\"", 0, t->count, ", ");
	sql_add(sql, " FROM \"%s\" %s", t->name, rest);
}

static void
sql_work(char sql[SQL_MAX], const struct table *t, enum work work)
{
	switch (work) {
	case WORK_GET:
		sql_select(sql, t, "WHERE ");
		break;
	case WORK_ADD:
		sql_add(sql, "INSERT INTO \"%s\" (", t->name);
		sql_names(sql, t, "\"%s\"", 0, t->count, ", ");
		sql_add(sql, ") VALUES (");
		for (size_t i = 0; i < t->count; i++)
			sql_add(sql, "?%d%s", (int)(i + 1), i + 1 < t->count ? ", " : ")");
		return;
	case WORK_SET:
		sql_add(sql, "UPDATE \"%s\" SET ", t->name);
		sql_names(sql, t, "\"%s\" = ?%d", t->keys, t->count, ", ");
		sql_add(sql, " WHERE ");
		break;
	case WORK_REMOVE:
		sql_add(sql, "DELETE FROM \"%s\" WHERE ", t->name);
		break;
	case WORK_COUNT:
		return;
	}
	sql_names(sql, t, "\"%s\" = ?%d", 0, t->keys, " AND ");
}

static int
sql_run(struct store *s, const char *sql)
{
	return (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s, sql));
}

static int
sql_prepare(struct store *s, const char *sql, sqlite3_stmt **to)
{
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, to, NULL) != SQLITE_OK)
		return (store_fail(s, sql));
	return (0);
}

/* ---- opening ---- */

static int64_t
pragma_read(struct store *s, const char *sql)
{
	sqlite3_stmt *q = NULL;
	int64_t n = -1;

	if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
		n = sqlite3_column_int64(q, 0);
	(void)sqlite3_finalize(q);
	return (n);
}

static int
indexes_make(struct store *s)
{
	for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++)
		if (sql_run(s, indexes[i]) == -1)
			return (-1);
	return (0);
}

static int
schema_make(struct store *s)
{
	char sql[SQL_MAX];

	if (sql_run(s, "BEGIN IMMEDIATE") == -1)
		return (-1);
	for (size_t i = 0; i < ROW_TABLE_COUNT; i++) {
		sql[0] = '\0';
		sql_create(sql, &tables[i]);
		if (sql_run(s, sql) == -1)
			return (-1);
	}
	if (indexes_make(s) == -1)
		return (-1);
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
	    STORE_APPLICATION, STORE_VERSION);
	return (sql_run(s, sql));
}

/* One a turn, for a list that is read cannot be changed; those that SQLite made for itself have no words. */
static int
indexes_drop(struct store *s)
{
	char sql[SQL_MAX];
	sqlite3_stmt *q;
	int rc;

	do {
		sql[0] = '\0';
		if (sql_prepare(s,
		        "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL LIMIT 1",
		        &q) == -1)
			return (-1);
		if ((rc = sqlite3_step(q)) == SQLITE_ROW)
			sql_add(sql, "DROP INDEX \"%s\"", (const char *)sqlite3_column_text(q, 0));
		(void)sqlite3_finalize(q);
		if (sql[0] != '\0' && sql_run(s, sql) == -1)
			return (-1);
	} while (rc == SQLITE_ROW);
	return (rc == SQLITE_DONE ? 0 : store_fail(s, "the indexes"));
}

/* Until version 4 what sessions had asked, and was answered, stayed when they had gone. */
static int
answers_drop(struct store *s)
{
	return (
	    sql_run(s, "DELETE FROM asking WHERE conn NOT IN (SELECT conn FROM visitor WHERE ended_at = 0);"
	               "DELETE FROM verb_done WHERE conn NOT IN (SELECT conn FROM visitor WHERE ended_at = 0)"));
}

/* A database of an older release becomes one of ours, whole or not at all. */
static int
schema_renew(struct store *s, int64_t version)
{
	char sql[SQL_MAX];

	if (sql_run(s, "BEGIN IMMEDIATE") == -1)
		return (-1);
	for (size_t i = 0; i < ADDITIONS; i++) {
		if (additions[i].version <= version)
			continue;
		sql[0] = '\0';
		if (additions[i].column == NULL)
			sql_create(sql, &tables[additions[i].table]);
		else
			sql_alter(sql, &tables[additions[i].table], additions[i].column);
		if (sql_run(s, sql) == -1)
			return (-1);
	}
	if (indexes_drop(s) == -1 || answers_drop(s) == -1 || indexes_make(s) == -1)
		return (-1);
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d; COMMIT", STORE_VERSION);
	return (sql_run(s, sql));
}

static int
schema_check(struct store *s)
{
	int64_t version = pragma_read(s, "PRAGMA user_version");
	int64_t application = pragma_read(s, "PRAGMA application_id");

	if (version == 0 && application == 0 && pragma_read(s, "SELECT count(*) FROM sqlite_schema") == 0)
		return (schema_make(s));
	if (application == STORE_APPLICATION && version >= 1 && version < STORE_VERSION)
		return (schema_renew(s, version));
	if (application != STORE_APPLICATION || version != STORE_VERSION) {
		snprintf(s->trouble, sizeof(s->trouble),
		    "not a database of this release (application %lld, version %lld; expected %d, %d)",
		    (long long)application, (long long)version, STORE_APPLICATION, STORE_VERSION);
		return (-1);
	}
	return (0);
}

static int
statements_prepare(struct store *s)
{
	char sql[SQL_MAX];

	for (size_t t = 0; t < ROW_TABLE_COUNT; t++)
		for (size_t w = 0; w < WORK_COUNT; w++) {
			if (tables[t].keys == tables[t].count && w == WORK_SET)
				continue;
			sql[0] = '\0';
			sql_work(sql, &tables[t], (enum work)w);
			if (sql_prepare(s, sql, &s->rows[t][w]) == -1)
				return (-1);
		}
	for (size_t q = 0; q < QUERY_COUNT; q++) {
		sql[0] = '\0';
		sql_select(sql, &tables[queries[q].table], queries[q].sql);
		if (sql_prepare(s, sql, &s->queries[q]) == -1)
			return (-1);
	}
	return (sql_prepare(s, "UPDATE event SET held = 1 WHERE held = 0 AND sequence <= ?1", &s->hold) == -1 ||
	                sql_prepare(s, "DELETE FROM asking WHERE conn = ?1", &s->forget_askings) == -1 ||
	                sql_prepare(s, "DELETE FROM verb_done WHERE conn = ?1", &s->forget_verbs) == -1
	            ? -1
	            : 0);
}

/* 1: there is such a file beside the database, of this end; *st says which. */
static int
file_look(const struct store *s, const char *end, struct stat *st)
{
	char path[PATH_SIZE + 16];

	snprintf(path, sizeof(path), "%s%s", s->path, end);
	return (lstat(path, st) == 0);
}

/*
 * Makes the file when there is none, for SQLite gives its log files the mode of the database: it must be right before the
 * first of them exists.  -1 and why.  One that is gone is not passed over for an empty one where anything tells of it.
 */
static int
file_make(struct store *s, char *why, size_t size)
{
	struct stat st;
	int fd;

	if (!file_look(s, "", &st) && file_look(s, SAVED, &st)) {
		snprintf(why, size, "%s is gone; what it held is in %s" SAVED ": mv it into its place", s->path,
		    s->path);
		return (-1);
	}
	if (!file_look(s, "", &st) && file_look(s, "-wal", &st) && st.st_size > 0) {
		snprintf(why, size,
		    "%s is gone, and its log is still there: put the newest backup in its place, and remove %s-wal",
		    s->path, s->path);
		return (-1);
	}
	if ((fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) == -1) {
		snprintf(why, size, "%s: %s; it and its directory must be lodge-policy's to write", s->path,
		    strerror(errno));
		return (-1);
	}
	(void)close(fd);
	return (0);
}

struct store *
store_open(const char *path, char *why, size_t size)
{
	struct store *s;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		snprintf(why, size, "no memory");
		return (NULL);
	}
	snprintf(s->path, sizeof(s->path), "%s", path);
	if (file_make(s, why, size) == -1) {
		free(s);
		return (NULL);
	}
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK) {
		(void)store_fail(s, "open");
		goto bad;
	}
	(void)sqlite3_busy_timeout(s->db, 5000);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	if (sql_run(s, "PRAGMA journal_mode = WAL") == -1 || sql_run(s, "PRAGMA synchronous = FULL") == -1 ||
	    sql_run(s, "PRAGMA cell_size_check = ON") == -1 || schema_check(s) == -1 || statements_prepare(s) == -1)
		goto bad;
	if (pragma_read(s, "PRAGMA synchronous") != 2) {
		snprintf(s->trouble, sizeof(s->trouble), "the database does not write through");
		goto bad;
	}
	for (size_t i = 0; i < FILES; i++)
		(void)file_look(s, file_ends[i], &s->files[i]);
	return (s);
bad:
	snprintf(why, size, "%s: %s", path, s->trouble);
	store_close(s);
	return (NULL);
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	for (size_t t = 0; t < ROW_TABLE_COUNT; t++)
		for (size_t w = 0; w < WORK_COUNT; w++)
			(void)sqlite3_finalize(s->rows[t][w]);
	for (size_t q = 0; q < QUERY_COUNT; q++)
		(void)sqlite3_finalize(s->queries[q]);
	(void)sqlite3_finalize(s->hold);
	(void)sqlite3_finalize(s->forget_askings);
	(void)sqlite3_finalize(s->forget_verbs);
	(void)sqlite3_close(s->db);
	free(s);
}

/* ---- transactions ---- */

static int
file_is_ours(const struct store *s, size_t i)
{
	struct stat st;

	return (
	    file_look(s, file_ends[i], &st) && st.st_dev == s->files[i].st_dev && st.st_ino == s->files[i].st_ino);
}

/*
 * The file was removed, or another one put in its place: what would be written now nobody finds again.  All that it held is
 * still ours to read, and is saved beside it; then what is left of its log goes, for it would spoil whatever comes there.
 */
static int
file_lost(struct store *s)
{
	char *sql = sqlite3_mprintf("VACUUM INTO '%q" SAVED "'", s->path), path[PATH_SIZE + 16];
	int kept = sql != NULL && sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK;

	sqlite3_free(sql);
	for (size_t i = 1; i < FILES && kept; i++) {
		snprintf(path, sizeof(path), "%s%s", s->path, file_ends[i]);
		if (file_is_ours(s, i))
			(void)unlink(path);
	}
	snprintf(s->trouble, sizeof(s->trouble),
	    kept ? "it was removed; what it held is in %.300s" SAVED ": mv it into its place"
	         : "it was removed, and could not be saved as %.300s" SAVED "; put the newest backup in its place",
	    s->path);
	return (-1);
}

int
store_begin(struct store *s)
{
	if (s->trouble[0] != '\0' || s->begun)
		return (-1);
	if (!file_is_ours(s, 0))
		return (file_lost(s));
	if (sql_run(s, "BEGIN IMMEDIATE") == -1)
		return (-1);
	s->begun = 1;
	return (0);
}

int
store_commit(struct store *s)
{
	if (!s->begun)
		return (-1);
	if (s->trouble[0] != '\0' || sql_run(s, "COMMIT") == -1) {
		store_rollback(s);
		return (-1);
	}
	s->begun = 0;
	return (0);
}

void
store_rollback(struct store *s)
{
	if (!s->begun)
		return;
	s->begun = 0;
	(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- rows ---- */

static int
row_bind(sqlite3_stmt *q, const struct table *t, const void *row, size_t count, int with_id)
{
	for (size_t i = 0; i < count; i++) {
		const struct column *c = &t->columns[i];
		const unsigned char *at = (const unsigned char *)row + c->offset;
		int64_t n;
		int rc;

		if (c->kind == COLUMN_TEXT) {
			if (memchr(at, '\0', c->size) == NULL)
				return (-1);
			rc = sqlite3_bind_text(q, (int)(i + 1), (const char *)at, -1, SQLITE_TRANSIENT);
		} else {
			memcpy(&n, at, sizeof(n));
			rc = c->kind == COLUMN_ID && !with_id ? sqlite3_bind_null(q, (int)(i + 1))
			                                      : sqlite3_bind_int64(q, (int)(i + 1), n);
		}
		if (rc != SQLITE_OK)
			return (-1);
	}
	return (0);
}

/* Reads the row at which q stands; -1 when a column is not what this release writes. */
static int
row_read(sqlite3_stmt *q, const struct table *t, void *row)
{
	memset(row, 0, t->size);
	for (size_t i = 0; i < t->count; i++) {
		const struct column *c = &t->columns[i];
		unsigned char *at = (unsigned char *)row + c->offset;

		if (c->kind == COLUMN_TEXT) {
			const unsigned char *text = sqlite3_column_text(q, (int)i);
			size_t n = (size_t)sqlite3_column_bytes(q, (int)i);

			if (text == NULL || n >= c->size || memchr(text, '\0', n) != NULL)
				return (-1);
			memcpy(at, text, n);
		} else {
			int64_t n = sqlite3_column_int64(q, (int)i);

			memcpy(at, &n, sizeof(n));
		}
	}
	return (0);
}

/* Runs a statement that changes exactly `least` .. 1 rows; gives how many. */
static int
change_run(struct store *s, sqlite3_stmt *q, int least)
{
	int rc = sqlite3_step(q);
	int changed = sqlite3_changes(s->db);

	(void)sqlite3_reset(q);
	if (rc == SQLITE_CONSTRAINT)
		return (-1); /* the asker's mistake, not the file's */
	if (rc != SQLITE_DONE)
		return (store_fail(s, "a change"));
	return (changed < least || changed > 1 ? -1 : changed);
}

int
store_get(struct store *s, enum row_table table, void *row)
{
	const struct table *t = &tables[table];
	sqlite3_stmt *q = s->rows[table][WORK_GET];
	int rc, found = -1;

	if (s->trouble[0] != '\0' || row_bind(q, t, row, t->keys, 1) == -1)
		return (-1);
	if ((rc = sqlite3_step(q)) == SQLITE_ROW)
		found = row_read(q, t, row) == -1 ? store_fail(s, t->name) : 1;
	else
		found = rc == SQLITE_DONE ? 0 : store_fail(s, t->name);
	(void)sqlite3_reset(q);
	return (found);
}

int
store_add(struct store *s, enum row_table table, void *row)
{
	const struct table *t = &tables[table];
	sqlite3_stmt *q = s->rows[table][WORK_ADD];
	int64_t id;

	if (s->trouble[0] != '\0' || !s->begun || row_bind(q, t, row, t->count, 0) == -1 ||
	    change_run(s, q, 1) == -1)
		return (-1);
	if (t->columns[0].kind == COLUMN_ID) {
		id = sqlite3_last_insert_rowid(s->db);
		memcpy((unsigned char *)row + t->columns[0].offset, &id, sizeof(id));
	}
	return (0);
}

int
store_set(struct store *s, enum row_table table, const void *row)
{
	const struct table *t = &tables[table];
	sqlite3_stmt *q = s->rows[table][WORK_SET];

	if (s->trouble[0] != '\0' || !s->begun || row_bind(q, t, row, t->count, 1) == -1)
		return (-1);
	return (change_run(s, q, 1) == -1 ? -1 : 0);
}

int
store_remove(struct store *s, enum row_table table, const void *row)
{
	const struct table *t = &tables[table];
	sqlite3_stmt *q = s->rows[table][WORK_REMOVE];

	if (s->trouble[0] != '\0' || !s->begun || row_bind(q, t, row, t->keys, 1) == -1)
		return (-1);
	return (change_run(s, q, 0));
}

/* ---- queries ---- */

static int
query_bind(sqlite3_stmt *q, const char *kinds, const struct arg *args, size_t count)
{
	if (strlen(kinds) != count)
		return (-1);
	for (size_t i = 0; i < count; i++) {
		int rc = SQLITE_MISUSE;

		if (kinds[i] == 't' && args[i].text != NULL)
			rc = sqlite3_bind_text(q, (int)(i + 1), args[i].text, -1, SQLITE_TRANSIENT);
		else if (kinds[i] == 'i' && args[i].text == NULL)
			rc = sqlite3_bind_int64(q, (int)(i + 1), args[i].number);
		if (rc != SQLITE_OK)
			return (-1);
	}
	return (0);
}

static unsigned char *
rows_grow(struct rows *r, size_t *room)
{
	unsigned char *more;

	if (r->count == *room) {
		*room = *room == 0 ? 8 : *room * 2;
		if ((more = realloc(r->at, *room * r->size)) == NULL)
			return (NULL);
		r->at = more;
	}
	return (r->at + r->count * r->size);
}

int
store_find(struct store *s, enum query query, const struct arg *args, size_t count, struct rows *found)
{
	const struct table *t = &tables[queries[query].table];
	sqlite3_stmt *q = s->queries[query];
	unsigned char *row;
	size_t room = 0;
	int rc = SQLITE_DONE;

	*found = (struct rows){.size = t->size};
	if (s->trouble[0] != '\0')
		return (-1);
	if (query_bind(q, queries[query].arguments, args, count) == -1)
		return (store_fail(s, "a query's arguments"));
	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		if ((row = rows_grow(found, &room)) == NULL || row_read(q, t, row) == -1)
			break;
		found->count++;
	}
	if (rc != SQLITE_DONE)
		(void)store_fail(s, t->name);
	(void)sqlite3_reset(q);
	if (rc != SQLITE_DONE) {
		rows_free(found);
		return (-1);
	}
	return ((int)found->count);
}

void
rows_free(struct rows *r)
{
	free(r->at);
	*r = (struct rows){.at = NULL};
}

/* ---- the rest ---- */

int
meta_read(struct store *s, const char *name, struct meta *m)
{
	*m = (struct meta){.number = 0};
	snprintf(m->name, sizeof(m->name), "%s", name);
	return (meta_get(s, m) == -1 ? -1 : 0);
}

int
meta_put(struct store *s, const char *name, int64_t number, const char *text)
{
	struct meta m;
	int known;

	m = (struct meta){.number = 0};
	snprintf(m.name, sizeof(m.name), "%s", name);
	if ((known = meta_get(s, &m)) == -1)
		return (-1);
	m.number = number;
	snprintf(m.text, sizeof(m.text), "%s", text);
	return (known ? meta_set(s, &m) : meta_add(s, &m));
}

/* Runs a statement with one number, whatever many rows it changes. */
static int
number_run(struct store *s, sqlite3_stmt *q, int64_t number, const char *what)
{
	int rc;

	if (s->trouble[0] != '\0' || !s->begun || sqlite3_bind_int64(q, 1, number) != SQLITE_OK)
		return (-1);
	rc = sqlite3_step(q);
	(void)sqlite3_reset(q);
	return (rc == SQLITE_DONE ? 0 : store_fail(s, what));
}

int
events_hold(struct store *s, int64_t sequence)
{
	return (number_run(s, s->hold, sequence, "the outbox"));
}

int
answers_forget(struct store *s, int64_t conn)
{
	return (number_run(s, s->forget_askings, conn, "asking") == -1 ||
	                number_run(s, s->forget_verbs, conn, "verb_done") == -1
	            ? -1
	            : 0);
}
