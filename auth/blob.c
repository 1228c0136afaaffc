/* What SSH writes on the wire beyond base/wire.h: see blob.h. */
#include "blob.h"

int
blob_get_bool(struct reader *r)
{
	uint8_t value = reader_get_u8(r);

	if (value > 1)
		r->failed = 1;
	return (value == 1);
}

struct bytes
blob_get_mpint(struct reader *r)
{
	struct bytes b = reader_get_bytes(r);

	if (r->failed)
		return (b);
	if (b.len == 0 || b.at[0] > 0x7f)
		goto bad;
	if (b.at[0] != 0)
		return (b);
	/* A sign byte is there only for a magnitude whose first bit is set. */
	if (b.len == 1 || b.at[1] <= 0x7f)
		goto bad;
	return (bytes_of(b.at + 1, b.len - 1));
bad:
	r->failed = 1;
	return (bytes_of(NULL, 0));
}

void
blob_put_text(struct wire *w, const char *text)
{
	wire_put_bytes(w, bytes_text(text));
}

size_t
blob_put_begin(struct wire *w)
{
	size_t mark = w->len;

	wire_put_u32(w, 0);
	return (mark);
}

void
blob_put_end(struct wire *w, size_t mark)
{
	size_t len;

	if (w->failed)
		return;
	len = w->len - mark - 4;
	for (int i = 0; i < 4; i++)
		w->at[mark + (size_t)i] = (uint8_t)(len >> (24 - 8 * i));
}
