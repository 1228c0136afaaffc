/*
 * age: keys and headers as the standard spells them, files both ways between us and the stock `age`, every single
 * bit flip and every cut refused, the failing chunk named.
 */
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/age.h"
#include "format/bech32.h"

/* C2SP age.md's own example of a key pair's spelling. */
#define SPEC_IDENTITY "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
#define SPEC_RECIPIENT "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

static char workdir[] = "/tmp/age_test.XXXXXX";

/* Runs a program with its output in a file; its exit status. */
static int
run(const char *const argv[], const char *out)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (freopen(out == NULL ? "/dev/null" : out, "w", stdout) == NULL ||
		    freopen("/dev/null", "w", stderr) == NULL)
			_exit(126);
		(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static void
path_in(char out[256], const char *name)
{
	(void)snprintf(out, 256, "%s/%s", workdir, name);
}

static void
file_write(const char *name, const void *from, size_t size)
{
	char path[256];
	FILE *f;

	path_in(path, name);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(from, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static struct blob
file_read(const char *name)
{
	struct blob b = {.at = NULL};
	char path[256];
	FILE *f;

	path_in(path, name);
	assert_non_null(f = fopen(path, "r"));
	assert_int_equal(blob_read(&b, fileno(f), 64 << 20), 0);
	(void)fclose(f);
	return (b);
}

static struct blob
pattern(size_t size)
{
	struct blob b = {.at = NULL};

	assert_int_equal(blob_reserve(&b, size + 1), 0);
	for (size_t i = 0; i < size; i++)
		b.at[i] = (unsigned char)(i * 2654435761U >> 13);
	b.size = size;
	return (b);
}

static struct blob
sealed_for(const struct age_recipient *recipients, size_t count, const struct blob *plain)
{
	unsigned char file_key[AGE_FILE_KEY_SIZE];
	struct blob out = {.at = NULL};
	struct age_writer *w;

	assert_int_equal(age_file_key_make(file_key), 0);
	assert_int_equal(age_header_make(&out, file_key, recipients, count), 0);
	assert_non_null(w = age_writer_new(file_key, age_sink_blob, &out));
	for (size_t at = 0; at < plain->size; at += 1000) /* pieces that do not fit the chunks */
		assert_int_equal(
		    age_writer_add(w, plain->at + at, plain->size - at < 1000 ? plain->size - at : 1000), AGE_OK);
	assert_int_equal(age_writer_end(w), AGE_OK);
	age_writer_free(w);
	return (out);
}

/* Opens `file` in pieces of `piece` bytes; *chunk is the reader's when it ended. */
static enum age_error
opened(
    const struct age_identity *identity, const struct blob *file, size_t piece, struct blob *plain, uint64_t *chunk)
{
	struct age_reader *r = age_reader_new((struct age_keyring){identity, 1}, age_sink_blob, plain);
	enum age_error why = AGE_OK;

	assert_non_null(r);
	for (size_t at = 0; at < file->size && why == AGE_OK; at += piece)
		why = age_reader_add(r, file->at + at, file->size - at < piece ? file->size - at : piece);
	if (why == AGE_OK)
		why = age_reader_end(r);
	*chunk = age_reader_chunk(r);
	age_reader_free(r);
	return (why);
}

static struct age_recipient
public_of(const struct age_identity *identity)
{
	struct age_recipient recipient;

	memcpy(recipient.point, identity->point, AGE_KEY_SIZE);
	return (recipient);
}

static void
keys_are_spelt_as_the_standard_does(void **state)
{
	struct age_identity identity;
	struct age_recipient recipient;
	char text[AGE_IDENTITY_TEXT], public[AGE_RECIPIENT_TEXT];

	(void)state;
	assert_int_equal(age_identity_parse(&identity, SPEC_IDENTITY), 0);
	recipient = public_of(&identity);
	assert_int_equal(age_recipient_text(&recipient, public), 0);
	assert_string_equal(public, SPEC_RECIPIENT);
	assert_int_equal(age_identity_text(&identity, text), 0);
	assert_string_equal(text, SPEC_IDENTITY);
	assert_int_equal(age_recipient_parse(&recipient, SPEC_RECIPIENT), 0);
	assert_memory_equal(recipient.point, identity.point, AGE_KEY_SIZE);
}

static void
odd_keys_are_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "age1",
	    "age",
	    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujw",
	    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwk",
	    "AGE1ZVKYG2LQZRAA2LNJVQEJ32NKUU0UES2S82HZRYE869XEEXVN73EQUNUJWJ",
	    "age1Zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
	    "agf1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
	    SPEC_RECIPIENT " ",
	    SPEC_IDENTITY,
	};
	struct age_recipient recipient;
	struct age_identity identity;
	struct age_identity many[2];
	unsigned line;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(age_recipient_parse(&recipient, bad[i]), -1);
	assert_int_equal(age_identity_parse(&identity, SPEC_RECIPIENT), -1);
	assert_int_equal(age_identity_parse(&identity,
	                     "age-secret-key-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex"),
	    -1);
	assert_int_equal(
	    age_identities_read(many, 2, "# c\n\n" SPEC_IDENTITY "\nrubbish\n", 5 + 74 + 9, &line), -1);
	assert_int_equal(line, 4);
	assert_int_equal(age_identities_read(many, 2, "# c\n\n" SPEC_IDENTITY "\n", 5 + 75, &line), 1);
	assert_int_equal(age_identities_read(many, 2, "# c\n", 4, &line), -1);
	assert_int_equal(line, 0);
}

static void
what_we_write_stock_age_opens(void **state)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 300000};
	struct age_identity ours[3];
	struct age_recipient recipients[3];
	char key[AGE_IDENTITY_TEXT + 1], in[256], keyfile[256], out[256];

	(void)state;
	path_in(in, "file.age");
	path_in(keyfile, "key");
	path_in(out, "plain");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(age_identity_make(&ours[i]), 0);
		recipients[i] = public_of(&ours[i]);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct blob plain = pattern(sizes[i]), file = sealed_for(recipients, 3, &plain), back;

		assert_int_equal(age_identity_text(&ours[i % 3], key), 0);
		file_write("key", key, strlen(key));
		file_write("file.age", file.at, file.size);
		assert_int_equal(run((const char *const[]){"age", "-d", "-i", keyfile, in, NULL}, out), 0);
		back = file_read("plain");
		assert_int_equal(back.size, plain.size);
		assert_memory_equal(back.at, plain.at, plain.size);
		blob_free(&plain);
		blob_free(&file);
		blob_free(&back);
	}
}

