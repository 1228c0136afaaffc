#include "sftp.h"

#include <search.h>

#include "sftp_rule.h"

#define ANSWER_HEAD_MAX (4 + 1 + 4 + 4 + SFTP_HANDLE_MAX) /* of HANDLE, the longest that is read whole */

/* One direction: packets, one after the other. */
struct stream {
	uint8_t *head; /* the packet as far as it must be read at once, its length field included */
	size_t have;   /* bytes in head */
	uint32_t length;
	uint64_t left;          /* bytes behind the head that are still to come */
	int dropped;            /* they go nowhere */
	struct sftp_file *file; /* they are of this file, or NULL */
};

struct sftp {
	struct ledger *ledger;
	unsigned capabilities;
	const char *trouble; /* static; "": none */
	int64_t now_ms;

	struct stream asks, answers;
	uint8_t ask[4 + SFTP_ASK_MAX], answer[ANSWER_HEAD_MAX];
	int began, agreed; /* INIT went on, VERSION came back */
	uint32_t version;  /* that the client offered */
	struct fifo kept;  /* our answers, until the target's stream stands between two packets */

	struct sftp_table table;
	struct sftp_asked *data; /* whose DATA passes now */
};

static uint32_t
u32_at(const uint8_t *at)
{
	return ((uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]);
}

static int
broken(struct sftp *s, const char *trouble)
{
	if (s->trouble[0] == '\0')
		s->trouble = trouble;
	return (-1);
}

static int
put(struct sftp *s, struct fifo *on, const void *at, size_t len)
{
	return (fifo_put(on, at, len) == 0 ? 0 : broken(s, "no memory"));
}

/* Our answers go where the target's do, between two of its packets, and never before its VERSION. */
static int
kept_deliver(struct sftp *s, struct fifo *to)
{
	struct bytes b = fifo_bytes(&s->kept);

	if (b.len == 0 || !s->agreed || s->answers.have > 0 || s->answers.left > 0)
		return (0);
	if (put(s, to, b.at, b.len) == -1)
		return (-1);
	fifo_take(&s->kept, b.len);
	return (0);
}

/* STATUS (7): a message and its language are of version 3. */
static int
status_keep(struct sftp *s, uint32_t id, uint32_t status, const char *text)
{
	struct wire packet = {0}, w = {0};
	int good;

	wire_put_u8(&w, SFTP_STATUS);
	wire_put_u32(&w, id);
	wire_put_u32(&w, status);
	if (s->version >= 3) {
		wire_put_text(&w, bytes_text(text));
		wire_put_text(&w, bytes_text("en"));
	}
	wire_put_bytes(&packet, wire_bytes(&w));
	good = !w.failed && !packet.failed && put(s, &s->kept, packet.at, packet.len) == 0;
	wire_free(&w);
	wire_free(&packet);
	if (!good)
		return (broken(s, "no memory"));
	if (fifo_bytes(&s->kept).len > SFTP_KEPT_MAX)
		return (broken(s, "too much was refused while the target stood inside a packet"));
	return (0);
}

static int
refuse(struct sftp *s, const struct sftp_ask *a, const struct sftp_refusal *why)
{
	char text[256], number[32];
	struct ledger_refusal r = {.op = number,
	    .path = a->path,
	    .to = a->to,
	    .reason = why->reason,
	    .status = why->status,
	    .ms = s->now_ms};
	const struct sftp_file *f = sftp_table_file(&s->table, a->handle);

	snprintf(number, sizeof(number), "request %u", s->ask[4]);
	if (a->row != NULL)
		r.op = a->row->type == SFTP_OPEN && a->is_whole ? sftp_flags_op(a->number) : a->row->op;
	else if (a->extension.at != NULL) {
		r.op = "extended";
		r.name = a->extension;
	}
	if (f != NULL)
		r.path = bytes_text(f->path);
	text_reason(text, sizeof(text), why->reason, why->text);
	r.text = text;
	ledger_refused(s->ledger, &r);
	return (status_keep(s, a->id, why->status, text));
}

/* What is to be known of a file when a request with it goes on. */
static void
ask_goes(struct sftp *s, struct sftp_ask *a)
{
	struct sftp_file *f = sftp_table_file(&s->table, a->handle);

	if (a->row->type == SFTP_WRITE) {
		sftp_file_begin_write(f, a->offset, a->number);
		s->asks.file = f;
	} else if (a->row->type == SFTP_FSETSTAT) {
		a->offset = f->is_directory ? 0 : image_size(f->image);
	}
}

/* INIT (4): the version, and what a client may add to it. */
static int
init_goes(struct sftp *s, struct fifo *on)
{
	if (s->began)
		return (broken(s, "the client sent INIT twice"));
	s->began = 1;
	s->version = u32_at(s->ask + 5);
	if (s->version > 3)
		memcpy(s->ask + 5, "\0\0\0\3", 4);
	return (put(s, on, s->ask, s->asks.have));
}

