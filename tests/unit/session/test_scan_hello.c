/* What a target says before any key is agreed: read whole, in pieces, cut off and invented, always bounded. */
#include <stdio.h>

#include "bench.h"
#include "scan_hello.h"

#define VERSION "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"

/* One packet of RFC 4253 6. */
static void
plain_put(struct wire *w, const void *payload, size_t len)
{
	static const uint8_t padding[16] = {0};
	size_t pad = 8 - (5 + len) % 8 + 8;

	wire_put_u32(w, (uint32_t)(1 + len + pad));
	wire_put_u8(w, (uint8_t)pad);
	wire_put_raw(w, payload, len);
	wire_put_raw(w, padding, pad);
}

/* A KEXINIT whose lists are all `list`. */
static void
kexinit_put(struct wire *w, struct bytes list)
{
	static const uint8_t cookie[16] = {0};
	struct wire payload = {0};

	wire_put_u8(&payload, 20);
	wire_put_raw(&payload, cookie, sizeof(cookie));
	for (int i = 0; i < 10; i++)
		wire_put_bytes(&payload, list);
	wire_put_raw(&payload, "\0\0\0\0\0", 5);
	plain_put(w, payload.at, payload.len);
	wire_free(&payload);
}

static struct wire
said(const char *text, struct bytes list)
{
	struct wire w = {0};

	wire_put_raw(&w, text, strlen(text));
	if (list.at != NULL)
		kexinit_put(&w, list);
	if (w.len > 0)
		seed_save("hello", wire_bytes(&w));
	return (w);
}

static void
good_ones(void **state)
{
	static const char *const before[] = {"", "Welcome\r\n", "a\nb\n\n", "SSH is spoken here\r\n"};
	static struct hello h;
	char why[HELLO_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		struct wire w = said(before[i], bytes_of(NULL, 0));

		wire_put_raw(&w, VERSION, sizeof(VERSION) - 1);
		plain_put(&w, "\2\0\0\0\3abc", 8);          /* IGNORE */
		plain_put(&w, "\4\1\0\0\0\1x\0\0\0\0", 11); /* DEBUG */
		kexinit_put(&w, bytes_text("one,two@example.org,three"));
		wire_put_raw(&w, "more", 4);
		seed_save("hello", wire_bytes(&w));
		/* Nothing is decided before the last byte of KEXINIT. */
		for (size_t n = 0; n < w.len - 4; n++) {
			/* a copy of just so many bytes: ASan sees who reads on */
			char *part = bytes_dup(bytes_of(w.at, n));

			assert_int_equal(hello_read(&h, bytes_of(part, n), why), HELLO_MORE);
			free(part);
		}
		assert_int_equal(hello_read(&h, bytes_of(w.at, w.len - 4), why), HELLO_DONE);
		assert_int_equal(hello_read(&h, wire_bytes(&w), why), HELLO_DONE);
		assert_string_equal(h.version, "SSH-2.0-OpenSSH_9.2p1 Debian-2");
		for (int list = 0; list < HELLO_LISTS; list++)
			assert_string_equal(h.lists[list], "one,two@example.org,three");
		wire_free(&w);
	}
}

static void
text_that_is_not(void **state)
{
	static const struct {
		const char *says, *why;
	} all[] = {
	    {"SSH-1.5-1.2.27\n", "it speaks another protocol than SSH 2: SSH-1.5-1.2.27"},
	    {"SSH-3.0-\x1b[2J\n", "it speaks another protocol than SSH 2: SSH-3.0-\\x1b[2J"},
	    {VERSION "\xff\xff\xff\xff\x05", "behind its version comes no ssh packet"},
	    {VERSION "GET / HTTP/1.1\r\n", "behind its version comes no ssh packet"},
	};
	static struct hello h;
	struct wire w = {0};
	char why[HELLO_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		w = said(all[i].says, bytes_of(NULL, 0));
		assert_int_equal(hello_read(&h, wire_bytes(&w), why), HELLO_BAD);
		assert_string_equal(why, all[i].why);
		wire_free(&w);
	}
	for (size_t i = 0; i < 9000; i++)
		wire_put_raw(&w, i % 90 == 0 ? "\n" : "\x07", 1);
	assert_int_equal(hello_read(&h, bytes_of(w.at, 8000), why), HELLO_MORE);
	assert_int_equal(hello_read(&h, wire_bytes(&w), why), HELLO_BAD);
	assert_non_null(strstr(why, "no ssh server's word"));
	wire_free(&w);
	hello_so_far(bytes_text(""), why);
	assert_string_equal(why, "it said nothing");
	hello_so_far(bytes_text("220 mail\x1b\r\nmore"), why);
	assert_string_equal(why, "it said \"220 mail\\x1b\"");
}

static void
packets_that_are_not(void **state)
{
	static const struct {
		const char *payload;
		size_t len;
		enum hello_read got;
		const char *why;
	} all[] = {
	    {"\x1e", 1, HELLO_BAD, "it speaks before it says its algorithms"},
	    {"\x14", 1, HELLO_BAD, "its list of algorithms (KEXINIT) does not read"},
	    {"\x14"
	     "0123456789abcdef\xff\xff\xff\xff",
	        21, HELLO_BAD, "its list of algorithms (KEXINIT) does not read"},
	    {"\1\0\0\0\2\0\0\0\4n\x1b"
	     "o!",
	        13, HELLO_BAD, "it disconnected: \"n\\x1bo!\""},
	    {"\1", 1, HELLO_BAD, "it disconnected: \"\""},
	    {"\1\0\0\0\2\0\0\0\x7fno", 11, HELLO_BAD, "it disconnected: \"\""},
	};
	static struct hello h;
	struct wire w;
	char why[HELLO_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		w = said(VERSION, bytes_of(NULL, 0));
		plain_put(&w, all[i].payload, all[i].len);
		assert_int_equal(hello_read(&h, wire_bytes(&w), why), all[i].got);
		assert_string_equal(why, all[i].why);
		wire_free(&w);
	}
	w = said(VERSION, bytes_of(NULL, 0));
	for (int i = 0; i < 9; i++)
		plain_put(&w, "\2\0\0\0\0", 5);
	assert_int_equal(hello_read(&h, wire_bytes(&w), why), HELLO_BAD); /* enough of that */
	wire_free(&w);
}

static void
lists_that_are_not(void **state)
{
	static uint8_t at[HELLO_LIST];
	static struct hello h;
	const struct {
		struct bytes list;
		enum hello_read got;
	} all[] = {
	    {bytes_text(""), HELLO_DONE},
	    {bytes_text(",,"), HELLO_DONE},
	    {bytes_of(at, 64), HELLO_DONE},
	    {bytes_of(at, 65), HELLO_BAD},
	    {bytes_of(at, HELLO_LIST), HELLO_BAD},
	    {bytes_text("a,b c"), HELLO_BAD},
	    {bytes_text("a,\x1b"), HELLO_BAD},
	    {bytes_text("a,\xc3\xa4"), HELLO_BAD},
	    {bytes_of("a\0b", 3), HELLO_BAD},
	};
	char why[HELLO_WHY];

	(void)state;
	memset(at, 'x', sizeof(at));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct wire w = said(VERSION, all[i].list);

		if (hello_read(&h, wire_bytes(&w), why) != all[i].got)
			fail_msg("row %zu: %s", i, why);
		wire_free(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good_ones), cmocka_unit_test(text_that_is_not),
	    cmocka_unit_test(packets_that_are_not), cmocka_unit_test(lists_that_are_not)};

	return (cmocka_run_group_tests_name("scan_hello", tests, NULL, NULL));
}
