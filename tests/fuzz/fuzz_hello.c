/* A target's first words.  What reads must read the same from pieces, and nothing that is kept of it controls a terminal. */
#include "rig.h"
#include "scan_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_clean(const char *text)
{
	for (; *text != '\0'; text++)
		must((unsigned char)*text >= ' ' && *text != 0x7f, "no control character");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hello whole, part;
	char why[HELLO_WHY], other[HELLO_WHY];
	enum hello_read got, before = HELLO_MORE;
	size_t step = size / 50 + 1;

	why[0] = '\0';
	got = hello_read(&whole, bytes_of(data, size), why);
	if (got == HELLO_DONE)
		must_be_clean(whole.version);
	for (int i = 0; i < HELLO_LISTS && got == HELLO_DONE; i++)
		must_be_clean(whole.lists[i]);
	if (got == HELLO_BAD)
		must_be_clean(why);
	hello_so_far(bytes_of(data, size), other);
	must_be_clean(other);
	/* Once it is decided, more changes nothing. */
	for (size_t n = 0; n < size; n += step) {
		before = hello_read(&part, bytes_of(data, n), other);
		if (before != HELLO_MORE)
			break;
	}
	must(before == HELLO_MORE || before == got, "more of it changes nothing");
	for (int i = 0; i < HELLO_LISTS && before == HELLO_DONE; i++)
		must(strcmp(whole.lists[i], part.lists[i]) == 0, "the same lists");
	return (0);
}