static void
what_stock_age_writes_we_open(void **state)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
	char keyfile[256], in[256], out[256], public[AGE_RECIPIENT_TEXT];
	struct age_identity identity;
	struct age_recipient recipient;
	struct blob text;
	uint64_t chunk;
	unsigned line;

	(void)state;
	path_in(keyfile, "stock.key");
	path_in(in, "plain");
	path_in(out, "stock.age");
	assert_int_equal(run((const char *const[]){"age-keygen", "-o", keyfile, NULL}, NULL), 0);
	text = file_read("stock.key");
	assert_int_equal(age_identities_read(&identity, 1, (const char *)text.at, text.size, &line), 1);
	blob_free(&text);
	recipient = public_of(&identity);
	assert_int_equal(age_recipient_text(&recipient, public), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		static const size_t pieces[] = {1, 17, 65536, 1 << 20};
		struct blob plain = pattern(sizes[i]), file;

		file_write("plain", plain.at, plain.size);
		assert_int_equal(
		    run((const char *const[]){"age", "-r", public, "-r", SPEC_RECIPIENT, "-o", out, in, NULL},
		        NULL),
		    0);
		file = file_read("stock.age");
		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
			struct blob back = {.at = NULL};

			assert_int_equal(opened(&identity, &file, pieces[p], &back, &chunk), AGE_OK);
			assert_int_equal(back.size, plain.size);
			if (plain.size > 0)
				assert_memory_equal(back.at, plain.at, plain.size);
			blob_free(&back);
		}
		blob_free(&plain);
		blob_free(&file);
	}
}