/* The head of a request, or all of it, stands in s->ask. */
static int
ask_take(struct sftp *s, struct fifo *on)
{
	struct stream *st = &s->asks;
	struct bytes packet = bytes_of(s->ask + 4, st->have - 4);
	const struct sftp_refusal *why;
	struct sftp_ask a;
	enum sftp_read read;

	st->left = 4 + (uint64_t)st->length - st->have;
	st->dropped = 0;
	st->file = NULL;
	if (packet.at[0] == SFTP_INIT && st->left == 0)
		return (init_goes(s, on));
	if (!s->began || packet.at[0] == SFTP_INIT)
		return (broken(s, "the client does not begin with INIT"));
	read = sftp_ask_read(&a, packet);
	if ((why = sftp_rule(&s->table, s->capabilities, &a, read, (size_t)st->left)) != NULL) {
		st->dropped = 1;
		return (refuse(s, &a, why));
	}
	ask_goes(s, &a);
	if (sftp_table_ask(&s->table, &a, s->now_ms) == -1)
		return (broken(s, "no memory"));
	return (put(s, on, s->ask, st->have));
}

/* How much of the packet must stand in `head` before the next step. */
static size_t
ask_want(const struct sftp *s)
{
	const struct stream *st = &s->asks;
	size_t all = 4 + (size_t)st->length, want;

	if (st->have < 5)
		return (st->have < 4 ? 4 : 5);
	if (s->ask[4] != SFTP_WRITE)
		return (st->length <= SFTP_ASK_MAX ? all : 9);
	if (st->have < 13)
		return (all < 13 ? all : 13);
	want = u32_at(s->ask + 9);
	/* A handle that is too long, or longer than the packet, is malformed as it stands. */
	if (want > SFTP_HANDLE_MAX || 13 + want + 12 > all)
		return (st->have);
	return (13 + want + 12);
}

/* Takes bytes of piece into the head until it has `want`: 1 when it has. */
static int
head_take(struct stream *st, struct bytes *piece, size_t want)
{
	size_t take = want - st->have;

	if (take > piece->len)
		take = piece->len;
	if (take > 0)
		memcpy(st->head + st->have, piece->at, take);
	st->have += take;
	piece->at += take;
	piece->len -= take;
	return (st->have == want);
}

/* Length, once its four bytes stand there. */
static int
length_take(struct sftp *s, struct stream *st, uint32_t least)
{
	st->length = u32_at(st->head);
	if (st->length < least)
		return (broken(s, "a packet is shorter than any can be"));
	if (st->length > SFTP_PACKET_MAX)
		return (broken(s, "a packet is longer than any may be"));
	return (0);
}

static int
ask_gather(struct sftp *s, struct bytes *piece, struct fifo *on)
{
	struct stream *st = &s->asks;
	size_t want = ask_want(s);

	if (!head_take(st, piece, want))
		return (0);
	if (want == 4)
		return (length_take(s, st, 5));
	if (ask_want(s) != want)
		return (0);
	if (ask_take(s, on) == -1)
		return (-1);
	st->have = st->left > 0 ? st->have : 0;
	return (0);
}

/* What follows the head, as far as it is there; gives it. */
static struct bytes
payload_take(struct stream *st, struct bytes *piece)
{
	struct bytes part = *piece;

	if (part.len > st->left)
		part.len = (size_t)st->left;
	st->left -= part.len;
	piece->at += part.len;
	piece->len -= part.len;
	if (st->left == 0)
		st->have = 0;
	return (part);
}

int
sftp_from_engineer(struct sftp *s, struct bytes piece, int64_t now_ms, struct fifo *on, struct fifo *back)
{
	s->now_ms = now_ms;
	(void)kept_deliver(s, back);
	while (piece.len > 0 && s->trouble[0] == '\0') {
		struct bytes part;

		if (s->asks.left == 0) {
			if (ask_gather(s, &piece, on) == 0)
				(void)kept_deliver(s, back);
			continue;
		}
		part = payload_take(&s->asks, &piece);
		if (s->asks.dropped)
			continue;
		if (s->asks.file != NULL) {
			sftp_file_write(s->asks.file, part);
			s->ledger->counts.bytes_up += part.len;
		}
		(void)put(s, on, part.at, part.len);
	}
	if (s->ledger->failed)
		(void)broken(s, "no memory for the ledger");
	return (s->trouble[0] == '\0' ? 0 : -1);
}

