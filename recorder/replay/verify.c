/*
 * A bundle against its own proofs: the checkpoint and the two leaves (format/bundle.h), every file of the recording
 * (format/evidence.h), and what lies beside them.  What cannot be proven from a bundle is said.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "format/bundle.h"
#include "format/evidence.h"
#include "format/recovered.h"
#include "format/safetext.h"
#include "format/sums.h"
#include "replay.h"

enum { TEXT_MAX = 1024 * 1024, NAME_ROOM = 256 };

struct verifying {
	const struct replay_verify *about;
	struct bundle bundle;
	struct evidence_result result;
	unsigned faults, derived_open, derived_closed;
};

/* ---- saying ---- */

/* Names and reasons come out of what is judged: nothing of them may act on a terminal. */
static void
say_clean(FILE *out, const char *text)
{
	struct blob b = {.at = NULL};

	if (safetext_line(text, strlen(text), &b) == 0 && b.size > 0)
		(void)fwrite(b.at, 1, b.size, out);
	blob_free(&b);
}

static void
on_fault(void *ctx, const char *file, const char *what)
{
	struct verifying *v = ctx;
	FILE *out = v->about->out;

	v->faults++;
	fputs("FAULT  ", out);
	say_clean(out, file);
	fputs(file[0] == '\0' ? "" : ": ", out);
	say_clean(out, what);
	fputc('\n', out);
}

static void
say_moment(FILE *out, const char *before, int64_t wall_ms)
{
	char text[32];

	clock_rfc3339(wall_ms, text, sizeof(text));
	fprintf(out, "%s%s", before, text);
}

/* ---- beside the recording ---- */

/* One of the bundle's fixed texts. */
static void
text_check(struct verifying *v, const char *name, const char *is)
{
	struct blob text = {.at = NULL};

	if (blob_read_at(&text, v->about->dir, name, TEXT_MAX) == -1)
		on_fault(v, name, errno == ENOENT ? "is missing" : strerror(errno));
	else if (text.size != strlen(is) || memcmp(text.at, is, text.size) != 0)
		on_fault(v, name, "is not the text that Lodge " LODGE_VERSION " puts into a bundle");
	blob_free(&text);
}

/* The PEM is the same key: verify.sh takes it. */
static void
pem_check(struct verifying *v)
{
	struct blob text = {.at = NULL}, pem = {.at = NULL};

	if (blob_read_at(&text, v->about->dir, BUNDLE_KEY_PEM, TEXT_MAX) == -1)
		on_fault(v, BUNDLE_KEY_PEM, errno == ENOENT ? "is missing" : strerror(errno));
	else if (note_key_pem(&v->bundle.key, &pem) == -1 || pem.size != text.size ||
	         memcmp(pem.at, text.at, pem.size) != 0)
		on_fault(v, BUNDLE_KEY_PEM, "is not the key in " BUNDLE_KEY);
	blob_free(&text);
	blob_free(&pem);
}

/* request.json is in no book; that it is JSON is all that can be asked of it. */
static void
request_check(struct verifying *v)
{
	struct blob text = {.at = NULL};
	json_t *json = NULL;

	if (blob_read_at(&text, v->about->dir, BUNDLE_REQUEST, TEXT_MAX) == -1)
		on_fault(v, BUNDLE_REQUEST, errno == ENOENT ? "is missing" : strerror(errno));
	else if ((json = json_loadb((const char *)text.at, text.size, JSON_REJECT_DUPLICATES, NULL)) == NULL)
		on_fault(v, BUNDLE_REQUEST, "is no JSON");
	json_decref(json);
	blob_free(&text);
}

/* Calls fn for each name in a directory of the bundle's own.  -1: it is not there. */
static int
names_each(struct verifying *v, const char *path, void (*fn)(struct verifying *v, const char *name))
{
	int fd = openat(v->about->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (d == NULL) {
		if (fd != -1)
			(void)close(fd);
		return (-1);
	}
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fn(v, entry->d_name);
	(void)closedir(d);
	return (0);
}

static void
proof_name_check(struct verifying *v, const char *name)
{
	static const char *const known[] = {BUNDLE_KEY, BUNDLE_KEY_PEM, BUNDLE_CHECKPOINT, BUNDLE_START,
	    BUNDLE_START_PROOF, BUNDLE_END, BUNDLE_END_PROOF};
	char path[sizeof(BUNDLE_PROOF) + NAME_ROOM];

	(void)snprintf(path, sizeof(path), BUNDLE_PROOF "/%s", name);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(path, known[i]) == 0)
			return;
	on_fault(v, path, "is no part of a bundle");
}

/* ---- derived/ ---- */

