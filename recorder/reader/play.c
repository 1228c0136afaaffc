/* play: a recording as safe text in its own time, by format/player.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "format/player.h"
#include "format/sums.h"
#include "shelves.h"
#include "task.h"

struct play {
	int dir;
	struct player *player;
};

const struct task_kind *
task_of(const char *verb)
{
	static const struct task_kind *const kinds[] = {&task_play, &task_files, &task_verify, &task_export};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i]->verb, verb) == 0)
			return (kinds[i]);
	return (NULL);
}

enum task_more
task_over(struct task_end *end, enum task_status status, const char *format, ...)
{
	va_list args;

	end->status = status;
	va_start(args, format);
	vsnprintf(end->summary, sizeof(end->summary), format, args);
	va_end(args);
	return (TASK_OVER);
}

static void
play_free(void *task)
{
	struct play *p = task;

	player_free(p->player);
	if (p->dir != -1)
		(void)close(p->dir);
	free(p);
}

static uint64_t
milliseconds(const json_t *options, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(options, key));

	return (value > 0 ? (uint64_t)value : 0);
}

static void *
play_begin(const struct task_call *call, struct task_end *end)
{
	const json_t *speed = json_object_get(call->options, "speed");
	struct player_about about = {
	    .ring = holdings_ring(call->holdings),
	    .speed = json_is_number(speed) ? json_number_value(speed) : 1,
	    .idle_ms = milliseconds(call->options, "idle_ms"),
	    .at_ms = milliseconds(call->options, "at"),
	    .ends = call->line_end[0] == '\r' ? SAFETEXT_CRLF : SAFETEXT_LF,
	};
	struct play *p = calloc(1, sizeof(*p));
	char path[SHELVES_PATH];

	if (p == NULL) {
		(void)task_over(end, TASK_CANNOT, "lodge: the reader is out of memory");
		return (NULL);
	}
	if ((p->dir = shelves_find(call->holdings->shelf, call->id, path)) == -1)
		(void)task_over(
		    end, TASK_BAD, "lodge: the shelf does not hold recording %s: %s", call->id, strerror(errno));
	else if ((about.dir = p->dir, p->player = player_new(&about)) == NULL)
		(void)task_over(end, TASK_BAD, "lodge: %s",
		    errno == ENOENT ? "nothing of this recording is on the shelf yet" : strerror(errno));
	else
		return (p);
	play_free(p);
	return (NULL);
}

static enum task_more
play_step(void *task, struct blob *out, uint64_t *wait_ms, struct task_end *end)
{
	struct play *p = task;

	switch (player_step(p->player, out, wait_ms)) {
	case PLAYER_MORE:
		return (*wait_ms > 0 ? TASK_WAIT : TASK_MORE);
	case PLAYER_END:
		if (faccessat(p->dir, SUMS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
			return (task_over(
			    end, TASK_GOOD, "lodge: this recording is not closed: this is what was sealed of it"));
		return (task_over(end, TASK_GOOD, "%s", ""));
	default:
		return (task_over(end, TASK_BAD, "lodge: the playing stops here: %s", player_why(p->player)));
	}
}

const struct task_kind task_play = {.verb = "play", .begin = play_begin, .step = play_step, .free = play_free};
