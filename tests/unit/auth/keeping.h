/*
 * The vault on the bench: its keys and auth's own door, as gateway gives them; `lodge` at that door; and policy's and a
 * session's part where a stream wants what lies there.
 */
#ifndef KEEPING_H
#define KEEPING_H

#include "visit.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "f0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ABOUT "osv1+srx"
#define STREAM 5
#define GRANT 17
#define HOUR_MS (3600 * 1000)

/* A bench without codes, whose vault lies under KEY_A. */
void bench_vault_begin(struct bench *b);
void bench_vault_end(struct bench *b);
/* auth is killed and started again, with these keys (texts of their files; NULL: none). */
void bench_vault_again(struct bench *b, const char *now, const char *old);

void lodge_open(struct bench *b, struct end *e);
/* Words with one blank between them; input NULL: none. */
void lodge_say(struct end *e, const char *words, const char *input);
/* Takes all that was said; gives the status. */
int lodge_heard(struct bench *b, struct end *e);
/* Fails when that does not stand, or stands, in what was said last. */
void said_has(const char *what);
void said_has_not(const char *what);
/* A whole verb that policy allows; its status. */
int lodge_verb(struct bench *b, const char *words, const char *input);

/* SECRET_ASKED is this; SECRET_MAY says that. */
void policy_may(struct bench *b, const char *act, const char *about, enum reason reason);
/* SECRET_DONE is this. */
void policy_done(struct bench *b, const char *act, enum reason reason);
/* CERTIFY for osv1+srx, held. */
void policy_permit(struct visit *v, uint32_t stream, enum target_login how);
/* The next CREDENTIAL is this, of this visit. */
void policy_told(struct visit *v, enum target_login how, enum reason reason);

/* Logs alice in as connection conn. */
void visit_in(struct visit *v, struct bench *b, uint64_t conn);
/* The connection ended, and auth knows it. */
void visit_leave(struct visit *v);
void password_want(struct visit *v, uint32_t stream, uint8_t attempt);
/* Wants it for STREAM, gets just that, and policy is told. */
void password_is(struct visit *v, uint8_t attempt, const char *password);
/* CREDENTIAL_REFUSED to the last question. */
void visit_refused(struct visit *v, enum reason reason);

#endif
