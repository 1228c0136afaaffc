/*
 * export: a recording as a tar that verifies without us, laid out as format/bundle.h says.  Its files go out as they
 * lie; each is hashed on its way.  When something is not what the book says, or cannot be read, the archive ends inside
 * a file that it announced, so that no tar takes it for whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "format/bundle.h"
#include "format/recovered.h"
#include "format/sessionindex.h"
#include "format/sums.h"
#include "format/tar.h"
#include "shelves.h"
#include "survey.h"
#include "task.h"

enum { PIECE = 64 * 1024, WHAT_MAX = 256 };

struct export
{
	struct task_call call;
	enum { AT_BOOK, AT_PROOFS, AT_NEXT, AT_FILE } at;
	struct survey *survey;
	const struct found *found; /* the survey's */
	int dir;
	struct blob sums_text;
	struct sums sums;
	size_t next; /* of sums */

	/* The file on its way. */
	int fd;
	uint64_t size, left;
	EVP_MD_CTX *digest;

	size_t faults; /* the first is kept */
	char what[WHAT_MAX];
};

static void
export_free(void *task)
{
	struct export *e = task;

	survey_free(e->survey);
	sums_free(&e->sums);
	blob_free(&e->sums_text);
	EVP_MD_CTX_free(e->digest);
	if (e->fd != -1)
		(void)close(e->fd);
	if (e->dir != -1)
		(void)close(e->dir);
	free(e);
}

static void *
export_begin(const struct task_call *call, struct task_end *end)
{
	struct export *e = calloc(1, sizeof(*e));

	if (e == NULL) {
		(void)task_over(end, TASK_CANNOT, "lodge: the reader is out of memory");
		return (NULL);
	}
	e->call = *call;
	e->dir = e->fd = -1;
	if ((e->survey = survey_new(call->holdings, &e->call.id, 1)) == NULL ||
	    (e->digest = EVP_MD_CTX_new()) == NULL) {
		export_free(e);
		(void)task_over(end, TASK_CANNOT, "lodge: the reader is out of memory");
		return (NULL);
	}
	return (e);
}

static void
fault(struct export *e, const char *file, const char *what)
{
	if (e->faults++ == 0)
		(void)snprintf(e->what, sizeof(e->what), "%.100s: %.150s", file, what);
}

/* ---- members of the archive ---- */

/* "lodge-<id>/name"; -1 for what ustar cannot say. */
static int
member_header(
    const struct export *e, const char *name, enum tar_kind kind, uint64_t size, int64_t modified, struct blob *out)
{
	char path[TAR_NAME_MAX + 1];
	struct tar_entry entry = {.name = path, .kind = kind, .size = size, .modified = modified};

	if (snprintf(path, sizeof(path), "lodge-%s/%s", e->call.id, name) >= (int)sizeof(path))
		return (-1);
	return (tar_header(out, &entry));
}

static int
member_add(const struct export *e, const char *name, enum tar_kind kind, const void *content, size_t size,
    struct blob *out)
{
	if (member_header(e, name, kind, size, clock_wall_ms() / 1000, out) == -1 ||
	    blob_add(out, content, size) == -1)
		return (-1);
	return (tar_padding(out, size));
}

static int
text_add(const struct export *e, const char *name, const char *text, struct blob *out)
{
	return (member_add(e, name, TAR_FILE, text, strlen(text), out));
}

/* ---- proofs and texts ---- */

/* One leaf, to the byte, and its place. */
static int
leaf_add(const struct export *e, const char *name, const char *proof_name, uint64_t index, struct blob *out)
{
	const struct blob *note = survey_note(e->survey);
	struct blob entry = {.at = NULL}, text = {.at = NULL};
	struct proof proof;
	int result = -1;

	if (scan_prove(survey_scan(e->survey), index, &entry, &proof) == 0) {
		proof.checkpoint = note->at;
		proof.checkpoint_size = note->size;
		if (proof_write(&text, &proof) == 0)
			result = member_add(e, name, TAR_FILE, entry.at, entry.size, out) |
			         member_add(e, proof_name, TAR_FILE, text.at, text.size, out);
	}
	blob_free(&entry);
	blob_free(&text);
	return (result);
}

