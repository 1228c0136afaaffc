/*
 * A tape's way to the shelf and into the book: sealing in threads, leaves in order, index.json, SHA256SUMS and the
 * last leaf.  index.part, one line a sealed segment, lets a successor write the same index.json; it goes at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "contract/tables.h"
#include "disk.h"
#include "format/leaf.h"
#include "format/sums.h"
#include "tape_own.h"
#include "wal.h"
#include "works.h"

#define PART_FILE "index.part"

void
tape_fail(struct tape *t, int error)
{
	if (t->state == TAPE_FAILED || t->state == TAPE_CLOSED)
		return;
	log_error(
	    "recording %s cannot be sealed now: %s; the log keeps it for the next start", t->rec, strerror(error));
	t->error = error;
	t->state = TAPE_FAILED;
	t->receipt.failed = 1;
	if (t->receipt.reason == REASON_NONE)
		t->receipt.reason = error == ENOSPC || error == EDQUOT ? REASON_DISK_FULL : REASON_RECORDER;
	t->receipt.at_wall_ms = clock_wall_ms();
	if (error == ENOSPC || error == EDQUOT)
		t->house->on_full(t->house->ctx);
	t->house->on_sealed(t->house->ctx, t);
}

static int
is_full(int error)
{
	return (error == ENOSPC || error == EDQUOT);
}

/* --- Directory and meta ----------------------------------------------------------------------------------- */

static void
prepare_work(void *ctx)
{
	struct tape *t = ctx;
	struct segment_seal seal = {.name = SESSIONINDEX_META,
	    .plain = &t->meta_plain,
	    .recipients = t->house->recipients[JOURNAL_MAIN].to,
	    .count = t->house->recipients[JOURNAL_MAIN].count};
	struct segment_sealed sealed;

	errno = t->work_error = 0;
	t->work_dir = -1;
	if ((seal.dir = shelf_directory_make(t->house->shelf, t->path)) == -1 ||
	    segment_seal(&seal, &sealed) == -1) {
		t->work_error = errno != 0 ? errno : EIO;
		if (seal.dir != -1)
			(void)close(seal.dir);
		return;
	}
	t->work_dir = seal.dir;
}

static void
prepare_done(void *ctx)
{
	struct tape *t = ctx;

	t->busy--;
	blob_free(&t->meta_plain);
	t->dir = t->work_dir;
	if (t->work_error != 0)
		tape_fail(t, t->work_error);
	else
		tape_jobs_go(t);
}

void
tape_prepare(struct tape *t)
{
	if (works_add(t->house->works, prepare_work, prepare_done, t) == -1)
		tape_fail(t, ENOMEM);
	else
		t->busy++;
}

/* --- Segments --------------------------------------------------------------------------------------------- */

void
tape_job_add(struct tape *t, struct seal_job *j)
{
	struct seal_job **at = &t->tracks[j->track].jobs;

	while (*at != NULL)
		at = &(*at)->next;
	*at = j;
	if (t->state != TAPE_BEGINNING)
		tape_jobs_go(t);
}

static void
seal_work(void *ctx)
{
	struct seal_job *j = ctx;
	char name[SEGMENT_NAME_MAX];
	struct segment_seal seal = {.dir = j->tape->dir,
	    .name = name,
	    .plain = &j->plain,
	    .file_key = j->file_key.at,
	    .header = &j->header};

	errno = 0;
	if (segment_name(name, j->track == JOURNAL_INPUT ? SEGMENT_INPUT : SEGMENT_OUTPUT, j->number) == 0 &&
	    segment_seal(&seal, &j->sealed) == 0)
		j->error = 0;
	else
		j->error = errno != 0 ? errno : EIO;
}

static void
seal_done(void *ctx)
{
	struct seal_job *j = ctx;
	struct tape *t = j->tape;

	t->busy--;
	j->state = JOB_DONE;
	if (is_full(j->error) && j->tries++ == 0) { /* once more, in the room that the reserve gives */
		t->house->on_full(t->house->ctx);
		j->state = JOB_WAITING;
	}
	if (t->state != TAPE_FAILED)
		tape_jobs_go(t);
}

static int
segment_leaf(struct tape *t, const struct seal_job *j)
{
	struct tape_track *k = &t->tracks[j->track];
	struct leaf leaf = {.kind = LEAF_SEGMENT,
	    .track = j->track == JOURNAL_INPUT ? SEGMENT_INPUT : SEGMENT_OUTPUT,
	    .number = j->number,
	    .sealed = j->sealed,
	    .made = j->recovered ? LEAF_RECOVERED : LEAF_SEALED};
	struct ledger_leaf entry = {
	    .kind = LEDGER_SEGMENT, .track = (uint8_t)j->track, .number = j->number, .wal_file = j->wal_file};
	struct blob json = {0};
	int result = -1;

	memcpy(leaf.rec, t->rec, sizeof leaf.rec);
	memcpy(leaf.prev, k->prev, sizeof leaf.prev);
	memcpy(entry.id, t->id, sizeof entry.id);
	if ((j->recovered ? segment_recovered_name : segment_name)(leaf.name, leaf.track, j->number) == -1)
		return (-1);
	if (leaf_write(&json, &leaf) == 0) {
		entry.json = (const char *)json.at;
		entry.json_size = json.size;
		result = ledger_enter(t->house->ledger, &entry);
	}
	blob_free(&json);
	memcpy(k->prev, j->sealed.sha256, sizeof k->prev);
	return (result);
}

