/* See users_line.h. */
#include "users_line.h"

#include <string.h>
#include <time.h>

#include "users_file.h"

#define WORDS_MOST 7 /* type user password secret [factor code time]; liboath looks at no more */
#define TIME_SIZE 32

static const char *const types[] = {
    "HOTP",
    "HOTP/E",
    "HOTP/E/6",
    "HOTP/E/7",
    "HOTP/E/8",
    "HOTP/T30",
    "HOTP/T30/6",
    "HOTP/T30/7",
    "HOTP/T30/8",
    "HOTP/T60",
    "HOTP/T60/6",
    "HOTP/T60/7",
    "HOTP/T60/8",
};

static int
is_blank(uint8_t c)
{
	return (c == ' ' || c == '\t' || c == '\r' || c == '\n');
}

/* Splits as strtok does; how many words. */
static size_t
words_of(struct bytes line, struct bytes word[WORDS_MOST])
{
	size_t count = 0, at = 0;

	while (count < WORDS_MOST) {
		while (at < line.len && is_blank(line.at[at]))
			at++;
		if (at == line.len)
			break;
		word[count].at = line.at + at;
		while (at < line.len && !is_blank(line.at[at]))
			at++;
		word[count].len = (size_t)(line.at + at - word[count].at);
		count++;
	}
	return (count);
}

static int
is_type(struct bytes word)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (bytes_are(word, types[i]))
			return (1);
	return (0);
}

static int
is_number(struct bytes word)
{
	for (size_t i = 0; i < word.len; i++)
		if (word.at[i] < '0' || word.at[i] > '9')
			return (0);
	return (1);
}

static int
is_secret(struct bytes word)
{
	for (size_t i = 0; i < word.len; i++)
		if (strchr("0123456789abcdefABCDEF", word.at[i]) == NULL)
			return (0);
	return (word.len % 2 == 0 && word.len <= 2 * USERS_SECRET_MOST);
}

/*
 * Local time, with an L behind it.  In the hour that comes twice in autumn it may mean two moments: the earlier one, so
 * that nobody is refused for an hour a year.  -1: not a time.
 */
static int64_t
time_read(struct bytes word)
{
	char text[TIME_SIZE];
	const char *end;
	struct tm tm = {0}, summer;
	time_t at, early;

	if (bytes_copy(text, sizeof(text), word) == -1 ||
	    (end = strptime(text, "%Y-%m-%dT%H:%M:%SL", &tm)) == NULL || *end != '\0')
		return (-1);
	summer = tm;
	tm.tm_isdst = -1;
	summer.tm_isdst = 1;
	if ((at = mktime(&tm)) == -1)
		return (-1);
	early = mktime(&summer);
	/* mktime shifts a time that cannot be summer's: then it is another time, and not meant. */
	return (early != -1 && summer.tm_hour == tm.tm_hour && early < at ? early : at);
}

int
users_name_is_good(struct bytes user)
{
	for (size_t i = 0; i < user.len; i++)
		if (user.at[i] <= ' ' || user.at[i] == 0x7f)
			return (0);
	return (user.len > 0);
}

struct users_line
users_line_read(struct bytes line)
{
	struct bytes word[WORDS_MOST] = {0};
	struct users_line l = {.kind = USERS_LINE_DAMAGED};
	size_t count = words_of(line, word);

	if (count == 0 || word[0].at[0] == '#') {
		l.kind = USERS_LINE_REMARK;
		return (l);
	}
	if (memchr(line.at, '\0', line.len) != NULL)
		l.damage = "a NUL byte is in it";
	else if (!is_type(word[0]))
		l.damage = "it does not begin with a type such as HOTP/T30/6";
	else if (count < 4)
		l.damage = "it has no user, no password or - or no secret";
	else if (!users_name_is_good(word[1]))
		l.damage = "the user's name has control bytes";
	else if (!is_secret(word[3]))
		l.damage = "the secret is not in hexadecimal, or longer than 32 bytes";
	else if (count > 4 && !is_number(word[4]))
		l.damage = "the moving factor is not a number";
	else if (count > 6 && (l.last_use_s = time_read(word[6])) == -1)
		l.damage = "the time of the last use is not one";
	else {
		l.kind = USERS_LINE_ENTRY;
		l.user = word[1];
	}
	return (l);
}
