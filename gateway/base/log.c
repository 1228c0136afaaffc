#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

#include "base/utf8.h"

static const char *log_program = "lodge";

void
log_begin(const char *program)
{
	log_program = program;
}

/* Length of the character at `at` that may be shown as it is; 0 when it must be escaped. */
static size_t
log_printable(const uint8_t *at, size_t left)
{
	uint32_t point;
	int len = utf8_next(at, left, &point);

	if (len <= 0 || point < 0x20 || point == '\\' || (point >= 0x7f && point < 0xa0) || utf8_reorders(point))
		return (0);
	return ((size_t)len);
}

size_t
log_escape(char *to, size_t size, const void *text, size_t len)
{
	const uint8_t *at = text;
	size_t out = 0;

	if (size == 0)
		return (0);
	for (size_t i = 0; i < len;) {
		size_t n = log_printable(at + i, len - i);

		if (out + (n == 0 ? 4 : n) >= size)
			break;
		if (n == 0) {
			snprintf(to + out, size - out, "\\x%02x", at[i]);
			out += 4;
			i++;
		} else {
			memcpy(to + out, at + i, n);
			out += n;
			i += n;
		}
	}
	to[out] = '\0';
	return (out);
}

/* One write, so that lines of several processes do not mix; a log that does not take it loses it rather than stall us. */
static void
log_line(const char *level, const char *format, va_list args)
{
	char text[1024], safe[2048], line[2304];
	int len;

	len = vsnprintf(text, sizeof(text), format, args);
	if (len < 0)
		return;
	log_escape(safe, sizeof(safe), text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
	len = snprintf(line, sizeof(line), "%s[%d]: %s%s\n", log_program, (int)getpid(), level, safe);
	if (len > 0 && write(STDERR_FILENO, line, (size_t)len) == -1)
		return;
}

#define LOG_LEVEL(function, level)             \
	void function(const char *format, ...) \
	{                                      \
		va_list args;                  \
		va_start(args, format);        \
		log_line(level, format, args); \
		va_end(args);                  \
	}
LOG_LEVEL(log_info, "")
LOG_LEVEL(log_warning, "warning: ")
LOG_LEVEL(log_error, "error: ")

void
log_debug(const char *format, ...)
{
	static int on = -1;
	va_list args;

	if (on == -1)
		on = getenv("LODGE_DEBUG") != NULL;
	if (!on)
		return;
	va_start(args, format);
	log_line("debug: ", format, args);
	va_end(args);
}

void
log_fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line("fatal: ", format, args);
	va_end(args);
	exit(1);
}
