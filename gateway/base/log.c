#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

static const char *log_program = "lodge";

void
log_begin(const char *program)
{
	log_program = program;
}

/* What reorders or hides the writing: U+200B to 200F, 2028 to 202E, 2060 to 206F (Unicode TR 36). */
static int
log_reorders(const uint8_t *at)
{
	if (at[0] != 0xe2)
		return (0);
	return ((at[1] == 0x80 && ((at[2] >= 0x8b && at[2] <= 0x8f) || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
	        (at[1] == 0x81 && at[2] >= 0xa0 && at[2] <= 0xaf));
}

/* Length of the UTF-8 sequence at `at` that may be shown as it is; 0 when it must be escaped (RFC 3629 4). */
static size_t
log_printable(const uint8_t *at, size_t left)
{
	static const struct {
		uint8_t first, last, low, high;
		size_t more;
	} rows[] = {
	    {0xc2, 0xdf, 0x80, 0xbf, 1},
	    {0xe0, 0xe0, 0xa0, 0xbf, 2},
	    {0xe1, 0xec, 0x80, 0xbf, 2},
	    {0xed, 0xed, 0x80, 0x9f, 2},
	    {0xee, 0xef, 0x80, 0xbf, 2},
	    {0xf0, 0xf0, 0x90, 0xbf, 3},
	    {0xf1, 0xf3, 0x80, 0xbf, 3},
	    {0xf4, 0xf4, 0x80, 0x8f, 3},
	};

	if (at[0] >= 0x20 && at[0] < 0x7f)
		return (at[0] != '\\');
	if (left > 1 && at[0] == 0xc2 && at[1] < 0xa0)
		return (0); /* C1 */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (at[0] < rows[i].first || at[0] > rows[i].last || left <= rows[i].more)
			continue;
		if (at[1] < rows[i].low || at[1] > rows[i].high)
			return (0);
		for (size_t k = 2; k <= rows[i].more; k++)
			if ((at[k] & 0xc0) != 0x80)
				return (0);
		return (log_reorders(at) ? 0 : rows[i].more + 1);
	}
	return (0);
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
