/* The words of a verb; see words.h. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "words.h"

static const struct {
	const char *verb;
	unsigned roles; /* 1 engineer, 2 manager, 4 auditor, 8 operator: bit role - 1 */
	const char *arguments, *what;
} commands[] = {
#define COMMAND(NAME, verb, roles, arguments, what) [COMMAND_##NAME] = {verb, roles, arguments, what},
#include "contract/commands.def"
};

static const struct {
	enum command command;
	const char *option, *value, *what;
} options[] = {
#define OPTION(NAME, option, value, what) {COMMAND_##NAME, option, value, what},
#include "contract/commands.def"
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static int fail(char why[WORDS_WHY], const char *format, ...) __attribute__((format(printf, 2, 3)));

static int
fail(char why[WORDS_WHY], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(why, WORDS_WHY, format, ap);
	va_end(ap);
	return (-1);
}

/* ---- clean text ---- */

/* C0, DEL, C1, and what reorders or hides the writing (Unicode TR 36, bidirectional text). */
static int
character_is_clean(uint32_t c)
{
	return (c >= 0x20 && !(c >= 0x7f && c <= 0x9f) && c != 0x061c && c != 0xfeff && !utf8_reorders(c) &&
	        !(c >= 0xe0000 && c <= 0xe0fff));
}

int
text_is_clean(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t left = strlen(text);
	uint32_t c;
	int n;

	for (; left > 0; p += n, left -= (size_t)n)
		if ((n = utf8_next(p, left, &c)) <= 0 || !character_is_clean(c))
			return (0);
	return (1);
}

void
text_clean(char *to, size_t size, struct bytes from)
{
	size_t n, at = 0, i = 0;
	uint32_t c;
	int len;

	while (i < from.len) {
		len = utf8_next(from.at + i, from.len - i, &c);
		if (len > 0 && character_is_clean(c)) {
			n = (size_t)len;
			if (at + n >= size)
				break;
			memcpy(to + at, from.at + i, n);
			at += n;
			i += n;
		} else {
			if (at + 4 >= size)
				break;
			at += (size_t)snprintf(to + at, size - at, "\\x%02x", from.at[i++]);
		}
	}
	if (size > 0)
		to[at] = '\0';
}

int
name_is_good(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 64 || !isalnum((unsigned char)name[0]))
		return (0);
	return (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n);
}

int
number_parse(const char *text, int64_t *number)
{
	long long n;
	char *end;

	if (*text == '#')
		text++;
	if (!isdigit((unsigned char)*text))
		return (-1);
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || n < 1)
		return (-1);
	*number = n;
	return (0);
}

/* ---- words ---- */

/* Where one is in the line, and where the words are put. */
struct cut {
	const char *p, *end;
	char *to;
};

/* Reads what stands between a pair of quotes, the first of which is at c->p. */
static int
quoted_read(struct cut *c, char why[WORDS_WHY])
{
	char quote = *c->p++;

	for (; c->p < c->end && *c->p != quote; c->p++) {
		if (*c->p == '\\' && quote == '"' && c->p + 1 < c->end && (c->p[1] == '"' || c->p[1] == '\\'))
			c->p++;
		*c->to++ = *c->p;
	}
	if (c->p == c->end)
		return (fail(why, "a quote %c is not closed", quote));
	c->p++;
	if (c->p < c->end && *c->p != ' ' && *c->p != '\t')
		return (fail(why, "something stands right behind a closing %c", quote));
	return (0);
}

/* Where the value begins that an option brings along, --why="..."; NULL: the word is no option, or brings none. */
static const char *
value_of(const struct cut *c)
{
	const char *p = c->p;

	if (c->end - p < 2 || p[0] != '-' || p[1] != '-')
		return (NULL);
	while (p < c->end && *p != '=' && *p != ' ' && *p != '\t')
		p++;
	return (p < c->end && *p == '=' ? p + 1 : NULL);
}

static int
word_read(struct cut *c, char why[WORDS_WHY])
{
	const char *from = c->p, *value = value_of(c);

	while (c->p < c->end && *c->p != ' ' && *c->p != '\t') {
		if ((*c->p == '"' || *c->p == '\'') && (c->p == from || c->p == value))
			return (quoted_read(c, why));
		if (*c->p == '\\' && ++c->p == c->end)
			return (fail(why, "a \\ with nothing behind it"));
		*c->to++ = *c->p++;
	}
	return (0);
}

