/* Secrets, as far as policy knows of them; see secrets.h. */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "base/log.h"
#include "control.h"
#include "decide.h"
#include "graces.h"
#include "keep.h"
#include "outbox.h"
#include "promises.h"
#include "secrets.h"
#include "targets.h"
#include "words.h"

/* What one does with a secret: about whom or what, and whether anybody asks for it at auth's door. */
enum about { ABOUT_NOTHING, ABOUT_PERSON, ABOUT_ACCOUNT, ABOUT_ACCOUNT_ONCE };
static const struct deed {
	const char *name;
	enum about about; /* ACCOUNT_ONCE: the target may be gone meanwhile */
	int is_asked;     /* noted when it is asked for; else when it is done */
} deeds[] = {
    {"enrol", ABOUT_PERSON, 1},
    {"set", ABOUT_ACCOUNT, 1},
    {"generate", ABOUT_ACCOUNT, 1},
    {"rotate", ABOUT_ACCOUNT, 1},
    {"remove", ABOUT_ACCOUNT_ONCE, 1},
    {"list", ABOUT_NOTHING, 1},
    {"rotation", ABOUT_ACCOUNT_ONCE, 0},
    {"invite", ABOUT_PERSON, 0},
};
#define DEEDS (sizeof(deeds) / sizeof(deeds[0]))

static const struct deed *
deed_find(struct bytes name)
{
	for (size_t i = 0; i < DEEDS; i++)
		if (bytes_are(name, deeds[i].name))
			return (&deeds[i]);
	return (NULL);
}

/* What it is about, taken apart. */
struct subject {
	char target[ROW_NAME], account[ROW_NAME];
	struct person person; /* role ROLE_NONE: nobody */
};

/* "TARGET+ACCOUNT"; -1: it is not written so. */
static int
place_read(struct bytes about, struct subject *s)
{
	char text[2 * ROW_NAME], *plus;

	if (bytes_copy(text, sizeof(text), about) == -1 || (plus = strchr(text, '+')) == NULL)
		return (-1);
	*plus++ = '\0';
	if (!name_is_good(text) || plus[0] == '\0' || strlen(plus) >= ROW_NAME || !text_is_clean(plus))
		return (-1);
	TEXT_COPY(s->target, text);
	TEXT_COPY(s->account, plus);
	return (0);
}

/* ---- may they? ---- */

struct asking_one {
	const struct deed *act;
	struct speaker who;
	struct subject about;
	struct promise *answer;
};

static int
no(struct asking_one *a, enum reason reason, const char *words)
{
	a->answer->reason = reason;
	(void)snprintf(
	    a->answer->text, sizeof(a->answer->text), "lodge: denied [%s] %s", reason_code(reason), words);
	return (-1);
}

static int
person_examine(struct policy *p, struct asking_one *a, struct bytes about)
{
	struct person *w = &a->about.person;
	char words[2 * ROW_NAME + 64];
	const char *why;

	if (a->who.role != ROLE_MANAGER && a->who.role != ROLE_OPERATOR)
		return (no(a, REASON_ROLE, "that is managers' and the operator's"));
	text_clean(w->login, sizeof(w->login), about);
	if (!name_is_good(w->login) || must(p, person_get(p->store, w)) == 0) {
		(void)snprintf(words, sizeof(words), "there is no person %s; see: person list", w->login);
		*w = (struct person){.role = ROLE_NONE};
		return (no(a, REASON_NOT_FOUND, words));
	}
	if (a->who.vendor[0] != '\0')
		return (no(
		    a, REASON_OWN_VENDOR, "a vendor's own people change nothing of vendors, people and targets"));
	if ((why = keep_person_refusal(p, &a->who, w, w)) != NULL)
		return (no(a, REASON_ROLE, why));
	return (0);
}

