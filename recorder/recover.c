#include "recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "disk.h"
#include "format/blob.h"
#include "format/segment.h"
#include "format/sums.h"
#include "shelf.h"
#include "wal.h"

#define PART_MAX (64u << 20)

/* A segment as the log has it. */
struct piece {
	struct piece *next;
	enum journal_track track;
	uint32_t number, first_file;
	uint64_t sequence; /* expected next */
	int broken;        /* a record is missing: what follows is no prefix */
	int intent;        /* its leaf was noted */
	struct blob bytes; /* preamble and records */
};

struct left {
	struct left *next;
	uint8_t id[16];
	uint64_t conn;
	uint32_t stream;
	int noted, begun, ending, closed, end_intent, end_held;
	uint16_t reason;
	int64_t wall_ms, boot_ms;
	uint8_t meta[32];
	uint64_t end_sequence;
	uint64_t ends_at; /* where in the ring its END stands; 0: not known */
	uint16_t ends_reason;
	struct piece *pieces;
};

struct reading {
	struct recovered *out;
	struct ledger *ledger;
	struct left *lefts;
	uint32_t file;
	int no_memory;
};

static struct left *
left_of(struct reading *r, const uint8_t id[16])
{
	struct left *l;

	for (l = r->lefts; l != NULL; l = l->next)
		if (memcmp(l->id, id, 16) == 0)
			return (l);
	if ((l = calloc(1, sizeof *l)) == NULL) {
		r->no_memory = 1;
		return (NULL);
	}
	memcpy(l->id, id, 16);
	l->next = r->lefts;
	r->lefts = l;
	return (l);
}

static struct piece *
piece_of(struct reading *r, struct left *l, enum journal_track track, uint32_t number)
{
	struct piece *p;

	for (p = l->pieces; p != NULL; p = p->next)
		if (p->track == track && p->number == number)
			return (p);
	if ((p = calloc(1, sizeof *p)) == NULL) {
		r->no_memory = 1;
		return (NULL);
	}
	*p = (struct piece){.track = track, .number = number, .next = l->pieces};
	l->pieces = p;
	return (p);
}

static struct recovered_conn *
conn_of(struct reading *r, uint64_t conn)
{
	struct recovered *o = r->out;
	struct recovered_conn *grown;

	for (size_t i = 0; i < o->conn_count; i++)
		if (o->conns[i].conn == conn)
			return (&o->conns[i]);
	if ((grown = realloc(o->conns, (o->conn_count + 1) * sizeof *grown)) == NULL) {
		r->no_memory = 1;
		return (NULL);
	}
	o->conns = grown;
	grown[o->conn_count] = (struct recovered_conn){.conn = conn};
	return (&grown[o->conn_count++]);
}

static void
conn_reached(struct reading *r, uint64_t conn, uint64_t to, uint64_t next_frame)
{
	struct recovered_conn *c = conn_of(r, conn);

	if (c != NULL && to >= c->to) {
		c->to = to;
		c->next_frame = next_frame;
	}
}

/* --- Records and notes ------------------------------------------------------------------------------------ */

static void
take_record(struct reading *r, const struct journal_record *rec)
{
	struct left *l = left_of(r, rec->stream);
	struct piece *p = l == NULL ? NULL : piece_of(r, l, rec->track, rec->segment);
	uint8_t preamble[JOURNAL_FILE_BYTES];

	if (p == NULL)
		return;
	if (rec->type == JOURNAL_FRAMES)
		conn_reached(r, rec->connection, rec->to, rec->next_frame);
	/* A header that nothing followed was torn off; whoever found it so (pieces_put) began the segment anew. */
	if (rec->type == JOURNAL_HEADER && rec->sequence == 0 && p->sequence == 1) {
		blob_clear(&p->bytes);
		p->sequence = 0;
		p->broken = 0;
	}
	/* A write that failed halfway is made again whole, in the next file. */
	if (rec->sequence < p->sequence)
		return;
	if (p->broken || rec->sequence != p->sequence || (rec->sequence == 0) != (rec->type == JOURNAL_HEADER)) {
		p->broken = 1;
		return;
	}
	if (p->sequence == 0) {
		p->first_file = r->file;
		journal_preamble(preamble, rec->segment);
		if (blob_add(&p->bytes, preamble, sizeof preamble) == -1)
			r->no_memory = 1;
	}
	p->sequence++;
	if (blob_add(&p->bytes, rec->head, JOURNAL_HEAD_BYTES + rec->body_len) == -1)
		r->no_memory = 1;
}

