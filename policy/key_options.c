/* What may stand before a person's key; see key_options.h. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "contract/messages.h"
#include "key_options.h"
#include "networks.h"
#include "times.h"

/* One option as it is read: its name is in the table, its value "" where it stood without one. */
struct option {
	char value[ROW_WORDS];
	int has_value;
};

typedef int take_fn(struct key_options *o, const struct option *given, char why[KEY_WHY]);

static int fail(char why[KEY_WHY], const char *format, ...) __attribute__((format(printf, 2, 3)));

static int
fail(char why[KEY_WHY], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(why, KEY_WHY, format, ap);
	va_end(ap);
	return (-1);
}

/* ---- values ---- */

static int
from_take(struct key_options *o, const struct option *given, char why[KEY_WHY])
{
	if (o->networks[0] != '\0')
		return (fail(why, "from stands there twice"));
	if (given->value[0] == '\0' || networks_check(given->value) == -1)
		return (fail(why,
		    "from=\"%.80s\": addresses and networks alone, such as 192.0.2.0/24,2001:db8::/32; no names, "
		    "wildcards or negation",
		    given->value));
	memcpy(o->networks, given->value, sizeof(o->networks));
	return (0);
}

/* YYYYMMDD[HHMM[SS]][Z] (authorized_keys(5), expiry-time), by way of what times.h reads. */
static int
time_read(const char *value, int64_t *ms)
{
	size_t digits = strspn(value, "0123456789");
	const char *zone = value + digits, *d = value;
	char text[32];

	if ((digits != 8 && digits != 12 && digits != 14) || (*zone != '\0' && strcmp(zone, "Z") != 0))
		return (-1);
	(void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2s%s", d, d + 4, d + 6,
	    digits > 8 ? d + 8 : "00", digits > 8 ? d + 10 : "00", digits > 12 ? d + 12 : "00", zone);
	return (moment_parse(text, 0, ms));
}

static int
moment_take(const char *name, const struct option *given, int64_t *ms, char why[KEY_WHY])
{
	if (*ms != 0)
		return (fail(why, "%s stands there twice", name));
	if (time_read(given->value, ms) == -1 || *ms <= 0)
		return (fail(why, "%s=\"%.40s\": YYYYMMDD or YYYYMMDDHHMM[SS], with a Z behind it for UTC", name,
		    given->value));
	return (0);
}

static int
expiry_take(struct key_options *o, const struct option *given, char why[KEY_WHY])
{
	return (moment_take("expiry-time", given, &o->valid_until, why));
}

static int
valid_from_take(struct key_options *o, const struct option *given, char why[KEY_WHY])
{
	return (moment_take("valid-from", given, &o->valid_from, why));
}

static int
verify_take(struct key_options *o, const struct option *given, char why[KEY_WHY])
{
	if (given->has_value)
		return (fail(why, "verify-required takes no value"));
	o->bits |= KEY_OPTION_VERIFY;
	return (0);
}

/* ---- options ---- */

#define GRANTED "what may be done is said by a request and its approval, not by the key"

