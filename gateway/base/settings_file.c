#include "base/settings_file.h"

#include <ctype.h>
#include <stdarg.h>
#include <errno.h>
#include <inttypes.h>
#include <strings.h>

#include "base/wire.h"

#define WORD_MAX 4096
#define WORDS_MAX 64

/* One parse under way. */
struct parse {
	const struct setting_row *rows;
	size_t count;
	const char *name;
	void *to;
	setting_error *on_error;
	void *ctx;
	int errors;
	int line;
	int *given; /* the line on which each row was given; 0: not yet */
};

static void parse_error(struct parse *p, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
parse_error(struct parse *p, const char *keyword, const char *format, ...)
{
	char reason[512], line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (p->line > 0)
		snprintf(line, sizeof(line), "%s:%d: %s: %s", p->name, p->line, keyword, reason);
	else
		snprintf(line, sizeof(line), "%s: %s: %s", p->name, keyword, reason);
	p->errors++;
	p->on_error(p->ctx, line);
}

static char **
row_text(const struct setting_row *row, void *of)
{
	return ((char **)(void *)((char *)of + row->offset));
}

static int64_t *
row_number(const struct setting_row *row, void *of)
{
	return ((int64_t *)(void *)((char *)of + row->offset));
}

static int
row_is_text(const struct setting_row *row)
{
	return (row->kind == SETTING_TEXT || row->kind == SETTING_PATH || row->kind == SETTING_WORDS);
}

/* Digits at *at, moved past them; -1: none, or more than an i64 holds. */
static int64_t
digits(const char **at)
{
	int64_t v = 0;

	if (!isdigit((unsigned char)**at))
		return (-1);
	for (; isdigit((unsigned char)**at); (*at)++) {
		if (v > (INT64_MAX - 9) / 10)
			return (-1);
		v = v * 10 + (**at - '0');
	}
	return (v);
}

int64_t
span_parse(const char *text)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	int64_t total = 0;

	if (*text == '\0')
		return (-1);
	while (*text != '\0') {
		int64_t v = digits(&text), times = 0;

		if (v == -1)
			return (-1);
		if (*text == '\0')
			times = 1;
		for (size_t i = 0; *text != '\0' && i < sizeof(units) / sizeof(units[0]); i++)
			if (tolower((unsigned char)*text) == units[i].unit)
				times = units[i].seconds;
		if (times == 0 || v > INT64_MAX / 1000 / 2 / times)
			return (-1);
		total += v * times;
		if (total > INT64_MAX / 1000 / 2)
			return (-1);
		if (*text != '\0')
			text++;
	}
	return (total * 1000);
}

void
span_print(int64_t ms, char *to, size_t size)
{
	int64_t s = ms / 1000;
	size_t at = 0;
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = {{"w", 604800}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};

	if (s <= 0) {
		snprintf(to, size, "0s");
		return;
	}
	to[0] = '\0';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (s < units[i].seconds)
			continue;
		at += (size_t)snprintf(
		    to + at, at < size ? size - at : 0, "%" PRId64 "%s", s / units[i].seconds, units[i].unit);
		if (at >= size)
			return;
		s %= units[i].seconds;
	}
}

/* "64M": bytes; -1: not a size. */
static int64_t
size_parse(const char *text)
{
	static const char units[] = "KMGT";
	int64_t v = digits(&text);
	const char *unit;

	if (v == -1)
		return (-1);
	if (*text == '\0')
		return (v);
	unit = strchr(units, toupper((unsigned char)*text));
	if (unit == NULL || text[1] != '\0')
		return (-1);
	for (; unit >= units; unit--) {
		if (v > INT64_MAX / 1024)
			return (-1);
		v *= 1024;
	}
	return (v);
}

static int64_t
number_parse(const struct setting_row *row, const char *word)
{
	int64_t v;

	switch (row->kind) {
	case SETTING_SPAN:
		return (span_parse(word));
	case SETTING_SIZE:
		return (size_parse(word));
	case SETTING_YES_NO:
		return (strcmp(word, "yes") == 0 ? 1 : strcmp(word, "no") == 0 ? 0 : -1);
	default:
		v = digits(&word);
		return (*word == '\0' ? v : -1);
	}
}

