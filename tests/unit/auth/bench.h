/*
 * A bench for lodge-auth: the real program, and a test that plays gateway, policy and sessions at the other ends of its
 * links.  lodge-pam is the real one too, started as gateway would.  Everything lies in one directory of its own, and
 * the clocks of both programs can be turned.
 */
#ifndef BENCH_H
#define BENCH_H

#include <openssl/evp.h>
#include <sys/types.h>

#include "contract/peer.h"
#include "contract/tables.h"

#define BENCH_MS 8000 /* what should come comes within this time */

/* One end of a link, played by the test: what came and was not looked at yet. */
struct end {
	struct peer *peer; /* NULL: not there */
	enum process me, other;
	struct letter *first, **last;
	int closed; /* by the other end */
};

/* A person's key: ed25519, public blob as on the wire. */
struct person_key {
	EVP_PKEY *pkey;
	uint8_t blob[51];
};

struct bench {
	char dir[64];
	struct loop *loop;
	struct timer *late;
	int is_late;
	int64_t *clock; /* {boot, wall} offsets in ms */
	int memory;     /* the table that outlives auth */
	pid_t auth, pam;
	struct end gateway, policy, pam_link;
	uint8_t host_key[51];
	struct person_key alice;
	char settings[1024];
};

/* methods: AuthenticationMethods; more: further lines of lodge.conf. */
void bench_begin(struct bench *b, const char *methods, const char *more);
/* STOP; auth must end by itself with status 0, as every daemon. */
void bench_end(struct bench *b);
/* A first or a new auth, with the same table; policy is linked. */
void bench_auth_start(struct bench *b);
void bench_auth_kill(struct bench *b);
/* Starts a program of auth's with settings; gives its end of descriptor 3. */
pid_t bench_spawn(const struct bench *b, const char *program, int *fd);

void end_open(struct bench *b, struct end *e, int fd, enum process me, enum process other);
void end_close(struct end *e);
/* A link between auth and session `conn` from `source`, or PAM's number `conn`: both ends. */
void bench_session(struct bench *b, struct end *e, uint64_t conn, const char *source);
/* The next message of this type, others stay; fails the test when it does not come.  Lent until the next call. */
const struct message *end_expect(struct bench *b, struct end *e, enum message_type type);
/* Fails when a message of this type is there, or comes within ms. */
void end_expect_none(struct bench *b, struct end *e, enum message_type type, int ms);
void end_expect_closed(struct bench *b, struct end *e);

/* gateway's answer to PAM_WANTED: a fresh lodge-pam, linked. */
void bench_pam(struct bench *b);
/* The same, with the test itself as lodge-pam: `e` is its end of auth's link. */
void bench_pam_play(struct bench *b, struct end *e);
/* policy's link anew, as after its death. */
void bench_policy_relink(struct bench *b);
/* Alice's code, `steps` of 30 s from now. */
void bench_code(char code[16], int steps);

void key_make(struct person_key *k);
/* signed_data of a userauth request, and its signature; host NULL: plain publickey. */
void proof_make(const struct person_key *k, struct bytes identifier, const char *user, const uint8_t *host,
    struct wire *text, struct wire *signature);
/* A FIDO key: sk-ssh-ed25519 for the application "ssh:". */
struct token_key {
	EVP_PKEY *pkey;
	uint8_t blob[128];
	size_t blob_len;
};
void token_make(struct token_key *k);
/* proof_make by a token: flags as it says them (1 touched, 4 verified), and its counter. */
void token_proof_make(const struct token_key *k, struct bytes identifier, const char *user, uint8_t flags,
    uint32_t counter, struct wire *text, struct wire *signature);
/* 1 when signature (blob) is host_key's over text. */
int signature_is(const uint8_t host_key[51], struct bytes signature, struct bytes text);

/* Runs words through sh in the bench's directory; gives what it printed (free it); fails the test unless it exits 0. */
char *bench_run(const struct bench *b, const char *words);

#endif