static int64_t
member(const json_t *o, const char *name)
{
	return (json_integer_value(json_object_get(o, name)));
}

static int
member_hex(const json_t *o, const char *name, uint8_t *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, name));

	return (s == NULL ? -1 : hex_decode(s, strlen(s), out, size));
}

static void
take_stream(struct reading *r, const json_t *o, const char *what)
{
	uint8_t id[16];
	struct left *l;

	if (member_hex(o, "rec", id, sizeof id) == -1 || (l = left_of(r, id)) == NULL)
		return;
	l->noted = 1;
	l->conn = (uint64_t)member(o, "conn");
	l->stream = (uint32_t)member(o, "stream");
	l->wall_ms = member(o, "wall_ms");
	l->boot_ms = member(o, "boot_ms");
	l->begun |= member(o, "begun") != 0;
	l->ending |= member(o, "ending") != 0;
	if (l->ending)
		l->reason = (uint16_t)member(o, "reason");
	if (member(o, "end_held") != 0)
		l->end_intent = l->end_held = 1;
	(void)member_hex(o, "meta", l->meta, sizeof l->meta);
	if (strcmp(what, "closed") == 0)
		l->closed = 1;
}

/* Its END frame is about to be written: it has ended if the log reached that place. */
static void
take_ends(struct reading *r, const json_t *o)
{
	uint8_t id[16];
	struct left *l;

	if (member_hex(o, "rec", id, sizeof id) == -1 || (l = left_of(r, id)) == NULL)
		return;
	l->ends_at = (uint64_t)member(o, "to");
	l->ends_reason = (uint16_t)member(o, "reason");
}

static void
take_leaf(struct reading *r, const json_t *o)
{
	const json_t *json = json_object_get(o, "json");
	struct ledger_leaf leaf = {.kind = (enum ledger_kind)member(o, "kind"),
	    .when = member(o, "checkpoint") != 0 ? LEDGER_CHECKPOINT : LEDGER_DURABLE,
	    .track = member(o, "track") != 0,
	    .number = (uint32_t)member(o, "n"),
	    .json = json_string_value(json),
	    .json_size = json_string_length(json)};
	struct left *l;
	struct piece *p;

	if (leaf.json == NULL || member(o, "sequence") <= 0 ||
	    member_hex(o, "rec", leaf.id, sizeof leaf.id) == -1 || (l = left_of(r, leaf.id)) == NULL)
		return;
	if (leaf.kind == LEDGER_START)
		l->begun = 1;
	if (leaf.kind == LEDGER_END) {
		l->end_intent = 1;
		l->end_sequence = (uint64_t)member(o, "sequence");
	}
	if (leaf.kind == LEDGER_SEGMENT &&
	    (p = piece_of(r, l, (enum journal_track)leaf.track, leaf.number)) != NULL)
		p->intent = 1;
	if (ledger_restore(r->ledger, (uint64_t)member(o, "sequence"), &leaf) == -1)
		r->no_memory = 1;
}

