#include "tape.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/rand.h>

#include "base/clock.h"
#include "base/log.h"
#include "contract/tables.h"
#include "format/sums.h"
#include "tape_own.h"
#include "wal.h"

/* What a successor must know; plain JSON without content or names (people's words are in the sealed meta). */
int
tape_note(struct tape *t, const char *what)
{
	struct blob b = {0};
	int result = -1;

	if (blob_add_format(&b,
	        "{\"note\":\"%s\",\"rec\":\"%s\",\"conn\":%" PRIu64 ",\"stream\":%" PRIu32 ",\"wall_ms\":%" PRId64
	        ",\"boot_ms\":%" PRId64 ",\"begun\":%d,\"ending\":%d,\"end_held\":%d,\"reason\":%u"
	        ",\"meta\":\"",
	        what, t->rec, t->conn, t->stream, t->started_wall_ms, t->started_boot_ms, t->begun, t->ending,
	        t->state == TAPE_CLOSED, t->reason) == 0 &&
	    blob_add_hex(&b, t->meta, sizeof t->meta) == 0 && blob_add_text(&b, "\"}") == 0)
		result = wal_note(t->house->wal, (const char *)b.at, b.size);
	blob_free(&b);
	return (result);
}

int
tape_renote(struct tape *t)
{
	return (t->state == TAPE_CLOSED && t->heard ? 0 : tape_note(t, "stream"));
}

/* --- Segments --------------------------------------------------------------------------------------------- */

static void
track_clear(struct tape_track *k)
{
	framecast_free(k->cast);
	k->cast = NULL;
	blob_free(&k->plain);
	blob_free(&k->header);
	secret_free(&k->file_key);
	secret_free(&k->key);
	k->open = 0;
	k->wal_file = 0;
}

/* The plaintext of BEGIN: how this segment begins, and what the recording is of as far as we know it. */
static int
begin_write(const struct tape *t, enum journal_track track, const struct framecast_begin *begin, struct blob *to)
{
	return (blob_add_format(to,
	            "{\"rec\":\"%s\",\"segment\":%" PRIu32 ",\"track\":%d,\"boot_ms\":%" PRId64
	            ",\"wall_ms\":%" PRId64 ",\"cols\":%u,\"rows\":%u,\"term\":",
	            t->rec, begin->segment, (int)track, begin->boot_ms, begin->wall_ms, t->screen.cols,
	            t->screen.rows) == 0 &&
	                blob_add_json(to, t->screen.term, strlen(t->screen.term)) == 0 &&
	                blob_add_text(to, ",\"facts\":") == 0 && blob_add_text(to, t->facts) == 0 &&
	                blob_add_text(to, "}") == 0
	            ? 0
	            : -1);
}

/* Appends one record of the track's open segment to `out`. */
static int
record_add(
    struct tape *t, enum journal_track track, enum journal_type type, const struct tape_run *run, struct blob *out)
{
	struct tape_track *k = &t->tracks[track];
	struct journal_record r = {.type = type,
	    .track = track,
	    .segment = k->number,
	    .connection = t->conn,
	    .sequence = k->sequence,
	    .from = run->from,
	    .to = run->to,
	    .next_frame = run->next_frame,
	    .body = run->frames,
	    .body_len = run->size};
	size_t n;

	memcpy(r.stream, t->id, sizeof r.stream);
	if (blob_reserve(out, journal_record_bytes(type, run->size)) == -1 ||
	    (n = journal_write(out->at + out->size, &r, type == JOURNAL_HEADER ? NULL : k->key.at)) == 0)
		return (-1);
	out->size += n;
	k->sequence++;
	return (0);
}