static int
place_examine(struct policy *p, struct asking_one *a, struct bytes about)
{
	struct target t = {.port = 0};
	char words[DECIDE_TEXT], resolved[ROW_NAME];

	if (a->who.role != ROLE_OPERATOR)
		return (no(a, REASON_ROLE, "targets' secrets are the operator's"));
	if (place_read(about, &a->about) == -1)
		return (no(a, REASON_NOT_FOUND, "of which target, as whom? TARGET+ACCOUNT"));
	if (a->act->about == ABOUT_ACCOUNT_ONCE)
		return (0);
	TEXT_COPY(t.name, a->about.target);
	if (must(p, target_get(p->store, &t)) == 0) {
		(void)snprintf(words, sizeof(words), "there is no target %s; see: target list", t.name);
		return (no(a, REASON_UNKNOWN_TARGET, words));
	}
	if (account_resolve(t.accounts, a->about.account, resolved) == -1) {
		(void)snprintf(words, sizeof(words), "%s has no account %s for visits, but: %.300s", t.name,
		    a->about.account, t.accounts);
		return (no(a, REASON_UNKNOWN_ACCOUNT, words));
	}
	return (0);
}

static int
ask_examine(struct policy *p, struct asking_one *a, const struct msg_secret_asked *m)
{
	char words[160];

	if (speaker_of(p, m->uid, &a->who) == -1) {
		(void)snprintf(words, sizeof(words),
		    "your Unix user id, %u, is nobody's here; the operator says whose: person change LOGIN --uid "
		    "%u",
		    (unsigned)m->uid, (unsigned)m->uid);
		return (no(a, REASON_UNKNOWN_PERSON, words));
	}
	TEXT_COPY(a->answer->who, a->who.login);
	if (a->act == NULL || !a->act->is_asked)
		return (no(a, REASON_NOT_SUPPORTED, "no such verb"));
	if (a->act->about == ABOUT_PERSON)
		return (person_examine(p, a, m->about));
	if (a->act->about != ABOUT_NOTHING)
		return (place_examine(p, a, m->about));
	return (a->who.role == ROLE_OPERATOR ? 0 : no(a, REASON_ROLE, "targets' secrets are the operator's"));
}

static struct happening
happening_of(const struct deed *act, const struct subject *about)
{
	return (
	    (struct happening){.type = act->about == ABOUT_PERSON ? EVENT_FACTOR_ENROLLED : EVENT_SECRET_CHANGED,
	        .about = about->person.login,
	        .vendor = about->person.vendor,
	        .target = about->target,
	        .account = about->account,
	        .what = act->name});
}

void
on_secret_asked(struct policy *p, const struct msg_secret_asked *m)
{
	struct promise answer = {.what = PROMISE_SECRET_MAY, .ask = m->ask, .reason = REASON_NONE};
	struct asking_one a = {.act = deed_find(m->act), .answer = &answer};
	struct happening h = {.type = EVENT_VERB_REFUSED};
	char act[ROW_NAME];

	if (ask_examine(p, &a, m) == -1) {
		/* Any user of the box may knock: that is no event, as at the control socket. */
		if (answer.reason == REASON_UNKNOWN_PERSON) {
			log_warning("uid %u is nobody of ours: refused at auth's door", (unsigned)m->uid);
			promise_make(p, &answer);
			return;
		}
		text_clean(act, sizeof(act), m->act);
		h.reason = answer.reason;
		h.vendor = a.who.vendor;
		h.what = act;
	} else if (a.act->about == ABOUT_NOTHING) {
		promise_make(p, &answer); /* nothing is changed by looking */
		return;
	} else {
		h = happening_of(a.act, &a.about);
		h.outcome = "unknown"; /* what becomes of it is told when it fails */
		TEXT_COPY(answer.pam_user,
		    a.about.person.pam_user[0] != '\0' ? a.about.person.pam_user : a.about.person.login);
		if (a.act->about == ABOUT_PERSON)
			grace_end(p,
			    a.about.person.login); /* a code of the older secret, which somebody may have found */
	}
	h.who = a.who.login;
	policy_begin(p);
	answer.event = event_note(p, &h);
	policy_commit(p);
	promise_make(p, &answer);
}

