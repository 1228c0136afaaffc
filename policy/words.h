/*
 * The words of a verb: what came over ssh as one line, or from `lodge` as arguments, made into words, and those into a
 * verb of commands.def with its arguments and options.  One parser for every door.
 *
 * A line is split as a shell would, strictly: blanks between words; "..." and '...' where a word or an option's value
 * begins (inside a word a quote is just that: --key from="192.0.2.7" ssh-ed25519 AAAA...); \ before any character outside
 * '...'.  Nothing is expanded.
 * The engineer's own shell has eaten the quotes already, so in a line the value of a TEXT or KEY option goes on to the
 * next word that begins with "--".  Control characters, text that is not UTF-8 and characters that turn the writing
 * direction are refused: no word of anybody can play with the manager's terminal.
 */
#ifndef POLICY_WORDS_H
#define POLICY_WORDS_H
#include <stddef.h>

#include "base/wire.h"

#define WORDS_BYTES 16384 /* of one verb */
#define WORDS_MAX 512
#define WORDS_VALUES 32
#define WORDS_ARGUMENTS 3
#define WORDS_WHY 256

enum command {
#define COMMAND(NAME, verb, roles, arguments, what) COMMAND_##NAME,
#include "contract/commands.def"
	COMMAND_COUNT
};
enum words_kind { WORDS_LINE, WORDS_ARGV }; /* argv: each word ended by a NUL */

struct words {
	size_t count;
	char *word[WORDS_MAX];
	char bytes[WORDS_BYTES];
};

/* A verb that fits commands.def.  Pointers are into the words it was made from. */
struct call {
	enum command command;
	int json; /* --json was given */
	size_t argument_count;
	const char *argument[WORDS_ARGUMENTS];
	size_t value_count;
	struct {
		const char *option, *value;
	} value[WORDS_VALUES];
};

/* 0; -1 and why (one line) when the words cannot be read. */
int words_split(struct words *w, struct bytes from, enum words_kind kind, char why[WORDS_WHY]);
/* Uses the free half of w's bytes.  0; -1 and why when there is no such verb or option, too few or too many arguments, or an option comes twice. */
int call_parse(struct call *c, struct words *w, enum words_kind kind, char why[WORDS_WHY]);

/* The option's value, NULL when not given; "" for a switch.  A name that the verb has not in commands.def aborts. */
const char *call_value(const struct call *c, const char *option);
/* Further values of an option that may come more than once (KEY): from 0; NULL after the last. */
const char *call_value_at(const struct call *c, const char *option, size_t index);

const char *command_verb(enum command c);
const char *command_arguments(enum command c);
const char *command_what(enum command c);
/* May a role (enum role of the contract) use it?  Root is ROLE_OPERATOR. */
int command_is_for(enum command c, int role);
/* Walks the options of a verb: 1 and the row's texts, or 0 after the last. */
int command_option(enum command c, size_t index, const char **option, const char **value, const char **what);

/* Is it clean text as said above?  Nonzero: yes. */
int text_is_clean(const char *text);
/* Copies any bytes as clean text, everything else as \xNN; always ends `to`. */
void text_clean(char *to, size_t size, struct bytes from);
/* A name: 1..64 of [A-Za-z0-9._-], the first alphanumeric. */
int name_is_good(const char *name);
/* A decimal number 1..INT64_MAX, a '#' before it allowed; -1 otherwise. */
int number_parse(const char *text, int64_t *number);
#endif
