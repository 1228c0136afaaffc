#include "wal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/loop.h"
#include "disk.h"
#include "format/journal.h"

struct wal_file {
	uint32_t number;
	unsigned held;
};

struct waiter {
	struct waiter *next;
	uint64_t upto; /* bytes ever appended that must be durable */
	void (*done)(void *ctx, int error);
	void *ctx;
};

struct wal {
	/* For life. */
	struct loop *loop;
	struct wal_owner owner;
	int dir;
	size_t file_bytes;

	/* The files, oldest first; the last one is written. */
	struct wal_file *files;
	size_t count, room;
	int fd;
	size_t at;
	enum { SOUND, SPOILED, LOST } state; /* a write failed; a sync failed */
	int noting;                          /* on_file is at work: no second rotation inside it */

	/* The committer. */
	struct timer *timer;
	uint64_t written, synced, syncing;
	uint64_t noted; /* no file goes before the notes up to here are durable */
	struct waiter *waiters;
	uv_work_t *work; /* not NULL: a sync is under way */
};

struct sync_work {
	uv_work_t work;
	struct wal *wal; /* NULL: closed meanwhile */
	int fd, error;
};

static void
file_name(char name[32], uint32_t number)
{
	(void)snprintf(name, 32, "%06" PRIu32 ".wal", number);
}

/* --- Committing ------------------------------------------------------------------------------------------- */

static void commit_begin(struct wal *w);
static void files_trim(struct wal *w);

static void
waiters_call(struct wal *w, int error)
{
	struct waiter **at = &w->waiters, *one;

	while ((one = *at) != NULL) {
		if (error == 0 && one->upto > w->synced) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		one->done(one->ctx, error);
		free(one);
		at = &w->waiters;
	}
}

static void
on_commit_work(uv_work_t *work)
{
	struct sync_work *s = work->data;

	s->error = fdatasync(s->fd) == -1 ? errno : 0;
}

static void
on_commit_done(uv_work_t *work, int status)
{
	struct sync_work *s = work->data;
	struct wal *w = s->wal;
	int error = status != 0 ? EIO : s->error;

	(void)close(s->fd);
	free(s);
	if (w == NULL)
		return;
	w->work = NULL;
	if (error == 0) {
		if (w->syncing > w->synced)
			w->synced = w->syncing;
		files_trim(w);
	} else {
		w->state = LOST;
		w->synced = w->written;
		w->owner.on_failed(w->owner.ctx, error);
	}
	waiters_call(w, error);
	if (w->waiters != NULL)
		commit_begin(w);
	else if (w->written > w->synced && error == 0)
		timer_after(w->timer, WAL_COMMIT_MS);
}

static void
commit_begin(struct wal *w)
{
	struct sync_work *s;

	if (w->work != NULL)
		return;
	if (w->synced == w->written) {
		waiters_call(w, 0);
		return;
	}
	s = calloc(1, sizeof *s);
	if (s == NULL || (s->fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3)) == -1) {
		int error = errno;

		free(s);
		w->owner.on_failed(w->owner.ctx, error);
		waiters_call(w, error);
		return;
	}
	s->wal = w;
	s->work.data = s;
	w->syncing = w->written;
	w->work = &s->work;
	if (uv_queue_work(loop_uv(w->loop), &s->work, on_commit_work, on_commit_done) != 0) {
		w->work = NULL;
		(void)close(s->fd);
		free(s);
		w->owner.on_failed(w->owner.ctx, EAGAIN);
		waiters_call(w, EAGAIN);
	}
}

static void
on_commit_time(void *ctx)
{
	commit_begin(ctx);
}

void
wal_sync(struct wal *w, void (*done)(void *ctx, int error), void *ctx)
{
	struct waiter *one = calloc(1, sizeof *one), **at = &w->waiters;

	if (one == NULL) {
		done(ctx, ENOMEM);
		return;
	}
	*one = (struct waiter){.upto = w->written, .done = done, .ctx = ctx};
	while (*at != NULL)
		at = &(*at)->next;
	*at = one;
	/* Never calls back from inside the call: the caller is not finished yet. */
	if (w->work == NULL && w->synced < w->written)
		commit_begin(w);
	else if (w->work == NULL)
		timer_after(w->timer, 0);
}

/* --- Files ------------------------------------------------------------------------------------------------ */

/* Takes away every file from the front that nobody holds. */
static void
files_trim(struct wal *w)
{
	size_t n = 0;
	char name[32];

	if (w->synced < w->noted)
		return;
	while (n + 1 < w->count && w->files[n].held == 0) {
		file_name(name, w->files[n].number);
		if (unlinkat(w->dir, name, 0) == -1 && errno != ENOENT)
			break;
		n++;
	}
	if (n == 0)
		return;
	memmove(w->files, w->files + n, (w->count - n) * sizeof w->files[0]);
	w->count -= n;
}

static int
file_add(struct wal *w, uint32_t number)
{
	struct wal_file *files;

	if (w->count == w->room) {
		if ((files = realloc(w->files, (w->room + 16) * sizeof files[0])) == NULL)
			return (-1);
		w->files = files;
		w->room += 16;
	}
	w->files[w->count++] = (struct wal_file){.number = number};
	return (0);
}

int
wal_adopt(struct wal *w, uint32_t number)
{
	struct wal_file mine = w->files[w->count - 1];

	w->count--;
	if (file_add(w, number) == -1) {
		w->files[w->count++] = mine;
		return (-1);
	}
	return (file_add(w, mine.number));
}

