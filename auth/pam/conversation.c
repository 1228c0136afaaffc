/* One PAM conversation: see conversation.h. */
#include "conversation.h"

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"

#define TEXTS_MAX_BYTES 8192
#define DELAY_MS_MAX 30000

/* What the callbacks see. */
struct talk {
	const struct conversation *c;
	struct conversation_outcome *o;
	struct wire texts; /* shown with the next prompt, or alone at the end of a batch */
	uint16_t count;
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
talk_add(struct talk *t, enum prompt_style style, const char *text)
{
	wire_put_u8(&t->texts, (uint8_t)style);
	wire_put_text(&t->texts, bytes_text(text));
	t->count++;
}

static int
talk_ask(struct talk *t, char *answer)
{
	int ok = t->texts.failed ? -1 : t->c->ask(t->c->ctx, wire_bytes(&t->texts), t->count, answer);

	wire_clear(&t->texts);
	t->count = 0;
	return (ok);
}

/* One message of a batch.  Each prompt goes out alone, so that password and code never share a round. */
static int
talk_message(struct talk *t, const struct pam_message *m, struct pam_response *response)
{
	char answer[CONVERSATION_ANSWER_SIZE];

	switch (m->msg_style) {
	case PAM_TEXT_INFO:
		talk_add(t, PROMPT_INFORMATION, m->msg);
		return (0);
	case PAM_ERROR_MSG:
		talk_add(t, PROMPT_ERROR, m->msg);
		return (0);
	case PAM_PROMPT_ECHO_ON:
		talk_add(t, PROMPT_ECHO_ON, m->msg);
		break;
	case PAM_PROMPT_ECHO_OFF:
		talk_add(t, PROMPT_ECHO_OFF, m->msg);
		break;
	default:
		return (-1);
	}
	if (talk_ask(t, answer) == 0)
		response->resp = strdup(answer);
	secret_wipe(answer, sizeof(answer));
	return (response->resp == NULL ? -1 : 0);
}

static int
on_prompts(int count, const struct pam_message **messages, struct pam_response **gives, void *ctx)
{
	struct talk *t = ctx;
	struct pam_response *responses;

	*gives = NULL;
	if (count <= 0 || count > PAM_MAX_NUM_MSG ||
	    (responses = calloc((size_t)count, sizeof(*responses))) == NULL)
		return (PAM_CONV_ERR);
	for (int i = 0; i < count; i++)
		if (talk_message(t, messages[i], &responses[i]) == -1)
			goto nobody;
	if (t->count > 0 && talk_ask(t, NULL) == -1)
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
	struct talk *t = ctx;
	uint32_t delay_ms = delay_us / 1000;

	if (error != PAM_SUCCESS)
		t->o->delay_ms = delay_ms > DELAY_MS_MAX ? DELAY_MS_MAX : delay_ms;
}

static int
talk_begin(const struct conversation *c, struct pam_conv *conv, pam_handle_t **pam)
{
	union {
		void (*call)(int, unsigned int, void *);
		const void *item;
	} delay = {.call = on_delay};
	int error;

	if (c->directory[0] != '\0')
		error = pam_start_confdir(c->service, c->user, conv, c->directory, pam);
	else
		error = pam_start(c->service, c->user, conv, pam);
	if (error == PAM_SUCCESS)
		error = pam_set_item(*pam, PAM_RHOST, c->source);
	if (error == PAM_SUCCESS)
		error = pam_set_item(*pam, PAM_TTY, "ssh");
	if (error == PAM_SUCCESS)
		error = pam_set_item(*pam, PAM_FAIL_DELAY, delay.item);
	return (error);
}

/* The user whom the modules ended with must be the one they began with. */
static enum reason
user_read(pam_handle_t *pam, const struct conversation *c, struct conversation_outcome *o)
{
	const void *user = NULL;

	if (pam_get_item(pam, PAM_USER, &user) != PAM_SUCCESS || user == NULL ||
	    bytes_copy(o->user, sizeof(o->user), bytes_text(user)) == -1)
		return (REASON_PAM_TROUBLE);
	return (strcmp(o->user, c->user) == 0 ? REASON_NONE : REASON_PAM_ACCOUNT);
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
	default:
		return (REASON_PAM_TROUBLE);
	}
}

static enum reason
talk_through(pam_handle_t *pam, const struct conversation *c, struct conversation_outcome *o)
{
	enum reason reason;

	o->pam_error = pam_authenticate(pam, PAM_DISALLOW_NULL_AUTHTOK);
	if ((reason = authenticate_reason(o->pam_error)) != REASON_NONE)
		return (reason);
	if ((reason = user_read(pam, c, o)) != REASON_NONE)
		return (reason);
	o->pam_error = pam_acct_mgmt(pam, PAM_DISALLOW_NULL_AUTHTOK);
	if (o->pam_error == PAM_NEW_AUTHTOK_REQD)
		o->pam_error = pam_chauthtok(pam, PAM_CHANGE_EXPIRED_AUTHTOK);
	if (o->pam_error != PAM_SUCCESS)
		return (REASON_PAM_ACCOUNT);
	return (user_read(pam, c, o));
}

void
conversation_hold(const struct conversation *c, struct conversation_outcome *o)
{
	struct talk t = {.c = c, .o = o, .texts = {.limit = TEXTS_MAX_BYTES}};
	struct pam_conv conv = {.conv = on_prompts, .appdata_ptr = &t};
	pam_handle_t *pam = NULL;

	*o = (struct conversation_outcome){.reason = REASON_PAM_TROUBLE};
	o->pam_error = talk_begin(c, &conv, &pam);
	if (o->pam_error == PAM_SUCCESS)
		o->reason = talk_through(pam, c, o);
	o->good = o->reason == REASON_NONE;
	if (pam != NULL)
		pam_end(pam, o->pam_error);
	wire_free(&t.texts);
}
