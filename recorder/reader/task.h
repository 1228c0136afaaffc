/*
 * The things that a reading can be: play, files, verify, export.  Each is pulled: a step does a small piece of work,
 * appends what is to be written, and says whether and when there is more.  No descriptor of the asker's, no clock and
 * no loop: readings.c gives those.
 */
#ifndef READER_TASK_H
#define READER_TASK_H

#include <jansson.h>

#include "format/blob.h"
#include "holdings.h"

enum { TASK_SUMMARY = 400 };

/* How a reading ends: the exit status of the asker's verb and a line for them ("": nothing to say). */
enum task_status { TASK_GOOD = 0, TASK_BAD = 1, TASK_CANNOT = 69 };
struct task_end {
	enum task_status status;
	char summary[TASK_SUMMARY];
};

/* What was asked.  All of it is lent until the task's end. */
struct task_call {
	struct holdings *holdings;
	const char *id; /* 32 hex digits; "": see options */
	const json_t *options;
	const char *line_end; /* "\n", or "\r\n" for a terminal */
};

enum task_more { TASK_MORE, TASK_WAIT, TASK_OVER };

struct task_kind {
	const char *verb;
	/* NULL and *end when it cannot begin. */
	void *(*begin)(const struct task_call *call, struct task_end *end);
	/* WAIT: not again before *wait_ms have passed.  OVER: *end is set. */
	enum task_more (*step)(void *task, struct blob *out, uint64_t *wait_ms, struct task_end *end);
	void (*free)(void *task);
};

extern const struct task_kind task_play, task_files, task_verify, task_export;

/* The kind of this verb; NULL: none. */
const struct task_kind *task_of(const char *verb);

/* Sets both fields; gives TASK_OVER. */
enum task_more task_over(struct task_end *end, enum task_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