static void
row_set_number(struct parse *p, const struct setting_row *row, const char *word)
{
	static const char *const wants[] = {
	    [SETTING_NUMBER] = "a number",
	    [SETTING_SPAN] = "a time such as 90s, 10m or 2h",
	    [SETTING_SIZE] = "a size such as 64M or 1G",
	    [SETTING_YES_NO] = "yes or no",
	};
	int64_t v = number_parse(row, word);

	if (v == -1)
		parse_error(p, row->keyword, "'%s' is not %s", word, wants[row->kind]);
	else if (row->kind != SETTING_YES_NO && (v < row->least || v > row->most))
		parse_error(p, row->keyword, "%s is out of range: %" PRId64 " to %" PRId64 "%s", word,
		    row->kind == SETTING_SPAN ? row->least / 1000 : row->least,
		    row->kind == SETTING_SPAN ? row->most / 1000 : row->most,
		    row->kind == SETTING_SPAN   ? " seconds"
		    : row->kind == SETTING_SIZE ? " bytes"
		                                : "");
	else
		*row_number(row, p->to) = v;
}

static void
row_set_text(struct parse *p, const struct setting_row *row, char *const *words, size_t count)
{
	struct wire joined = {0};
	char *text;

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			wire_put_u8(&joined, ' ');
		wire_put_raw(&joined, words[i], strlen(words[i]));
	}
	text = joined.failed ? NULL : bytes_dup(wire_bytes(&joined));
	wire_free(&joined);
	if (text == NULL) {
		parse_error(p, row->keyword, "out of memory");
		return;
	}
	if (row->kind == SETTING_PATH && text[0] != '/') {
		parse_error(p, row->keyword, "'%s' is not an absolute path: begin it with /", text);
		free(text);
		return;
	}
	free(*row_text(row, p->to));
	*row_text(row, p->to) = text;
}

static void
row_set(struct parse *p, const struct setting_row *row, char *const *words, size_t count)
{
	if (row->kind == SETTING_WORDS) {
		row_set_text(p, row, words, count);
		return;
	}
	if (count > 1) {
		parse_error(p, row->keyword,
		    "one argument is wanted, there are %zu: put \"quotes\" around one with spaces", count);
		return;
	}
	if (row_is_text(row))
		row_set_text(p, row, words, count);
	else
		row_set_number(p, row, words[0]);
}

/* Splits a line into words, in place: blanks between, "quotes" with \" and \\ inside, # begins a comment. -1: *why. */
static int
line_split(char *line, char **words, size_t *count, const char **why)
{
	char *at = line, *to;

	*count = 0;
	for (;;) {
		at += strspn(at, " \t\r");
		if (*at == '\0' || *at == '#')
			return (0);
		if (*count == WORDS_MAX) {
			*why = "too many words";
			return (-1);
		}
		words[(*count)++] = to = at;
		if (*at == '"') {
			for (at++; *at != '"'; *to++ = *at++) {
				if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
					at++;
				if (*at == '\0') {
					*why = "a quote is not closed";
					return (-1);
				}
			}
			at++;
			if (*at != '\0' && strchr(" \t\r", *at) == NULL) {
				*why = "a blank is wanted after a closing quote";
				return (-1);
			}
		} else {
			to = at += strcspn(at, " \t\r");
		}
		if (*at != '\0')
			at++;
		*to = '\0';
	}
}

static void
parse_line(struct parse *p, char *line)
{
	char *words[WORDS_MAX];
	const char *why = "";
	size_t count, i;

	if (line_split(line, words, &count, &why) == -1) {
		parse_error(p, words[0], "%s", why);
		return;
	}
	if (count == 0)
		return;
	for (i = 0; i < p->count && strcasecmp(p->rows[i].keyword, words[0]) != 0; i++)
		;
	if (i == p->count) {
		parse_error(p, words[0], "no such keyword: lodge.conf(5) lists them");
		return;
	}
	if (p->given[i] != 0) {
		parse_error(p, p->rows[i].keyword, "given twice: it stands in line %d already", p->given[i]);
		return;
	}
	p->given[i] = p->line;
	if (count == 1) {
		parse_error(p, p->rows[i].keyword, "its argument is missing");
		return;
	}
	row_set(p, &p->rows[i], words + 1, count - 1);
}

