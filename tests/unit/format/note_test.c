/* Notes: the Go documentation's own note and keys, checkpoints both ways, strangers' lines ignored, forgeries refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "format/note.h"

#define PUBLIC "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define SECRET "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define WORDS \
	"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
#define LINE                         \
	"\xe2\x80\x94 PeterNeumann " \
	"x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
#define STRANGER                  \
	"\xe2\x80\x94 EnochRoot " \
	"rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QM=\n"

static const struct {
	const char *text;
	int good;
} rows[] = {
    {WORDS "\n" LINE, 1},
    {WORDS "\n" LINE STRANGER, 1},
    {WORDS "\n" STRANGER LINE, 1},
    {WORDS "\n" STRANGER, 0},
    {WORDS LINE, 0},
    {WORDS "\n" LINE LINE, 0},
    {WORDS "\n" LINE "rubbish\n", 0},
    {WORDS "\n" LINE "\xe2\x80\x94 X !!!!\n", 0},
    {"x" WORDS "\n" LINE, 0},
    {WORDS "\n", 0},
    {"", 0},
    {"\n\n", 0},
    {WORDS "\n\xe2\x80\x94 PeterNeumann "
           "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAE=\n",
        0},
    {WORDS "\n\xe2\x80\x94 PeterNeumann x08go/ZJkuBS\n", 0},
};

static void
known_notes_are_judged(void **state)
{
	struct note_key key;
	char text[NOTE_KEY_TEXT];
	size_t size;

	(void)state;
	assert_int_equal(note_key_parse(&key, PUBLIC), 0);
	assert_int_equal(note_key_text(&key, text), 0);
	assert_string_equal(text, PUBLIC);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
		    note_verify(rows[i].text, strlen(rows[i].text), &key, &size), rows[i].good ? 0 : -1);
}

static void
we_sign_the_same(void **state)
{
	struct blob note = {.at = NULL};
	struct note_signer signer;
	char text[NOTE_KEY_TEXT];

	(void)state;
	assert_int_equal(note_signer_parse(&signer, SECRET), 0);
	assert_int_equal(note_signer_text(&signer, text), 0);
	assert_string_equal(text, SECRET);
	assert_int_equal(note_key_text(&signer.key, text), 0);
	assert_string_equal(text, PUBLIC);
	assert_int_equal(blob_add_text(&note, WORDS), 0);
	assert_int_equal(note_sign(&note, &signer), 0);
	assert_int_equal(note.size, strlen(WORDS "\n" LINE));
	assert_memory_equal(note.at, WORDS "\n" LINE, note.size);
	blob_clear(&note);
	assert_int_equal(blob_add_text(&note, "no end"), 0);
	assert_int_equal(note_sign(&note, &signer), -1);
	blob_free(&note);
}

static void
odd_keys_are_refused(void **state)
{
	static const char *const bad[] = {"", "+", "a+b",
	    "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	    "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	    "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", PUBLIC "=", PUBLIC "\n", SECRET};
	struct note_signer signer;
	struct note_key key;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(note_key_parse(&key, bad[i]), -1);
	assert_int_equal(note_signer_parse(&signer, PUBLIC), -1);
	assert_int_equal(note_signer_make(&signer, "two words"), -1);
}

static void
checkpoints_come_back(void **state)
{
	struct checkpoint out = {.origin = "lodge", .size = 20852163}, in;
	struct note_signer signer, other;
	struct blob note = {.at = NULL};
	const char *why;

	(void)state;
	memset(out.root.h, 7, 32);
	assert_int_equal(note_signer_make(&signer, "lodge"), 0);
	assert_int_equal(note_signer_make(&other, "lodge"), 0);
	assert_int_equal(checkpoint_write(&note, &out), 0);
	assert_int_equal(note_sign(&note, &signer), 0);
	assert_int_equal(checkpoint_open(&in, &note, &signer.key, &why), 0);
	assert_string_equal(in.origin, "lodge");
	assert_int_equal(in.size, out.size);
	assert_true(merkle_equal(&in.root, &out.root));
	assert_int_equal(checkpoint_open(&in, &note, &other.key, &why), -1);
	for (size_t i = 0; i < note.size; i++) {
		note.at[i] ^= 1;
		assert_int_equal(checkpoint_open(&in, &note, &signer.key, &why), -1);
		note.at[i] ^= 1;
	}
	blob_free(&note);
}

static void
odd_checkpoints_are_refused(void **state)
{
#define ROOT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	static const struct {
		const char *text;
		int result;
	} points[] = {
	    {"o\n1\n" ROOT "\n", 0},
	    {"o\n1\n" ROOT "\nextension\n", 0},
	    {"o\n01\n" ROOT "\n", -1},
	    {"o\n-1\n" ROOT "\n", -1},
	    {"o\n1\n" ROOT, -1},
	    {"\n1\n" ROOT "\n", -1},
	    {"o\n\n" ROOT "\n", -1},
	    {"o\n1\nAAAA\n", -1},
	    {"o\n1\n", -1},
	    {"o\n9999999999999999999\n" ROOT "\n", -1},
	    {"", -1},
	};
	struct checkpoint in;

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		assert_int_equal(checkpoint_parse(&in, points[i].text, strlen(points[i].text)), points[i].result);
}

static void
the_log_key_comes_from_pem(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
	         *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	struct note_signer signer;
	unsigned char point[32];
	size_t size = sizeof(point);
	char *text;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		BIO *out = BIO_new(BIO_s_mem());
		long length;

		assert_int_equal(PEM_write_bio_PrivateKey(out, i == 0 ? key : rsa, NULL, NULL, 0, NULL, NULL), 1);
		length = BIO_get_mem_data(out, &text);
		assert_int_equal(note_signer_pem(&signer, "lodge", text, (size_t)length), i == 0 ? 0 : -1);
		if (i == 0) {
			assert_int_equal(EVP_PKEY_get_raw_public_key(key, point, &size), 1);
			assert_memory_equal(point, signer.key.point, 32);
		}
		BIO_free(out);
	}
	assert_int_equal(note_signer_pem(&signer, "lodge", "rubbish", 7), -1);
	EVP_PKEY_free(key);
	EVP_PKEY_free(rsa);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_notes_are_judged),
	    cmocka_unit_test(we_sign_the_same),
	    cmocka_unit_test(odd_keys_are_refused),
	    cmocka_unit_test(checkpoints_come_back),
	    cmocka_unit_test(odd_checkpoints_are_refused),
	    cmocka_unit_test(the_log_key_comes_from_pem),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
