/*
 * lodge-pam as gateway starts it, and a test at the other ends of its links, gateway's and auth's.
 *
 * The conversation is alice's or whose the test says, by the stack that it writes, in a directory of its own.
 */
#ifndef PAM_BENCH_H
#define PAM_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "contract/peer.h"
#include "contract/tables.h"

#define PAM_SECRET "12345678901234567890"
#define PAM_HEX "3132333435363738393031323334353637383930"
#define PAM_WAIT_MS 8000 /* what should come comes within this time */
#define PAM_TEXT_SIZE 16384

/* One lodge-pam, and what it said last. */
struct pam_bench {
	char dir[64];
	char who[16]; /* alice */
	struct loop *loop;
	struct peer *gateway, *auth;
	pid_t pid;
	/* PAM_PROMPTS */
	uint16_t count;
	uint8_t style[64];
	char text[PAM_TEXT_SIZE]; /* all of them, one a line */
	/* PAM_RESULT, PAM_ENROLLED */
	int good;
	enum reason reason;
	uint32_t pam_error, delay_ms;
	char user[256];
};

/* For cmocka's setup and teardown: *state is a struct pam_bench. */
int pam_bench_make(void **state);
int pam_bench_remove(void **state);

const char *pam_path(const struct pam_bench *b, const char *name); /* lent until the fourth call after it */
void pam_put(const struct pam_bench *b, const char *name, const char *text);
const char *pam_get(
    const struct pam_bench *b, const char *name); /* "" for no such file; lent until the next call */
/* The service's file: `@` stands for pam_bad.so, `%` for the bench's directory. */
void pam_stack(const struct pam_bench *b, const char *lines);

void pam_begin(struct pam_bench *b, unsigned what, uint32_t deadline_ms);
/* Waits for a round whose last text is this. */
void pam_prompted(struct pam_bench *b, const char *text);
void pam_answer(struct pam_bench *b, const char *text);
void pam_answer_nothing(struct pam_bench *b); /* to a round of texts alone */
void pam_result(struct pam_bench *b, int good, enum reason reason);
int pam_hear_result(struct pam_bench *b); /* whatever it is; good? */
void pam_no_result(struct pam_bench *b, int wait_ms);
void pam_stays(struct pam_bench *b);  /* PAM_STAYS comes */
void pam_let_go(struct pam_bench *b); /* auth's end of the link is closed */
/* Its end; the status as waitpid(2) gives it. */
int pam_end(struct pam_bench *b);

/* A conversation of the other kind, from start to end; text is why it was refused. */
enum reason pam_enrol(struct pam_bench *b, const char *code);
/* Alice's code, `steps` of 30 s from now.  Lent until the next call. */
const char *pam_code(int steps);

#endif
