/* Taking up what a predecessor left: its connections' places in their rings, and its recordings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "desk_own.h"

static int
stream_recover(struct desk *d, const struct recovered_tape *found)
{
	const struct ledger_leaf end = {.kind = LEDGER_END};
	struct connection *c = connection_get(d, found->found.about.conn);
	struct stream *s = calloc(1, sizeof *s);

	if (s == NULL)
		return (-1);
	s->stream = found->found.about.stream;
	memcpy(s->id, found->found.about.id, sizeof s->id);
	s->fd = -1;
	s->next = c->streams;
	c->streams = s;
	if ((s->tape = tape_resume(&d->house, &found->found)) == NULL)
		return (-1);
	if (found->end_held) /* the book had its last leaf; nobody was told */
		tape_held(s->tape, &end);
	return (0);
}

int
streams_recover(struct desk *d, const struct recovered *r)
{
	for (size_t i = 0; i < r->conn_count; i++)
		reel_seek(connection_get(d, r->conns[i].conn)->reel, r->conns[i].to, r->conns[i].next_frame);
	for (size_t i = 0; i < r->tape_count; i++)
		if (stream_recover(d, &r->tapes[i]) == -1)
			return (-1);
	return (0);
}
