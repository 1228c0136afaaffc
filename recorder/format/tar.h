/*
 * A minimal ustar archive writer (POSIX.1-1988): regular files and directories, names up to 100 bytes, owner root,
 * mode 0644 or 0755.  Pushed: header, the file's bytes by the caller, padding; at the end two empty blocks.
 */
#ifndef FORMAT_TAR_H
#define FORMAT_TAR_H

#include "format/blob.h"

enum { TAR_BLOCK = 512, TAR_NAME_MAX = 100 };

enum tar_kind { TAR_FILE, TAR_PROGRAM /* mode 0755 */, TAR_DIRECTORY /* size 0 */ };

struct tar_entry {
	const char *name; /* relative, no ".." */
	enum tar_kind kind;
	uint64_t size;    /* bytes, below 8 GiB */
	int64_t modified; /* Unix seconds */
};

int tar_header(struct blob *to, const struct tar_entry *entry); /* 0, or -1 for what ustar cannot say */
int tar_padding(struct blob *to, uint64_t size);                /* fills up to the block behind `size` bytes */
int tar_file(struct blob *to, const struct tar_entry *entry, const void *content); /* all three in one */
int tar_end(struct blob *to);

#endif
