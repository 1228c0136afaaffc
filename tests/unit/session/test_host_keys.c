/* Any pinned key is good first, and then only the same; what is not good is kept as evidence, in words that hurt nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "host_keys.h"

/* A blob of that kind, told apart by a letter. */
static struct bytes
key(const char *kind, char letter)
{
	static struct wire all[16];
	static size_t next;
	struct wire *w = &all[next++ % 16];

	wire_clear(w);
	wire_put_bytes(w, bytes_text(kind));
	wire_put_bytes(w, bytes_of(&letter, 1));
	return (wire_bytes(w));
}

static void
pin(struct host_keys *k, const char *kind, char letter, const char *kind_2, char letter_2)
{
	struct wire list = {.at = NULL};

	wire_put_bytes(&list, key(kind, letter));
	if (kind_2 != NULL)
		wire_put_bytes(&list, key(kind_2, letter_2));
	assert_int_equal(host_keys_take(k, wire_bytes(&list)), 0);
	wire_free(&list);
}

static void
any_first_then_the_same(void **state)
{
	struct host_keys k = {0};

	(void)state;
	pin(&k, "ssh-ed25519", 'a', "ssh-rsa", 'b');
	assert_int_equal(host_keys_see(&k, key("ssh-rsa", 'b')), 1);
	assert_int_equal(host_keys_see(&k, key("ssh-rsa", 'b')), 1);
	assert_int_equal(host_keys_differ(&k), 0);
	assert_int_equal(host_keys_see(&k, key("ssh-ed25519", 'a')), 0); /* pinned, but not the one it began with */
	assert_int_equal(host_keys_differ(&k), 1);
	host_keys_free(&k);
}

static void
another_is_evidence(void **state)
{
	struct host_keys k = {0};
	char line[512], *text;

	(void)state;
	pin(&k, "ssh-ed25519", 'a', "ssh-ed25519", 'b');
	assert_int_equal(host_keys_see(&k, key("ssh-ed25519", 'c')), 0);
	assert_int_equal(host_keys_see(&k, key("ssh-ed25519", 'd')), 0); /* the first one stands */
	text = host_keys_shown(&k);
	assert_string_equal(text, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAWM=");
	free(text);
	host_keys_line(&k, "osv1", line, sizeof(line));
	assert_non_null(strstr(line, "osv1 showed the host key SHA256:"));
	assert_non_null(strstr(line, ", SHA256:")); /* both pinned ones */
	text = host_keys_fact(&k);
	assert_non_null(strstr(text, "{\"host_key\":{\"shown\":\"ssh-ed25519 AAAA"));
	assert_non_null(strstr(text, "\"at\":\"login\"}}"));
	free(text);
	host_keys_free(&k);
}

static void
evidence_hurts_nobody(void **state)
{
	struct host_keys k = {0};
	char *text;

	(void)state;
	pin(&k, "ssh-ed25519", 'a', NULL, 0);
	assert_int_equal(host_keys_see(&k, key("\033[31m\"", 'c')), 0);
	text = host_keys_shown(&k);
	assert_null(strchr(text, 27));
	free(text);
	host_keys_free(&k);
}

static void
algorithms(void **state)
{
	static const struct {
		const char *kind, *kind_2, *legacy, *list; /* NULL: there is none */
	} rows[] = {
	    {"ssh-rsa", "ssh-ed25519", "", "ssh-ed25519,rsa-sha2-512,rsa-sha2-256"},
	    {"ssh-rsa", NULL, "hmac-sha1,ssh-rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa"},
	    {"ecdsa-sha2-nistp256", NULL, "ssh-rsa", "ecdsa-sha2-nistp256"},
	    {"ssh-dss", NULL, "ssh-rsa", NULL},
	};
	char list[HOST_KEYS_ALGORITHMS];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct host_keys k = {0};
		int rc;

		pin(&k, rows[i].kind, 'a', rows[i].kind_2, 'b');
		rc = host_keys_algorithms(&k, bytes_text(rows[i].legacy), list, sizeof(list));
		assert_int_equal(rc, rows[i].list == NULL ? -1 : 0);
		if (rows[i].list != NULL)
			assert_string_equal(list, rows[i].list);
		assert_int_equal(host_keys_algorithms(&k, bytes_text(""), list, 4), -1);
		host_keys_free(&k);
	}
}

/* As ssh-keygen -l prints it: printf %s AAAA...|base64 -d|openssl dgst -sha256 -binary|base64. */
static void
fingerprint(void **state)
{
	char text[HOST_KEY_FINGERPRINT];

	(void)state;
	host_key_fingerprint(bytes_text("abc"), text);
	assert_string_equal(text, "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0");
}

static void
lists_that_do_not_read(void **state)
{
	struct host_keys k = {0};
	struct wire list = {.at = NULL};

	(void)state;
	assert_int_equal(host_keys_take(&k, bytes_of(NULL, 0)), -1);
	assert_int_equal(host_keys_take(&k, bytes_text("\0\0\0\7short")), -1);
	wire_put_bytes(&list, bytes_text("no kind"));
	assert_int_equal(host_keys_take(&k, wire_bytes(&list)), -1);
	wire_free(&list);
	host_keys_free(&k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_first_then_the_same),
	    cmocka_unit_test(another_is_evidence),
	    cmocka_unit_test(evidence_hurts_nobody),
	    cmocka_unit_test(algorithms),
	    cmocka_unit_test(fingerprint),
	    cmocka_unit_test(lists_that_do_not_read),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
