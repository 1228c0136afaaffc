/*
 * The connections that live, each with what it asks (asks.h), its leases and its ways into targets (walk.h), from the
 * first word about it to its end.  What must outlive this process stands in the database; the rest is found again from
 * what sessions, gateway and auth say anew.
 */
#ifndef POLICY_VISITS_H
#define POLICY_VISITS_H
#include "policy.h"

/* How long one connection may use one grant, as told to session and gateway. */
struct lease {
	struct lease *next;
	int64_t grant, begins_at, ends_at, ends_boot, hard_end_boot;
	char approver[ROW_NAME];
	enum { LEASE_UNTOLD, LEASE_TOLD, LEASE_IS_HELD } session, gateway;
};

/* One stream on its way to its target, or there. */
struct walk {
	struct walk *next;
	int64_t number; /* of the stream's row */
	uint32_t stream;
	int64_t grant;
	int64_t after; /* the event that the book must hold first */
	int forward;   /* to a host:port of the grant, not to its target */
	enum { STEP_UNTOLD, STEP_TOLD, STEP_DONE } recorder, auth, dial;
	enum { WALK_GOING, WALK_BEGUN, WALK_OVER } stage;
};

/* A question of the session that has not had its last answer. */
struct question {
	struct question *next;
	uint32_t ask;
	int told_waiting;   /* VERDICT WAIT was said over this link */
	uint64_t seen;      /* policy.askings when that was so: until then there is nothing to look for */
	int64_t lapse_boot; /* until when it may wait, once that was said */
	int told_yes;       /* VERDICT ALLOW was; only a dial that fails can follow */
};

struct want;

struct connection {
	struct connection *next;
	struct policy *policy;
	uint64_t conn;
	struct peer *session; /* NULL while its link is away */
	char source[ROW_NAME];
	uint16_t port;
	struct visitor visitor; /* number 0: nobody vouched for it yet */
	struct lease *leases;
	struct walk *walks;
	struct question *questions;
	struct want *wants;    /* fresh.h: what waits for a code */
	char intent[ROW_NAME]; /* the target that the login names; "" for none */
	/* secrets.h: what its process did that is not its own */
	unsigned suspicions;
	int64_t suspect_at;
	char suspicion[ROW_WORDS];
	int64_t limit_boot; /* when gateway kills it, as told last; 0: nothing was told */
	int cut;            /* it was told to end: its limit moves no more */
	int linked;         /* gateway has told of it since we started */
};

struct connection *connection_find(struct policy *p, uint64_t conn);
struct connection *connection_make(
    struct policy *p, uint64_t conn); /* finds, or makes and fills from the database */
/* Did its process end lately?  Numbers are never given again. */
int connection_is_gone(const struct policy *p, uint64_t conn);
/* A link to a session (given); what lived of it before is told anew. */
void visits_link(struct policy *p, uint64_t conn, const char *source, uint16_t port, int fd);
/* Gateway has told of all that live: whoever is not among them has left. */
void visits_sweep(struct policy *p);
void visits_free(struct policy *p);
/* Cuts one connection off, whatever it does, with a reason: the session is told, and gateway kills it 2 s later. */
void connection_cut(struct connection *c, enum reason reason, const char *text);

void on_visit(struct connection *c, const struct msg_visit *m);
void on_refused(struct connection *c, const struct msg_refused *m);
void on_session_gone(struct policy *p, const struct msg_session_gone *m);
void on_sealed(struct policy *p, const struct msg_sealed *m);
#endif