/* Opens the track's next segment: a fresh file key, its age header and BEGIN as the first records. */
static int
segment_begin(struct tape *t, enum journal_track track, struct blob *out)
{
	struct tape_track *k = &t->tracks[track];
	struct framecast_begin begin = {
	    .track = track, .segment = k->next, .boot_ms = clock_boot_ms(), .wall_ms = clock_wall_ms()};
	struct blob first = {0};
	struct tape_run run = {.track = track};

	k->number = k->next;
	k->sequence = k->payload = 0;
	k->begin_boot_ms = k->last_boot_ms = begin.boot_ms;
	if (secret_new(&k->file_key, AGE_FILE_KEY_SIZE) == -1 || secret_new(&k->key, JOURNAL_KEY_BYTES) == -1 ||
	    age_file_key_make(k->file_key.at) == -1 || journal_key(k->key.at, k->file_key.at) == -1 ||
	    age_header_make(&k->header, k->file_key.at, t->house->recipients[track].to,
	        t->house->recipients[track].count) == -1 ||
	    (k->cast = framecast_new(&k->plain, &t->screen, &begin)) == NULL)
		goto fail;
	run.frames = k->header.at;
	run.size = k->header.size;
	if (record_add(t, track, JOURNAL_HEADER, &run, out) == -1 || begin_write(t, track, &begin, &first) == -1)
		goto fail;
	run.frames = first.at;
	run.size = first.size;
	if (record_add(t, track, JOURNAL_BEGIN, &run, out) == -1)
		goto fail;
	blob_free(&first);
	k->open = 1;
	k->next++;
	return (0);
fail:
	blob_free(&first);
	track_clear(k);
	errno = ENOMEM;
	return (-1);
}

int
tape_records(struct tape *t, const struct tape_run *run, struct blob *out)
{
	struct tape_track *k = &t->tracks[run->track];
	size_t before = out->size;

	if ((!k->open && segment_begin(t, run->track, out) == -1) ||
	    record_add(t, run->track, JOURNAL_FRAMES, run, out) == -1) {
		out->size = before;
		return (-1);
	}
	return (0);
}

int
tape_ends(struct tape *t, uint16_t reason, uint64_t to, struct blob *out)
{
	char note[128];
	struct journal_record r = {.type = JOURNAL_NOTE, .body = (const uint8_t *)note};
	size_t n;

	r.body_len = (size_t)snprintf(note, sizeof note,
	    "{\"note\":\"ends\",\"rec\":\"%s\",\"to\":%" PRIu64 ",\"reason\":%u}", t->rec, to, reason);
	if (blob_reserve(out, journal_record_bytes(JOURNAL_NOTE, r.body_len)) == -1 ||
	    (n = journal_write(out->at + out->size, &r, NULL)) == 0)
		return (-1);
	out->size += n;
	return (0);
}

int
tape_keep(struct tape *t, const struct tape_run *run, uint32_t file)
{
	struct tape_track *k = &t->tracks[run->track];
	struct ring_frame f;
	size_t at = 0;

	if (k->wal_file == 0) {
		k->wal_file = file;
		wal_hold(t->house->wal, file);
	}
	while (journal_frame_next(run->frames, run->size, &at, &f) == 1) {
		if (framecast_add(k->cast, &f) == -1)
			return (-1);
		k->payload += f.len;
		if (f.type == FRAME_IN)
			t->receipt.bytes_in += f.len;
		else if (f.type == FRAME_OUT || f.type == FRAME_ERR)
			t->receipt.bytes_out += f.len;
	}
	k->last_boot_ms = clock_boot_ms();
	return (0);
}

void
tape_settle(struct tape *t)
{
	for (int i = 0; i < 2; i++)
		if (t->tracks[i].payload >= TAPE_SEGMENT_BYTES)
			tape_cut(t, (enum journal_track)i);
}

