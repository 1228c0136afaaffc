#include "survey.h"

#include <stdio.h>
#include <stdlib.h>

#define WHY_MAX 256

struct survey {
	struct holdings *holdings; /* lent */
	const char *const *ids;    /* lent */
	size_t count;
	enum { AT_CHECKPOINT, AT_SCAN, AT_DONE, AT_WAITING } at;
	unsigned waits;
	struct scan *scan;
	struct checkpoint checkpoint;
	struct blob note;
	char why[WHY_MAX];
};

struct survey *
survey_new(struct holdings *h, const char *const *ids, size_t count)
{
	struct survey *s = calloc(1, sizeof(*s));

	if (s != NULL)
		*s = (struct survey){.holdings = h, .ids = ids, .count = count};
	return (s);
}

void
survey_free(struct survey *s)
{
	if (s == NULL)
		return;
	scan_free(s->scan);
	blob_free(&s->note);
	free(s);
}

static enum survey_more
no_memory(struct survey *s)
{
	(void)snprintf(s->why, sizeof(s->why), "no memory");
	return (SURVEY_FAILED);
}

/* Begins a scan under the present checkpoint; while waiting only when it has grown. */
static enum survey_more
scan_begin(struct survey *s)
{
	struct checkpoint now;
	struct blob note = {.at = NULL};

	if (holdings_checkpoint(s->holdings, &now, &note, s->why, sizeof(s->why)) == -1)
		return (SURVEY_FAILED);
	if (s->at == AT_WAITING && now.size == s->checkpoint.size) {
		blob_free(&note);
		if (s->waits++ < SURVEY_WAITS)
			return (SURVEY_WAIT);
		s->at = AT_DONE;
		return (SURVEY_DONE);
	}
	scan_free(s->scan);
	blob_free(&s->note);
	s->note = note;
	s->checkpoint = now;
	s->at = AT_SCAN;
	if ((s->scan = scan_new(s->holdings->book, &now)) == NULL)
		return (no_memory(s));
	for (size_t i = 0; i < s->count; i++)
		if (scan_want(s->scan, s->ids[i]) == -1)
			return (no_memory(s));
	return (SURVEY_MORE);
}

enum survey_more
survey_step(struct survey *s)
{
	switch (s->at) {
	case AT_CHECKPOINT:
	case AT_WAITING:
		return (scan_begin(s));
	case AT_SCAN:
		switch (scan_step(s->scan)) {
		case SCAN_MORE:
			return (SURVEY_MORE);
		case SCAN_FAILED:
			(void)snprintf(s->why, sizeof(s->why), "%s", scan_why(s->scan));
			return (SURVEY_FAILED);
		default:
			s->at = AT_DONE;
			return (SURVEY_DONE);
		}
	default:
		return (SURVEY_DONE);
	}
}

int
survey_again(struct survey *s)
{
	if (s->waits > SURVEY_WAITS)
		return (0);
	s->at = AT_WAITING;
	return (1);
}

const char *
survey_why(const struct survey *s)
{
	return (s->why);
}

const struct scan *
survey_scan(const struct survey *s)
{
	return (s->scan);
}

const struct checkpoint *
survey_checkpoint(const struct survey *s)
{
	return (&s->checkpoint);
}

const struct blob *
survey_note(const struct survey *s)
{
	return (&s->note);
}
