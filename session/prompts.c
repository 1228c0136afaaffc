#include "prompts.h"

#include "base/secret.h"
#include "text.h"

int
prompts_read(struct prompts *p, const struct msg_prompts *m)
{
	struct reader r = reader_of(m->prompts);

	*p = (struct prompts){.count = m->count};
	if (m->count > PROMPTS_MAX || (p->name = text_lines(m->name)) == NULL ||
	    (p->instruction = text_lines(m->instruction)) == NULL)
		goto failed;
	for (uint16_t i = 0; i < m->count; i++) {
		p->echo[i] = (char)(reader_get_u8(&r) != 0);
		if ((p->prompt[i] = text_lines(reader_get_text(&r))) == NULL)
			goto failed;
	}
	if (reader_end(&r))
		return (0);
failed:
	prompts_free(p);
	return (-1);
}

static void
text_free(char *text)
{
	if (text != NULL)
		secret_wipe(text, strlen(text));
	free(text);
}

void
prompts_free(struct prompts *p)
{
	text_free(p->name);
	text_free(p->instruction);
	for (size_t i = 0; i < PROMPTS_MAX; i++)
		text_free(p->prompt[i]);
	*p = (struct prompts){0};
}
