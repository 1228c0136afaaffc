/* Capabilities, and what needs which; see capabilities.h. */
#include <stdio.h>
#include <string.h>

#include "capabilities.h"

/* sftp is let in by either; the session rules each operation.  A forward is a matter of its host and port alone. */
static const struct need needs[] = {
    [ASK_SHELL] = {.all = CAPABILITY_SHELL},
    [ASK_EXEC] = {.all = CAPABILITY_EXEC},
    [ASK_SFTP] = {.any = CAPABILITY_UPLOAD | CAPABILITY_DOWNLOAD},
    [ASK_UPLOAD] = {.all = CAPABILITY_UPLOAD},
    [ASK_DOWNLOAD] = {.all = CAPABILITY_DOWNLOAD},
    [ASK_SUBSYSTEM] = {.all = CAPABILITY_EXEC},
    [ASK_FORWARD] = {.all = 0},
    [ASK_SOCKET] = {.all = CAPABILITY_SOCKET},
    [ASK_REVERSE] = {.all = CAPABILITY_REVERSE},
};
#define NEEDS (sizeof(needs) / sizeof(needs[0]))

int
need_of(unsigned kind, struct need *n)
{
	if (kind < ASK_SHELL || kind >= NEEDS)
		return (-1);
	*n = needs[kind];
	return (0);
}

unsigned
need_lacks(const struct need *n, unsigned capabilities)
{
	return ((n->all & ~capabilities) | ((n->any & capabilities) == 0 ? n->any : 0));
}

static const struct {
	enum capability bit;
	const char *name;
} names[] = {
    {CAPABILITY_SHELL, "shell"}, {CAPABILITY_EXEC, "exec"}, {CAPABILITY_UPLOAD, "upload"},
    {CAPABILITY_DOWNLOAD, "download"}, {CAPABILITY_AGENT, "agent"}, {CAPABILITY_X11, "x11"},
    {CAPABILITY_REVERSE, "reverse"}, {CAPABILITY_SOCKET, "socket"},
    {CAPABILITY_FORWARD, "forward"}, /* last: its places are printed behind it */
};
#define NAMES (sizeof(names) / sizeof(names[0]))

void
capabilities_print(unsigned bits, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < NAMES && n < size; i++)
		if (bits & (unsigned)names[i].bit)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n == 0 ? "" : ",", names[i].name);
}

int
capabilities_parse(const char *text, unsigned *bits)
{
	*bits = 0;
	for (const char *p = text;; p++) {
		size_t n = strcspn(p, ","), i;

		for (i = 0; i < NAMES; i++)
			if (strlen(names[i].name) == n && memcmp(names[i].name, p, n) == 0)
				break;
		if (i == NAMES)
			return (-1);
		*bits |= (unsigned)names[i].bit;
		p += n;
		if (*p == '\0')
			return (0);
	}
}
