/*
 * The words that people say at auth's own door: `secret ...` and `person enrol LOGIN`, and nothing else.
 *
 * auth has a small reader of its own: what carries a secret must not pass through policy's.  A word too many is refused
 * without being repeated, for it may be the secret.
 */
#ifndef AUTH_ORDER_H
#define AUTH_ORDER_H
#include "vault.h"

enum order_act { ORDER_SET, ORDER_GENERATE, ORDER_ROTATE, ORDER_LIST, ORDER_REMOVE, ORDER_ENROL };
#define ORDER_WHY_SIZE 256

struct order {
	enum order_act act;
	char about[VAULT_ABOUT_SIZE]; /* TARGET+ACCOUNT, a login, or "" */
	int json;
	int key;      /* set: what comes is a private key */
	uint8_t when; /* rotate: enum vault_rotate */
};

/* Reads arguments, each ended by a NUL.  -1, and `why` one line for people. */
int order_read(struct order *o, struct bytes words, char why[ORDER_WHY_SIZE]);
/* "set": the word for policy and for the book. */
const char *order_word(enum order_act act);
/* 1 when the secret itself comes behind the words. */
int order_wants_input(const struct order *o);

#endif
