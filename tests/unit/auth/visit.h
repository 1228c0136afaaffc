/* One connection on the bench, as its session and policy would speak of it: the steps that most walks share. */
#ifndef VISIT_H
#define VISIT_H

#include "bench.h"

#define SOURCE "192.0.2.7"

struct visit {
	struct bench *b;
	struct end s; /* the session's end */
	uint64_t conn;
	uint32_t ask;
	const char *login; /* "alice+osv1" */
	uint8_t id[32];

	/* what policy will say of alice and her key */
	enum role role; /* 0: an engineer */
	enum reason key_reason;
	uint8_t key_options;
	uint32_t key_counter;
	struct bytes key; /* empty: the bench's alice */
};

/* Links, and has the first exchange hash signed: 32 times `fill`. */
void visit_begin(struct visit *v, struct bench *b, uint64_t conn, const char *source, uint8_t fill);
/* A new link after auth was renewed. */
void visit_relink(struct visit *v, const char *source);
void visit_end(struct visit *v);
/* SIGN of a hash, 32 times `fill`: signed, and rightly. */
void visit_sign(struct visit *v, uint8_t fill);

uint32_t visit_step(struct visit *v, enum login_method method);
/* The answer to the last question. */
void visit_result(struct visit *v, enum login_outcome outcome, enum reason reason);
/* A disconnect that nobody asked for. */
void visit_disconnected(struct visit *v, enum reason reason);
int visit_offer(struct visit *v, const char *algorithm, struct bytes key);
/* k's proof over `identifier` for `user`; 1 when auth calls it good.  host NULL: not host-bound. */
int visit_prove(
    struct visit *v, const struct person_key *k, struct bytes identifier, const char *user, const uint8_t *host);
/* PROOF as it is; 1 when auth calls it good. */
int visit_proof(struct visit *v, struct bytes key, struct bytes text, struct bytes signature);
/* The prompt that people know, for the question `ask`. */
void visit_prompt(struct visit *v, uint32_t ask);
/* LOGIN_STEP keyboard-interactive, lodge-pam started; the prompt that came is the one that people know. */
void visit_prompted(struct visit *v);
void visit_answer(struct visit *v, const char *text);

/* policy's part: who was asked for; alice is known, others are not. */
void policy_person(struct visit *v, const char *login, enum reason reason);
void policy_event(struct visit *v, const char *method, enum reason reason);
/* The key that policy hears of. */
void policy_key_used(struct visit *v, uint32_t counter);
/* A session did what no honest one does. */
void policy_suspect(struct visit *v);
/* The identity that policy hears; its answer. */
void policy_identity(struct visit *v, uint32_t factors, int host_bound, int restated);
void policy_held(struct visit *v, enum reason reason);

/* name, key, code (`steps` from now) and all: in. */
void visit_login(struct visit *v, int steps);
/* name and key: PARTIAL. */
void visit_key(struct visit *v);

#endif
