/*
 * A channel that carries files: what it is made to obey, and its ledger.  Bytes in, bytes out; no clock, no loop, no SSH.
 *
 * SFTP is ruled request by request (sftp.h): what the grant does not cover never reaches the target and is answered by us.
 * scp's own protocol passes as it is and is read along (scp.h).  What happened is told in facts, one JSON object on one
 * line each, at most TRANSFER_FACT_MAX bytes:
 *
 *	{"file":{"op":"upload"|"download"|"update","path":"...","flags":["write","creat","trunc"],"bytes":N,"size":N,
 *	    "whole":true|false,"sha256":"..."|null,"why":"...","from_ms":N,"to_ms":N,"result":R}}
 *	    once for each file, when it is closed, or as unfinished at the end.  "update": opened to read and to write; then
 *	    also "read":N and "written":N, with "bytes" their sum.  "size": the highest byte moved, plus one.  "sha256": of
 *	    the bytes from 0 to "size"; null when it cannot be told, and then "why" says why.  "whole": those bytes are the
 *	    whole file, by what this handle saw: the target said that it ends there, or it was new, emptied or cut to that
 *	    size.  scp has no "flags" but "mode":"0644", and "name" (below).
 *	{"operation":{"op":"rename","path":"...","to":"...","ms":N,"result":R}}
 *	    once for everything else that changes the target: rename, hardlink (path: the old name, to: the new one), symlink
 *	    (path: the link, to: what it points to), copy (from handle to handle), remove, mkdir, rmdir, setstat (with what
 *	    was set: "size", "uid", "gid", "mode", "mtime"); of scp: directory (made unless it was there), upload and download
 *	    (nothing could be carried), scp (result "unreadable": what follows is not scp's protocol and was passed unread); and
 *	    at the very end, more ("count": so many facts of unfinished things were too many to be told one by one).
 *	{"refused":{"op":"upload","path":"...","reason":"capability","status":3,"text":"...","ms":N}}
 *	    once for everything that was not let through.  reason: a code of reasons.def.  An unknown extension: op
 *	    "extended" and "name"; an unknown request: op "request N".
 *
 * R is "ok", "failed: <the status's name, or scp's words>" or "unfinished".  A path is the peer's own bytes: when they are
 * not UTF-8, bytes that are not ASCII show as U+FFFD and "path_hex" ("to_hex") has them all; when a fact would get too
 * long, the path is cut and "path_bytes" says how long it was.
 *
 * "name", of scp alone: with scp -t /tmp/x nobody between can tell whether /tmp/x is a directory.  "path" is the file's path
 * where that is known (-d, a path that ends in "/", a name to fetch), else the path of the command; "name" is the name, with
 * its directories, as the source sent it.
 */
#ifndef SESSION_TRANSFER_H
#define SESSION_TRANSFER_H

#include <stdint.h>

#include "base/wire.h"
#include "text.h"

#define TRANSFER_FACT_MAX (32 * 1024) /* bytes of one fact */
#define TRANSFER_END_MAX (128 * 1024) /* bytes of facts that transfer_end makes */

enum transfer_kind { TRANSFER_SFTP, TRANSFER_SCP_UP, TRANSFER_SCP_DOWN };

struct transfer_of {
	enum transfer_kind kind;
	unsigned capabilities; /* CAPABILITY_UPLOAD | CAPABILITY_DOWNLOAD; SFTP alone looks at them */
	const char *command;   /* of scp (lent for the call) */
	void (*fact)(void *ctx, struct bytes json);
	void *ctx;
};

struct transfer_counts {
	uint32_t files_up, files_down, refused;
	uint64_t bytes_up, bytes_down;
};

struct transfer;

struct transfer *transfer_new(const struct transfer_of *of); /* NULL: no memory */

/*
 * Takes bytes as the engineer sent them, in any pieces, at wall time now_ms.  What may go on to the target is appended to
 * `on`; answers that we give in the target's stead are kept, and appended to `back` (to the engineer) as soon as the
 * target's stream stands between two packets.  `back` and the `on` of transfer_from_target must reach the engineer in the
 * order of the calls.  0; -1: the channel must end, see transfer_trouble.
 */
int transfer_from_engineer(
    struct transfer *t, struct bytes piece, int64_t now_ms, struct fifo *on, struct fifo *back);
/* Takes bytes as the target sent them; all of them, and our own answers between them, are appended to `on`. */
int transfer_from_target(struct transfer *t, struct bytes piece, int64_t now_ms, struct fifo *on);

/* Why a call gave -1, for people; "" while all is well. */
const char *transfer_trouble(const struct transfer *t);

/* Enters what is under way as unfinished.  Only transfer_counts and transfer_free may follow; a second call does nothing. */
void transfer_end(struct transfer *t, int64_t now_ms);
const struct transfer_counts *transfer_counts(const struct transfer *t);
void transfer_free(struct transfer *t);

#endif