static void
take_note(struct reading *r, const struct journal_record *rec)
{
	json_t *o = json_loadb((const char *)rec->body, rec->body_len, JSON_REJECT_DUPLICATES, NULL);
	const char *what = json_string_value(json_object_get(o, "note"));

	if (what == NULL)
		log_warning("the log has a note that cannot be read");
	else if (strcmp(what, "leaf") == 0)
		take_leaf(r, o);
	else if (strcmp(what, "held") == 0) {
		ledger_restore_held(r->ledger, (uint64_t)member(o, "sequence"));
		for (struct left *l = r->lefts; l != NULL; l = l->next)
			if (l->end_intent && l->end_sequence == (uint64_t)member(o, "sequence"))
				l->end_held = 1;
	} else if (strcmp(what, "ends") == 0)
		take_ends(r, o);
	else if (strcmp(what, "position") == 0)
		conn_reached(
		    r, (uint64_t)member(o, "conn"), (uint64_t)member(o, "to"), (uint64_t)member(o, "next"));
	else
		take_stream(r, o, what);
	json_decref(o);
}

static void
take_file(struct reading *r, const uint8_t *data, size_t size)
{
	struct journal_scan scan;
	struct journal_record rec;

	journal_scan_begin(&scan, data, size);
	do {
		while (journal_next(&scan, &rec)) {
			if (rec.type == JOURNAL_NOTE)
				take_note(r, &rec);
			else
				take_record(r, &rec);
		}
		if (scan.end == JOURNAL_TORN) {
			log_warning("log file %06" PRIu32 " is torn at byte %zu", r->file, scan.at);
			r->out->torn++;
		}
	} while (journal_resync(&scan));
}

/* --- Files ------------------------------------------------------------------------------------------------ */

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x < y ? -1 : x > y);
}

/* "000012.wal": the number, or -1. */
static int64_t
wal_number(const char *name)
{
	char again[32];
	unsigned long n = strtoul(name, NULL, 10);

	(void)snprintf(again, sizeof again, "%06lu.wal", n);
	return (n > 0 && n < UINT32_MAX && strcmp(again, name) == 0 ? (int64_t)n : -1);
}

static int
files_list(int dir, struct recovered *out)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint32_t *grown;
	int64_t n;

	if (d == NULL)
		return (-1);
	while ((e = readdir(d)) != NULL) {
		if ((n = wal_number(e->d_name)) == -1)
			continue;
		if ((grown = realloc(out->files, (out->file_count + 1) * sizeof *grown)) == NULL) {
			(void)closedir(d);
			return (-1);
		}
		out->files = grown;
		grown[out->file_count++] = (uint32_t)n;
	}
	(void)closedir(d);
	if (out->file_count > 1)
		qsort(out->files, out->file_count, sizeof out->files[0], by_number);
	return (0);
}

static int
files_read(struct reading *r, int dir)
{
	for (size_t i = 0; i < r->out->file_count; i++) {
		char name[32];
		struct stat st;
		void *at = MAP_FAILED;
		int fd;

		r->file = r->out->files[i];
		(void)snprintf(name, sizeof name, "%06" PRIu32 ".wal", r->file);
		if ((fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) == -1)
			return (-1);
		if (fstat(fd, &st) == 0 && st.st_size > 0)
			at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		(void)close(fd);
		if (at == MAP_FAILED)
			continue; /* an empty one: killed while it was made */
		take_file(r, at, (size_t)st.st_size);
		(void)munmap(at, (size_t)st.st_size);
	}
	return (r->no_memory ? -1 : 0);
}

/* --- The shelf -------------------------------------------------------------------------------------------- */

static enum segment_track
shelf_track(enum journal_track track)
{
	return (track == JOURNAL_INPUT ? SEGMENT_INPUT : SEGMENT_OUTPUT);
}

static struct tape_segment *
segment_of(struct recovered_tape *t, enum journal_track track, uint32_t number)
{
	struct tape_segment *grown;

	for (size_t i = 0; i < t->found.count; i++)
		if (t->segments[i].track == track && t->segments[i].number == number)
			return (&t->segments[i]);
	if ((grown = realloc(t->segments, (t->found.count + 1) * sizeof *grown)) == NULL)
		return (NULL);
	t->segments = grown;
	grown[t->found.count] = (struct tape_segment){.track = track, .number = number, .told = 1};
	return (&grown[t->found.count++]);
}

