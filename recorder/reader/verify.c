/*
 * verify: the book first (survey.h), then each recording's directory against it (format/evidence.h).  Of many, also
 * what the book knows and the shelf lost, and what lies on the shelf and the book does not know.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/evidence.h"
#include "format/sessionindex.h"
#include "format/sums.h"
#include "report.h"
#include "shelves.h"
#include "survey.h"
#include "task.h"

enum { REST_STEP = 64 }; /* recordings looked for in one step */

/* What lies on the shelf. */
struct lying {
	char day[16];
	char name[REPORT_WHAT];
};

struct verify {
	struct task_call call;
	const char **ids; /* lent by call */
	size_t count, next;
	enum { ONE, MANY } how;
	enum { AT_SHELF, AT_BOOK, AT_RECORDING, AT_FILES, AT_LOST, AT_UNKNOWN, AT_END } at;

	/* Many: everything on the shelf, listed before the book is read. */
	struct shelves *shelves;
	struct lying *lying;
	size_t lying_count, lying_room, rest;

	struct survey *survey;
	int book_failed;

	/* The recording at work. */
	int dir;
	struct evidence *evidence;
	struct verdict verdict;
	struct report report;
};

/* ---- life ---- */

static void
recording_end(struct verify *v)
{
	evidence_free(v->evidence);
	v->evidence = NULL;
	if (v->dir != -1)
		(void)close(v->dir);
	v->dir = -1;
}

static void
verify_free(void *task)
{
	struct verify *v = task;

	recording_end(v);
	survey_free(v->survey);
	shelves_free(v->shelves);
	json_decref(v->report.json);
	free(v->lying);
	free(v->ids);
	free(v);
}

/* The identifiers asked for.  0; -1: there are none, or some that are none. */
static int
ids_take(struct verify *v)
{
	const json_t *list = json_object_get(v->call.options, "ids");
	size_t count = v->call.id[0] != '\0' ? 1 : json_array_size(list);

	if (count == 0 || (v->ids = calloc(count, sizeof(v->ids[0]))) == NULL)
		return (-1);
	v->how = v->call.id[0] != '\0' ? ONE : MANY;
	for (v->count = 0; v->count < count; v->count++) {
		const char *id = v->how == ONE ? v->call.id : json_string_value(json_array_get(list, v->count));

		if (id == NULL || !shelves_id_ok(id))
			return (-1);
		v->ids[v->count] = id;
	}
	return (0);
}

static void *
verify_begin(const struct task_call *call, struct task_end *end)
{
	struct verify *v = calloc(1, sizeof(*v));

	if (v == NULL)
		goto failed;
	v->call = *call;
	v->dir = -1;
	v->report.line_end = call->line_end;
	if (ids_take(v) == -1) {
		verify_free(v);
		(void)task_over(end, TASK_CANNOT, "lodge: the reader was asked for no recording");
		return (NULL);
	}
	v->at = v->how == MANY ? AT_SHELF : AT_BOOK;
	if ((v->survey = survey_new(call->holdings, v->ids, v->count)) == NULL ||
	    (json_is_true(json_object_get(call->options, "json")) && (v->report.json = json_array()) == NULL)) {
		verify_free(v);
		goto failed;
	}
	return (v);
failed:
	(void)task_over(end, TASK_CANNOT, "lodge: the reader is out of memory");
	return (NULL);
}

/* ---- the shelf ---- */

static int
on_lying(void *ctx, const char *day, const char *name)
{
	struct verify *v = ctx;
	struct lying *l;

	if (v->lying_count == v->lying_room) {
		size_t room = v->lying_room == 0 ? 64 : 2 * v->lying_room;

		if ((l = realloc(v->lying, room * sizeof(*l))) == NULL)
			return (-1);
		v->lying = l;
		v->lying_room = room;
	}
	l = &v->lying[v->lying_count++];
	(void)snprintf(l->day, sizeof(l->day), "%s", day);
	(void)snprintf(l->name, sizeof(l->name), "%.*s", (int)sizeof(l->name) - 1, name);
	return (0);
}

/* 1 more, 0 all listed, -1 it cannot be. */
static int
shelf_step(struct verify *v)
{
	if (v->shelves == NULL && (v->shelves = shelves_new(v->call.holdings->shelf)) == NULL)
		return (-1);
	return (shelves_step(v->shelves, on_lying, v));
}

/* ---- one recording ---- */

static void
fault(struct verify *v, const char *file, const char *what)
{
	verdict_fault(&v->verdict, file, what);
}

