/*
 * `invite+CODE` by lodge-auth as it is started: a key and a code of a secret that was just shown make somebody known; a
 * code that is no good looks like an unknown name; who leaves in the middle leaves nothing behind; of two, one wins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "play.h"

#define CODES "publickey,keyboard-interactive"
#define NO_WAIT "PenaltyLeast 0\n"
#define CODE "abcdefghijklmnopqrstuvwxyz"

static struct bytes
id_of(const struct visit *v)
{
	return (bytes_of(v->id, sizeof(v->id)));
}

static void
invited_begin(struct visit *v, struct bench *b, uint8_t conn)
{
	visit_begin(v, b, conn, SOURCE, conn);
	v->login = "invite+" CODE;
}

static void
policy_invite(struct visit *v, enum reason reason)
{
	const struct msg_invite_wanted *w = &end_expect(v->b, &v->b->policy, MSG_INVITE_WANTED)->invite_wanted;
	int good = reason == REASON_NONE;

	assert_int_equal(w->ask, v->conn);
	assert_true(bytes_are(w->code, CODE));
	assert_true(bytes_are(w->source, SOURCE));
	peer_post(v->b->policy.peer, INVITE, invite, .ask = w->ask, .reason = (uint16_t)reason,
	    .role = good ? ROLE_ENGINEER : ROLE_NONE, .login = bytes_text(good ? "alice" : ""),
	    .pam_user = bytes_text(good ? "alice" : ""));
}

static void
policy_used(struct visit *v, enum reason reason)
{
	const struct msg_invite_used *u = &end_expect(v->b, &v->b->policy, MSG_INVITE_USED)->invite_used;

	assert_int_equal(u->ask, v->conn);
	assert_true(bytes_are(u->code, CODE));
	assert_true(bytes_equal(u->key, bytes_of(v->b->alice.blob, sizeof(v->b->alice.blob))));
	peer_post(v->b->policy.peer, INVITE_HELD, invite_held, .ask = u->ask, .reason = (uint16_t)reason);
}

/* The key is proved. */
static void
invited_key(struct visit *v)
{
	assert_true(visit_prove(v, &v->b->alice, id_of(v), v->login, v->b->host_key));
	visit_step(v, LOGIN_PUBLICKEY);
	policy_invite(v, REASON_NONE);
	policy_event(v, "publickey", REASON_NONE);
	visit_result(v, LOGIN_PARTIAL, REASON_NONE);
}

/* The prompt; when it shows a secret, that in base32, else "". */
static void
invited_shown(struct visit *v, char secret[33])
{
	const struct msg_prompts *p;
	struct reader r;
	char text[8192];
	const char *at;

	visit_step(v, LOGIN_KEYBOARD);
	p = &end_expect(v->b, &v->s, MSG_PROMPTS)->prompts;
	assert_int_equal(p->ask, v->ask);
	assert_int_equal(p->count, 1);
	r = reader_of(p->prompts);
	assert_int_equal(reader_get_u8(&r), 0);
	assert_int_equal(bytes_copy(text, sizeof(text), reader_get_text(&r)), 0);
	assert_true(reader_end(&r));
	assert_true(strlen(text) >= 19 && strcmp(text + strlen(text) - 19, "Verification code: ") == 0);
	secret[0] = '\0';
	if ((at = strstr(text, "otpauth://totp/lodge:alice?secret=")) == NULL) {
		assert_string_equal(text, "Verification code: ");
		return;
	}
	at += strlen("otpauth://totp/lodge:alice?secret=");
	assert_true(strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == 32);
	assert_memory_equal(at + 32, "&issuer=lodge\n", 14);
	memcpy(secret, at, 32);
	secret[32] = '\0';
	assert_non_null(strstr(text, "\u2588\u2588\u2588\u2588\u2588\u2588"));
	/* each line of the picture fits a terminal: a character of it is three bytes, or a blank */
	for (at = text; *at != '\0'; at += strcspn(at, "\n") + 1)
		if ((unsigned char)*at == 0xe2)
			assert_true(strcspn(at, "\n") <= (size_t)3 * 79);
	assert_true(p->instruction.len > 0 && p->instruction.len < 200);
}