/* Makes file `number`, all of its room taken from the disk now: a full disk is met here and not between records. */
static int
file_make(struct wal *w, uint32_t number)
{
	uint8_t preamble[JOURNAL_FILE_BYTES];
	char name[32];
	int fd, error;

	file_name(name, number);
	journal_preamble(preamble, number);
	if ((fd = openat(w->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640)) == -1)
		return (-1);
	if ((error = posix_fallocate(fd, 0, (off_t)w->file_bytes)) != 0) {
		errno = error;
		goto fail;
	}
	if (disk_write(fd, preamble, sizeof preamble) == 0 && fsync(fd) == 0 && fsync(w->dir) == 0)
		return (fd);
fail:
	error = errno;
	(void)close(fd);
	(void)unlinkat(w->dir, name, 0);
	errno = error;
	return (-1);
}

/* Goes on in a new file.  What the old one has is made durable first: waiters wait for bytes, not for files. */
static int
file_next(struct wal *w, size_t need)
{
	uint32_t number = w->files[w->count - 1].number + 1;
	int fd;

	if (need > w->file_bytes - JOURNAL_FILE_BYTES || w->noting) {
		errno = EFBIG;
		return (-1);
	}
	if (w->state != LOST && fdatasync(w->fd) == -1) {
		int error = errno;

		w->state = LOST;
		w->owner.on_failed(w->owner.ctx, error);
		errno = error;
		return (-1);
	}
	if ((fd = file_make(w, number)) == -1)
		return (-1);
	if (file_add(w, number) == -1) {
		(void)close(fd);
		return (-1);
	}
	w->synced = w->written; /* or everybody was told that it is not */
	(void)close(w->fd);
	w->fd = fd;
	w->at = JOURNAL_FILE_BYTES;
	w->state = SOUND;
	w->noting = 1;
	if (w->owner.on_file(w->owner.ctx) == -1) {
		w->noting = 0;
		w->state = SPOILED;
		return (-1);
	}
	w->noting = 0;
	w->noted = w->written;
	return (0);
}

uint32_t
wal_append(struct wal *w, const void *records, size_t size)
{
	if ((w->state != SOUND || size > w->file_bytes - w->at) && file_next(w, size) == -1)
		return (0);
	if (size > w->file_bytes - w->at) { /* the notes took the room */
		errno = EFBIG;
		return (0);
	}
	if (disk_write(w->fd, records, size) == -1) {
		w->state = SPOILED;
		return (0);
	}
	w->at += size;
	w->written += size;
	if (w->work == NULL && w->waiters == NULL && w->written - size == w->synced)
		timer_after(w->timer, WAL_COMMIT_MS);
	return (w->files[w->count - 1].number);
}

int
wal_note(struct wal *w, const char *json, size_t size)
{
	struct journal_record r = {.type = JOURNAL_NOTE, .body = (const uint8_t *)json, .body_len = size};
	uint8_t *out = malloc(journal_record_bytes(JOURNAL_NOTE, size));
	size_t n = out == NULL ? 0 : journal_write(out, &r, NULL);
	uint32_t file = 0;

	if (n == 0)
		errno = out == NULL ? ENOMEM : EFBIG;
	else
		file = wal_append(w, out, n);
	free(out);
	return (file == 0 ? -1 : 0);
}

static struct wal_file *
file_find(struct wal *w, uint32_t number)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->files[i].number == number)
			return (&w->files[i]);
	return (NULL);
}

void
wal_hold(struct wal *w, uint32_t file)
{
	struct wal_file *f = file_find(w, file);

	if (f != NULL)
		f->held++;
}

void
wal_release(struct wal *w, uint32_t file)
{
	struct wal_file *f = file == 0 ? NULL : file_find(w, file);

	if (f == NULL || f->held == 0)
		return;
	f->held--;
	files_trim(w);
}

void
wal_noted(struct wal *w)
{
	w->noted = w->written;
}

size_t
wal_files(const struct wal *w)
{
	return (w->count);
}

struct wal *
wal_open(struct loop *loop, int shelf, uint32_t number, size_t file_bytes, const struct wal_owner *owner)
{
	struct wal *w = calloc(1, sizeof *w);

	if (w == NULL)
		return (NULL);
	*w = (struct wal){
	    .loop = loop, .owner = *owner, .dir = -1, .file_bytes = file_bytes, .fd = -1, .at = JOURNAL_FILE_BYTES};
	if (mkdirat(shelf, WAL_DIRECTORY, 0700) == 0 && fsync(shelf) == -1)
		goto fail;
	if ((w->dir = openat(shelf, WAL_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    (w->timer = timer_new(loop, on_commit_time, w)) == NULL || (w->fd = file_make(w, number)) == -1 ||
	    file_add(w, number) == -1)
		goto fail;
	return (w);
fail:
	wal_close(w);
	return (NULL);
}

void
wal_close(struct wal *w)
{
	int error = errno;

	if (w == NULL)
		return;
	if (w->work != NULL)
		((struct sync_work *)w->work->data)->wal = NULL;
	if (w->fd != -1) {
		(void)fdatasync(w->fd);
		(void)close(w->fd);
	}
	while (w->waiters != NULL) {
		struct waiter *one = w->waiters;

		w->waiters = one->next;
		free(one);
	}
	timer_free(w->timer);
	if (w->dir != -1)
		(void)close(w->dir);
	free(w->files);
	free(w);
	errno = error;
}
