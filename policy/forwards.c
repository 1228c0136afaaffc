/* Places to forward to; see forwards.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "forwards.h"

#define PORT_SSH 22
#define NAME_MOST 253 /* RFC 1035 2.3.4, without the final dot */
#define LABEL_MOST 63

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyz" DIGITS "-_"

static int
fail(char why[FORWARD_WHY], const char *what)
{
	(void)snprintf(why, FORWARD_WHY, "%s", what);
	return (-1);
}

/* ---- hosts ---- */

/* An address in either family, canonical.  -1: it is none. */
static int
address_read(char host[FORWARD_HOST], const char *text)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET, text, &four) == 1)
		return (inet_ntop(AF_INET, &four, host, FORWARD_HOST) == NULL ? -1 : 0);
	if (inet_pton(AF_INET6, text, &six) != 1)
		return (-1);
	if (IN6_IS_ADDR_V4MAPPED(&six))
		return (inet_ntop(AF_INET, &six.s6_addr[12], host, FORWARD_HOST) == NULL ? -1 : 0);
	return (inet_ntop(AF_INET6, &six, host, FORWARD_HOST) == NULL ? -1 : 0);
}

/* getaddrinfo(3) takes such a last label, and all before it, for an address (inet_aton(3)). */
static int
label_is_number(const char *label)
{
	if (strncmp(label, "0x", 2) == 0)
		return (label[2 + strspn(label + 2, DIGITS "abcdef")] == '\0');
	return (label[strspn(label, DIGITS)] == '\0');
}

/* Labels of letters, digits, - and _ (RFC 1123 2.1, and what people really call their machines). */
static int
name_read(char host[FORWARD_HOST], const char *text)
{
	const char *label = host;
	size_t n = strlen(text);

	if (n > NAME_MOST)
		return (-1);
	for (size_t i = 0; i <= n; i++)
		host[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
	for (;; label += n + 1) {
		n = strspn(label, LETTERS);
		if (n == 0 || n > LABEL_MOST || label[0] == '-' || label[n - 1] == '-' ||
		    (label[n] != '.' && label[n] != '\0'))
			return (-1);
		if (label[n] == '\0')
			return (label_is_number(label) ? -1 : 0);
	}
}

static int
host_read(char host[FORWARD_HOST], const char *text, int in_brackets)
{
	if (address_read(host, text) == 0)
		return (in_brackets == (strchr(text, ':') != NULL) ? 0 : -1);
	return (in_brackets ? -1 : name_read(host, text));
}

/* Of no machine: who dials it reaches himself. */
static int
host_is_nobody(const char *host)
{
	return (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0);
}

static int
port_read(uint16_t *port, const char *text)
{
	unsigned long n = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 5; i++)
		n = n * 10 + (unsigned long)(text[i] - '0');
	if (i == 0 || text[i] != '\0' || text[0] == '0' || n > UINT16_MAX)
		return (-1);
	*port = (uint16_t)n;
	return (0);
}

/* ---- one ---- */

int
forward_read(struct forward *f, const char *text, char why[FORWARD_WHY])
{
	char host[FORWARD_HOST];
	int in_brackets = text[0] == '[';
	const char *colon = strrchr(text, ':'), *from = text + in_brackets, *end;

	*f = (struct forward){.port = 0};
	end = colon == NULL ? NULL : colon - in_brackets;
	if (end == NULL || end <= from || (in_brackets && *end != ']'))
		return (fail(why, "not HOST:PORT, or [IPV6]:PORT"));
	if ((size_t)(end - from) >= sizeof(host))
		return (fail(why, "a host's name is no longer than 253 letters"));
	memcpy(host, from, (size_t)(end - from));
	host[end - from] = '\0';
	if (host_read(f->host, host, in_brackets) == -1 || host_is_nobody(f->host))
		return (fail(why, "the host is a name, an IPv4 address, or an IPv6 address in brackets"));
	if (port_read(&f->port, colon + 1) == -1)
		return (fail(why, "the port is a number from 1 to 65535"));
	if (f->port == PORT_SSH)
		return (fail(why, "a target's ssh is visited, not forwarded"));
	return (0);
}

void
forward_print(const struct forward *f, char text[FORWARD_TEXT])
{
	(void)snprintf(
	    text, FORWARD_TEXT, strchr(f->host, ':') != NULL ? "[%s]:%u" : "%s:%u", f->host, (unsigned)f->port);
}

int
forward_is_local(const struct forward *f)
{
	static const char under[] = ".localhost"; /* RFC 6761 6.3 */
	size_t n = strlen(f->host), tail = sizeof(under) - 1;

	return (strcmp(f->host, "localhost") == 0 || (n > tail && strcmp(f->host + n - tail, under) == 0) ||
	        (strncmp(f->host, "127.", 4) == 0 && strspn(f->host, DIGITS ".") == n) ||
	        strcmp(f->host, "::1") == 0);
}

int
forward_is_plain(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	struct forward f = {.port = 0};

	(void)snprintf(f.host, sizeof(f.host), "%s", host);
	return (forward_is_local(&f) || inet_pton(AF_INET, host, address) == 1 ||
	        inet_pton(AF_INET6, host, address) == 1);
}

/* ---- lists ---- */

/* The part of a list up to the next comma.  -1: too long to be one. */
static int
part_take(char part[FORWARD_TEXT], const char **list)
{
	size_t n = strcspn(*list, ",");

	if (n >= FORWARD_TEXT)
		return (-1);
	memcpy(part, *list, n);
	part[n] = '\0';
	*list += n;
	return (0);
}

int
forwards_read(char *list, size_t size, const char *text, char why[FORWARD_WHY])
{
	char part[FORWARD_TEXT];
	struct forward f;
	size_t n = 0;

	list[0] = '\0';
	for (;; text++) {
		if (part_take(part, &text) == -1)
			return (fail(why, "a host's name is no longer than 253 letters"));
		if (forward_read(&f, part, why) == -1)
			return (-1);
		forward_print(&f, part);
		if (forwards_hold(list, part))
			return (fail(why, "one of them stands there twice"));
		if (n + strlen(part) + 1 >= size)
			return (fail(why, "too many at once"));
		n += (size_t)snprintf(list + n, size - n, "%s%s", n == 0 ? "" : ",", part);
		if (*text == '\0')
			return (0);
	}
}

int
forwards_hold(const char *list, const char *forward)
{
	char part[FORWARD_TEXT];

	for (; *list != '\0'; list += *list == ',')
		if (part_take(part, &list) == -1)
			return (0);
		else if (strcmp(part, forward) == 0)
			return (1);
	return (0);
}

const char *
forwards_next(const char *list, struct forward *f)
{
	char part[FORWARD_TEXT], why[FORWARD_WHY];

	if (*list == '\0' || part_take(part, &list) == -1 || forward_read(f, part, why) == -1)
		return (NULL);
	return (list + (*list == ','));
}
