/*
 * lodge-pam: one piece of work that only root may do for lodge-auth, and then it ends.
 *
 *     PAM_BEGIN   holds a conversation with PAM; with a PAM session it stays until auth lets go of the link
 *     PAM_ENROL   writes somebody's secret into pam_oath's users file
 *
 * Its verdict is a message.  How it ends says nothing: killed, timed out or crashed, there was no yes.
 */
#include <fcntl.h>
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
#include "contract/settings.h"
#include "conversation.h"
#include "users_file.h"
#include "users_lock.h"

#define GATEWAY_FD 3
#define START_MS 10000
#define CLOSE_MS 5000 /* that the end of a PAM session may take */
#define DEADLINE_MS_MAX (15 * 60 * 1000)
#define WHY_SIZE 1024

/* What auth asked for, copied out of the message. */
struct order {
	enum message_type type; /* MSG_PAM_BEGIN, MSG_PAM_ENROL; 0: nothing came */
	/* PAM_BEGIN */
	unsigned what;
	char service[CONVERSATION_NAME_SIZE];
	char directory[4096];
	char source[CONVERSATION_NAME_SIZE];
	uint32_t deadline_ms;
	/* PAM_ENROL */
	char path[USERS_PATH_SIZE];
	uint8_t secret[USERS_SECRET_MOST + 1]; /* one more, to be found too long */
	size_t secret_len;
	char used_code[16];
	int64_t at_s;
	/* both */
	char user[CONVERSATION_NAME_SIZE];
};

struct work {
	struct loop *loop;
	struct peer *gateway, *auth;
	timer_t deadline;
	char users_file[USERS_PATH_SIZE]; /* OATHUsersFile */
	struct order order;
};

struct answer {
	char *text;
	int good;
};

static _Noreturn void
order_senseless(void)
{
	log_fatal("auth asked for something that makes no sense");
}

static void
on_settings_error(void *ctx, const char *line)
{
	(void)ctx;
	log_fatal("gateway's settings do not read: %s", line);
}

static void
on_settings(struct peer *p, struct message *m, void *ctx)
{
	struct work *w = ctx;
	struct settings set;
	char *text = bytes_dup(m->settings.text);

	(void)p;
	if (text == NULL)
		log_fatal("out of memory");
	(void)settings_from_text(&set, "settings", text, strlen(text), on_settings_error, NULL);
	free(text);
	if (bytes_copy(w->users_file, sizeof(w->users_file), bytes_text(set.oath_users_file)) == -1)
		log_fatal("OATHUsersFile: the path is too long");
	settings_free(&set);
}

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
order_begin(struct order *o, const struct msg_pam_begin *m)
{
	if (bytes_copy(o->service, sizeof(o->service), m->service) == -1 ||
	    bytes_copy(o->directory, sizeof(o->directory), m->directory) == -1 ||
	    bytes_copy(o->user, sizeof(o->user), m->user) == -1 ||
	    bytes_copy(o->source, sizeof(o->source), m->source) == -1 || o->service[0] == '\0' ||
	    strchr(o->service, '/') != NULL || o->user[0] == '\0')
		order_senseless();
	o->what = m->what;
	o->deadline_ms = m->deadline_ms;
}

static void
order_enrol(struct order *o, const struct msg_pam_enrol *m)
{
	if (bytes_copy(o->path, sizeof(o->path), m->path) == -1 ||
	    bytes_copy(o->user, sizeof(o->user), m->user) == -1 ||
	    bytes_copy(o->used_code, sizeof(o->used_code), m->used_code) == -1)
		order_senseless();
	o->secret_len = m->secret.len < sizeof(o->secret) ? m->secret.len : sizeof(o->secret);
	if (o->secret_len > 0)
		memcpy(o->secret, m->secret.at, o->secret_len);
	o->at_s = m->at_wall_ms / 1000;
	/* The datagram is ours until we return, and it holds a secret. */
	secret_wipe((void *)(uintptr_t)m->secret.at, m->secret.len);
}

/* One order a process; what comes after it says nothing. */
static void
on_auth(struct peer *p, struct message *m, void *ctx)
{
	struct work *w = ctx;

	(void)p;
	if (w->order.type != 0)
		return;
	w->order.type = m->type;
	if (m->type == MSG_PAM_BEGIN)
		order_begin(&w->order, &m->pam_begin);
	else if (m->type == MSG_PAM_ENROL)
		order_enrol(&w->order, &m->pam_enrol);
	else
		order_senseless();
	loop_stop(w->loop);
}

static void
on_auth_closed(struct peer *p, const char *why, void *ctx)
{
	struct work *w = ctx;

	(void)p;
	(void)why;
	loop_stop(w->loop);
}

/* gateway says nothing that matters after the links, and its end is auth's end too. */
static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)m;
	(void)ctx;
}

