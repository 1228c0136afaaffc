#include "scp.h"

#include "command.h"

#define SCP_DEPTH_MAX 1024
#define SINK_AHEAD_MAX ((size_t)64 * 1024)
#define RUN_MAX ((size_t)1024 * 1024) /* bytes of a file read in one step */

/*
 *	START --ack--> LINE --T,D,E--> ASKED --ack--> LINE
 *	               LINE --C--> ASKED --ack--> BYTES --> STATUS --> DONE --ack--> LINE
 *	any --not the protocol, or a fatal message--> OVER
 *
 * START, ASKED, DONE: the sink's word is awaited, and the source's stream stands still for us.  LINE, BYTES, STATUS: the
 * source's.  OVER: nothing is read any more.  Whoever sends ahead of its turn is read when its turn comes, as its peer
 * does it.
 */
enum scp_state { SCP_START, SCP_LINE, SCP_ASKED, SCP_BYTES, SCP_STATUS, SCP_DONE, SCP_OVER };

/* One direction: what has passed and was not read yet. */
struct lane {
	struct wire kept;
	size_t from;
};

struct scp {
	struct ledger *ledger;
	enum scp_way way;
	const char *trouble; /* static; "": none */
	enum scp_state state;
	int64_t now_ms;
	struct lane source, sink;

	/* Where names belong. */
	char *base;               /* of the command */
	const char *last;         /* SCP_DOWN: the name in base that the source's first name must be, or NULL */
	int is_directory;         /* names stand below base */
	char under[SCP_PATH_MAX]; /* the directories that were entered, each with its "/" */
	size_t under_len;
	size_t above[SCP_DEPTH_MAX]; /* under_len before each of them */
	unsigned depth;

	/* The record that is under way. */
	char kind; /* C, D, E or T */
	char mode[8];
	char name[SCP_PATH_MAX]; /* with its directories */
	uint64_t left;           /* bytes of the file */
	int64_t from_ms;
	struct image *image; /* of a C that was acknowledged */
	struct image_budget budget;
	uint64_t moved;
	json_t *failed; /* the source's own words, or NULL */
};

static struct bytes
lane_bytes(const struct lane *l)
{
	if (l->from == l->kept.len)
		return (bytes_of(NULL, 0));
	return (bytes_of(l->kept.at + l->from, l->kept.len - l->from));
}

static void
lane_skip(struct lane *l, size_t len)
{
	l->from += len;
	if (l->from < l->kept.len)
		return;
	/* What was sent far ahead needed more than the next pieces will. */
	if (l->kept.room > RUN_MAX)
		wire_free(&l->kept);
	else
		wire_clear(&l->kept);
	l->from = 0;
}

static int
lane_put(struct lane *l, struct bytes piece)
{
	if (l->from > l->kept.len / 2) {
		memmove(l->kept.at, l->kept.at + l->from, l->kept.len - l->from);
		l->kept.len -= l->from;
		l->from = 0;
	}
	wire_put_raw(&l->kept, piece.at, piece.len);
	return (l->kept.failed ? -1 : 0);
}

static const char *
scp_op(const struct scp *s)
{
	return (s->way == SCP_UP ? "upload" : "download");
}

/* The path of `name` as far as it is known; gives it.  NULL: no memory. */
static char *
path_of(const struct scp *s, const char *name)
{
	size_t len = strlen(s->base) + strlen(name) + 2;
	size_t last = s->last == NULL ? 0 : strlen(s->last);
	char *path = malloc(len);

	if (path == NULL)
		return (NULL);
	if (s->last != NULL && strncmp(name, s->last, last) == 0 && (name[last] == '\0' || name[last] == '/'))
		snprintf(path, len, "%s%s", s->base, name + last);
	else if (!s->is_directory || name[0] == '\0')
		snprintf(path, len, "%s", s->base);
	else
		snprintf(path, len, "%s%s%s", s->base,
		    s->base[0] == '\0' || s->base[strlen(s->base) - 1] == '/' ? "" : "/", name);
	return (path);
}

/* Something that is no file: `name` is "" when it is of the whole command.  Result is given. */
static void
operation_enter(struct scp *s, const char *op, const char *name, json_t *result)
{
	char *path = path_of(s, name);
	const struct ledger_name names[] = {{"path", bytes_text(path == NULL ? s->base : path)},
	    {"name", bytes_text(name[0] == '\0' ? NULL : name)}};

	ledger_operation(s->ledger, op, names, 2, NULL, s->now_ms, result);
	free(path);
}

static void
unreadable(struct scp *s)
{
	s->state = SCP_OVER;
	ledger_operation(s->ledger, "scp", NULL, 0, NULL, s->now_ms, json_string("unreadable"));
}

