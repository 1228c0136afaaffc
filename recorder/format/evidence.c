/* A recording held against the book: see evidence.h. */
#include "format/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/bundle.h"
#include "format/cast.h"
#include "format/recovered.h"
#include "format/sessionindex.h"
#include "format/sums.h"

enum { WHAT_MAX = 256 };

/* ---- claims ---- */

static int
same(const struct leaf *a, const struct leaf *b)
{
	struct blob x = {.at = NULL}, y = {.at = NULL};
	int result =
	    leaf_write(&x, a) == 0 && leaf_write(&y, b) == 0 && x.size == y.size && memcmp(x.at, y.at, x.size) == 0;

	blob_free(&x);
	blob_free(&y);
	return (result);
}

static int
segment_add(struct claims *c, const struct leaf *leaf)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->segments[i].track == leaf->track && c->segments[i].number == leaf->number)
			return (same(&c->segments[i], leaf) ? 0 : -1);
	if (c->count == c->room) {
		size_t room = c->room == 0 ? 16 : 2 * c->room;
		struct leaf *segments = realloc(c->segments, room * sizeof(*segments));

		if (segments == NULL)
			return (-1);
		c->segments = segments;
		c->room = room;
	}
	c->segments[c->count++] = *leaf;
	return (0);
}

int
claims_add(struct claims *claims, const struct leaf *leaf)
{
	struct leaf *place = leaf->kind == LEAF_START ? &claims->start : &claims->end;

	if (leaf->kind == LEAF_OTHER || strcmp(leaf->rec, claims->rec) != 0)
		return (0);
	if (leaf->kind == LEAF_SEGMENT)
		return (segment_add(claims, leaf));
	if (place->kind != LEAF_OTHER)
		return (same(place, leaf) ? 0 : -1);
	*place = *leaf;
	return (0);
}

void
claims_free(struct claims *claims)
{
	free(claims->segments);
	*claims = (struct claims){.count = 0};
}

/* ---- the check ---- */

const char *
evidence_state_text(enum evidence_state state)
{
	static const char *const texts[] = {
	    [EVIDENCE_SEALED] = "sealed",
	    [EVIDENCE_RECOVERED] = "recovered",
	    [EVIDENCE_INCOMPLETE] = "incomplete (live)",
	    [EVIDENCE_FAILED] = "failed",
	};

	return (texts[state]);
}

struct evidence {
	struct evidence_about about;
	struct evidence_result result;
	enum { AT_BEGIN, AT_FILES, AT_END } at;
	struct sums sums; /* while live: made from the segment leaves */
	size_t next;
	int recovered;
};

static void
fault(struct evidence *e, const char *file, const char *what)
{
	e->result.faults++;
	e->result.state = EVIDENCE_FAILED;
	e->about.on_fault(e->about.ctx, file, what);
}

struct evidence *
evidence_new(const struct evidence_about *about)
{
	struct evidence *e = calloc(1, sizeof(*e));

	if (e != NULL)
		e->about = *about;
	return (e);
}

static int
by_place(const void *a, const void *b)
{
	const struct leaf *x = a, *y = b;

	if (x->track != y->track)
		return (x->track < y->track ? -1 : 1);
	return (x->number < y->number ? -1 : x->number > y->number);
}

/* Each track's leaves form one chain: every digest is the `prev` of the next. */
static void
chain_check(struct evidence *e)
{
	const struct claims *c = e->about.claims;
	struct leaf *sorted = calloc(c->count + 1, sizeof(*sorted));
	static const unsigned char zero[SEGMENT_SHA256];

	if (sorted == NULL) {
		fault(e, "", "no memory");
		return;
	}
	if (c->count > 0)
		memcpy(sorted, c->segments, c->count * sizeof(*sorted));
	qsort(sorted, c->count, sizeof(*sorted), by_place);
	for (size_t i = 0; i < c->count; i++) {
		int first = i == 0 || sorted[i - 1].track != sorted[i].track;
		const unsigned char *prev = first ? zero : sorted[i - 1].sealed.sha256;

		if (memcmp(prev, sorted[i].prev, SEGMENT_SHA256) != 0)
			fault(e, sorted[i].name, "does not follow the segment before it");
		if (sorted[i].made == LEAF_RECOVERED)
			e->recovered = 1;
	}
	free(sorted);
}

