/* Answers to auth that wait for the book; see promises.h. */
#include <stdlib.h>

#include "base/log.h"
#include "promises.h"

void
promise_make(struct policy *p, const struct promise *all_but_next)
{
	struct promise *made = malloc(sizeof(*made)), **last;

	if (made == NULL)
		log_fatal("out of memory");
	*made = *all_but_next;
	made->next = NULL;
	for (last = &p->promises; *last != NULL; last = &(*last)->next)
		;
	*last = made;
	policy_advance(p);
}

static void
promise_say(struct policy *p, const struct promise *it)
{
	if (it->what == PROMISE_INVITE_HELD)
		peer_post(p->auth, INVITE_HELD, invite_held, .ask = it->ask, .reason = (uint16_t)it->reason);
	else
		peer_post(p->auth, SECRET_MAY, secret_may, .ask = (uint32_t)it->ask, .reason = (uint16_t)it->reason,
		    .text = bytes_text(it->text), .who = bytes_text(it->who), .pam_user = bytes_text(it->pam_user));
}

void
promises_keep(struct policy *p)
{
	struct promise **at = &p->promises, *it;

	while ((it = *at) != NULL) {
		if (it->event > p->book_held) {
			at = &it->next;
			continue;
		}
		promise_say(p, it);
		*at = it->next;
		free(it);
	}
}

void
promises_forget(struct policy *p)
{
	struct promise *it;

	while ((it = p->promises) != NULL) {
		p->promises = it->next;
		free(it);
	}
}
