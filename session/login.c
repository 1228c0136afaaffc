#include "login.h"

#include "asked.h"
#include "base/log.h"
#include "base/secret.h"
#include "prompts.h"
#include "ssh_more.h"
#include "text.h"

#define USER_MAX 255
#define INVITED "invite" /* whoever comes with a code in place of a target: invite+CODE */

/* What auth was asked about the try at hand. */
enum asked { ASKED_NOTHING, ASKED_OFFER, ASKED_STEP, ASKED_ANSWERS };

struct login {
	char user[USER_MAX + 1]; /* as the client says it, target and all */
	ssh_message message;     /* the try that waits for auth; ours to free */
	enum asked asked;
	uint32_t ask;
	enum login_method method;
	/* an offer */
	char algorithm[64];
	uint8_t *key;
	size_t key_len;
	/* a round of keyboard-interactive */
	int prompting; /* the client owes answers */
	int stale;     /* to prompts of an auth that is gone */
	/* the last proof: for an auth that is renewed before it was counted */
	struct wire proof; /* {bytes key, bytes signature, bytes signed_data} */
	int proof_refused; /* and is counted already */
};

struct login *
login_new(void)
{
	return (calloc(1, sizeof(struct login)));
}

static void
message_drop(struct login *l)
{
	if (l->message != NULL)
		ssh_message_free(l->message);
	l->message = NULL;
	l->asked = ASKED_NOTHING;
}

void
login_free(struct login *l)
{
	if (l == NULL)
		return;
	message_drop(l);
	wire_free(&l->proof);
	free(l->key);
	free(l);
}

int
login_waits(const struct login *l)
{
	return (l->message != NULL);
}

/* ---- inside libssh ---- */

int
login_on_proof(void *door, struct bytes key, struct bytes signature, struct bytes signed_data)
{
	struct door *d = door;
	struct login *l = d->login;
	struct answer_taken t = {.type = MSG_PROOF_RESULT};
	struct message m = {.type = MSG_PROOF,
	    .fd = -1,
	    .proof = {.leg = d->number, .key = key, .signature = signature, .signed_data = signed_data}};

	wire_clear(&l->proof);
	wire_put_bytes(&l->proof, key);
	wire_put_bytes(&l->proof, signature);
	wire_put_bytes(&l->proof, signed_data);
	if (door_auth_ask(d->session, &m, &t) == 0 && t.good)
		return (1);
	l->proof_refused = 1;
	return (0);
}

void
login_on_unreadable(void *door, struct bytes user)
{
	struct door *d = door;
	struct loginname name;

	if (d->login->proof_refused) { /* auth refused it, and so has counted it */
		d->login->proof_refused = 0;
		return;
	}
	/* An invitation's code is no name, and this is for the book. */
	if (loginname_split(user, &name) == 0 && strcmp(name.person, INVITED) == 0)
		user = bytes_text(INVITED);
	peer_post(d->session->auth, LOGIN_UNREADABLE, login_unreadable, .login = user, .reason = REASON_WEAK_KEY);
}

/* ---- tries ---- */

static void
offer_ask(struct session *s)
{
	struct login *l = s->door->login;

	peer_post(s->auth, KEY_OFFER, key_offer, .ask = l->ask, .login = bytes_text(l->user),
	    .algorithm = bytes_text(l->algorithm), .key = bytes_of(l->key, l->key_len));
}

static void
step_ask(struct session *s)
{
	struct login *l = s->door->login;

	peer_post(s->auth, LOGIN_STEP, login_step, .ask = l->ask, .login = bytes_text(l->user),
	    .method = (uint8_t)l->method);
}

static void
step_begin(struct session *s, ssh_message m, enum login_method method)
{
	struct login *l = s->door->login;

	l->message = m;
	l->asked = ASKED_STEP;
	l->method = method;
	l->ask = session_ask(s);
	l->prompting = 0;
	step_ask(s);
}

static void
publickey_try(struct session *s, ssh_message m)
{
	struct login *l = s->door->login;
	struct bytes algorithm;

	if (ssh_message_auth_publickey_state(m) == SSH_PUBLICKEY_STATE_VALID) {
		step_begin(s, m, LOGIN_PUBLICKEY);
		return;
	}
	free(l->key);
	l->key = NULL;
	if (ssh_more_offered_key(m, &algorithm, &l->key, &l->key_len) == -1 ||
	    bytes_copy(l->algorithm, sizeof(l->algorithm), algorithm) == -1) {
		step_begin(s, m, LOGIN_OTHER);
		return;
	}
	l->message = m;
	l->asked = ASKED_OFFER;
	l->ask = session_ask(s);
	offer_ask(s);
}

