/* auth's questions reach a person as they are, a QR code in them, and can do nothing to a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "prompts.h"
#include "text.h"

static void
lines(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
	    {"Password: ", "Password: "},
	    {"two\n\tlines\\", "two\n\tlines\\"},
	    {"\xe2\x96\x88\xe2\x96\x80\xe2\x96\x84 \n",
	        "\xe2\x96\x88\xe2\x96\x80\xe2\x96\x84 \n"}, /* half blocks */
	    {"\033]0;x\007\r", "?]0;x??"},
	    {"\x9b"
	     "2J\x7f",
	        "?2J?"},
	    {"\xc2\x9b", "??"}, /* a C1 control */
	    {"a\xe2\x80\xae"
	     "b",
	        "a???b"}, /* what turns the writing around */
	    {"\xff\xe2\x96", "???"},
	    {"", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = text_lines(bytes_text(rows[i].from));

		assert_string_equal(text, rows[i].to);
		free(text);
	}
}

static struct msg_prompts
round_of(struct wire *w, uint16_t count)
{
	return ((struct msg_prompts){
	    .name = bytes_text("n"), .instruction = bytes_text("i\033"), .count = count, .prompts = wire_bytes(w)});
}

static void
reads(void **state)
{
	struct wire w = {.at = NULL};
	struct msg_prompts m;
	struct prompts p;

	(void)state;
	wire_put_u8(&w, 1);
	wire_put_text(&w, bytes_text("Name: "));
	wire_put_u8(&w, 0);
	wire_put_text(&w, bytes_text("\xe2\x96\x88\nCode: "));
	m = round_of(&w, 2);
	assert_int_equal(prompts_read(&p, &m), 0);
	assert_int_equal(p.count, 2);
	assert_string_equal(p.instruction, "i?");
	assert_int_equal(p.echo[0], 1);
	assert_string_equal(p.prompt[1], "\xe2\x96\x88\nCode: ");
	prompts_free(&p);
	for (uint16_t count = 0; count < 20; count++) { /* any other count does not read */
		m = round_of(&w, count);
		assert_int_equal(prompts_read(&p, &m), count == 2 ? 0 : -1);
		prompts_free(&p);
	}
	wire_clear(&w);
	m = round_of(&w, 0); /* words alone */
	assert_int_equal(prompts_read(&p, &m), 0);
	prompts_free(&p);
	wire_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines),
	    cmocka_unit_test(reads),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
