/* What a session says that it carried: which objects say so, and the line that a player shows of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "format/carried.h"

#define P10 "0123456789"
#define P100 P10 P10 P10 P10 P10 P10 P10 P10 P10 P10

static void
each_object_has_its_line(void **state)
{
	static const struct {
		const char *object, *label; /* NULL: it is none of these */
	} all[] = {
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"/tmp/x\",\"bytes\":67108864,\"result\":\"ok\"}}",
	        "upload /tmp/x, 64 MiB, ok"},
	    {"{\"file\":{\"op\":\"download\",\"path\":\"a b\",\"bytes\":1,\"result\":\"unfinished\"}}",
	        "download a b, 1 byte, unfinished"},
	    {"{\"file\":{\"op\":\"download\",\"path\":\"a\",\"bytes\":0,\"sha256\":null,\"result\":\"ok\"}}",
	        "download a, 0 bytes, ok"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"a\",\"bytes\":1023,\"result\":\"failed: no room\"}}",
	        "upload a, 1023 bytes, failed: no room"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"a\",\"bytes\":1536,\"result\":\"ok\"}}",
	        "upload a, 1.5 KiB, ok"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"a\",\"bytes\":9223372036854775807}}",
	        "upload a, 8388607.9 TiB"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"a\",\"bytes\":-5,\"result\":\"ok\"}}", "upload a, ok"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"a\",\"bytes\":\"5\",\"result\":[]}}", "upload a"},
	    {"{\"file\":{}}", ""},
	    {"{\"operation\":{\"op\":\"rename\",\"path\":\"/a\",\"to\":\"/b\",\"result\":\"ok\"}}",
	        "rename /a -> /b, ok"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"/tmp\",\"name\":\"d/x\",\"bytes\":5,\"result\":\"ok\"}}",
	        "upload /tmp (d/x), 5 bytes, ok"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"/tmp/d/x\",\"name\":\"d/x\",\"bytes\":5,\"result\":\"ok\"}}",
	        "upload /tmp/d/x, 5 bytes, ok"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"/tmp/xx\",\"name\":\"x\",\"bytes\":5,\"result\":\"ok\"}}",
	        "upload /tmp/xx (x), 5 bytes, ok"},
	    {"{\"refused\":{\"op\":\"extended\",\"name\":\"x@y\",\"reason\":\"not-supported\"}}",
	        "refused: extended (x@y) [not-supported]"},
	    {"{\"operation\":{\"op\":\"remove\",\"path\":\"/a\",\"result\":\"failed: permission denied\"}}",
	        "remove /a, failed: permission denied"},
	    {"{\"refused\":{\"op\":\"upload\",\"path\":\"/a\",\"reason\":\"capability\",\"status\":3}}",
	        "refused: upload /a [capability]"},
	    {"{\"forward\":{\"to\":\"cmp:443\",\"bytes_in\":12,\"bytes_out\":4096}}",
	        "forwarded cmp:443, in 12 bytes, out 4 KiB"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"a\\n\\u001b]52;c;eA\\u0007\\u009b\\u202e\"}}",
	        "upload a\xef\xbf\xbd\xef\xbf\xbd]52;c;eA\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	    {"{\"file\":{\"op\":\"upload\",\"path\":\"" P100 P100 "x\"}}", "upload " P100 P100 "..."},
	    {"{\"file\":{\"op\":\"a\"},\"more\":1}", NULL},
	    {"{\"file\":[]}", NULL},
	    {"{\"File\":{}}", NULL},
	    {"{\"other\":{\"op\":\"upload\"}}", NULL},
	    {"{}", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		json_t *object = json_loads(all[i].object, 0, NULL);
		struct blob label = {.at = NULL};
		struct carried c;

		assert_non_null(object);
		assert_int_equal(carried_read(&c, object), all[i].label == NULL ? -1 : 0);
		if (all[i].label != NULL) {
			assert_int_equal(carried_label(&c, &label) | blob_add(&label, "", 1), 0);
			assert_string_equal((const char *)label.at, all[i].label);
		}
		blob_free(&label);
		json_decref(object);
	}
	assert_int_equal(carried_read(&(struct carried){.op = NULL}, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_object_has_its_line)};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