static size_t
leaves_of(const struct claims *c)
{
	return (c->count + (c->start.kind == LEAF_START) + (c->end.kind == LEAF_END));
}

/* Opens its directory where the book says that it lies; elsewhere is a fault.  0; -1: it lies nowhere. */
static int
directory_open(struct verify *v, const struct found *f, const char *id)
{
	char path[SHELVES_PATH], is[SHELVES_PATH], what[2 * SHELVES_PATH + 32];

	if (f != NULL && f->started_ms != 0) {
		shelves_path(path, id, f->started_ms);
		v->dir = openat(v->call.holdings->shelf, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (v->dir != -1)
			return (0);
	}
	if ((v->dir = shelves_find(v->call.holdings->shelf, id, is)) == -1)
		return (-1);
	if (f != NULL && f->started_ms != 0) {
		(void)snprintf(what, sizeof(what), "lies there, and by the book should be %s", path);
		fault(v, is, what);
	}
	return (0);
}

static int
is_closed(const struct verify *v)
{
	return (faccessat(v->dir, SUMS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
}

/* What book and shelf say of the next one.  The files come after, unless this decides it already. */
static enum task_more
recording_begin(struct verify *v)
{
	const char *id = v->ids[v->next];
	const struct found *f = v->book_failed ? NULL : scan_find(survey_scan(v->survey), id);
	struct evidence_about about = {.ring = holdings_ring(v->call.holdings), .place = EVIDENCE_SHELF};
	int lies;

	recording_end(v);
	verdict_begin(&v->verdict, id);
	v->at = AT_FILES;
	if (v->book_failed) {
		fault(v, "book", survey_why(v->survey));
		return (TASK_MORE);
	}
	lies = directory_open(v, f, id) == 0;
	if (f == NULL || !lies) {
		fault(v, "",
		    f == NULL && !lies ? "neither the book nor the shelf knows it"
		    : f == NULL        ? "lies on the shelf, and the book does not know it"
		                       : "is in the book, and the shelf lost it");
		return (TASK_MORE);
	}
	if (f->claims->end.kind != LEAF_END && is_closed(v) && survey_again(v->survey)) {
		v->at = AT_BOOK;
		return (TASK_MORE);
	}
	if (f->contradicted)
		fault(v, "book", "two leaves of it contradict each other");
	if (f->claims->end.kind != LEAF_END && is_closed(v))
		fault(v, SUMS_FILE, "closes it on the shelf, and session.end is not in the book");
	v->verdict.leaves = leaves_of(f->claims);
	v->verdict.started_ms = f->started_ms;
	about.dir = v->dir;
	about.claims = f->claims;
	about.on_fault = verdict_fault;
	about.ctx = &v->verdict;
	if ((v->evidence = evidence_new(&about)) == NULL)
		fault(v, "", "the reader is out of memory");
	return (TASK_MORE);
}

/* -1: no memory. */
static int
files_step(struct verify *v, struct blob *out)
{
	struct evidence_result r;

	if (v->evidence != NULL) {
		if (evidence_step(v->evidence) == EVIDENCE_MORE)
			return (0);
		r = evidence_result(v->evidence);
		v->verdict.files = r.files;
		v->verdict.bytes = r.bytes;
		v->verdict.opened = r.opened;
		if (v->verdict.faults == 0)
			v->verdict.state = r.state;
	}
	recording_end(v);
	v->at = ++v->next < v->count ? AT_RECORDING : v->how == MANY && !v->book_failed ? AT_LOST : AT_END;
	return (report_recording(&v->report, &v->verdict, out));
}

/* ---- the rest of book and shelf ---- */

/* What the book knows and nobody asked for must at least be there.  0; -1: no memory. */
static int
lost_step(struct verify *v, struct blob *out)
{
	const struct found *f;
	char path[SHELVES_PATH];

	for (unsigned i = 0; i < REST_STEP; i++) {
		if ((f = scan_at(survey_scan(v->survey), v->rest)) == NULL) {
			v->at = AT_UNKNOWN;
			v->rest = 0;
			return (0);
		}
		v->rest++;
		if (f->claims != NULL)
			continue;
		shelves_path(path, f->rec, f->started_ms);
		if (faccessat(v->call.holdings->shelf, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		verdict_begin(&v->verdict, f->rec);
		fault(v, path, "is in the book, and the shelf lost it");
		if (report_recording(&v->report, &v->verdict, out) == -1)
			return (-1);
	}
	return (0);
}

/* Nothing but a sealed meta: it was made ready, and nobody came. */
static int
never_began(const struct verify *v, const char *path)
{
	int fd = openat(v->call.holdings->shelf, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), result = 1;
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (d == NULL) {
		if (fd != -1)
			(void)close(fd);
		return (0);
	}
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strncmp(entry->d_name, SESSIONINDEX_META, strlen(SESSIONINDEX_META)) != 0)
			result = 0;
	(void)closedir(d);
	return (result);
}

/* "" when it may lie there. */
static const char *
unknown_why(struct verify *v, const struct lying *l, const char *path)
{
	const struct found *f;
	char by_book[SHELVES_PATH];

	if (!shelves_id_ok(l->name))
		return ("is no recording, and the recorder did not put it there");
	if ((f = scan_find(survey_scan(v->survey), l->name)) == NULL) {
		if (!never_began(v, path))
			return ("lies on the shelf, and the book does not know it");
		v->report.beginnings++;
		return ("");
	}
	shelves_path(by_book, l->name, f->started_ms);
	if (strcmp(by_book, path) != 0 &&
	    (f->claims == NULL || faccessat(v->call.holdings->shelf, by_book, F_OK, AT_SYMLINK_NOFOLLOW) == 0))
		return ("lies on another day's shelf than the book says");
	return ("");
}

static int
is_asked_for(const struct verify *v, const char *id)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->ids[i], id) == 0)
			return (1);
	return (0);
}

static int
unknown_step(struct verify *v, struct blob *out)
{
	for (unsigned i = 0; i < REST_STEP; i++) {
		const struct lying *l = &v->lying[v->rest];
		char path[sizeof(l->day) + sizeof(l->name)];
		const char *why;

		if (v->rest == v->lying_count) {
			v->at = AT_END;
			return (0);
		}
		v->rest++;
		(void)snprintf(path, sizeof(path), "%s/%s", l->day, l->name);
		why = unknown_why(v, l, path);
		if (why[0] == '\0' ||
		    (scan_find(survey_scan(v->survey), l->name) == NULL && is_asked_for(v, l->name)))
			continue; /* said already */
		verdict_begin(&v->verdict, l->name);
		fault(v, path, why);
		if (report_recording(&v->report, &v->verdict, out) == -1)
			return (-1);
	}
	return (0);
}

/* ---- steps ---- */

static enum task_more
book_step(struct verify *v, uint64_t *wait_ms)
{
	switch (survey_step(v->survey)) {
	case SURVEY_MORE:
		return (TASK_MORE);
	case SURVEY_WAIT:
		*wait_ms = SURVEY_WAIT_MS;
		return (TASK_WAIT);
	case SURVEY_FAILED:
		v->book_failed = 1;
		break;
	default:
		break;
	}
	v->at = AT_RECORDING;
	return (TASK_MORE);
}

static enum task_more
verify_end(struct verify *v, struct blob *out, struct task_end *end)
{
	static const struct note_key none;
	size_t bad = v->report.state[EVIDENCE_FAILED];

	if (report_end(&v->report, survey_checkpoint(v->survey), v->book_failed ? &none : &v->call.holdings->key,
	        out) == -1)
		return (task_over(end, TASK_CANNOT, "lodge: the reader is out of memory"));
	if (bad == 0)
		return (task_over(end, TASK_GOOD, "%s", ""));
	return (task_over(end, TASK_BAD, "lodge: verify FAILED for %zu of %zu", bad, report_count(&v->report)));
}

static enum task_more
verify_step(void *task, struct blob *out, uint64_t *wait_ms, struct task_end *end)
{
	struct verify *v = task;
	int went = 0;

	switch (v->at) {
	case AT_SHELF:
		if ((went = shelf_step(v)) == 0)
			v->at = AT_BOOK;
		if (went == -1)
			return (task_over(end, TASK_BAD, "lodge: the shelf cannot be read: %s", strerror(errno)));
		return (TASK_MORE);
	case AT_BOOK:
		return (book_step(v, wait_ms));
	case AT_RECORDING:
		return (recording_begin(v));
	case AT_FILES:
		went = files_step(v, out);
		break;
	case AT_LOST:
		went = lost_step(v, out);
		break;
	case AT_UNKNOWN:
		went = unknown_step(v, out);
		break;
	default:
		return (verify_end(v, out, end));
	}
	return (went == -1 ? task_over(end, TASK_CANNOT, "lodge: the reader is out of memory") : TASK_MORE);
}

const struct task_kind task_verify = {
    .verb = "verify", .begin = verify_begin, .step = verify_step, .free = verify_free};
