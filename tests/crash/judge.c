#include "judge.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "format/cast.h"
#include "format/evidence.h"
#include "format/recovered.h"

/* What was found, or said, of one recording: each kind in its order. */
struct content {
	struct blob out, err, in, facts;
	unsigned ends, execs;
};

static void
content_free(struct content *c)
{
	blob_free(&c->out);
	blob_free(&c->err);
	blob_free(&c->in);
	blob_free(&c->facts);
}

static void
add(struct blob *to, const void *from, size_t size)
{
	if (blob_add(to, from, size) == -1)
		abort();
}

/* What `count` frames of the script leave behind. */
static void
content_said(struct content *c, const struct script *s, uint64_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct ring_frame *f = &s->frames[i];

		switch (f->type) {
		case FRAME_OUT:
			add(&c->out, f->at, f->len);
			break;
		case FRAME_ERR:
			add(&c->err, f->at, f->len);
			break;
		case FRAME_IN:
			add(&c->in, f->at, f->len);
			break;
		case FRAME_FACT:
			add(&c->facts, f->at, f->len);
			break;
		case FRAME_EXEC:
			c->execs++;
			break;
		case FRAME_END:
			c->ends++;
			break;
		default:
			break;
		}
	}
}

static int
on_event(void *self, const struct cast_event *e)
{
	struct content *c = self;

	if (e->code == CAST_INPUT)
		add(&c->in, e->bytes, e->size);
	else if (e->code == CAST_OUTPUT)
		add(e->source.stream == CAST_STREAM_ERR ? &c->err : &c->out, e->bytes, e->size);
	return (0);
}

static int
on_fact(void *self, char letter, const char *json)
{
	struct content *c = self;
	json_t *o = letter == 'E' ? json_loads(json, 0, NULL) : NULL;
	const char *ev = json_string_value(json_object_get(o, "ev"));
	char *fact;

	if (ev != NULL && strcmp(ev, "fact") == 0 &&
	    (fact = json_dumps(json_object_get(o, "fact"), JSON_COMPACT)) != NULL) {
		add(&c->facts, fact, strlen(fact));
		free(fact);
	}
	c->ends += ev != NULL && strcmp(ev, "end") == 0;
	c->execs += ev != NULL && strcmp(ev, "exec") == 0;
	json_decref(o);
	return (0);
}

static void
segment_read(struct house *h, int dir, const char *name, struct content *c)
{
	const struct cast_watcher watcher = {.on_event = on_event, .on_fact = on_fact, .self = c};
	struct cast_reader *r = cast_reader_new(&watcher);
	struct age_keyring ring = {.identities = &h->key, .count = 1};
	struct segment_report report;
	struct blob plain = {0};
	char why[256];

	if (recovered_or_sealed_open(dir, name, ring, &plain, &report) != SEGMENT_OK) {
		segment_report_text(&report, why, sizeof why);
		house_fault(h, "%s does not open: %s", name, why);
	} else if (r == NULL || cast_reader_add(r, plain.at, plain.size) != CAST_OK ||
	           cast_reader_end(r) != CAST_OK)
		house_fault(h, "%s is no asciicast", name);
	cast_reader_free(r);
	blob_free(&plain);
}

/* Both tracks, each from its first segment to the one that is not there. */
static void
content_read(struct house *h, int dir, struct content *c)
{
	static const enum segment_track tracks[] = {SEGMENT_OUTPUT, SEGMENT_INPUT};
	char name[2][SEGMENT_NAME_MAX];

	for (int t = 0; t < 2; t++)
		for (uint32_t n = 0;; n++) {
			int sealed, recovered;

			if (segment_name(name[0], tracks[t], n) == -1 ||
			    segment_recovered_name(name[1], tracks[t], n) == -1)
				abort();
			sealed = faccessat(dir, name[0], F_OK, 0) == 0;
			recovered = faccessat(dir, name[1], F_OK, 0) == 0;
			if (sealed && recovered)
				house_fault(h, "segment %u is there twice", n);
			if (!sealed && !recovered)
				break;
			segment_read(h, dir, name[sealed ? 0 : 1], c);
		}
}

static int
is_prefix(const struct blob *a, const struct blob *of)
{
	return (a->size <= of->size && (a->size == 0 || memcmp(a->at, of->at, a->size) == 0));
}