/* Files that are on the shelf already; half-made ones go (the log has what was to be in them). */
static int
shelf_list(int dir, struct recovered_tape *t)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (d == NULL)
		return (-1);
	while ((e = readdir(d)) != NULL) {
		size_t len = strlen(e->d_name);
		enum segment_track track;
		enum segment_form form;
		uint32_t number;
		struct tape_segment *s;

		if (len > 4 && strcmp(e->d_name + len - 4, ".tmp") == 0)
			(void)unlinkat(dir, e->d_name, 0);
		if (segment_name_parse(e->d_name, &track, &number, &form) == -1)
			continue;
		if ((s = segment_of(t, track == SEGMENT_INPUT ? JOURNAL_INPUT : JOURNAL_MAIN, number)) == NULL)
			break;
		s->recovered = form == SEGMENT_FORM_RECOVERED;
	}
	(void)closedir(d);
	return (e == NULL ? 0 : -1);
}

/* What index.part says of a segment; its digest is believed only when the file has that size still. */
static void
part_read(int dir, struct recovered_tape *t)
{
	struct blob b = {0};
	char *line, *end;

	if (blob_read_at(&b, dir, "index.part", PART_MAX) == -1 || blob_add(&b, "", 1) == -1) {
		blob_free(&b);
		return;
	}
	for (line = (char *)b.at; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		json_t *o = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, NULL);
		enum journal_track track = member(o, "track") != 0 ? JOURNAL_INPUT : JOURNAL_MAIN;

		for (size_t i = 0; i < t->found.count; i++) {
			struct tape_segment *s = &t->segments[i];

			if (s->track != track || s->number != (uint32_t)member(o, "n") ||
			    s->recovered != (member(o, "recovered") != 0) ||
			    member_hex(o, "sha256", s->sha256, sizeof s->sha256) == -1)
				continue;
			s->size = (uint64_t)member(o, "size");
			s->begin_ms = (uint64_t)member(o, "begin_ms");
			s->end_ms = (uint64_t)member(o, "end_ms");
			s->events = (uint32_t)member(o, "events");
			s->cols = (uint32_t)member(o, "cols");
			s->rows = (uint32_t)member(o, "rows");
			s->payload = (uint64_t)member(o, "payload");
		}
		json_decref(o);
	}
	blob_free(&b);
}

static int
segment_digest(int dir, struct tape_segment *s)
{
	char name[SEGMENT_NAME_MAX];
	struct stat st;

	if ((s->recovered ? segment_recovered_name : segment_name)(name, shelf_track(s->track), s->number) == -1)
		return (-1);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return (-1);
	if (s->size != 0 && (uint64_t)st.st_size == s->size)
		return (0);
	return (sha256_of_file(s->sha256, dir, name, &s->size));
}

/* Puts what only the log has on the shelf, and marks what the book does not know. */
static int
pieces_put(int dir, struct left *l, struct recovered_tape *t)
{
	char name[SEGMENT_NAME_MAX];

	for (struct piece *p = l->pieces; p != NULL; p = p->next) {
		struct tape_segment *s;
		size_t before = t->found.count;

		if (p->sequence <
		    2) /* nothing, or a header alone: without BEGIN it holds nothing and does not open */
			continue;
		if ((s = segment_of(t, p->track, p->number)) == NULL)
			return (-1);
		if (t->found.count > before) {
			if (segment_recovered_name(name, shelf_track(p->track), p->number) == -1 ||
			    disk_put(dir, name, p->bytes.at, p->bytes.size) == -1)
				return (-1);
			s->recovered = 1;
		}
		s->told = p->intent;
		s->wal_file = p->intent ? 0 : p->first_file;
	}
	return (0);
}

