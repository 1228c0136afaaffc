/* What policy is told for the book, kept while policy is away: see tell.h. */
#include "tell.h"

#include <stdlib.h>

#include "base/log.h"

struct tells {
	size_t first, count;
	struct wire kept[TELLS_MAX];
};

struct tells *
tells_new(void)
{
	return (calloc(1, sizeof(struct tells)));
}

void
tells_free(struct tells *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < TELLS_MAX; i++)
		wire_free(&t->kept[i]);
	free(t);
}

void
tells_add(struct tells *t, struct peer *policy, struct message *m)
{
	struct wire *w;

	if (policy != NULL) {
		peer_send(policy, m);
		return;
	}
	if (t->count == TELLS_MAX) {
		log_error("policy is away and too much happened: the oldest of it is forgotten");
		wire_free(&t->kept[t->first]);
		t->first = (t->first + 1) % TELLS_MAX;
		t->count--;
	}
	w = &t->kept[(t->first + t->count) % TELLS_MAX];
	if (message_encode(w, m, PROCESS_AUTH, PROCESS_POLICY) == -1) {
		log_error("%s could not be kept for policy", message_name(m->type));
		wire_free(w);
		return;
	}
	t->count++;
}

void
tells_flush(struct tells *t, struct peer *policy)
{
	for (; t->count > 0; t->count--) {
		struct wire *w = &t->kept[t->first];
		struct message m;

		if (message_decode(w->at, w->len, PROCESS_AUTH, PROCESS_POLICY, 0, &m) == 0) {
			m.fd = -1;
			peer_send(policy, &m);
		}
		wire_free(w);
		t->first = (t->first + 1) % TELLS_MAX;
	}
}
