/* SHA256SUMS: what sha256sum itself accepts of ours, and every name or spelling that must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "format/sums.h"
#include "format/tar.h"

#define H "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void
odd_files_are_refused(void **state)
{
	static const struct {
		const char *text;
		int result;
		unsigned line;
	} rows[] = {
	    {H "  a\n" H "  b\n", 0, 0},
	    {"", 0, 0},
	    {H "  b\n" H "  a\n", -1, 2},
	    {H "  a\n" H "  a\n", -1, 2},
	    {H "  a", -1, 1},
	    {H " *a\n", -1, 1},
	    {H " a\n", -1, 1},
	    {H "  \n", -1, 1},
	    {"\n", -1, 1},
	    {H "  /etc/passwd\n", -1, 1},
	    {H "  ../a\n", -1, 1},
	    {H "  a/../b\n", -1, 1},
	    {H "  a//b\n", -1, 1},
	    {H "  a/\n", -1, 1},
	    {H "  ./a\n", -1, 1},
	    {H "  .\n", -1, 1},
	    {H "  a b\n", -1, 1},
	    {"\\" H "  a\\nb\n", -1, 1},
	    {"E3B0C44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n", -1, 1},
	    {H "  a\r\n", -1, 1},
	};
	struct sums sums;
	unsigned line;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(sums_parse(&sums, rows[i].text, strlen(rows[i].text), &line), rows[i].result);
		if (rows[i].result == -1)
			assert_int_equal(line, rows[i].line);
		sums_free(&sums);
	}
}

static void
what_is_written_comes_back_sorted(void **state)
{
	static const char *const names[] = {
	    "input.000000.cast.zst.age", "000001.cast.zst.age", "index.json", "000000.cast.zst.age", "f/x"};
	struct sums sums = {.lines = NULL}, again;
	struct blob text = {.at = NULL}, text2 = {.at = NULL};
	unsigned char sha256[SUMS_SHA256];
	unsigned line;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(sha256_of(sha256, names[i], strlen(names[i])), 0);
		assert_int_equal(sums_add(&sums, names[i], sha256), 0);
		assert_int_equal(sums_add(&sums, names[i], sha256), -1);
	}
	assert_int_equal(sums_write(&sums, &text), 0);
	assert_int_equal(sums_parse(&again, text.at, text.size, &line), 0);
	assert_int_equal(sums_write(&again, &text2), 0);
	assert_int_equal(text.size, text2.size);
	assert_memory_equal(text.at, text2.at, text.size);
	assert_non_null(sums_find(&again, "index.json"));
	assert_null(sums_find(&again, "index.jso"));
	sums_free(&sums);
	sums_free(&again);
	blob_free(&text);
	blob_free(&text2);
}

static void
stock_tools_agree(void **state)
{
	char name[] = "/tmp/sums_test.XXXXXX", command[400], path[64];
	struct sums sums = {.lines = NULL};
	struct blob text = {.at = NULL}, tar = {.at = NULL};
	unsigned char sha256[SUMS_SHA256];
	uint64_t size;
	int dir;

	(void)state;
	assert_non_null(mkdtemp(name));
	(void)snprintf(path, sizeof(path), "%s/it.tar", name);
	assert_int_equal(
	    tar_file(&tar, &(struct tar_entry){.name = "x/a", .size = 5, .modified = 1700000000}, "hello"), 0);
	assert_int_equal(sha256_of(sha256, "hello", 5), 0);
	assert_int_equal(sums_add(&sums, "x/a", sha256), 0);
	assert_int_equal(sums_write(&sums, &text), 0);
	assert_int_equal(tar_file(&tar, &(struct tar_entry){.name = "SHA256SUMS", .size = text.size}, text.at), 0);
	assert_int_equal(tar_end(&tar), 0);
	assert_int_equal(tar_header(&tar, &(struct tar_entry){.name = "/a"}), -1);
	dir = open(name, O_RDONLY | O_DIRECTORY);
	{
		FILE *f = fopen(path, "w");

		assert_int_equal(fwrite(tar.at, 1, tar.size, f), tar.size);
		assert_int_equal(fclose(f), 0);
	}
	(void)snprintf(command, sizeof(command),
	    "cd %s && tar -xf it.tar && sha256sum --strict --quiet -c SHA256SUMS && rm it.tar", name);
	assert_int_equal(pclose(popen(command, "r")), 0);
	assert_int_equal(sha256_of_file(sha256, dir, "x/a", &size), 0);
	assert_int_equal(size, 5);
	assert_memory_equal(sha256, sums.lines[0].sha256, 32);
	assert_int_equal(sha256_of_file(sha256, dir, "x", &size), -1);
	assert_int_equal(symlinkat("x/a", dir, "link"), 0);
	assert_int_equal(sha256_of_file(sha256, dir, "link", &size), -1);
	(void)close(dir);
	(void)snprintf(command, sizeof(command), "rm -r %s", name);
	assert_int_equal(pclose(popen(command, "r")), 0);
	sums_free(&sums);
	blob_free(&text);
	blob_free(&tar);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(odd_files_are_refused),
	    cmocka_unit_test(what_is_written_comes_back_sorted),
	    cmocka_unit_test(stock_tools_agree),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
