#include "sftp_ask.h"

/* clang-format off */
static const struct sftp_row rows[] = {
	{SFTP_OPEN,     NULL, "open",     SFTP_NEEDS_FLAGS,    "pua", SFTP_HANDLE, 0},
	{SFTP_CLOSE,    NULL, "close",    SFTP_NEEDS_ANY,      "h",   0,           0},
	{SFTP_READ,     NULL, "download", SFTP_NEEDS_DOWNLOAD, "hqu", SFTP_DATA,   0},
	{SFTP_WRITE,    NULL, "upload",   SFTP_NEEDS_UPLOAD,   "hqu", 0,           0},
	{SFTP_LSTAT,    NULL, "lstat",    SFTP_NEEDS_ANY,      "p",   SFTP_ATTRS,  0},
	{SFTP_FSTAT,    NULL, "fstat",    SFTP_NEEDS_ANY,      "h",   SFTP_ATTRS,  0},
	{SFTP_SETSTAT,  NULL, "setstat",  SFTP_NEEDS_UPLOAD,   "pa",  0,           1},
	{SFTP_FSETSTAT, NULL, "setstat",  SFTP_NEEDS_UPLOAD,   "ha",  0,           1},
	{SFTP_OPENDIR,  NULL, "opendir",  SFTP_NEEDS_ANY,      "p",   SFTP_HANDLE, 0},
	{SFTP_READDIR,  NULL, "readdir",  SFTP_NEEDS_ANY,      "h",   SFTP_NAME,   0},
	{SFTP_REMOVE,   NULL, "remove",   SFTP_NEEDS_UPLOAD,   "p",   0,           1},
	{SFTP_MKDIR,    NULL, "mkdir",    SFTP_NEEDS_UPLOAD,   "pa",  0,           1},
	{SFTP_RMDIR,    NULL, "rmdir",    SFTP_NEEDS_UPLOAD,   "p",   0,           1},
	{SFTP_REALPATH, NULL, "realpath", SFTP_NEEDS_ANY,      "p",   SFTP_NAME,   0},
	{SFTP_STAT,     NULL, "stat",     SFTP_NEEDS_ANY,      "p",   SFTP_ATTRS,  0},
	{SFTP_RENAME,   NULL, "rename",   SFTP_NEEDS_UPLOAD,   "pp",  0,           1},
	{SFTP_READLINK, NULL, "readlink", SFTP_NEEDS_ANY,      "p",   SFTP_NAME,   0},
	/* OpenSSH's order (PROTOCOL 4.1), which others follow: what the link points to, then the link. */
	{SFTP_SYMLINK,  NULL, "symlink",  SFTP_NEEDS_UPLOAD,   "pp",  0,           1},
	{SFTP_EXTENDED, "posix-rename@openssh.com", "rename",   SFTP_NEEDS_UPLOAD, "pp", 0, 1},
	{SFTP_EXTENDED, "hardlink@openssh.com",     "hardlink", SFTP_NEEDS_UPLOAD, "pp", 0, 1},
	{SFTP_EXTENDED, "lsetstat@openssh.com",     "setstat",  SFTP_NEEDS_UPLOAD, "pa", 0, 1},
	{SFTP_EXTENDED, "fsync@openssh.com",        "fsync",    SFTP_NEEDS_UPLOAD, "h",  0, 0},
	{SFTP_EXTENDED, "copy-data",                "copy",     SFTP_NEEDS_UPLOAD, "hqqhq", 0, 1},
	{SFTP_EXTENDED, "statvfs@openssh.com",      "statvfs",  SFTP_NEEDS_ANY, "p", SFTP_EXTENDED_REPLY, 0},
	{SFTP_EXTENDED, "fstatvfs@openssh.com",     "fstatvfs", SFTP_NEEDS_ANY, "h", SFTP_EXTENDED_REPLY, 0},
	{SFTP_EXTENDED, "limits@openssh.com",       "limits",   SFTP_NEEDS_ANY, "",  SFTP_EXTENDED_REPLY, 0},
	{SFTP_EXTENDED, "expand-path@openssh.com",  "realpath", SFTP_NEEDS_ANY, "p", SFTP_NAME, 0},
	{SFTP_EXTENDED, "home-directory",           "realpath", SFTP_NEEDS_ANY, "s", SFTP_NAME, 0},
	{SFTP_EXTENDED, "users-groups-by-id@openssh.com", "names", SFTP_NEEDS_ANY, "ss", SFTP_EXTENDED_REPLY, 0},
};

