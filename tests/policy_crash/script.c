/* What people do; see script.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script.h"
#include "store.h"

#define LOGGED_IN(who, times) "SELECT count(*) >= " times " FROM visitor WHERE person = '" who "'"
#define DECIDED(number, by, what) \
	"SELECT count(*) = 1 FROM decision WHERE request = " number " AND who = '" by "' AND what = '" what "'"
#define WINDOW(number, condition) "SELECT count(*) = 1 FROM \"grant\" WHERE request = " number " AND " condition
#define ASKED(number, who, on) \
	"SELECT count(*) = 1 FROM request WHERE id = " number " AND person = '" who "' AND target = '" on "'"
#define BEGUN(who, times) "SELECT count(*) >= " times " FROM stream WHERE person = '" who "' AND entered_at != 0"
#define ENDED(who, times) "SELECT count(*) >= " times " FROM stream WHERE person = '" who "' AND ended_at != 0"
#define LEFT(who) "SELECT count(*) >= 1 FROM visitor WHERE person = '" who "' AND ended_at != 0"

enum { ALICE, MARIA, BOB, ALICE_AGAIN };

const struct step script[] = {
    {ALICE, ACT_LOGIN, "alice", LOGGED_IN("alice", "1"), ROLE_ENGINEER},
    {MARIA, ACT_LOGIN, "maria", LOGGED_IN("maria", "1"), ROLE_MANAGER},
    {BOB, ACT_LOGIN, "bob", LOGGED_IN("bob", "1"), ROLE_ENGINEER},
    /* a connection that waits for its yes */
    {ALICE, ACT_ASK, "osv1", ASKED("1", "alice", "osv1"), ASK_SHELL},
    {MARIA, ACT_VERB, "approve 1 --for 2h", DECIDED("1", "maria", "approved"), 0},
    {ALICE, ACT_ALLOWED, "", WINDOW("1", "entered_at != 0"), 0},
    {ALICE, ACT_OPENED, "visit.begun", BEGUN("alice", "1"), 0},
    /* one asked for beforehand, and denied; one taken back */
    {ALICE, ACT_VERB, "request osv2 --for 1h --why \"a patch\"", ASKED("2", "alice", "osv2"), 0},
    {MARIA, ACT_VERB, "deny 2 --why \"not today\"", DECIDED("2", "maria", "denied"), 0},
    {ALICE, ACT_VERB, "request osv2 --for 1h --ticket INC7", ASKED("3", "alice", "osv2"), 0},
    {ALICE, ACT_VERB, "withdraw 3", "SELECT count(*) = 1 FROM request WHERE id = 3 AND state = 4", 0},
    /* a window made longer while somebody is in; another who waits */
    {MARIA, ACT_VERB, "extend 1 --for 30m", DECIDED("1", "maria", "extended"), 0},
    {BOB, ACT_ASK, "osv2", ASKED("4", "bob", "osv2"), ASK_SHELL},
    {MARIA, ACT_VERB, "approve 4 --for 1h", DECIDED("4", "maria", "approved"), 0},
    {BOB, ACT_ALLOWED, "", WINDOW("4", "entered_at != 0"), 0},
    {BOB, ACT_OPENED, "visit.begun", BEGUN("bob", "1"), 0},
    {MARIA, ACT_VERB, "revoke 4 --why \"enough\"", DECIDED("4", "maria", "revoked"), 0},
    {BOB, ACT_CUT, "", NULL, 0},
    {BOB, ACT_CLOSED, "visit.ended", ENDED("bob", "1"), 0},
    /* somebody who waits, and hears a no */
    {BOB, ACT_ASK, "osv1", ASKED("5", "bob", "osv1"), ASK_SHELL},
    {MARIA, ACT_VERB, "deny 5 --why \"after what you did\"", DECIDED("5", "maria", "denied"), 0},
    {BOB, ACT_DENIED, "", NULL, 0},
    {BOB, ACT_LEAVE, "logout", LEFT("bob"), 0},
    /* the first one comes back into an open window */
    {ALICE, ACT_CLOSED, "visit.ended", ENDED("alice", "1"), 0},
    {ALICE, ACT_LEAVE, "logout", LEFT("alice"), 0},
    {ALICE_AGAIN, ACT_LOGIN, "alice", LOGGED_IN("alice", "2"), ROLE_ENGINEER},
    {ALICE_AGAIN, ACT_ASK, "osv1", NULL, ASK_SFTP},
    {ALICE_AGAIN, ACT_ALLOWED, "", "SELECT count(*) = 2 FROM stream WHERE person = 'alice'", 0},
    {ALICE_AGAIN, ACT_OPENED, "visit.begun", BEGUN("alice", "2"), 0},
    {MARIA, ACT_VERB, "end --target osv1", NULL, 0},
    {ALICE_AGAIN, ACT_CUT, "", NULL, 0},
    {ALICE_AGAIN, ACT_CLOSED, "visit.ended", ENDED("alice", "2"), 0},
    {ALICE_AGAIN, ACT_LEAVE, "logout", "SELECT count(*) = 2 FROM visitor WHERE person = 'alice' AND ended_at != 0",
        0},
    {MARIA, ACT_VERB, "revoke 1", DECIDED("1", "maria", "revoked"), 0},
    {MARIA, ACT_LEAVE, "logout", LEFT("maria"), 0},
};
const size_t script_count = sizeof(script) / sizeof(script[0]);

