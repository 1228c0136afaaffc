#include "rig.h"

#include <jansson.h>

void
must(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void
on_fact(void *ctx, struct bytes json)
{
	struct played *p = ctx;
	json_t *fact = json_loadb((const char *)json.at, json.len, JSON_REJECT_DUPLICATES, NULL);

	must(
	    json.len <= TRANSFER_FACT_MAX && memchr(json.at, '\n', json.len) == NULL, "a fact is a line that fits");
	must(json_object_size(fact) == 1, "a fact is one JSON object with one member");
	json_decref(fact);
	wire_put_bytes(&p->facts, json);
}

static int
feed(struct played *p, struct transfer *t, int from_target, struct bytes piece)
{
	if (from_target) {
		fifo_put(&p->from_target, piece.at, piece.len);
		return (transfer_from_target(t, piece, 1000, &p->to_engineer));
	}
	fifo_put(&p->from_engineer, piece.at, piece.len);
	return (transfer_from_engineer(t, piece, 1000, &p->to_target, &p->to_engineer));
}

void
play(struct played *p, struct transfer_of of, struct bytes pieces, int how)
{
	struct reader r = reader_of(pieces);
	struct transfer *t;
	int good = 0;

	*p = (struct played){0};
	of.fact = on_fact;
	of.ctx = p;
	must((t = transfer_new(&of)) != NULL, "there is memory");
	while (good == 0 && r.left >= 2) {
		unsigned head = reader_get_u16(&r);
		size_t len = head & 0x7fff;
		struct bytes piece = reader_get_raw(&r, len < r.left ? len : r.left);

		if (how == PIECES_WHOLE)
			good = feed(p, t, (head & 0x8000) != 0, piece);
		for (size_t i = 0; how == PIECES_OF_ONE && i < piece.len && good == 0; i++)
			good = feed(p, t, (head & 0x8000) != 0, bytes_of(piece.at + i, 1));
	}
	must((good == 0) == (transfer_trouble(t)[0] == '\0'), "trouble has a name");
	snprintf(p->trouble, sizeof(p->trouble), "%s", transfer_trouble(t));
	transfer_end(t, 2000);
	transfer_free(t);
}

void
played_free(struct played *p)
{
	fifo_free(&p->to_target);
	fifo_free(&p->to_engineer);
	fifo_free(&p->from_engineer);
	fifo_free(&p->from_target);
	wire_free(&p->facts);
}

void
played_must_equal(const struct played *a, const struct played *b)
{
	must(strcmp(a->trouble, b->trouble) == 0, "the same trouble");
	must(bytes_equal(wire_bytes(&a->facts), wire_bytes(&b->facts)), "the same facts");
	must(bytes_equal(fifo_bytes(&a->to_target), fifo_bytes(&b->to_target)), "the same to the target");
	must(bytes_equal(fifo_bytes(&a->to_engineer), fifo_bytes(&b->to_engineer)), "the same to the engineer");
}
