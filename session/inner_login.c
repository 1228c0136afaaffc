#include "inner_login.h"

#include "base/log.h"
#include "fresh.h"
#include "login.h"
#include "prompts.h"
#include "text.h"

/*
 *     UNASKED ──a try──▶ ASKED ──policy: yes──▶ (the door is open)
 *                        ▲  │ └──policy: no───▶ REFUSED
 *                answers │  ▼ auth's questions
 *                       PROMPTED ──policy: yes, after all──▶ GRANTED ──the next try──▶ (the door is open)
 */
enum inner_state { INNER_UNASKED, INNER_ASKED, INNER_PROMPTED, INNER_GRANTED, INNER_REFUSED };

struct inner_login {
	enum inner_state state;
	ssh_message message; /* the try that waits; ours to free */
	uint32_t ask;
	struct prompts prompts;
	int is_shown; /* the client has the questions, and owes answers */
};

struct inner_login *
inner_login_new(void)
{
	return (calloc(1, sizeof(struct inner_login)));
}

static void
message_drop(struct inner_login *l)
{
	if (l->message != NULL)
		ssh_message_free(l->message);
	l->message = NULL;
}

void
inner_login_free(struct door *d)
{
	struct inner_login *l = d->inner;

	if (l == NULL)
		return;
	if (l->state == INNER_PROMPTED)
		fresh_unanswered(d->session, l->ask);
	message_drop(l);
	prompts_free(&l->prompts);
	free(l);
}

int
inner_login_waits(const struct inner_login *l)
{
	return (l->message != NULL);
}

/*
 * The account that an inner user name means.  Clients send their own local name when they are given none, so the
 * person's own name means no account in particular; the whole login name, alice+osv1+srx, means its account.
 */
static void
account_take(struct door *d, const char *user)
{
	struct loginname *name = &d->name, parts;

	if (name->account[0] != '\0' || strcmp(user, name->person) == 0)
		return;
	if (loginname_split(bytes_text(user), &parts) == 0 && parts.target[0] != '\0' &&
	    strcmp(parts.person, name->person) == 0 && strcmp(parts.target, name->target) == 0) {
		memcpy(name->account, parts.account, sizeof(name->account));
		return;
	}
	/* What is no account of the target's, policy refuses with the names of those that are. */
	snprintf(name->account, sizeof(name->account), "%s", user[0] == '\0' ? "-" : user);
}

static void
intent_post(const struct door *d)
{
	peer_post(d->session->policy, INTENT, intent, .ask = d->inner->ask, .target = bytes_text(d->name.target),
	    .account = bytes_text(d->name.account));
}

/* ---- tries ---- */

/* The try at hand fails, and questions are all that is worth another. */
static void
fail(struct inner_login *l)
{
	(void)ssh_message_auth_set_methods(l->message, SSH_AUTH_METHOD_INTERACTIVE);
	(void)ssh_message_reply_default(l->message);
	message_drop(l);
}

static int
is_question_try(ssh_message m)
{
	return (ssh_message_subtype(m) == SSH_AUTH_METHOD_INTERACTIVE);
}

/* The try at hand gets the questions when it is one that can be asked any. */
static void
prompts_show(struct inner_login *l)
{
	if (!is_question_try(l->message)) {
		fail(l);
		return;
	}
	login_prompts_send(l->message, &l->prompts);
	l->is_shown = 1;
	message_drop(l);
}

/* The try at hand, a response, waits on for what its answers are worth. */
static void
answers_take(struct door *d)
{
	struct inner_login *l = d->inner;
	struct wire answers = {.limit = PEER_DATAGRAM_MAX / 2};
	int count = login_answers_read(d->leg.ssh, &answers);

	l->is_shown = 0;
	prompts_free(&l->prompts);
	l->state = INNER_ASKED;
	if (count == -1)
		count = 0;
	peer_post(d->session->auth, ANSWERS, answers, .ask = l->ask, .count = (uint16_t)count,
	    .answers = wire_bytes(&answers));
	wire_free(&answers);
}

static void
succeed(struct door *d)
{
	d->state = DOOR_OPEN;
	(void)ssh_message_auth_reply_success(d->inner->message, 0);
	message_drop(d->inner);
}

static void
first_try(struct door *d, const char *user)
{
	account_take(d, user == NULL ? "" : user);
	d->inner->state = INNER_ASKED;
	d->inner->ask = session_ask(d->session);
	intent_post(d);
}

void
inner_login_try(struct door *d, ssh_message m)
{
	struct inner_login *l = d->inner;
	int is_response = is_question_try(m) && ssh_message_auth_kbdint_is_response(m);

	if (l->state == INNER_UNASKED && ssh_message_subtype(m) == SSH_AUTH_METHOD_PUBLICKEY &&
	    ssh_message_auth_publickey_state(m) != SSH_PUBLICKEY_STATE_VALID) {
		(void)ssh_message_auth_reply_pk_ok_simple(
		    m); /* some clients take no yes before they have proved it */
		ssh_message_free(m);
		return;
	}
	l->message = m;
	switch (l->state) {
	case INNER_UNASKED:
		first_try(d, ssh_message_auth_user(m));
		break;
	case INNER_ASKED: /* a try beside the one that waits cannot be: no message is taken meanwhile */
		break;
	case INNER_PROMPTED:
		if (is_response && l->is_shown)
			answers_take(d);
		else if (is_response)
			fail(l);
		else
			prompts_show(l);
		break;
	case INNER_GRANTED:
		succeed(d);
		break;
	case INNER_REFUSED:
		fail(l);
		break;
	}
}

/* ---- answers ---- */

static struct door *
door_of(struct session *s, uint32_t ask)
{
	struct door *d = s->door;

	while (d != NULL && (d->inner == NULL || d->inner->ask != ask || d->state != DOOR_LOGIN))
		d = d->next;
	return (ask == 0 ? NULL : d);
}

int
inner_login_on_prompts(struct session *s, const struct msg_prompts *m)
{
	struct door *d = door_of(s, m->ask);
	struct inner_login *l = d == NULL ? NULL : d->inner;

	if (l == NULL)
		return (0);
	prompts_free(&l->prompts);
	l->is_shown = 0;
	if (l->state == INNER_REFUSED || l->state == INNER_GRANTED || prompts_read(&l->prompts, m) == -1)
		return (1);
	l->state = INNER_PROMPTED;
	if (l->message != NULL)
		prompts_show(l);
	return (1);
}

static void
refuse(struct door *d, enum reason reason)
{
	char line[512];

	text_reason(line, sizeof(line), reason, NULL);
	login_banner_send(d, bytes_text(line));
	d->inner->state = INNER_REFUSED;
	if (d->inner->message != NULL)
		fail(d->inner);
}

void
inner_login_on_answer(struct session *s, const struct msg_intent_answer *m)
{
	struct door *d = door_of(s, m->ask);

	if (d == NULL || d->inner->state == INNER_REFUSED)
		return;
	if (m->reason != REASON_NONE) {
		refuse(d, (enum reason)m->reason);
		return;
	}
	if (d->inner->message != NULL)
		succeed(d);
	else /* a code was given elsewhere in this connection, while the client thought of its answer here */
		d->inner->state = INNER_GRANTED;
}

void
inner_logins_policy_anew(struct session *s)
{
	for (const struct door *d = s->door; d != NULL; d = d->next)
		if (d->inner != NULL && d->state == DOOR_LOGIN &&
		    (d->inner->state == INNER_ASKED || d->inner->state == INNER_PROMPTED))
			intent_post(d);
}
