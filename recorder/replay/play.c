/* A recording in its own time on standard output: format/player.h draws, this waits. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "replay.h"

static void
wait_for(uint64_t ms)
{
	struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

/* 0; -1 when nobody takes it. */
static int
show(struct blob *text, FILE *out)
{
	int result = 0;

	if (text->size > 0 && fwrite(text->at, 1, text->size, out) != text->size)
		result = -1;
	blob_clear(text);
	return (result);
}

enum replay_status
replay_play(const struct player_about *about, FILE *out)
{
	struct player *p = player_new(about);
	struct blob text = {.at = NULL};
	enum replay_status status = REPLAY_GOOD;
	enum player_step step;
	uint64_t wait_ms;

	if (p == NULL) {
		fprintf(stderr, "lodge-replay: %s\n",
		    errno == ENOENT ? "there is no segment of a recording" : strerror(errno));
		return (REPLAY_INPUT);
	}
	do {
		step = player_step(p, &text, &wait_ms);
		if (show(&text, out) == -1 || (wait_ms > 0 && fflush(out) == EOF)) {
			status = REPLAY_FAULT;
			break;
		}
		wait_for(wait_ms);
	} while (step == PLAYER_MORE);
	if (step == PLAYER_FAILED) {
		(void)fflush(out);
		fprintf(stderr, "lodge-replay: the playing stops here: %s\n", player_why(p));
		status = REPLAY_FAULT;
	}
	blob_free(&text);
	player_free(p);
	return (fflush(out) == EOF ? REPLAY_FAULT : status);
}
