/*
 * auth's own door: verbs that carry secrets, on the box alone (gateway binds the socket; order.h has the words).
 *
 * The kernel says which Unix user speaks, policy whether they may; nothing is done before policy has answered, and policy
 * answers when the book holds the event.  One verb a connection.
 */
#ifndef AUTH_DOOR_H
#define AUTH_DOOR_H
#include "base/secret.h"
#include "contract/messages.h"
#include "contract/tables.h"
#include "enrol.h"
#include "order.h"

#define DOOR_CALLERS_MAX 64
#define DOOR_CALLERS_EACH 16 /* of one Unix user */
#define DOOR_WAIT_MS 10000   /* for the words, the secret, and policy's answer: each */

struct house;

struct caller {
	struct caller *next;
	struct house *house;
	struct peer *peer; /* NULL: they left while policy was asked */
	uint32_t uid;      /* as the kernel said when they connected */
	struct timer *late;

	/* what they want */
	uint32_t ask; /* theirs */
	int has_words, has_input, is_over;
	struct order order;
	struct secret input;

	/* policy's answer */
	uint32_t asked; /* our number; 0: not asked yet, or answered; also of who has left */
	char who[65];
	char pam_user[LIVE_LOGIN_SIZE];

	/* person enrol, while the users file is written */
	struct enrol *enrol;
	uint8_t code_secret[ENROL_SECRET_BYTES];
};

/* fd (given) listens; a door that was there is closed, who speaks goes on. */
void door_begin(struct house *h, int fd);
void door_end(struct house *h);
void door_on_may(struct house *h, const struct msg_secret_may *m);
/* policy is back: asks again what it has not answered. */
void door_restate(struct house *h);

/* For secret_verbs.c: what is said, and the end. */
void caller_say(struct caller *c, struct bytes text);
void caller_end(struct caller *c, enum reason reason);
/* "lodge: denied [code] text", and the end. */
void caller_refuse(struct caller *c, enum reason reason, const char *text);

/* secret_verbs.c: policy said yes. */
void secret_do(struct caller *c);
/* It did, and nobody was there any more: nothing was done. */
void secret_undone(struct caller *c);

#endif
