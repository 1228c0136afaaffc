/* See users_file.h. */
#include "users_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "users_line.h"
#include "users_lock.h"

#define CODE_DIGITS 6

/* The file as it is, and what becomes of it. */
struct rewrite {
	const char *path;
	const char *name; /* within dir */
	int dir;
	struct stat was; /* of the old file */
	int is_there;
	struct secret old;
	struct wire new;
	char *why;
	size_t why_size;
};

static int refuse(struct rewrite *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int
refuse(struct rewrite *r, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	(void)vsnprintf(r->why, r->why_size, format, words);
	va_end(words);
	return (-1);
}

/* The next line with its end; 0 when all was read. */
static int
line_next(struct bytes *rest, struct bytes *line)
{
	const uint8_t *end;

	if (rest->len == 0)
		return (0);
	end = memchr(rest->at, '\n', rest->len);
	*line = bytes_of(rest->at, end == NULL ? rest->len : (size_t)(end - rest->at) + 1);
	*rest = bytes_of(rest->at + line->len, rest->len - line->len);
	return (1);
}

static int
content_read(struct secret *to, int fd, size_t size)
{
	char more;
	ssize_t got;

	if (secret_new(to, size) == -1)
		return (-1);
	for (size_t have = 0; have < size; have += (size_t)got)
		if ((got = read(fd, to->at + have, size - have)) <= 0)
			goto changed;
	if (read(fd, &more, 1) == 0)
		return (0);
changed:
	/* liboath renames, and never writes in place: a file that changes under our eyes is somebody's editor. */
	secret_free(to);
	errno = EBUSY;
	return (-1);
}

/* Opens and reads; *r says what was wrong.  No file is no error. */
static int
old_read(struct rewrite *r)
{
	int fd = openat(r->dir, r->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), read_all;

	if (fd == -1 && errno == ENOENT)
		return (0);
	if (fd == -1 && errno != ELOOP)
		return (refuse(r, "%s: %s: see to it that root can read it", r->path, strerror(errno)));
	if (fd == -1 || fstat(fd, &r->was) == -1 || !S_ISREG(r->was.st_mode)) {
		if (fd != -1)
			close(fd);
		return (refuse(r, "%s is not a regular file: put the file itself there", r->path));
	}
	r->is_there = 1;
	if (r->was.st_size > USERS_FILE_MOST) {
		close(fd);
		return (refuse(r, "%s is larger than 16 MiB: is it the right file?", r->path));
	}
	read_all = content_read(&r->old, fd, (size_t)r->was.st_size);
	close(fd);
	if (read_all == -1)
		return (refuse(r, "%s: %s: try again", r->path, strerror(errno)));
	return (0);
}

static void
hex_put(struct wire *w, struct bytes b)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < b.len; i++) {
		wire_put_u8(w, (uint8_t)digits[b.at[i] >> 4]);
		wire_put_u8(w, (uint8_t)digits[b.at[i] & 15]);
	}
}

static void
text_put(struct wire *w, const char *text)
{
	wire_put_raw(w, text, strlen(text));
}

/* As liboath's update_usersfile2() writes it. */
static int
entry_put(struct wire *w, const struct users_entry *e)
{
	time_t now = time(NULL), at = e->at_s < now ? (time_t)e->at_s : now;
	char when[32];
	struct tm tm;

	text_put(w, "HOTP/T30/6\t");
	wire_put_raw(w, e->user.at, e->user.len);
	text_put(w, "\t-\t");
	hex_put(w, e->secret);
	if (e->used_code.len > 0) {
		/* Never later than the clock that pam_oath reads: see users_file_last_use(). */
		if (localtime_r(&at, &tm) == NULL || strftime(when, sizeof(when), "\t%Y-%m-%dT%H:%M:%SL", &tm) == 0)
			return (-1);
		text_put(w, "\t0\t");
		wire_put_raw(w, e->used_code.at, e->used_code.len);
		text_put(w, when);
	}
	text_put(w, "\n");
	return (0);
}

/* The old lines, the user's own replaced by the new one: where it stood, or at the end. */
static int
new_make(struct rewrite *r, const struct users_entry *e)
{
	struct bytes rest = bytes_of(r->old.at, r->old.len), line;
	int put = 0, is_ended = 1;

	for (size_t number = 1; line_next(&rest, &line); number++) {
		struct users_line l = users_line_read(line);

		if (l.kind == USERS_LINE_DAMAGED)
			return (refuse(r, "%s:%zu: %s: mend the line or take it out", r->path, number, l.damage));
		if (l.kind == USERS_LINE_ENTRY && bytes_equal(l.user, e->user)) {
			if (!put && entry_put(&r->new, e) == -1)
				return (refuse(r, "%s: the time cannot be written: set the clock", r->path));
			put = 1; /* and a second one of theirs is theirs no more: a new secret ends the old ones */
			continue;
		}
		wire_put_raw(&r->new, line.at, line.len);
		is_ended = line.at[line.len - 1] == '\n';
	}
	if (!is_ended)
		text_put(&r->new, "\n");
	if (!put && entry_put(&r->new, e) == -1)
		return (refuse(r, "%s: the time cannot be written: set the clock", r->path));
	if (r->new.failed)
		return (refuse(r, "%s: out of memory: try again", r->path));
	return (0);
}

