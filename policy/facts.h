/* What decide is told: the facts about a person, a target and an account, as the database and the clocks have them. */
#ifndef POLICY_FACTS_H
#define POLICY_FACTS_H
#include "decide.h"
#include "policy.h"

/* What `facts` points to lies in here, and is freed by facts_free. */
struct facts_held {
	struct facts facts;
	struct person person;
	struct vendor vendor;
	struct target target;
	char account[ROW_NAME]; /* resolved; as asked when there is none such */
	struct rows grants, pending;
	struct rows live, asked; /* facts_of: windows and unanswered requests of the person's, wherever */
};

/* For a channel of no kind (need: a window), from nowhere, by no key, of somebody who waits: the caller says more. */
void facts_load(struct policy *p, struct facts_held *h, const char *login, const char *target, const char *account);
/* The same person at many places: facts_of reads what is theirs, facts_at looks at one place after the other (t: lent). */
void facts_of(struct policy *p, struct facts_held *h, const char *login);
void facts_at(struct policy *p, struct facts_held *h, const struct target *t, const char *account);
void facts_free(struct facts_held *h);
#endif
