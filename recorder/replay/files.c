/* What a recording carried, on standard output: format/files.h lists. */
#include <errno.h>
#include <string.h>

#include "replay.h"

enum replay_status
replay_files(const struct files_about *about, FILE *out)
{
	struct files *f = files_new(about);
	struct blob text = {.at = NULL};
	enum replay_status status;
	enum files_step step;

	if (f == NULL) {
		fprintf(stderr, "lodge-replay: %s\n",
		    errno == ENOENT ? "there is no segment of a recording" : strerror(errno));
		return (REPLAY_INPUT);
	}
	do {
		step = files_step(f, &text);
		(void)fwrite(text.size > 0 ? text.at : (const unsigned char *)"", 1, text.size, out);
		blob_clear(&text);
	} while (step == FILES_MORE && !ferror(out));
	status = step == FILES_END && files_missing(f) == 0 && fflush(out) != EOF ? REPLAY_GOOD : REPLAY_FAULT;
	if (step == FILES_END && files_says(f)[0] != '\0')
		fprintf(stderr, "lodge-replay: %s\n", files_says(f));
	blob_free(&text);
	files_free(f);
	return (status);
}