/* The derived segment says what the recovered one says.  "" when it does, or when that cannot be seen. */
static void
derived_compare(struct verifying *v, const char *path, const char *from)
{
	struct blob made = {.at = NULL}, was = {.at = NULL};
	struct segment_report report;
	char why[128];

	if (segment_open(v->about->dir, path, v->about->ring, &made, &report) != SEGMENT_OK) {
		if (report.fault == SEGMENT_AGE && report.age == AGE_NOT_FOR_US)
			v->derived_closed++;
		else {
			segment_report_text(&report, why, sizeof(why));
			on_fault(v, path, why);
		}
	} else if (recovered_or_sealed_open(v->about->dir, from, v->about->ring, &was, &report) != SEGMENT_OK ||
	           was.size != made.size || memcmp(was.at, made.at, was.size) != 0)
		on_fault(v, path, "is not what the recovered segment says");
	else
		v->derived_open++;
	blob_free(&made);
	blob_free(&was);
}

static void
derived_check(struct verifying *v, const char *name)
{
	char path[sizeof(BUNDLE_DERIVED) + NAME_ROOM], from[SEGMENT_NAME_MAX];
	enum segment_track track;
	enum segment_form form;
	uint32_t number;

	(void)snprintf(path, sizeof(path), BUNDLE_DERIVED "/%s", name);
	if (segment_name_parse(name, &track, &number, &form) == -1 || form != SEGMENT_FORM_SEALED ||
	    segment_recovered_name(from, track, number) == -1 || faccessat(v->about->dir, from, F_OK, 0) == -1)
		on_fault(v, path, "is made from no segment of this bundle");
	else if (v->about->ring.count == 0)
		v->derived_closed++;
	else
		derived_compare(v, path, from);
}

/* ---- the whole ---- */

static void
recording_check(struct verifying *v)
{
	const struct evidence_about about = {.dir = v->about->dir,
	    .claims = &v->bundle.claims,
	    .ring = v->about->ring,
	    .place = EVIDENCE_BUNDLE,
	    .on_fault = on_fault,
	    .ctx = v};
	struct evidence *e = evidence_new(&about);

	if (e == NULL) {
		on_fault(v, "", "out of memory");
		return;
	}
	while (evidence_step(e) == EVIDENCE_MORE)
		;
	v->result = evidence_result(e);
	evidence_free(e);
}

static void
say_proven(const struct verifying *v)
{
	const struct claims *c = &v->bundle.claims;
	FILE *out = v->about->out;
	char key[NOTE_KEY_TEXT] = "";

	(void)note_key_text(&v->bundle.key, key);
	fprintf(out, "VERIFIED  recording %s, %s: %llu files, %llu bytes%s\n", c->rec,
	    evidence_state_text(v->result.state), (unsigned long long)v->result.files,
	    (unsigned long long)v->result.bytes,
	    v->about->ring.count == 0 ? ""
	    : v->result.opened > 0    ? ""
	                              : " (the identity opens none of them)");
	say_moment(out, "  proven      began ", c->start.at_ms);
	say_moment(out, ", ended ", c->end.at_ms);
	fprintf(out, " (%s): begin and end stand in a book of %llu leaves, and each file is the one of that end\n",
	    c->end.cause, (unsigned long long)v->bundle.checkpoint.size);
	if (v->result.opened > 0)
		fprintf(out, "  proven      %llu sealed files open whole\n", (unsigned long long)v->result.opened);
	fprintf(out, "  key         %s%s\n", key, v->about->expected != NULL ? " (the expected one)" : "");
}

static void
say_not_proven(const struct verifying *v)
{
	FILE *out = v->about->out;

	if (v->about->expected == NULL)
		fputs("  not proven  that this key is the book's: it lay in the bundle; compare it, or give it "
		      "with --key\n",
		    out);
	if (v->about->ring.count == 0)
		fputs("  not proven  that the segments open: no --identity was given\n", out);
	if (v->derived_closed > 0)
		fputs("  not proven  " BUNDLE_DERIVED "/: made at the export; an --identity compares it\n", out);
	fputs("  not proven  " BUNDLE_REQUEST ": policy's word at the export, in no book\n"
	      "  not proven  that nobody was shown another book: no witness signs its checkpoints yet\n",
	    out);
}

enum replay_status
replay_verify(const struct replay_verify *about)
{
	struct verifying v = {.about = about};

	if (bundle_open(&v.bundle, about->dir, about->expected, on_fault, &v) == 0) {
		(void)bundle_meta_check(&v.bundle, about->dir, on_fault, &v);
		recording_check(&v);
	} else if (v.faults == 0)
		on_fault(&v, BUNDLE_PROOF, "proves nothing");
	if (v.bundle.key.name[0] != '\0')
		pem_check(&v);
	text_check(&v, BUNDLE_README, bundle_readme);
	text_check(&v, BUNDLE_SCRIPT, bundle_script);
	request_check(&v);
	(void)names_each(&v, BUNDLE_PROOF, proof_name_check);
	(void)names_each(&v, BUNDLE_DERIVED, derived_check);
	if (v.faults == 0)
		say_proven(&v);
	else
		fprintf(about->out, "NOT VERIFIED: %u fault%s\n", v.faults, v.faults == 1 ? "" : "s");
	if (v.faults == 0)
		say_not_proven(&v);
	bundle_close(&v.bundle);
	return (v.faults == 0 ? REPLAY_GOOD : REPLAY_FAULT);
}
