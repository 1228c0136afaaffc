/*
 * Policy's word that a stream may have what lets it into its target, and the wishes of sessions for it.
 *
 * Nothing is given without a permit for that connection, that stream and that way in, nor past its end.  A wish that
 * comes before policy's word (after a restart) waits a little.  What is given and what is refused is told to policy,
 * for the book; a wish that only a session that lies can have is refused as suspect.
 *
 *     CERTIFY ──▶ permit ◀── finds ── wish ◀── CERT_WANTED, AGENT_WANTED, PASSWORD_WANTED, ROTATION_WANTED
 *                                      │
 *                                      └──▶ certify.c, credential.c
 */
#ifndef AUTH_PERMIT_H
#define AUTH_PERMIT_H
#include "agent.h"
#include "contract/messages.h"
#include "contract/tables.h"
#include "live.h"
#include "signer.h"
#include "vault.h"

#define PERMITS_MAX 16      /* streams of one connection that may be let in */
#define PERMIT_WISHES 8     /* that wait for policy's word */
#define PERMIT_WAIT_MS 5000 /* so long */
#define PERMIT_GIFTS 8      /* certificates, or passwords, on one permit */
#define PERMIT_REFUSALS 64  /* of one connection, after which it is cut: each is an event */

struct house;
struct visitor;

struct permit {
	/* policy's word */
	uint32_t stream;
	uint32_t capabilities;
	uint64_t grant; /* 0: free */
	int64_t ends_wall_ms;
	uint8_t how; /* enum target_login */
	uint8_t sha1;
	char target[LIVE_PERSON_SIZE];
	char account[LIVE_PERSON_SIZE];

	/* what became of it */
	uint32_t given;
	uint32_t signatures;
	uint64_t turn;    /* of the record whose password was given, so that what follows is about the same */
	uint8_t unproved; /* bits of the attempts whose password was given and not yet said to be good */
	int good;         /* a password let the session in */
	int rotating;     /* a new password was given, and what came of it is not known yet */
	struct agent *agent;
	struct visitor *visitor; /* whose permit; for the agent */
};

enum wish_kind { WISH_NONE, WISH_CERTIFICATE, WISH_AGENT, WISH_PASSWORD, WISH_ROTATION, WISH_KINDS };

struct wish {
	enum wish_kind kind;
	uint32_t ask;
	uint32_t stream;
	uint8_t attempt; /* of a password */
	uint8_t key[SIGNER_PUBLIC_SIZE];
	int64_t until_boot_ms;
};

struct permits {
	struct permit permit[PERMITS_MAX];
	struct wish wishes[PERMIT_WISHES];
	uint32_t refused; /* wishes */
};

/* CERTIFY came: takes it, and gives to those who waited. */
void permit_on_certify(struct visitor *v, const struct msg_certify *m);
/* A session wishes something: gives it, lets it wait, or refuses it. */
void permit_wish(struct visitor *v, const struct wish *w);
/* The wishes' timer. */
void permit_on_late(struct visitor *v);
/* The connection ended, or its link broke for good. */
void permits_end(struct visitor *v);

struct permit *permit_find(struct visitor *v, uint32_t stream); /* NULL: there is none */
void permit_about(const struct permit *p, char about[VAULT_ABOUT_SIZE]);
/* Says no to the session, to the log and to the book.  p may be NULL.  detail: for the book. */
void permit_refuse(
    struct visitor *v, const struct permit *p, const struct wish *w, enum reason reason, const char *detail);
/* Something was given (NONE) or refused on p. */
void permit_tell(struct visitor *v, const struct permit *p, enum reason reason, const char *detail);

/* certify.c: a certificate over the session's key. */
void certify_give(struct visitor *v, struct permit *p, const struct wish *w);

/* credential.c: what lies in the vault. */
void credential_agent(struct visitor *v, struct permit *p, const struct wish *w);
void credential_password(struct visitor *v, struct permit *p, const struct wish *w);
void credential_rotation(struct visitor *v, struct permit *p, const struct wish *w);
void credential_on_good(struct visitor *v, const struct msg_password_good *m);
void credential_on_rotated(struct visitor *v, const struct msg_rotation_done *m);
/* The permit ends while its rotation is under way. */
void credential_rotation_lost(struct visitor *v, struct permit *p);
/* 1 while a visit changes the password of TARGET+ACCOUNT: the target may have the new one any moment. */
int credential_is_rotating(struct house *h, const char *about);

#endif
