/*
 * The vault: what is kept comes back, nothing else does, and no moment at which it may be killed, no byte that may rot and
 * no key that may be missing costs a secret that was there.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fault.h"
#include "vault.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define KEY_B "f0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ABOUT "osv1+srx"
#define RECORDS 3

struct place {
	char dir[64], vault[80];
};

static const char *const names[RECORDS] = {ABOUT, "osv1+root", "sbc-2.example+DOMAIN\\admin$"};

static void
place_make(struct place *p)
{
	snprintf(p->dir, sizeof(p->dir), "/tmp/lodge-vault-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->vault, sizeof(p->vault), "%s/vault", p->dir);
}

static void
place_remove(struct place *p)
{
	char words[128];
	FILE *f;

	snprintf(words, sizeof(words), "rm -r %s", p->dir);
	assert_non_null(f = popen(words, "r"));
	assert_int_equal(pclose(f), 0);
}

/* A descriptor of a file with this text. */
static int
text_fd(const char *text)
{
	char path[] = "/tmp/lodge-vault-key-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(unlink(path), 0);
	return (fd);
}

static struct vault *
vault_with(const struct place *p, const char *now, const char *old)
{
	struct vault *v = vault_new(p->vault);
	char why[VAULT_WHY_SIZE];

	assert_non_null(v);
	if (old != NULL)
		assert_int_equal(vault_key_take(v, text_fd(old), VAULT_OLD, why), 0);
	if (now != NULL)
		assert_int_equal(vault_key_take(v, text_fd(now), VAULT_NOW, why), 0);
	return (v);
}

static void
record_make(struct vault_record *r, const char *about, const char *secret)
{
	*r = (struct vault_record){.kind = VAULT_PASSWORD,
	    .rotate = VAULT_ALWAYS,
	    .set_wall_ms = 1700000000123,
	    .rotated_wall_ms = 1700000000456,
	    .used_wall_ms = 1700000000789,
	    .turn = 7,
	    .by = "root"};
	snprintf(r->about, sizeof(r->about), "%s", about);
	assert_int_equal(secret_copy(&r->current, secret, strlen(secret)), 0);
}

static void
store(struct vault *v, const char *about, const char *secret)
{
	struct vault_record r;

	record_make(&r, about, secret);
	assert_int_equal(vault_store(v, &r), VAULT_GOOD);
	vault_record_free(&r);
}

/* The secret that lies there, as text in `to`. */
static enum vault_fault
look(struct vault *v, const char *about, char to[64])
{
	struct vault_record r;
	enum vault_fault fault = vault_load(v, about, &r);

	to[0] = '\0';
	if (fault == VAULT_GOOD)
		snprintf(to, 64, "%.*s", (int)r.current.len, (const char *)r.current.at);
	vault_record_free(&r);
	return (fault);
}

static void
expect(struct vault *v, const char *about, const char *secret)
{
	char found[64];

	assert_int_equal(look(v, about, found), VAULT_GOOD);
	assert_string_equal(found, secret);
}

static size_t
file_get(const struct place *p, const char *name, uint8_t *to, size_t room)
{
	char path[256];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", p->vault, name);
	assert_non_null(f = fopen(path, "r"));
	len = fread(to, 1, room, f);
	assert_int_equal(fclose(f), 0);
	return (len);
}

