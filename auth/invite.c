/*
 * `invite+CODE`: somebody whom policy knows by an invitation alone brings a key, is shown a secret, proves its code, and
 * is enrolled by that.
 *
 * The one place where auth looks at the second part of a login name: the code is who they are.  It is in no log and no
 * event.  A code that is wrong, used or expired is answered as an unknown name is.  Nothing is changed before key and
 * code are proved; then the users file is written, and only after it the invitation is used up: who is interrupted
 * between the two comes again with the same code.  Two at once: the second to be ready is refused, before it writes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "login.h"

#define PROMPT "\nVerification code: "
#define PROMPT_AGAIN "Verification code: "
#define HINT                                                                                                   \
	"lodge: you were invited. Let your authenticator read this picture, or give it the line below. It is " \
	"shown once."

int
invite_name(const struct loginname *name)
{
	return (strcmp(name->person, INVITE_NAME) == 0 && name->target[0] != '\0' && name->account[0] == '\0');
}

int
invite_looks(const char *login)
{
	size_t len = strlen(INVITE_NAME);

	return (strncmp(login, INVITE_NAME, len) == 0 && login[len] != '\0' && strchr("+ %:#", login[len]) != NULL);
}

int
invite_is(const struct visitor *v)
{
	return (v->kept.invited);
}

/* ---- policy's word ---- */

void
invite_person_ask(struct visitor *v)
{
	struct loginname name;

	if (loginname_split(bytes_text(v->kept.login), &name) == 0)
		peer_post(v->house->policy, INVITE_WANTED, invite_wanted, .ask = v->kept.conn,
		    .code = bytes_text(name.target), .source = bytes_text(v->kept.source));
}

static void on_asked_again(struct visitor *v, const struct msg_invite *m);

void
invite_on_person(struct visitor *v, const struct msg_invite *m)
{
	struct person *p = &v->person;

	login_check(v);
	if (!invite_is(v) || v->kept.state == LOGIN_IN)
		return;
	if (m->role > ROLE_OPERATOR)
		log_fatal("policy's answer about an invitation does not read");
	if (v->invitation.is_asked_again) {
		on_asked_again(v, m);
		return;
	}
	free(p->keys);
	*p = (struct person){.here = 1, .role = m->role, .reason = m->reason};
	p->known = m->reason == REASON_NONE;
	if (bytes_copy(p->login, sizeof(p->login), m->login) == -1 ||
	    bytes_copy(p->pam_user, sizeof(p->pam_user), m->pam_user) == -1 || (p->known && p->login[0] == '\0'))
		log_fatal("policy's answer about an invitation does not read");
	if (p->pam_user[0] == '\0')
		memcpy(p->pam_user, p->login, sizeof(p->login));
	vouch_person_came(v);
}

void
invite_take_key(struct visitor *v, struct bytes key, uint32_t counter)
{
	struct invitation *i = &v->invitation;

	memcpy(i->key, key.at, key.len);
	i->key_len = key.len;
	i->counter = counter;
	memset(v->kept.person, 0, sizeof(v->kept.person));
	memcpy(v->kept.person, v->person.login, sizeof(v->person.login));
}

/* ---- the secret ---- */

void
invite_begin(struct visitor *v)
{
	struct invitation *i = &v->invitation;
	const struct settings *set = v->house->set;
	struct wire prompt = {0};

	if (set->oath_users_file[0] == '\0') { /* codes are somebody else's matter */
		talk_begin(v, TALK_LOGIN, v->request.ask);
		login_move(v, LOGIN_TALKING);
		timer_after(v->deadline, set->pam_timeout);
		return;
	}
	if (!i->is_made && enrol_secret_make(i->secret) == -1)
		log_fatal("no randomness for a secret");
	i->is_made = 1;
	talk_begin(v, TALK_INVITED, v->request.ask);
	login_move(v, LOGIN_TALKING);
	peer_post(v->house->gateway, ENROLS, enrols, .conn = v->kept.conn);
	timer_after(v->deadline, ENROL_MS);
	/* OpenSSH writes an instruction through its log, which escapes and cuts it; a prompt it shows as it is. */
	if (!i->is_shown) {
		wire_put_raw(&prompt, "\n", 1); /* OpenSSH puts the name of the login before it */
		(void)enrol_show(&prompt, set->log_origin, v->kept.person, i->secret);
		wire_put_raw(&prompt, PROMPT, sizeof(PROMPT) - 1);
		talk_tell(v, bytes_text(HINT));
	} else
		wire_put_raw(&prompt, PROMPT_AGAIN, sizeof(PROMPT_AGAIN) - 1);
	i->is_shown = 1;
	talk_ask(v, wire_bytes(&prompt));
	wire_free(&prompt);
}

void
invite_on_answer(struct visitor *v, struct bytes code)
{
	struct invitation *i = &v->invitation;

	if (!i->is_made || !enrol_code_is_right(i->secret, code, clock_wall_ms()) ||
	    bytes_copy(i->used_code, sizeof(i->used_code), code) == -1) {
		login_on_talked(v, REASON_WRONG_CODE);
		return;
	}
	talk_code_use(v); /* when it comes again, it is called what it is */
	login_on_talked(v, REASON_NONE);
}

/* ---- enrolled ---- */

