/* auth's own door: see door.h. */
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "house.h"

#define DOOR_BATCH 16 /* taken in one go, before others get their turn */

static void
caller_free(struct caller *c)
{
	struct caller **at = &c->house->callers;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	enrol_cancel(c->enrol);
	timer_free(c->late);
	peer_close(c->peer);
	secret_free(&c->input);
	secret_wipe(c, sizeof(*c));
	free(c);
}

/* Nobody listens any more.  What policy was asked is waited for all the same: the book may hold that it was to be done. */
static void
caller_leave(struct caller *c)
{
	if (c->asked == 0) {
		caller_free(c);
		return;
	}
	c->is_over = 1;
	timer_stop(c->late);
	secret_free(&c->input);
	peer_close(c->peer);
	c->peer = NULL;
}

/* ---- what is said to them ---- */

void
caller_say(struct caller *c, struct bytes text)
{
	peer_post(c->peer, VERB_OUT, verb_out, .ask = c->ask, .to = 1, .output = text);
}

static void
caller_over(struct caller *c, uint8_t status)
{
	c->is_over = 1;
	c->asked = 0;
	timer_stop(c->late);
	secret_free(&c->input);
	secret_wipe(c->code_secret, sizeof(c->code_secret));
	peer_post(c->peer, VERB_END, verb_end, .ask = c->ask, .status = status);
}

void
caller_end(struct caller *c, enum reason reason)
{
	caller_over(c, (uint8_t)reason_status(reason));
}

static void
caller_line(struct caller *c, const char *line)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s\n", line);
	peer_post(c->peer, VERB_OUT, verb_out, .ask = c->ask, .to = 2, .output = bytes_text(text));
}

void
caller_refuse(struct caller *c, enum reason reason, const char *text)
{
	char line[768];

	snprintf(line, sizeof(line), "lodge: denied [%s] %s%s%s", reason_code(reason), reason_what(reason),
	    text[0] == '\0' ? "" : ": ", text);
	caller_line(c, line);
	/* Reasons of logins have no status of their own. */
	caller_over(c, reason_status(reason) == 0 ? 77 : (uint8_t)reason_status(reason));
}

/* ---- policy ---- */

static void
may_ask(struct caller *c)
{
	c->asked = (uint32_t)house_ask(c->house);
	timer_after(c->late, DOOR_WAIT_MS);
	peer_post(c->house->policy, SECRET_ASKED, secret_asked, .ask = c->asked, .uid = c->uid,
	    .act = bytes_text(order_word(c->order.act)), .about = bytes_text(c->order.about));
}

void
door_restate(struct house *h)
{
	for (struct caller *c = h->callers, *next; c != NULL; c = next) {
		next = c->next;
		if (c->is_over) {
			c->asked = 0;
			if (c->peer == NULL)
				caller_free(c);
		} else if (c->asked != 0)
			peer_post(h->policy, SECRET_ASKED, secret_asked, .ask = c->asked, .uid = c->uid,
			    .act = bytes_text(order_word(c->order.act)), .about = bytes_text(c->order.about));
	}
}

/* It took too long, or they left: policy's yes came to nothing, and the book is told so. */
static void
on_may_late(struct caller *c, const struct msg_secret_may *m)
{
	c->asked = 0;
	if (m->reason == REASON_NONE && bytes_copy(c->who, sizeof(c->who), m->who) == 0)
		secret_undone(c);
	if (c->peer == NULL)
		caller_free(c);
}

void
door_on_may(struct house *h, const struct msg_secret_may *m)
{
	struct caller *c = h->callers;
	char line[768];

	while (c != NULL && (c->asked != m->ask || m->ask == 0))
		c = c->next;
	if (c == NULL)
		return;
	if (c->is_over) {
		on_may_late(c, m);
		return;
	}
	c->asked = 0;
	timer_stop(c->late);
	if (bytes_copy(line, sizeof(line), m->text) == -1 || bytes_copy(c->who, sizeof(c->who), m->who) == -1 ||
	    bytes_copy(c->pam_user, sizeof(c->pam_user), m->pam_user) == -1)
		log_fatal("policy's answer to SECRET_ASKED is too long");
	if (m->reason == REASON_NONE)
		secret_do(c);
	else if (line[0] == '\0')
		caller_refuse(c, m->reason, "");
	else {
		caller_line(c, line);
		caller_over(c, reason_status(m->reason) == 0 ? 77 : (uint8_t)reason_status(m->reason));
	}
}