/* A code of that secret, by somebody else. */
static void
code_of(const struct bench *b, char code[16], const char *secret)
{
	char words[160], *text;
	time_t at = (time_t)((clock_wall_ms()) / 1000);

	(void)b;
	snprintf(words, sizeof(words), "oathtool --totp -b --now '@%lld' %s", (long long)at, secret);
	text = bench_run(b, words);
	snprintf(code, 16, "%.6s", text);
	free(text);
}

/* What lodge-pam is asked to write; its answer. */
static void
written(struct bench *b, struct end *pam, const char *secret, const char *code, enum reason reason)
{
	const struct msg_pam_enrol *m;
	char words[160], hex[64], *text;

	bench_pam_play(b, pam);
	m = &end_expect(b, pam, MSG_PAM_ENROL)->pam_enrol;
	assert_true(bytes_are(m->path, "/nowhere/users.oath"));
	assert_true(bytes_are(m->user, "alice"));
	assert_true(bytes_are(m->used_code, code));
	assert_int_equal(m->secret.len, 20);
	for (size_t i = 0; i < 20; i++)
		snprintf(hex + 2 * i, 3, "%02x", m->secret.at[i]);
	snprintf(words, sizeof(words), "printf %s | base32 -d | od -An -v -tx1 | tr -d ' \\n'", secret);
	text = bench_run(b, words);
	assert_string_equal(text, hex);
	free(text);
	peer_post(pam->peer, PAM_ENROLLED, pam_enrolled, .reason = (uint16_t)reason,
	    .why = bytes_text(reason == REASON_NONE ? "" : "no such directory"));
}

#define OWN_FILE NO_WAIT "OATHUsersFile /nowhere/users.oath\n"

static void
a_whole_invitation(void **state)
{
	struct end pam = {0};
	char secret[33], again[33], code[16];
	struct bench b;
	struct visit v;
	const struct msg_login_result *r;
	const struct msg_secret_done *done;

	(void)state;
	bench_begin(&b, CODES, OWN_FILE);
	invited_begin(&v, &b, 1);
	visit_step(&v, LOGIN_NONE);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	policy_invite(&v, REASON_NONE);
	assert_true(visit_offer(&v, "ssh-ed25519", bytes_of(b.alice.blob, sizeof(b.alice.blob))));
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, b.host_key));
	visit_step(&v, LOGIN_PUBLICKEY);
	policy_event(&v, "publickey", REASON_NONE);
	visit_result(&v, LOGIN_PARTIAL, REASON_NONE);
	/* a try that libssh could not read, in the words of a session that leaves the code out: counted, and no more */
	peer_post(
	    v.s.peer, LOGIN_UNREADABLE, login_unreadable, .login = bytes_text("invite"), .reason = REASON_WEAK_KEY);
	policy_event(&v, "publickey", REASON_WEAK_KEY);
	/* shown once */
	invited_shown(&v, secret);
	assert_int_equal(strlen(secret), 32);
	visit_answer(&v, "12345");
	policy_event(&v, "keyboard-interactive", REASON_WRONG_CODE);
	visit_result(&v, LOGIN_FAILURE, REASON_WRONG_CODE);
	invited_shown(&v, again);
	assert_string_equal(again, "");
	code_of(&b, code, secret);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	/* the file first, then policy, then the account, then as any login */
	end_expect_none(&b, &b.policy, MSG_INVITE_USED, 50);
	policy_invite(&v, REASON_NONE);
	written(&b, &pam, secret, code, REASON_NONE);
	done = &end_expect(&b, &b.policy, MSG_SECRET_DONE)->secret_done;
	assert_true(bytes_are(done->act, "invite") && bytes_are(done->about, "alice"));
	assert_int_equal(done->reason, REASON_NONE);
	policy_used(&v, REASON_NONE);
	policy_key_used(&v, 0);
	play_begin(&b, &pam, 0, "lodge");
	play_says(&pam, REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM | FACTOR_INVITED, 1, 0);
	policy_held(&v, REASON_NONE);
	r = &end_expect(&b, &v.s, MSG_LOGIN_RESULT)->login_result;
	assert_int_equal(r->outcome, LOGIN_SUCCESS);
	assert_true(bytes_are(r->person, "alice"));
	assert_true(bytes_are(r->message, "lodge: you are enrolled as alice; from now on: ssh alice@lodge"));
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