static const char *const statuses[] = {
	"ok", "end of file", "no such file", "permission denied", "failure",
	"bad message", "no connection", "connection lost", "operation unsupported",
};
/* clang-format on */

static const struct sftp_row *
row_of(uint8_t type, struct bytes extension)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].type != type)
			continue;
		if (rows[i].extension == NULL || bytes_are(extension, rows[i].extension))
			return (&rows[i]);
	}
	return (NULL);
}

/* Attributes (5).  Extended ones are read over. */
static void
attrs_read(struct reader *r, struct sftp_attrs *a)
{
	a->flags = reader_get_u32(r);
	if (a->flags & SFTP_A_SIZE)
		a->size = reader_get_u64(r);
	if (a->flags & SFTP_A_OWNER) {
		a->uid = reader_get_u32(r);
		a->gid = reader_get_u32(r);
	}
	if (a->flags & SFTP_A_MODE)
		a->mode = reader_get_u32(r);
	if (a->flags & SFTP_A_TIMES) {
		a->atime = reader_get_u32(r);
		a->mtime = reader_get_u32(r);
	}
	if (a->flags & 0x80000000U) {
		for (uint32_t pairs = reader_get_u32(r); pairs > 0 && !r->failed; pairs--) {
			(void)reader_get_bytes(r);
			(void)reader_get_bytes(r);
		}
	}
}

static void
field_read(struct reader *r, char field, struct sftp_ask *a, unsigned seen)
{
	switch (field) {
	case 'p':
		*(seen == 0 ? &a->path : &a->to) = reader_get_text(r);
		break;
	case 'h':
		*(seen == 0 ? &a->handle : &a->into) = reader_get_bytes(r);
		break;
	case 'q':
		*(seen == 0 ? &a->offset : &a->numbers[seen - 1]) = reader_get_u64(r);
		break;
	case 'u':
		a->number = reader_get_u32(r);
		break;
	case 'a':
		attrs_read(r, &a->attrs);
		break;
	default:
		(void)reader_get_bytes(r);
		break;
	}
}

enum sftp_read
sftp_ask_read(struct sftp_ask *a, struct bytes packet)
{
	struct reader r = reader_of(packet);
	uint8_t type = reader_get_u8(&r);
	const char *f;

	*a = (struct sftp_ask){.id = reader_get_u32(&r)};
	if (type == SFTP_EXTENDED) {
		a->extension = reader_get_text(&r);
		if (r.failed)
			return (SFTP_READ_BAD);
	}
	if ((a->row = row_of(type, a->extension)) == NULL)
		return (SFTP_READ_UNKNOWN);
	for (f = a->row->fields; *f != '\0'; f++) {
		unsigned seen = 0;

		for (const char *before = a->row->fields; before < f; before++)
			seen += *before == *f;
		field_read(&r, *f, a, seen);
	}
	if (r.failed || a->handle.len > SFTP_HANDLE_MAX || a->into.len > SFTP_HANDLE_MAX)
		return (SFTP_READ_BAD);
	a->is_whole = 1;
	if (a->path.len > SFTP_PATH_MAX || a->to.len > SFTP_PATH_MAX)
		return (SFTP_READ_LONG_PATH);
	return (SFTP_READ_OK);
}

const char *
sftp_status_name(uint32_t status)
{
	return (status < sizeof(statuses) / sizeof(statuses[0]) ? statuses[status] : NULL);
}