/* Another connection with the same invitation that is further: 1. */
static int
has_rival(const struct visitor *v)
{
	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		for (const struct visitor *o = v->house->buckets[i]; o != NULL; o = o->next)
			if (o != v && invite_is(o) && o->kept.state == LOGIN_ENROLLING &&
			    strcmp(o->kept.person, v->kept.person) == 0)
				return (1);
	return (0);
}

/* The invitation is used up: whoever else has come with it is told so. */
static void
rivals_refuse(struct visitor *v)
{
	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		for (struct visitor *o = v->house->buckets[i]; o != NULL; o = o->next) {
			if (o == v || !invite_is(o) || o->kept.state == LOGIN_IN || o->kept.state == LOGIN_OVER ||
			    strcmp(o->kept.login, v->kept.login) != 0)
				continue;
			o->person.known = 0;
			o->person.reason = REASON_INVITE;
			if (o->kept.state == LOGIN_OPEN)
				continue;
			answer_attempt(o, "", REASON_INVITE, o->kept.fingerprint);
			answer_refuse(o, REASON_INVITE, clock_boot_ms());
		}
}

static void
used_tell(struct visitor *v)
{
	struct invitation *i = &v->invitation;
	struct loginname name;

	if (loginname_split(bytes_text(v->kept.login), &name) == -1)
		return;
	timer_after(v->deadline, LOGIN_POLICY_MS);
	peer_post(v->house->policy, INVITE_USED, invite_used, .ask = v->kept.conn, .code = bytes_text(name.target),
	    .key = bytes_of(i->key, i->key_len), .source = bytes_text(v->kept.source));
}

static void
on_enrolled(void *ctx, enum reason reason, const char *why)
{
	struct visitor *v = ctx;

	(void)why; /* is in the log */
	v->invitation.enrol = NULL;
	if (reason == REASON_NONE) {
		/* Also when policy says no behind it: what they had before is gone. */
		tell_policy(v->house, SECRET_DONE, secret_done, .act = bytes_text("invite"),
		    .about = bytes_text(v->kept.person), .who = bytes_text(v->kept.person), .reason = REASON_NONE,
		    .text = bytes_text(""));
		used_tell(v);
		return;
	}
	v->kept.factors &= ~(uint32_t)FACTOR_PAM;
	login_move(v, LOGIN_KEYED);
	answer_fail_at(v, "keyboard-interactive", reason, reason, clock_boot_ms());
}

void
invite_use(struct visitor *v)
{
	struct invitation *i = &v->invitation;
	int is_second = has_rival(v);

	login_move(v, LOGIN_ENROLLING);
	i->wants_account = i->is_made || !v->kept.wants_code;
	if (is_second || !v->person.known) {
		answer_attempt(v, "", REASON_INVITE, v->kept.fingerprint);
		answer_refuse(v, REASON_INVITE, clock_boot_ms());
		return;
	}
	if (!i->is_made) {
		used_tell(v);
		return;
	}
	/* What is written takes the place of an older secret: never by an invitation that was used or voided while they typed. */
	i->is_asked_again = 1;
	timer_after(v->deadline, LOGIN_POLICY_MS);
	invite_person_ask(v);
}

/* policy's second word about it. */
static void
on_asked_again(struct visitor *v, const struct msg_invite *m)
{
	struct invitation *i = &v->invitation;

	i->is_asked_again = 0;
	timer_stop(v->deadline);
	if (m->reason != REASON_NONE || !bytes_are(m->login, v->kept.person) ||
	    !bytes_are(m->pam_user, v->person.pam_user)) {
		answer_attempt(v, "", REASON_INVITE, v->kept.fingerprint);
		answer_refuse(v, REASON_INVITE, clock_boot_ms());
		return;
	}
	i->enrol = enrol_begin(v->house, v->person.pam_user, i->secret, bytes_text(i->used_code), on_enrolled, v);
	if (i->enrol == NULL)
		log_fatal("out of memory");
	secret_wipe(i->used_code, sizeof(i->used_code));
}

void
invite_on_held(struct visitor *v, enum reason reason)
{
	struct invitation *i = &v->invitation;

	login_check(v);
	if (v->kept.state != LOGIN_ENROLLING || i->enrol != NULL || i->is_asked_again)
		return;
	timer_stop(v->deadline);
	if (reason != REASON_NONE) {
		answer_attempt(v, "", reason, v->kept.fingerprint);
		answer_refuse(v, reason, clock_boot_ms());
		return;
	}
	v->kept.factors |= FACTOR_INVITED;
	log_info("connection %llu: %s is enrolled by an invitation, with %s %s", (unsigned long long)v->kept.conn,
	    v->kept.person, v->kept.key_type, v->kept.fingerprint);
	admit_key_used(v, i->counter);
	rivals_refuse(v);
	if (i->wants_account)
		vouch_examined(v);
	else
		vouch(v);
}

void
invite_restate(struct visitor *v)
{
	if (v->kept.state == LOGIN_ENROLLING && v->invitation.is_asked_again)
		invite_person_ask(v);
	else if (v->kept.state == LOGIN_ENROLLING && v->invitation.enrol == NULL)
		used_tell(v);
}

void
invite_end(struct visitor *v)
{
	enrol_cancel(v->invitation.enrol);
	secret_wipe(&v->invitation, sizeof(v->invitation));
	v->invitation = (struct invitation){0};
}
