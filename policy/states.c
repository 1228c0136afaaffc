/* The life of a request and its grant; see states.def. */
#include <stddef.h>

#include "base/log.h"
#include "states.h"

static const char *const names[] = {
#define STATE(number, NAME, name, promise) [number] = name,
#include "states.def"
};

static const struct {
	enum state from, to;
} steps[] = {
#define STEP(FROM, TO, by) {STATE_##FROM, STATE_##TO},
#include "states.def"
};

const char *
state_name(int64_t state)
{
	return (state < 0 || state >= STATE_COUNT ? "?" : names[state]);
}

int
state_step(int64_t *state, enum state to, const char *what, int64_t number)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i].from == (enum state) * state && steps[i].to == to) {
			log_info("%s %lld: %s -> %s", what, (long long)number, state_name(*state), state_name(to));
			*state = to;
			return (0);
		}
	return (-1);
}
