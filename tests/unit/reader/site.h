/*
 * A small site for the reader's tests: a shelf and a book in one directory, made by the functions that the recorder and
 * the book use; and a reader's task run to its end without loop or waiting.
 */
#ifndef SITE_H
#define SITE_H

#include "contract/settings.h"
#include "format/blob.h"
#include "format/cast.h"
#include "format/leaf.h"
#include "format/note.h"
#include "holdings.h"
#include "store.h"
#include "task.h"

#define SITE_ORIGIN "lodge-test"

struct site {
	char dir[40];   /* temporary; everything is in it */
	char under[64]; /* dir/now: what is read */
	struct note_signer signer;
	struct age_identity identity;
	struct age_recipient recipient;
	struct store *store; /* NULL: the book is closed */
	uint64_t sequence;
	struct holdings holdings;
	int holds;
};

/* How a recording is made. */
enum site_part {
	SITE_PLAIN = 0,
	SITE_RECOVERED = 1, /* its last segment is a .wal */
	SITE_LIVE = 2,      /* not ended */
	SITE_HOSTILE = 4,   /* what it shows would act on a terminal */
	SITE_BIG = 8        /* more than a socket holds */
};

void site_begin(struct site *s);
void site_end(struct site *s);

void site_book_open(struct site *s);
void site_book_close(struct site *s);
void site_checkpoint(struct site *s);
void site_event(struct site *s, const char *json); /* any other leaf */
void site_record(struct site *s, const char *id, int64_t started_ms, int parts);
/* session.end of a SITE_LIVE one, by the files that lie there. */
void site_record_end(struct site *s, const char *id, int64_t started_ms);

/* The reader's holdings over s->under, fresh: it has seen nothing. */
void site_hold(struct site *s);
void site_settings(const struct site *s, char *text, size_t size); /* lodge.conf for lodge-reader */

/* Runs verb to its end; *out gets what it wrote.  options: JSON. */
struct task_end site_run(struct site *s, const char *verb, const char *id, const char *options, struct blob *out);

/* Words through sh in s->dir, with $R the shelf and $B the book of `now`; what they printed is appended to *out (may be
 * NULL).  Gives the exit status. */
int site_sh(const struct site *s, struct blob *out, const char *format, ...) __attribute__((format(printf, 3, 4)));
int blob_has(const struct blob *b, const char *text);

#endif
