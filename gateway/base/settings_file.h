/*
 * Configuration text with sshd's habits: one keyword and its arguments a line, # comments, "quoted arguments", keywords
 * in any case.  Which keywords there are is the caller's table; all errors are told, not only the first.
 */
#ifndef BASE_SETTINGS_FILE_H
#define BASE_SETTINGS_FILE_H

#include <stddef.h>
#include <stdint.h>

enum setting_kind {
	SETTING_TEXT,
	SETTING_PATH,
	SETTING_NUMBER,
	SETTING_SPAN,
	SETTING_SIZE,
	SETTING_YES_NO,
	SETTING_WORDS
};

struct setting_row {
	const char *keyword;
	enum setting_kind kind;
	int64_t least, most; /* of a NUMBER, a SPAN in ms, a SIZE in bytes */
	const char *preset;  /* as one would write it; NULL: must be given; "": may be empty */
	size_t offset;       /* of the char * (TEXT PATH WORDS) or int64_t member in the caller's structure */
};

/* Says what is wrong: "file:line: keyword: reason".  line 0: nowhere in particular. */
typedef void setting_error(void *ctx, const char *line);

/* Parses text into *to (a structure of the caller's, zeroed before; strings are malloc'd).  Gives the number of errors. */
int settings_parse(const struct setting_row *rows, size_t count, const char *name, const char *text, size_t len,
    void *to, setting_error *on_error, void *ctx);
/* The line (from 1) on which text gives the keyword; 0: it does not. */
int settings_line(const char *text, size_t len, const char *keyword);
/* Writes every keyword with its value in effect, so that parsing it gives the same.  Gives a malloc'd text. */
char *settings_print(const struct setting_row *rows, size_t count, const void *of);
void settings_wipe(const struct setting_row *rows, size_t count, void *of);
/* "90s", "2h", "1h30m", "1w": milliseconds; -1: not a span.  A bare number is seconds (sshd_config(5) TIME FORMATS). */
int64_t span_parse(const char *text);
void span_print(int64_t ms, char *to, size_t size); /* "1h30m"; "0s" */

#endif