/* The file that is under way is over.  Result is given; what the source said of it comes first. */
static void
file_enter(struct scp *s, json_t *result)
{
	char *path = path_of(s, s->name);
	int was_carried = s->image != NULL;
	struct ledger_file f = {
	    .op = scp_op(s),
	    .path = bytes_text(path == NULL ? s->base : path),
	    .name = bytes_text(s->name),
	    .from_ms = s->from_ms,
	    .to_ms = s->now_ms,
	    .more = json_pack("{s:s}", "mode", s->mode),
	    .why = "not accepted",
	};

	*(s->way == SCP_UP ? &f.written : &f.read) = s->moved;
	if (was_carried) {
		f.size = image_size(s->image);
		if (s->state != SCP_DONE)
			snprintf(f.why, sizeof(f.why), "not complete");
		else if (image_tell(s->image, f.sha256, f.why) && s->failed == NULL)
			f.whole = json_is_string(result) && strcmp(json_string_value(result), "ok") == 0;
		*(s->way == SCP_UP ? &s->ledger->counts.files_up : &s->ledger->counts.files_down) += 1;
	}
	f.result = s->failed != NULL ? s->failed : result;
	if (s->failed != NULL)
		json_decref(result);
	s->failed = NULL;
	ledger_file(s->ledger, &f);
	image_free(s->image);
	s->image = NULL;
	free(path);
}

/* "0644 1234 name": 0 when it is well-formed, as sink() of OpenSSH's scp.c wants it. */
static int
record_read(struct scp *s, struct bytes line)
{
	uint64_t size = 0;
	size_t i;

	if (line.len < 7 || memchr(line.at, 0, line.len) != NULL)
		return (-1);
	for (i = 0; i < 4; i++)
		if (line.at[i] < '0' || line.at[i] > '7')
			return (-1);
	if (line.at[i++] != ' ' || line.at[i] == ' ')
		return (-1);
	memcpy(s->mode, line.at, 4);
	for (; i < line.len && line.at[i] >= '0' && line.at[i] <= '9'; i++) {
		if (size > (INT64_MAX - 9) / 10)
			return (-1);
		size = size * 10 + (uint64_t)(line.at[i] - '0');
	}
	if (i + 1 >= line.len || line.at[i++] != ' ' || s->under_len + line.len - i >= sizeof(s->name))
		return (-1);
	memcpy(s->name, s->under, s->under_len);
	memcpy(s->name + s->under_len, line.at + i, line.len - i);
	s->name[s->under_len + line.len - i] = '\0';
	s->left = size;
	return (0);
}

/* Words of a peer's: its "\1" or "\2" in front of them left out. */
static json_t *
words_of(struct bytes line)
{
	return (ledger_failed(bytes_of(line.at + 1, line.len - 1)));
}

/* A line of the source's, without its end. */
static void
line_take(struct scp *s, struct bytes line)
{
	if (line.at[0] == 1 || line.at[0] == 2) {
		operation_enter(s, scp_op(s), "", words_of(line));
		if (line.at[0] == 2)
			s->state = SCP_OVER;
		return;
	}
	s->kind = (char)line.at[0];
	s->from_ms = s->now_ms;
	s->moved = 0;
	if (s->kind == 'T' || (s->kind == 'E' && s->depth > 0))
		s->state = SCP_ASKED;
	else if ((s->kind == 'C' || (s->kind == 'D' && s->depth < SCP_DEPTH_MAX)) &&
	         record_read(s, bytes_of(line.at + 1, line.len - 1)) == 0)
		s->state = SCP_ASKED;
	else
		unreadable(s);
}

static int
directory_enter(struct scp *s)
{
	size_t len = strlen(s->name);

	if (len + 1 >= sizeof(s->under))
		return (-1);
	if (s->way == SCP_UP)
		operation_enter(s, "directory", s->name, ledger_ok());
	s->above[s->depth++] = s->under_len;
	memcpy(s->under, s->name, len);
	s->under[len] = '/';
	s->under_len = len + 1;
	return (0);
}

/* The sink accepts the record. */
static void
record_go(struct scp *s)
{
	s->state = SCP_LINE;
	switch (s->kind) {
	case 'C':
		if ((s->image = image_new(&s->budget)) == NULL) {
			s->trouble = "no memory";
			return;
		}
		s->state = s->left > 0 ? SCP_BYTES : SCP_STATUS;
		break;
	case 'D':
		if (directory_enter(s) == -1)
			unreadable(s);
		break;
	case 'E':
		s->under_len = s->above[--s->depth];
		break;
	default:
		break;
	}
}

