/*
 * What can be asked in SFTP, version 3 (draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL, section 4): one table that says of
 * each request what it needs, what stands in it and what may answer it; and the strict reading of one.
 */
#ifndef SESSION_SFTP_ASK_H
#define SESSION_SFTP_ASK_H

#include <stdint.h>

#include "base/wire.h"

/* Types of packets (3). */
enum {
	SFTP_INIT = 1,
	SFTP_VERSION = 2,
	SFTP_OPEN = 3,
	SFTP_CLOSE = 4,
	SFTP_READ = 5,
	SFTP_WRITE = 6,
	SFTP_LSTAT = 7,
	SFTP_FSTAT = 8,
	SFTP_SETSTAT = 9,
	SFTP_FSETSTAT = 10,
	SFTP_OPENDIR = 11,
	SFTP_READDIR = 12,
	SFTP_REMOVE = 13,
	SFTP_MKDIR = 14,
	SFTP_RMDIR = 15,
	SFTP_REALPATH = 16,
	SFTP_STAT = 17,
	SFTP_RENAME = 18,
	SFTP_READLINK = 19,
	SFTP_SYMLINK = 20,
	SFTP_STATUS = 101,
	SFTP_HANDLE = 102,
	SFTP_DATA = 103,
	SFTP_NAME = 104,
	SFTP_ATTRS = 105,
	SFTP_EXTENDED = 200,
	SFTP_EXTENDED_REPLY = 201
};

/* Flags of OPEN (6.3). */
enum {
	SFTP_F_READ = 1,
	SFTP_F_WRITE = 2,
	SFTP_F_APPEND = 4,
	SFTP_F_CREAT = 8,
	SFTP_F_TRUNC = 16,
	SFTP_F_EXCL = 32
};

/* Flags of attributes (5). */
enum { SFTP_A_SIZE = 1, SFTP_A_OWNER = 2, SFTP_A_MODE = 4, SFTP_A_TIMES = 8 };

/* Statuses (7). */
enum {
	SFTP_S_OK = 0,
	SFTP_S_EOF = 1,
	SFTP_S_PERMISSION_DENIED = 3,
	SFTP_S_FAILURE = 4,
	SFTP_S_BAD_MESSAGE = 5,
	SFTP_S_OP_UNSUPPORTED = 8
};

/* What the grant must cover.  SFTP_NEEDS_FLAGS: what the flags of OPEN say. */
enum sftp_needs { SFTP_NEEDS_ANY, SFTP_NEEDS_DOWNLOAD, SFTP_NEEDS_UPLOAD, SFTP_NEEDS_FLAGS };

#define SFTP_PATH_MAX 4096 /* bytes: Linux's PATH_MAX; nothing that is longer names a file */
#define SFTP_HANDLE_MAX 256

struct sftp_row {
	uint8_t type;
	const char *extension; /* of an EXTENDED; NULL otherwise */
	const char *op;        /* its name in the ledger */
	enum sftp_needs needs;
	const char *fields; /* behind the id: p path, h handle, a attributes, u uint32, q uint64, s string */
	uint8_t answer;     /* what may answer it beside a STATUS; 0: nothing else */
	uint8_t changes;    /* 1: it is entered in the ledger with its result */
};

struct sftp_attrs {
	uint32_t flags, uid, gid, mode, atime, mtime;
	uint64_t size;
};

/* One request, as read.  Everything points into the packet. */
struct sftp_ask {
	const struct sftp_row *row;
	uint32_t id;
	struct bytes extension; /* its name, known or not; {NULL, 0}: not an EXTENDED */
	struct bytes path, to;  /* the first and the second path */
	struct bytes handle, into;
	uint32_t number;
	uint64_t offset, numbers[2];
	struct sftp_attrs attrs;
	int is_whole; /* every field was there */
};

enum sftp_read {
	SFTP_READ_OK,
	SFTP_READ_UNKNOWN, /* type and id and, when it has one, the extension's name are good; row is NULL */
	SFTP_READ_BAD,     /* a field is cut off, a handle is too long, or a path holds a NUL */
	SFTP_READ_LONG_PATH,
};

/* Reads a packet from its type on.  The caller has seen that type and id are there. */
enum sftp_read sftp_ask_read(struct sftp_ask *a, struct bytes packet);

/* "no such file"; NULL when the code is none of version 3 (7). */
const char *sftp_status_name(uint32_t status);

#endif