static void
parse_presets(struct parse *p)
{
	p->line = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct setting_row *row = &p->rows[i];
		char *preset;

		if (p->given[i] != 0)
			continue;
		if (row->preset == NULL) {
			parse_error(p, row->keyword, "it must be given");
			continue;
		}
		if ((preset = bytes_dup(bytes_text(row->preset))) == NULL)
			parse_error(p, row->keyword, "out of memory");
		else
			row_set(p, row, &preset, 1);
		free(preset);
	}
}

int
settings_parse(const struct setting_row *rows, size_t count, const char *name, const char *text, size_t len,
    void *to, setting_error *on_error, void *ctx)
{
	struct parse p = {.rows = rows, .count = count, .name = name, .to = to, .on_error = on_error, .ctx = ctx};
	char line[WORD_MAX];
	const char *end = text + len, *stop;

	if ((p.given = calloc(count, sizeof(*p.given))) == NULL) {
		parse_error(&p, "-", "out of memory");
		return (p.errors);
	}
	for (const char *at = text; at < end; at = stop + 1) {
		if ((stop = memchr(at, '\n', (size_t)(end - at))) == NULL)
			stop = end;
		p.line++;
		if ((size_t)(stop - at) >= sizeof(line))
			parse_error(&p, "-", "the line is longer than %zu bytes", sizeof(line) - 1);
		else if (memchr(at, '\0', (size_t)(stop - at)) != NULL)
			parse_error(&p, "-", "the line holds a NUL byte");
		else {
			memcpy(line, at, (size_t)(stop - at));
			line[stop - at] = '\0';
			parse_line(&p, line);
		}
	}
	parse_presets(&p);
	free(p.given);
	return (p.errors);
}

int
settings_line(const char *text, size_t len, const char *keyword)
{
	const char *end = text + len, *stop;
	size_t want = strlen(keyword);
	int line = 0;

	for (const char *at = text; at < end; at = stop + 1) {
		if ((stop = memchr(at, '\n', (size_t)(end - at))) == NULL)
			stop = end;
		line++;
		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		if ((size_t)(stop - at) > want && strncasecmp(at, keyword, want) == 0 &&
		    (at[want] == ' ' || at[want] == '\t'))
			return (line);
	}
	return (0);
}

static void
quoted_put(struct wire *w, const char *text)
{
	if (*text != '\0' && strpbrk(text, " \t\r\"\\#") == NULL) {
		wire_put_raw(w, text, strlen(text));
		return;
	}
	wire_put_u8(w, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			wire_put_u8(w, '\\');
		wire_put_u8(w, (uint8_t)*text);
	}
	wire_put_u8(w, '"');
}

static void
row_print(struct wire *w, const struct setting_row *row, const void *of)
{
	char number[64];
	const char *text;
	int64_t v;

	wire_put_raw(w, row->keyword, strlen(row->keyword));
	wire_put_u8(w, ' ');
	if (row_is_text(row)) {
		text = *row_text(row, (void *)(uintptr_t)of);
		if (text == NULL)
			text = "";
		if (row->kind == SETTING_WORDS && *text != '\0')
			wire_put_raw(w, text, strlen(text));
		else
			quoted_put(w, text);
	} else {
		v = *row_number(row, (void *)(uintptr_t)of);
		if (row->kind == SETTING_SPAN)
			span_print(v, number, sizeof(number));
		else if (row->kind == SETTING_YES_NO)
			snprintf(number, sizeof(number), "%s", v ? "yes" : "no");
		else
			snprintf(number, sizeof(number), "%" PRId64, v);
		wire_put_raw(w, number, strlen(number));
	}
	wire_put_u8(w, '\n');
}

char *
settings_print(const struct setting_row *rows, size_t count, const void *of)
{
	struct wire w = {0};
	char *text;

	for (size_t i = 0; i < count; i++)
		row_print(&w, &rows[i], of);
	text = w.failed ? NULL : bytes_dup(wire_bytes(&w));
	wire_free(&w);
	return (text);
}

void
settings_wipe(const struct setting_row *rows, size_t count, void *of)
{
	for (size_t i = 0; i < count; i++) {
		if (!row_is_text(&rows[i]))
			continue;
		free(*row_text(&rows[i], of));
		*row_text(&rows[i], of) = NULL;
	}
}