/* The sink does not. */
static void
record_fail(struct scp *s, json_t *words)
{
	s->state = SCP_LINE;
	switch (s->kind) {
	case 'C':
		file_enter(s, words);
		break;
	case 'D':
		operation_enter(s, s->way == SCP_UP ? "directory" : scp_op(s), s->name, words);
		break;
	case 'E':
		s->under_len = s->above[--s->depth];
		operation_enter(s, scp_op(s), "", words);
		break;
	default:
		operation_enter(s, scp_op(s), "", words);
		break;
	}
}

/* A word of the sink's: words NULL, or given and why not. */
static void
ack_take(struct scp *s, json_t *words)
{
	switch (s->state) {
	case SCP_START:
		s->state = SCP_LINE;
		if (words != NULL)
			operation_enter(s, scp_op(s), "", words);
		break;
	case SCP_ASKED:
		if (words == NULL)
			record_go(s);
		else
			record_fail(s, words);
		break;
	default: /* SCP_DONE */
		file_enter(s, words != NULL ? words : ledger_ok());
		s->state = SCP_LINE;
		break;
	}
}

/* The first line of b without its end, and how much it takes; 0: it is not whole yet.  Too long: unreadable. */
static size_t
line_find(struct scp *s, struct bytes b, struct bytes *line)
{
	const uint8_t *end = memchr(b.at, '\n', b.len < SCP_LINE_MAX ? b.len : SCP_LINE_MAX);

	if (end == NULL) {
		if (b.len >= SCP_LINE_MAX)
			unreadable(s);
		return (0);
	}
	*line = bytes_of(b.at, (size_t)(end - b.at));
	return (line->len + 1);
}

/* Reads on in the sink's stream: how many bytes were read; 0: more must come. */
static size_t
sink_read(struct scp *s, struct bytes b)
{
	struct bytes line;
	size_t taken;

	if (b.at[0] == 0) {
		ack_take(s, NULL);
		return (1);
	}
	if (b.at[0] > 2) {
		unreadable(s);
		return (b.len);
	}
	if ((taken = line_find(s, b, &line)) == 0)
		return (0);
	ack_take(s, words_of(line));
	if (line.at[0] == 2)
		s->state = SCP_OVER;
	return (taken);
}

static size_t
bytes_take(struct scp *s, struct bytes b)
{
	uint64_t *count = s->way == SCP_UP ? &s->ledger->counts.bytes_up : &s->ledger->counts.bytes_down;

	if (b.len > s->left)
		b.len = (size_t)s->left;
	if (b.len > RUN_MAX)
		b.len = RUN_MAX;
	image_begin(s->image, s->moved, (uint32_t)b.len);
	image_add(s->image, b);
	s->moved += b.len;
	s->left -= b.len;
	*count += b.len;
	if (s->left == 0)
		s->state = SCP_STATUS;
	return (b.len);
}

/* The source's status behind a file: 0, or a line of words. */
static size_t
status_take(struct scp *s, struct bytes b)
{
	struct bytes line;
	size_t taken = 1;

	if (b.at[0] == 1 || b.at[0] == 2) {
		if ((taken = line_find(s, b, &line)) == 0)
			return (0);
		s->failed = words_of(line);
	} else if (b.at[0] != 0) {
		unreadable(s);
		return (b.len);
	}
	s->state = SCP_DONE;
	return (taken);
}

/* Reads on in the source's stream, as sink_read. */
static size_t
source_read(struct scp *s, struct bytes b)
{
	struct bytes line;
	size_t taken;

	if (s->state == SCP_BYTES)
		return (bytes_take(s, b));
	if (s->state == SCP_STATUS)
		return (status_take(s, b));
	if ((taken = line_find(s, b, &line)) == 0)
		return (0);
	if (line.len == 0)
		unreadable(s);
	else
		line_take(s, line);
	return (taken);
}

static int
is_the_sinks_turn(const struct scp *s)
{
	return (s->state == SCP_START || s->state == SCP_ASKED || s->state == SCP_DONE);
}

/* Reads both streams on, each in its turn, as far as they came. */
static void
lanes_read(struct scp *s)
{
	while (s->state != SCP_OVER && s->trouble[0] == '\0') {
		struct lane *l = is_the_sinks_turn(s) ? &s->sink : &s->source;
		struct bytes b = lane_bytes(l);
		size_t taken;

		if (b.len == 0)
			break;
		taken = l == &s->sink ? sink_read(s, b) : source_read(s, b);
		if (taken == 0)
			break;
		lane_skip(l, taken);
	}
	if (s->state != SCP_OVER &&
	    (lane_bytes(&s->source).len > SCP_AHEAD_MAX || lane_bytes(&s->sink).len > SINK_AHEAD_MAX))
		unreadable(s);
	if (s->state == SCP_OVER) {
		wire_free(&s->source.kept);
		wire_free(&s->sink.kept);
		s->source.from = s->sink.from = 0;
	}
}