/* Every segment leaf has its line in SHA256SUMS, with the same digest. */
static void
leaves_check(struct evidence *e)
{
	for (size_t i = 0; i < e->about.claims->count; i++) {
		const struct leaf *leaf = &e->about.claims->segments[i];
		const struct sums_line *line = sums_find(&e->sums, leaf->name);

		if (line == NULL)
			fault(e, leaf->name, "is in the book and not in " SUMS_FILE);
		else if (memcmp(line->sha256, leaf->sealed.sha256, SEGMENT_SHA256) != 0)
			fault(e, leaf->name, "has another hash in the book than in " SUMS_FILE);
	}
}

/* As many segments of each track as session.end counts. */
static void
count_check(struct evidence *e)
{
	uint32_t counts[2] = {0, 0};
	char what[WHAT_MAX];

	for (size_t i = 0; i < e->sums.count; i++) {
		enum segment_track track;
		enum segment_form form;
		uint32_t number;

		if (segment_name_parse(e->sums.lines[i].name, &track, &number, &form) == -1)
			continue;
		counts[track == SEGMENT_INPUT]++;
		if (form == SEGMENT_FORM_RECOVERED)
			e->recovered = 1;
	}
	if (counts[0] == e->about.claims->end.segments && counts[1] == e->about.claims->end.inputs)
		return;
	(void)snprintf(what, sizeof(what), "lists %u and %u segments, the book says %u and %u", counts[0],
	    counts[1], e->about.claims->end.segments, e->about.claims->end.inputs);
	fault(e, SUMS_FILE, what);
}

/* SHA256SUMS: the one that session.end names, and well formed.  0 or -1. */
static int
sums_load(struct evidence *e)
{
	struct blob text = {.at = NULL};
	unsigned char sha256[SUMS_SHA256];
	char what[WHAT_MAX];
	unsigned line;
	int result = -1;

	if (blob_read_at(&text, e->about.dir, SUMS_FILE, SUMS_MAX) == -1) {
		fault(e, SUMS_FILE, errno == ENOENT ? "is missing" : strerror(errno));
		return (-1);
	}
	e->result.files++;
	e->result.bytes += text.size;
	if (sha256_of(sha256, text.at, text.size) == -1 ||
	    memcmp(sha256, e->about.claims->end.sums, SUMS_SHA256) != 0)
		fault(e, SUMS_FILE, "is not the one that session.end in the book names");
	if (sums_parse(&e->sums, text.at, text.size, &line) == -1) {
		(void)snprintf(what, sizeof(what), "line %u is malformed", line);
		fault(e, SUMS_FILE, what);
	} else
		result = 0;
	blob_free(&text);
	return (result);
}

/* While a recording is live its segment leaves take the place of SHA256SUMS. */
static void
sums_from_leaves(struct evidence *e)
{
	for (size_t i = 0; i < e->about.claims->count; i++)
		if (sums_add(&e->sums, e->about.claims->segments[i].name,
		        e->about.claims->segments[i].sealed.sha256) == -1)
			fault(e, e->about.claims->segments[i].name, "cannot be a file of a recording");
}

/* Nothing lies here that is not listed. */
static void
directory_check(struct evidence *e)
{
	int fd = openat(e->about.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (d == NULL) {
		fault(e, "", strerror(errno));
		if (fd != -1)
			(void)close(fd);
		return;
	}
	while ((entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, SUMS_FILE) == 0 ||
		    sums_find(&e->sums, name) != NULL || (e->about.place == EVIDENCE_BUNDLE && bundle_own(name)))
			continue;
		fault(e, name, "is not listed in " SUMS_FILE);
	}
	(void)closedir(d);
}

/* index.json says of each segment what SHA256SUMS says. */
static void
index_check(struct evidence *e, const struct blob *text)
{
	struct sessionindex index;
	char name[SEGMENT_NAME_MAX];

	if (sessionindex_parse(&index, text->at, text->size) == -1) {
		fault(e, SESSIONINDEX_FILE, "is malformed");
		return;
	}
	if (strcmp(index.rec, e->about.claims->rec) != 0)
		fault(e, SESSIONINDEX_FILE, "is of another recording");
	for (size_t i = 0; i < index.count; i++) {
		const struct sessionindex_segment *s = &index.segments[i];
		const struct sums_line *line;

		(void)(s->made == SESSIONINDEX_RECOVERED ? segment_recovered_name : segment_name)(
		    name, s->track, s->number);
		line = sums_find(&e->sums, name);
		if (line == NULL || memcmp(line->sha256, s->sealed.sha256, SUMS_SHA256) != 0)
			fault(e, SESSIONINDEX_FILE, "does not agree with " SUMS_FILE);
	}
	sessionindex_free(&index);
}

