/* Segments: age -d and zstd -d open them, put whole or not at all, damage found and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "format/segment.h"
#include "format/sums.h"

static char workdir[] = "/tmp/segment_test.XXXXXX";
static struct age_identity identity;
static struct age_recipient recipient;
static int dir;

static int
shell(const char *words)
{
	char command[600];

	(void)snprintf(command, sizeof(command), "cd %s && { %s; } 2>/dev/null", workdir, words);
	return (pclose(popen(command, "r")));
}

static struct blob
plain_make(size_t size)
{
	struct blob b = {.at = NULL};

	for (unsigned i = 0; b.size < size; i++)
		assert_int_equal(
		    blob_add_format(&b, "[0.%03u,\"o\",\"line %u %x\"]\n", i % 1000, i, i * 2654435761U), 0);
	return (b);
}

static void
stock_tools_open_it(void **state)
{
	struct blob plain = plain_make(300000), back = {.at = NULL};
	struct segment_seal seal = {
	    .dir = dir, .name = "000000.cast.zst.age", .plain = &plain, .recipients = &recipient, .count = 1};
	struct segment_sealed sealed;
	struct segment_report report;
	unsigned char sha256[32];
	uint64_t size;

	(void)state;
	assert_int_equal(segment_seal(&seal, &sealed), 0);
	assert_int_equal(sha256_of_file(sha256, dir, seal.name, &size), 0);
	assert_memory_equal(sha256, sealed.sha256, 32);
	assert_int_equal(size, sealed.size);
	assert_int_equal(
	    shell("age -d -i key 000000.cast.zst.age | zstd -d > plain && test $(stat -c %s plain) -ge 300000"), 0);
	assert_int_equal(blob_read_at(&back, dir, "plain", 1 << 20), 0);
	assert_int_equal(back.size, plain.size);
	assert_memory_equal(back.at, plain.at, plain.size);
	blob_clear(&back);
	assert_int_equal(
	    segment_open(dir, seal.name, (struct age_keyring){&identity, 1}, &back, &report), SEGMENT_OK);
	assert_int_equal(back.size, plain.size);
	assert_memory_equal(back.at, plain.at, plain.size);
	assert_int_equal(segment_seal(&seal, &sealed), -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(shell("test -z \"$(ls *.tmp)\""), 0);
	blob_free(&back);
	blob_free(&plain);
}

static void
a_header_given_is_used(void **state)
{
	unsigned char file_key[AGE_FILE_KEY_SIZE], again[AGE_FILE_KEY_SIZE];
	struct blob plain = plain_make(1000), header = {.at = NULL}, sealed = {.at = NULL};
	struct segment_sealed out;
	size_t size;

	(void)state;
	assert_int_equal(age_file_key_make(file_key), 0);
	assert_int_equal(age_header_make(&header, file_key, &recipient, 1), 0);
	assert_int_equal(
	    segment_seal_blob(
	        &(struct segment_seal){.plain = &plain, .file_key = file_key, .header = &header}, &sealed, &out),
	    0);
	assert_memory_equal(sealed.at, header.at, header.size);
	assert_int_equal(
	    age_header_open(sealed.at, sealed.size, (struct age_keyring){&identity, 1}, again, &size), AGE_OK);
	assert_memory_equal(again, file_key, sizeof(again));
	assert_int_equal(
	    segment_seal_blob(&(struct segment_seal){.plain = &plain, .header = &header}, &sealed, &out), -1);
	blob_free(&plain);
	blob_free(&header);
	blob_free(&sealed);
}

static void
damage_is_named(void **state)
{
	struct age_identity other;
	struct blob plain = plain_make(2000000), back = {.at = NULL};
	struct segment_sealed sealed;
	struct segment_report report;
	char text[128];
	int fd;

	(void)state;
	assert_int_equal(segment_seal(&(struct segment_seal){.dir = dir,
	                                  .name = "000001.cast.zst.age",
	                                  .plain = &plain,
	                                  .recipients = &recipient,
	                                  .count = 1},
	                     &sealed),
	    0);
	assert_true(sealed.size > 200000);
	assert_true((fd = openat(dir, "000001.cast.zst.age", O_RDWR)) >= 0);
	assert_int_equal(pwrite(fd, "\0\0\0\0", 4, 200000), 4);
	assert_int_equal(
	    segment_open(dir, "000001.cast.zst.age", (struct age_keyring){&identity, 1}, &back, &report),
	    SEGMENT_AGE);
	segment_report_text(&report, text, sizeof(text));
	assert_string_equal(text, "64 KiB chunk 3: chunk authentication failed");
	assert_int_equal(ftruncate(fd, 5), 0);
	assert_int_equal(
	    segment_open(dir, "000001.cast.zst.age", (struct age_keyring){&identity, 1}, &back, &report),
	    SEGMENT_AGE);
	assert_int_equal(report.age, AGE_TRUNCATED);
	(void)close(fd);
	assert_int_equal(age_identity_make(&other), 0);
	assert_int_equal(
	    segment_open(dir, "000000.cast.zst.age", (struct age_keyring){&other, 1}, &back, &report), SEGMENT_AGE);
	assert_int_equal(report.age, AGE_NOT_FOR_US);
	assert_int_equal(
	    segment_open(dir, "nothing", (struct age_keyring){&identity, 1}, &back, &report), SEGMENT_FILE);
	assert_int_equal(shell("ln -s 000000.cast.zst.age link"), 0);
	assert_int_equal(
	    segment_open(dir, "link", (struct age_keyring){&identity, 1}, &back, &report), SEGMENT_FILE);
	blob_free(&plain);
	blob_free(&back);
}

/* What is sealed to us but is not exactly one zstd frame. */
static void
only_one_frame_is_a_segment(void **state)
{
	static const char *const made[] = {"echo x", "printf ''", "echo x | zstd; echo y | zstd",
	    "echo x | zstd; echo y", "head -c 100000 /dev/urandom | zstd | head -c 50000",
	    "head -c 70000000 /dev/zero | zstd"};
	char words[400], public[AGE_RECIPIENT_TEXT];
	struct blob back = {.at = NULL};
	struct segment_report report;

	(void)state;
	assert_int_equal(age_recipient_text(&recipient, public), 0);
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		(void)snprintf(words, sizeof(words), "{ %s; } | age -r %s > odd", made[i], public);
		assert_int_equal(shell(words), 0);
		assert_int_equal(segment_open(dir, "odd", (struct age_keyring){&identity, 1}, &back, &report),
		    i == 5 ? SEGMENT_TOO_LONG : SEGMENT_ZSTD);
		blob_clear(&back);
	}
	blob_free(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stock_tools_open_it),
	    cmocka_unit_test(a_header_given_is_used),
	    cmocka_unit_test(damage_is_named),
	    cmocka_unit_test(only_one_frame_is_a_segment),
	};
	char key[AGE_IDENTITY_TEXT], path[64];
	FILE *f;

	if (mkdtemp(workdir) == NULL || (dir = open(workdir, O_RDONLY | O_DIRECTORY)) == -1 ||
	    age_identity_make(&identity) == -1 || age_identity_text(&identity, key) == -1)
		return (1);
	memcpy(recipient.point, identity.point, sizeof(recipient.point));
	(void)snprintf(path, sizeof(path), "%s/key", workdir);
	if ((f = fopen(path, "w")) == NULL || fputs(key, f) == EOF || fclose(f) == EOF)
		return (1);
	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return (1);
	return (shell("rm -r \"$PWD\"") == 0 ? 0 : 1);
}