static void
on_late(void *ctx)
{
	struct caller *c = ctx;
	uint32_t asked = c->asked;

	if (asked != 0) {
		caller_refuse(c, REASON_POLICY_AWAY, "");
		c->asked = asked; /* it may still answer */
	} else
		caller_refuse(c, REASON_BAD_WORDS, "nothing came on standard input");
}

/* ---- what they say ---- */

static void
caller_go(struct caller *c)
{
	if (c->has_words && (c->has_input || !order_wants_input(&c->order)))
		may_ask(c);
	else
		timer_after(c->late, DOOR_WAIT_MS);
}

static void
on_words(struct caller *c, const struct msg_verb *m)
{
	char why[ORDER_WHY_SIZE], line[ORDER_WHY_SIZE + 16];

	c->ask = m->ask;
	c->has_words = 1;
	if (m->argv == 1 && order_read(&c->order, m->words, why) == 0) {
		caller_go(c);
		return;
	}
	snprintf(line, sizeof(line), "lodge: %s", m->argv == 1 ? why : "words must be apart");
	caller_line(c, line);
	caller_over(c, (uint8_t)reason_status(REASON_BAD_WORDS));
}

static void
on_caller(struct peer *p, struct message *m, void *ctx)
{
	struct caller *c = ctx;

	(void)p;
	if (c->is_over)
		return;
	if (m->type == MSG_VERB && !c->has_words)
		on_words(c, &m->verb);
	else if (m->type == MSG_VERB_IN && c->has_words && !c->has_input && m->verb_in.ask == c->ask &&
	         secret_copy(&c->input, m->verb_in.input.at, m->verb_in.input.len) == 0) {
		c->has_input = 1;
		if (order_wants_input(&c->order))
			caller_go(c);
	} else
		caller_leave(c);
}

static void
on_caller_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)why;
	caller_leave(ctx);
}

/* ---- the socket ---- */

/* No user of the box can take the door away from the others, and nobody from root. */
static int
too_many(const struct house *h, uint32_t uid)
{
	size_t all = 0, theirs = 0;

	for (const struct caller *c = h->callers; c != NULL; c = c->next) {
		all++;
		theirs += c->uid == uid;
	}
	return (uid != 0 && (all >= DOOR_CALLERS_MAX || theirs >= DOOR_CALLERS_EACH));
}

static void
caller_take(struct house *h, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct caller *c = calloc(1, sizeof(*c));

	if (c == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 || too_many(h, cred.uid) ||
	    (c->late = timer_new(h->loop, on_late, c)) == NULL) {
		free(c);
		close(fd);
		return;
	}
	c->house = h;
	c->uid = cred.uid;
	c->next = h->callers;
	h->callers = c;
	if ((c->peer = peer_open(h->loop, fd, PROCESS_AUTH, PROCESS_LODGE, 0, on_caller, on_caller_closed, c)) ==
	    NULL) {
		caller_free(c);
		return;
	}
	timer_after(c->late, DOOR_WAIT_MS);
}

static void
on_connect(int listening, int events, void *ctx)
{
	int fd;

	(void)events;
	for (int i = 0; i < DOOR_BATCH; i++) {
		if ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) == -1)
			return;
		caller_take(ctx, fd);
	}
}

void
door_begin(struct house *h, int fd)
{
	if (h->door_watch != NULL) {
		watch_end(h->door_watch);
		close(h->door_fd);
	}
	h->door_fd = fd;
	if ((h->door_watch = watch_begin(h->loop, fd, WATCH_READ, on_connect, h)) == NULL)
		log_fatal("out of memory");
}

void
door_end(struct house *h)
{
	while (h->callers != NULL)
		caller_free(h->callers);
	if (h->door_watch == NULL)
		return;
	watch_end(h->door_watch);
	h->door_watch = NULL;
	close(h->door_fd);
}
