#include "screen.h"

enum { GROUND, ESCAPE, BRACKET, NUMBERS };

static void
number_end(struct screen *s)
{
	if (s->number == 47 || s->number == 1047 || s->number == 1049)
		s->wanted = 1;
	s->number = 0;
}

static void
byte_see(struct screen *s, uint8_t b)
{
	if (b == 0x1b) {
		s->at = ESCAPE;
		return;
	}
	switch (s->at) {
	case ESCAPE:
		s->at = b == '[' ? BRACKET : GROUND;
		if (b == 'c') /* a full reset */
			s->alternate = 0;
		break;
	case BRACKET:
		s->at = b == '?' ? NUMBERS : GROUND;
		s->number = 0;
		s->wanted = 0;
		break;
	case NUMBERS:
		if (b >= '0' && b <= '9')
			s->number = s->number < 100000 ? s->number * 10 + (unsigned)(b - '0') : s->number;
		else if (b == ';')
			number_end(s);
		else {
			number_end(s);
			if (s->wanted && (b == 'h' || b == 'l'))
				s->alternate = b == 'h';
			s->at = GROUND;
		}
		break;
	default:
		break;
	}
}

void
screen_see(struct screen *s, struct bytes output)
{
	for (size_t i = 0; i < output.len; i++)
		byte_see(s, output.at[i]);
}
