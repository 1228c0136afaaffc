/* files: what a recording carried, as a table or as JSON, by format/files.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/files.h"
#include "shelves.h"
#include "task.h"

struct list {
	int dir;
	struct files *files;
};

static void
list_free(void *task)
{
	struct list *l = task;

	files_free(l->files);
	if (l->dir != -1)
		(void)close(l->dir);
	free(l);
}

static void *
list_begin(const struct task_call *call, struct task_end *end)
{
	json_int_t columns = json_integer_value(json_object_get(call->options, "columns"));
	struct files_about about = {
	    .ring = holdings_ring(call->holdings),
	    .form = json_is_true(json_object_get(call->options, "json")) ? FILES_JSON : FILES_TABLE,
	    .columns = columns > 0 && columns <= UINT16_MAX ? (unsigned)columns : 0,
	    .line_end = call->line_end,
	};
	struct list *l = calloc(1, sizeof(*l));
	char path[SHELVES_PATH];

	if (l == NULL) {
		(void)task_over(end, TASK_CANNOT, "lodge: the reader is out of memory");
		return (NULL);
	}
	if ((l->dir = shelves_find(call->holdings->shelf, call->id, path)) == -1)
		(void)task_over(
		    end, TASK_BAD, "lodge: the shelf does not hold recording %s: %s", call->id, strerror(errno));
	else if ((about.dir = l->dir, l->files = files_new(&about)) == NULL)
		(void)task_over(end, TASK_BAD, "lodge: %s",
		    errno == ENOENT ? "nothing of this recording is on the shelf yet" : strerror(errno));
	else
		return (l);
	list_free(l);
	return (NULL);
}

static enum task_more
list_step(void *task, struct blob *out, uint64_t *wait_ms, struct task_end *end)
{
	const struct list *l = task;
	const char *says;

	(void)wait_ms;
	switch (files_step(l->files, out)) {
	case FILES_MORE:
		return (TASK_MORE);
	case FILES_END:
		says = files_says(l->files);
		return (task_over(end, files_missing(l->files) > 0 ? TASK_BAD : TASK_GOOD, "%s%s",
		    says[0] != '\0' ? "lodge: " : "", says));
	default:
		return (task_over(end, TASK_CANNOT, "lodge: the reader is out of memory"));
	}
}

const struct task_kind task_files = {.verb = "files", .begin = list_begin, .step = list_step, .free = list_free};