/* The same answers, as soon, as to a name that nobody has; the event alone says what it was. */
static void
no_good_looks_like_nobody(void **state)
{
	static const struct {
		const char *login;
		enum reason reason;
	} rows[] = {{"zoe+osv1", REASON_UNKNOWN_PERSON}, {"invite+" CODE, REASON_INVITE},
	    {"invite+" CODE "+more", REASON_UNKNOWN_PERSON}, {"invite", REASON_UNKNOWN_PERSON}};
	struct bench b;

	(void)state;
	bench_begin(&b, CODES, OWN_FILE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct visit v;
		int64_t began_ms;

		visit_begin(&v, &b, 1 + i, SOURCE, (uint8_t)(1 + i));
		v.login = rows[i].login;
		visit_step(&v, LOGIN_NONE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		if (i == 1)
			policy_invite(&v, REASON_INVITE);
		else
			policy_person(&v, i == 0 ? "zoe" : "invite", REASON_NONE);
		began_ms = clock_boot_ms();
		assert_false(visit_offer(&v, "ssh-ed25519", bytes_of(b.alice.blob, sizeof(b.alice.blob))));
		assert_true(clock_boot_ms() - began_ms >= 20);
		assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, NULL));
		began_ms = clock_boot_ms();
		visit_step(&v, LOGIN_PUBLICKEY);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		assert_true(clock_boot_ms() - began_ms >= 20);
		policy_event(&v, "publickey", rows[i].reason);
		visit_end(&v);
	}
	bench_end(&b);
}

/* Wrong codes of invitations cost the source what wrong names cost it. */
static void
guessed_invitations(void **state)
{
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 60s\nOATHUsersFile /nowhere/users.oath\n");
	for (uint8_t i = 1; i <= 6; i++) {
		invited_begin(&v, &b, i);
		assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, NULL));
		visit_step(&v, LOGIN_PUBLICKEY);
		policy_invite(&v, REASON_INVITE);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		visit_end(&v);
	}
	invited_begin(&v, &b, 7);
	visit_step(&v, LOGIN_NONE);
	visit_result(&v, LOGIN_DISCONNECT, REASON_PENALTY);
	visit_end(&v);
	bench_end(&b);
}

/* Of a secret that was just shown there is nothing to guess: wrong codes of it do not make its owner's name wait. */
static void
wrong_codes_of_a_shown_secret(void **state)
{
	char secret[33] = "", again[33] = "", code[16];
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, "PenaltyLeast 60s\nMaxAuthTries 100\nOATHUsersFile /nowhere/users.oath\n");
	invited_begin(&v, &b, 1);
	invited_key(&v);
	for (int i = 0; i < 8; i++) {
		invited_shown(&v, i == 0 ? secret : again);
		visit_answer(&v, "12345");
		policy_event(&v, "keyboard-interactive", REASON_WRONG_CODE);
		b.clock[0] += 2000;
		visit_result(&v, LOGIN_FAILURE, REASON_WRONG_CODE);
	}
	invited_shown(&v, again);
	code_of(&b, code, secret);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	visit_end(&v);
	bench_end(&b);
}

