/* Readings; see readings.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "readings.h"
#include "verb.h"

/* What is to be read, and by whose wish; kept until the reader is done, also when who asked has left. */
struct reading {
	struct reading *next;
	uint64_t number;
	struct verb *verb; /* NULL: nobody listens any more */
	char id[40];
	char *options;
	int begun;
};

static struct reading *
reading_of(const struct verb *v)
{
	for (struct reading *r = v->policy->readings; r != NULL; r = r->next)
		if (r->verb == v)
			return (r);
	return (NULL);
}

static void
reading_free(struct policy *p, struct reading *r)
{
	struct reading **at;

	for (at = &p->readings; *at != r; at = &(*at)->next)
		;
	*at = r->next;
	free(r->options);
	free(r);
}

void
reading_plan(struct verb *v, const char *id, const char *options)
{
	struct reading *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->options = strdup(options)) == NULL)
		log_fatal("out of memory");
	TEXT_COPY(r->id, id);
	r->verb = v;
	r->number = ++v->policy->next_reading;
	r->next = v->policy->readings;
	v->policy->readings = r;
}

int
reading_is_planned(const struct verb *v)
{
	const struct reading *r = reading_of(v);

	return (r != NULL && !r->begun);
}

void
reading_forget(struct verb *v)
{
	struct reading *r = reading_of(v);

	if (r == NULL)
		return;
	r->verb = NULL;
	if (!r->begun)
		reading_free(v->policy, r);
}

void
reading_begin(struct verb *v)
{
	struct policy *p = v->policy;
	struct reading *r = reading_of(v);
	int pair[2];

	if (p->reader == NULL) {
		verb_refuse(v, REASON_RECORDER, "lodge-reader is not available; try again in a minute");
		verb_end(v, v->status);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1) {
		log_error("no descriptors for a reading: %s", strerror(errno));
		verb_refuse(v, REASON_LIMIT, "%s", "");
		verb_end(v, v->status);
		return;
	}
	/* One way only: the reader writes. */
	(void)shutdown(pair[0], SHUT_RD);
	r->begun = 1;
	v->reading = r->number;
	peer_post_fd(p->reader, pair[0], READ, read_, .reading = r->number,
	    .verb = bytes_text(command_verb(v->call.command)), .id = bytes_text(r->id),
	    .options = bytes_text(r->options));
	peer_post_fd(verb_peer(v), pair[1], VERB_STREAM, verb_stream, .ask = v->ask);
}

static void
reading_over(struct policy *p, struct reading *r, uint8_t status, const char *line)
{
	struct verb *v = r->verb;

	reading_free(p, r);
	if (v == NULL)
		return;
	if (line[0] != '\0')
		text_add(&v->err, "%s\n", line);
	v->reading = 0;
	verb_end(v, status);
}

void
readings_reader_anew(struct policy *p)
{
	for (struct reading *r = p->readings, *next; r != NULL; r = next) {
		next = r->next;
		if (r->begun)
			reading_over(
			    p, r, 69, "lodge: the reader was restarted: what you see is not all; ask again");
	}
}

void
readings_end(struct policy *p)
{
	while (p->readings != NULL)
		reading_free(p, p->readings);
}

void
on_read_done(struct policy *p, const struct msg_read_done *m)
{
	char line[512];

	for (struct reading *r = p->readings; r != NULL; r = r->next)
		if (r->number == m->reading) {
			text_clean(line, sizeof(line), m->summary);
			reading_over(p, r, m->status, line);
			return;
		}
}
