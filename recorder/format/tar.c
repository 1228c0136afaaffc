/* ustar: see tar.h. */
#include <stdio.h>
#include <string.h>

#include "format/tar.h"

/* POSIX.1-1988 ustar header: offsets and widths of the fields that we fill. */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], uname[32], gname[32], major[8], minor[8], prefix[155], rest[12];
};

_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a ustar header is one block");

/* Octal digits up to the end of the field, then a NUL. */
static void
octal(char *field, size_t width, uint64_t value)
{
	for (size_t i = width - 1; i-- > 0; value >>= 3)
		field[i] = (char)('0' + (value & 7));
	field[width - 1] = '\0';
}

int
tar_header(struct blob *to, const struct tar_entry *entry)
{
	static const char modes[] = {[TAR_FILE] = 0, [TAR_PROGRAM] = 1, [TAR_DIRECTORY] = 1};
	struct ustar h = {.type = entry->kind == TAR_DIRECTORY ? '5' : '0'};
	size_t length = strlen(entry->name);
	unsigned sum = 0;

	if (length == 0 || length > TAR_NAME_MAX || entry->name[0] == '/' || entry->size >= (uint64_t)1 << 33 ||
	    entry->modified < 0 || entry->modified >= (int64_t)1 << 33 ||
	    (entry->kind == TAR_DIRECTORY && entry->size != 0))
		return (-1);
	memcpy(h.name, entry->name, length);
	octal(h.mode, sizeof(h.mode), modes[entry->kind] != 0 ? 0755 : 0644);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), entry->size);
	octal(h.mtime, sizeof(h.mtime), (uint64_t)entry->modified);
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	memcpy(h.uname, "root", 5);
	memcpy(h.gname, "root", 5);
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	octal(h.sum, 7, sum);
	return (blob_add(to, &h, sizeof(h)));
}

int
tar_padding(struct blob *to, uint64_t size)
{
	static const unsigned char zero[TAR_BLOCK];

	return (blob_add(to, zero, (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK)));
}

int
tar_file(struct blob *to, const struct tar_entry *entry, const void *content)
{
	if (tar_header(to, entry) == -1 || blob_add(to, content, (size_t)entry->size) == -1)
		return (-1);
	return (tar_padding(to, entry->size));
}

int
tar_end(struct blob *to)
{
	static const unsigned char zero[2 * TAR_BLOCK];

	return (blob_add(to, zero, sizeof(zero)));
}