static void
file_put(const struct place *p, const char *name, const uint8_t *at, size_t len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", p->vault, name);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(at, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
what_is_kept_comes_back(void **state)
{
	struct place p = {.dir = ""};
	struct vault *v;
	struct vault_record r, back;
	uint8_t file[4096];
	struct stat st;
	size_t len;

	(void)state;
	place_make(&p);
	v = vault_with(&p, KEY_A, NULL);
	record_make(&r, ABOUT, "hunter2 is not it");
	assert_int_equal(secret_copy(&r.pending, "the next one", 12), 0);
	assert_int_equal(secret_copy(&r.former, "", 0), 0);
	assert_int_equal(vault_store(v, &r), VAULT_GOOD);
	assert_int_equal(vault_load(v, ABOUT, &back), VAULT_GOOD);
	assert_string_equal(back.about, ABOUT);
	assert_string_equal(back.by, "root");
	assert_string_equal(back.id, vault_id(v));
	assert_int_equal(back.kind, VAULT_PASSWORD);
	assert_int_equal(back.rotate, VAULT_ALWAYS);
	assert_int_equal(back.turn, 7);
	assert_int_equal(back.set_wall_ms, r.set_wall_ms);
	assert_int_equal(back.rotated_wall_ms, r.rotated_wall_ms);
	assert_int_equal(back.used_wall_ms, r.used_wall_ms);
	assert_int_equal(back.current.len, r.current.len);
	assert_memory_equal(back.current.at, r.current.at, r.current.len);
	assert_memory_equal(back.pending.at, "the next one", 12);
	assert_int_equal(back.former.len, 0);
	vault_record_free(&back);

	assert_int_equal(stat(p.vault, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	len = file_get(&p, ABOUT, file, sizeof(file));
	assert_null(memmem(file, len, "hunter2", 7));
	assert_null(memmem(file, len, "the next one", 12));
	assert_null(memmem(file, len, "root", 4));
	/* How long it is does not show. */
	vault_record_free(&r);
	store(v, "osv1+b", "x");
	store(v, "osv1+c", "a much longer one than that, by far");
	assert_int_equal(file_get(&p, "osv1+b", file, sizeof(file)), file_get(&p, "osv1+c", file, sizeof(file)));
	vault_free(v);
	place_remove(&p);
}

static void
names_of_files(void **state)
{
	static const struct {
		const char *about;
		int good;
	} rows[] = {
	    {"osv1+srx", 1},
	    {"a+b", 1},
	    {"osv1+DOMAIN\\admin$", 1},
	    {"", 0},
	    {"osv1", 0},
	    {"osv1+", 0},
	    {"+srx", 0},
	    {".osv1+srx", 0},
	    {"../x+srx", 0},
	    {"osv1+../x", 0},
	    {"osv1+a/b", 0},
	    {"osv1+-x", 0},
	    {"-osv1+x", 0},
	    {"osv1+a+b", 0},
	    {"osv1+a b", 0},
	    {".new.osv1+srx", 0},
	    {"osv1+\"quoted\"", 0},
	};
	char long_one[256] = "osv1+";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (vault_about_is_good(rows[i].about) != rows[i].good)
			fail_msg("\"%s\" is %s", rows[i].about, rows[i].good ? "refused" : "taken");
	memset(long_one + 5, 'a', 64);
	assert_true(vault_about_is_good(long_one));
	long_one[69] = 'a';
	assert_false(vault_about_is_good(long_one));
}

static void
no_byte_may_change(void **state)
{
	struct place p = {.dir = ""};
	struct vault *v;
	uint8_t file[4096], other[4096];
	char found[64];
	size_t len, other_len;

	(void)state;
	place_make(&p);
	v = vault_with(&p, KEY_A, NULL);
	store(v, ABOUT, "right");
	store(v, "osv1+root", "other");
	len = file_get(&p, ABOUT, file, sizeof(file));
	for (size_t i = 0; i < len; i++) {
		file[i] ^= 1;
		file_put(&p, ABOUT, file, len);
		if (look(v, ABOUT, found) == VAULT_GOOD)
			fail_msg("byte %zu may change", i);
		file[i] ^= 1;
	}
	for (size_t i = 0; i < len; i++) {
		file_put(&p, ABOUT, file, i);
		assert_int_equal(look(v, ABOUT, found), VAULT_DAMAGED);
	}
	file[len] = 0;
	file_put(&p, ABOUT, file, len + 1);
	assert_int_equal(look(v, ABOUT, found), VAULT_DAMAGED);
	/* One that lies under another's name; and a damaged one is kept, not written over. */
	other_len = file_get(&p, "osv1+root", other, sizeof(other));
	file_put(&p, ABOUT, other, other_len);
	assert_int_equal(look(v, ABOUT, found), VAULT_DAMAGED);
	struct vault_record r;
	record_make(&r, ABOUT, "new");
	assert_int_equal(vault_store(v, &r), VAULT_DAMAGED);
	vault_record_free(&r);
	assert_int_equal(file_get(&p, ABOUT, file, sizeof(file)), other_len);
	assert_memory_equal(file, other, other_len);
	/* Removed by name, it can be set anew. */
	assert_int_equal(vault_remove(v, ABOUT), VAULT_GOOD);
	assert_int_equal(vault_remove(v, ABOUT), VAULT_NONE);
	store(v, ABOUT, "new");
	expect(v, ABOUT, "new");
	vault_free(v);
	place_remove(&p);
}

static void
keys_that_are_none(void **state)
{
	static const char *const rows[] = {"", "hello\n", KEY_A "0", "0" KEY_A, KEY_A "\n\nx",
	    "g0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"};
	struct place p = {.dir = ""};
	struct vault *v;
	char why[VAULT_WHY_SIZE];

	(void)state;
	place_make(&p);
	v = vault_with(&p, NULL, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(vault_key_take(v, text_fd(rows[i]), VAULT_NOW, why), -1);
		assert_non_null(strstr(why, "openssl rand -hex 32"));
		assert_string_equal(vault_id(v), "");
	}
	assert_int_equal(vault_key_take(v, text_fd(KEY_A " \r\n"), VAULT_NOW, why), 0);
	assert_int_equal(strlen(vault_id(v)), 16);
	vault_free(v);
	place_remove(&p);
}

/* The wrong key, and none: refused, and the bytes on the disk are what they were. */
static void
a_key_that_is_lost(void **state)
{
	struct place p = {.dir = ""};
	struct vault *v;
	struct vault_record r;
	uint8_t before[4096], after[4096];
	char about[VAULT_ABOUT_SIZE], id[VAULT_ID_SIZE];
	size_t len;

	(void)state;
	place_make(&p);
	v = vault_with(&p, KEY_A, NULL);
	store(v, ABOUT, "right");
	snprintf(id, sizeof(id), "%s", vault_id(v));
	vault_free(v);
	len = file_get(&p, ABOUT, before, sizeof(before));

	v = vault_with(&p, KEY_B, NULL);
	assert_int_equal(vault_load(v, ABOUT, &r), VAULT_OTHER_KEY);
	assert_string_equal(r.id, id); /* it is said which one it wants */
	assert_int_equal(r.kind, VAULT_PASSWORD);
	vault_record_free(&r);
	assert_int_equal(vault_settable(v, about), VAULT_OTHER_KEY);
	assert_string_equal(about, ABOUT);
	record_make(&r, ABOUT, "new");
	assert_int_equal(vault_store(v, &r), VAULT_OTHER_KEY);
	vault_record_free(&r);
	assert_int_equal(vault_rekey(v, ABOUT), VAULT_OTHER_KEY);
	vault_free(v);

	v = vault_with(&p, NULL, NULL);
	assert_int_equal(vault_load(v, ABOUT, &r), VAULT_NO_KEY);
	vault_record_free(&r);
	assert_int_equal(vault_settable(v, about), VAULT_NO_KEY);
	record_make(&r, "osv1+new", "new");
	assert_int_equal(vault_store(v, &r), VAULT_NO_KEY);
	vault_record_free(&r);
	vault_free(v);

	assert_int_equal(file_get(&p, ABOUT, after, sizeof(after)), len);
	assert_memory_equal(before, after, len);
	v = vault_with(&p, KEY_A, NULL);
	expect(v, ABOUT, "right");
	assert_int_equal(vault_settable(v, about), VAULT_GOOD);
	vault_free(v);
	place_remove(&p);
}

static void
one_after_the_other(void **state)
{
	struct place p = {.dir = ""};
	struct vault *v;
	struct wire list = {0};

	(void)state;
	place_make(&p);
	v = vault_with(&p, KEY_A, NULL);
	for (size_t i = 0; i < RECORDS; i++)
		store(v, names[i], names[i]);
	vault_free(v);
	v = vault_with(&p, KEY_B, KEY_A);
	assert_int_equal(vault_names(v, &list), 0);
	assert_memory_equal(list.at, "osv1+root\0osv1+srx\0sbc-2", 24);
	wire_free(&list);
	for (size_t i = 0; i < RECORDS; i++) {
		expect(v, names[i], names[i]); /* either key opens meanwhile */
		assert_int_equal(vault_rekey(v, names[i]), VAULT_GOOD);
		assert_int_equal(vault_rekey(v, names[i]), VAULT_NONE);
	}
	vault_free(v);
	v = vault_with(&p, KEY_B, NULL);
	for (size_t i = 0; i < RECORDS; i++)
		expect(v, names[i], names[i]);
	vault_free(v);
	place_remove(&p);
}

/* Runs `work` in a process that ends at call n; 1 when it ended by itself before that. */
static int
killed(void (*work)(struct vault *v), const struct place *p, const char *now, const char *old, int n,
    enum fault_moment moment)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct vault *v = vault_with(p, now, old);

		(void)fault_count();
		fault_kill_at(n, moment);
		work(v);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return (WEXITSTATUS(status) == 1);
}

static void
work_set(struct vault *v)
{
	store(v, ABOUT, "new");
}

static void
work_rekey(struct vault *v)
{
	for (size_t i = 0; i < RECORDS; i++)
		(void)vault_rekey(v, names[i]);
}

/* first: nothing is there before. */
static void
killed_while_set(int first)
{
	struct place p = {.dir = ""};
	struct vault *v;
	char found[64];
	int news = 0, olds = 0;

	place_make(&p);
	for (int moment = 0; moment < FAULT_MOMENTS; moment++)
		for (int n = 1;; n++) {
			int whole;

			v = vault_with(&p, KEY_A, NULL);
			(void)vault_remove(v, ABOUT);
			if (!first)
				store(v, ABOUT, "old");
			whole = killed(work_set, &p, KEY_A, NULL, n, (enum fault_moment)moment);
			if (look(v, ABOUT, found) == VAULT_NONE)
				assert_true(first);
			else if (strcmp(found, "new") == 0)
				news++;
			else {
				assert_string_equal(found, "old");
				assert_false(first);
				olds++;
			}
			/* What was cut short is in nobody's way, and goes at the next start. */
			store(v, ABOUT, "again");
			expect(v, ABOUT, "again");
			vault_tidy(v);
			vault_free(v);
			assert_true(!whole || n > 4);
			if (whole)
				break;
			assert_true(n < 100);
		}
	assert_true(news >= 3 && (first || olds >= 3));
	place_remove(&p);
}

static void
killed_at_every_write_of_a_change(void **state)
{
	(void)state;
	killed_while_set(0);
}

static void
killed_at_every_write_of_the_first(void **state)
{
	(void)state;
	killed_while_set(1);
}

/* After each kill all records open with both keys; a second run, with no kill, finishes; then the new key alone does. */
static void
killed_at_every_write_of_a_rekey(void **state)
{
	struct place p = {.dir = ""};
	struct vault *v;

	(void)state;
	place_make(&p);
	for (int moment = 0; moment < FAULT_MOMENTS; moment++)
		for (int n = 1;; n++) {
			int whole;

			v = vault_with(&p, KEY_A, NULL);
			for (size_t i = 0; i < RECORDS; i++) {
				(void)vault_remove(v, names[i]);
				store(v, names[i], names[i]);
			}
			vault_free(v);
			whole = killed(work_rekey, &p, KEY_B, KEY_A, n, (enum fault_moment)moment);
			v = vault_with(&p, KEY_B, KEY_A);
			for (size_t i = 0; i < RECORDS; i++)
				expect(v, names[i], names[i]);
			work_rekey(v);
			vault_free(v);
			v = vault_with(&p, KEY_B, NULL);
			for (size_t i = 0; i < RECORDS; i++)
				expect(v, names[i], names[i]);
			vault_free(v);
			assert_true(!whole || n > RECORDS * 4);
			if (whole)
				break;
			assert_true(n < 200);
		}
	place_remove(&p);
}

/* A power cut respects fsync alone: the file is synced before its name changes, the directory after. */
static void
synced_in_order(void **state)
{
	struct place p = {.dir = ""};
	struct vault *v;

	(void)state;
	place_make(&p);
	v = vault_with(&p, KEY_A, NULL);
	(void)fault_count();
	store(v, ABOUT, "right");
	assert_string_equal(fault_trace(), "owfrd");
	(void)fault_count();
	assert_int_equal(vault_remove(v, ABOUT), VAULT_GOOD);
	assert_string_equal(fault_trace(), "d");
	vault_free(v);
	place_remove(&p);
}

static void
a_disk_that_says_no(void **state)
{
	struct place p = {.dir = ""};
	struct vault *v;
	struct vault_record r;
	struct wire list = {0};
	uint8_t file[4096];

	(void)state;
	place_make(&p);
	v = vault_with(&p, KEY_A, NULL);
	store(v, ABOUT, "old");
	record_make(&r, ABOUT, "new");
	for (int n = 1; n <= 4; n++) { /* before the new one has the name */
		(void)fault_count();
		fault_fail_at(n);
		assert_int_equal(vault_store(v, &r), VAULT_TROUBLE);
		fault_fail_at(0);
		expect(v, ABOUT, "old");
	}
	assert_int_equal(vault_names(v, &list), 0);
	assert_int_equal(list.len, sizeof(ABOUT)); /* nothing is left beside it */
	assert_int_equal(access(p.vault, F_OK), 0);
	vault_record_free(&r);
	wire_free(&list);
	assert_true(file_get(&p, ABOUT, file, sizeof(file)) > 0);
	vault_free(v);
	place_remove(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_kept_comes_back),
	    cmocka_unit_test(names_of_files),
	    cmocka_unit_test(no_byte_may_change),
	    cmocka_unit_test(keys_that_are_none),
	    cmocka_unit_test(a_key_that_is_lost),
	    cmocka_unit_test(one_after_the_other),
	    cmocka_unit_test(killed_at_every_write_of_a_change),
	    cmocka_unit_test(killed_at_every_write_of_the_first),
	    cmocka_unit_test(killed_at_every_write_of_a_rekey),
	    cmocka_unit_test(synced_in_order),
	    cmocka_unit_test(a_disk_that_says_no),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
