/*
 * Command lines.  What is taken for a transfer must be, to another reader of shell words (wordexp(3)), the same words and
 * nothing else.
 */
#include <wordexp.h>

#include "command.h"
#include "rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void
must(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void
words_must_equal(const struct command *c, const char *line)
{
	wordexp_t words = {0};

	must(wordexp(line, &words, WRDE_NOCMD | WRDE_UNDEF) == 0, "the words are words");
	must(words.we_wordc == c->words, "as many words");
	for (size_t i = 0; i < c->words; i++)
		must(strcmp(words.we_wordv[i], c->word[i].text) == 0, "the same words");
	wordfree(&words);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct command c;
	char *line = bytes_dup(bytes_of(data, size));
	int expands = 0;

	if (line != NULL && command_read(&c, line) != COMMAND_OTHER) {
		must(c.operands > 0 && c.operands < c.words, "there is an operand");
		must(strstr(c.word[0].text, c.kind <= COMMAND_SCP_DOWN ? "scp" : "rsync") != NULL, "the program");
		/* Other users' homes and files that are there are not what is asked here; and glibc makes a word of its own of
		 * "" in front of a word. */
		for (size_t i = 0; i < c.words; i++)
			expands |= c.word[i].globs > 0 || c.word[i].text[0] == '~';
		if (!expands && strstr(line, "\"\"") == NULL && strstr(line, "''") == NULL)
			words_must_equal(&c, line);
	}
	free(line);
	return (0);
}