static void
on_gateway_closed(struct peer *p, const char *why, void *ctx)
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
	struct work *w = ctx;
	struct answer answer = {.text = text};

	peer_post(w->auth, PAM_PROMPTS, pam_prompts, .count = count, .prompts = texts);
	if (peer_wait(w->auth, MSG_PAM_ANSWERS, DEADLINE_MS_MAX, on_answers, &answer) == -1)
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
deadline_arm(timer_t deadline, uint32_t ms)
{
	struct itimerspec when = {.it_value.tv_sec = ms / 1000, .it_value.tv_nsec = (long)(ms % 1000) * 1000000};

	if (timer_settime(deadline, 0, &when, NULL) == -1)
		log_fatal("cannot set the deadline");
}

static void
deadline_set(timer_t deadline, uint32_t ms)
{
	deadline_arm(deadline, ms == 0 || ms > DEADLINE_MS_MAX ? DEADLINE_MS_MAX : ms);
}

/* For a PAM session, which lasts as long as somebody's connection. */
static void
deadline_clear(timer_t deadline)
{
	deadline_arm(deadline, 0);
}

/* Links, and the one order. */
static void
order_take(struct work *w)
{
	int fd = -1;

	/* What modules start must not hold our links. */
	(void)fcntl(GATEWAY_FD, F_SETFD, FD_CLOEXEC);
	if ((w->loop = loop_new()) == NULL ||
	    (w->gateway = peer_open(w->loop, GATEWAY_FD, PROCESS_PAM, PROCESS_GATEWAY, 0, on_gateway,
	         on_gateway_closed, NULL)) == NULL)
		log_fatal("cannot open the link to gateway");
	peer_post(w->gateway, READY, ready, 0);
	if (peer_wait(w->gateway, MSG_SETTINGS, START_MS, on_settings, w) == -1 ||
	    peer_wait(w->gateway, MSG_LINK, START_MS, on_link, &fd) == -1 || fd == -1 ||
	    (w->auth = peer_open(w->loop, fd, PROCESS_PAM, PROCESS_AUTH, 0, on_auth, on_auth_closed, w)) == NULL)
		_exit(EXIT_FAILURE); /* who asked for it is gone: there is nobody to tell, and nothing to tidy */
	loop_run(w->loop);
	if (w->order.type == 0)
		_exit(EXIT_FAILURE);
}

/* The session's end may hang like anything else that modules do; but a gateway that died is no reason to leave it open. */
static void
session_stay(struct work *w, struct conversation_session *session)
{
	if (session == NULL)
		return;
	peer_post(w->gateway, PAM_STAYS, pam_stays, 0);
	(void)prctl(PR_SET_PDEATHSIG, 0);
	deadline_clear(w->deadline);
	loop_run(w->loop);
	deadline_set(w->deadline, CLOSE_MS);
	conversation_end(session);
}

static void
work_converse(struct work *w)
{
	const struct order *o = &w->order;
	struct conversation c = {.what = o->what,
	    .service = o->service,
	    .directory = o->directory,
	    .user = o->user,
	    .source = o->source,
	    .users_file = w->users_file,
	    .ask = ask_auth,
	    .ctx = w};
	struct conversation_session *session;
	struct conversation_outcome outcome;

	deadline_set(w->deadline, o->deadline_ms);
	session = conversation_hold(&c, &outcome);
	peer_post(w->auth, PAM_RESULT, pam_result, .good = (uint8_t)outcome.good,
	    .reason = (uint16_t)outcome.reason, .pam_error = (uint32_t)outcome.pam_error,
	    .user = bytes_text(outcome.user), .delay_ms = outcome.delay_ms);
	session_stay(w, session);
}

static void
work_enrol(struct work *w)
{
	struct order *o = &w->order;
	struct users_entry e = {.user = bytes_text(o->user),
	    .secret = bytes_of(o->secret, o->secret_len),
	    .used_code = bytes_text(o->used_code),
	    .at_s = o->at_s};
	char why[WHY_SIZE];
	enum reason reason;

	deadline_set(w->deadline, 3 * START_MS);
	reason = users_file_enrol(o->path, &e, why, sizeof(why));
	secret_wipe(o->secret, sizeof(o->secret));
	if (reason != REASON_NONE)
		log_error("%s", why);
	peer_post(w->auth, PAM_ENROLLED, pam_enrolled, .reason = (uint16_t)reason, .why = bytes_text(why));
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
	struct work w = {0};

	log_begin("lodge-pam");
	confine(CONFINE_PAM);
	w.deadline = deadline_new();
	deadline_set(w.deadline, START_MS);
	order_take(&w);
	if (w.order.type == MSG_PAM_ENROL)
		work_enrol(&w);
	else
		work_converse(&w);
	peer_close(w.auth);
	peer_close(w.gateway);
	loop_free(w.loop);
	return (EXIT_SUCCESS);
}