static int
lane_take(struct scp *s, struct lane *l, struct bytes piece, int64_t now_ms, struct fifo *on)
{
	s->now_ms = now_ms;
	if (fifo_put(on, piece.at, piece.len) == -1)
		s->trouble = "no memory";
	if (s->state != SCP_OVER && lane_put(l, piece) == -1)
		s->trouble = "no memory";
	lanes_read(s);
	if (s->ledger->failed)
		s->trouble = "no memory for the ledger";
	return (s->trouble[0] == '\0' ? 0 : -1);
}

int
scp_from_engineer(struct scp *s, struct bytes piece, int64_t now_ms, struct fifo *on)
{
	return (lane_take(s, s->way == SCP_UP ? &s->source : &s->sink, piece, now_ms, on));
}

int
scp_from_target(struct scp *s, struct bytes piece, int64_t now_ms, struct fifo *on)
{
	return (lane_take(s, s->way == SCP_UP ? &s->sink : &s->source, piece, now_ms, on));
}

const char *
scp_trouble(const struct scp *s)
{
	return (s->trouble);
}

/* What the command says of where names belong.  -1: no memory. */
static int
base_set(struct scp *s, const struct command *c)
{
	struct wire all = {0};

	for (size_t i = c->operands; i < c->words; i++) {
		wire_put_raw(&all, " ", i > c->operands ? 1 : 0);
		wire_put_raw(&all, c->word[i].text, strlen(c->word[i].text));
	}
	wire_put_u8(&all, '\0');
	if (all.failed || (s->base = strdup((const char *)all.at)) == NULL) {
		wire_free(&all);
		return (-1);
	}
	wire_free(&all);
	return (0);
}

/* A path to put into: whether it must be a directory can be seen on some. */
static void
base_is_put(struct scp *s, const struct command *c)
{
	size_t len = strlen(s->base);
	const char *last = strrchr(s->base, '/') == NULL ? s->base : strrchr(s->base, '/') + 1;

	s->is_directory = c->directory || len == 0 || last[0] == '\0' || strcmp(last, ".") == 0 ||
	                  strcmp(last, "..") == 0 || strcmp(s->base, "~") == 0;
}

/* A path to get: the source names its last part; below a pattern it names what it found there. */
static void
base_is_got(struct scp *s, const struct command *c)
{
	size_t len = strlen(s->base);
	char *slash;

	if (c->words - c->operands != 1)
		return;
	while (len > 1 && s->base[len - 1] == '/')
		s->base[--len] = '\0';
	slash = strrchr(s->base, '/');
	if (c->word[c->operands].globs == 0) {
		s->last = slash == NULL ? s->base : slash + 1;
		return;
	}
	if (slash == NULL) {
		s->base[0] = '\0';
		s->is_directory = 1;
	} else if (strcspn(s->base, "*?[") > (size_t)(slash - s->base)) {
		slash[1] = '\0';
		s->is_directory = 1;
	}
}

struct scp *
scp_new(struct ledger *ledger, enum scp_way way, const char *command)
{
	struct command *c = malloc(sizeof(*c));
	struct scp *s = calloc(1, sizeof(*s));

	if (c == NULL || s == NULL)
		goto failed;
	s->ledger = ledger;
	s->way = way;
	s->trouble = "";
	if (command_read(c, command) == COMMAND_OTHER)
		c->words = c->operands = c->directory = 0;
	if (base_set(s, c) == -1)
		goto failed;
	if (way == SCP_UP)
		base_is_put(s, c);
	else
		base_is_got(s, c);
	free(c);
	return (s);

failed:
	free(c);
	free(s);
	return (NULL);
}

/* What the sink said last, when it gave up in the middle of a file. */
static json_t *
last_words(struct scp *s)
{
	struct bytes b = lane_bytes(&s->sink), line;

	if (s->state == SCP_OVER || b.len == 0 || (b.at[0] != 1 && b.at[0] != 2))
		return (ledger_unfinished());
	line = b;
	for (size_t i = 0; i < b.len && i < SCP_LINE_MAX; i++)
		if (b.at[i] == '\n') {
			line.len = i;
			break;
		}
	return (words_of(line));
}

void
scp_end(struct scp *s, int64_t now_ms)
{
	s->now_ms = now_ms;
	if (s->image != NULL || (s->state == SCP_ASKED && s->kind == 'C'))
		file_enter(s, last_words(s));
	else if (s->state != SCP_OVER && lane_bytes(&s->source).len > 0)
		unreadable(s);
	s->state = SCP_OVER;
}

void
scp_free(struct scp *s)
{
	if (s == NULL)
		return;
	wire_free(&s->source.kept);
	wire_free(&s->sink.kept);
	image_free(s->image);
	json_decref(s->failed);
	free(s->base);
	free(s);
}
