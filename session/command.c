#include "command.h"

#include <stdlib.h>
#include <string.h>

/* Outside quotes these are shell grammar, wherever they stand, in one usual shell or another; */
#define GRAMMAR ";&|<>()$`{}"
/* these at the beginning of a word: a comment, zsh's =name, an old pipe, a negation. */
#define GRAMMAR_FIRST "#=^!"
/* These are grammar for a shell that quotes otherwise (csh's history, fish's \ in '...', cmd.exe), even where ours would not see them. */
#define GRAMMAR_ANYWHERE "!;&|<>`$"
#define GLOB "*?["

struct splitter {
	const char *from;
	char *to;
	struct command_word *word;
};

/* '...' or "...", the first quote included. */
static int
quoted_take(struct splitter *s)
{
	char quote = *s->from++;

	for (; *s->from != quote; s->from++) {
		if (*s->from == '\0' || *s->from == '\\')
			return (-1);
		*s->to++ = *s->from;
	}
	s->from++;
	return (0);
}

/* One character outside quotes, or a run inside them. */
static int
part_take(struct splitter *s, int is_first)
{
	if (*s->from == '\'' || *s->from == '"')
		return (quoted_take(s));
	if (strchr(GRAMMAR, *s->from) != NULL || (is_first && strchr(GRAMMAR_FIRST, *s->from) != NULL))
		return (-1);
	if (*s->from == '\\') {
		if (*++s->from == '\0')
			return (-1);
	} else if (strchr(GLOB, *s->from) != NULL) {
		s->word->globs++;
		s->word->leads |= (unsigned)is_first;
	}
	*s->to++ = *s->from++;
	return (0);
}

static int
is_blank(char c)
{
	return (c == ' ' || c == '\t');
}

/* Wherever it stands, quoted or not. */
static int
byte_is_plain(const char *line, const char *at)
{
	static const char before[] = "--log-format="; /* rsync's own, with %i behind it */
	size_t len = sizeof(before) - 1;

	if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
		return (0);
	if (*at == '%')
		return ((size_t)(at - line) >= len && memcmp(at - len, before, len) == 0 && at[1] == 'i');
	return (strchr(GRAMMAR_ANYWHERE, *at) == NULL);
}

/* Splits the line.  -1: grammar, a control byte, or more than is read here. */
static int
command_split(struct command *c, const char *line)
{
	struct splitter s = {.from = line, .to = c->text};

	c->words = 0;
	if (strlen(line) > COMMAND_BYTES_MAX)
		return (-1);
	for (const char *at = line; *at != '\0'; at++)
		if (!byte_is_plain(line, at))
			return (-1);
	for (;;) {
		int is_first = 1;

		while (is_blank(*s.from))
			s.from++;
		if (*s.from == '\0')
			return (0);
		if (c->words == COMMAND_WORDS_MAX)
			return (-1);
		s.word = &c->word[c->words++];
		*s.word = (struct command_word){.text = s.to};
		for (; *s.from != '\0' && !is_blank(*s.from); is_first = 0)
			if (part_take(&s, is_first) == -1)
				return (-1);
		*s.to++ = '\0';
	}
}

/* Whether the first word is this program, found by PATH or where systems keep it. */
static int
command_is(const struct command *c, const char *program)
{
	static const char *const places[] = {"", "/usr/bin/", "/bin/", "/usr/local/bin/"};
	const char *name = c->word[0].text;

	if (c->word[0].globs > 0)
		return (0);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		size_t len = strlen(places[i]);

		if (strncmp(name, places[i], len) == 0 && strcmp(name + len, program) == 0)
			return (1);
	}
	return (0);
}

static int
is_option(const struct command_word *w)
{
	return (w->text[0] == '-' && w->text[1] != '\0');
}

/* Whether nothing from word `at` on can be taken for an option by the program. */
static int
operands_are_plain(const struct command *c, size_t at)
{
	for (; at < c->words; at++)
		if (is_option(&c->word[at]))
			return (0);
	return (1);
}

