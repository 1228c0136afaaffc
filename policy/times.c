/* Times as people type and read them; see times.h. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "times.h"

/* Reads exactly `width` digits at *p into *n, both bounds checked, and moves on. */
static int
digits_read(const char **p, int width, int low, int high, int *n)
{
	*n = 0;
	for (int i = 0; i < width; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return (-1);
		*n = *n * 10 + (**p - '0');
	}
	return (*n < low || *n > high ? -1 : 0);
}

static int
mark_read(const char **p, char mark)
{
	if (**p != mark)
		return (-1);
	(*p)++;
	return (0);
}

/* Turns fields of local time into UTC; -1 for a date or an hour that does not exist. */
static int
local_moment(const struct tm *fields, int64_t *moment_ms)
{
	struct tm tm = *fields;
	time_t t;

	tm.tm_isdst = -1;
	if ((t = mktime(&tm)) == (time_t)-1)
		return (-1);
	if (tm.tm_mday != fields->tm_mday || tm.tm_mon != fields->tm_mon || tm.tm_hour != fields->tm_hour ||
	    tm.tm_min != fields->tm_min)
		return (-1);
	*moment_ms = (int64_t)t * 1000;
	return (0);
}

static int
utc_moment(const struct tm *fields, int64_t offset_ms, int64_t *moment_ms)
{
	struct tm tm = *fields;
	time_t t;

	if ((t = timegm(&tm)) == (time_t)-1 || tm.tm_mday != fields->tm_mday)
		return (-1);
	*moment_ms = (int64_t)t * 1000 - offset_ms;
	return (0);
}

static int
clock_parse(const char *p, struct tm *tm)
{
	if (digits_read(&p, 2, 0, 23, &tm->tm_hour) == -1 || mark_read(&p, ':') == -1 ||
	    digits_read(&p, 2, 0, 59, &tm->tm_min) == -1)
		return (-1);
	return (*p == '\0' ? 0 : -1);
}

/* The next time after now at which the local clock shows fields' hour and minute. */
static int
clock_next(const struct tm *fields, int64_t now_ms, int64_t *moment_ms)
{
	time_t now = (time_t)(now_ms / 1000);
	struct tm tm;

	for (int days = 0; days < 3; days++) {
		time_t then = now + days * (time_t)86400;

		if (localtime_r(&then, &tm) == NULL)
			return (-1);
		tm.tm_hour = fields->tm_hour;
		tm.tm_min = fields->tm_min;
		tm.tm_sec = 0;
		if (local_moment(&tm, moment_ms) == 0 && *moment_ms > now_ms)
			return (0);
	}
	return (-1);
}

/* Reads what may follow a date: the hour, and a zone. */
static int
hour_read(const char *p, struct tm *tm, int64_t *moment_ms)
{
	int hours, minutes;
	char sign;

	if ((*p != 'T' && *p != ' ') || p++ == NULL)
		return (-1);
	if (digits_read(&p, 2, 0, 23, &tm->tm_hour) == -1 || mark_read(&p, ':') == -1 ||
	    digits_read(&p, 2, 0, 59, &tm->tm_min) == -1)
		return (-1);
	if (*p == ':' && (p++, digits_read(&p, 2, 0, 59, &tm->tm_sec)) == -1)
		return (-1);
	if (*p == '\0')
		return (local_moment(tm, moment_ms));
	if (p[0] == 'Z' && p[1] == '\0')
		return (utc_moment(tm, 0, moment_ms));
	sign = *p++;
	if ((sign != '+' && sign != '-') || digits_read(&p, 2, 0, 14, &hours) == -1 || mark_read(&p, ':') == -1 ||
	    digits_read(&p, 2, 0, 59, &minutes) == -1 || *p != '\0')
		return (-1);
	return (utc_moment(
	    tm, (sign == '-' ? -1 : 1) * (hours * TIMES_HOUR_MS + minutes * TIMES_MINUTE_MS), moment_ms));
}

int
moment_parse(const char *text, int64_t now_ms, int64_t *moment_ms)
{
	struct tm tm = {.tm_sec = 0};
	const char *p = text;
	int year, month;

	if (strcmp(text, "now") == 0) {
		*moment_ms = now_ms;
		return (0);
	}
	if (clock_parse(text, &tm) == 0)
		return (clock_next(&tm, now_ms, moment_ms));
	tm = (struct tm){.tm_sec = 0};
	if (digits_read(&p, 4, 1970, 2199, &year) == -1 || mark_read(&p, '-') == -1 ||
	    digits_read(&p, 2, 1, 12, &month) == -1 || mark_read(&p, '-') == -1 ||
	    digits_read(&p, 2, 1, 31, &tm.tm_mday) == -1)
		return (-1);
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	if (*p == '\0')
		return (local_moment(&tm, moment_ms));
	return (hour_read(p, &tm, moment_ms));
}

static void
format_local(int64_t moment_ms, const char *format, char text[TIMES_TEXT])
{
	time_t t = (time_t)(moment_ms / 1000);
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(text, TIMES_TEXT, format, &tm) == 0)
		snprintf(text, TIMES_TEXT, "?");
}

void
moment_print(int64_t moment_ms, char text[TIMES_TEXT])
{
	time_t t = (time_t)(moment_ms / 1000);
	struct tm local, utc;
	size_t n;

	format_local(moment_ms, "%Y-%m-%d %H:%M:%S %Z", text);
	if (localtime_r(&t, &local) == NULL || gmtime_r(&t, &utc) == NULL || local.tm_gmtoff == 0)
		return;
	n = strlen(text);
	(void)strftime(text + n, TIMES_TEXT - n,
	    local.tm_mday == utc.tm_mday ? " (%H:%M:%S UTC)" : " (%d. %H:%M:%S UTC)", &utc);
}

void
moment_print_clock(int64_t moment_ms, char text[TIMES_TEXT])
{
	format_local(moment_ms, "%H:%M:%S %Z", text);
}