/* The plaintext of a segment is asciicast, of meta what session.start committed to.  "" when good. */
static void
plain_check(struct evidence *e, const char *name, const struct blob *plain, char what[WHAT_MAX])
{
	const struct cast_watcher nobody = {.self = NULL};
	unsigned char sha256[SUMS_SHA256];
	struct cast_reader *r;

	if (strcmp(name, SESSIONINDEX_META) == 0) {
		if (sha256_of(sha256, plain->at, plain->size) == -1 ||
		    memcmp(sha256, e->about.claims->start.meta, SUMS_SHA256) != 0)
			(void)snprintf(what, WHAT_MAX, "is not what session.start in the book committed to");
		return;
	}
	if ((r = cast_reader_new(&nobody)) == NULL)
		return;
	if (cast_reader_add(r, plain->at, plain->size) != CAST_OK || cast_reader_end(r) != CAST_OK)
		(void)snprintf(what, WHAT_MAX, "line %u of its asciicast is malformed", cast_reader_line(r));
	cast_reader_free(r);
}

/* Opens one sealed file; `what` is set when it does not open as it should. */
static void
open_check(struct evidence *e, const char *name, char what[WHAT_MAX])
{
	struct blob plain = {.at = NULL};
	struct segment_report report;

	if (recovered_or_sealed_open(e->about.dir, name, e->about.ring, &plain, &report) == SEGMENT_OK) {
		e->result.opened++;
		plain_check(e, name, &plain, what);
	} else if (!(report.fault == SEGMENT_AGE && report.age == AGE_NOT_FOR_US))
		segment_report_text(&report, what, WHAT_MAX);
	blob_free(&plain);
}

static int
is_sealed(const char *name)
{
	enum segment_track track;
	enum segment_form form;
	uint32_t number;

	return (segment_name_parse(name, &track, &number, &form) == 0 || strcmp(name, SESSIONINDEX_META) == 0);
}

static void
file_check(struct evidence *e, const struct sums_line *line)
{
	unsigned char sha256[SUMS_SHA256];
	char what[WHAT_MAX] = "", both[WHAT_MAX + 32];
	struct blob text = {.at = NULL};
	uint64_t size;

	if (sha256_of_file(sha256, e->about.dir, line->name, &size) == -1) {
		fault(e, line->name, errno == ENOENT ? "is missing" : strerror(errno));
		return;
	}
	e->result.files++;
	e->result.bytes += size;
	if (e->about.ring.count > 0 && is_sealed(line->name))
		open_check(e, line->name, what);
	if (memcmp(sha256, line->sha256, SUMS_SHA256) != 0) {
		(void)snprintf(both, sizeof(both), "hash mismatch%s%s", what[0] != '\0' ? ", " : "", what);
		fault(e, line->name, both);
	} else if (what[0] != '\0')
		fault(e, line->name, what);
	if (strcmp(line->name, SESSIONINDEX_FILE) == 0) {
		if (blob_read_at(&text, e->about.dir, line->name, SESSIONINDEX_MAX) == 0)
			index_check(e, &text);
		blob_free(&text);
	}
}

/* What can be judged without reading the files themselves. */
static void
begin_check(struct evidence *e)
{
	const struct claims *c = e->about.claims;

	e->at = AT_FILES;
	if (c->start.kind != LEAF_START)
		fault(e, "", "the book has no session.start for it");
	if (c->end.kind != LEAF_END) {
		sums_from_leaves(e);
		chain_check(e);
		return;
	}
	if (sums_load(e) == -1)
		return;
	if (c->known == CLAIMS_ALL) {
		leaves_check(e);
		chain_check(e);
	}
	count_check(e);
	directory_check(e);
	if (sums_find(&e->sums, SESSIONINDEX_FILE) == NULL)
		fault(e, SUMS_FILE, "does not list " SESSIONINDEX_FILE);
}

enum evidence_more
evidence_step(struct evidence *e)
{
	if (e->at == AT_BEGIN)
		begin_check(e);
	else if (e->at == AT_FILES && e->next < e->sums.count)
		file_check(e, &e->sums.lines[e->next++]);
	if (e->at == AT_FILES && e->next == e->sums.count) {
		e->at = AT_END;
		if (e->result.faults == 0)
			e->result.state = e->about.claims->end.kind != LEAF_END ? EVIDENCE_INCOMPLETE
			                  : e->recovered                        ? EVIDENCE_RECOVERED
			                                                        : EVIDENCE_SEALED;
	}
	return (e->at == AT_END ? EVIDENCE_DONE : EVIDENCE_MORE);
}

struct evidence_result
evidence_result(const struct evidence *e)
{
	return (e->result);
}

void
evidence_free(struct evidence *e)
{
	if (e == NULL)
		return;
	sums_free(&e->sums);
	free(e);
}
