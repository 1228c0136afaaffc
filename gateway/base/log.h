/*
 * The operator's log: one line each on standard error, "lodge-auth[123]: warning: text", control characters escaped.
 * (Events that must not be lost go to the book, not here.)  log_fatal ends the process with status 1.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

void log_begin(const char *program); /* lent for ever */
void log_debug(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* only with LODGE_DEBUG=1 in the environment */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes text with C0, C1, DEL, backslash and bytes that are not UTF-8 as \xNN; always NUL-ended; gives what it wrote. */
size_t log_escape(char *to, size_t size, const void *text, size_t len);

#endif