/* Closes the open segment and sends it to be sealed. */
void
tape_cut(struct tape *t, enum journal_track track)
{
	struct tape_track *k = &t->tracks[track];
	struct seal_job *j;
	int64_t now = clock_boot_ms();

	if (!k->open)
		return;
	if ((j = calloc(1, sizeof *j)) == NULL || framecast_end(k->cast, now) == -1) {
		free(j);
		track_clear(k); /* the log keeps it: it is recovered at the next start */
		tape_fail(t, ENOMEM);
		return;
	}
	*j = (struct seal_job){.tape = t,
	    .track = track,
	    .number = k->number,
	    .events = framecast_events(k->cast),
	    .wal_file = k->wal_file,
	    .cols = t->screen.cols,
	    .rows = t->screen.rows,
	    .payload = k->payload,
	    .begin_ms = (uint64_t)(k->begin_boot_ms - t->started_boot_ms),
	    .end_ms = (uint64_t)(k->last_boot_ms - t->started_boot_ms),
	    .plain = k->plain,
	    .header = k->header,
	    .file_key = k->file_key};
	k->plain = k->header = (struct blob){0};
	k->file_key = (struct secret){0};
	track_clear(k);
	tape_job_add(t, j);
}

void
tape_leave(struct tape *t)
{
	if (t->state != TAPE_LIVE)
		return;
	tape_cut(t, JOURNAL_MAIN);
	tape_cut(t, JOURNAL_INPUT);
}

void
tape_tick(struct tape *t, int64_t boot_ms)
{
	for (int i = 0; i < 2; i++) {
		const struct tape_track *k = &t->tracks[i];

		if (k->open && t->state == TAPE_LIVE &&
		    (boot_ms - k->begin_boot_ms >= TAPE_SEGMENT_MS || boot_ms - k->last_boot_ms >= TAPE_PAUSE_MS))
			tape_cut(t, (enum journal_track)i);
	}
	if (t->state < TAPE_CLOSED)
		tape_jobs_go(t);
}

/* --- Life ------------------------------------------------------------------------------------------------- */

static struct tape *
tape_new(struct tape_house *house, const struct tape_about *about)
{
	struct tape *t = calloc(1, sizeof *t);
	json_t *facts = json_loads(about->facts, JSON_REJECT_DUPLICATES, NULL);

	if (t == NULL ||
	    (t->facts = json_is_object(facts) ? json_dumps(facts, JSON_COMPACT) : strdup("null")) == NULL) {
		json_decref(facts);
		free(t);
		errno = ENOMEM;
		return (NULL);
	}
	json_decref(facts);
	t->house = house;
	t->dir = -1;
	t->conn = about->conn;
	t->stream = about->stream;
	memcpy(t->id, about->id, sizeof t->id);
	for (size_t i = 0; i < sizeof t->id; i++)
		(void)snprintf(t->rec + 2 * i, 3, "%02x", t->id[i]);
	memcpy(t->index.rec, t->rec, sizeof t->rec);
	return (t);
}

/* meta.json: what policy said of the visit, with a salt, so that its digest in the book tells nobody anything. */
static int
meta_make(struct tape *t)
{
	uint8_t salt[16];
	int failed = RAND_bytes(salt, sizeof salt) != 1 ||
	             blob_add_format(&t->meta_plain, "{\"rec\":\"%s\",\"started_ms\":%" PRId64 ",\"salt\":\"",
	                 t->rec, t->started_wall_ms) == -1 ||
	             blob_add_hex(&t->meta_plain, salt, sizeof salt) == -1 ||
	             blob_add_text(&t->meta_plain, "\",\"facts\":") == -1 ||
	             blob_add_text(&t->meta_plain, t->facts) == -1 || blob_add_text(&t->meta_plain, "}\n") == -1 ||
	             sha256_of(t->meta, t->meta_plain.at, t->meta_plain.size) == -1;

	return (failed ? -1 : 0);
}

static void
on_logged(void *ctx, int error)
{
	struct tape *t = ctx;

	t->busy--;
	if (error != 0) {
		tape_fail(t, error);
		return;
	}
	t->logged = 1;
	tape_jobs_go(t);
}