int
login_answers_read(ssh_session ssh, struct wire *w)
{
	int count = ssh_userauth_kbdint_getnanswers(ssh);

	for (int i = 0; i < count; i++)
		wire_put_text(w, bytes_text(ssh_userauth_kbdint_getanswer(ssh, (unsigned)i)));
	return (w->failed || count < 0 ? -1 : count);
}

static void
answers_send(struct session *s, ssh_message m)
{
	struct login *l = s->door->login;
	struct wire answers = {.limit = PEER_DATAGRAM_MAX / 2};
	int count = login_answers_read(s->door->leg.ssh, &answers);

	if (l->stale || (count == -1 && !answers.failed)) {
		wire_free(&answers);
		l->stale = 0;
		step_begin(s, m, LOGIN_KEYBOARD); /* asked anew: that conversation is gone */
		return;
	}
	l->message = m;
	l->asked = ASKED_ANSWERS;
	l->prompting = 0;
	if (count == -1)
		step_begin(s, m, LOGIN_OTHER);
	else
		peer_post(s->auth, ANSWERS, answers, .ask = l->ask, .count = (uint16_t)count,
		    .answers = wire_bytes(&answers));
	wire_free(&answers);
}

static void
keyboard_try(struct session *s, ssh_message m)
{
	struct login *l = s->door->login;

	if (!ssh_message_auth_kbdint_is_response(m))
		step_begin(s, m, LOGIN_KEYBOARD);
	else if (l->prompting)
		answers_send(s, m);
	else
		step_begin(s, m, LOGIN_OTHER);
}

/* Before the first question to auth that names this target: what policy says of it goes to auth by itself. */
static void
intent_post(const struct session *s)
{
	struct loginname name;

	if (loginname_split(bytes_text(s->door->login->user), &name) == -1 || name.target[0] == '\0' ||
	    strcmp(name.person, INVITED) == 0)
		return;
	peer_post(s->policy, INTENT, intent, .ask = 0, .target = bytes_text(name.target),
	    .account = bytes_text(name.account));
}

/* 0; -1: longer than a name can be. */
static int
user_take(struct session *s, const char *user)
{
	struct login *l = s->door->login;

	if (user == NULL || strcmp(l->user, user) == 0)
		return (0);
	if (strlen(user) > USER_MAX)
		return (-1);
	snprintf(l->user, sizeof(l->user), "%s", user);
	intent_post(s);
	return (0);
}

void
login_try(struct door *d, ssh_message m)
{
	struct session *s = d->session;
	struct login *l = d->login;

	if (user_take(s, ssh_message_auth_user(m)) == -1) {
		ssh_message_free(m);
		session_leave(s, REASON_PROTOCOL, NULL);
		return;
	}
	l->proof_refused = 0;
	switch (ssh_message_subtype(m)) {
	case SSH_AUTH_METHOD_PUBLICKEY:
		publickey_try(s, m);
		break;
	case SSH_AUTH_METHOD_INTERACTIVE:
		keyboard_try(s, m);
		break;
	case SSH_AUTH_METHOD_NONE:
		step_begin(s, m, LOGIN_NONE);
		break;
	default:
		step_begin(s, m, LOGIN_OTHER);
		break;
	}
}

/* ---- auth's answers ---- */

static int
methods_bits(struct bytes list)
{
	char text[128];
	unsigned bits = 0;

	if (bytes_copy(text, sizeof(text), list) == -1)
		return (0);
	if (strstr(text, "publickey") != NULL)
		bits |= SSH_AUTH_METHOD_PUBLICKEY;
	if (strstr(text, "keyboard-interactive") != NULL)
		bits |= SSH_AUTH_METHOD_INTERACTIVE;
	return ((int)bits);
}

void
login_banner_send(struct door *d, struct bytes lines)
{
	char *clean = text_lines(lines), *text;
	ssh_string banner;
	size_t size;

	if (lines.len == 0 || clean == NULL) {
		free(clean);
		return;
	}
	size = strlen(clean) + 2;
	if ((text = malloc(size)) != NULL) {
		(void)snprintf(text, size, "%s\n", clean);
		if ((banner = ssh_string_from_char(text)) != NULL) {
			(void)ssh_send_issue_banner(d->leg.ssh, banner);
			ssh_string_free(banner);
		}
	}
	free(text);
	free(clean);
}

/* 0; -1: no name. */
static int
name_take(struct session *s, struct bytes person)
{
	struct loginname *name = &s->door->name;

	if (loginname_split(bytes_text(s->door->login->user), name) == -1 ||
	    bytes_copy(s->person, sizeof(s->person), person) == -1)
		return (-1);
	if (strcmp(name->person, INVITED) == 0) {
		*name = (struct loginname){0};
		memcpy(name->person, s->person, sizeof(name->person));
	}
	return (0);
}

