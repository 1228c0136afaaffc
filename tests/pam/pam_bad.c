/*
 * A PAM module for tests: its first argument says how it misbehaves, the second is what that wants to know.
 *
 *     auth     required  /build/pam/pam_bad.so  sleep
 *     session  optional  /build/pam/pam_bad.so  log  /tmp/log
 *
 * Those that ask want the answer "sesame".
 */
#include <fcntl.h>
#include <security/pam_appl.h>
#include <security/pam_modules.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORD "sesame"
#define FLOOD 10000
#define LONG_BYTES 65536

struct call {
	pam_handle_t *pam;
	const char *phase; /* "auth", "account", "open", "close", "establish", "delete", "password" */
	const char *about; /* the second argument; "" */
};

/* One message of any style; *answer (given, when not NULL) is what came. */
static int
converse(pam_handle_t *pam, int style, const char *text, char **answer)
{
	const struct pam_message m = {.msg_style = style, .msg = text}, *all = &m;
	struct pam_response *r = NULL;
	const void *item = NULL;
	const struct pam_conv *conv;
	int error;

	if ((error = pam_get_item(pam, PAM_CONV, &item)) != PAM_SUCCESS)
		return (error);
	conv = item;
	if ((error = conv->conv(1, &all, &r, conv->appdata_ptr)) != PAM_SUCCESS)
		return (error);
	if (answer != NULL)
		*answer = r->resp;
	else
		free(r->resp);
	free(r);
	return (PAM_SUCCESS);
}

static int
ask_with(const struct call *c, int style)
{
	char *answer = NULL;
	int error = converse(c->pam, style, "Word: ", &answer);

	if (error == PAM_SUCCESS)
		error = answer != NULL && strcmp(answer, WORD) == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
	free(answer);
	return (error);
}

static int
on_ask(const struct call *c)
{
	return (ask_with(c, PAM_PROMPT_ECHO_OFF));
}

static int
on_echo(const struct call *c)
{
	return (ask_with(c, PAM_PROMPT_ECHO_ON));
}

static int
on_yes(const struct call *c)
{
	(void)c;
	return (PAM_SUCCESS);
}

static int
on_sleep(const struct call *c)
{
	(void)c;
	while (pause() == -1)
		;
	return (PAM_SUCCESS);
}

/* Blocks all that can be blocked, and asks before. */
static int
on_hang(const struct call *c)
{
	sigset_t all;

	(void)on_ask(c);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	return (on_sleep(c));
}

static int
on_segv(const struct call *c)
{
	volatile int *nowhere = NULL;

	(void)c;
	*nowhere = 1; /* cppcheck-suppress nullPointer */
	return (PAM_SUCCESS);
}

static int
on_abort(const struct call *c)
{
	(void)c;
	abort();
}

static int
on_exit_now(const struct call *c)
{
	(void)on_ask(c);
	_exit(0);
}

static int
on_exit_orderly(const struct call *c)
{
	(void)on_ask(c);
	exit(0);
}

static int
on_flood(const struct call *c)
{
	for (int i = 0; i < FLOOD; i++) {
		int error = on_ask(c);

		if (error == PAM_CONV_ERR)
			return (error);
	}
	return (PAM_SUCCESS);
}

static int
on_flood_texts(const struct call *c)
{
	for (int i = 0; i < FLOOD; i++) {
		int error = converse(c->pam, PAM_TEXT_INFO, "again", NULL);

		if (error != PAM_SUCCESS)
			return (error);
	}
	return (PAM_SUCCESS);
}

static int
on_long(const struct call *c)
{
	char *text = malloc(LONG_BYTES);
	int error;

	if (text == NULL)
		return (PAM_BUF_ERR);
	memset(text, 'x', LONG_BYTES - 1);
	text[LONG_BYTES - 1] = '\0';
	error = converse(c->pam, PAM_PROMPT_ECHO_OFF, text, NULL);
	free(text);
	return (error);
}

/* `count` prompts at once; good when each was answered with the word. */
static int
batch(const struct call *c, int count)
{
	static const struct pam_message one = {.msg_style = PAM_PROMPT_ECHO_OFF, .msg = "Word: "};
	const struct pam_message *all[64];
	struct pam_response *r = NULL;
	const void *item = NULL;
	const struct pam_conv *conv;
	int error;

	for (int i = 0; i < count; i++)
		all[i] = &one;
	if ((error = pam_get_item(c->pam, PAM_CONV, &item)) != PAM_SUCCESS)
		return (error);
	conv = item;
	if ((error = conv->conv(count, all, &r, conv->appdata_ptr)) != PAM_SUCCESS)
		return (error);
	for (int i = 0; i < count; i++) {
		if (r[i].resp == NULL || strcmp(r[i].resp, WORD) != 0)
			error = PAM_AUTH_ERR;
		free(r[i].resp);
	}
	free(r);
	return (error);
}

static int
on_batch(const struct call *c)
{
	return (batch(c, PAM_MAX_NUM_MSG));
}

static int
on_batch_too_many(const struct call *c)
{
	return (batch(c, PAM_MAX_NUM_MSG + 1));
}

static int
on_batch_of_none(const struct call *c)
{
	return (batch(c, 0));
}

static int
on_style(const struct call *c)
{
	(void)on_ask(c);
	return (converse(c->pam, 42, "what is this?", NULL));
}

