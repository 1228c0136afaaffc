/*
 * The book, read for some recordings (scan.h) under its checkpoint of now, and read again under a later one when it
 * does not say yet what it soon will: leaves are signed up to ten seconds after they came.
 */
#ifndef READER_SURVEY_H
#define READER_SURVEY_H

#include "holdings.h"
#include "scan.h"

enum { SURVEY_WAIT_MS = 500, SURVEY_WAITS = 30 };

struct survey;

/* ids are 32 hex digits each; all is lent.  NULL: no memory. */
struct survey *survey_new(struct holdings *h, const char *const *ids, size_t count);
void survey_free(struct survey *s);

enum survey_more { SURVEY_MORE, SURVEY_WAIT /* SURVEY_WAIT_MS */, SURVEY_DONE, SURVEY_FAILED };
enum survey_more survey_step(struct survey *s);
const char *survey_why(const struct survey *s); /* FAILED: "file: what is wrong" */

/* After DONE: asks for a later checkpoint; step on.  1; 0 when it was waited for long enough. */
int survey_again(struct survey *s);

/* After DONE (lent until the next step). */
const struct scan *survey_scan(const struct survey *s);
const struct checkpoint *survey_checkpoint(const struct survey *s);
const struct blob *survey_note(const struct survey *s); /* the signed checkpoint */

#endif
