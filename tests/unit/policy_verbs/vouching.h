/* Auth's end of policy's link, in our hands: what it heard last of each kind, and the words to say to policy. */
#ifndef POLICY_VERBS_VOUCHING_H
#define POLICY_VERBS_VOUCHING_H
#include <stdint.h>

#include "policy.h"

#define VOUCHED_KEYS 8

struct vouched {
	/* PERSON */
	unsigned persons, known, role, reason, key_count;
	char pam_user[ROW_NAME];
	struct {
		unsigned reason, options;
		uint32_t counter;
	} key[VOUCHED_KEYS];
	/* IDENTITY_HELD */
	unsigned identities, identity_reason;
	/* INVITE, INVITE_HELD */
	unsigned invites, invite_reason, invite_role, helds, held_reason;
	char invite_login[ROW_NAME], invite_pam_user[ROW_NAME];
	/* FRESH_CODE_WANTED; code_answer -1: nothing is said, else its reason at once */
	unsigned codes;
	uint64_t code_conn;
	uint32_t code_ask;
	int code_answer;
	/* GRACE_CAP */
	unsigned graces;
	char grace_login[ROW_NAME];
	/* SECRET_MAY */
	unsigned mays, may_reason;
	char may_text[1024], may_who[ROW_NAME], may_pam_user[ROW_NAME];
};

struct bench;
/* Called for whatever comes over auth's link. */
void vouched_note(struct bench *b, struct peer *auth, const struct message *m);

/* Each says it to policy and lets all happen that can. */
void person_wanted(struct bench *b, const char *login, const char *source);
void key_used(struct bench *b, const char *login, const char *fingerprint, uint32_t counter, const char *source);
void invite_wanted(struct bench *b, const char *code, const char *source);
void invite_used(struct bench *b, const char *code, const char *key_line, const char *source);
void code_answered(struct bench *b, uint64_t conn, uint32_t ask, enum reason reason);
void secret_asked(struct bench *b, uint32_t uid, const char *act, const char *about);
void secret_done(struct bench *b, const char *act, const char *about, enum reason reason, const char *text);
#endif
