/*
 * The safe screen of the first days: text and line ends of a recording, and nothing else, for a person's terminal.
 * Escape sequences are swallowed whole (CSI, OSC, DCS, SOS, PM, APC, and two-byte ones); of control bytes only the
 * line end acts (CR LF, LF, or a CR alone behind text) and a tab becomes spaces; the rest are shown in caret form
 * or dropped; C1, DEL, bidirectional and invisible formatting characters show as U+FFFD; what is not UTF-8 shows as
 * U+FFFD.  What comes out is UTF-8 made of printable characters, spaces and "\n" (drawn as "\r\n" on request).
 */
#ifndef FORMAT_SAFETEXT_H
#define FORMAT_SAFETEXT_H

#include "format/blob.h"

enum safetext_ends { SAFETEXT_LF, SAFETEXT_CRLF };

/* Zero is a valid beginning (line ends as LF). */
struct safetext {
	enum safetext_ends ends;
	unsigned state; /* where in an escape sequence */
	unsigned column;
	unsigned pending_cr;
	unsigned char tail[4]; /* an incomplete UTF-8 character */
	unsigned tail_size;
};

/* Appends what may be drawn of `bytes`; state lasts across calls.  0, or -1 (no memory). */
int safetext_draw(struct safetext *s, const void *bytes, size_t size, struct blob *out);

/* Ends a stream: an unfinished character shows as U+FFFD, an unfinished line is ended. */
int safetext_end(struct safetext *s, struct blob *out);

/* One field for a message: everything that would end or move a line shows as U+FFFD too.  Appends. */
int safetext_line(const void *text, size_t size, struct blob *out);

#endif