/* A change that the target answered. */
static void
change_enter(struct sftp *s, const struct sftp_asked *a, json_t *result)
{
	const char *path = a->path != NULL ? a->path : a->file == NULL ? NULL : a->file->path;
	const char *to = a->to != NULL ? a->to : a->into == NULL ? NULL : a->into->path;
	int link = a->row->type == SFTP_SYMLINK;
	const struct ledger_name names[] = {
	    {"path", bytes_text(link ? to : path)}, {"to", bytes_text(link ? path : to)}};
	json_t *more = a->attrs.flags == 0 ? NULL : sftp_attrs_json(&a->attrs);

	ledger_operation(s->ledger, a->row->op, names, 2, more, s->now_ms, result);
}

/* A size that was set counts for everything that is open under that name. */
static void
size_set(struct sftp *s, const struct sftp_asked *a)
{
	if ((a->attrs.flags & SFTP_A_SIZE) == 0)
		return;
	if (a->file != NULL) {
		sftp_file_resized(a->file, a->attrs.size, a->offset);
		return;
	}
	for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
		struct sftp_file *f = s->table.files[i];

		if (f != NULL && !f->is_directory && a->path != NULL && strcmp(f->path, a->path) == 0)
			sftp_file_resized(f, a->attrs.size, image_size(f->image));
	}
}

static void
status_take(struct sftp *s, const struct sftp_asked *a, uint32_t status)
{
	switch (a->row->type) {
	case SFTP_OPEN:
		sftp_unopened_enter(
		    s->ledger, a->path, a->number, &a->attrs, a->at_ms, s->now_ms, sftp_failure(status));
		s->table.opened--;
		break;
	case SFTP_OPENDIR:
		s->table.opened--;
		break;
	case SFTP_CLOSE:
		sftp_file_close_status(a->file, status);
		break;
	case SFTP_READ:
		sftp_file_read_status(a->file, a->offset, status);
		break;
	case SFTP_WRITE:
		sftp_file_write_status(a->file, status);
		break;
	default:
		if (status == SFTP_S_OK)
			size_set(s, a);
		/* A copy that failed may have copied some of it. */
		if (a->into != NULL && status != SFTP_S_OP_UNSUPPORTED)
			image_spoil(a->into->image, "filled by a copy on the target");
		break;
	}
	if (a->row->changes)
		change_enter(s, a, sftp_result(status));
}

static int
handle_take(struct sftp *s, struct sftp_asked *a, struct bytes body)
{
	struct reader r = reader_of(body);
	struct bytes handle = reader_get_bytes(&r);

	if (!reader_end(&r))
		return (broken(s, "the target's HANDLE is malformed"));
	if (sftp_table_file(&s->table, handle) != NULL)
		return (broken(s, "the target gave one handle twice"));
	return (sftp_table_open(&s->table, a, handle) == 0 ? 0 : broken(s, "no memory"));
}

static int
data_take(struct sftp *s, struct sftp_asked *a)
{
	uint32_t len = u32_at(s->answer + 9);

	if (len != s->answers.length - 9 || len > a->number)
		return (broken(s, "the target's DATA is not what was asked for"));
	sftp_file_begin_read(a->file, a->offset, len);
	s->answers.file = a->file;
	s->data = a;
	return (0);
}

/* The kinds of answers: the least length, and how much must be read before the rest streams (0: all). */
static const struct answer_row {
	uint8_t type;
	uint32_t least;
	size_t head;
} answer_rows[] = {
    {SFTP_VERSION, 5, 9},
    {SFTP_STATUS, 9, 13},
    {SFTP_HANDLE, 9, 0},
    {SFTP_DATA, 9, 13},
    {SFTP_NAME, 9, 9},
    {SFTP_ATTRS, 9, 9},
    {SFTP_EXTENDED_REPLY, 5, 9},
};

static const struct answer_row *
answer_row(uint8_t type)
{
	for (size_t i = 0; i < sizeof(answer_rows) / sizeof(answer_rows[0]); i++)
		if (answer_rows[i].type == type)
			return (&answer_rows[i]);
	return (NULL);
}

/* VERSION (4), first and once. */
static int
version_take(struct sftp *s)
{
	if (s->agreed || !s->began)
		return (broken(s, "the target sent a VERSION that was not asked for"));
	if (u32_at(s->answer + 5) > 3)
		return (broken(s, "the target speaks a later version of SFTP than was offered"));
	s->agreed = 1;
	return (0);
}

