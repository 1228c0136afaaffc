#include "sftp_file.h"

int
sftp_flags_read(uint32_t flags)
{
	return ((flags & SFTP_F_READ) != 0 || (flags & SFTP_F_WRITE) == 0);
}

int
sftp_flags_write(uint32_t flags)
{
	return ((flags & (SFTP_F_WRITE | SFTP_F_APPEND)) != 0);
}

int
sftp_flags_change(uint32_t flags)
{
	return ((flags & (SFTP_F_WRITE | SFTP_F_APPEND | SFTP_F_CREAT | SFTP_F_TRUNC)) != 0);
}

const char *
sftp_flags_op(uint32_t flags)
{
	if (!sftp_flags_change(flags))
		return ("download");
	return (sftp_flags_read(flags) ? "update" : "upload");
}

struct sftp_file *
sftp_directory_new(struct bytes handle, char *path)
{
	struct sftp_file *f = calloc(1, sizeof(*f));

	if (f == NULL || handle.len > sizeof(f->handle)) {
		free(path);
		free(f);
		return (NULL);
	}
	f->path = path;
	if (handle.len > 0)
		memcpy(f->handle, handle.at, handle.len);
	f->handle_len = handle.len;
	f->is_directory = 1;
	return (f);
}

struct sftp_file *
sftp_file_new(
    struct image_budget *budget, struct bytes handle, char *path, uint32_t flags, const struct sftp_attrs *attrs)
{
	struct sftp_file *f = sftp_directory_new(handle, path);

	if (f == NULL)
		return (NULL);
	f->is_directory = 0;
	f->flags = flags;
	f->attrs = *attrs;
	f->eof_at = UINT64_MAX;
	f->length_known = (flags & (SFTP_F_TRUNC | SFTP_F_EXCL)) != 0;
	if ((f->image = image_new(budget)) == NULL) {
		sftp_file_free(f);
		return (NULL);
	}
	/* Where such bytes land is the target's affair: it does not look at the offset. */
	if (flags & SFTP_F_APPEND)
		image_spoil(f->image, "appended to what was there");
	return (f);
}

void
sftp_file_begin_read(struct sftp_file *f, uint64_t offset, uint32_t len)
{
	if (f->written > 0)
		image_spoil(f->image, "both read and written");
	image_begin(f->image, offset, len);
}

void
sftp_file_begin_write(struct sftp_file *f, uint64_t offset, uint32_t len)
{
	if (f->read > 0)
		image_spoil(f->image, "both read and written");
	image_begin(f->image, offset, len);
}

void
sftp_file_read(struct sftp_file *f, struct bytes piece)
{
	f->read += piece.len;
	if (f->written > 0)
		image_spoil(f->image, "both read and written");
	image_add(f->image, piece);
}

void
sftp_file_write(struct sftp_file *f, struct bytes piece)
{
	f->written += piece.len;
	if (f->read > 0)
		image_spoil(f->image, "both read and written");
	image_add(f->image, piece);
}

static void
file_fail(struct sftp_file *f, uint32_t status)
{
	if (!f->has_failed)
		f->failed = status;
	f->has_failed = 1;
}

void
sftp_file_read_status(struct sftp_file *f, uint64_t offset, uint32_t status)
{
	if (status != SFTP_S_EOF)
		file_fail(f, status);
	else if (offset < f->eof_at)
		f->eof_at = offset;
}

void
sftp_file_write_status(struct sftp_file *f, uint32_t status)
{
	if (status == SFTP_S_OK)
		return;
	file_fail(f, status);
	image_spoil(f->image, "a write failed");
}

void
sftp_file_close_status(struct sftp_file *f, uint32_t status)
{
	f->closed = 1;
	if (status != SFTP_S_OK)
		file_fail(f, status);
}

void
sftp_file_resized(struct sftp_file *f, uint64_t size, uint64_t written)
{
	if (f->is_directory || !sftp_flags_write(f->flags))
		return;
	if (written > size)
		image_spoil(f->image, "cut shorter than what was written");
	f->length = size;
	f->length_known = 1;
}

json_t *
sftp_result(uint32_t status)
{
	const char *name = sftp_status_name(status);
	char number[32];

	if (status == SFTP_S_OK)
		return (ledger_ok());
	snprintf(number, sizeof(number), "status %u", status);
	return (ledger_failed(bytes_text(name == NULL ? number : name)));
}