/* All of authorized_keys(5) and ours; those that are not taken say why. */
static const struct {
	const char *name;
	take_fn *take;
	const char *why;
} options[] = {
    {"from", from_take, NULL},
    {"expiry-time", expiry_take, NULL},
    {"valid-from", valid_from_take, NULL},
    {"verify-required", verify_take, NULL},
    {"no-touch-required", NULL, "a key that needs no touch shows nobody's presence"},
    {"touch-required", NULL, "every FIDO key must be touched anyhow"},
    {"cert-authority", NULL, "people come by keys of their own, not by certificates"},
    {"principals", NULL, "people come by keys of their own, not by certificates"},
    {"command", NULL, GRANTED},
    {"environment", NULL, GRANTED},
    {"permitopen", NULL, GRANTED},
    {"permitlisten", NULL, GRANTED},
    {"tunnel", NULL, GRANTED},
    {"restrict", NULL, GRANTED},
    {"agent-forwarding", NULL, GRANTED},
    {"no-agent-forwarding", NULL, GRANTED},
    {"port-forwarding", NULL, GRANTED},
    {"no-port-forwarding", NULL, GRANTED},
    {"X11-forwarding", NULL, GRANTED},
    {"no-X11-forwarding", NULL, GRANTED},
    {"pty", NULL, GRANTED},
    {"no-pty", NULL, GRANTED},
    {"user-rc", NULL, GRANTED},
    {"no-user-rc", NULL, GRANTED},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static int
name_read(const char **p, size_t *found, char why[KEY_WHY])
{
	size_t n = 0;

	while (isalnum((unsigned char)(*p)[n]) || (*p)[n] == '-')
		n++;
	for (*found = 0; *found < OPTIONS; (*found)++)
		if (strlen(options[*found].name) == n && strncasecmp(options[*found].name, *p, n) == 0)
			break;
	if (*found == OPTIONS || options[*found].take == NULL)
		return (fail(why, "%.*s: %s", (int)(n == 0 || n > 40 ? 40 : n), *p,
		    *found < OPTIONS ? options[*found].why
		                     : "neither a key nor one of from=\"\", expiry-time=\"\", valid-from=\"\", "
		                       "verify-required"));
	*p += n;
	return (0);
}

/* Between quotes, in which \" stands for one. */
static int
quoted_read(const char **p, struct option *given, char why[KEY_WHY])
{
	size_t n = 0;

	for ((*p)++; **p != '"'; (*p)++) {
		if ((*p)[0] == '\\' && (*p)[1] == '"')
			(*p)++;
		if (**p == '\0' || n + 1 == sizeof(given->value))
			return (fail(why, **p == '\0' ? "a quote \" is not closed" : "a value is too long"));
		given->value[n++] = **p;
	}
	(*p)++;
	given->value[n] = '\0';
	return (0);
}

/* The next part of a list without quotes is one more network? */
static int
network_follows(const char *p)
{
	size_t n = strcspn(p + 1, ", \t");
	char part[64];

	if (*p != ',' || n == 0 || n >= sizeof(part))
		return (0);
	memcpy(part, p + 1, n);
	part[n] = '\0';
	return (networks_check(part) == 0);
}

static int
bare_read(const char **p, take_fn *take, struct option *given, char why[KEY_WHY])
{
	size_t n = strcspn(*p, ", \t\"");

	while (take == from_take && network_follows(*p + n))
		n += 1 + strcspn(*p + n + 1, ", \t");
	if (n >= sizeof(given->value))
		return (fail(why, "a value is too long"));
	memcpy(given->value, *p, n);
	given->value[n] = '\0';
	*p += n;
	return (0);
}

static int
option_read(struct key_options *o, const char **p, char why[KEY_WHY])
{
	struct option given = {.has_value = 0};
	size_t found;

	if (name_read(p, &found, why) == -1)
		return (-1);
	if (**p == '=') {
		(*p)++;
		given.has_value = 1;
		if ((**p == '"' ? quoted_read(p, &given, why) : bare_read(p, options[found].take, &given, why)) ==
		    -1)
			return (-1);
	}
	return (options[found].take(o, &given, why));
}

int
key_options_read(struct key_options *o, const char **p, char why[KEY_WHY])
{
	*o = (struct key_options){.bits = 0};
	for (;;) {
		if (option_read(o, p, why) == -1)
			return (-1);
		if (**p != ',')
			break;
		(*p)++;
	}
	if (**p != ' ' && **p != '\t')
		return (fail(why,
		    **p == '\0' ? "options, and no key behind them" : "\"%.20s\" stands right behind an option",
		    *p));
	*p += strspn(*p, " \t");
	if (o->valid_until != 0 && o->valid_until <= o->valid_from)
		return (fail(why, "expiry-time is not after valid-from"));
	return (0);
}

/* ---- back to words ---- */

static void
time_print(const char *name, int64_t ms, char *text, size_t size)
{
	time_t t = (time_t)(ms / 1000);
	size_t n = strlen(text);
	char when[32];
	struct tm tm;

	if (ms == 0 || gmtime_r(&t, &tm) == NULL || strftime(when, sizeof(when), "%Y%m%d%H%M%SZ", &tm) == 0)
		return;
	(void)snprintf(text + n, size - n, "%s%s=\"%s\"", n == 0 ? "" : ",", name, when);
}

struct key_options
key_options_of(const struct person_key *key)
{
	struct key_options o = {
	    .valid_from = key->valid_from, .valid_until = key->valid_until, .bits = key->options};

	memcpy(o.networks, key->networks, sizeof(o.networks));
	return (o);
}

void
key_options_print(const struct key_options *o, char text[KEY_OPTIONS_TEXT])
{
	size_t n;

	text[0] = '\0';
	if (o->networks[0] != '\0')
		(void)snprintf(text, KEY_OPTIONS_TEXT, "from=\"%s\"", o->networks);
	time_print("valid-from", o->valid_from, text, KEY_OPTIONS_TEXT);
	time_print("expiry-time", o->valid_until, text, KEY_OPTIONS_TEXT);
	n = strlen(text);
	if (o->bits & KEY_OPTION_VERIFY)
		(void)snprintf(text + n, KEY_OPTIONS_TEXT - n, "%sverify-required", n == 0 ? "" : ",");
}
