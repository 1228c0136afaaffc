/* The words that people say at auth's own door: see order.h. */
#include "order.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 8

static const struct act {
	const char *verb, *word;
	int wants_about;
	const char *option; /* besides --json; NULL: none */
} acts[] = {
    [ORDER_SET] = {"secret", "set", 1, "--key"},
    [ORDER_GENERATE] = {"secret", "generate", 1, NULL},
    [ORDER_ROTATE] = {"secret", "rotate", 1, "--when"},
    [ORDER_LIST] = {"secret", "list", 0, NULL},
    [ORDER_REMOVE] = {"secret", "remove", 1, NULL},
    [ORDER_ENROL] = {"person", "enrol", 1, NULL},
};

static const struct {
	const char *word;
	enum vault_rotate when;
} whens[] = {{"once", VAULT_ONCE}, {"always", VAULT_ALWAYS}, {"never", VAULT_NEVER}};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *
order_word(enum order_act act)
{
	return (acts[act].word);
}

int
order_wants_input(const struct order *o)
{
	return (o->act == ORDER_SET);
}

static int
words_split(struct bytes from, const char *word[WORDS_MAX], size_t *count)
{
	*count = 0;
	if (from.len == 0 || from.at[from.len - 1] != '\0')
		return (-1);
	for (size_t at = 0; at < from.len; at += strlen((const char *)from.at + at) + 1) {
		if (*count == WORDS_MAX)
			return (-1);
		word[(*count)++] = (const char *)from.at + at;
	}
	return (0);
}

static const struct act *
act_find(const char *verb, const char *word)
{
	for (size_t i = 0; i < COUNT(acts); i++)
		if (strcmp(acts[i].verb, verb) == 0 && strcmp(acts[i].word, word) == 0)
			return (&acts[i]);
	return (NULL);
}

static int
when_read(struct order *o, const char *value)
{
	for (size_t i = 0; value != NULL && i < COUNT(whens); i++)
		if (strcmp(whens[i].word, value) == 0) {
			o->when = (uint8_t)whens[i].when;
			return (0);
		}
	return (-1);
}

/* An option of this act; *used how many words it took.  -1: none of them, or not so. */
static int
option_read(struct order *o, const struct act *a, const char *word, const char *next, size_t *used)
{
	size_t len = strcspn(word, "=");

	*used = 1;
	if (strcmp(word, "--json") == 0) {
		o->json = 1;
		return (0);
	}
	if (a->option == NULL || strncmp(word, a->option, len) != 0 || strlen(a->option) != len)
		return (-1);
	if (o->act == ORDER_SET) {
		o->key = 1;
		return (word[len] == '\0' ? 0 : -1);
	}
	if (word[len] == '=')
		return (when_read(o, word + len + 1));
	*used = 2;
	return (when_read(o, next));
}

/* A login as policy has them, or TARGET+ACCOUNT. */
static int
about_read(struct order *o, const char *word)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(word);

	if (o->act == ORDER_ENROL && (len == 0 || len > 64 || strspn(word, letters) != len))
		return (-1);
	if (o->act != ORDER_ENROL && !vault_about_is_good(word))
		return (-1);
	snprintf(o->about, sizeof(o->about), "%s", word);
	return (0);
}

int
order_read(struct order *o, struct bytes words, char why[ORDER_WHY_SIZE])
{
	const char *word[WORDS_MAX + 1] = {NULL};
	const struct act *a = NULL;
	size_t count, used;

	*o = (struct order){.when = VAULT_ONCE};
	if (words_split(words, word, &count) == 0 && count >= 2)
		a = act_find(word[0], word[1]);
	if (a == NULL) {
		snprintf(why, ORDER_WHY_SIZE,
		    "secret set|generate|rotate|remove TARGET+ACCOUNT, secret list, or "
		    "person enrol LOGIN; see: help secret");
		return (-1);
	}
	o->act = (enum order_act)(a - acts);
	for (size_t i = 2; i < count; i += used) {
		used = 1;
		if (word[i][0] == '-' && option_read(o, a, word[i], word[i + 1], &used) == 0)
			continue;
		if (word[i][0] != '-' && a->wants_about && o->about[0] == '\0' && about_read(o, word[i]) == 0)
			continue;
		if (o->about[0] != '\0' && word[i][0] != '-')
			snprintf(why, ORDER_WHY_SIZE,
			    "%s %s: a word too many; if it was the secret, change it: others have seen it in ps "
			    "and in "
			    "the shell's history. A secret is typed when asked for, or comes on standard input",
			    a->verb, a->word);
		else
			snprintf(why, ORDER_WHY_SIZE, "%s %s: %s", a->verb, a->word,
			    word[i][0] == '-'       ? "there is no such option, or its value is missing"
			    : o->act == ORDER_ENROL ? "that is no login"
			    : !a->wants_about       ? "it takes no argument"
			                            : "name it TARGET+ACCOUNT, as in osv1+srx");
		return (-1);
	}
	if (a->wants_about && o->about[0] == '\0') {
		snprintf(why, ORDER_WHY_SIZE, "%s %s: %s", a->verb, a->word,
		    o->act == ORDER_ENROL ? "whom?" : "of which TARGET+ACCOUNT?");
		return (-1);
	}
	return (0);
}
