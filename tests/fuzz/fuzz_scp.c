/* scp from both sides.  Beside no crash: cut in pieces it comes out the same, and every byte passes as it is. */
#include "rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const commands[] = {"scp -t /tmp/x", "scp -f /tmp/x", "scp -r -d -t .",
	    "scp -f /var/log/*.log", "scp -t x/", "scp -f a b", "scp -t ~", "scp -r -f /a/b/"};
	struct transfer_of of = {0};
	struct played whole, ones;

	if (size == 0)
		return (0);
	of.kind = data[0] & 1 ? TRANSFER_SCP_DOWN : TRANSFER_SCP_UP;
	of.command = commands[data[0] & 7];
	play(&whole, of, bytes_of(data + 1, size - 1), PIECES_WHOLE);
	play(&ones, of, bytes_of(data + 1, size - 1), PIECES_OF_ONE);
	played_must_equal(&whole, &ones);
	must(whole.trouble[0] == '\0', "no trouble with scp");
	must(
	    bytes_equal(fifo_bytes(&whole.to_target), fifo_bytes(&whole.from_engineer)), "all of it to the target");
	must(bytes_equal(fifo_bytes(&whole.to_engineer), fifo_bytes(&whole.from_target)),
	    "all of it to the engineer");
	played_free(&whole);
	played_free(&ones);
	return (0);
}
