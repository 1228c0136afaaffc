/*
 * snippet: what an engineer pastes.  The whole of it is a good ssh_config(5): two ways to each target, by our own name for
 * it and through a jump; the rest stands in comments.  --json has the same blocks, a row each.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decide.h"
#include "verb.h"

struct snippet {
	struct verb *verb;
	struct sheet *sheet;
	char machine[256]; /* this machine's own name */
	struct rows live;  /* the person's windows */
};

struct block {
	const char *form; /* "gateway", "direct", "jump" */
	const char *host; /* what they type */
	const char *name, *user, *jump;
	int64_t port; /* 0: none of its own */
};

/* What every block ends with: one login and one code for all that runs at once, and a sign of life. */
static const struct {
	const char *keyword, *key, *value;
} shared[] = {
    {"HostKeyAlias", "host_key_alias", "lodge"},
    {"ControlMaster", "control_master", "auto"},
    {"ControlPath", "control_path", "~/.ssh/cm-%C"},
    {"ControlPersist", "control_persist", "10m"},
    {"ServerAliveInterval", "server_alive_interval", "15"},
};
#define SHARED (sizeof(shared) / sizeof(shared[0]))

static void
option_put(struct snippet *s, const char *keyword, const char *key, const char *value)
{
	if (value[0] == '\0')
		return;
	sheet_text(s->sheet, key, "", value);
	if (s->verb->form == SHEET_TEXT)
		text_add(&s->verb->out, "    %s %s\n", keyword, value);
}

static void
block_put(struct snippet *s, const struct block *b)
{
	struct verb *v = s->verb;

	sheet_row(s->sheet);
	sheet_text(s->sheet, "form", "", b->form);
	sheet_text(s->sheet, "host", "", b->host);
	if (v->form == SHEET_TEXT)
		text_add(&v->out, "\nHost %s\n", b->host);
	option_put(s, "HostName", "hostname", b->name);
	if (b->port != 0) {
		sheet_number(s->sheet, "port", "", b->port);
		if (v->form == SHEET_TEXT)
			text_add(&v->out, "    Port %lld\n", (long long)b->port);
	}
	option_put(s, "User", "user", b->user);
	option_put(s, "ProxyJump", "proxy_jump", b->jump);
	for (size_t i = 0; i < SHARED; i++)
		option_put(s, shared[i].keyword, shared[i].key, shared[i].value);
	if (v->policy->host_key[0] != '\0') {
		sheet_text(s->sheet, "known_hosts_name", "", "lodge");
		sheet_text(s->sheet, "known_hosts_key", "", v->policy->host_key);
	}
}

static void
comment_put(struct snippet *s, const char *words)
{
	if (s->verb->form == SHEET_TEXT)
		text_put(&s->verb->out, words);
}

/* The account as which they come: of a window that they have, else of their last visit, else the target's first. */
static void
account_usual(const struct snippet *s, const struct target *t, char account[ROW_NAME])
{
	struct policy *p = s->verb->policy;
	struct rows found;
	char wanted[ROW_NAME] = "";

	must(p, store_list(p->store, QUERY_STREAM_LAST_OF_PERSON_ON, &found, ARG_TEXT(s->verb->who.login),
	            ARG_TEXT(t->name)));
	if (found.count > 0)
		TEXT_COPY(wanted, rows_at(&found, stream, 0)->account);
	rows_free(&found);
	for (size_t i = s->live.count; i-- > 0;)
		if (strcmp(rows_at(&s->live, grant, i)->target, t->name) == 0)
			TEXT_COPY(wanted, rows_at(&s->live, grant, i)->account);
	if (account_resolve(t->accounts, wanted, account) == -1 && account_resolve(t->accounts, "", account) == -1)
		account[0] = '\0';
}

#define USER_TEXT (3 * ROW_NAME + 3)

/* alice+osv1, and the account where it is not the one that this means. */
static void
user_print(const char *login, const struct target *t, const char *account, char user[USER_TEXT])
{
	char first[ROW_NAME];
	int usual = account_resolve(t->accounts, "", first) == 0 && strcmp(first, account) == 0;

	(void)snprintf(user, USER_TEXT, "%s+%s%s%s", login, t->name, usual ? "" : "+", usual ? "" : account);
}

