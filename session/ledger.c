#include "ledger.h"

/* How much of a name a fact shows: all that can name a file, or, where that would not fit into a frame, less. */
enum { NAME_LONG = 4096, NAME_SHORT = 512 };
#define WORDS_SHOWN 512
#define HEX "0123456789abcdef"

/* What is not UTF-8 shows so that it can be printed; ASCII stays. */
static json_t *
text_shown(struct bytes b)
{
	json_t *text;
	char *shown, *to;

	if ((text = json_stringn((const char *)b.at, b.len)) != NULL)
		return (text);
	if ((to = shown = malloc(b.len * 3 + 1)) == NULL)
		return (NULL);
	for (size_t i = 0; i < b.len; i++) {
		if (b.at[i] < 0x80) {
			*to++ = (char)b.at[i];
			continue;
		}
		memcpy(to, "\xef\xbf\xbd", 3);
		to += 3;
	}
	text = json_stringn(shown, (size_t)(to - shown));
	free(shown);
	return (text);
}

static json_t *
text_hex(struct bytes b)
{
	char *hex = malloc(b.len * 2 + 1);
	json_t *text;

	if (hex == NULL)
		return (NULL);
	for (size_t i = 0; i < b.len; i++) {
		hex[2 * i] = HEX[b.at[i] >> 4];
		hex[2 * i + 1] = HEX[b.at[i] & 15];
	}
	text = json_stringn(hex, b.len * 2);
	free(hex);
	return (text);
}

static int
name_set(json_t *o, const struct ledger_name *n, size_t limit)
{
	struct bytes shown = n->bytes;
	json_t *text;
	char key[32];
	int bad = 0;

	if (n->bytes.at == NULL)
		return (0);
	if (shown.len > limit) {
		/* Not inside a character: what is cut off shall not make the rest unreadable. */
		for (shown.len = limit; shown.len > limit - 4 && (shown.at[shown.len] & 0xc0) == 0x80;)
			shown.len--;
		snprintf(key, sizeof(key), "%s_bytes", n->key);
		bad |= json_object_set_new(o, key, json_integer((json_int_t)n->bytes.len));
	}
	bad |= json_object_set_new(o, n->key, text_shown(shown));
	if ((text = json_stringn((const char *)shown.at, shown.len)) == NULL) {
		snprintf(key, sizeof(key), "%s_hex", n->key);
		bad |= json_object_set_new(o, key, text_hex(shown));
	}
	json_decref(text);
	return (bad);
}

/* One line: {shape:{"op":op, names, rest}}; NULL: no memory, or with these names it is too long. */
static char *
fact_line(
    const char *shape, const char *op, const struct ledger_name *names, size_t count, json_t *rest, size_t limit)
{
	json_t *body = json_object(), *fact = NULL;
	int bad = json_object_set_new(body, "op", json_string(op));
	char *line = NULL;

	for (size_t i = 0; i < count; i++)
		bad |= name_set(body, &names[i], limit);
	bad |= json_object_update(body, rest);
	if (bad == 0 && (fact = json_object()) != NULL && json_object_set(fact, shape, body) == 0)
		line = json_dumps(fact, JSON_COMPACT);
	json_decref(fact);
	json_decref(body);
	if (line == NULL || strlen(line) <= TRANSFER_FACT_MAX)
		return (line);
	free(line);
	return (NULL);
}

/* Takes `rest`, NULL when it could not be made. */
static void
fact_put(struct ledger *l, const char *shape, const char *op, const struct ledger_name *names, size_t count,
    json_t *rest)
{
	char *line = fact_line(shape, op, names, count, rest, NAME_LONG);

	if (line == NULL)
		line = fact_line(shape, op, names, count, rest, NAME_SHORT);
	if (line == NULL) {
		l->failed = 1;
	} else if (strlen(line) > l->left) {
		l->lost++;
	} else {
		if (l->left != SIZE_MAX)
			l->left -= strlen(line);
		l->fact(l->ctx, bytes_text(line));
	}
	free(line);
	json_decref(rest);
}

void
ledger_close(struct ledger *l)
{
	l->left = TRANSFER_END_MAX;
}

void
ledger_sum(struct ledger *l, int64_t ms)
{
	json_t *more = json_pack("{s:I}", "count", (json_int_t)l->lost);

	if (l->lost == 0) {
		json_decref(more);
		return;
	}
	l->left = SIZE_MAX;
	ledger_operation(l, "more", NULL, 0, more, ms, ledger_unfinished());
	l->left = 0;
}

static json_t *
number(uint64_t n)
{
	return (json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

/* Sets a member of *o; what cannot be set makes *o NULL, so that only the end must be looked at. */
static void
member(json_t **o, const char *key, json_t *value)
{
	if (*o == NULL) {
		json_decref(value);
	} else if (json_object_set_new(*o, key, value) != 0) {
		json_decref(*o);
		*o = NULL;
	}
}

/* Begins the members behind the names with those of `more` (given, or NULL). */
static json_t *
rest_of(json_t *more)
{
	return (more != NULL ? more : json_object());
}

void
ledger_file(struct ledger *l, const struct ledger_file *f)
{
	const struct ledger_name names[] = {{"path", f->path}, {"name", f->name}};
	json_t *rest = rest_of(f->more);

	member(&rest, "bytes", number(f->read + f->written));
	if (strcmp(f->op, "update") == 0) {
		member(&rest, "read", number(f->read));
		member(&rest, "written", number(f->written));
	}
	member(&rest, "size", number(f->size));
	member(&rest, "whole", json_boolean(f->whole));
	member(&rest, "sha256", f->sha256[0] == '\0' ? json_null() : json_string(f->sha256));
	if (f->sha256[0] == '\0')
		member(&rest, "why", json_string(f->why));
	member(&rest, "from_ms", json_integer(f->from_ms));
	member(&rest, "to_ms", json_integer(f->to_ms));
	member(&rest, "result", f->result);
	fact_put(l, "file", f->op, names, 2, rest);
}

void
ledger_operation(struct ledger *l, const char *op, const struct ledger_name *names, size_t count, json_t *more,
    int64_t ms, json_t *result)
{
	json_t *rest = rest_of(more);

	member(&rest, "ms", json_integer(ms));
	member(&rest, "result", result);
	fact_put(l, "operation", op, names, count, rest);
}

void
ledger_refused(struct ledger *l, const struct ledger_refusal *r)
{
	const struct ledger_name names[] = {{"path", r->path}, {"to", r->to}, {"name", r->name}};
	json_t *rest = json_object();

	l->counts.refused++;
	member(&rest, "reason", json_string(reason_code(r->reason)));
	member(&rest, "status", json_integer(r->status));
	member(&rest, "text", json_string(r->text));
	member(&rest, "ms", json_integer(r->ms));
	fact_put(l, "refused", r->op, names, 3, rest);
}

json_t *
ledger_ok(void)
{
	return (json_string("ok"));
}

json_t *
ledger_unfinished(void)
{
	return (json_string("unfinished"));
}

json_t *
ledger_failed(struct bytes words)
{
	uint8_t line[sizeof("failed: ") + WORDS_SHOWN];
	size_t len = sizeof("failed: ") - 1;

	memcpy(line, "failed: ", len);
	if (words.len > WORDS_SHOWN)
		words.len = WORDS_SHOWN;
	for (size_t i = 0; i < words.len; i++)
		line[len++] = words.at[i] < ' ' || words.at[i] == 0x7f ? ' ' : words.at[i];
	return (text_shown(bytes_of(line, len)));
}
