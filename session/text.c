#include "text.h"

#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

void
text_reason(char *to, size_t size, enum reason reason, const char *text)
{
	const char *verb = "denied", *todo = reason_todo(reason);

	switch (reason_status(reason)) {
	case 75:
		verb = "not yet";
		break;
	case 69:
		verb = "unreachable";
		break;
	case 124:
		verb = "ended";
		break;
	default:
		break;
	}
	if (text != NULL && text[0] != '\0')
		snprintf(to, size, "lodge: %s [%s] %s", verb, reason_code(reason), text);
	else
		snprintf(to, size, "lodge: %s [%s] %s%s%s", verb, reason_code(reason), reason_what(reason),
		    todo[0] == '\0' ? "" : "; ", todo);
}

void
text_span(char *to, size_t size, int64_t ms)
{
	int64_t s = (ms + 500) / 1000;

	if (s < 0)
		s = 0;
	if (s < 120)
		snprintf(to, size, "%" PRId64 " s", s);
	else if (s < 7200)
		snprintf(to, size, "%" PRId64 " min", (s + 30) / 60);
	else
		snprintf(to, size, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
}

void
text_bytes(char *to, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	double number = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 10240) {
		snprintf(to, size, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
		return;
	}
	for (; number >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		number /= 1024;
	snprintf(to, size, "%.1f %s", number, units[unit]);
}

void
text_time(char *to, size_t size, int64_t wall_ms)
{
	time_t at = (time_t)(wall_ms / 1000), now = (time_t)(clock_wall_ms() / 1000);
	struct tm day, today;

	if (size == 0)
		return;
	to[0] = '\0';
	if (localtime_r(&at, &day) == NULL || localtime_r(&now, &today) == NULL)
		return;
	if (day.tm_yday == today.tm_yday && day.tm_year == today.tm_year)
		(void)strftime(to, size, "%H:%M:%S", &day);
	else
		(void)strftime(to, size, "%Y-%m-%d %H:%M", &day);
}

void
text_safe(char *to, size_t size, struct bytes from)
{
	(void)log_escape(to, size, from.at, from.len);
}

/* Length of the character at `at` that may be shown as it is; 0 when it may not. */
static size_t
printable(const uint8_t *at, size_t left)
{
	uint32_t point;
	int len;

	if (*at == '\n' || *at == '\t')
		return (1);
	len = utf8_next(at, left, &point);
	if (len <= 0 || point < ' ' || (point >= 0x7f && point < 0xa0) || utf8_reorders(point))
		return (0);
	return ((size_t)len);
}

char *
text_lines(struct bytes from)
{
	char *to = malloc(from.len + 1);
	size_t out = 0, len;

	if (to == NULL)
		return (NULL);
	for (size_t i = 0; i < from.len; i += len == 0 ? 1 : len) {
		len = printable(from.at + i, from.len - i);
		memcpy(to + out, len == 0 ? (const uint8_t *)"?" : from.at + i, len == 0 ? 1 : len);
		out += len == 0 ? 1 : len;
	}
	to[out] = '\0';
	return (to);
}

int
fifo_put(struct fifo *f, const void *at, size_t len)
{
	if (f->from == f->to)
		f->from = f->to = 0;
	if (f->room - f->to < len) {
		size_t room = f->to - f->from + len + 512;
		uint8_t *grown = malloc(room);

		if (grown == NULL)
			return (-1);
		if (f->to > f->from)
			memcpy(grown, f->at + f->from, f->to - f->from);
		free(f->at);
		f->at = grown;
		f->to -= f->from;
		f->from = 0;
		f->room = room;
	}
	if (len > 0)
		memcpy(f->at + f->to, at, len);
	f->to += len;
	return (0);
}

struct bytes
fifo_bytes(const struct fifo *f)
{
	return (f->from == f->to ? (struct bytes){NULL, 0} : bytes_of(f->at + f->from, f->to - f->from));
}

void
fifo_take(struct fifo *f, size_t len)
{
	f->from += len;
	if (f->from >= f->to)
		f->from = f->to = 0;
}

void
fifo_free(struct fifo *f)
{
	free(f->at);
	*f = (struct fifo){0};
}