void
on_secret_done(struct policy *p, const struct msg_secret_done *m)
{
	const struct deed *act = deed_find(m->act);
	struct subject about = {.person = {.role = ROLE_NONE}};
	char who[ROW_NAME], text[ROW_WORDS];
	struct happening h;

	if (act == NULL || (act->is_asked && m->reason == REASON_NONE))
		return;
	if (act->about == ABOUT_PERSON) {
		text_clean(about.person.login, sizeof(about.person.login), m->about);
		(void)must(p, person_get(p->store, &about.person));
	} else
		(void)place_read(m->about, &about);
	text_clean(who, sizeof(who), m->who);
	text_clean(text, sizeof(text), m->text);
	h = happening_of(act, &about);
	h.who = who;
	h.reason = (enum reason)m->reason;
	h.why = text;
	policy_begin(p);
	(void)event_note(p, &h);
	policy_commit(p);
}

/* ---- what was given, or wanted ---- */

void
on_credential(struct policy *p, const struct msg_credential *m)
{
	struct happening h = {.type = EVENT_CREDENTIAL, .reason = (enum reason)m->reason};
	struct connection *c = connection_find(p, m->conn);
	char detail[ROW_WORDS];
	struct rows found;

	text_clean(detail, sizeof(detail), m->detail);
	must(p, store_list(p->store, QUERY_STREAM_OF_CONN, &found, ARG_INT((int64_t)m->conn), ARG_INT(m->stream)));
	if (found.count > 0) {
		const struct stream *on = rows_at(&found, stream, 0);

		h.who = on->person;
		h.vendor = on->vendor;
		h.session = on->visitor;
		h.request = on->request;
		h.grant = on->grant;
		h.target = on->target;
		h.account = on->account;
	} else if (c != NULL) { /* for a stream that policy never allowed */
		h.who = c->visitor.person;
		h.vendor = c->visitor.vendor;
		h.session = c->visitor.number;
	}
	h.source = c == NULL ? "" : c->source;
	h.what = m->how >= TARGET_CERTIFICATE && m->how <= TARGET_KEYBOARD
	             ? target_login_word((enum target_login)m->how)
	             : "";
	h.why = detail;
	policy_begin(p);
	(void)event_note(p, &h);
	policy_commit(p);
	rows_free(&found);
}

/* Remembered with the visitor, when there is one, or for the one to come. */
static void
suspicion_keep(struct connection *c, const char *what)
{
	c->suspect_at = clock_wall_ms();
	TEXT_COPY(c->suspicion, what);
	if (c->visitor.number == 0)
		return;
	c->visitor.suspect_at = c->suspect_at;
	TEXT_COPY(c->visitor.suspicion, what);
	must(c->policy, visitor_set(c->policy->store, &c->visitor));
}

void
suspect_note(struct connection *c, const char *what)
{
	struct policy *p = c->policy;

	if (c->suspicions >= SUSPICIONS_MOST)
		return; /* it is being cut off */
	policy_begin(p);
	suspicion_keep(c, what);
	(void)event_note(p, &(struct happening){.type = EVENT_SUSPECT,
	                        .reason = REASON_SUSPECT,
	                        .who = c->visitor.person,
	                        .vendor = c->visitor.vendor,
	                        .session = c->visitor.number,
	                        .source = c->source,
	                        .port = c->port,
	                        .what = what});
	policy_commit(p);
	if (++c->suspicions == SUSPICIONS_MOST)
		connection_cut(c, REASON_SUSPECT, "");
}

void
on_suspect(struct policy *p, const struct msg_suspect *m)
{
	struct connection *c = connection_find(p, m->conn);
	char what[ROW_WORDS];

	text_clean(what, sizeof(what), m->what);
	if (c != NULL) {
		suspect_note(c, what);
		return;
	}
	/* It has left already. */
	policy_begin(p);
	(void)event_note(p, &(struct happening){.type = EVENT_SUSPECT, .reason = REASON_SUSPECT, .what = what});
	policy_commit(p);
}
