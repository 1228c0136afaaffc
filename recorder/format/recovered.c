/* Recovered segments: see recovered.h. */
#include "format/recovered.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/crypto.h>

#include "format/framecast.h"
#include "format/journal.h"

struct opening {
	struct age_keyring ring;
	struct blob *to;
	uint8_t key[JOURNAL_KEY_BYTES];
	struct framecast_screen screen;
	struct framecast *cast;
	int64_t last_boot_ms;
	uint64_t record;
};

static enum segment_fault
header_take(struct opening *o, const struct journal_record *r, struct segment_report *report)
{
	unsigned char file_key[AGE_FILE_KEY_SIZE];
	size_t size;

	report->age = age_header_open(r->body, r->body_len, o->ring, file_key, &size);
	if (report->age != AGE_OK)
		return (SEGMENT_AGE);
	if (size != r->body_len || journal_key(o->key, file_key) == -1) {
		OPENSSL_cleanse(file_key, sizeof(file_key));
		return (SEGMENT_RECORD);
	}
	OPENSSL_cleanse(file_key, sizeof(file_key));
	return (SEGMENT_OK);
}

/* BEGIN says what the first line of the asciicast must say: format/framecast.h. */
static enum segment_fault
begin_take(struct opening *o, const struct journal_record *r, const struct blob *plain)
{
	json_t *object = json_loadb((const char *)plain->at, plain->size, JSON_REJECT_DUPLICATES, NULL);
	const char *term = json_string_value(json_object_get(object, "term"));
	struct framecast_begin begin = {.track = r->track, .segment = r->segment};

	if (!json_is_object(object) || o->cast != NULL) {
		json_decref(object);
		return (SEGMENT_RECORD);
	}
	begin.boot_ms = json_integer_value(json_object_get(object, "boot_ms"));
	begin.wall_ms = json_integer_value(json_object_get(object, "wall_ms"));
	o->screen.cols = (unsigned)json_integer_value(json_object_get(object, "cols")) & 0xffff;
	o->screen.rows = (unsigned)json_integer_value(json_object_get(object, "rows")) & 0xffff;
	if (term != NULL)
		(void)snprintf(o->screen.term, sizeof(o->screen.term), "%s", term);
	json_decref(object);
	o->last_boot_ms = begin.boot_ms;
	o->cast = framecast_new(o->to, &o->screen, &begin);
	return (o->cast == NULL ? SEGMENT_FAILED : SEGMENT_OK);
}

static enum segment_fault
frames_take(struct opening *o, const struct blob *plain)
{
	struct ring_frame f;
	size_t offset = 0;
	int more;

	if (o->cast == NULL)
		return (SEGMENT_RECORD);
	while ((more = journal_frame_next(plain->at, plain->size, &offset, &f)) == 1) {
		if (framecast_add(o->cast, &f) == -1)
			return (SEGMENT_FAILED);
		if (f.boot_us / 1000 > o->last_boot_ms)
			o->last_boot_ms = f.boot_us / 1000;
	}
	return (more == 0 ? SEGMENT_OK : SEGMENT_RECORD);
}

static enum segment_fault
sealed_take(struct opening *o, const struct journal_record *r)
{
	struct blob plain = {.at = NULL};
	enum segment_fault fault = SEGMENT_FAILED;

	if (r->body_len < JOURNAL_TAG_BYTES)
		return (SEGMENT_RECORD);
	if (blob_reserve(&plain, r->body_len) == 0) {
		plain.size = r->body_len - JOURNAL_TAG_BYTES;
		if (journal_open(r, o->key, plain.at) == -1)
			fault = SEGMENT_RECORD;
		else
			fault = r->type == JOURNAL_BEGIN ? begin_take(o, r, &plain) : frames_take(o, &plain);
	}
	blob_free(&plain);
	return (fault);
}

enum segment_fault
recovered_open(
    const struct blob *content, struct age_keyring ring, struct blob *plain, struct segment_report *report)
{
	struct opening o = {.ring = ring, .to = plain};
	enum segment_fault fault = SEGMENT_OK;
	struct journal_scan scan;
	struct journal_record r;

	*report = (struct segment_report){.fault = SEGMENT_OK};
	journal_scan_begin(&scan, content->at, content->size);
	for (; fault == SEGMENT_OK && journal_next(&scan, &r); o.record++) {
		if (r.sequence != o.record || (o.record == 0) != (r.type == JOURNAL_HEADER) ||
		    r.type == JOURNAL_NOTE)
			fault = SEGMENT_RECORD;
		else
			fault = r.type == JOURNAL_HEADER ? header_take(&o, &r, report) : sealed_take(&o, &r);
		if (fault != SEGMENT_OK)
			break;
	}
	if (fault == SEGMENT_OK && (scan.end != JOURNAL_CLEAN || o.cast == NULL))
		fault = SEGMENT_RECORD;
	if (fault == SEGMENT_OK && framecast_end(o.cast, o.last_boot_ms) == -1)
		fault = SEGMENT_FAILED;
	framecast_free(o.cast);
	OPENSSL_cleanse(o.key, sizeof(o.key));
	report->fault = fault;
	report->chunk = o.record;
	return (fault);
}

enum segment_fault
recovered_or_sealed_open(
    int dir, const char *name, struct age_keyring ring, struct blob *plain, struct segment_report *report)
{
	struct blob content = {.at = NULL};
	enum segment_track track;
	enum segment_form form;
	uint32_t number;

	if (segment_name_parse(name, &track, &number, &form) == -1 || form == SEGMENT_FORM_SEALED)
		return (segment_open(dir, name, ring, plain, report));
	*report = (struct segment_report){.fault = SEGMENT_FILE};
	if (blob_read_at(&content, dir, name, SEGMENT_SEALED_MAX) == 0)
		(void)recovered_open(&content, ring, plain, report);
	blob_free(&content);
	return (report->fault);
}