/* One line for a successor.  Losing it costs times in an index, nothing else: a failure is not one of the recording. */
static void
part_add(struct tape *t, const struct seal_job *j)
{
	struct blob b = {0};
	int fd = openat(t->dir, PART_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd != -1 &&
	    blob_add_format(&b, "{\"track\":%d,\"n\":%" PRIu32 ",\"recovered\":%d,\"sha256\":\"", (int)j->track,
	        j->number, j->recovered) == 0 &&
	    blob_add_hex(&b, j->sealed.sha256, 32) == 0 &&
	    blob_add_format(&b,
	        "\",\"size\":%" PRIu64 ",\"begin_ms\":%" PRIu64 ",\"end_ms\":%" PRIu64 ",\"events\":%" PRIu32
	        ",\"cols\":%u,\"rows\":%u,\"payload\":%" PRIu64 "}\n",
	        j->sealed.size, j->begin_ms, j->end_ms, j->events, j->cols, j->rows, j->payload) == 0)
		(void)disk_write(fd, b.at, b.size);
	blob_free(&b);
	if (fd != -1)
		(void)close(fd);
}

/* The head of a track's row is done: index, book.  0; -1 when the tape failed by it. */
static int
job_finish(struct tape *t, struct seal_job *j)
{
	struct sessionindex_segment s = {.track = j->track == JOURNAL_INPUT ? SEGMENT_INPUT : SEGMENT_OUTPUT,
	    .number = j->number,
	    .sealed = j->sealed,
	    .begin_ms = j->begin_ms,
	    .end_ms = j->end_ms,
	    .events = j->events,
	    .cols = j->cols,
	    .rows = j->rows,
	    .made = j->recovered ? SESSIONINDEX_RECOVERED : SESSIONINDEX_SEALED};

	if (j->error != 0) {
		tape_fail(t, j->error);
		return (-1);
	}
	part_add(t, j);
	if (sessionindex_add(&t->index, &s) == -1 || segment_leaf(t, j) == -1) {
		tape_fail(t, ENOMEM);
		return (-1);
	}
	t->tracks[j->track].jobs = j->next;
	blob_free(&j->plain);
	blob_free(&j->header);
	secret_free(&j->file_key);
	free(j);
	t->house->on_relief(t->house->ctx, t);
	return (0);
}

/* --- The first and the last leaf -------------------------------------------------------------------------- */

static int
leaf_enter(struct tape *t, const struct leaf *leaf, struct ledger_leaf *entry)
{
	struct blob json = {0};
	int result = -1;

	memcpy(entry->id, t->id, sizeof entry->id);
	if (leaf_write(&json, leaf) == 0) {
		entry->json = (const char *)json.at;
		entry->json_size = json.size;
		result = ledger_enter(t->house->ledger, entry);
	}
	blob_free(&json);
	return (result);
}

static int
start_enter(struct tape *t)
{
	struct leaf leaf = {.kind = LEAF_START, .at_ms = t->started_wall_ms};
	struct ledger_leaf entry = {.kind = LEDGER_START, .when = LEDGER_CHECKPOINT};

	memcpy(leaf.rec, t->rec, sizeof leaf.rec);
	memcpy(leaf.meta, t->meta, sizeof leaf.meta);
	t->told = 1;
	return (leaf_enter(t, &leaf, &entry));
}

static int
by_track(const void *a, const void *b)
{
	const struct sessionindex_segment *x = a, *y = b;

	if (x->track != y->track)
		return (x->track < y->track ? -1 : 1);
	return (x->number < y->number ? -1 : x->number > y->number);
}

static int
sums_make(struct tape *t, struct blob *to, const struct segment_sealed *index)
{
	struct sums sums = {0};
	unsigned char meta[32];
	uint64_t size;
	int result = -1;

	if (sha256_of_file(meta, t->dir, SESSIONINDEX_META, &size) == 0) {
		if (sums_add(&sums, SESSIONINDEX_META, meta) == -1)
			goto out;
	} else if (errno != ENOENT)
		goto out;
	for (size_t i = 0; i < t->index.count; i++) {
		const struct sessionindex_segment *s = &t->index.segments[i];
		char name[SEGMENT_NAME_MAX];

		if ((s->made == SESSIONINDEX_RECOVERED ? segment_recovered_name : segment_name)(
		        name, s->track, s->number) == -1 ||
		    sums_add(&sums, name, s->sealed.sha256) == -1)
			goto out;
	}
	if (sums_add(&sums, SESSIONINDEX_FILE, index->sha256) == 0)
		result = sums_write(&sums, to);
out:
	sums_free(&sums);
	return (result);
}