struct tape *
tape_begin(struct tape_house *house, const struct tape_about *about)
{
	struct tape *t = tape_new(house, about);
	struct blob records = {0};
	uint32_t file;
	int error;

	if (t == NULL)
		return (NULL);
	t->started_wall_ms = t->index.started_ms = clock_wall_ms();
	t->started_boot_ms = clock_boot_ms();
	shelf_path(t->path, t->id, t->started_wall_ms);
	if (meta_make(t) == -1 || tape_note(t, "stream") == -1 || segment_begin(t, JOURNAL_MAIN, &records) == -1 ||
	    (file = wal_append(house->wal, records.at, records.size)) == 0) {
		error = errno != 0 ? errno : EIO;
		blob_free(&records);
		tape_free(t);
		errno = error;
		return (NULL);
	}
	blob_free(&records);
	t->tracks[JOURNAL_MAIN].wal_file = file;
	wal_hold(house->wal, file);
	t->busy++;
	wal_sync(house->wal, on_logged, t);
	tape_prepare(t);
	return (t);
}

/* An END frame of our own, as the last record and the last fact of the main track. */
static void
end_write(struct tape *t)
{
	uint8_t payload[2] = {(uint8_t)(t->reason >> 8), (uint8_t)t->reason}, frame[JOURNAL_FRAME_HEAD + 2];
	struct ring_frame f = {.type = FRAME_END,
	    .stream = t->stream,
	    .boot_us = clock_boot_us(),
	    .at = payload,
	    .len = sizeof payload};
	struct tape_run run = {.track = JOURNAL_MAIN, .frames = frame, .size = journal_frame_write(frame, &f)};
	struct tape_track *k = &t->tracks[JOURNAL_MAIN];
	struct blob records = {0};
	uint32_t file = 0;

	if ((k->open || segment_begin(t, JOURNAL_MAIN, &records) == 0) &&
	    record_add(t, JOURNAL_MAIN, JOURNAL_END, &run, &records) == 0)
		file = wal_append(t->house->wal, records.at, records.size);
	if (file == 0)
		log_warning("recording %s: its end is not in the log: %s", t->rec, strerror(errno));
	if (k->open)
		(void)tape_keep(t, &run, file);
	blob_free(&records);
}

void
tape_end(struct tape *t, uint16_t reason, enum tape_end how)
{
	if (t->ending || t->state >= TAPE_ENDING)
		return;
	t->ending = 1;
	t->reason = t->receipt.reason = reason;
	if (how == TAPE_END_WRITE)
		end_write(t);
	if (tape_note(t, "ending") == -1)
		log_warning("recording %s: its end is not noted: %s", t->rec, strerror(errno));
	if (t->state == TAPE_FAILED)
		return;
	tape_cut(t, JOURNAL_MAIN);
	tape_cut(t, JOURNAL_INPUT);
	if (t->state == TAPE_LIVE)
		t->state = TAPE_ENDING;
	tape_jobs_go(t);
}

/* --- Resuming --------------------------------------------------------------------------------------------- */

static int
found_add(struct tape *t, const struct tape_segment *f)
{
	struct tape_track *k = &t->tracks[f->track];
	struct sessionindex_segment s = {.track = f->track == JOURNAL_INPUT ? SEGMENT_INPUT : SEGMENT_OUTPUT,
	    .number = f->number,
	    .sealed = {.size = f->size},
	    .begin_ms = f->begin_ms,
	    .end_ms = f->end_ms,
	    .events = f->events,
	    .cols = f->cols,
	    .rows = f->rows,
	    .made = f->recovered ? SESSIONINDEX_RECOVERED : SESSIONINDEX_SEALED};
	struct seal_job *j;

	memcpy(s.sealed.sha256, f->sha256, 32);
	k->next = f->number + 1;
	if (f->track == JOURNAL_INPUT)
		t->receipt.bytes_in += f->payload;
	else
		t->receipt.bytes_out += f->payload;
	if (f->recovered)
		t->receipt.recovered = 1;
	if (!f->told) { /* as if it had just been sealed */
		if ((j = calloc(1, sizeof *j)) == NULL)
			return (-1);
		*j = (struct seal_job){.tape = t,
		    .track = f->track,
		    .number = f->number,
		    .events = f->events,
		    .wal_file = f->wal_file,
		    .begin_ms = f->begin_ms,
		    .end_ms = f->end_ms,
		    .payload = f->payload,
		    .cols = f->cols,
		    .rows = f->rows,
		    .sealed = s.sealed,
		    .state = JOB_DONE,
		    .recovered = f->recovered};
		if (f->wal_file != 0)
			wal_hold(t->house->wal, f->wal_file);
		tape_job_add(t, j);
		return (0);
	}
	memcpy(k->prev, f->sha256, 32);
	return (sessionindex_add(&t->index, &s));
}

