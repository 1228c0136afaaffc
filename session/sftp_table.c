#include "sftp_table.h"

#include <search.h>

static int
asked_compare(const void *a, const void *b)
{
	const struct sftp_asked *x = a, *y = b;

	return (x->id < y->id ? -1 : x->id > y->id);
}

struct sftp_asked *
sftp_table_asked(const struct sftp_table *t, uint32_t id)
{
	const struct sftp_asked key = {.id = id};
	void *at = tfind(&key, &t->asked, asked_compare);

	return (at == NULL ? NULL : *(struct sftp_asked **)at);
}

struct sftp_file *
sftp_table_file(const struct sftp_table *t, struct bytes handle)
{
	if (handle.at == NULL)
		return (NULL);
	for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
		struct sftp_file *f = t->files[i];

		if (f != NULL && !f->closing && bytes_equal(handle, bytes_of(f->handle, f->handle_len)))
			return (f);
	}
	return (NULL);
}

size_t
sftp_ask_names(const struct sftp_ask *a)
{
	return (a->row->changes || a->row->answer == SFTP_HANDLE ? a->path.len + a->to.len : 0);
}

static void
asked_free(struct sftp_asked *a)
{
	free(a->path);
	free(a->to);
	free(a);
}

static struct sftp_asked *
asked_new(const struct sftp_ask *ask, int64_t at_ms)
{
	struct sftp_asked *a = calloc(1, sizeof(*a));
	int keeps = ask->row->changes || ask->row->answer == SFTP_HANDLE;

	if (a == NULL)
		return (NULL);
	*a = (struct sftp_asked){
	    .id = ask->id,
	    .row = ask->row,
	    .names = sftp_ask_names(ask),
	    .offset = ask->offset,
	    .number = ask->number,
	    .attrs = ask->attrs,
	    .at_ms = at_ms,
	};
	if ((keeps && ask->path.at != NULL && (a->path = bytes_dup(ask->path)) == NULL) ||
	    (keeps && ask->to.at != NULL && (a->to = bytes_dup(ask->to)) == NULL)) {
		asked_free(a);
		return (NULL);
	}
	return (a);
}

int
sftp_table_ask(struct sftp_table *t, const struct sftp_ask *ask, int64_t at_ms)
{
	struct sftp_asked *a = asked_new(ask, at_ms);

	if (a == NULL)
		return (-1);
	if (tsearch(a, &t->asked, asked_compare) == NULL) {
		asked_free(a);
		return (-1);
	}
	t->outstanding++;
	t->names += a->names;
	t->opened += a->row->answer == SFTP_HANDLE;
	a->file = sftp_table_file(t, ask->handle);
	a->into = sftp_table_file(t, ask->into);
	if (a->file != NULL)
		a->file->pending++;
	if (a->into != NULL)
		a->into->pending++;
	if (a->row->type == SFTP_CLOSE)
		a->file->closing = 1;
	return (0);
}

int
sftp_table_open(struct sftp_table *t, struct sftp_asked *a, struct bytes handle)
{
	struct sftp_file *f;
	size_t at = 0;

	while (at < SFTP_FILES_MAX && t->files[at] != NULL)
		at++;
	if (at == SFTP_FILES_MAX)
		return (-1);
	if (a->row->type == SFTP_OPENDIR)
		f = sftp_directory_new(handle, a->path);
	else
		f = sftp_file_new(&t->budget, handle, a->path, a->number, &a->attrs);
	a->path = NULL;
	if (f == NULL)
		return (-1);
	/* The name is now counted with the file. */
	a->names = 0;
	f->from_ms = a->at_ms;
	t->files[at] = f;
	return (0);
}

/* One thing less is asked with this file. */
static void
file_settle(struct sftp_table *t, struct sftp_file *f, struct ledger *l, int64_t now_ms)
{
	if (f == NULL || --f->pending > 0 || !f->closed)
		return;
	for (size_t i = 0; i < SFTP_FILES_MAX; i++)
		if (t->files[i] == f)
			t->files[i] = NULL;
	t->opened--;
	t->names -= strlen(f->path);
	if (!f->is_directory)
		sftp_file_enter(f, l, now_ms);
	sftp_file_free(f);
}

void
sftp_table_answered(struct sftp_table *t, struct sftp_asked *a, struct ledger *l, int64_t now_ms)
{
	(void)tdelete(a, &t->asked, asked_compare);
	t->outstanding--;
	t->names -= a->names;
	file_settle(t, a->file, l, now_ms);
	file_settle(t, a->into, l, now_ms);
	asked_free(a);
}

static void
on_forgotten(void *node)
{
	asked_free(node);
}

void
sftp_table_free(struct sftp_table *t)
{
	tdestroy(t->asked, on_forgotten);
	t->asked = NULL;
	for (size_t i = 0; i < SFTP_FILES_MAX; i++) {
		sftp_file_free(t->files[i]);
		t->files[i] = NULL;
	}
}