static enum command_kind
scp_read(struct command *c)
{
	int up = 0, down = 0, ended = 0;
	size_t i;

	c->directory = 0;
	for (i = 1; i < c->words && !ended && is_option(&c->word[i]); i++) {
		if (strcmp(c->word[i].text, "--") == 0) {
			ended = 1;
			continue;
		}
		if (strspn(c->word[i].text + 1, "tfvrpdq") != strlen(c->word[i].text + 1))
			return (COMMAND_OTHER);
		up |= strchr(c->word[i].text, 't') != NULL;
		down |= strchr(c->word[i].text, 'f') != NULL;
		c->directory |= strchr(c->word[i].text, 'd') != NULL;
	}
	c->operands = i;
	if (up == down || i == c->words || (!ended && !operands_are_plain(c, i)))
		return (COMMAND_OTHER);
	if (down)
		return (COMMAND_SCP_DOWN);
	/* What a pattern expands to could begin with a "-f". */
	return (c->words - i == 1 && !c->word[i].leads ? COMMAND_SCP_UP : COMMAND_OTHER);
}

/*
 * The long options that rsync's server_options() sends and that neither name a program nor write elsewhere than where the
 * transfer goes.  UP: to a server that receives; DOWN: that sends.  --files-from would have a receiver tell what stands in
 * a file, --remove-source-files a sender delete.
 */
enum { UP = 1, DOWN = 2, BOTH = 3 };
enum takes { ALONE, JOINED, APART }; /* --option, --option=value, --option value */
/* clang-format off */
static const struct rsync_option {
	const char *name;
	enum takes takes;
	unsigned ways;
} rsync_options[] = {
	{"--append", ALONE, BOTH},              {"--backup-dir", APART, UP},
	{"--bwlimit", JOINED, BOTH},            {"--checksum-choice", JOINED, BOTH},
	{"--checksum-seed", JOINED, BOTH},      {"--compare-dest", APART, UP},
	{"--compress-choice", JOINED, BOTH},    {"--compress-level", JOINED, BOTH},
	{"--copy-dest", APART, UP},             {"--copy-unsafe-links", ALONE, BOTH},
	{"--debug", JOINED, BOTH},              {"--delay-updates", ALONE, UP},
	{"--delete", ALONE, UP},                {"--delete-after", ALONE, UP},
	{"--delete-before", ALONE, UP},         {"--delete-delay", ALONE, UP},
	{"--delete-during", ALONE, UP},         {"--delete-excluded", ALONE, UP},
	{"--delete-missing-args", ALONE, BOTH}, {"--existing", ALONE, UP},
	{"--fake-super", ALONE, UP},            {"--files-from", APART, DOWN},
	{"--files-from", JOINED, DOWN},         {"--force", ALONE, UP},
	{"--from0", ALONE, DOWN},               {"--fsync", ALONE, UP},
	{"--groupmap", JOINED, UP},             {"--iconv", JOINED, BOTH},
	{"--ignore-errors", ALONE, BOTH},       {"--ignore-existing", ALONE, UP},
	{"--ignore-missing-args", ALONE, DOWN}, {"--info", JOINED, BOTH},
	{"--inplace", ALONE, BOTH},             {"--link-dest", APART, UP},
	{"--list-only", ALONE, BOTH},           {"--log-format", JOINED, UP},
	{"--max-alloc", JOINED, BOTH},          {"--max-delete", JOINED, UP},
	{"--max-size", JOINED, UP},             {"--min-size", JOINED, UP},
	{"--mkpath", ALONE, UP},                {"--modify-window", JOINED, UP},
	{"--msgs2stderr", ALONE, BOTH},         {"--new-compress", ALONE, BOTH},
	{"--no-W", ALONE, UP},                  {"--no-implied-dirs", ALONE, BOTH},
	{"--no-msgs2stderr", ALONE, BOTH},      {"--no-r", ALONE, UP},
	{"--no-relative", ALONE, DOWN},         {"--no-specials", ALONE, BOTH},
	{"--numeric-ids", ALONE, BOTH},         {"--old-compress", ALONE, BOTH},
	{"--open-noatime", ALONE, BOTH},        {"--partial", ALONE, UP},
	{"--partial-dir", APART, UP},           {"--preallocate", ALONE, UP},
	{"--safe-links", ALONE, BOTH},          {"--size-only", ALONE, UP},
	{"--skip-compress", JOINED, DOWN},      {"--specials", ALONE, BOTH},
	{"--stats", ALONE, UP},                 {"--suffix", JOINED, BOTH},
	{"--super", ALONE, UP},                 {"--temp-dir", APART, UP},
	{"--timeout", JOINED, BOTH},            {"--usermap", JOINED, UP},
	{"--use-qsort", ALONE, BOTH},
};
/* clang-format on */

