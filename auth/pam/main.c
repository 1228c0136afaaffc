/*
 * lodge-pam: holds one PAM conversation for lodge-auth and ends.
 *
 * Its verdict is a message.  How it ends says nothing: killed, timed out or crashed, there was no yes.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/secret.h"
#include "contract/peer.h"
#include "conversation.h"

#define GATEWAY_FD 3
#define START_MS 10000
#define DEADLINE_MS_MAX (15 * 60 * 1000)

/* What auth asked for, copied out of the message. */
struct order {
	char service[CONVERSATION_NAME_SIZE];
	char directory[4096];
	char user[CONVERSATION_NAME_SIZE];
	char source[CONVERSATION_NAME_SIZE];
	uint32_t deadline_ms;
};

struct answer {
	char *text;
	int good;
};

static void
on_link(struct peer *p, struct message *m, void *ctx)
{
	int *fd = ctx;

	(void)p;
	if (m->link.peer != PROCESS_AUTH)
		log_fatal("a link to process %u, where auth was expected", m->link.peer);
	*fd = m->fd;
	m->fd = -1;
}

static void
on_begin(struct peer *p, struct message *m, void *ctx)
{
	struct order *o = ctx;

	(void)p;
	if (bytes_copy(o->service, sizeof(o->service), m->pam_begin.service) == -1 ||
	    bytes_copy(o->directory, sizeof(o->directory), m->pam_begin.directory) == -1 ||
	    bytes_copy(o->user, sizeof(o->user), m->pam_begin.user) == -1 ||
	    bytes_copy(o->source, sizeof(o->source), m->pam_begin.source) == -1 || o->service[0] == '\0' ||
	    strchr(o->service, '/') != NULL || o->user[0] == '\0')
		log_fatal("auth asked for a conversation that makes no sense");
	o->deadline_ms = m->pam_begin.deadline_ms;
}

/* Nothing is ever handled from the loop: this process only waits. */
static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)m;
	(void)ctx;
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)why;
	(void)ctx;
}

static void
on_answers(struct peer *p, struct message *m, void *ctx)
{
	struct answer *answer = ctx;
	struct reader r = reader_of(m->pam_answers.answers);
	struct bytes text;

	(void)p;
	if (answer->text == NULL) {
		answer->good = m->pam_answers.count == 0 && reader_end(&r);
		return;
	}
	text = reader_get_text(&r);
	answer->good = m->pam_answers.count == 1 && reader_end(&r) &&
	               bytes_copy(answer->text, CONVERSATION_ANSWER_SIZE, text) == 0;
	/* The datagram is ours until we return, and it holds a secret. */
	secret_wipe((void *)(uintptr_t)m->pam_answers.answers.at, m->pam_answers.answers.len);
}

static int
ask_auth(void *ctx, struct bytes texts, uint16_t count, char *text)
{
	struct peer *auth = ctx;
	struct answer answer = {.text = text};

	peer_post(auth, PAM_PROMPTS, pam_prompts, .count = count, .prompts = texts);
	if (peer_wait(auth, MSG_PAM_ANSWERS, DEADLINE_MS_MAX, on_answers, &answer) == -1)
		return (-1);
	return (answer.good ? 0 : -1);
}

/* SIGKILL, for a module may block or catch anything else.  On CLOCK_BOOTTIME, as every deadline of ours. */
static timer_t
deadline_new(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	timer_t deadline;

	if (timer_create(CLOCK_BOOTTIME, &event, &deadline) == -1)
		log_fatal("cannot make the deadline's timer");
	return (deadline);
}

static void
deadline_set(timer_t deadline, uint32_t deadline_ms)
{
	struct itimerspec when = {0};

	if (deadline_ms == 0 || deadline_ms > DEADLINE_MS_MAX)
		deadline_ms = DEADLINE_MS_MAX;
	when.it_value.tv_sec = deadline_ms / 1000;
	when.it_value.tv_nsec = (long)(deadline_ms % 1000) * 1000000;
	if (timer_settime(deadline, 0, &when, NULL) == -1)
		log_fatal("cannot set the deadline");
}

#ifdef __SANITIZE_ADDRESS__
/* What a module was given by PAM's rules, and does not free: pam_oath its answer. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return ("leak:on_prompts\nleak:libcrypto\n");
}
#endif

int
main(void)
{
	struct conversation_outcome outcome;
	struct order order = {0};
	struct peer *gateway, *auth;
	struct loop *loop;
	timer_t deadline;
	int fd = -1;

	log_begin("lodge-pam");
	confine(CONFINE_PAM);
	deadline = deadline_new();
	deadline_set(deadline, START_MS);
	if ((loop = loop_new()) == NULL || (gateway = peer_open(loop, GATEWAY_FD, PROCESS_PAM, PROCESS_GATEWAY, 0,
	                                        on_message, on_closed, NULL)) == NULL)
		log_fatal("cannot open the link to gateway");
	peer_post(gateway, READY, ready, 0);
	if (peer_wait(gateway, MSG_SETTINGS, START_MS, on_message, NULL) == -1 ||
	    peer_wait(gateway, MSG_LINK, START_MS, on_link, &fd) == -1 || fd == -1 ||
	    (auth = peer_open(loop, fd, PROCESS_PAM, PROCESS_AUTH, 0, on_message, on_closed, NULL)) == NULL ||
	    peer_wait(auth, MSG_PAM_BEGIN, START_MS, on_begin, &order) == -1)
		_exit(EXIT_FAILURE); /* who asked for it is gone: there is nobody to tell, and nothing to tidy */
	deadline_set(deadline, order.deadline_ms);
	conversation_hold(&(struct conversation){.service = order.service,
	                      .directory = order.directory,
	                      .user = order.user,
	                      .source = order.source,
	                      .ask = ask_auth,
	                      .ctx = auth},
	    &outcome);
	peer_post(auth, PAM_RESULT, pam_result, .good = (uint8_t)outcome.good, .reason = (uint16_t)outcome.reason,
	    .pam_error = (uint32_t)outcome.pam_error, .user = bytes_text(outcome.user),
	    .delay_ms = outcome.delay_ms);
	peer_close(auth);
	peer_close(gateway);
	loop_free(loop);
	return (EXIT_SUCCESS);
}
