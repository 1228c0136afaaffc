/* One PAM conversation: see conversation.h. */
#include "conversation.h"

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/secret.h"
#include "contract/messages.h"
#include "users_file.h"
#include "users_lock.h"

#define DELAY_MS_MAX 30000

/* What the callbacks see, for as long as there is a handle. */
struct conversation_session {
	const struct conversation *c;
	struct conversation_outcome *o; /* NULL in the session: there is nobody to tell any more */
	pam_handle_t *pam;
	struct pam_conv conv;
	struct users_turn turn;
	struct wire texts; /* shown with the next prompt, or alone at the end of a batch */
	uint16_t count;
	unsigned rounds;
	int is_asked;  /* somebody is there to answer */
	int is_mute;   /* nobody was, and a module wanted an answer */
	int is_behind; /* the clock stands before this user's last code */
};

/* Nothing of an answer stays behind, also in PAM's own copies that we made and it did not take. */
static void
responses_free(struct pam_response *responses, int count)
{
	for (int i = 0; i < count; i++) {
		if (responses[i].resp == NULL)
			continue;
		secret_wipe(responses[i].resp, strlen(responses[i].resp));
		free(responses[i].resp);
	}
	free(responses);
}

static void
talk_add(struct conversation_session *s, enum prompt_style style, const char *text)
{
	wire_put_u8(&s->texts, (uint8_t)style);
	wire_put_text(&s->texts, bytes_text(text));
	s->count++;
}

/*
 * A code that was good before the clock was set back would be good again, for liboath compares only with the last one
 * within its window.  The module does not get to see it.
 */
static int
clock_is_behind(struct conversation_session *s)
{
	int64_t last_s = users_file_last_use(s->c->users_file, s->c->user);

	if (last_s <= time(NULL))
		return (0);
	log_warning("%s: the last code of '%s' was used %lld s from now: the clock was set back; set it right",
	    s->c->users_file, s->c->user, (long long)(last_s - time(NULL)));
	s->is_behind = 1;
	return (1);
}

/* One round: what is to be shown, and the answer, which the modules may look at when it is their turn. */
static int
talk_ask(struct conversation_session *s, char *answer)
{
	int ok = -1;

	users_turn_end(&s->turn);
	if (s->is_asked && !s->texts.failed && s->rounds++ < CONVERSATION_ROUNDS_MAX)
		ok = s->c->ask(s->c->ctx, wire_bytes(&s->texts), s->count, answer);
	else if (!s->is_asked && answer == NULL)
		ok = 0; /* a text for nobody */
	else if (!s->is_asked)
		s->is_mute = 1;
	wire_free(&s->texts);
	s->texts = (struct wire){.limit = CONVERSATION_TEXTS_BYTES};
	s->count = 0;
	if (ok == -1 || answer == NULL)
		return (ok);
	users_turn_take(&s->turn, s->c->users_file);
	return (clock_is_behind(s) ? -1 : 0);
}

/* One message of a batch.  Each prompt goes out alone, so that password and code never share a round. */
static int
talk_message(struct conversation_session *s, const struct pam_message *m, struct pam_response *response)
{
	char answer[CONVERSATION_ANSWER_SIZE];

	switch (m->msg_style) {
	case PAM_TEXT_INFO:
		talk_add(s, PROMPT_INFORMATION, m->msg);
		return (0);
	case PAM_ERROR_MSG:
		talk_add(s, PROMPT_ERROR, m->msg);
		return (0);
	case PAM_PROMPT_ECHO_ON:
		talk_add(s, PROMPT_ECHO_ON, m->msg);
		break;
	case PAM_PROMPT_ECHO_OFF:
		talk_add(s, PROMPT_ECHO_OFF, m->msg);
		break;
	default:
		log_warning("service %s: a module sends messages of a style (%d) that nobody knows", s->c->service,
		    m->msg_style);
		return (-1);
	}
	if (talk_ask(s, answer) == 0)
		response->resp = strdup(answer);
	secret_wipe(answer, sizeof(answer));
	return (response->resp == NULL ? -1 : 0);
}