/* least <= found <= most, byte for byte. */
static void
compare(
    struct house *h, const char *what, const struct blob *least, const struct blob *found, const struct blob *most)
{
	if (!is_prefix(least, found))
		house_fault(h, "%s: of %zu bytes that were delivered not all are recorded in order (%zu are)", what,
		    least->size, found->size);
	else if (!is_prefix(found, most))
		house_fault(h, "%s: %zu bytes are recorded, and are not the %zu that were said", what, found->size,
		    most->size);
}

static void
content_judge(struct house *h, int dir, enum judge_how how)
{
	struct content found = {.ends = 0}, least = {.ends = 0}, most = {.ends = 0};

	content_read(h, dir, &found);
	content_said(&least, &h->script,
	    how == JUDGE_ALL   ? h->script.count
	    : how == JUDGE_PUT ? h->put
	                       : house_delivered(h));
	content_said(&most, &h->script, how == JUDGE_ALL ? h->script.count : h->put);
	compare(h, "output", &least.out, &found.out, &most.out);
	compare(h, "errors", &least.err, &found.err, &most.err);
	compare(h, "input", &least.in, &found.in, &most.in);
	compare(h, "facts", &least.facts, &found.facts, &most.facts);
	if (found.execs < least.execs || found.execs > most.execs)
		house_fault(h, "%u commands are recorded", found.execs);
	if (found.ends == 0 || (how == JUDGE_ALL && found.ends != 1))
		house_fault(h, "%u ends are recorded", found.ends);
	content_free(&found);
	content_free(&least);
	content_free(&most);
}

/* --- The book ---------------------------------------------------------------------------------------------- */

static void
on_fault(void *ctx, const char *file, const char *what)
{
	house_fault(ctx, "verify: %s %s", file, what);
}

static void
claims_fill(struct house *h, struct claims *claims)
{
	struct leaf leaf;

	(void)snprintf(claims->rec, sizeof claims->rec, "%s", h->rec);
	claims->known = CLAIMS_ALL;
	for (size_t i = 0; i < h->leaf_read; i++)
		if (h->leaves[i].json.size > 0 &&
		    leaf_parse(&leaf, h->leaves[i].json.at, h->leaves[i].json.size) == 0 &&
		    claims_add(claims, &leaf) == -1)
			house_fault(h, "the book contradicts itself: %.*s", (int)h->leaves[i].json.size,
			    (const char *)h->leaves[i].json.at);
}

static void
evidence_judge(struct house *h, int dir, const struct claims *claims)
{
	struct evidence_about about = {.dir = dir,
	    .claims = claims,
	    .ring = {.identities = &h->key, .count = 1},
	    .place = EVIDENCE_SHELF,
	    .on_fault = on_fault,
	    .ctx = h};
	struct evidence *e;
	struct evidence_result result;

	if ((e = evidence_new(&about)) == NULL)
		abort();
	while (evidence_step(e) == EVIDENCE_MORE)
		;
	result = evidence_result(e);
	if (result.state != (h->state == SEALED_RECOVERED ? EVIDENCE_RECOVERED : EVIDENCE_SEALED))
		house_fault(h, "verify says %s, SEALED said state %d", evidence_state_text(result.state), h->state);
	if (claims->end.kind == LEAF_END && memcmp(claims->end.sums, h->digest, sizeof h->digest) != 0)
		house_fault(h, "SEALED has another digest than session.end");
	evidence_free(e);
}

/* s/YYYY/MM/DD/<id>, by the day of session.start. */
static int
directory_open(const struct house *h, const struct claims *claims)
{
	time_t at = (time_t)(claims->start.at_ms / 1000);
	struct tm tm;
	char day[32], path[128];

	if (gmtime_r(&at, &tm) == NULL || strftime(day, sizeof day, "%Y/%m/%d", &tm) == 0)
		abort();
	(void)snprintf(path, sizeof path, "s/%s/%s", day, h->rec);
	return (openat(h->shelf, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

void
judge(struct house *h, enum judge_how how)
{
	struct claims claims = {.count = 0};
	int dir;

	if (h->sealed == 0)
		house_fault(h, "SEALED did not come");
	claims_fill(h, &claims);
	if ((dir = directory_open(h, &claims)) == -1)
		house_fault(h, "there is no recording on the shelf");
	else {
		evidence_judge(h, dir, &claims);
		content_judge(h, dir, how);
		(void)close(dir);
	}
	claims_free(&claims);
}
