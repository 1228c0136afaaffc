/* Whether a terminal shows its alternate screen (vim, less): told from what passes, so that no line of ours falls into it. */
#ifndef SESSION_SCREEN_H
#define SESSION_SCREEN_H

#include "base/wire.h"

/* Zero is a terminal as it begins. */
struct screen {
	int alternate;
	/* the control sequence under way: ESC [ ? digits ... h|l */
	int at;
	unsigned number;
	int wanted;
};

void screen_see(struct screen *s, struct bytes output);

#endif
