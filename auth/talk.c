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

#define ANSWER_MAX 511     /* PAM_MAX_RESP_SIZE - 1 */
#define TOLD_MAX 4096      /* bytes of information shown with one prompt */
#define TEXTS_MAX 32       /* of one batch */
#define USED_FOR_MS 300000 /* a code that was good longer ago is not called a replay */
#define CODE_PROMPT "Verification code: "

/* As in PAM_PROMPTS of contract/messages.def. */
enum { STYLE_ECHO_OFF, STYLE_ECHO_ON, STYLE_INFORMATION, STYLE_ERROR };

static int
code_digest(const struct visitor *v, struct bytes code, uint8_t digest[LIVE_DIGEST_BYTES])
{
	static const uint8_t unmade[LIVE_DIGEST_BYTES];
	uint8_t *key = live_code_key(v->house->live);
	uint8_t text[LIVE_PERSON_SIZE + ANSWER_MAX];
	unsigned int len = LIVE_DIGEST_BYTES;
	int ok;

	if (code.len == 0 || code.len > ANSWER_MAX ||
	    (memcmp(key, unmade, LIVE_DIGEST_BYTES) == 0 && RAND_bytes(key, LIVE_DIGEST_BYTES) != 1))
		return (-1);
	memcpy(text, v->kept.person, LIVE_PERSON_SIZE);
	memcpy(text + LIVE_PERSON_SIZE, code.at, code.len);
	ok = HMAC(EVP_sha256(), key, LIVE_DIGEST_BYTES, text, LIVE_PERSON_SIZE + code.len, digest, &len) != NULL;
	OPENSSL_cleanse(text, sizeof(text));
	return (ok ? 0 : -1);
}

void
talk_code_use(struct visitor *v)
{
	if (v->talk.has_digest)
		live_code_use(v->house->live, v->talk.digest, clock_boot_ms());
}

static int
code_was_used(const struct visitor *v)
{
	return (v->talk.has_digest &&
	        live_code_was_used(v->house->live, v->talk.digest, clock_boot_ms() - USED_FOR_MS));
}

/* pam_oath asks "One-time password (OATH) for `alice': " and cannot be told otherwise; design.md names the prompt. */
static struct bytes
prompt_plain(struct bytes prompt, int *is_code)
{
	static const char oath[] = "One-time password";

	*is_code = prompt.len >= sizeof(oath) - 1 && memcmp(prompt.at, oath, sizeof(oath) - 1) == 0;
	return (*is_code ? bytes_text(CODE_PROMPT) : prompt);
}

static void
prompt_post(struct visitor *v, int echo, struct bytes prompt)
{
	struct wire prompts = {0};

	wire_put_u8(&prompts, echo ? 1 : 0);
	wire_put_text(&prompts, prompt);
	peer_post(v->link, PROMPTS, prompts, .ask = v->talk.session_ask, .name = bytes_text(""),
	    .instruction = wire_bytes(&v->talk.told), .count = 1, .prompts = wire_bytes(&prompts));
	wire_free(&prompts);
	wire_clear(&v->talk.told);
	v->talk.prompting = 1;
	v->talk.prompted = 1;
}

void
talk_ask(struct visitor *v, struct bytes prompt)
{
	prompt_post(v, 0, prompt);
}

void
talk_verdict(struct visitor *v, enum reason reason)
{
	static void (*const to[])(struct visitor *, enum reason) = {
	    [TALK_LOGIN] = login_on_talked,
	    [TALK_ACCOUNT] = login_on_examined,
	    [TALK_INVITED] = login_on_talked,
	    [TALK_FRESH] = fresh_on_talked,
	};

	to[v->talk.what](v, reason);
}

/* PAM's last words have no prompt to go with: a round without one (RFC 4256 3.2) shows them, and the verdict waits. */
static void
verdict_after_words(struct visitor *v, enum reason reason)
{
	struct talk *t = &v->talk;

	if (t->told.len == 0 || !t->prompted || t->what == TALK_ACCOUNT) {
		talk_verdict(v, reason);
		return;
	}
	peer_post(v->link, PROMPTS, prompts, .ask = t->session_ask, .name = bytes_text(""),
	    .instruction = wire_bytes(&t->told), .count = 0, .prompts = bytes_of(NULL, 0));
	wire_clear(&t->told);
	t->prompting = 1;
	t->is_judged = 1;
	t->verdict = reason;
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

void
talk_tell(struct visitor *v, struct bytes text)
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
			talk_tell(v, text);
			continue;
		}
		echo = style == STYLE_ECHO_ON;
		prompt = text;
		prompts++;
	}
	if (!reader_end(&r) || prompts > 1)
		goto bad;
	if (prompts == 1 && v->talk.what == TALK_ACCOUNT)
		talk_verdict(v, REASON_PAM_ACCOUNT); /* nobody is there to be asked */
	else if (prompts == 1)
		prompt_post(v, echo, prompt_plain(prompt, &v->talk.is_code));
	else
		peer_post(v->talk.link, PAM_ANSWERS, pam_answers, .count = 0, .answers = bytes_of(NULL, 0));
	return;
bad:
	log_error("lodge-pam's prompts do not read");
	talk_verdict(v, REASON_PAM_TROUBLE);
}

/* With PAMSession the lodge-pam of a login lives as long as the visit: its end is how it learns of it. */
static void
talk_stay(struct visitor *v)
{
	if (!v->house->set->pam_session || v->talk.what == TALK_FRESH)
		return;
	talk_stay_end(v);
	v->staying = v->talk.link;
	v->talk.link = NULL;
}

