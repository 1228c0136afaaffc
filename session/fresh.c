#include "fresh.h"

#include "base/log.h"
#include "base/secret.h"
#include "prompts.h"
#include "ssh_more.h"

#define LINE_MAX_BYTES 511
enum { CTRL_C = 3, CTRL_D = 4, BACKSPACE = 8, CTRL_U = 21, RUBOUT = 127 };

struct fresh {
	struct prompts prompts;
	uint16_t next; /* the question that is shown */
	struct wire answers;
	char line[LINE_MAX_BYTES + 1];
	size_t len;
};

void
fresh_free(struct fresh *f)
{
	if (f == NULL)
		return;
	prompts_free(&f->prompts);
	wire_free(&f->answers);
	secret_wipe(f, sizeof(*f));
	free(f);
}

static void
typed_ahead_drop(struct channel *c)
{
	uint8_t nowhere[256];

	while (ssh_more_read(c->here, 0, nowhere, sizeof(nowhere)) > 0)
		;
}

static void
question_show(struct channel *c)
{
	const struct fresh *f = c->fresh;

	if (f->next == f->prompts.count)
		return;
	channel_put(c, 2, bytes_text(f->prompts.prompt[f->next]));
	if (c->has_pty)
		typed_ahead_drop(c);
}

/* A line of its own, where there is one. */
static void
line_say(struct channel *c, const char *text)
{
	if (text[0] == '\0')
		return;
	channel_put(c, 2, bytes_text(text));
	channel_put(c, 2, bytes_text("\n"));
}

static void
answers_post(struct channel *c)
{
	struct fresh *f = c->fresh;

	peer_post(c->session->auth, ANSWERS, answers, .ask = c->verb_ask, .count = f->prompts.count,
	    .answers = wire_bytes(&f->answers));
	fresh_free(f);
	c->fresh = NULL;
}

static void
line_answer(struct channel *c)
{
	struct fresh *f = c->fresh;

	if (c->has_pty)
		channel_put(c, 2, bytes_text("\n"));
	wire_put_text(&f->answers, bytes_of(f->line, f->len));
	secret_wipe(f->line, sizeof(f->line));
	f->len = 0;
	f->next++;
	question_show(c);
}

int
fresh_on_prompts(struct session *s, const struct msg_prompts *m)
{
	struct channel *c = s->channels;

	while (c != NULL && (c->state != CHANNEL_VERB || c->verb_ask != m->ask))
		c = c->next;
	if (c == NULL)
		return (0);
	fresh_free(c->fresh); /* those of an auth that is gone */
	if ((c->fresh = calloc(1, sizeof(*c->fresh))) == NULL)
		log_fatal("out of memory");
	if (prompts_read(&c->fresh->prompts, m) == -1) {
		fresh_free(c->fresh);
		c->fresh = NULL;
		return (1);
	}
	line_say(c, c->fresh->prompts.name);
	line_say(c, c->fresh->prompts.instruction);
	question_show(c);
	return (1);
}

void
fresh_unanswered(struct session *s, uint32_t ask)
{
	peer_post(s->auth, ANSWERS, answers, .ask = ask, .count = 0, .answers = bytes_of(NULL, 0));
}

/* ---- what is typed ---- */

/* Nobody is there to answer: what is left is answered with nothing. */
static void
give_up(struct channel *c)
{
	struct fresh *f = c->fresh;

	f->len = 0;
	while (f->next < f->prompts.count) {
		wire_put_text(&f->answers, bytes_of(f->line, 0));
		f->next++;
	}
	if (c->has_pty)
		channel_put(c, 2, bytes_text("\n"));
}

static void
byte_keep(struct channel *c, uint8_t b)
{
	struct fresh *f = c->fresh;

	if (f->len == LINE_MAX_BYTES || b == 0)
		return;
	f->line[f->len++] = (char)b;
	if (c->has_pty && f->prompts.echo[f->next] && b >= ' ')
		channel_put(c, 2, bytes_of(&b, 1));
}

static void
byte_take_back(struct channel *c)
{
	struct fresh *f = c->fresh;

	if (f->len == 0)
		return;
	f->line[--f->len] = '\0';
	if (f->prompts.echo[f->next])
		channel_put(c, 2, bytes_text("\b \b"));
}

static void
terminal_byte(struct channel *c, uint8_t b)
{
	switch (b) {
	case '\r':
	case '\n':
		line_answer(c);
		break;
	case CTRL_C:
	case CTRL_D:
		give_up(c);
		break;
	case BACKSPACE:
	case RUBOUT:
		byte_take_back(c);
		break;
	case CTRL_U:
		while (c->fresh->len > 0)
			byte_take_back(c);
		break;
	default:
		byte_keep(c, b);
		break;
	}
}

static void
pipe_byte(struct channel *c, uint8_t b)
{
	if (b == '\n')
		line_answer(c);
	else if (b != '\r')
		byte_keep(c, b);
}

int
fresh_turn(struct channel *c)
{
	int moved = 0;
	uint8_t b;

	while (c->fresh != NULL) {
		if (c->fresh->next == c->fresh->prompts.count) {
			answers_post(c);
			return (1);
		}
		if (ssh_more_read(c->here, 0, &b, 1) == 1) {
			if (c->has_pty)
				terminal_byte(c, b);
			else
				pipe_byte(c, b);
			moved = 1;
			continue;
		}
		if (!ssh_channel_is_eof(c->here) && !c->here_closed)
			return (moved);
		if (c->fresh->len > 0) /* a last line without its end */
			line_answer(c);
		else
			give_up(c);
	}
	return (moved);
}
