/*
 * Whether a command line is nothing but the far end of scp or rsync, so that it may count as a transfer and not as a
 * command.  What could be anything else for any usual login shell, is: one doubt makes it COMMAND_OTHER.
 *
 * A line is split as a POSIX shell would (XCU 2.2, 2.3): words, '...' and "..." without \, and \x; what is grammar to some
 * other shell (csh, fish, cmd.exe) makes it OTHER, quoted or not.  No expansion but ~ and
 * globs, and neither in the program's name or an option.  The program is found by PATH or in a system directory: /tmp/scp is
 * whatever somebody put there.
 */
#ifndef SESSION_COMMAND_H
#define SESSION_COMMAND_H

#include <stddef.h>

enum command_kind { COMMAND_OTHER, COMMAND_SCP_UP, COMMAND_SCP_DOWN, COMMAND_RSYNC_UP, COMMAND_RSYNC_DOWN };

#define COMMAND_BYTES_MAX 4096 /* longer: COMMAND_OTHER */
#define COMMAND_WORDS_MAX 256

struct command_word {
	const char *text; /* without its quotes */
	unsigned globs;   /* how many of * ? [ stand in it unquoted */
	unsigned leads;   /* it begins with one */
};

/* A line that was read.  Words lie in `text`, so it is not copied. */
struct command {
	enum command_kind kind;
	struct command_word word[COMMAND_WORDS_MAX];
	size_t words;
	size_t operands;    /* the first word that names a file */
	unsigned directory; /* scp -d: the target must be a directory */
	char text[COMMAND_BYTES_MAX + 1];
};

/* Reads `line` into *c.  When it gives COMMAND_OTHER, nothing else in *c counts. */
enum command_kind command_read(struct command *c, const char *line);
/* The same, when the kind is all that is asked. */
enum command_kind command_kind(const char *line);

#endif
