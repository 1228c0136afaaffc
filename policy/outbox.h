/*
 * The outbox: events that stand in the database by the transaction that made them true, and go to the book one by one,
 * numbered without a gap, until it holds them.  A link that breaks costs nothing: the book says what it has.
 */
#ifndef POLICY_OUTBOX_H
#define POLICY_OUTBOX_H
#include "policy.h"

/* What is known of an event; zero and NULL where nothing is. */
struct happening {
	enum event_type type;
	enum reason reason;  /* outcome is failure when it is not NONE, unless `outcome` says otherwise */
	const char *outcome; /* NULL: as above */
	const char *who;     /* login of who did it; "root" for the operator on the box */
	const char *about;   /* login of whom it was done to */
	const char *vendor, *source, *fingerprint, *method;
	int64_t port;
	int64_t session, request, grant, recording_number;
	const char *recording, *target, *account, *what, *why, *ticket;
	int64_t capabilities; /* bits of enum capability */
	const char *forwards; /* a list, as forwards.h has it */
	int64_t begins_at, ends_at;
	int64_t at_wall_ms; /* 0: now */
};

/* Writes it into the outbox, within a transaction.  Gives its number: tell nobody before book_held has reached it. */
int64_t event_note(struct policy *p, const struct happening *h);

/* Reads where the database stands; at start. */
void outbox_begin(struct policy *p);
/* Sends what the book has not got yet, a few at once. */
void outbox_pump(struct policy *p);
/* A new link to the book (given), or NULL: it went away. */
void outbox_link(struct policy *p, struct peer *book);
void on_leaf_last(struct policy *p, const struct msg_leaf_last *m);
void on_leaf_held(struct policy *p, const struct msg_leaf_held *m);
#endif