static int
bytes_write(int fd, struct bytes b)
{
	ssize_t put;

	for (; b.len > 0; b = bytes_of(b.at + put, b.len - (size_t)put))
		if ((put = write(fd, b.at, b.len)) == -1)
			return (-1);
	return (0);
}

static int
new_write(struct rewrite *r)
{
	char name[256];
	int fd, failed;

	snprintf(name, sizeof(name), "%s.new", r->name);
	if ((fd = openat(r->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) == -1)
		return (refuse(r, "%s.new: %s: see to it that root can write there", r->path, strerror(errno)));
	failed = fchmod(fd, 0600) == -1 || (r->is_there && fchown(fd, r->was.st_uid, r->was.st_gid) == -1) ||
	         bytes_write(fd, wire_bytes(&r->new)) == -1 || fsync(fd) == -1 ||
	         renameat(r->dir, name, r->dir, r->name) == -1;
	if (failed) {
		(void)refuse(r, "%s.new: %s: see to it that there is room, and that root can write", r->path,
		    strerror(errno));
		(void)unlinkat(r->dir, name, 0);
	}
	close(fd);
	/* The new one is there in any case; a power cut may bring the old one back, which is whole too. */
	if (!failed && fsync(r->dir) == -1)
		log_warning("%s: its directory cannot be synced: %s", r->path, strerror(errno));
	return (failed ? -1 : 0);
}

static int
entry_check(struct rewrite *r, const struct users_entry *e)
{
	if (!users_name_is_good(e->user))
		return (refuse(r, "a name with blanks or control bytes cannot stand in %s", r->path));
	if (e->secret.len < USERS_SECRET_LEAST || e->secret.len > USERS_SECRET_MOST)
		return (refuse(r, "a secret of %zu bytes: %d to %d are what pam_oath takes", e->secret.len,
		    USERS_SECRET_LEAST, USERS_SECRET_MOST));
	for (size_t i = 0; i < e->used_code.len; i++)
		if (e->used_code.at[i] < '0' || e->used_code.at[i] > '9')
			return (refuse(r, "a code of anything but digits"));
	if (e->used_code.len != 0 && e->used_code.len != CODE_DIGITS)
		return (refuse(r, "a code of %zu digits, where pam_oath wants %d", e->used_code.len, CODE_DIGITS));
	return (0);
}

static int
rewrite_locked(struct rewrite *r, const struct users_entry *e)
{
	struct users_lock lock;
	pid_t holder;
	int done;

	if (users_lock_take(&lock, r->dir, r->name, USERS_LOCK_WAIT_MS, &holder) == -1) {
		if (errno != EAGAIN)
			return (refuse(
			    r, "%s.lock: %s: see to it that root can write there", r->path, strerror(errno)));
		if (holder > 0)
			return (refuse(
			    r, "%s.lock is held by process %d: let it end, or end it", r->path, (int)holder));
		return (
		    refuse(r, "%s.lock is there, and is not a lock that can be waited for: remove it", r->path));
	}
	done = old_read(r) == 0 && new_make(r, e) == 0 && new_write(r) == 0;
	users_lock_end(&lock);
	return (done ? 0 : -1);
}

enum reason
users_file_enrol(const char *path, const struct users_entry *e, char *why, size_t size)
{
	struct rewrite r = {.path = path, .dir = -1, .why = why, .why_size = size};
	struct users_turn turn;
	int done = -1;

	why[0] = '\0';
	if (entry_check(&r, e) == -1)
		return (REASON_USERS_FILE);
	if ((r.dir = users_directory(path, &r.name)) == -1) {
		(void)refuse(
		    &r, "%s: %s: its directory must be there, and the path a full one", path, strerror(errno));
		return (REASON_USERS_FILE);
	}
	users_turn_take(&turn, path);
	done = rewrite_locked(&r, e);
	users_turn_end(&turn);
	secret_free(&r.old);
	wire_free(&r.new);
	close(r.dir);
	return (done == 0 ? REASON_NONE : REASON_USERS_FILE);
}

int64_t
users_file_last_use(const char *path, const char *user)
{
	char why[512] = "";
	struct rewrite r = {.path = path, .dir = -1, .why = why, .why_size = sizeof(why)};
	struct bytes rest, line;
	int64_t last_s = 0;

	if (path[0] == '\0' || (r.dir = users_directory(path, &r.name)) == -1)
		return (0);
	if (old_read(&r) == -1)
		log_warning("%s", why);
	rest = bytes_of(r.old.at, r.old.len);
	for (size_t number = 1; line_next(&rest, &line); number++) {
		struct users_line l = users_line_read(line);

		if (l.kind == USERS_LINE_DAMAGED)
			log_warning("%s:%zu: %s: mend the line or take it out", path, number, l.damage);
		else if (l.kind == USERS_LINE_ENTRY && bytes_are(l.user, user) && l.last_use_s > last_s)
			last_s = l.last_use_s;
	}
	secret_free(&r.old);
	close(r.dir);
	return (last_s);
}