/* Becomes somebody else. */
static int
on_user(const struct call *c)
{
	int error = strcmp(c->phase, "auth") == 0 ? on_ask(c) : PAM_SUCCESS;

	return (error == PAM_SUCCESS ? pam_set_item(c->pam, PAM_USER, c->about) : error);
}

/* Writes where it has no business. */
static int
on_write(const struct call *c)
{
	for (int fd = 0; fd < 4; fd++)
		(void)!write(fd, "good morning\n", 13);
	return (on_ask(c));
}

/* Leaves a child behind, which holds everything open. */
static int
on_child(const struct call *c)
{
	FILE *f;
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	if ((f = fopen(c->about, "w")) != NULL) {
		fprintf(f, "%d\n", (int)pid);
		fclose(f);
	}
	return (on_ask(c));
}

static int
on_escape(const struct call *c)
{
	int error = converse(c->pam, PAM_TEXT_INFO,
	    "one\033]0;owned\007\033[2Jtwo \x9b"
	    "31m\xc2\x9b"
	    "32m",
	    NULL);

	if (error == PAM_SUCCESS)
		error = converse(c->pam, PAM_ERROR_MSG, "three\033[6n\rfour\b\b", NULL);
	if (error == PAM_SUCCESS)
		error = converse(c->pam, PAM_PROMPT_ECHO_OFF, "Word\033[5m: ", NULL);
	return (error);
}

/* The answer must be so many bytes long. */
static int
on_length(const struct call *c)
{
	char *answer = NULL;
	int error = converse(c->pam, PAM_PROMPT_ECHO_OFF, "Word: ", &answer);

	if (error == PAM_SUCCESS)
		error =
		    answer != NULL && strlen(answer) == strtoul(c->about, NULL, 10) ? PAM_SUCCESS : PAM_AUTH_ERR;
	free(answer);
	return (error);
}

/* For account: a password that must be changed. */
static int
on_expired(const struct call *c)
{
	(void)c;
	return (PAM_NEW_AUTHTOK_REQD);
}

static int
on_no(const struct call *c)
{
	(void)c;
	return (PAM_PERM_DENIED);
}

static int
on_broken(const struct call *c)
{
	(void)c;
	return (PAM_SYSTEM_ERR);
}

/* A line for each phase in a file. */
static int
on_log(const struct call *c)
{
	const void *user = NULL, *host = NULL;
	FILE *f;

	if (pam_get_item(c->pam, PAM_USER, &user) != PAM_SUCCESS ||
	    pam_get_item(c->pam, PAM_RHOST, &host) != PAM_SUCCESS || (f = fopen(c->about, "a")) == NULL)
		return (PAM_SYSTEM_ERR);
	fprintf(f, "%s %s %s\n", c->phase, (const char *)user, (const char *)host);
	fclose(f);
	return (PAM_SUCCESS);
}

static int
on_hang_at_close(const struct call *c)
{
	return (strcmp(c->phase, "close") == 0 ? on_hang(c) : on_yes(c));
}

static int
on_pass_delay(const struct call *c)
{
	int error = on_ask(c);

	if (error != PAM_SUCCESS)
		(void)pam_fail_delay(c->pam, 5000000);
	return (error);
}

static const struct {
	const char *name;
	int (*act)(const struct call *c);
} acts[] = {
    {"ask", on_ask},
    {"echo", on_echo},
    {"yes", on_yes},
    {"no", on_no},
    {"broken", on_broken},
    {"delay", on_pass_delay},
    {"sleep", on_sleep},
    {"hang", on_hang},
    {"segv", on_segv},
    {"abort", on_abort},
    {"exit-now", on_exit_now},
    {"exit-orderly", on_exit_orderly},
    {"flood", on_flood},
    {"flood-texts", on_flood_texts},
    {"long", on_long},
    {"batch", on_batch},
    {"batch-too-many", on_batch_too_many},
    {"batch-of-none", on_batch_of_none},
    {"style", on_style},
    {"user", on_user},
    {"write", on_write},
    {"child", on_child},
    {"escape", on_escape},
    {"length", on_length},
    {"expired", on_expired},
    {"log", on_log},
    {"hang-at-close", on_hang_at_close},
};

static int
act(pam_handle_t *pam, const char *phase, int argc, const char **argv)
{
	const struct call c = {.pam = pam, .phase = phase, .about = argc > 1 ? argv[1] : ""};

	for (size_t i = 0; argc > 0 && i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(acts[i].name, argv[0]) == 0)
			return (acts[i].act(&c));
	return (PAM_SERVICE_ERR);
}

int
pam_sm_authenticate(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	(void)flags;
	return (act(pam, "auth", argc, argv));
}

/* Only those that write down what they see have credentials. */
int
pam_sm_setcred(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	if (argc == 0 || strcmp(argv[0], "log") != 0)
		return (PAM_SUCCESS);
	return (act(pam, (flags & PAM_DELETE_CRED) != 0 ? "delete" : "establish", argc, argv));
}

int
pam_sm_acct_mgmt(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	(void)flags;
	return (act(pam, "account", argc, argv));
}

int
pam_sm_open_session(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	(void)flags;
	return (act(pam, "open", argc, argv));
}

int
pam_sm_close_session(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	(void)flags;
	return (act(pam, "close", argc, argv));
}

int
pam_sm_chauthtok(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	if ((flags & PAM_PRELIM_CHECK) != 0)
		return (PAM_SUCCESS);
	return (act(pam, "password", argc, argv));
}
