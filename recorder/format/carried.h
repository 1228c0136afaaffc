/*
 * What a session says that it carried: the FACT frames that describe a file, an operation on files, a refusal, or a
 * forwarded connection, each an object with that one member (session/transfer.h has the first three to the letter):
 *
 *	{"file":{"op":"upload","path":"/tmp/x","bytes":5,"sha256":"...","result":"ok", ...}}
 *	{"operation":{"op":"rename","path":"/tmp/x","to":"/tmp/y","result":"failed: no such file", ...}}
 *	{"refused":{"op":"upload","path":"/tmp/x","reason":"capability", ...}}
 *	{"forward":{"to":"cmp:443","bytes_in":5,"bytes_out":7, ...}}
 *
 * Every text in them may have been chosen by a hostile hand: only carried_label() makes any of it fit for a terminal.
 */
#ifndef FORMAT_CARRIED_H
#define FORMAT_CARRIED_H

#include <jansson.h>

#include "format/blob.h"

enum carried_kind { CARRIED_FILE, CARRIED_OPERATION, CARRIED_REFUSED, CARRIED_FORWARD };

/* Texts are lent by the object; "" where it has none. */
struct carried {
	enum carried_kind kind;
	const char *op; /* "upload", "rename"; of a forward "forwarded" */
	const char *path, *to;
	const char *name; /* of scp, what is not told by the path: "/tmp" may be a directory or the file itself */
	int64_t bytes, bytes_in, bytes_out; /* -1: not said */
	const char *sha256, *why;           /* why: there is no digest */
	int is_part;                        /* said not to be the whole file: so the digest is not the file's */
	const char *result;                 /* "ok", "failed: ..."; of a refusal its reason */
};

/* 0; -1 when the object is none of these. */
int carried_read(struct carried *c, const json_t *fact);

/* Appends path, name and `to` as one text: "/a -> /b", "/tmp (x)"; as they are.  0 or -1. */
int carried_place(const struct carried *c, struct blob *to);

/* Appends one line without its end: "upload /tmp/x, 64 MiB, ok".  What is long is cut.  0 or -1. */
int carried_label(const struct carried *c, struct blob *to);

#endif
