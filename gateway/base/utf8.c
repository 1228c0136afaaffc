/* UTF-8, strictly: see utf8.h. */
#include "base/utf8.h"

/* The shapes of RFC 3629 §4 but the first, ASCII: lead byte range, length, and the range of the second byte. */
static const struct shape {
	unsigned char lead_low, lead_high, length, second_low, second_high;
} shapes[] = {
    {0xc2, 0xdf, 2, 0x80, 0xbf},
    {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf},
    {0xed, 0xed, 3, 0x80, 0x9f},
    {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf},
    {0xf1, 0xf3, 4, 0x80, 0xbf},
    {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static const struct shape *
shape_of(unsigned char lead)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (lead >= shapes[i].lead_low && lead <= shapes[i].lead_high)
			return (&shapes[i]);
	return (NULL);
}

int
utf8_next(const unsigned char *from, size_t size, uint32_t *point)
{
	static const unsigned char lead_bits[] = {0, 0, 0x1f, 0x0f, 0x07};
	const struct shape *shape;
	uint32_t value;

	if (from[0] < 0x80) {
		*point = from[0];
		return (1);
	}
	if ((shape = shape_of(from[0])) == NULL)
		return (UTF8_BAD);
	value = from[0] & lead_bits[shape->length];
	for (size_t i = 1; i < shape->length; i++) {
		if (i == size)
			return (UTF8_CUT);
		if (i == 1 ? from[1] < shape->second_low || from[1] > shape->second_high : (from[i] & 0xc0) != 0x80)
			return (UTF8_BAD);
		value = value << 6 | (from[i] & 0x3fU);
	}
	*point = value;
	return (shape->length);
}

int
utf8_is_text(const unsigned char *from, size_t size)
{
	uint32_t point;
	size_t at = 0;

	while (at < size) {
		int length = utf8_next(from + at, size - at, &point);

		if (length <= 0)
			return (0);
		at += (size_t)length;
	}
	return (1);
}

size_t
utf8_tail(const unsigned char *from, size_t size)
{
	uint32_t point;

	for (size_t back = 1; back <= 3 && back <= size; back++)
		if (utf8_next(from + size - back, back, &point) == UTF8_CUT)
			return (back);
	return (0);
}

int
utf8_reorders(uint32_t point)
{
	return ((point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
	        (point >= 0x2060 && point <= 0x206f));
}
