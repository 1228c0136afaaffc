/* pam_oath's users file: what enrolment writes, what it leaves alone, and when it refuses. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "users_file.h"
#include "users_line.h"
#include "users_lock.h"

#define SECRET "12345678901234567890"
#define HEX "3132333435363738393031323334353637383930"
#define TEXT_SIZE 8192

static char dir[64];

static const char *
at(const char *name)
{
	static char path[4][512];
	static size_t next;
	char *to = path[next++ % 4];

	snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
	return (to);
}

static void
put(const char *name, const char *text, size_t len)
{
	FILE *f = fopen(at(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static const char *
get(const char *name)
{
	static char text[TEXT_SIZE];
	FILE *f = fopen(at(name), "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return (text);
}

static int
is_there(const char *name)
{
	return (access(at(name), F_OK) == 0);
}

static int
dir_make(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/lodge-users-XXXXXX");
	return (mkdtemp(dir) == NULL ? -1 : 0);
}

static int
dir_remove(void **state)
{
	char words[128];
	FILE *f;

	(void)state;
	snprintf(words, sizeof(words), "rm -r %s", dir);
	return ((f = popen(words, "r")) != NULL && pclose(f) == 0 ? 0 : -1);
}

static enum reason
enrol(const char *user, const char *code, char why[512])
{
	struct users_entry e = {.user = bytes_text(user),
	    .secret = bytes_text(SECRET),
	    .used_code = bytes_text(code),
	    .at_s = 1790000000};

	return (users_file_enrol(at("users"), &e, why, 512));
}

static void
enrolled(const char *user, const char *code)
{
	char why[512];

	if (enrol(user, code, why) != REASON_NONE)
		fail_msg("%s", why);
	assert_string_equal(why, "");
	assert_false(is_there("users.lock"));
	assert_false(is_there("users.new"));
}

static void
refused(const char *user, const char *code, const char *because)
{
	char why[512];

	assert_int_equal(enrol(user, code, why), REASON_USERS_FILE);
	if (strstr(why, because) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, because);
	assert_null(strchr(why, '\n'));
	assert_null(strstr(why, HEX));
}

/* Who, and what of the file is left: before, after. */
static void
lines_are_kept(void **state)
{
	static const struct {
		const char *before, *user, *code, *after;
	} rows[] = {
	    {"", "alice", "", "HOTP/T30/6\talice\t-\t" HEX "\n"},
	    /* every other line as it is: remarks, blanks, Windows' ends, liboath's tabs */
	    {"# people\n\nHOTP/T30/6 bob - 3132333435363738393a\r\n  "
	     "HOTP/E\tcarl\t+\tAbCdEf0123456789abcd\t12\t123456\t2026-01-01T10:00:00L\n",
	        "alice", "",
	        "# people\n\nHOTP/T30/6 bob - 3132333435363738393a\r\n  "
	        "HOTP/E\tcarl\t+\tAbCdEf0123456789abcd\t12\t123456\t2026-01-01T10:00:00L\nHOTP/T30/"
	        "6\talice\t-\t" HEX "\n"},
	    /* no end of line at the end */
	    {"HOTP/T30 bob - 31", "alice", "", "HOTP/T30 bob - 31\nHOTP/T30/6\talice\t-\t" HEX "\n"},
	    /* replaced where it stood, a second one of theirs gone; names are compared whole */
	    {"HOTP/T60 alice2 - 31\nHOTP/T30/6 alice - 32 7 123456 2026-01-01T10:00:00L\n#\nHOTP alice - 33\nHOTP "
	     "ali - 34\n",
	        "alice", "", "HOTP/T60 alice2 - 31\nHOTP/T30/6\talice\t-\t" HEX "\n#\nHOTP ali - 34\n"},
	    /* liboath's own form for a code that was used */
	    {"HOTP bob - 31\n", "alice", "755224",
	        "HOTP bob - 31\nHOTP/T30/6\talice\t-\t" HEX "\t0\t755224\t2026-09-21T14:13:20L\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put("users", rows[i].before, strlen(rows[i].before));
		enrolled(rows[i].user, rows[i].code);
		assert_string_equal(get("users"), rows[i].after);
	}
}

static void
a_file_is_made(void **state)
{
	struct stat st;

	(void)state;
	enrolled("alice", "");
	assert_string_equal(get("users"), "HOTP/T30/6\talice\t-\t" HEX "\n");
	assert_int_equal(stat(at("users"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* the owner stays, a mode that lets others read does not */
	if (geteuid() == 0)
		assert_int_equal(chown(at("users"), 65534, 65534), 0);
	assert_int_equal(chmod(at("users"), 0644), 0);
	enrolled("bob", "");
	assert_int_equal(stat(at("users"), &st), 0);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 65534 : geteuid());
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* A code is never said to have been used later than now: pam_oath's clock may be another than ours. */
static void
the_future_is_not_written(void **state)
{
	struct users_entry e = {.user = bytes_text("alice"),
	    .secret = bytes_text(SECRET),
	    .used_code = bytes_text("123456"),
	    .at_s = time(NULL) + 7200};
	char why[512];

	(void)state;
	assert_int_equal(users_file_enrol(at("users"), &e, why, sizeof(why)), REASON_NONE);
	assert_in_range(users_file_last_use(at("users"), "alice"), time(NULL) - 10, time(NULL));
}

/* Line 3 is what liboath would stumble over: refused, and nothing changed. */
static void
damaged_lines(void **state)
{
	static const struct {
		const char *line;
		size_t len; /* 0: as text */
		const char *because;
	} rows[] = {
	    {"nonsense\n", 0, ":3: it does not begin with a type"},
	    {"HOTP/T30/9 bob - 31\n", 0, ":3: it does not begin with a type"},
	    {"HOTP/T30/6\n", 0, ":3: it has no user"},
	    {"HOTP/T30/6 bob -\n", 0, ":3: it has no user"},
	    {"HOTP/T30/6 bob - 3g\n", 0, ":3: the secret is not in hexadecimal"},
	    {"HOTP/T30/6 bob - 313\n", 0, ":3: the secret is not in hexadecimal"},
	    {"HOTP/T30/6 bob - 313233343536373839303132333435363738393031323334353637383930313233\n", 0,
	        ":3: the secret is not in hexadecimal, or longer"},
	    {"HOTP/T30/6 bob - 31 x\n", 0, ":3: the moving factor"},
	    {"HOTP/T30/6 bob - 31 0 123456 yesterday\n", 0, ":3: the time"},
	    {"HOTP/T30/6 bob - 31 0 123456 2026-01-01T10:00:00\n", 0, ":3: the time"},
	    {"HOTP/T30/6 b\001b - 31\n", 0, ":3: the user's name"},
	    {"HOTP/T30/6 bob - 31\0\n", 21, ":3: a NUL byte"},
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = rows[i].len > 0 ? rows[i].len : strlen(rows[i].line), before;
		struct stat was, is;

		before = (size_t)snprintf(text, sizeof(text), "HOTP carl - 31\n# two\n");
		memcpy(text + before, rows[i].line, len);
		put("users", text, before + len);
		assert_int_equal(stat(at("users"), &was), 0);
		refused("alice", "", rows[i].because);
		assert_int_equal(stat(at("users"), &is), 0);
		assert_int_equal(is.st_ino, was.st_ino);
		assert_int_equal(is.st_size, was.st_size);
		assert_memory_equal(get("users"), text, before + len);
		assert_false(is_there("users.lock"));
		assert_false(is_there("users.new"));
	}
}

static void
what_is_no_file(void **state)
{
	char why[512];
	struct users_entry e = {.user = bytes_text("alice"), .secret = bytes_text(SECRET)};

	(void)state;
	assert_int_equal(mkdir(at("users"), 0700), 0);
	refused("alice", "", "is not a regular file");
	assert_int_equal(rmdir(at("users")), 0);
	assert_int_equal(mkfifo(at("users"), 0600), 0);
	refused("alice", "", "is not a regular file");
	assert_int_equal(unlink(at("users")), 0);
	put("real", "HOTP bob - 31\n", 14);
	assert_int_equal(symlink("real", at("users")), 0);
	refused("alice", "", "is not a regular file");
	assert_string_equal(get("real"), "HOTP bob - 31\n");
	assert_int_equal(unlink(at("users")), 0);
	assert_int_equal(users_file_enrol(at("none/users"), &e, why, sizeof(why)), REASON_USERS_FILE);
	assert_non_null(strstr(why, "none/users: No such file or directory"));
	assert_int_equal(users_file_enrol("users", &e, why, sizeof(why)), REASON_USERS_FILE);
	assert_false(is_there("users.lock"));
}

static void
entries_that_pam_oath_would_not_take(void **state)
{
	struct users_entry e = {.user = bytes_text("alice")};
	static const char *const names[] = {"", "al ice", "al\tice", "alice\n", "al\033ice", "alice\x7f"};
	static const char *const codes[] = {"12345", "1234567", "12345x"};
	char why[512], secret[64];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		refused(names[i], "", "a name with blanks or control bytes");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		refused("alice", codes[i], "a code of ");
	memset(secret, 'x', sizeof(secret));
	for (size_t len = 0; len <= sizeof(secret); len++) {
		e.secret = bytes_of(secret, len);
		assert_int_equal(users_file_enrol(at("users"), &e, why, sizeof(why)),
		    len >= 10 && len <= 32 ? REASON_NONE : REASON_USERS_FILE);
	}
}

/* Holds a lock as liboath does, until it is killed. */
static pid_t
holder_start(void)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	if ((pid = fork()) == 0) {
		struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(at("users.lock"), O_WRONLY | O_CREAT | O_EXCL, 0600);

		if (fd == -1 || fcntl(fd, F_SETLK, &all) == -1 || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return (pid);
}

static void
held_locks(void **state)
{
	pid_t pid = holder_start();
	char because[64];

	(void)state;
	put("users", "HOTP bob - 31\n", 14);
	snprintf(because, sizeof(because), "users.lock is held by process %d", (int)pid);
	refused("alice", "", because);
	assert_true(is_there("users.lock"));
	assert_string_equal(get("users"), "HOTP bob - 31\n");
	/* Killed, it leaves a lock behind that would refuse every login: whoever comes next takes it away. */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	put("users.new", "half of it", 10);
	enrolled("alice", "");
	assert_string_equal(get("users"), "HOTP bob - 31\nHOTP/T30/6\talice\t-\t" HEX "\n");
}

static void
a_turn_takes_away_what_was_left(void **state)
{
	struct users_turn turn;
	pid_t pid = holder_start();

	(void)state;
	/* held: nobody waits for ever, and it stays */
	users_turn_take(&turn, at("users"));
	users_turn_end(&turn);
	assert_true(is_there("users.lock"));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	users_turn_take(&turn, at("users"));
	assert_false(is_there("users.lock"));
	users_turn_end(&turn);
	put("users.new", "half of it", 10);
	users_turn_take(&turn, at("users"));
	assert_false(is_there("users.new"));
	users_turn_end(&turn);
	/* no such directory, no such setting: nothing to wait for */
	users_turn_take(&turn, "/nowhere/at/all");
	users_turn_end(&turn);
	users_turn_take(&turn, "");
	assert_int_equal(turn.fd, -1);
	users_turn_end(&turn);
}

/* Two processes a hundred times each: nobody's line is lost. */
static void
many_at_once(void **state)
{
	pid_t pids[4];
	char name[16], why[512];
	int status;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		if ((pids[i] = fork()) == 0) {
			int failed = 0;

			for (int n = 0; n < 25; n++) {
				snprintf(name, sizeof(name), "p%zun%d", i, n);
				failed += enrol(name, "", why) != REASON_NONE;
			}
			_exit(failed);
		}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "\tp%dn%d\t", i / 25, i % 25);
		assert_non_null(strstr(get("users"), name));
	}
}

/* A full disk, as the kernel would say it. */
static void
no_room(void **state)
{
	struct rlimit was, none;

	(void)state;
	put("users", "HOTP bob - 31\n", 14);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	none = was;
	none.rlim_cur = 20;
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	refused("alice", "", "users.new: File too large");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_string_equal(get("users"), "HOTP bob - 31\n");
	assert_false(is_there("users.new"));
	assert_false(is_there("users.lock"));
}

static void
last_uses(void **state)
{
	static const struct {
		const char *when;
		int64_t at_s;
	} rows[] = {
	    {"2026-01-15T12:00:00L", 1768474800},
	    {"2026-07-15T12:00:00L", 1784109600},
	    /* the hour that comes twice: the earlier one */
	    {"2026-10-25T01:59:59L", 1792886399},
	    {"2026-10-25T02:30:00L", 1792888200},
	    {"2026-10-25T03:00:00L", 1792893600},
	};
	char text[256];

	(void)state;
	assert_int_equal(setenv("TZ", "Europe/Berlin", 1), 0);
	tzset();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "HOTP/T30 bob - 31\nHOTP/T30 alice - 31 0 123456 %s\n", rows[i].when);
		put("users", text, strlen(text));
		assert_int_equal(users_file_last_use(at("users"), "alice"), rows[i].at_s);
		assert_int_equal(users_file_last_use(at("users"), "bob"), 0);
	}
	assert_int_equal(users_file_last_use(at("none"), "alice"), 0);
	assert_int_equal(users_file_last_use("", "alice"), 0);
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, dir_make, dir_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EACH(lines_are_kept),
	    EACH(a_file_is_made),
	    EACH(the_future_is_not_written),
	    EACH(damaged_lines),
	    EACH(what_is_no_file),
	    EACH(entries_that_pam_oath_would_not_take),
	    EACH(held_locks),
	    EACH(a_turn_takes_away_what_was_left),
	    EACH(many_at_once),
	    EACH(no_room),
	    EACH(last_uses),
	};

	if (setenv("TZ", "UTC", 1) != 0)
		return (1);
	log_begin("test_users_file");
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