static void
success(struct session *s, const struct msg_login_result *m)
{
	struct login *l = s->door->login;

	if (name_take(s, m->person) == -1) {
		session_leave(s, REASON_PROTOCOL, NULL);
		return;
	}
	login_banner_send(s->door, m->message);
	s->state = SESSION_OPEN;
	s->door->state = DOOR_OPEN;
	(void)ssh_message_auth_reply_success(l->message, 0);
	message_drop(l);
}

static void
on_result(struct session *s, const struct msg_login_result *m)
{
	struct login *l = s->door->login;

	if (m->outcome == LOGIN_DISCONNECT) {
		char line[256];

		text_safe(line, sizeof(line), m->message);
		snprintf(s->farewell, sizeof(s->farewell), "%s", line);
		message_drop(l);
		session_leave(s, (enum reason)m->reason, NULL);
		return;
	}
	if (l->message == NULL || l->asked == ASKED_OFFER || m->ask != l->ask)
		return; /* an answer to what was asked twice */
	if (m->outcome == LOGIN_SUCCESS) {
		success(s, m);
		return;
	}
	login_banner_send(s->door, m->message);
	(void)ssh_message_auth_set_methods(l->message, methods_bits(m->methods));
	if (m->outcome == LOGIN_PARTIAL)
		(void)ssh_message_auth_reply_success(l->message, 1);
	else
		(void)ssh_message_reply_default(l->message);
	message_drop(l);
}

void
login_prompts_send(ssh_message m, const struct prompts *p)
{
	char echo[PROMPTS_MAX];
	const char *prompts[PROMPTS_MAX];

	for (size_t i = 0; i < p->count; i++) {
		echo[i] = p->echo[i];
		prompts[i] = p->prompt[i];
	}
	(void)ssh_message_auth_interactive_request(
	    m, p->name, p->instruction, p->count, p->count == 0 ? NULL : prompts, echo);
}

static void
on_prompts(struct session *s, const struct msg_prompts *m)
{
	struct login *l = s->door->login;
	struct prompts p;

	if (l->message == NULL || l->asked == ASKED_OFFER || m->ask != l->ask || prompts_read(&p, m) == -1)
		return;
	login_prompts_send(l->message, &p);
	prompts_free(&p);
	l->prompting = 1;
	l->stale = 0;
	message_drop(l);
}

static void
on_key_answer(struct session *s, const struct msg_key_answer *m)
{
	struct login *l = s->door->login;

	if (l->message == NULL || l->asked != ASKED_OFFER || m->ask != l->ask)
		return;
	if (m->acceptable)
		(void)ssh_message_auth_reply_pk_ok_simple(l->message);
	else {
		(void)ssh_message_auth_set_methods(l->message, SSH_AUTH_METHOD_PUBLICKEY);
		(void)ssh_message_reply_default(l->message);
	}
	message_drop(l);
}

void
login_on_auth(struct session *s, const struct message *m)
{
	if (s->door == NULL || s->door->login == NULL || s->state == SESSION_LEAVING)
		return;
	switch (m->type) {
	case MSG_KEY_ANSWER:
		on_key_answer(s, &m->key_answer);
		break;
	case MSG_LOGIN_RESULT:
		on_result(s, &m->login_result);
		break;
	case MSG_PROMPTS:
		on_prompts(s, &m->prompts);
		break;
	default:
		break;
	}
	session_wake(s);
}

/* The answer, PROOF_RESULT, is of no use to us: the LOGIN_STEP that follows has its own. */
static void
proof_again(struct session *s)
{
	struct reader r = reader_of(wire_bytes(&s->door->login->proof));
	struct bytes key = reader_get_bytes(&r), signature = reader_get_bytes(&r),
	             signed_data = reader_get_bytes(&r);

	if (reader_end(&r))
		peer_post(s->auth, PROOF, proof, .ask = session_ask(s), .leg = 0, .key = key,
		    .signature = signature, .signed_data = signed_data);
}

void
login_auth_anew(struct session *s)
{
	struct login *l = s->door == NULL ? NULL : s->door->login;

	if (l == NULL || s->state != SESSION_LOGIN)
		return;
	l->stale = l->prompting;
	switch (l->asked) {
	case ASKED_OFFER:
		offer_ask(s);
		break;
	case ASKED_ANSWERS: /* that conversation died; a new one asks again */
		l->asked = ASKED_STEP;
		l->method = LOGIN_KEYBOARD;
		step_ask(s);
		break;
	case ASKED_STEP:
		if (l->method == LOGIN_PUBLICKEY)
			proof_again(s);
		step_ask(s);
		break;
	default:
		break;
	}
}

void
login_policy_anew(struct session *s)
{
	if (s->door != NULL && s->door->login != NULL && s->state == SESSION_LOGIN)
		intent_post(s);
}
