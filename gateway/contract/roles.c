/* What lodge.conf(5) asks of each role: see roles.h. */
#include "contract/roles.h"

#include <stdio.h>
#include <string.h>

#define WORD_SIZE 256
#define CODES "publickey,keyboard-interactive"

struct reading {
	struct roles *to;
	const char *keyword;
	uint32_t said; /* bits by role: a word was there; bit 0: for everybody */
	roles_error *on_error;
	void *ctx;
	int errors;
};

static const char *const role_names[ROLES] = {
    [ROLE_ENGINEER] = "engineer",
    [ROLE_MANAGER] = "manager",
    [ROLE_AUDITOR] = "auditor",
    [ROLE_OPERATOR] = "operator",
};

static void
error_say(struct reading *r, const char *remedy, const char *word)
{
	char why[2 * WORD_SIZE];

	snprintf(why, sizeof(why), "'%s' %s", word, remedy);
	r->on_error(r->ctx, r->keyword, why);
	r->errors++;
}

/* ROLE_NONE: no role has that name. */
static enum role
role_find(const char *name, size_t len)
{
	for (int i = ROLE_ENGINEER; i < ROLES; i++)
		if (strlen(role_names[i]) == len && memcmp(role_names[i], name, len) == 0)
			return ((enum role)i);
	return (ROLE_NONE);
}

/* What a word says about one role; -1 when it is none of this keyword's. */
typedef int word_fn(struct role_rules *rules, const char *word);

static int
word_methods(struct role_rules *rules, const char *word)
{
	rules->wants_code = strcmp(word, CODES) == 0;
	return (rules->wants_code || strcmp(word, "publickey") == 0 ? 0 : -1);
}

static int
word_options(struct role_rules *rules, const char *word)
{
	rules->wants_verified = strcmp(word, "verify-required") == 0;
	return (rules->wants_verified || strcmp(word, "touch-required") == 0 ? 0 : -1);
}

static int
word_service(struct role_rules *rules, const char *word)
{
	size_t len = strlen(word);

	if (len == 0 || len >= sizeof(rules->pam_service) || word[0] == '.' || strpbrk(word, "/=") != NULL)
		return (-1);
	memcpy(rules->pam_service, word, len + 1);
	return (0);
}

struct keyword {
	const char *name;
	word_fn *read;
	const char *remedy;
};

static void
word_read(struct reading *r, const struct keyword *k, const char *word)
{
	const char *equals = strchr(word, '=');
	enum role role = ROLE_NONE;
	struct role_rules rules;

	if (equals != NULL && (role = role_find(word, (size_t)(equals - word))) == ROLE_NONE) {
		error_say(r, "names no role: engineer, manager, auditor or operator", word);
		return;
	}
	if ((r->said & 1u << role) != 0) {
		error_say(r, "comes second: say it once for everybody, and once for each role that differs", word);
		return;
	}
	rules = r->to->rules[role];
	if (k->read(&rules, equals == NULL ? word : equals + 1) == -1) {
		error_say(r, k->remedy, word);
		return;
	}
	r->said |= 1u << role;
	r->to->rules[role] = rules;
	/* Whoever has no word of their own follows everybody's, whichever came first. */
	for (int i = ROLE_ENGINEER; role == ROLE_NONE && i < ROLES; i++)
		if ((r->said & 1u << i) == 0)
			(void)k->read(&r->to->rules[i], word);
}

static void
word_host_bound(struct reading *r, const struct keyword *k, const char *word)
{
	enum role role = role_find(word, strlen(word));

	if (role == ROLE_NONE)
		error_say(r, k->remedy, word);
	else
		r->to->rules[role].wants_host_bound = 1;
}

typedef void reading_fn(struct reading *r, const struct keyword *k, const char *word);

/* Each word between blanks. */
static void
words_read(struct reading *r, const struct keyword *k, const char *words, reading_fn *fn)
{
	char word[WORD_SIZE];

	r->keyword = k->name;
	r->said = 0;
	for (size_t len; words != NULL && *words != '\0'; words += len + strspn(words + len, " ")) {
		len = strcspn(words, " ");
		snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), words);
		if (len >= sizeof(word))
			error_say(r, "and what follows is too long", word);
		else if (len > 0)
			fn(r, k, word);
	}
}

int
roles_read(struct roles *to, const struct settings *set, roles_error *on_error, void *ctx)
{
	static const struct keyword methods = {"AuthenticationMethods", word_methods,
	    "is neither publickey nor " CODES ": a key comes first, for a grant is bound to it"};
	static const struct keyword options = {
	    "PubkeyAuthOptions", word_options, "is neither touch-required nor verify-required"};
	static const struct keyword service = {"PAMService", word_service,
	    "cannot be a PAM service: the name of a file in /etc/pam.d or PAMDirectory, such as lodge"};
	static const struct keyword bound = {
	    "HostBoundRoles", NULL, "names no role: engineer, manager, auditor or operator"};
	struct reading r = {.to = to, .on_error = on_error, .ctx = ctx};

	*to = (struct roles){0};
	for (int i = 0; i < ROLES; i++)
		to->rules[i] = (struct role_rules){.wants_code = 1, .pam_service = "lodge"};
	words_read(&r, &methods, set->authentication_methods, word_read);
	words_read(&r, &options, set->pubkey_auth_options, word_read);
	words_read(&r, &service, set->pam_service, word_read);
	words_read(&r, &bound, set->host_bound_roles, word_host_bound);
	return (r.errors);
}
