/*
 * The conversation: prompts from a fresh lodge-pam to the session, answers back, and a verdict for login.c.
 *
 * Somebody whom PAM does not know is asked all the same, and waits as long for the no.  An answer stays here for as
 * long as it takes to pass it on; what is kept is a keyed digest of codes that were good, to tell a code that comes
 * again from one that is wrong.
 */
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "visitor.h"

#define ANSWER_MAX 511 /* PAM_MAX_RESP_SIZE - 1 */
#define TOLD_MAX 4096  /* bytes of information shown with one prompt */
#define TEXTS_MAX 32   /* of one batch */
#define USED_CODES 256
#define USED_FOR_MS 300000 /* a code that was good longer ago is not called a replay */
#define DIGEST_BYTES 32
#define CODE_PROMPT "Verification code: "

/* As in PAM_PROMPTS of contract/messages.def. */
enum { STYLE_ECHO_OFF, STYLE_ECHO_ON, STYLE_INFORMATION, STYLE_ERROR };

/* Codes that were good, by digest; the oldest yields. */
static struct {
	int is_keyed;
	uint8_t key[DIGEST_BYTES];
	uint8_t digest[USED_CODES][DIGEST_BYTES];
	int64_t at_boot_ms[USED_CODES];
	size_t next;
} used;

static int
code_digest(const struct visitor *v, struct bytes code, uint8_t digest[DIGEST_BYTES])
{
	uint8_t text[LIVE_PERSON_SIZE + ANSWER_MAX];
	unsigned int len = DIGEST_BYTES;
	int ok;

	if (!used.is_keyed && RAND_bytes(used.key, sizeof(used.key)) == 1)
		used.is_keyed = 1;
	if (!used.is_keyed || code.len == 0 || code.len > ANSWER_MAX)
		return (-1);
	memcpy(text, v->kept.person, LIVE_PERSON_SIZE);
	memcpy(text + LIVE_PERSON_SIZE, code.at, code.len);
	ok = HMAC(EVP_sha256(), used.key, DIGEST_BYTES, text, LIVE_PERSON_SIZE + code.len, digest, &len) != NULL;
	OPENSSL_cleanse(text, sizeof(text));
	return (ok ? 0 : -1);
}

static void
code_use(struct visitor *v)
{
	if (!v->talk.has_digest)
		return;
	memcpy(used.digest[used.next], v->talk.digest, DIGEST_BYTES);
	used.at_boot_ms[used.next] = clock_boot_ms();
	used.next = (used.next + 1) % USED_CODES;
}

static int
code_was_used(const struct visitor *v)
{
	int64_t since_ms = clock_boot_ms() - USED_FOR_MS;

	for (size_t i = 0; v->talk.has_digest && i < USED_CODES; i++)
		if (used.at_boot_ms[i] > since_ms &&
		    CRYPTO_memcmp(used.digest[i], v->talk.digest, DIGEST_BYTES) == 0)
			return (1);
	return (0);
}

/* pam_oath asks "One-time password (OATH) for `alice': " and cannot be told otherwise; design.md names the prompt. */
static struct bytes
prompt_plain(struct bytes prompt)
{
	static const char oath[] = "One-time password";

	if (prompt.len >= sizeof(oath) - 1 && memcmp(prompt.at, oath, sizeof(oath) - 1) == 0)
		return (bytes_text(CODE_PROMPT));
	return (prompt);
}

static void
prompt_post(struct visitor *v, int echo, struct bytes prompt)
{
	struct wire prompts = {0};

	wire_put_u8(&prompts, echo ? 1 : 0);
	wire_put_text(&prompts, prompt);
	peer_post(v->link, PROMPTS, prompts, .ask = v->request.ask, .name = bytes_text(""),
	    .instruction = wire_bytes(&v->talk.told), .count = 1, .prompts = wire_bytes(&prompts));
	wire_free(&prompts);
	wire_clear(&v->talk.told);
	v->talk.prompting = 1;
	v->talk.prompted = 1;
}

/* Asked in vain: shows the prompt that everybody sees, and says no when it is answered. */
static void
talk_make_up(struct visitor *v, enum reason reason)
{
	peer_close(v->talk.link);
	v->talk.link = NULL;
	v->talk.made_up = 1;
	v->talk.made_up_reason = reason;
	wire_clear(&v->talk.told);
	prompt_post(v, 0, bytes_text(CODE_PROMPT));
}

static void
told_add(struct visitor *v, struct bytes text)
{
	struct wire *told = &v->talk.told;

	if (told->len + text.len + 1 > TOLD_MAX)
		return;
	if (told->len > 0)
		wire_put_raw(told, "\n", 1);
	wire_put_raw(told, text.at, text.len);
}