static void
every_flip_and_cut_is_found(void **state)
{
	struct age_identity identity;
	struct age_recipient recipient;
	struct blob plain = pattern(100), file, back = {.at = NULL};
	uint64_t chunk;

	(void)state;
	assert_int_equal(age_identity_make(&identity), 0);
	recipient = public_of(&identity);
	file = sealed_for(&recipient, 1, &plain);
	for (size_t i = 0; i < file.size; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			file.at[i] ^= (unsigned char)(1U << bit);
			assert_int_not_equal(opened(&identity, &file, 4096, &back, &chunk), AGE_OK);
			assert_int_equal(back.size, 0);
			file.at[i] ^= (unsigned char)(1U << bit);
		}
	}
	for (size_t cut = 0; cut < file.size; cut++) {
		const struct blob shorter = {.at = file.at, .size = cut};

		assert_int_not_equal(opened(&identity, &shorter, 4096, &back, &chunk), AGE_OK);
		assert_int_equal(back.size, 0);
	}
	blob_free(&plain);
	blob_free(&file);
	blob_free(&back);
}

static void
the_failing_chunk_is_named(void **state)
{
	static const struct {
		const char *what;
		size_t at_chunk;
		long at;
		enum age_error why;
	} rows[] = {
	    {"flip in the first", 0, 5, AGE_CHUNK_FORGED},
	    {"flip in the third", 2, 60000, AGE_CHUNK_FORGED},
	    {"flip in the last tag", 4, -1, AGE_CHUNK_FORGED},
	    {"cut behind the second", 2, -2, AGE_TRUNCATED},
	    {"bytes added", 4, -3, AGE_CHUNK_FORGED},
	};
	struct age_identity identity;
	struct age_recipient recipient;
	struct blob plain = pattern(4 * 65536 + 10), file, back = {.at = NULL};
	size_t header;
	uint64_t chunk;

	(void)state;
	assert_int_equal(age_identity_make(&identity), 0);
	recipient = public_of(&identity);
	file = sealed_for(&recipient, 1, &plain);
	assert_int_equal(age_header_measure(file.at, file.size, &header, NULL), AGE_OK);
	header += AGE_NONCE_SIZE;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blob copy = {.at = NULL};

		assert_int_equal(blob_add(&copy, file.at, file.size), 0);
		if (rows[i].at >= 0)
			copy.at[header + rows[i].at_chunk * 65552 + (size_t)rows[i].at] ^= 1;
		else if (rows[i].at == -1)
			copy.at[copy.size - 1] ^= 1;
		else if (rows[i].at == -2)
			copy.size = header + 2 * 65552;
		else
			assert_int_equal(blob_add(&copy, "x", 1), 0);
		assert_int_equal(opened(&identity, &copy, 10000, &back, &chunk), rows[i].why);
		if (rows[i].why == AGE_CHUNK_FORGED)
			assert_int_equal(chunk, rows[i].at_chunk);
		blob_free(&copy);
	}
	blob_free(&plain);
	blob_free(&file);
	blob_free(&back);
}

