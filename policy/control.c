/* The control socket; see control.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "asks.h"
#include "base/log.h"
#include "control.h"
#include "verb.h"

#define CLIENTS_MAX 64
#define CLIENTS_EACH 16  /* of one Unix user */
#define CLIENTS_BATCH 16 /* taken in one go, before others get their turn */

struct client {
	struct client *next;
	struct policy *policy;
	struct peer *peer;
	uint32_t uid; /* as the kernel said when it connected */
};

struct peer *client_peer(const struct client *c);

struct peer *
client_peer(const struct client *c)
{
	return (c->peer);
}

static void
client_free(struct client *c)
{
	struct client **at;

	for (struct verb *v = c->policy->verbs, *next; v != NULL; v = next) {
		next = v->next;
		if (v->client == c)
			verb_forget(v);
	}
	for (at = &c->policy->clients; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	peer_close(c->peer);
	free(c);
}

static void
on_client_closed(struct peer *peer, const char *why, void *ctx)
{
	(void)peer;
	(void)why;
	client_free(ctx);
}

/* A person as they are now: who may not come over ssh may not come through this door either. */
static void
speaker_fill(struct policy *p, struct speaker *who, const struct person *person)
{
	struct facts_held h;
	char text[DECIDE_TEXT];

	facts_load(p, &h, person->login, "", "");
	TEXT_COPY(who->login, person->login);
	TEXT_COPY(who->vendor, person->vendor);
	who->role = decide_person(&h.facts, text) == REASON_NONE ? (int)person->role : ROLE_NONE;
	facts_free(&h);
}

int
speaker_of(struct policy *p, uint32_t uid, struct speaker *who)
{
	struct rows found;
	int n;

	*who = (struct speaker){.role = ROLE_NONE};
	if (uid == 0 || uid == geteuid()) { /* the latter: --single-user, for development */
		TEXT_COPY(who->login, "root");
		who->role = ROLE_OPERATOR;
		return (0);
	}
	n = must(p, store_list(p->store, QUERY_PERSON_OF_UID, &found, ARG_INT(uid)));
	if (n == 1)
		speaker_fill(p, who, rows_at(&found, person, 0));
	rows_free(&found);
	return (n == 1 ? 0 : -1);
}

static void
client_gone(struct client *c, uint32_t ask)
{
	for (struct verb *v = c->policy->verbs, *next; v != NULL; v = next) {
		next = v->next;
		if (v->client == c && v->ask == ask)
			verb_forget(v);
	}
}

static void
stranger_refuse(struct client *c, uint32_t ask)
{
	char line[256];

	log_warning("uid %u is nobody of ours: refused at the control socket", (unsigned)c->uid);
	(void)snprintf(line, sizeof(line),
	    "lodge: denied [%s] your Unix user id, %u, is nobody's here; the operator says whose: person change "
	    "LOGIN --uid %u\n",
	    reason_code(REASON_UNKNOWN_PERSON), (unsigned)c->uid, (unsigned)c->uid);
	peer_post(c->peer, VERB_OUT, verb_out, .ask = ask, .to = 2, .output = bytes_text(line));
	peer_post(c->peer, VERB_END, verb_end, .ask = ask, .status = 77);
}

static void
on_client_message(struct peer *peer, struct message *m, void *ctx)
{
	struct client *c = ctx;
	struct speaker who;
	struct verb *v;

	(void)peer;
	if (m->type == MSG_VERB_GONE) {
		client_gone(c, m->verb_gone.ask);
		return;
	}
	if (m->type != MSG_VERB)
		return;
	if (speaker_of(c->policy, c->uid, &who) == -1) {
		stranger_refuse(c, m->verb.ask);
		return;
	}
	if ((v = calloc(1, sizeof(*v))) == NULL)
		log_fatal("out of memory");
	v->policy = c->policy;
	v->who = who; /* as they are now */
	v->client = c;
	v->ask = m->verb.ask;
	v->columns = m->verb.columns;
	text_clean(v->zone, sizeof(v->zone), m->verb.time_zone);
	verb_run(v, m->verb.words, m->verb.argv ? WORDS_ARGV : WORDS_LINE);
}

/* No user of the box can take the door away from the others, and nobody from root. */
static int
too_many(const struct policy *p, uint32_t uid)
{
	size_t all = 0, theirs = 0;

	for (const struct client *c = p->clients; c != NULL; c = c->next) {
		all++;
		theirs += c->uid == uid;
	}
	return (uid != 0 && (all >= CLIENTS_MAX || theirs >= CLIENTS_EACH));
}

static void
client_take(struct policy *p, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 || too_many(p, cred.uid)) {
		free(c);
		close(fd);
		return;
	}
	c->policy = p;
	c->uid = cred.uid;
	c->peer = peer_open(p->loop, fd, PROCESS_POLICY, PROCESS_LODGE, 0, on_client_message, on_client_closed, c);
	if (c->peer == NULL)
		log_fatal("out of memory");
	c->next = p->clients;
	p->clients = c;
}

static void
on_connect(int listening, int events, void *ctx)
{
	int fd;

	(void)events;
	for (int i = 0; i < CLIENTS_BATCH; i++) {
		if ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) == -1)
			return;
		client_take(ctx, fd);
	}
}

void
control_begin(struct policy *p, int fd)
{
	watch_end(p->control_watch);
	if (p->control_fd != -1)
		close(p->control_fd);
	p->control_fd = fd;
	if ((p->control_watch = watch_begin(p->loop, fd, WATCH_READ, on_connect, p)) == NULL)
		log_fatal("out of memory");
}

void
control_end(struct policy *p)
{
	while (p->clients != NULL)
		client_free(p->clients);
	watch_end(p->control_watch);
	p->control_watch = NULL;
	if (p->control_fd != -1)
		close(p->control_fd);
	p->control_fd = -1;
}
