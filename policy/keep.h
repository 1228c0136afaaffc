/*
 * What is known of vendors, people and targets: one life for all three (list, add, show, change, suspend, resume, remove);
 * each says in a struct kind what is its own.  Whoever is suspended or removed is cut off at once.
 *
 * A manager keeps engineers, vendors and targets; who else decides (managers, auditors, operators, Unix user ids) is the
 * operator's to say, and so is whoever has a name for PAM in common with one of them: an enrolment writes the secret of that
 * name.  Nobody changes what is known of themselves, and a vendor's own people change nothing.
 */
#ifndef POLICY_KEEP_H
#define POLICY_KEEP_H
#include "verb.h"

enum act { ACT_LIST, ACT_ADD, ACT_SHOW, ACT_CHANGE, ACT_SUSPEND, ACT_RESUME, ACT_REMOVE, ACT_COUNT };

struct keeping {
	struct verb *v;
	enum act act;     /* of an act that one kind alone has: ACT_COUNT */
	const char *word; /* of the act */
	const char *name; /* of whom or what */
	struct vendor vendor;
	struct person person, before;
	struct target target;
	struct rows ended; /* grants that keep_grants_end looked through; those it revoked are so */
};

/* An act that one kind alone has.  Who or what is named is there, and theirs to see; nothing is written yet. */
struct act_of_one {
	const char *word;
	void (*run)(struct keeping *k);
};

/* Those that give an int: -1 refused, or wrong words, and said so. */
struct kind {
	const char *noun;
	enum event_type event;
	int (*load)(struct keeping *k); /* 1 found, 0 there is none */
	/* before anything is written */
	int (*read)(struct keeping *k);    /* options into the row; add and change */
	int (*examine)(struct keeping *k); /* may they?  every act that writes; NULL: no rule of its own */
	/* within the transaction */
	int (*write)(struct keeping *k);
	int (*remove)(struct keeping *k);
	void (*suspend)(struct keeping *k, int64_t on);
	void (*cut)(struct keeping *k); /* after the commit: who is in and may be no more */
	const char *(*vendor_of)(const struct keeping *k);
	void (*list)(struct verb *v, struct sheet *s);
	void (*show)(struct keeping *k);
	const struct act_of_one *own; /* the last has no word; NULL: it has none */
};
extern const struct kind kind_vendor, kind_person, kind_target;

/* Before anything of them is changed: a vendor's own people never do, and deciding wants a code of its own.  -1: refused, or waits. */
int keep_may(struct keeping *k);
/* Who keeps whom (above), for a person who becomes `now` and was `before` (role ROLE_NONE: nobody).  NULL: they may; else why not. */
const char *keep_person_refusal(
    struct policy *p, const struct speaker *who, const struct person *before, const struct person *now);

/* Options into fields; a field stays as it was when its option is not given. */
int keep_date(struct verb *v, const char *option, int64_t *ms); /* "never": 0 */
int keep_networks(struct verb *v, char *to, size_t size);
int keep_text(struct verb *v, const char *option, char *to, size_t size);
/* "active", "suspended", "ended", "not yet" */
const char *keep_state(int64_t suspended, int64_t from, int64_t until);
/* Revokes all live grants that `chosen` says; within a transaction.  Who is in under them is cut off after the commit. */
void keep_grants_end(struct keeping *k, int (*chosen)(const struct keeping *k, const struct grant *g));
/* Lines of keys, for `show`. */
void keep_key_show(struct verb *v, struct sheet *s, const char *fingerprint, const char *type, const char *comment,
    struct text *all);
#endif