/* Left before the code, or an auth that died: nothing was written, nothing used; a new secret is shown. */
static void
left_in_the_middle(void **state)
{
	struct end pam = {0};
	char first[33], second[33], third[33], code[16];
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, OWN_FILE);
	invited_begin(&v, &b, 1);
	invited_key(&v);
	invited_shown(&v, first);
	visit_end(&v);
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 50);
	end_expect_none(&b, &b.policy, MSG_INVITE_USED, 0);
	/* a restart: the key must be proved again */
	invited_begin(&v, &b, 2);
	invited_key(&v);
	invited_shown(&v, second);
	assert_string_not_equal(first, second);
	bench_auth_kill(&b);
	bench_auth_start(&b);
	visit_relink(&v, SOURCE);
	policy_invite(&v, REASON_NONE);
	visit_step(&v, LOGIN_KEYBOARD);
	visit_result(&v, LOGIN_FAILURE, REASON_NONE);
	policy_event(&v, "keyboard-interactive", REASON_PROTOCOL);
	visit_end(&v);
	/* between the file and policy: auth dies, and the same code is good again */
	invited_begin(&v, &b, 3);
	invited_key(&v);
	invited_shown(&v, second);
	code_of(&b, code, second);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_invite(&v, REASON_NONE);
	written(&b, &pam, second, code, REASON_NONE);
	(void)end_expect(&b, &b.policy, MSG_INVITE_USED);
	bench_auth_kill(&b);
	bench_auth_start(&b);
	policy_invite(&v, REASON_NONE);
	peer_post(b.gateway.peer, LINKS_TOLD, links_told, .none = 0);
	end_close(&v.s);
	invited_begin(&v, &b, 4);
	invited_key(&v);
	invited_shown(&v, third);
	assert_string_not_equal(second, third);
	/* policy away meanwhile is told again */
	code_of(&b, code, third);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_invite(&v, REASON_NONE);
	bench_pam_play(&b, &pam);
	(void)end_expect(&b, &pam, MSG_PAM_ENROL);
	end_close(&b.policy);
	peer_post(pam.peer, PAM_ENROLLED, pam_enrolled, .reason = REASON_NONE, .why = bytes_text(""));
	end_expect_none(&b, &v.s, MSG_LOGIN_RESULT, 100);
	bench_policy_relink(&b);
	policy_used(&v, REASON_INVITE); /* it was used up or voided meanwhile */
	policy_event(&v, "", REASON_INVITE);
	visit_result(&v, LOGIN_DISCONNECT, REASON_INVITE);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

/* The file cannot be written: said so, and the same code's secret stays good for another try. */
static void
no_file(void **state)
{
	struct end pam = {0};
	char secret[33], again[33], code[16];
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, OWN_FILE);
	invited_begin(&v, &b, 1);
	invited_key(&v);
	invited_shown(&v, secret);
	code_of(&b, code, secret);
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_invite(&v, REASON_NONE);
	written(&b, &pam, secret, code, REASON_USERS_FILE);
	policy_event(&v, "keyboard-interactive", REASON_USERS_FILE);
	visit_result(&v, LOGIN_FAILURE, REASON_USERS_FILE);
	end_expect_none(&b, &b.policy, MSG_INVITE_USED, 50);
	invited_shown(&v, again);
	assert_string_equal(again, "");
	/* no lodge-pam at all */
	visit_answer(&v, code);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_invite(&v, REASON_NONE);
	peer_post(
	    b.gateway.peer, PAM_GONE, pam_gone, .ask = end_expect(&b, &b.gateway, MSG_PAM_WANTED)->pam_wanted.ask);
	policy_event(&v, "keyboard-interactive", REASON_PAM_TROUBLE);
	visit_result(&v, LOGIN_FAILURE, REASON_PAM_TROUBLE);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

/* Two with the same invitation: whoever is second does not write, and is told so. */
static void
two_at_once(void **state)
{
	struct end pam = {0};
	char secret[3][33], code[16];
	struct bench b;
	struct visit v[3];

	(void)state;
	bench_begin(&b, CODES, OWN_FILE);
	for (uint8_t i = 0; i < 3; i++) {
		invited_begin(&v[i], &b, (uint8_t)(1 + i));
		invited_key(&v[i]);
		invited_shown(&v[i], secret[i]);
	}
	code_of(&b, code, secret[0]);
	visit_answer(&v[0], code);
	policy_event(&v[0], "keyboard-interactive", REASON_NONE);
	policy_invite(&v[0], REASON_NONE);
	bench_pam_play(&b, &pam);
	(void)end_expect(&b, &pam, MSG_PAM_ENROL);
	/* while the first one's is written */
	code_of(&b, code, secret[1]);
	visit_answer(&v[1], code);
	policy_event(&v[1], "keyboard-interactive", REASON_NONE);
	policy_event(&v[1], "", REASON_INVITE);
	visit_result(&v[1], LOGIN_DISCONNECT, REASON_INVITE);
	end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 50);
	peer_post(pam.peer, PAM_ENROLLED, pam_enrolled, .reason = REASON_NONE, .why = bytes_text(""));
	policy_used(&v[0], REASON_NONE);
	/* and who was still reading the picture */
	policy_event(&v[2], "", REASON_INVITE);
	visit_result(&v[2], LOGIN_DISCONNECT, REASON_INVITE);
	for (size_t i = 0; i < 3; i++)
		visit_end(&v[i]);
	end_close(&pam);
	bench_end(&b);
}

