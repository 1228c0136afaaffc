/* The safe player: what is text is drawn, what is not is counted in a line of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/player.h"
#include "frames.h"

static struct frames r;
static unsigned char noise[2000];

static int
setup(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(noise); i++) {
		seed = seed * 1664525 + 1013904223;
		noise[i] = (unsigned char)(seed >> 24);
	}
	frames_begin(&r);
	r.now_ms = 0;
	frame_text(&r, FRAME_EXEC, "tar c");
	r.now_ms = 1000;
	frame_text(&r, FRAME_OUT, "first\n");
	frame_bytes(&r, FRAME_OUT, noise, sizeof(noise));
	frames_seal(&r);
	r.now_ms = 2000;
	frame_bytes(&r, FRAME_OUT, noise, sizeof(noise));
	r.now_ms = 3000;
	frame_text(&r, FRAME_OUT, "then\n");
	r.now_ms = 4000;
	frame_bytes(&r, FRAME_OUT, "\377", 1);
	frame_bytes(&r, FRAME_OUT, "\0", 1);
	frame_bytes(&r, FRAME_CLOSE, "", 0);
	frames_seal(&r);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	frames_end(&r);
	return (0);
}

static void
expect_played(uint64_t at_ms, const char *text)
{
	const struct player_about about = {.dir = r.fd, .ring = frames_ring(&r), .at_ms = at_ms};
	struct player *p = player_new(&about);
	struct blob out = {.at = NULL};
	enum player_step step;
	uint64_t wait_ms;

	assert_non_null(p);
	while ((step = player_step(p, &out, &wait_ms)) == PLAYER_MORE)
		assert_int_equal(wait_ms, 0);
	assert_int_equal(step, PLAYER_END);
	assert_int_equal(blob_add(&out, "", 1), 0);
	assert_string_equal((const char *)out.at, text);
	blob_free(&out);
	player_free(p);
}

static void
what_is_no_text_is_one_line(void **state)
{
	(void)state;
	expect_played(0, "[00:00:00 exec: tar c]\nfirst\n[00:00:03 4000 bytes that are no text]\nthen\n"
	                 "[00:00:04 2 bytes that are no text]\n");
	expect_played(2000, "[00:00:03 2000 bytes that are no text]\nthen\n[00:00:04 2 bytes that are no text]\n");
	expect_played(3500, "[00:00:04 2 bytes that are no text]\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_is_no_text_is_one_line, setup, teardown)};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