json_t *
sftp_failure(uint32_t status)
{
	if (status == SFTP_S_OK)
		return (ledger_failed(bytes_text("ok is no answer to this")));
	return (sftp_result(status));
}

static json_t *
mode_json(uint32_t mode)
{
	char octal[16];

	snprintf(octal, sizeof(octal), "%04o", mode & 07777);
	return (json_string(octal));
}

json_t *
sftp_attrs_json(const struct sftp_attrs *a)
{
	json_t *o = json_object();
	json_int_t size = a->size > INT64_MAX ? INT64_MAX : (json_int_t)a->size;
	int bad = o == NULL;

	if (a->flags & SFTP_A_SIZE)
		bad |= json_object_set_new(o, "size", json_integer(size));
	if (a->flags & SFTP_A_OWNER) {
		bad |= json_object_set_new(o, "uid", json_integer(a->uid));
		bad |= json_object_set_new(o, "gid", json_integer(a->gid));
	}
	if (a->flags & SFTP_A_MODE)
		bad |= json_object_set_new(o, "mode", mode_json(a->mode));
	if (a->flags & SFTP_A_TIMES)
		bad |= json_object_set_new(o, "mtime", json_integer(a->mtime));
	if (bad == 0)
		return (o);
	json_decref(o);
	return (NULL);
}

static json_t *
flags_json(uint32_t flags)
{
	static const char *const names[] = {"read", "write", "append", "creat", "trunc", "excl"};
	json_t *list = json_array();

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & 1U << i)
			(void)json_array_append_new(list, json_string(names[i]));
	return (list);
}

/* The members of a file's fact that come from OPEN. */
static json_t *
opened_json(uint32_t flags, const struct sftp_attrs *attrs)
{
	json_t *o = json_object();

	if (json_object_set_new(o, "flags", flags_json(flags)) == 0 &&
	    ((attrs->flags & SFTP_A_MODE) == 0 || json_object_set_new(o, "mode", mode_json(attrs->mode)) == 0))
		return (o);
	json_decref(o);
	return (NULL);
}

/* Whether the digest is told, and whether it is of the file as a whole. */
static void
file_tell(struct sftp_file *f, struct ledger_file *to)
{
	int known = image_tell(f->image, to->sha256, to->why);

	/* Some clients leave without closing.  What was read is known all the same; what was written, once it was answered. */
	if (!f->closed && f->written > 0 && f->pending > 0) {
		known = 0;
		snprintf(to->why, sizeof(to->why), "not closed");
	} else if (known && image_size(f->image) == 0 && f->eof_at != 0 && !f->length_known) {
		known = 0;
		snprintf(to->why, sizeof(to->why), "nothing was carried");
	}
	if (!known) {
		to->sha256[0] = '\0';
		return;
	}
	to->whole = f->eof_at == image_size(f->image) ||
	            (f->read == 0 && f->length_known && f->length <= image_size(f->image));
}

void
sftp_file_enter(struct sftp_file *f, struct ledger *l, int64_t to_ms)
{
	struct ledger_file to = {
	    .op = sftp_flags_op(f->flags),
	    .path = bytes_text(f->path),
	    .read = f->read,
	    .written = f->written,
	    .size = image_size(f->image),
	    .from_ms = f->from_ms,
	    .to_ms = to_ms,
	    .more = opened_json(f->flags, &f->attrs),
	};

	file_tell(f, &to);
	if (!f->closed)
		to.result = ledger_unfinished();
	else
		to.result = f->has_failed ? sftp_failure(f->failed) : ledger_ok();
	if (f->written > 0 || !sftp_flags_read(f->flags))
		l->counts.files_up++;
	if (f->read > 0 || !sftp_flags_change(f->flags))
		l->counts.files_down++;
	ledger_file(l, &to);
}

void
sftp_unopened_enter(struct ledger *l, const char *path, uint32_t flags, const struct sftp_attrs *attrs,
    int64_t from_ms, int64_t to_ms, json_t *result)
{
	const struct ledger_file to = {
	    .op = sftp_flags_op(flags),
	    .path = bytes_text(path),
	    .why = "not opened",
	    .from_ms = from_ms,
	    .to_ms = to_ms,
	    .more = opened_json(flags, attrs),
	    .result = result,
	};

	ledger_file(l, &to);
}

void
sftp_file_free(struct sftp_file *f)
{
	if (f == NULL)
		return;
	image_free(f->image);
	free(f->path);
	free(f);
}
