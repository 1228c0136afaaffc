/*
 * The database: people, vendors, targets, requests, grants, who was where, and the outbox of events.  store_sqlite.c is
 * the only file of the house's deciding half that knows SQL.
 *
 * WAL and synchronous=FULL: what store_commit answered with 0 is there after a power cut.  Every change happens between
 * store_begin and store_commit.  Any failure of the file itself is final: the store refuses all after it (`store_trouble`
 * says why, and what to do), nothing is retried and trusted; policy then ends and is started again.  A file that was removed
 * under it is a failure, too: what it held is saved beside it.
 * One file, store_sqlite.c, is all of it, however long: nobody else may link sqlite3 (design.md 2).
 */
#ifndef POLICY_STORE_H
#define POLICY_STORE_H
#include <stddef.h>

#include "rows.h"

struct store;

enum query {
#define QUERY(NAME, TABLE, arguments, sql) QUERY_##NAME,
#include "queries.def"
	QUERY_COUNT
};

/* One argument of a query. */
struct arg {
	const char *text; /* lent; NULL: number counts */
	int64_t number;
};
#define ARG_TEXT(t) ((struct arg){.text = (t)})
#define ARG_INT(n) ((struct arg){.number = (n)})

/* Rows that a query found; free them with rows_free. */
struct rows {
	size_t count;
	size_t size; /* bytes of one row */
	unsigned char *at;
};

/*
 * Opens or makes the database (file mode 0600); one of an older release is made one of this in a single transaction.
 * NULL and why: not ours, a newer version, damaged, no room.
 */
struct store *store_open(const char *path, char *why, size_t size);
void store_close(struct store *s);
const char *store_trouble(const struct store *s); /* "" while all is well */

/* 0; -1: trouble.  No nesting.  After a failed commit all is as before store_begin. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s); /* fine when nothing was begun */

/*
 * store_get: `row` has its key columns filled in; 1 found and filled, 0 there is none, -1 trouble.
 * store_add: gives a new row its number where it has one; 0, -1 (a row of that key included).
 * store_set: writes all columns of the row with this key; exactly one row changes, or -1.
 * store_remove: 1 removed, 0 there was none, -1.
 * Use the typed wrappers below: vendor_get(s, &v), request_add(s, &r) ...
 */
int store_get(struct store *s, enum row_table table, void *row);
int store_add(struct store *s, enum row_table table, void *row);
int store_set(struct store *s, enum row_table table, const void *row);
int store_remove(struct store *s, enum row_table table, const void *row);

/* Fills *found (overwritten) with the rows of the query.  Gives their number, or -1. */
int store_find(struct store *s, enum query query, const struct arg *args, size_t count, struct rows *found);
void rows_free(struct rows *r);
#define store_list(s, query, found, ...)                            \
	store_find((s), (query), (const struct arg[]){__VA_ARGS__}, \
	    sizeof((const struct arg[]){__VA_ARGS__}) / sizeof(struct arg), (found))
#define store_list_all(s, query, found) store_find((s), (query), NULL, 0, (found))
/* The i-th row, as a pointer to struct name (lent). */
#define rows_at(r, name, i) ((struct name *)(void *)((r)->at + (i) * (r)->size))

/* One named number or text that must outlive a restart; 0 and "" when never set.  meta_put changes or adds. */
int meta_read(struct store *s, const char *name, struct meta *m);
int meta_put(struct store *s, const char *name, int64_t number, const char *text);
/* Marks every event up to `sequence` as held by the book. */
int events_hold(struct store *s, int64_t sequence);
/* A connection is no more: nobody can ask again what it asked, and the answers that were kept for that go. */
int answers_forget(struct store *s, int64_t conn);

#define ROW_WRAPPERS(NAME, name, keys, COLUMNS)                                  \
	static inline int name##_get(struct store *s, struct name *row)          \
	{                                                                        \
		return (store_get(s, ROWS_##NAME, row));                         \
	}                                                                        \
	static inline int name##_add(struct store *s, struct name *row)          \
	{                                                                        \
		return (store_add(s, ROWS_##NAME, row));                         \
	}                                                                        \
	static inline int name##_set(struct store *s, const struct name *row)    \
	{                                                                        \
		return (store_set(s, ROWS_##NAME, row));                         \
	}                                                                        \
	static inline int name##_remove(struct store *s, const struct name *row) \
	{                                                                        \
		return (store_remove(s, ROWS_##NAME, row));                      \
	}
ROW_TABLES(ROW_WRAPPERS)
#endif
