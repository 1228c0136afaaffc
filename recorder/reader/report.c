#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "format/safetext.h"

#define NOT_PROVEN                                                                                              \
	"not proven: that nobody was ever shown another book (no witness signs its checkpoints), nor that the " \
	"key is "                                                                                               \
	"the book's: compare it with the one you were given"

static const char *const badges[] = {
    [EVIDENCE_SEALED] = "sealed",
    [EVIDENCE_RECOVERED] = "recovered",
    [EVIDENCE_INCOMPLETE] = "incomplete",
    [EVIDENCE_FAILED] = "FAILED",
};

/* Whatever a name or a reason is made of, what is kept is fit for a terminal. */
static void
clean(char to[REPORT_WHAT], const char *text)
{
	struct blob b = {.at = NULL};

	to[0] = '\0';
	if (safetext_line(text, strlen(text), &b) == 0 && b.size > 0)
		(void)snprintf(to, REPORT_WHAT, "%.*s", b.size < REPORT_WHAT ? (int)b.size : REPORT_WHAT - 1,
		    (const char *)b.at);
	blob_free(&b);
}

void
verdict_begin(struct verdict *v, const char *id)
{
	*v = (struct verdict){.state = EVIDENCE_SEALED};
	clean(v->id, id);
}

void
verdict_fault(void *ctx, const char *file, const char *what)
{
	struct verdict *v = ctx;

	v->state = EVIDENCE_FAILED;
	if (v->faults++ >= REPORT_FAULTS)
		return;
	clean(v->fault[v->faults - 1].file, file);
	clean(v->fault[v->faults - 1].what, what);
}

static size_t
kept(const struct verdict *v)
{
	return (v->faults < REPORT_FAULTS ? v->faults : REPORT_FAULTS);
}

/* ---- text ---- */

static int
words_good(const struct verdict *v, struct blob *out)
{
	char when[32];
	int failed = 0;

	if (v->state == EVIDENCE_INCOMPLETE) {
		clock_rfc3339(v->started_ms, when, sizeof(when));
		failed |= blob_add_format(out, "no end yet, began %s; ", when);
	}
	failed |= blob_add_format(out, "%llu file%s, %llu bytes, ", (unsigned long long)v->files,
	    v->files == 1 ? "" : "s", (unsigned long long)v->bytes);
	return (failed | blob_add_format(out, "%llu opened; %llu lea%s in the book", (unsigned long long)v->opened,
	                     (unsigned long long)v->leaves, v->leaves == 1 ? "f" : "ves"));
}

static int
text_add(const struct report *r, const struct verdict *v, struct blob *out)
{
	int failed = blob_add_format(out, "%-32s  %-10s  ", v->id, badges[v->state]);

	if (v->state != EVIDENCE_FAILED)
		failed |= words_good(v, out) | blob_add_text(out, r->line_end);
	for (size_t i = 0; i < kept(v); i++)
		failed |= blob_add_format(out, "%*s%s%s%s%s", i == 0 ? 0 : 46, "", v->fault[i].file,
		    v->fault[i].file[0] != '\0' ? ": " : "", v->fault[i].what, r->line_end);
	if (v->faults > kept(v))
		failed |= blob_add_format(out, "%46sand %zu more%s", "", v->faults - kept(v), r->line_end);
	return (failed);
}

/* ---- JSON ---- */

static int
set(json_t *o, const char *key, json_t *value)
{
	return (json_object_set_new(o, key, value));
}

static json_t *
faults_json(const struct verdict *v)
{
	json_t *all = json_array();

	for (size_t i = 0; i < kept(v); i++) {
		json_t *o = json_object();

		/* A reason cut inside a character is no UTF-8: then the name must do. */
		if (set(o, "file", json_string(v->fault[i].file)) == -1)
			(void)set(o, "file", json_string("?"));
		if (set(o, "what", json_string(v->fault[i].what)) == -1)
			(void)set(o, "what", json_string("?"));
		if (json_array_append_new(all, o) == -1)
			break;
	}
	return (all);
}

static int
json_add(const struct report *r, const struct verdict *v)
{
	json_t *o = json_object();
	char badge[16];

	(void)snprintf(badge, sizeof(badge), "%s", v->state == EVIDENCE_FAILED ? "failed" : badges[v->state]);
	if (set(o, "id", json_string(v->id)) == -1)
		(void)set(o, "id", json_string("?"));
	if (set(o, "badge", json_string(badge)) == -1 ||
	    set(o, "files", json_integer((json_int_t)v->files)) == -1 ||
	    set(o, "bytes", json_integer((json_int_t)v->bytes)) == -1 ||
	    set(o, "opened", json_integer((json_int_t)v->opened)) == -1 ||
	    set(o, "leaves", json_integer((json_int_t)v->leaves)) == -1 || set(o, "faults", faults_json(v)) == -1) {
		json_decref(o);
		return (-1);
	}
	return (json_array_append_new(r->json, o));
}

int
report_recording(struct report *r, const struct verdict *v, struct blob *out)
{
	r->state[v->state]++;
	return (r->json != NULL ? json_add(r, v) : text_add(r, v, out));
}

size_t
report_count(const struct report *r)
{
	size_t count = 0;

	for (size_t i = 0; i <= EVIDENCE_FAILED; i++)
		count += r->state[i];
	return (count);
}

/* ---- the end ---- */

static int
end_json(const struct report *r, const struct checkpoint *at, const char *key, struct blob *out)
{
	json_t *all = json_object(), *book = json_object();
	char *text = NULL;
	int result = -1;

	if (key[0] != '\0' && (set(book, "leaves", json_integer((json_int_t)at->size)) == -1 ||
	                          set(book, "key", json_string(key)) == -1))
		json_decref(book);
	else if (set(book, "witnesses", json_integer(0)) == 0 && json_object_set(all, "recordings", r->json) == 0 &&
	         set(all, "book", book) == 0 &&
	         set(all, "good", json_boolean(r->state[EVIDENCE_FAILED] == 0)) == 0 &&
	         (text = json_dumps(all, JSON_INDENT(2) | JSON_PRESERVE_ORDER)) != NULL)
		result = blob_add_text(out, text) | blob_add_text(out, "\n");
	free(text);
	json_decref(all);
	return (result);
}

/* "3 recordings: 2 sealed, 1 FAILED" */
static int
counts_text(const struct report *r, struct blob *out)
{
	size_t count = report_count(r);
	const char *between = ": ";
	int failed = blob_add_format(out, "%zu recording%s", count, count == 1 ? "" : "s");

	for (size_t i = 0; i <= EVIDENCE_FAILED; i++)
		if (r->state[i] > 0) {
			failed |= blob_add_format(out, "%s%zu %s", between, r->state[i], badges[i]);
			between = ", ";
		}
	if (r->beginnings > 0)
		failed |= blob_add_format(out, "; %zu that never began", r->beginnings);
	return (failed | blob_add_text(out, r->line_end));
}

int
report_end(struct report *r, const struct checkpoint *at, const struct note_key *key, struct blob *out)
{
	char text[NOTE_KEY_TEXT] = "";
	int failed = 0;

	if (key->name[0] != '\0' && note_key_text(key, text) == -1)
		return (-1);
	if (r->json != NULL)
		return (end_json(r, at, text, out));
	if (report_count(r) > 1)
		failed |= counts_text(r, out);
	if (text[0] != '\0')
		failed |= blob_add_format(out, "book: %llu leaves, signed by %s%s" NOT_PROVEN "%s",
		    (unsigned long long)at->size, text, r->line_end, r->line_end);
	return (failed);
}