/* The head of an answer stands in s->answer. */
static int
answer_take(struct sftp *s)
{
	struct stream *st = &s->answers;
	uint8_t type = s->answer[4];
	struct sftp_asked *a;

	st->left = 4 + (uint64_t)st->length - st->have;
	st->file = NULL;
	if (type == SFTP_VERSION)
		return (version_take(s));
	if (!s->agreed)
		return (broken(s, "the target does not begin with VERSION"));
	if ((a = sftp_table_asked(&s->table, u32_at(s->answer + 5))) == NULL)
		return (broken(s, "the target answered what was not asked"));
	if (type == SFTP_STATUS)
		status_take(s, a, u32_at(s->answer + 9));
	else if (type != a->row->answer)
		return (broken(s, "the target's answer is not of the kind that was asked for"));
	else if (type == SFTP_HANDLE && handle_take(s, a, bytes_of(s->answer + 9, st->have - 9)) == -1)
		return (-1);
	else if (type == SFTP_DATA && data_take(s, a) == -1)
		return (-1);
	if (s->data == NULL)
		sftp_table_answered(&s->table, a, s->ledger, s->now_ms);
	return (0);
}

static size_t
answer_want(const struct sftp *s)
{
	const struct stream *st = &s->answers;
	const struct answer_row *row;

	if (st->have < 5)
		return (st->have < 4 ? 4 : 5);
	row = answer_row(s->answer[4]);
	if (row == NULL)
		return (0);
	return (row->head == 0 ? 4 + (size_t)st->length : row->head);
}

/* Type, once it stands there. */
static int
type_take(struct sftp *s)
{
	const struct answer_row *row = answer_row(s->answer[4]);

	if (row == NULL)
		return (broken(s, "the target sent a packet of an unknown type"));
	if (s->answers.length < row->least)
		return (broken(s, "a packet of the target is shorter than it can be"));
	if (row->head == 0 && 4 + s->answers.length > ANSWER_HEAD_MAX)
		return (broken(s, "the target's handle is too long"));
	return (0);
}

/* A packet of the target's has passed whole. */
static int
answer_over(struct sftp *s, struct fifo *on)
{
	s->answers.have = 0;
	if (s->data != NULL)
		sftp_table_answered(&s->table, s->data, s->ledger, s->now_ms);
	s->data = NULL;
	return (kept_deliver(s, on));
}

static int
answer_gather(struct sftp *s, struct bytes *piece, struct fifo *on)
{
	struct stream *st = &s->answers;
	size_t want = answer_want(s);

	if (!head_take(st, piece, want))
		return (0);
	if (want == 4)
		return (length_take(s, st, 5));
	if (want == 5)
		return (type_take(s));
	if (answer_take(s) == -1 || put(s, on, s->answer, st->have) == -1)
		return (-1);
	return (st->left == 0 ? answer_over(s, on) : 0);
}

int
sftp_from_target(struct sftp *s, struct bytes piece, int64_t now_ms, struct fifo *on)
{
	s->now_ms = now_ms;
	(void)kept_deliver(s, on);
	while (piece.len > 0 && s->trouble[0] == '\0') {
		struct bytes part;

		if (s->answers.left == 0) {
			(void)answer_gather(s, &piece, on);
			continue;
		}
		part = payload_take(&s->answers, &piece);
		if (s->answers.file != NULL) {
			sftp_file_read(s->answers.file, part);
			s->ledger->counts.bytes_down += part.len;
		}
		if (put(s, on, part.at, part.len) == 0 && s->answers.left == 0)
			(void)answer_over(s, on);
	}
	if (s->ledger->failed)
		(void)broken(s, "no memory for the ledger");
	return (s->trouble[0] == '\0' ? 0 : -1);
}

const char *
sftp_trouble(const struct sftp *s)
{
	return (s->trouble);
}

struct sftp *
sftp_new(struct ledger *ledger, unsigned capabilities)
{
	struct sftp *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (NULL);
	s->ledger = ledger;
	s->capabilities = capabilities;
	s->trouble = "";
	s->asks.head = s->ask;
	s->answers.head = s->answer;
	return (s);
}

/* A change or an opening that the target never answered. */
static void
on_unanswered(const void *node, VISIT which, void *ctx)
{
	const struct sftp_asked *a = *(struct sftp_asked *const *)node;
	struct sftp *s = ctx;

	if (which != postorder && which != leaf)
		return;
	if (a->row->type == SFTP_OPEN)
		sftp_unopened_enter(
		    s->ledger, a->path, a->number, &a->attrs, a->at_ms, s->now_ms, ledger_unfinished());
	if (a->row->changes)
		change_enter(s, a, ledger_unfinished());
}

void
sftp_end(struct sftp *s, int64_t now_ms)
{
	s->now_ms = now_ms;
	twalk_r(s->table.asked, on_unanswered, s);
	for (size_t i = 0; i < SFTP_FILES_MAX; i++)
		if (s->table.files[i] != NULL && !s->table.files[i]->is_directory)
			sftp_file_enter(s->table.files[i], s->ledger, now_ms);
}

void
sftp_free(struct sftp *s)
{
	if (s == NULL)
		return;
	sftp_table_free(&s->table);
	fifo_free(&s->kept);
	free(s);
}