static void
target_put(struct snippet *s, const struct target *t, int is_jump)
{
	char account[ROW_NAME], user[USER_TEXT], host[ROW_NAME + 8];

	account_usual(s, t, account);
	user_print(s->verb->who.login, t, account, user);
	(void)snprintf(host, sizeof(host), "%s%s", t->name, is_jump ? "-jump" : "");
	block_put(s, is_jump ? &(struct block){"jump", host, t->name, account, "lodge", 0}
	                     : &(struct block){"direct", host, s->machine, user, "", s->verb->policy->set.port});
}

/* For those who have no ssh_config; one target stands for all. */
static void
windows_put(struct snippet *s, const struct target *t)
{
	char account[ROW_NAME], user[USER_TEXT];
	long long port = (long long)s->verb->policy->set.port;

	if (s->verb->form != SHEET_TEXT)
		return;
	account_usual(s, t, account);
	user_print(s->verb->who.login, t, account, user);
	text_add(&s->verb->out,
	    "\n# PuTTY: Host Name %s, Port %lld; Connection, Data: Auto-login username %s\n"
	    "#     plink -P %lld %s@%s\n"
	    "#     pscp -P %lld FILE %s@%s:/tmp/\n"
	    "# WinSCP: File protocol SFTP, Host name %s, Port number %lld, User name %s\n",
	    s->machine, port, user, port, user, s->machine, port, user, s->machine, s->machine, port, user);
}

static void
known_hosts_put(struct snippet *s)
{
	if (s->verb->form != SHEET_TEXT)
		return;
	if (s->verb->policy->host_key[0] == '\0')
		text_put(
		    &s->verb->out, "\n# The line for known_hosts is not to be had just now: lodge-auth is away.\n");
	else
		text_add(&s->verb->out, "\n# One line for ~/.ssh/known_hosts, without its \"# \":\n# lodge %s\n",
		    s->verb->policy->host_key);
}

/* Both ways to every target, and how to get there without an ssh_config. */
static void
targets_put(struct snippet *s, const struct rows *targets)
{
	const struct target *example = NULL;

	comment_put(s, "\n# Straight to a target; scp, sftp, rsync and sshfs too.  Ansible is to take its user "
	               "from here: with\n"
	               "# an ansible_user that has a + in it, it makes a directory of that name on the target.\n");
	for (size_t i = 0; i < targets->count; i++)
		if (!rows_at(targets, target, i)->suspended)
			target_put(s, example = rows_at(targets, target, i), 0);
	comment_put(
	    s, "\n# The same through a jump, for tools that ask for a jump host: ssh -J lodge ACCOUNT@TARGET\n");
	for (size_t i = 0; i < targets->count; i++)
		if (!rows_at(targets, target, i)->suspended)
			target_put(s, rows_at(targets, target, i), 1);
	known_hosts_put(s);
	if (example != NULL)
		windows_put(s, example);
}

void
verb_snippet(struct verb *v)
{
	struct snippet s = {.verb = v, .sheet = sheet_new(), .machine = "lodge"};
	struct rows targets;

	(void)gethostname(s.machine, sizeof(s.machine) - 1);
	comment_put(
	    &s, "# For ~/.ssh/config.  HostName is this machine's own name: put the name by which you reach it.\n");
	block_put(&s, &(struct block){"gateway", "lodge", s.machine, v->connection == NULL ? "" : v->who.login, "",
	                  v->policy->set.port});
	must(v->policy, store_list_all(v->policy->store, QUERY_TARGETS, &targets));
	must(v->policy, store_list(v->policy->store, QUERY_GRANTS_OF_PERSON_LIVE, &s.live, ARG_TEXT(v->who.login),
	                    ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	if (v->who.role == ROLE_ENGINEER)
		targets_put(&s, &targets);
	else
		known_hosts_put(&s);
	if (v->form == SHEET_JSON)
		sheet_table(s.sheet, SHEET_JSON, 0, "", &v->out);
	rows_free(&targets);
	rows_free(&s.live);
	sheet_free(s.sheet);
}