/* Codes are somebody else's matter: PAM asks, and the invitation brings the key alone.  Or no code is wanted at all. */
static void
no_secret_of_ours(void **state)
{
	struct end pam = {0};
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT "OATHUsersFile \"\"\n");
	invited_begin(&v, &b, 1);
	invited_key(&v);
	visit_step(&v, LOGIN_KEYBOARD);
	play_begin(&b, &pam, PAM_WHAT_AUTHENTICATE, "lodge");
	play_code(&v, &pam, v.ask, REASON_NONE);
	policy_event(&v, "keyboard-interactive", REASON_NONE);
	policy_used(&v, REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_PAM | FACTOR_INVITED, 1, 0);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);

	bench_begin(&b, "publickey", OWN_FILE);
	invited_begin(&v, &b, 1);
	assert_true(visit_prove(&v, &b.alice, id_of(&v), v.login, b.host_key));
	visit_step(&v, LOGIN_PUBLICKEY);
	policy_invite(&v, REASON_NONE);
	policy_event(&v, "publickey", REASON_NONE);
	policy_used(&v, REASON_NONE);
	play_begin(&b, &pam, 0, "lodge");
	play_says(&pam, REASON_NONE);
	policy_identity(&v, FACTOR_KEY | FACTOR_INVITED, 1, 0);
	visit_end(&v);
	end_close(&pam);
	bench_end(&b);
}

/*
 * Used by somebody else, voided, or its person suspended while they typed: what they were shown must not take the place of a
 * secret that is good.
 */
static void
over_while_they_typed(void **state)
{
	char secret[33], code[16];
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, OWN_FILE);
	for (uint8_t i = 1; i <= 2; i++) {
		invited_begin(&v, &b, i);
		v.login = i == 1 ? "invite+" CODE : "invite:" CODE;
		invited_key(&v);
		invited_shown(&v, secret);
		code_of(&b, code, secret);
		visit_answer(&v, code);
		policy_event(&v, "keyboard-interactive", REASON_NONE);
		if (i == 2) { /* policy dies before it answers */
			(void)end_expect(&b, &b.policy, MSG_INVITE_WANTED);
			bench_policy_relink(&b);
		}
		policy_invite(&v, REASON_INVITE);
		policy_event(&v, "", REASON_INVITE);
		visit_result(&v, LOGIN_DISCONNECT, REASON_INVITE);
		end_expect_none(&b, &b.gateway, MSG_PAM_WANTED, 50);
		visit_end(&v);
	}
	bench_end(&b);
}

/* A slip beside a good code: no name, and the code is in no event all the same. */
static void
a_slip_tells_no_code(void **state)
{
	static const char *const slips[] = {
	    "invite+" CODE ",", "invite+" CODE "+", "invite:" CODE "/", "invite+<" CODE ">"};
	const struct msg_login_event *e;
	struct bench b;
	struct visit v;

	(void)state;
	bench_begin(&b, CODES, NO_WAIT);
	for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
		visit_begin(&v, &b, i + 1, SOURCE, (uint8_t)(i + 1));
		v.login = slips[i];
		visit_step(&v, LOGIN_PUBLICKEY);
		visit_result(&v, LOGIN_FAILURE, REASON_NONE);
		e = &end_expect(&b, &b.policy, MSG_LOGIN_EVENT)->login_event;
		if (!bytes_are(e->login, "invite"))
			fail_msg("told of %.*s", (int)e->login.len, (const char *)e->login.at);
		visit_end(&v);
	}
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_whole_invitation),
	    cmocka_unit_test(no_good_looks_like_nobody),
	    cmocka_unit_test(guessed_invitations),
	    cmocka_unit_test(wrong_codes_of_a_shown_secret),
	    cmocka_unit_test(left_in_the_middle),
	    cmocka_unit_test(no_file),
	    cmocka_unit_test(two_at_once),
	    cmocka_unit_test(no_secret_of_ours),
	    cmocka_unit_test(over_while_they_typed),
	    cmocka_unit_test(a_slip_tells_no_code),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
