/*
 * One PAM conversation, from pam_start to pam_end, as root, for somebody who need not be in passwd.
 *
 *     authenticate -> account [-> change an expired password] -> credentials [-> session ... end of it]
 *
 * The account is examined in any case, authentication and session are had when asked for.  Never sleeps for a failure:
 * the delay that modules ask for is given back instead.  No other file of Lodge calls libpam.
 */
#ifndef PAM_CONVERSATION_H
#define PAM_CONVERSATION_H
#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"
#include "contract/tables.h"

#define CONVERSATION_NAME_SIZE 256
#define CONVERSATION_ANSWER_SIZE 512 /* PAM_MAX_RESP_SIZE */
#define CONVERSATION_ROUNDS_MAX \
	64 /* of questions and texts; a module that goes on and on gets no answer any more */
#define CONVERSATION_TEXTS_BYTES 8192 /* of one round */

/* As in PAM_PROMPTS of contract/messages.def. */
enum prompt_style { PROMPT_ECHO_OFF = 0, PROMPT_ECHO_ON = 1, PROMPT_INFORMATION = 2, PROMPT_ERROR = 3 };

/*
 * Shows `texts` ({u8 style, text} `count` times, of which at most the last wants an answer) and, when `answer` is not
 * NULL, waits for it.  -1: nobody answers any more.
 */
typedef int conversation_ask(void *ctx, struct bytes texts, uint16_t count, char answer[CONVERSATION_ANSWER_SIZE]);

struct conversation {
	unsigned what; /* enum pam_what.  Without AUTHENTICATE nobody is there to answer, and nothing is asked */
	const char *service;
	const char *directory; /* "" for the system's own */
	const char *user;
	const char *source;     /* the engineer's address */
	const char *users_file; /* pam_oath's; "": there is none */
	conversation_ask *ask;
	void *ctx;
};

struct conversation_outcome {
	int good;
	enum reason reason;
	int pam_error;
	char user[CONVERSATION_NAME_SIZE]; /* PAM_USER as it stands at the end */
	uint32_t delay_ms;                 /* what the modules would have slept */
};

struct conversation_session;

/* c (lent) must stay until the session's end.  Gives the session that was opened; NULL: there is none to end. */
struct conversation_session *conversation_hold(const struct conversation *c, struct conversation_outcome *o);
void conversation_end(struct conversation_session *s); /* NULL is fine */

#endif
