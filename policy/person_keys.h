/*
 * A person's keys, as `person` adds, changes, shows and takes them away: each with what stands before it in authorized_keys
 * (key_options.h).  A key given again keeps its age and its uses, and has the new options.
 */
#ifndef POLICY_PERSON_KEYS_H
#define POLICY_PERSON_KEYS_H
#include "keep.h"

#define PERSON_KEYS_MOST 32

/* --remove-key, then each --key; within the transaction.  -1: refused, or wrong words, and said so. */
int person_keys_write(struct keeping *k);
size_t person_keys_count(struct policy *p, const char *login);
/* All of theirs; within a transaction. */
void person_keys_remove(struct policy *p, const char *login);

/* "active", "not yet", "expired" */
const char *person_key_state(const struct policy *p, const struct person_key *key);
/* A row each. */
void person_keys_rows(struct policy *p, const char *login, struct sheet *s);
#endif