static void
finish_work(void *ctx)
{
	struct tape *t = ctx;
	struct blob index = {0}, sums = {0};
	struct segment_sealed sealed = {.size = 0};

	errno = t->work_error = 0;
	if (t->index.count > 1)
		qsort(t->index.segments, t->index.count, sizeof t->index.segments[0], by_track);
	if (sessionindex_write(&t->index, &index) != 0 || sha256_of(sealed.sha256, index.at, index.size) == -1 ||
	    disk_put(t->dir, SESSIONINDEX_FILE, index.at, index.size) == -1 || sums_make(t, &sums, &sealed) == -1 ||
	    sha256_of(t->receipt.digest, sums.at, sums.size) == -1 ||
	    disk_put(t->dir, SUMS_FILE, sums.at, sums.size) == -1)
		t->work_error = errno != 0 ? errno : EIO;
	blob_free(&index);
	blob_free(&sums);
}

static void finish_begin(struct tape *t);

static void
finish_done(void *ctx)
{
	struct tape *t = ctx;
	struct leaf leaf = {.kind = LEAF_END, .at_ms = t->index.ended_ms};
	struct ledger_leaf entry = {
	    .kind = LEDGER_END, .when = LEDGER_CHECKPOINT}; /* verify right after finds it */

	t->busy--;
	if (is_full(t->work_error) && !t->receipt.failed) {
		t->receipt.failed = 1; /* the second time is for good */
		t->house->on_full(t->house->ctx);
		finish_begin(t);
		return;
	}
	if (t->work_error != 0) {
		tape_fail(t, t->work_error);
		return;
	}
	t->receipt.failed = 0;
	memcpy(leaf.rec, t->rec, sizeof leaf.rec);
	memcpy(leaf.sums, t->receipt.digest, sizeof leaf.sums);
	memcpy(leaf.cause, t->index.cause, sizeof leaf.cause);
	for (size_t i = 0; i < t->index.count; i++)
		*(t->index.segments[i].track == SEGMENT_INPUT ? &leaf.inputs : &leaf.segments) += 1;
	t->receipt.segments = (uint32_t)t->index.count;
	if (leaf_enter(t, &leaf, &entry) == -1)
		tape_fail(t, ENOMEM);
}

static void
finish_begin(struct tape *t)
{
	t->state = TAPE_CLOSING;
	t->index.ended_ms = t->receipt.at_wall_ms = clock_wall_ms();
	(void)snprintf(t->index.cause, sizeof t->index.cause, "%s", reason_code((enum reason)t->reason));
	if (works_add(t->house->works, finish_work, finish_done, t) == -1)
		tape_fail(t, ENOMEM);
	else
		t->busy++;
}

/* --- Going on --------------------------------------------------------------------------------------------- */

void
tape_jobs_go(struct tape *t)
{
	if (t->state >= TAPE_CLOSING || t->dir == -1 || !t->logged)
		return;
	if (!t->told && start_enter(t) == -1) {
		tape_fail(t, ENOMEM);
		return;
	}
	for (int i = 0; i < 2; i++) {
		for (struct seal_job *j = t->tracks[i].jobs; j != NULL; j = j->next)
			if (j->state == JOB_WAITING) {
				j->state = JOB_AT_WORK;
				if (works_add(t->house->works, seal_work, seal_done, j) == -1) {
					j->state = JOB_WAITING;
					return; /* the next tick tries again */
				}
				t->busy++;
			}
		while (t->tracks[i].jobs != NULL && t->tracks[i].jobs->state == JOB_DONE)
			if (job_finish(t, t->tracks[i].jobs) == -1)
				return;
	}
	if (t->ending && t->begun && t->busy == 0 && t->tracks[0].jobs == NULL && t->tracks[1].jobs == NULL)
		finish_begin(t);
}

void
tape_held(struct tape *t, const struct ledger_leaf *leaf)
{
	if (leaf->kind == LEDGER_START && !t->begun) {
		t->begun = 1;
		if (t->state == TAPE_BEGINNING)
			t->state = t->ending ? TAPE_ENDING : TAPE_LIVE;
		if (t->state == TAPE_LIVE)
			t->house->on_begun(t->house->ctx, t);
		tape_jobs_go(t);
	} else if (leaf->kind == LEDGER_END && t->state == TAPE_CLOSING) {
		t->state = TAPE_CLOSED;
		(void)unlinkat(
		    t->dir, PART_FILE, 0); /* until now a successor needs it for index.json and the receipt */
		t->house->on_sealed(t->house->ctx, t);
	}
}

void
tape_told(struct tape *t)
{
	if (t->state != TAPE_CLOSED || t->heard)
		return;
	t->heard = 1;
	if (tape_note(t, "closed") == -1)
		log_warning("recording %s: its closing is not noted: %s", t->rec, strerror(errno));
}

int
tape_is_told(const struct tape *t)
{
	return (t->state != TAPE_CLOSED || t->heard);
}