static int
on_prompts(int count, const struct pam_message **messages, struct pam_response **gives, void *ctx)
{
	struct conversation_session *s = ctx;
	struct pam_response *responses;

	*gives = NULL;
	if (count <= 0 || count > PAM_MAX_NUM_MSG ||
	    (responses = calloc((size_t)count, sizeof(*responses))) == NULL)
		return (PAM_CONV_ERR);
	for (int i = 0; i < count; i++)
		if (messages[i] == NULL || talk_message(s, messages[i], &responses[i]) == -1)
			goto nobody;
	if (s->count > 0 && talk_ask(s, NULL) == -1)
		goto nobody;
	*gives = responses;
	return (PAM_SUCCESS);
nobody:
	responses_free(responses, count);
	return (PAM_CONV_ERR);
}

/* PAM calls this where it would have slept. */
static void
on_delay(int error, unsigned int delay_us, void *ctx)
{
	struct conversation_session *s = ctx;
	uint32_t delay_ms = delay_us / 1000;

	if (error != PAM_SUCCESS && s->o != NULL)
		s->o->delay_ms = delay_ms > DELAY_MS_MAX ? DELAY_MS_MAX : delay_ms;
}

static int
talk_begin(struct conversation_session *s)
{
	union {
		void (*call)(int, unsigned int, void *);
		const void *item;
	} delay = {.call = on_delay};
	const struct conversation *c = s->c;
	int error;

	if (c->directory[0] != '\0')
		error = pam_start_confdir(c->service, c->user, &s->conv, c->directory, &s->pam);
	else
		error = pam_start(c->service, c->user, &s->conv, &s->pam);
	if (error == PAM_SUCCESS)
		error = pam_set_item(s->pam, PAM_RHOST, c->source);
	if (error == PAM_SUCCESS)
		error = pam_set_item(s->pam, PAM_TTY, "ssh");
	if (error == PAM_SUCCESS)
		error = pam_set_item(s->pam, PAM_FAIL_DELAY, delay.item);
	return (error);
}

/* The user whom the modules ended with must be the one they began with. */
static enum reason
user_read(struct conversation_session *s)
{
	const void *user = NULL;

	if (pam_get_item(s->pam, PAM_USER, &user) != PAM_SUCCESS || user == NULL ||
	    bytes_copy(s->o->user, sizeof(s->o->user), bytes_text(user)) == -1)
		return (REASON_PAM_TROUBLE);
	if (strcmp(s->o->user, s->c->user) == 0)
		return (REASON_NONE);
	log_warning("service %s: a module made another user of '%s': refused", s->c->service, s->c->user);
	return (REASON_PAM_ACCOUNT);
}

static enum reason
authenticate_reason(int error)
{
	switch (error) {
	case PAM_SUCCESS:
		return (REASON_NONE);
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_CRED_INSUFFICIENT:
		return (REASON_WRONG_CODE);
	case PAM_ACCT_EXPIRED: /* pam_sss */
	case PAM_AUTHTOK_EXPIRED:
		return (REASON_PAM_ACCOUNT);
	default:
		return (REASON_PAM_TROUBLE);
	}
}

/* What account, credentials and session say; whatever is not about the person is trouble. */
static enum reason
account_reason(int error)
{
	switch (error) {
	case PAM_SUCCESS:
		return (REASON_NONE);
	case PAM_OPEN_ERR:
	case PAM_SYMBOL_ERR:
	case PAM_SYSTEM_ERR:
	case PAM_BUF_ERR:
	case PAM_CONV_ERR:
	case PAM_MODULE_UNKNOWN:
	case PAM_ABORT:
		return (REASON_PAM_TROUBLE);
	default:
		return (REASON_PAM_ACCOUNT);
	}
}

static enum reason
authenticate(struct conversation_session *s)
{
	enum reason reason;

	s->o->pam_error = pam_authenticate(s->pam, PAM_DISALLOW_NULL_AUTHTOK);
	users_turn_end(&s->turn);
	if (s->is_behind)
		return (REASON_CLOCK_BEHIND);
	reason = authenticate_reason(s->o->pam_error);
	return (reason == REASON_NONE ? user_read(s) : reason);
}