static int
word_begin(struct words *w, char *at, char why[WORDS_WHY])
{
	if (w->count == WORDS_MAX)
		return (fail(why, "more than %d words", WORDS_MAX));
	w->word[w->count++] = at;
	return (0);
}

static int
line_split(struct words *w, struct bytes from, char why[WORDS_WHY])
{
	struct cut c = {(const char *)from.at, (const char *)from.at + from.len, w->bytes};

	for (;;) {
		while (c.p < c.end && (*c.p == ' ' || *c.p == '\t'))
			c.p++;
		if (c.p == c.end)
			return (0);
		if (word_begin(w, c.to, why) == -1 || word_read(&c, why) == -1)
			return (-1);
		*c.to++ = '\0';
	}
}

static int
argv_split(struct words *w, struct bytes from, char why[WORDS_WHY])
{
	if (from.len > 0 && from.at[from.len - 1] != '\0')
		return (fail(why, "the last argument has no end"));
	if (from.len > 0)
		memcpy(w->bytes, from.at, from.len);
	for (size_t at = 0; at < from.len; at += strlen(w->bytes + at) + 1)
		if (word_begin(w, w->bytes + at, why) == -1)
			return (-1);
	return (0);
}

int
words_split(struct words *w, struct bytes from, enum words_kind kind, char why[WORDS_WHY])
{
	w->count = 0;
	if (from.len >= sizeof(w->bytes) / 2) /* each byte of a line becomes at most one, and an end */
		return (fail(why, "more than %zu bytes", sizeof(w->bytes) / 2));
	if (kind == WORDS_LINE && from.len > 0 && memchr(from.at, '\0', from.len) != NULL)
		return (fail(why, "a NUL in the line"));
	if ((kind == WORDS_LINE ? line_split(w, from, why) : argv_split(w, from, why)) == -1)
		return (-1);
	for (size_t i = 0; i < w->count; i++)
		if (!text_is_clean(w->word[i]))
			return (fail(why, "word %zu has control characters, or is not UTF-8", i + 1));
	return (0);
}

/* ---- verbs ---- */

static int
option_find(enum command c, const char *name, size_t length, size_t *found)
{
	for (*found = 0; *found < OPTIONS; (*found)++)
		if (options[*found].command == c && strlen(options[*found].option) == length &&
		    memcmp(options[*found].option, name, length) == 0)
			return (0);
	return (-1);
}

/* TEXT and KEY values have blanks in them; KEY may come again. */
static int
value_is(size_t option, const char *kind)
{
	return (strcmp(options[option].value, kind) == 0);
}

/* Joins the words from `first` up to the next option, with one blank between: the words lie one behind the other. */
static const char *
value_join(const struct words *w, size_t *next, char *room, size_t *used, size_t size)
{
	char *at = room + *used;
	size_t n;

	for (size_t first = *next; *next < w->count && (*next == first || strncmp(w->word[*next], "--", 2) != 0);
	     (*next)++) {
		n = strlen(w->word[*next]);
		if (*used + n + 2 > size)
			return (NULL);
		if (*next > first)
			room[(*used)++] = ' ';
		memcpy(room + *used, w->word[*next], n);
		*used += n;
	}
	room[(*used)++] = '\0';
	return (at);
}

static int
value_keep(struct call *c, size_t option, const char *value, char why[WORDS_WHY])
{
	if (!value_is(option, "KEY"))
		for (size_t i = 0; i < c->value_count; i++)
			if (strcmp(c->value[i].option, options[option].option) == 0)
				return (fail(why, "%s stands there twice", options[option].option));
	if (c->value_count == WORDS_VALUES)
		return (fail(why, "more than %d options", WORDS_VALUES));
	c->value[c->value_count].option = options[option].option;
	c->value[c->value_count++].value = value;
	return (0);
}