static void
strange_headers_are_refused(void **state)
{
	static const struct {
		const char *text;
		enum age_error why;
	} rows[] = {
	    {"", AGE_TRUNCATED},
	    {"age-encryption.org/v2\n", AGE_MALFORMED},
	    {"age-encryption.org/v1\r\n", AGE_MALFORMED},
	    {"age-encryption.org/v1\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", AGE_MALFORMED},
	    {"age-encryption.org/v1\n->  X25519\n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
	        AGE_MALFORMED},
	    {"age-encryption.org/v1\n-> \n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", AGE_MALFORMED},
	    {"age-encryption.org/v1\n-> grease\nAB=\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
	        AGE_MALFORMED},
	    {"age-encryption.org/v1\n-> grease\nAB\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
	        AGE_MALFORMED},
	    {"age-encryption.org/v1\n-> grease\n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", AGE_MALFORMED},
	    {"age-encryption.org/v1\n-> grease x y\n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", AGE_OK},
	    {"age-encryption.org/v1\n-> grease x y\n\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	        AGE_TRUNCATED},
	};
	struct blob many = {.at = NULL};
	size_t header, stanzas;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(age_header_measure(
		                     (const unsigned char *)rows[i].text, strlen(rows[i].text), &header, &stanzas),
		    rows[i].why);
	assert_int_equal(blob_add_text(&many, "age-encryption.org/v1\n"), 0);
	for (unsigned i = 0; i <= AGE_RECIPIENTS_MAX; i++)
		assert_int_equal(blob_add_text(&many, "-> grease\n\n"), 0);
	assert_int_equal(age_header_measure(many.at, many.size, &header, &stanzas), AGE_MALFORMED);
	blob_clear(&many);
	assert_int_equal(blob_add_text(&many, "age-encryption.org/v1\n-> a"), 0);
	for (unsigned i = 0; i < AGE_HEADER_MAX; i++)
		assert_int_equal(blob_add_text(&many, "a"), 0);
	assert_int_equal(age_header_measure(many.at, many.size, &header, &stanzas), AGE_MALFORMED);
	blob_free(&many);
}

static void
only_recipients_open_and_the_log_key_is_its_own(void **state)
{
	unsigned char file_key[AGE_FILE_KEY_SIZE], again[AGE_FILE_KEY_SIZE], log_key[AGE_KEY_SIZE],
	    header_key[AGE_KEY_SIZE];
	struct age_identity identity, other;
	struct age_recipient recipient;
	struct blob header = {.at = NULL};
	size_t size;

	(void)state;
	assert_int_equal(age_identity_make(&identity), 0);
	assert_int_equal(age_identity_make(&other), 0);
	recipient = public_of(&identity);
	assert_int_equal(age_file_key_make(file_key), 0);
	assert_int_equal(age_header_make(&header, file_key, &recipient, 1), 0);
	assert_int_equal(
	    age_header_open(header.at, header.size, (struct age_keyring){&other, 1}, again, &size), AGE_NOT_FOR_US);
	assert_int_equal(
	    age_header_open(header.at, header.size, (struct age_keyring){&identity, 1}, again, &size), AGE_OK);
	assert_int_equal(size, header.size);
	assert_memory_equal(again, file_key, sizeof(file_key));
	assert_int_equal(age_header_make(&header, file_key, &recipient, 0), -1);
	assert_int_equal(age_key_derive(log_key, file_key, AGE_INFO_LOG), 0);
	assert_int_equal(age_key_derive(header_key, file_key, "header"), 0);
	assert_memory_not_equal(log_key, header_key, sizeof(log_key));
	blob_free(&header);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_are_spelt_as_the_standard_does),
	    cmocka_unit_test(odd_keys_are_refused),
	    cmocka_unit_test(what_we_write_stock_age_opens),
	    cmocka_unit_test(what_stock_age_writes_we_open),
	    cmocka_unit_test(every_flip_and_cut_is_found),
	    cmocka_unit_test(the_failing_chunk_is_named),
	    cmocka_unit_test(strange_headers_are_refused),
	    cmocka_unit_test(only_recipients_open_and_the_log_key_is_its_own),
	};

	if (mkdtemp(workdir) == NULL)
		return (1);
	return (cmocka_run_group_tests(tests, NULL, NULL) == 0 &&
	                run((const char *const[]){"rm", "-r", workdir, NULL}, NULL) == 0
	            ? 0
	            : 1);
}