static void
on_prompts(struct visitor *v, const struct msg_pam_prompts *m)
{
	struct reader r = reader_of(m->prompts);
	struct bytes prompt = {0};
	int prompts = 0, echo = 0;

	if (v->talk.prompting || m->count > TEXTS_MAX)
		goto bad;
	for (uint16_t i = 0; i < m->count; i++) {
		uint8_t style = reader_get_u8(&r);
		struct bytes text = reader_get_text(&r);

		if (r.failed || style > STYLE_ERROR)
			goto bad;
		if (style == STYLE_INFORMATION || style == STYLE_ERROR) {
			told_add(v, text);
			continue;
		}
		echo = style == STYLE_ECHO_ON;
		prompt = text;
		prompts++;
	}
	if (!reader_end(&r) || prompts > 1)
		goto bad;
	if (prompts == 1)
		prompt_post(v, echo, prompt_plain(prompt));
	else
		peer_post(v->talk.link, PAM_ANSWERS, pam_answers, .count = 0, .answers = bytes_of(NULL, 0));
	return;
bad:
	log_error("lodge-pam's prompts do not read");
	login_on_talked(v, REASON_PAM_TROUBLE);
}

static void
on_result(struct visitor *v, const struct msg_pam_result *m)
{
	struct house *h = v->house;
	enum reason reason = m->reason;

	if (m->delay_ms > h->delay_ms)
		h->delay_ms = m->delay_ms < HOUSE_CODE_DELAY_MAX_MS ? m->delay_ms : HOUSE_CODE_DELAY_MAX_MS;
	if (m->good) {
		/* Only for whom we asked; lodge-pam compared too. */
		if (!bytes_are(m->user, v->person.pam_user) || reason != REASON_NONE || !v->talk.prompted)
			reason = REASON_PAM_TROUBLE;
		else
			code_use(v);
		login_on_talked(v, reason);
		return;
	}
	if (reason == REASON_NONE)
		reason = REASON_PAM_TROUBLE;
	log_info("connection %llu: PAM says no to %s: %s (PAM error %u)", (unsigned long long)v->kept.conn,
	    v->kept.person, reason_code(reason), m->pam_error);
	if (reason == REASON_WRONG_CODE && code_was_used(v))
		reason = REASON_REPLAYED_CODE;
	if (!v->talk.prompted)
		talk_make_up(v, reason);
	else
		login_on_talked(v, reason);
}

static void
on_pam(struct peer *p, struct message *m, void *ctx)
{
	struct visitor *v = ctx;

	if (p != v->talk.link)
		return;
	if (m->type == MSG_PAM_PROMPTS)
		on_prompts(v, &m->pam_prompts);
	else
		on_result(v, &m->pam_result);
}

static void
on_pam_closed(struct peer *p, const char *why, void *ctx)
{
	struct visitor *v = ctx;

	if (*why != '\0')
		log_error("lodge-pam: %s", why);
	if (p == v->talk.link)
		login_on_talked(v, REASON_PAM_TROUBLE); /* closes it */
	else
		peer_close(p);
}

void
talk_begin(struct visitor *v)
{
	v->talk = (struct talk){.is_on = 1, .ask = house_ask(v->house), .answered_boot_ms = clock_boot_ms()};
	v->house->talks++;
	peer_post(v->house->gateway, PAM_WANTED, pam_wanted, .ask = v->talk.ask);
}

void
talk_link(struct visitor *v, int fd)
{
	const struct settings *set = v->house->set;

	v->talk.link = peer_open(v->house->loop, fd, PROCESS_AUTH, PROCESS_PAM, 0, on_pam, on_pam_closed, v);
	peer_post(v->talk.link, PAM_BEGIN, pam_begin, .what = PAM_WHAT_AUTHENTICATE,
	    .service = bytes_text(set->pam_service), .directory = bytes_text(set->pam_directory),
	    .user = bytes_text(v->person.pam_user), .source = bytes_text(v->kept.source),
	    .deadline_ms = (uint32_t)set->pam_timeout);
}

void
talk_on_answers(struct visitor *v, const struct msg_answers *m)
{
	struct reader r = reader_of(m->answers);
	struct wire answers = {0};
	struct bytes text;

	/* A client may send an answer that nobody asked for: it goes nowhere. */
	if (!v->talk.is_on || !v->talk.prompting || m->ask != v->request.ask)
		return;
	v->talk.prompting = 0;
	v->talk.answered_boot_ms = clock_boot_ms();
	text = reader_get_text(&r);
	if (m->count != 1 || !reader_end(&r) || text.len > ANSWER_MAX) {
		login_on_talked(v, REASON_PROTOCOL);
		return;
	}
	if (v->talk.made_up) {
		login_on_talked(v, v->talk.made_up_reason);
		return;
	}
	v->talk.has_digest = code_digest(v, text, v->talk.digest) == 0;
	wire_put_text(&answers, text);
	peer_post(v->talk.link, PAM_ANSWERS, pam_answers, .count = 1, .answers = wire_bytes(&answers));
	wire_free(&answers);
}

void
talk_end(struct visitor *v)
{
	int64_t answered_boot_ms = v->talk.answered_boot_ms;

	if (!v->talk.is_on)
		return;
	v->house->talks--;
	peer_close(v->talk.link);
	wire_free(&v->talk.told);
	OPENSSL_cleanse(&v->talk, sizeof(v->talk));
	v->talk = (struct talk){.answered_boot_ms = answered_boot_ms};
}
