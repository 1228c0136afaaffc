/*
 * SFTP from both sides.  Beside no crash: cut in pieces it comes out the same, and what reaches the target is read again,
 * by other code, for what the grant does not cover.
 */
#include "contract/messages.h"
#include "rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Needs of requests by type, from the draft and not from sftp_ask.c. */
static unsigned
request_needs(uint8_t type, struct reader body)
{
	static const char *const harmless[] = {"statvfs@openssh.com", "fstatvfs@openssh.com", "limits@openssh.com",
	    "expand-path@openssh.com", "home-directory", "users-groups-by-id@openssh.com"};
	unsigned needs = 0;
	struct bytes name;
	uint32_t flags;

	switch (type) {
	case 3:
		(void)reader_get_bytes(&body);
		flags = reader_get_u32(&body);
		if ((flags & 1) != 0 || (flags & 2) == 0)
			needs |= CAPABILITY_DOWNLOAD;
		if ((flags & (2 | 4 | 8 | 16)) != 0)
			needs |= CAPABILITY_UPLOAD;
		return (needs);
	case 5:
		return (CAPABILITY_DOWNLOAD);
	case 4:
	case 7:
	case 8:
	case 11:
	case 12:
	case 16:
	case 17:
	case 19:
		return (0);
	case 200:
		name = reader_get_bytes(&body);
		for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
			if (bytes_are(name, harmless[i]))
				return (0);
		return (CAPABILITY_UPLOAD);
	default:
		must((type >= 6 && type <= 18) || type == 20, "a request that the draft knows");
		return (CAPABILITY_UPLOAD);
	}
}

static void
target_sees_what_is_granted(struct bytes seen, unsigned capabilities)
{
	struct reader r = reader_of(seen), packet;
	int first = 1;

	while (r.left > 4) {
		uint32_t len = reader_get_u32(&r);
		uint8_t type;

		must(len >= 5 && len <= 256 * 1024 + 1024, "a length that may be");
		if (len > r.left)
			return; /* of a WRITE that streams */
		packet = reader_of(reader_get_raw(&r, len));
		type = reader_get_u8(&packet);
		if (first) {
			must(type == 1 && reader_get_u32(&packet) <= 3, "INIT of a version that is read");
			first = 0;
			continue;
		}
		(void)reader_get_u32(&packet);
		must((request_needs(type, packet) & ~capabilities) == 0, "nothing that is not granted");
		must((capabilities & (CAPABILITY_UPLOAD | CAPABILITY_DOWNLOAD)) != 0, "nothing without a grant");
	}
}

/* To the engineer: whole packets of the target's and ours between them; ours are known by their words. */
static void
engineer_sees_packets(struct bytes seen, struct bytes sent, struct bytes init)
{
	struct reader r = reader_of(seen), s = reader_of(sent);

	/* A client of a version before 3 gets none. */
	if (init.len < 9 || ((init.at[5] | init.at[6] | init.at[7]) == 0 && init.at[8] < 3))
		return;
	while (s.left > 0 && r.left > 0) {
		struct reader at = r, target = s;
		struct bytes mine, theirs;
		uint32_t len = reader_get_u32(&at);

		mine = reader_get_raw(&at, len < at.left ? len : at.left);
		len = reader_get_u32(&target);
		theirs = reader_get_raw(&target, len < target.left ? len : target.left);
		if (mine.len > 9 && memmem(mine.at, mine.len, "lodge: denied", 13) != NULL &&
		    !bytes_equal(mine, theirs)) {
			must(mine.at[0] == 101, "ours is a STATUS");
			r = at;
			continue;
		}
		if (mine.len < theirs.len)
			theirs.len = mine.len;
		must(bytes_equal(mine, theirs), "the target's packets as they are");
		r = at;
		s = target;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct transfer_of of = {.kind = TRANSFER_SFTP};
	struct played whole, ones;

	if (size == 0)
		return (0);
	of.capabilities = data[0] & (CAPABILITY_UPLOAD | CAPABILITY_DOWNLOAD);
	play(&whole, of, bytes_of(data + 1, size - 1), PIECES_WHOLE);
	play(&ones, of, bytes_of(data + 1, size - 1), PIECES_OF_ONE);
	played_must_equal(&whole, &ones);
	target_sees_what_is_granted(fifo_bytes(&whole.to_target), of.capabilities);
	if (whole.trouble[0] == '\0')
		engineer_sees_packets(fifo_bytes(&whole.to_engineer), fifo_bytes(&whole.from_target),
		    fifo_bytes(&whole.from_engineer));
	played_free(&whole);
	played_free(&ones);
	return (0);
}