static void
must_be(int rc)
{
	if (rc != 0)
		abort();
}

static void
person_make(struct store *s, const char *login, const char *vendor, enum role role)
{
	struct person who = {.role = role};
	struct person_key key = {.type = "ssh-ed25519", .blob = "AAAA"};

	(void)snprintf(who.login, sizeof(who.login), "%s", login);
	(void)snprintf(who.vendor, sizeof(who.vendor), "%s", vendor);
	must_be(person_add(s, &who));
	(void)snprintf(key.login, sizeof(key.login), "%s", login);
	(void)snprintf(key.fingerprint, sizeof(key.fingerprint), "SHA256:%s", login);
	must_be(person_key_add(s, &key));
}

static void
target_make(struct store *s, const char *name)
{
	struct target t = {.host = "127.0.0.1", .port = 22, .accounts = "svc,root"};
	struct target_key k = {.fingerprint = "SHA256:host",
	    .type = "ssh-ed25519",
	    .blob = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"};

	(void)snprintf(t.name, sizeof(t.name), "%s", name);
	(void)snprintf(k.target, sizeof(k.target), "%s", name);
	must_be(target_add(s, &t));
	must_be(target_key_add(s, &k));
}

void
script_people(const char *database)
{
	struct vendor unify = {.name = "unify"}, acme = {.name = "acme"};
	char why[512];
	struct store *s = store_open(database, why, sizeof(why));

	if (s == NULL || store_begin(s) == -1)
		abort();
	must_be(vendor_add(s, &unify));
	must_be(vendor_add(s, &acme));
	person_make(s, "alice", "unify", ROLE_ENGINEER);
	person_make(s, "bob", "acme", ROLE_ENGINEER);
	person_make(s, "maria", "", ROLE_MANAGER);
	person_make(s, "mona", "", ROLE_MANAGER);
	target_make(s, "osv1");
	target_make(s, "osv2");
	must_be(store_commit(s));
	store_close(s);
}

/* How many leaves of that name the book holds. */
static size_t
leaves_named(const struct house *h, const char *name)
{
	char part[64];
	size_t n = 0;

	(void)snprintf(part, sizeof(part), "\"action\":\"%s\"", name);
	for (int64_t i = 1; i <= h->held; i++)
		n += h->leaves[i] != NULL && strstr(h->leaves[i], part) != NULL;
	return (n);
}

static size_t
steps_until(size_t i)
{
	size_t n = 0;

	for (size_t k = 0; k <= i; k++)
		n += script[k].act == script[i].act;
	return (n);
}

void
step_begin(struct house *h, size_t i)
{
	const struct step *step = &script[i];
	struct seat *s = &h->seats[step->seat];

	switch (step->act) {
	case ACT_LOGIN:
		(void)seat_take(h, step->words, (enum role)step->number);
		break;
	case ACT_ASK:
		seat_ask(s, (enum ask_kind)step->number, step->words, "");
		break;
	case ACT_VERB:
		seat_say(s, step->words);
		break;
	case ACT_OPENED:
		seat_opened(s);
		break;
	case ACT_CLOSED:
		seat_closed(s);
		break;
	case ACT_LEAVE:
		seat_leave(s);
		break;
	case ACT_ALLOWED:
	case ACT_DENIED:
	case ACT_CUT:
		break;
	}
}

int
step_is_over(struct house *h, size_t i)
{
	const struct step *step = &script[i];
	const struct seat *s = &h->seats[step->seat];

	switch (step->act) {
	case ACT_LOGIN:
		return (s->held);
	case ACT_ASK:
		return (s->ask.told);
	case ACT_VERB:
		if (s->verb.over && s->verb.status != 0)
			house_fault(h, "%s: status %d: %s", step->words, s->verb.status, s->verb.said);
		return (s->verb.over);
	case ACT_ALLOWED:
		return (s->ask.over && s->ask.verdict == VERDICT_ALLOW && s->ask.leased && s->ask.begun);
	case ACT_DENIED:
		return (s->ask.over && s->ask.verdict == VERDICT_DENY);
	case ACT_CUT:
		return (s->ended > 0);
	case ACT_OPENED:
	case ACT_CLOSED:
	case ACT_LEAVE:
		return (leaves_named(h, step->words) >= steps_until(i));
	}
	return (0);
}