/* Reads the option at w->word[*next] with its value, and moves on. */
static int
option_read(struct call *c, struct words *w, size_t *next, enum words_kind kind, size_t *used, char why[WORDS_WHY])
{
	const char *word = w->word[(*next)++], *equals = strchr(word, '='), *value;
	size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word), option;

	if (strcmp(word, "--json") == 0) {
		c->json = 1;
		return (0);
	}
	if (option_find(c->command, word, length, &option) == -1)
		return (fail(why, "%s has no option %.*s; see: help %s", command_verb(c->command),
		    (int)(length > 64 ? 64 : length), word, command_verb(c->command)));
	if (options[option].value[0] == '\0') {
		if (equals != NULL)
			return (fail(why, "%s takes no value", options[option].option));
		return (value_keep(c, option, "", why));
	}
	if (equals != NULL)
		value = equals + 1;
	else if (*next == w->count)
		return (fail(why, "%s wants a value: %s", options[option].option, options[option].value));
	else if (kind == WORDS_LINE && (value_is(option, "TEXT") || value_is(option, "KEY"))) {
		/* The second half of w->bytes is free: a line fills at most the first. */
		if ((value = value_join(w, next, w->bytes + WORDS_BYTES / 2, used, WORDS_BYTES / 2)) == NULL)
			return (fail(why, "the value of %s is too long", options[option].option));
	} else
		value = w->word[(*next)++];
	return (value_keep(c, option, value, why));
}

/* How many arguments the table asks for: words of "arguments", [bracketed] ones being free to miss. */
static void
arguments_count(const char *arguments, size_t *least, size_t *most)
{
	*least = *most = 0;
	for (const char *p = arguments; *p != '\0'; p += strspn(p, " ")) {
		(*most)++;
		*least += *p != '[';
		p += strcspn(p, " ");
	}
}

int
call_parse(struct call *c, struct words *w, enum words_kind kind, char why[WORDS_WHY])
{
	size_t next = 1, used = 0, least, most, i;
	int ended = 0;

	*c = (struct call){.json = 0};
	if (w->count == 0)
		return (fail(why, "no verb; see: help"));
	for (i = 0; i < COMMAND_COUNT && strcmp(commands[i].verb, w->word[0]) != 0; i++)
		;
	if (i == COMMAND_COUNT)
		return (fail(why, "there is no verb \"%.64s\"; see: help", w->word[0]));
	c->command = (enum command)i;
	while (next < w->count) {
		if (!ended && strcmp(w->word[next], "--") == 0) {
			ended = 1;
			next++;
		} else if (!ended && strncmp(w->word[next], "--", 2) == 0) {
			if (option_read(c, w, &next, kind, &used, why) == -1)
				return (-1);
		} else if (c->argument_count == WORDS_ARGUMENTS)
			return (
			    fail(why, "too many words for %s; see: help %s", commands[i].verb, commands[i].verb));
		else
			c->argument[c->argument_count++] = w->word[next++];
	}
	arguments_count(commands[i].arguments, &least, &most);
	if (c->argument_count < least || c->argument_count > most)
		return (fail(why, "%s takes: %s", commands[i].verb,
		    commands[i].arguments[0] == '\0' ? "nothing" : commands[i].arguments));
	return (0);
}

const char *
call_value_at(const struct call *c, const char *option, size_t index)
{
	size_t found;

	if (option_find(c->command, option, strlen(option), &found) == -1)
		abort(); /* a verb asks for what commands.def does not give it */
	for (size_t i = 0; i < c->value_count; i++)
		if (strcmp(c->value[i].option, option) == 0 && index-- == 0)
			return (c->value[i].value);
	return (NULL);
}

const char *
call_value(const struct call *c, const char *option)
{
	return (call_value_at(c, option, 0));
}

const char *
command_verb(enum command c)
{
	return (commands[c].verb);
}

const char *
command_arguments(enum command c)
{
	return (commands[c].arguments);
}

const char *
command_what(enum command c)
{
	return (commands[c].what);
}

int
command_is_for(enum command c, int role)
{
	return (role >= 1 && role <= 4 && (commands[c].roles & (1u << (role - 1))) != 0);
}

int
command_option(enum command c, size_t index, const char **option, const char **value, const char **what)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (options[i].command == c && index-- == 0) {
			*option = options[i].option;
			*value = options[i].value;
			*what = options[i].what;
			return (1);
		}
	return (0);
}