void
talk_stay_end(struct visitor *v)
{
	peer_close(v->staying);
	v->staying = NULL;
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
		if (!bytes_are(m->user, v->person.pam_user) || reason != REASON_NONE ||
		    v->talk.prompted != (v->talk.what != TALK_ACCOUNT))
			reason = REASON_PAM_TROUBLE;
		else if (v->talk.is_code && code_was_used(v))
			reason = REASON_REPLAYED_CODE; /* pam_oath lets two in that come in the same moment */
		else {
			talk_code_use(v);
			talk_stay(v);
		}
		verdict_after_words(v, reason);
		return;
	}
	if (reason == REASON_NONE)
		reason = REASON_PAM_TROUBLE;
	log_info("connection %llu: PAM says no to %s: %s (PAM error %u)", (unsigned long long)v->kept.conn,
	    v->kept.person, reason_code(reason), m->pam_error);
	if (reason == REASON_WRONG_CODE && code_was_used(v))
		reason = REASON_REPLAYED_CODE;
	if (!v->talk.prompted && v->talk.what != TALK_ACCOUNT)
		talk_make_up(v, reason);
	else
		verdict_after_words(v, reason);
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
	if (p == v->staying) {
		log_warning("connection %llu: its PAM session's lodge-pam ended", (unsigned long long)v->kept.conn);
		v->staying = NULL;
	}
	if (p == v->talk.link && !v->talk.is_judged)
		talk_verdict(v, REASON_PAM_TROUBLE); /* closes it */
	else {
		if (p == v->talk.link)
			v->talk.link = NULL;
		peer_close(p);
	}
}

static void
pam_want(struct visitor *v)
{
	v->talk.ask = house_ask(v->house);
	peer_post(v->house->gateway, PAM_WANTED, pam_wanted, .ask = v->talk.ask);
}

static struct visitor *
turn_next(struct house *h)
{
	struct visitor *first = NULL;

	for (size_t i = 0; i < HOUSE_BUCKETS; i++)
		for (struct visitor *v = h->buckets[i]; v != NULL; v = v->next)
			if (v->talk.is_on && v->talk.turn != 0 &&
			    (first == NULL || v->talk.turn < first->talk.turn))
				first = v;
	return (first);
}

void
talk_turns(struct house *h)
{
	struct visitor *v;

	while (h->checks < HOUSE_CHECKS_MAX && (v = turn_next(h)) != NULL) {
		v->talk.turn = 0;
		h->checks++;
		pam_want(v);
	}
}

void
talk_begin(struct visitor *v, enum talk_for what, uint32_t session_ask)
{
	struct house *h = v->house;

	v->talk = (struct talk){
	    .is_on = 1, .what = what, .session_ask = session_ask, .answered_boot_ms = clock_boot_ms()};
	if (what == TALK_ACCOUNT) {
		v->talk.turn = ++h->turns;
		talk_turns(h);
	} else if (what != TALK_INVITED) {
		h->talks++;
		pam_want(v);
	}
}

void
talk_link(struct visitor *v, int fd)
{
	const struct settings *set = v->house->set;
	unsigned what = v->talk.what == TALK_ACCOUNT ? 0 : PAM_WHAT_AUTHENTICATE;

	if (set->pam_session && v->talk.what != TALK_FRESH)
		what |= PAM_WHAT_SESSION;
	v->talk.link = peer_open(v->house->loop, fd, PROCESS_AUTH, PROCESS_PAM, 0, on_pam, on_pam_closed, v);
	peer_post(v->talk.link, PAM_BEGIN, pam_begin, .what = (uint8_t)what,
	    .service = bytes_text(v->house->roles.rules[v->kept.role].pam_service),
	    .directory = bytes_text(set->pam_directory), .user = bytes_text(v->person.pam_user),
	    .source = bytes_text(v->kept.source), .deadline_ms = (uint32_t)set->pam_timeout);
}

void
talk_on_answers(struct visitor *v, const struct msg_answers *m)
{
	struct reader r = reader_of(m->answers);
	struct wire answers = {0};
	struct bytes text;

	/* A client may send an answer that nobody asked for: it goes nowhere. */
	if (!v->talk.is_on || !v->talk.prompting || m->ask != v->talk.session_ask)
		return;
	v->talk.prompting = 0;
	if (v->talk.is_judged) {
		talk_verdict(v, v->talk.verdict);
		return;
	}
	v->talk.answered_boot_ms = clock_boot_ms();
	text = reader_get_text(&r);
	if (m->count != 1 || !reader_end(&r) || text.len > ANSWER_MAX) {
		talk_verdict(v, REASON_PROTOCOL);
		return;
	}
	if (v->talk.made_up) {
		talk_verdict(v, v->talk.made_up_reason);
		return;
	}
	v->talk.has_digest = code_digest(v, text, v->talk.digest) == 0;
	if (v->talk.what == TALK_INVITED) {
		invite_on_answer(v, text);
		return;
	}
	wire_put_text(&answers, text);
	peer_post(v->talk.link, PAM_ANSWERS, pam_answers, .count = 1, .answers = wire_bytes(&answers));
	wire_free(&answers);
}

void
talk_end(struct visitor *v)
{
	struct house *h = v->house;
	int64_t answered_boot_ms = v->talk.answered_boot_ms;
	enum talk_for what = v->talk.what;
	int had_turn = v->talk.turn == 0;

	if (!v->talk.is_on)
		return;
	peer_close(v->talk.link);
	wire_free(&v->talk.told);
	OPENSSL_cleanse(&v->talk, sizeof(v->talk));
	v->talk = (struct talk){.answered_boot_ms = answered_boot_ms};
	if (what == TALK_LOGIN || what == TALK_FRESH)
		h->talks--;
	if (what != TALK_ACCOUNT || !had_turn)
		return;
	h->checks--;
	talk_turns(h);
}