static int
by_place(const void *a, const void *b)
{
	const struct tape_segment *x = a, *y = b;

	if (x->track != y->track)
		return (x->track < y->track ? -1 : 1);
	return (x->number < y->number ? -1 : x->number > y->number);
}

static int
left_recover(struct shelf *shelf, struct left *l, struct recovered_tape *t)
{
	char path[SHELF_PATH_MAX];
	int dir, result = -1;

	shelf_path(path, l->id, l->wall_ms);
	if ((dir = shelf_directory_make(shelf, path)) == -1)
		return (-1);
	memcpy(t->found.about.id, l->id, 16);
	memcpy(t->found.meta, l->meta, 32);
	t->found.about.conn = l->conn;
	t->found.about.stream = l->stream;
	t->found.about.facts = "";
	t->found.started_wall_ms = l->wall_ms;
	t->found.started_boot_ms = l->boot_ms;
	t->found.begun = l->begun;
	t->found.ending = l->ending;
	t->found.reason = l->reason;
	t->found.end_waits = l->end_intent;
	t->end_held = l->end_held;
	if (shelf_list(dir, t) == -1 || pieces_put(dir, l, t) == -1)
		goto out;
	if (t->found.count > 1)
		qsort(t->segments, t->found.count, sizeof t->segments[0], by_place);
	part_read(dir, t);
	for (size_t i = 0; i < t->found.count; i++)
		if (segment_digest(dir, &t->segments[i]) == -1)
			goto out;
	t->found.segments = t->segments;
	result = 0;
out:
	(void)close(dir);
	return (result);
}

static int
log_reached(const struct reading *r, uint64_t conn, uint64_t to)
{
	for (size_t i = 0; i < r->out->conn_count; i++)
		if (r->out->conns[i].conn == conn)
			return (r->out->conns[i].to >= to);
	return (0);
}

static int
lefts_recover(struct shelf *shelf, struct reading *r)
{
	for (struct left *l = r->lefts; l != NULL; l = l->next) {
		struct recovered_tape *grown;

		if (!l->noted || l->closed)
			continue;
		if (!l->ending && l->ends_at != 0 && log_reached(r, l->conn, l->ends_at)) {
			l->ending = 1;
			l->reason = l->ends_reason;
		}
		if ((grown = realloc(r->out->tapes, (r->out->tape_count + 1) * sizeof *grown)) == NULL)
			return (-1);
		r->out->tapes = grown;
		grown[r->out->tape_count] = (struct recovered_tape){.end_held = 0};
		if (left_recover(shelf, l, &grown[r->out->tape_count++]) == -1)
			return (-1);
	}
	return (0);
}

int
recover(struct shelf *shelf, struct ledger *ledger, struct recovered *out, char *why, size_t why_size)
{
	struct reading r = {.out = out, .ledger = ledger};
	int dir, result = 0;

	*out = (struct recovered){.next_file = 1};
	dir = openat(shelf_fd(shelf), WAL_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1 && errno == ENOENT)
		return (0);
	if (dir == -1 || files_list(dir, out) == -1 || files_read(&r, dir) == -1 ||
	    lefts_recover(shelf, &r) == -1) {
		(void)snprintf(
		    why, why_size, "recovering the log: %s", r.no_memory ? "no memory" : strerror(errno));
		result = -1;
	}
	if (out->file_count > 0)
		out->next_file = out->files[out->file_count - 1] + 1;
	while (r.lefts != NULL) {
		struct left *l = r.lefts;

		r.lefts = l->next;
		while (l->pieces != NULL) {
			struct piece *p = l->pieces;

			l->pieces = p->next;
			blob_free(&p->bytes);
			free(p);
		}
		free(l);
	}
	if (dir != -1)
		(void)close(dir);
	return (result);
}

void
recovered_free(struct recovered *r)
{
	for (size_t i = 0; i < r->tape_count; i++)
		free(r->tapes[i].segments);
	free(r->tapes);
	free(r->conns);
	free(r->files);
	*r = (struct recovered){0};
}
