#include "passwd.h"

#include <ctype.h>

size_t
passwd_hear(struct passwd *p, struct bytes said)
{
	size_t room = PASSWD_SAID_MAX - p->len, len = said.len < room ? said.len : room;

	for (size_t i = 0; i < len; i++)
		p->said[p->len + i] = said.at[i] == 0 ? ' ' : (char)said.at[i];
	p->len += len;
	p->said[p->len] = '\0';
	return (len);
}

/*
 * Of the words of passwd on Linux (shadow, PAM), busybox, the BSDs and Solaris; the first that stands in the question.
 * Some program that is no passwd, and runs in its place, asks for new and old things too: but for no password.
 */
static const struct {
	const char *word;
	enum passwd_question is;
} words[] = {
    {"retype", PASSWD_AGAIN},
    {"re-type", PASSWD_AGAIN},
    {"re-enter", PASSWD_AGAIN},
    {"reenter", PASSWD_AGAIN},
    {"again", PASSWD_AGAIN},
    {"repeat", PASSWD_AGAIN},
    {"confirm", PASSWD_AGAIN},
    {"verify", PASSWD_AGAIN},
    {"new", PASSWD_NEW},
    {"current", PASSWD_OLD},
    {"old", PASSWD_OLD},
    {"existing", PASSWD_OLD},
    {"login", PASSWD_OLD},
};

enum passwd_question
passwd_asks(const struct passwd *p)
{
	char line[128];
	size_t from = p->len, to = p->len, n = 0;

	while (to > 0 && p->said[to - 1] == ' ')
		to--;
	if (to == 0 || p->said[to - 1] != ':')
		return (PASSWD_NONE);
	for (from = to; from > 0 && p->said[from - 1] != '\n' && p->said[from - 1] != '\r'; from--)
		;
	for (; from < to && n < sizeof(line) - 1; from++)
		line[n++] = (char)tolower((unsigned char)p->said[from]);
	line[n] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(line, words[i].word) != NULL &&
		    (words[i].is == PASSWD_AGAIN || strstr(line, "pass") != NULL))
			return (words[i].is);
	return (strstr(line, "password") != NULL && !p->given[PASSWD_OLD] ? PASSWD_OLD : PASSWD_NONE);
}

int
passwd_refuses(const struct passwd *p, enum passwd_question q)
{
	return (p->given[q] || (q == PASSWD_AGAIN && !p->given[PASSWD_NEW]) ||
	        (q == PASSWD_OLD && p->given[PASSWD_NEW]));
}

void
passwd_answered(struct passwd *p, enum passwd_question q)
{
	p->given[q] = 1;
	p->len = 0;
	p->said[0] = '\0';
}

void
passwd_blot(struct passwd *p, struct bytes password)
{
	for (size_t i = 0; password.len > 0 && i + password.len <= p->len; i++)
		if (memcmp(p->said + i, password.at, password.len) == 0)
			memset(p->said + i, '*', password.len);
}
