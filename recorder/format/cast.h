/*
 * asciicast v3: the plaintext of a segment, one self-contained file that any v3 player plays.
 *
 * Lossless: the bytes that were recorded come back exactly.  Text that is UTF-8 is an event's string.  An event
 * whose bytes are not UTF-8 shows U+FFFD in their place and is preceded by a comment `#B {"b64":"..."}` that
 * carries its exact bytes.  A UTF-8 character cut by the end of a frame is held back until the next frame of the
 * same direction and source completes it, so that only what really is no text takes that road.  Comments are
 * ignored by stock players; so are event codes that they do not know.
 *
 * A channel without a terminal carries files and protocols too (scp, sftp, tar): cast_writer_data() leaves the string of
 * an event empty where more than one byte in eight is no text.  Such bytes cost a third more in base64, and zstd takes
 * that third away again.  What a terminal was shown is never left out: there, bytes that show nothing could be strewn in
 * to hide the ones that do.
 *
 * Comment lines are `#` LETTER SPACE JSON:
 *   #B {"b64":"..."}                       exact bytes of the next event
 *   #C {"channel":3,"stream":"err"}        the source of the "o" and "i" events that follow (first: 0, "out")
 *   #E {...}                               a fact (exec, resize refused, lease end ...), the recorder's words
 *   #I {"redacted":12,"why":"noecho"}      input that is counted, not kept
 *   #K {"keyframe":false,"why":"..."}      how this segment begins
 *   #P {"seq":17}                          the number of the recorder's frame that the next event came from
 */
#ifndef FORMAT_CAST_H
#define FORMAT_CAST_H

#include "format/blob.h"

enum {
	CAST_LINE_MAX = 1024 * 1024, /* longest line that is written or read, its newline included */
	CAST_FRAME_MAX = 64 * 1024   /* most bytes in one event; longer ones are split */
};

enum cast_code { CAST_OUTPUT = 'o', CAST_INPUT = 'i', CAST_RESIZE = 'r', CAST_MARKER = 'm', CAST_EXIT = 'x' };

/* What the first line says. Lent strings; NULL leaves a field out. */
struct cast_head {
	unsigned cols, rows; /* 1..65535; 0 is written as 80 x 24 */
	int64_t started;     /* wall clock, Unix seconds, of this segment */
	const char *term;    /* TERM of the client */
	const char *title;   /* e.g. "alice on osv1, segment 3" */
};

/* Which channel of the connection, and which of its streams, bytes belong to. */
struct cast_source {
	uint32_t channel;
	enum { CAST_STREAM_OUT, CAST_STREAM_ERR, CAST_STREAM_IN } stream;
};

/*
 * Writing.  `at_ms` is a moment on any clock that never runs backwards (CLOCK_BOOTTIME in ms); the first event's
 * interval counts from `begin_ms`.  A moment before the last one counts as the last one.  All return 0, or -1
 * (no memory): the segment is then not to be trusted and the session ends.
 */
struct cast_writer;
struct cast_writer *cast_writer_new(struct blob *to, const struct cast_head *head, uint64_t begin_ms);
int cast_writer_bytes(
    struct cast_writer *w, uint64_t at_ms, struct cast_source source, const void *bytes, size_t size);
int cast_writer_data(/* the same, of a channel without a terminal */
    struct cast_writer *w, uint64_t at_ms, struct cast_source source, const void *bytes, size_t size);
int cast_writer_resize(struct cast_writer *w, uint64_t at_ms, unsigned cols, unsigned rows);
int cast_writer_marker(struct cast_writer *w, uint64_t at_ms, const char *label);
int cast_writer_exit(struct cast_writer *w, uint64_t at_ms, int status);

/* One comment line `#LETTER JSON`.  `json` is one object in one line, given by the caller (else -1). */
int cast_writer_fact(struct cast_writer *w, char letter, const char *json);

/* Writes what is held back as it is.  Nothing may follow but cast_writer_free(). */
int cast_writer_end(struct cast_writer *w, uint64_t at_ms);
void cast_writer_free(struct cast_writer *w);

/*
 * Reading, pushed in pieces of any size.  Each line is one call; events carry the exact bytes recorded.
 */
struct cast_event {
	char code;                  /* enum cast_code, or one that this version does not know */
	uint64_t at_ms;             /* since the segment began */
	struct cast_source source;  /* for CAST_OUTPUT and CAST_INPUT */
	const unsigned char *bytes; /* lent until the callback returns; NUL-terminated behind `size` */
	size_t size;
	int is_data;         /* the string was left empty: these bytes are no text */
	unsigned cols, rows; /* for CAST_RESIZE */
};

struct cast_watcher {
	int (*on_head)(void *self, const struct cast_head *head);
	int (*on_event)(void *self, const struct cast_event *event);
	int (*on_fact)(void *self, char letter, const char *json); /* all but B and C */
	void *self;
}; /* a NULL callback ignores; non-zero stops the reading */

enum cast_error { CAST_OK = 0, CAST_MALFORMED, CAST_STOPPED, CAST_FAILED };

struct cast_reader;
struct cast_reader *cast_reader_new(const struct cast_watcher *watcher);
enum cast_error cast_reader_add(struct cast_reader *r, const unsigned char *bytes, size_t size);
enum cast_error cast_reader_end(struct cast_reader *r);
unsigned cast_reader_line(const struct cast_reader *r); /* the line at work or at fault, from 1 */
uint64_t cast_reader_at_ms(
    const struct cast_reader *r); /* of the last event, since the segment began: what a fact stands behind */
void cast_reader_free(struct cast_reader *r);

#endif
