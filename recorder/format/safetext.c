/* The safe screen: see safetext.h. */
#include <string.h>

#include "format/safetext.h"
#include "base/utf8.h"

/* Where in an escape sequence the stream stands (ECMA-48 §5.4, §5.6). */
enum state {
	PLAIN,
	ESCAPE,        /* behind ESC */
	CSI,           /* until a final byte 0x40..0x7e */
	STRING,        /* OSC, DCS, SOS, PM, APC: until BEL or ST */
	STRING_ESCAPE, /* in a string, behind ESC */
	ONE_MORE       /* ESC with intermediates, or SS2, SS3: until one byte more */
};

/* Characters that print nothing of themselves, but move, hide or turn what stands around them. */
static const struct range {
	uint32_t low, high;
} invisible[] = {
    {0x00ad, 0x00ad}, /* soft hyphen */
    {0x034f, 0x034f}, /* combining grapheme joiner */
    {0x061c, 0x061c}, /* Arabic letter mark */
    {0x115f, 0x1160}, /* Hangul fillers */
    {0x17b4, 0x17b5},
    {0x180b, 0x180f}, /* Mongolian selectors */
    {0x200b, 0x200f}, /* zero width, LRM, RLM */
    {0x2028, 0x202e}, /* separators, bidirectional embeddings and overrides */
    {0x2060, 0x206f}, /* joiners, bidirectional isolates, deprecated formats */
    {0x3164, 0x3164},
    {0xd800, 0xdfff},
    {0xfe00, 0xfe0f}, /* variation selectors */
    {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},
    {0xfff0, 0xfffb},
    {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a},
    {0xe0000, 0xe0fff}, /* tags */
    {0x10fffe, 0x10ffff},
};

static int
is_invisible(uint32_t point)
{
	for (size_t i = 0; i < sizeof(invisible) / sizeof(invisible[0]); i++)
		if (point >= invisible[i].low && point <= invisible[i].high)
			return (1);
	return (0);
}

static int
draw_end(struct safetext *s, struct blob *out)
{
	s->column = 0;
	s->pending_cr = 0;
	return (blob_add_text(out, s->ends == SAFETEXT_CRLF ? "\r\n" : "\n"));
}

/* A CR alone behind text begins a new line here: overwriting would hide what was there. */
static int
draw_pending(struct safetext *s, struct blob *out)
{
	int ends = s->pending_cr && s->column > 0;

	s->pending_cr = 0;
	return (ends ? draw_end(s, out) : 0);
}

static int
draw_text(struct safetext *s, const void *text, size_t size, unsigned columns, struct blob *out)
{
	if (draw_pending(s, out) == -1)
		return (-1);
	s->column += columns;
	return (blob_add(out, text, size));
}

/* What a control character does outside of sequences. */
static int
draw_control(struct safetext *s, uint32_t point, struct blob *out)
{
	const char caret[2] = {'^', (char)(point ^ 0x40)};
	unsigned spaces = 8 - s->column % 8;

	switch (point) {
	case '\n':
		return (draw_end(s, out));
	case '\r':
		s->pending_cr = 1;
		return (0);
	case '\t':
		return (draw_text(s, "        ", spaces, spaces, out));
	case 0x00:
	case 0x07: /* BEL, SO, SI and NUL draw nothing on any terminal */
	case 0x0e:
	case 0x0f:
		return (0);
	default:
		return (draw_text(s, caret, 2, 2, out));
	}
}

/* ESC is behind us: what begins here? */
static unsigned
after_escape(uint32_t point)
{
	if (point == '[')
		return (CSI);
	if (point == ']' || point == 'P' || point == 'X' || point == '^' || point == '_')
		return (STRING);
	if (point == 'N' || point == 'O' || (point >= 0x20 && point <= 0x2f))
		return (ONE_MORE);
	return (point == 0x1b ? ESCAPE : PLAIN);
}

/*
 * One step inside a sequence.  Returns 1 when the character belonged to it and is swallowed.  A line end inside a
 * CSI or two-byte sequence ends it, so that a broken sequence hides no more than its line; a string runs until its
 * terminator, as every terminal reads it.
 */