/* How many words the long option at `at` takes; 0: it is not one that is known, this way. */
static size_t
rsync_long(const struct command *c, size_t at, unsigned way)
{
	const char *text = c->word[at].text;
	size_t len = strcspn(text, "=");
	enum takes takes = text[len] == '=' ? JOINED : ALONE;

	for (size_t i = 0; i < sizeof(rsync_options) / sizeof(rsync_options[0]); i++) {
		const struct rsync_option *o = &rsync_options[i];

		if (strlen(o->name) != len || strncmp(o->name, text, len) != 0 || (o->ways & way) == 0)
			continue;
		if (o->takes == takes)
			return (1);
		/* The value is one word, whatever it looks like; a pattern could become several. */
		if (o->takes == APART && takes == ALONE)
			return (at + 1 < c->words && c->word[at + 1].globs == 0 ? 2 : 0);
	}
	return (0);
}

/*
 * Letters, of which "e." or "e31.14" begins what the client can do; -B and -@ with their number.  "s" is not among them: it has more
 * options follow where nobody sees them.
 */
static int
rsync_short(const char *text)
{
	size_t len;

	text++;
	if (*text == 'B' || *text == '@') {
		text += text[0] == '@' && text[1] == '-' ? 2 : 1;
		return (*text != '\0' && strspn(text, "0123456789") == strlen(text));
	}
	len = strspn(text, "vqbunldKmOJyLkWHogDtUNpEAXrcCIRxSz");
	if (text[len] == '\0')
		return (1);
	if (text[len] != 'e')
		return (0);
	text += len + 1;
	text += strspn(text, "0123456789");
	if (*text != '.')
		return (0);
	return (strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.") == strlen(text));
}

static enum command_kind
rsync_read(struct command *c)
{
	unsigned way = UP;
	size_t i = 2, took;

	if (c->words < 4 || strcmp(c->word[1].text, "--server") != 0)
		return (COMMAND_OTHER);
	if (strcmp(c->word[2].text, "--sender") == 0) {
		way = DOWN;
		i++;
	}
	for (; i < c->words && is_option(&c->word[i]); i += took) {
		took = c->word[i].text[1] == '-' ? rsync_long(c, i, way) : (size_t)rsync_short(c->word[i].text);
		if (took == 0 || c->word[i].globs > 0)
			return (COMMAND_OTHER);
	}
	if (i + 1 >= c->words || strcmp(c->word[i].text, ".") != 0)
		return (COMMAND_OTHER);
	c->operands = i + 1;
	if (!operands_are_plain(c, c->operands))
		return (COMMAND_OTHER);
	for (i = c->operands; i < c->words; i++)
		if (c->word[i].leads) /* what it expands to could begin with a "-" */
			return (COMMAND_OTHER);
	if (way == DOWN)
		return (COMMAND_RSYNC_DOWN);
	return (c->words - c->operands == 1 ? COMMAND_RSYNC_UP : COMMAND_OTHER);
}

enum command_kind
command_read(struct command *c, const char *line)
{
	c->kind = COMMAND_OTHER;
	c->words = 0;
	if (line == NULL || command_split(c, line) == -1 || c->words == 0)
		return (COMMAND_OTHER);
	if (command_is(c, "scp"))
		c->kind = scp_read(c);
	else if (command_is(c, "rsync"))
		c->kind = rsync_read(c);
	return (c->kind);
}

enum command_kind
command_kind(const char *line)
{
	struct command *c = malloc(sizeof(*c));
	enum command_kind kind = c == NULL ? COMMAND_OTHER : command_read(c, line);

	free(c);
	return (kind);
}