static int
key_add(const struct export *e, struct blob *out)
{
	const struct note_key *key = &e->call.holdings->key;
	struct blob line = {.at = NULL}, pem = {.at = NULL};
	char text[NOTE_KEY_TEXT];
	int result = -1;

	if (note_key_text(key, text) == 0 && blob_add_format(&line, "%s\n", text) == 0 &&
	    note_key_pem(key, &pem) == 0)
		result = member_add(e, BUNDLE_KEY, TAR_FILE, line.at, line.size, out) |
		         member_add(e, BUNDLE_KEY_PEM, TAR_FILE, pem.at, pem.size, out);
	blob_free(&line);
	blob_free(&pem);
	return (result);
}

/* What policy says of request and approval. */
static int
request_add(const struct export *e, struct blob *out)
{
	const json_t *request = json_object_get(e->call.options, "request");
	char *text =
	    json_is_object(request) ? json_dumps(request, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : strdup("{}");
	struct blob line = {.at = NULL};
	int result = -1;

	if (text != NULL && blob_add_format(&line, "%s\n", text) == 0)
		result = member_add(e, BUNDLE_REQUEST, TAR_FILE, line.at, line.size, out);
	blob_free(&line);
	free(text);
	return (result);
}

/* meta.json, opened for people; one that is not the book's is left out, which makes the bundle fail. */
static int
meta_add(struct export *e, struct blob *out)
{
	struct blob plain = {.at = NULL};
	unsigned char sha256[SUMS_SHA256];
	struct segment_report report;
	char why[WHAT_MAX];
	int result = 0;

	if (segment_open(e->dir, SESSIONINDEX_META, holdings_ring(e->call.holdings), &plain, &report) !=
	    SEGMENT_OK) {
		segment_report_text(&report, why, sizeof(why));
		fault(e, SESSIONINDEX_META, why);
	} else if (sha256_of(sha256, plain.at, plain.size) == -1 ||
	           memcmp(sha256, e->found->claims->start.meta, SUMS_SHA256) != 0)
		fault(e, SESSIONINDEX_META, "is not what session.start in the book committed to");
	else
		result = member_add(e, BUNDLE_META, TAR_FILE, plain.at, plain.size, out);
	blob_free(&plain);
	return (result);
}

/* SHA256SUMS, read once: what is exported is what it lists.  0; -1: it lists nothing that can be believed. */
static int
sums_take(struct export *e)
{
	unsigned char sha256[SUMS_SHA256];
	unsigned line;

	if (blob_read_at(&e->sums_text, e->dir, SUMS_FILE, SUMS_MAX) == -1)
		fault(e, SUMS_FILE, errno == ENOENT ? "is missing" : strerror(errno));
	else if (sha256_of(sha256, e->sums_text.at, e->sums_text.size) == -1 ||
	         memcmp(sha256, e->found->claims->end.sums, SUMS_SHA256) != 0)
		fault(e, SUMS_FILE, "is not the one that session.end in the book names");
	else if (sums_parse(&e->sums, e->sums_text.at, e->sums_text.size, &line) == -1)
		fault(e, SUMS_FILE, "is malformed");
	else
		return (0);
	return (-1);
}

/* Everything in front of the recording's own files. */
static enum task_more
proofs_step(struct export *e, struct blob *out, struct task_end *end)
{
	const struct blob *note = survey_note(e->survey);

	if (sums_take(e) == -1)
		return (task_over(end, TASK_BAD, "lodge: not exported: %s", e->what));
	if (member_header(e, "", TAR_DIRECTORY, 0, clock_wall_ms() / 1000, out) == -1 ||
	    text_add(e, BUNDLE_README, bundle_readme, out) == -1 ||
	    member_add(e, BUNDLE_SCRIPT, TAR_PROGRAM, bundle_script, strlen(bundle_script), out) == -1 ||
	    member_header(e, BUNDLE_PROOF "/", TAR_DIRECTORY, 0, clock_wall_ms() / 1000, out) == -1 ||
	    key_add(e, out) == -1 || member_add(e, BUNDLE_CHECKPOINT, TAR_FILE, note->at, note->size, out) == -1 ||
	    request_add(e, out) == -1 ||
	    member_add(e, SUMS_FILE, TAR_FILE, e->sums_text.at, e->sums_text.size, out) == -1)
		return (task_over(end, TASK_CANNOT, "lodge: not exported: the reader is out of memory"));
	if (leaf_add(e, BUNDLE_START, BUNDLE_START_PROOF, e->found->start_index, out) == -1 ||
	    leaf_add(e, BUNDLE_END, BUNDLE_END_PROOF, e->found->end_index, out) == -1) {
		blob_clear(out);
		return (task_over(end, TASK_BAD, "lodge: not exported: the book's tiles do not prove its leaves"));
	}
	if (meta_add(e, out) == -1)
		return (task_over(end, TASK_CANNOT, "lodge: the bundle is NOT whole: the reader is out of memory"));
	e->at = AT_NEXT;
	return (TASK_MORE);
}

/* ---- the book ---- */

static enum task_more
found_take(struct export *e, struct task_end *end)
{
	const struct claims *c;
	char path[SHELVES_PATH];

	e->found = scan_find(survey_scan(e->survey), e->call.id);
	c = e->found == NULL ? NULL : e->found->claims;
	if (c == NULL || c->start.kind != LEAF_START)
		return (task_over(
		    end, TASK_BAD, "lodge: not exported: the book does not know recording %s", e->call.id));
	shelves_path(path, e->call.id, e->found->started_ms);
	if (e->dir == -1)
		e->dir = openat(e->call.holdings->shelf, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (e->dir == -1)
		return (task_over(end, TASK_BAD, "lodge: not exported: %s: %s", path,
		    errno == ENOENT ? "is in the book, and the shelf lost it" : strerror(errno)));
	if (c->end.kind != LEAF_END) {
		if (faccessat(e->dir, SUMS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && survey_again(e->survey))
			return (TASK_MORE);
		return (task_over(
		    end, TASK_BAD, "lodge: not exported: the book has no end of it; it is live, or was cut off"));
	}
	e->at = AT_PROOFS;
	return (TASK_MORE);
}

static enum task_more
book_step(struct export *e, uint64_t *wait_ms, struct task_end *end)
{
	switch (survey_step(e->survey)) {
	case SURVEY_MORE:
		return (TASK_MORE);
	case SURVEY_WAIT:
		*wait_ms = SURVEY_WAIT_MS;
		return (TASK_WAIT);
	case SURVEY_FAILED:
		return (task_over(end, TASK_BAD, "lodge: not exported: the book: %s", survey_why(e->survey)));
	default:
		return (found_take(e, end));
	}
}

/* ---- the recording's files ---- */

/* Announces the next file.  0; -1: it cannot be exported. */
static int
file_begin(struct export *e, struct blob *out)
{
	const char *name = e->sums.lines[e->next].name;
	struct stat st;

	e->fd = openat(e->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (e->fd == -1 || fstat(e->fd, &st) == -1) {
		fault(e, name, errno == ENOENT ? "is missing" : strerror(errno));
		return (-1);
	}
	if (!S_ISREG(st.st_mode) ||
	    member_header(e, name, TAR_FILE, (uint64_t)st.st_size, st.st_mtime, out) == -1 ||
	    EVP_DigestInit_ex(e->digest, EVP_sha256(), NULL) != 1) {
		fault(e, name, "cannot stand in an archive");
		return (-1);
	}
	e->size = e->left = (uint64_t)st.st_size;
	return (0);
}

static int
file_end(struct export *e, struct blob *out)
{
	const struct sums_line *line = &e->sums.lines[e->next];
	unsigned char sha256[EVP_MAX_MD_SIZE];

	(void)close(e->fd);
	e->fd = -1;
	if (EVP_DigestFinal_ex(e->digest, sha256, NULL) != 1 || memcmp(sha256, line->sha256, SUMS_SHA256) != 0)
		fault(e, line->name, "hash mismatch");
	return (tar_padding(out, e->size));
}

/* A piece of it.  0; -1: it ends before its size. */
static int
file_move(struct export *e, struct blob *out)
{
	size_t want = e->left < PIECE ? (size_t)e->left : PIECE;
	ssize_t got;

	if (blob_reserve(out, want) == -1)
		return (-1);
	while ((got = read(e->fd, out->at + out->size, want)) == -1 && errno == EINTR)
		;
	if (got <= 0 || EVP_DigestUpdate(e->digest, out->at + out->size, (size_t)got) != 1) {
		fault(e, e->sums.lines[e->next].name,
		    got == 0 ? "became shorter while it was read" : strerror(errno));
		return (-1);
	}
	out->size += (size_t)got;
	e->left -= (uint64_t)got;
	return (0);
}

/* A recovered segment made into an ordinary one.  One that is sealed to others than us is left as it is. */
static int
derived_add(struct export *e, const char *name, enum segment_track track, uint32_t number, struct blob *out)
{
	const struct recipients *to = &e->call.holdings->sealed[track];
	struct blob plain = {.at = NULL}, sealed = {.at = NULL};
	const struct segment_seal seal = {.dir = -1, .plain = &plain, .recipients = to->to, .count = to->count};
	char made[SEGMENT_NAME_MAX], path[SEGMENT_NAME_MAX + 16], why[WHAT_MAX];
	struct segment_report report;
	struct segment_sealed is;
	int result = 0;

	if (recovered_or_sealed_open(e->dir, name, holdings_ring(e->call.holdings), &plain, &report) !=
	    SEGMENT_OK) {
		if (report.fault != SEGMENT_AGE || report.age != AGE_NOT_FOR_US) {
			segment_report_text(&report, why, sizeof(why));
			fault(e, name, why);
		}
	} else if (segment_name(made, track, number) == -1 || segment_seal_blob(&seal, &sealed, &is) == -1)
		result = -1;
	else {
		(void)snprintf(path, sizeof(path), BUNDLE_DERIVED "/%s", made);
		result = member_add(e, path, TAR_FILE, sealed.at, sealed.size, out);
	}
	blob_free(&plain);
	blob_free(&sealed);
	return (result);
}

/* The archive cannot go on: what was announced last is not all there. */
static enum task_more
cut_short(const struct export *e, struct task_end *end)
{
	return (task_over(end, TASK_BAD, "lodge: the bundle is NOT whole: %s", e->what));
}

static enum task_more
file_step(struct export *e, struct blob *out, struct task_end *end)
{
	const char *name = e->sums.lines[e->next].name;
	enum segment_track track;
	enum segment_form form;
	uint32_t number;

	if (e->left > 0) {
		if (file_move(e, out) == -1)
			return (cut_short(e, end));
		return (TASK_MORE);
	}
	if (file_end(e, out) == -1 ||
	    (segment_name_parse(name, &track, &number, &form) == 0 && form == SEGMENT_FORM_RECOVERED &&
	        derived_add(e, name, track, number, out) == -1)) {
		fault(e, name, "the reader is out of memory");
		return (cut_short(e, end));
	}
	e->next++;
	e->at = AT_NEXT;
	return (TASK_MORE);
}

/* All files are out.  With a fault among them a member is announced that does not come. */
static enum task_more
export_end(struct export *e, struct blob *out, struct task_end *end)
{
	if (e->faults > 0) {
		(void)member_header(e, "NOT-WHOLE", TAR_FILE, TAR_BLOCK, clock_wall_ms() / 1000, out);
		return (cut_short(e, end));
	}
	if (tar_end(out) == -1) {
		fault(e, "", "the reader is out of memory");
		return (cut_short(e, end));
	}
	return (task_over(end, TASK_GOOD, "%s", ""));
}

static enum task_more
export_step(void *task, struct blob *out, uint64_t *wait_ms, struct task_end *end)
{
	struct export *e = task;

	switch (e->at) {
	case AT_BOOK:
		return (book_step(e, wait_ms, end));
	case AT_PROOFS:
		return (proofs_step(e, out, end));
	case AT_FILE:
		return (file_step(e, out, end));
	default:
		break;
	}
	if (e->next == e->sums.count)
		return (export_end(e, out, end));
	if (file_begin(e, out) == 0)
		e->at = AT_FILE;
	else {
		if (e->fd != -1)
			(void)close(e->fd);
		e->fd = -1;
		e->next++; /* the others are still worth having; the end says that this is not all */
	}
	return (TASK_MORE);
}

const struct task_kind task_export = {
    .verb = "export", .begin = export_begin, .step = export_step, .free = export_free};