/* A password that must be changed is changed by whoever has just shown it, and by nobody else. */
static enum reason
account(struct conversation_session *s)
{
	enum reason reason;

	s->o->pam_error = pam_acct_mgmt(s->pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (s->o->pam_error == PAM_NEW_AUTHTOK_REQD && s->is_asked) {
		s->o->pam_error = pam_chauthtok(s->pam, PAM_CHANGE_EXPIRED_AUTHTOK);
		users_turn_end(&s->turn);
		if (s->o->pam_error != PAM_SUCCESS)
			return (REASON_PAM_ACCOUNT);
	}
	reason = account_reason(s->o->pam_error);
	if (reason != REASON_NONE && s->is_mute)
		reason = REASON_PAM_ACCOUNT; /* the whole conversation may do better */
	return (reason == REASON_NONE ? user_read(s) : reason);
}

/* Credentials are had in any case, for modules that do their account's work there; without a session they go again. */
static enum reason
session_open(struct conversation_session *s)
{
	enum reason reason;

	s->o->pam_error = pam_setcred(s->pam, PAM_ESTABLISH_CRED);
	if ((reason = account_reason(s->o->pam_error)) != REASON_NONE)
		return (reason);
	if (s->c->what & PAM_WHAT_SESSION) {
		s->o->pam_error = pam_open_session(s->pam, 0);
		if ((reason = account_reason(s->o->pam_error)) == REASON_NONE &&
		    (reason = user_read(s)) == REASON_NONE)
			return (REASON_NONE);
		if (s->o->pam_error == PAM_SUCCESS)
			(void)pam_close_session(s->pam, 0);
	}
	(void)pam_setcred(s->pam, PAM_DELETE_CRED);
	return (reason == REASON_NONE ? user_read(s) : reason);
}

static enum reason
talk_through(struct conversation_session *s)
{
	enum reason reason = REASON_NONE;

	if (s->c->what & PAM_WHAT_AUTHENTICATE)
		reason = authenticate(s);
	if (reason == REASON_NONE)
		reason = account(s);
	return (reason == REASON_NONE ? session_open(s) : reason);
}

static void
session_free(struct conversation_session *s, int error)
{
	users_turn_end(&s->turn);
	if (s->pam != NULL)
		(void)pam_end(s->pam, error);
	wire_free(&s->texts);
	free(s);
}

struct conversation_session *
conversation_hold(const struct conversation *c, struct conversation_outcome *o)
{
	struct conversation_session *s = calloc(1, sizeof(*s));

	*o = (struct conversation_outcome){.reason = REASON_PAM_TROUBLE, .pam_error = PAM_BUF_ERR};
	if (s == NULL)
		return (NULL);
	s->c = c;
	s->o = o;
	s->conv = (struct pam_conv){.conv = on_prompts, .appdata_ptr = s};
	s->turn.fd = -1;
	s->texts.limit = CONVERSATION_TEXTS_BYTES;
	s->is_asked = (c->what & PAM_WHAT_AUTHENTICATE) != 0;
	o->pam_error = talk_begin(s);
	if (o->pam_error == PAM_SUCCESS)
		o->reason = talk_through(s);
	o->good = o->reason == REASON_NONE;
	s->o = NULL;
	s->is_asked = 0; /* the verdict goes out: nobody answers any more */
	if (o->good && (c->what & PAM_WHAT_SESSION))
		return (s);
	session_free(s, o->pam_error);
	return (NULL);
}

void
conversation_end(struct conversation_session *s)
{
	int error;

	if (s == NULL)
		return;
	if ((error = pam_close_session(s->pam, 0)) != PAM_SUCCESS)
		log_warning("service %s: the PAM session of '%s' cannot be closed: %s", s->c->service, s->c->user,
		    pam_strerror(s->pam, error));
	(void)pam_setcred(s->pam, PAM_DELETE_CRED);
	session_free(s, error);
}
