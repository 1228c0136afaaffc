/*
 * The facts of a channel that carries files, made into JSON; their shapes stand in transfer.h.  A peer's bytes become text
 * here and nowhere else, and every fact fits into a frame.
 */
#ifndef SESSION_LEDGER_H
#define SESSION_LEDGER_H

#include <jansson.h>

#include "contract/tables.h"
#include "image.h"
#include "transfer.h"

struct ledger {
	void (*fact)(void *ctx, struct bytes json);
	void *ctx;
	struct transfer_counts counts;
	size_t left;   /* how many bytes of facts may follow */
	uint32_t lost; /* facts that were too many for that */
	int failed;    /* a fact could not be made: there was no memory.  The channel must end. */
};

/* At the end of a channel facts come all at once, and somebody must keep them: from now on TRANSFER_END_MAX bytes of them. */
void ledger_close(struct ledger *l);
/* And how many there were beside those, when there were more. */
void ledger_sum(struct ledger *l, int64_t ms);

/* A peer's own bytes, and the member that they become.  Absent when `at` is NULL. */
struct ledger_name {
	const char *key;
	struct bytes bytes;
};

/* One file, at its end. */
struct ledger_file {
	const char *op;
	struct bytes path, name; /* name: of scp */
	uint64_t read, written, size;
	char sha256[IMAGE_SHA256_SIZE]; /* "": null, and why */
	char why[IMAGE_WHY_SIZE];
	int whole;
	int64_t from_ms, to_ms;
	json_t *result; /* given */
	json_t *more;   /* given: an object whose members go in behind the path, or NULL */
};
void ledger_file(struct ledger *l, const struct ledger_file *f);

/* Something else that changed the target, or tried to.  At most three names; `more` and `result` are given. */
void ledger_operation(struct ledger *l, const char *op, const struct ledger_name *names, size_t count, json_t *more,
    int64_t ms, json_t *result);

/* What was not let through: `text` as the engineer's client was told, `name` of an unknown extension. */
struct ledger_refusal {
	const char *op;
	struct bytes path, to, name;
	enum reason reason;
	uint32_t status;
	const char *text;
	int64_t ms;
};
void ledger_refused(struct ledger *l, const struct ledger_refusal *r);

/* Results.  Words of a peer are cut to a line that can be read. */
json_t *ledger_ok(void);
json_t *ledger_unfinished(void);
json_t *ledger_failed(struct bytes words);

#endif