struct tape *
tape_resume(struct tape_house *house, const struct tape_found *found)
{
	struct tape *t = tape_new(house, &found->about);

	if (t == NULL)
		return (NULL);
	t->started_wall_ms = t->index.started_ms = found->started_wall_ms;
	t->started_boot_ms = found->started_boot_ms;
	memcpy(t->meta, found->meta, sizeof t->meta);
	shelf_path(t->path, t->id, t->started_wall_ms);
	t->logged = 1;
	t->told = t->begun = found->begun;
	t->state = found->end_waits ? TAPE_CLOSING : found->begun ? TAPE_LIVE : TAPE_BEGINNING;
	t->reason = t->receipt.reason = found->reason;
	if ((t->dir = shelf_directory_make(house->shelf, t->path)) == -1)
		goto fail;
	for (size_t i = 0; i < found->count; i++)
		if (found_add(t, &found->segments[i]) == -1)
			goto fail;
	if (t->state == TAPE_CLOSING) {
		uint64_t size;

		(void)sha256_of_file(t->receipt.digest, t->dir, SUMS_FILE, &size);
		t->receipt.segments = (uint32_t)t->index.count;
		t->receipt.at_wall_ms = clock_wall_ms(); /* policy takes 0 for: not sealed yet */
	}
	if (tape_note(t, "stream") == -1)
		goto fail;
	if (found->ending && t->state != TAPE_CLOSING)
		tape_end(t, found->reason, TAPE_END_SAID);
	else
		tape_jobs_go(t);
	return (t);
fail:
	tape_free(t);
	return (NULL);
}

/* --- Looking ---------------------------------------------------------------------------------------------- */

size_t
tape_backlog(const struct tape *t)
{
	size_t n = 0;

	for (int i = 0; i < 2; i++)
		for (const struct seal_job *j = t->tracks[i].jobs; j != NULL; j = j->next)
			n++;
	return (n);
}

int
tape_is_busy(const struct tape *t)
{
	return (t->busy > 0);
}

enum tape_state
tape_state(const struct tape *t)
{
	return (t->state);
}

const uint8_t *
tape_id(const struct tape *t)
{
	return (t->id);
}

uint64_t
tape_conn(const struct tape *t)
{
	return (t->conn);
}

uint32_t
tape_stream(const struct tape *t)
{
	return (t->stream);
}

const struct tape_receipt *
tape_receipt(const struct tape *t)
{
	return (&t->receipt);
}

void
tape_free(struct tape *t)
{
	if (t == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		struct seal_job *j;

		track_clear(&t->tracks[i]);
		while ((j = t->tracks[i].jobs) != NULL) {
			t->tracks[i].jobs = j->next;
			blob_free(&j->plain);
			blob_free(&j->header);
			secret_free(&j->file_key);
			free(j);
		}
	}
	blob_free(&t->meta_plain);
	sessionindex_free(&t->index);
	if (t->dir != -1)
		(void)close(t->dir);
	if (t->facts != NULL)
		secret_wipe(t->facts, strlen(t->facts));
	free(t->facts);
	free(t);
}