static int
sequence_step(struct safetext *s, uint32_t point)
{
	int line_end = point == '\n' || point == '\r';

	switch (s->state) {
	case ESCAPE:
		s->state = line_end ? PLAIN : after_escape(point);
		return (!line_end);
	case CSI:
		if (line_end)
			s->state = PLAIN;
		else if (point == 0x1b)
			s->state = ESCAPE;
		else if (point == 0x18 || point == 0x1a || (point >= 0x40 && point <= 0x7e))
			s->state = PLAIN;
		return (!line_end);
	case STRING:
		if (point == 0x07 || point == 0x9c || point == 0x18 || point == 0x1a)
			s->state = PLAIN;
		else if (point == 0x1b)
			s->state = STRING_ESCAPE;
		return (1);
	case STRING_ESCAPE:
		s->state = point == '\\' ? PLAIN : after_escape(point);
		return (1);
	case ONE_MORE:
		if (line_end)
			s->state = PLAIN;
		else if (point == 0x1b)
			s->state = ESCAPE;
		else if (point < 0x20 || point > 0x2f)
			s->state = PLAIN;
		return (!line_end);
	default:
		return (0);
	}
}

static int
draw_point(struct safetext *s, uint32_t point, const unsigned char *text, size_t size, struct blob *out)
{
	if (s->state != PLAIN && sequence_step(s, point))
		return (0);
	if (point == 0x1b) {
		s->state = ESCAPE;
		return (0);
	}
	if (point == 0x9b || point == 0x9d || point == 0x90 || point == 0x98 || point == 0x9e || point == 0x9f) {
		s->state = point == 0x9b ? CSI : STRING; /* the C1 spelling of the same introducers */
		return (0);
	}
	if (point < 0x20)
		return (draw_control(s, point, out));
	if ((point >= 0x7f && point <= 0x9f) || is_invisible(point))
		return (draw_text(s, UTF8_REPLACEMENT, 3, 1, out));
	return (draw_text(s, text, size, 1, out));
}

/* A byte that is no UTF-8: inside a sequence it is swallowed (a raw C1 byte may end one), outside shown as U+FFFD. */
static int
draw_bad(struct safetext *s, unsigned char byte, struct blob *out)
{
	if (s->state != PLAIN && sequence_step(s, byte))
		return (0);
	return (draw_text(s, UTF8_REPLACEMENT, 3, 1, out));
}

int
safetext_draw(struct safetext *s, const void *bytes, size_t size, struct blob *out)
{
	const unsigned char *from = bytes;
	size_t at = 0;

	while (at < size) {
		unsigned char joined[8];
		size_t held = s->tail_size,
		       part = size - at < sizeof(joined) - held ? size - at : sizeof(joined) - held;
		const unsigned char *c = from + at;
		size_t left = size - at;
		uint32_t point = 0;
		int length;

		if (held > 0) { /* the character that the last call left unfinished */
			memcpy(joined, s->tail, held);
			memcpy(joined + held, c, part);
			c = joined;
			left = held + part;
		}
		length = utf8_next(c, left, &point);
		if (length == UTF8_CUT) {
			memcpy(s->tail, c, left);
			s->tail_size = (unsigned)left;
			return (0);
		}
		if (length == UTF8_BAD) {
			if (draw_bad(s, c[0], out) == -1)
				return (-1);
			if (held > 0)
				memmove(s->tail, s->tail + 1, --s->tail_size);
			else
				at++;
			continue;
		}
		s->tail_size = 0;
		if (draw_point(s, point, c, (size_t)length, out) == -1)
			return (-1);
		at += (size_t)length - held;
	}
	return (0);
}

int
safetext_end(struct safetext *s, struct blob *out)
{
	enum safetext_ends ends = s->ends;
	int failed = s->tail_size > 0 ? draw_text(s, UTF8_REPLACEMENT, 3, 1, out) : 0;

	if (s->column > 0)
		failed |= draw_end(s, out);
	*s = (struct safetext){.ends = ends};
	return (failed);
}

int
safetext_line(const void *text, size_t size, struct blob *out)
{
	const unsigned char *from = text;
	size_t at = 0;

	while (at < size) {
		uint32_t point;
		int length = utf8_next(from + at, size - at, &point);
		int shown =
		    length > 0 && point >= 0x20 && !(point >= 0x7f && point <= 0x9f) && !is_invisible(point);

		if (length <= 0)
			length = 1;
		if ((shown ? blob_add(out, from + at, (size_t)length) : blob_add_text(out, UTF8_REPLACEMENT)) == -1)
			return (-1);
		at += (size_t)length;
	}
	return (0);
}
