/*
 * lodge-pam: what it asks, what it says at the end, and that modules which do what no module should get no yes out of
 * it.  Real modules, and tests/pam/pam_bad.so.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>
#include <security/_pam_types.h>

#include "base/log.h"
#include "pam_bench.h"

#define OATH "auth required pam_oath.so usersfile=%/users window=2 digits=6\naccount required pam_permit.so\n"

/* What one module does, who answers what, and how it ends. */
static void
modules(void **state)
{
	static const struct {
		const char *lines;
		const char *prompt; /* NULL: none comes */
		const char *answer;
		int good;
		enum reason reason;
		uint32_t pam_error;
	} rows[] = {
	    {"auth required @ ask", "Word: ", "sesame", 1, REASON_NONE, PAM_SUCCESS},
	    {"auth required @ ask", "Word: ", "what?", 0, REASON_WRONG_CODE, PAM_AUTH_ERR},
	    {"auth required @ ask", "Word: ", "", 0, REASON_WRONG_CODE, PAM_AUTH_ERR},
	    {"auth required @ echo", "Word: ", "sesame", 1, REASON_NONE, PAM_SUCCESS},
	    {"auth required @ no", NULL, NULL, 0, REASON_WRONG_CODE, PAM_PERM_DENIED},
	    {"auth required @ broken", NULL, NULL, 0, REASON_PAM_TROUBLE, PAM_SYSTEM_ERR},
	    {"auth required pam_none.so", NULL, NULL, 0, REASON_PAM_TROUBLE, PAM_MODULE_UNKNOWN},
	    /* PAM says yes; auth, which knows that nothing was asked, does not */
	    {"auth required @ yes", NULL, NULL, 1, REASON_NONE, PAM_SUCCESS},
	    /* longer than a round may be, in a style that nobody knows, more at once than PAM allows, or none */
	    {"auth required @ long", NULL, NULL, 0, REASON_PAM_TROUBLE, PAM_CONV_ERR},
	    {"auth required @ style", "Word: ", "sesame", 0, REASON_PAM_TROUBLE, PAM_CONV_ERR},
	    {"auth required @ batch-too-many", NULL, NULL, 0, REASON_PAM_TROUBLE, PAM_CONV_ERR},
	    {"auth required @ batch-of-none", NULL, NULL, 0, REASON_PAM_TROUBLE, PAM_CONV_ERR},
	    /* somebody else, in each phase */
	    {"auth required @ user bob", "Word: ", "sesame", 0, REASON_PAM_ACCOUNT, PAM_SUCCESS},
	    {"auth required @ user alice", "Word: ", "sesame", 1, REASON_NONE, PAM_SUCCESS},
	    {"auth required @ ask\naccount required @ user bob", "Word: ", "sesame", 0, REASON_PAM_ACCOUNT,
	        PAM_SUCCESS},
	    {"auth required @ ask\naccount required @ no", "Word: ", "sesame", 0, REASON_PAM_ACCOUNT,
	        PAM_PERM_DENIED},
	    {"auth required @ ask\naccount required @ broken", "Word: ", "sesame", 0, REASON_PAM_TROUBLE,
	        PAM_SYSTEM_ERR},
	    {"auth required @ write", "Word: ", "sesame", 1, REASON_NONE, PAM_SUCCESS},
	    {"auth required @ length 511", "Word: ", NULL, 1, REASON_NONE, PAM_SUCCESS},
	};
	struct pam_bench *b = *state;
	char lines[512], longest[512];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].lines);
		snprintf(lines, sizeof(lines), "%s\n%s", rows[i].lines,
		    strstr(rows[i].lines, "account") == NULL ? "account required pam_permit.so\n" : "");
		pam_stack(b, lines);
		pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
		if (rows[i].prompt != NULL) {
			pam_prompted(b, rows[i].prompt);
			assert_int_equal(b->style[b->count - 1], strstr(lines, "echo") != NULL);
			pam_answer(b, rows[i].answer != NULL ? rows[i].answer : longest);
		}
		pam_result(b, rows[i].good, rows[i].reason);
		assert_int_equal(b->pam_error, rows[i].pam_error);
		assert_string_equal(b->user, strstr(lines, "user bob") != NULL                          ? "bob"
		                             : rows[i].reason == REASON_WRONG_CODE || b->pam_error != 0 ? b->user
		                                                                                        : "alice");
		assert_int_equal(pam_end(b), 0);
	}
}

/* However a module ends the process, no result comes of it. */
static void
modules_that_end(void **state)
{
	static const struct {
		const char *name;
		int asks;
		int signum; /* 0: exit status 0 */
	} rows[] = {
	    {"segv", 0, SIGSEGV},
	    {"abort", 0, SIGABRT},
	    {"exit-now", 1, 0},
	    {"exit-orderly", 1, 0},
	    {"sleep", 0, SIGKILL},
	    {"hang", 1, SIGKILL},
	};
	struct pam_bench *b = *state;
	char lines[128];
	int status;

	assert_int_equal(setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:detect_leaks=0", 1), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s\n", rows[i].name);
		snprintf(
		    lines, sizeof(lines), "auth required @ %s\naccount required pam_permit.so\n", rows[i].name);
		pam_stack(b, lines);
		pam_begin(b, PAM_WHAT_AUTHENTICATE, 1000);
		if (rows[i].asks) {
			pam_prompted(b, "Word: ");
			pam_answer(b, "sesame");
		}
		pam_no_result(b, PAM_WAIT_MS);
		status = pam_end(b);
		assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, rows[i].signum);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	}
	unsetenv("ASAN_OPTIONS");
}

/* Nobody is asked for ever: after so many rounds no answer comes. */
static void
floods(void **state)
{
	struct pam_bench *b = *state;
	int rounds = 0;

	pam_stack(b, "auth required @ flood\naccount required pam_permit.so\n");
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	for (; rounds < 64; rounds++) {
		pam_prompted(b, "Word: ");
		pam_answer(b, "sesame");
	}
	pam_result(b, 0, REASON_PAM_TROUBLE);
	assert_int_equal(pam_end(b), 0);

	pam_stack(b, "auth required @ flood-texts\naccount required pam_permit.so\n");
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	for (rounds = 0; rounds < 64; rounds++) {
		pam_prompted(b, "again");
		assert_int_equal(b->style[0], 2);
		pam_answer_nothing(b);
	}
	pam_result(b, 0, REASON_PAM_TROUBLE);
	assert_int_equal(pam_end(b), 0);

	/* A batch of as many as PAM allows: each goes out alone, and all are answered. */
	pam_stack(b, "auth required @ batch\naccount required pam_permit.so\n");
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	for (rounds = 0; rounds < 32; rounds++) {
		pam_prompted(b, "Word: ");
		assert_int_equal(b->count, 1);
		pam_answer(b, "sesame");
	}
	pam_result(b, 1, REASON_NONE);
	assert_int_equal(pam_end(b), 0);
}

/* Texts come with the next prompt, in their order; what they hold is auth's and the session's matter. */
static void
texts(void **state)
{
	struct pam_bench *b = *state;

	pam_stack(b, "auth required @ escape\nauth required @ ask\naccount required pam_permit.so\n");
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "one\033]0;owned\007\033[2Jtwo \x9b"
	                "31m\xc2\x9b"
	                "32m");
	assert_int_equal(b->style[0], 2);
	pam_answer_nothing(b);
	pam_prompted(b, "three\033[6n\rfour\b\b");
	assert_int_equal(b->style[0], 3);
	pam_answer_nothing(b);
	pam_prompted(b, "Word\033[5m: ");
	pam_answer(b, "x");
	pam_prompted(b, "Word: ");
	pam_answer(b, "sesame");
	pam_result(b, 1, REASON_NONE);
	assert_int_equal(pam_end(b), 0);
}

/* An answer that lodge-pam did not ask for, or two, or one that PAM could not hold, is none. */
static void
answers_that_do_not_fit(void **state)
{
	struct pam_bench *b = *state;
	struct wire w = {0};
	char long_one[513];

	pam_stack(b, "auth required @ ask\naccount required pam_permit.so\n");
	memset(long_one, 'x', 512);
	long_one[512] = '\0';
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "Word: ");
	pam_answer(b, long_one);
	pam_result(b, 0, REASON_PAM_TROUBLE);
	assert_int_equal(pam_end(b), 0);

	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "Word: ");
	wire_put_text(&w, bytes_text("sesame"));
	wire_put_text(&w, bytes_text("sesame"));
	peer_post(b->auth, PAM_ANSWERS, pam_answers, .count = 2, .answers = wire_bytes(&w));
	pam_result(b, 0, REASON_PAM_TROUBLE);
	assert_int_equal(pam_end(b), 0);

	wire_clear(&w);
	wire_put_bytes(&w, bytes_of("ses\0me", 6));
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "Word: ");
	peer_post(b->auth, PAM_ANSWERS, pam_answers, .count = 1, .answers = wire_bytes(&w));
	pam_result(b, 0, REASON_PAM_TROUBLE);
	assert_int_equal(pam_end(b), 0);
	wire_free(&w);

	/* auth goes away in the middle: so does lodge-pam */
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "Word: ");
	pam_let_go(b);
	assert_int_equal(pam_end(b), 0);
}

/* The delay is told and not slept. */
static void
delays(void **state)
{
	struct pam_bench *b = *state;

	pam_stack(b, "auth required @ delay\naccount required pam_permit.so\n");
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "Word: ");
	pam_answer(b, "no");
	pam_result(b, 0, REASON_WRONG_CODE);
	assert_in_range(b->delay_ms, 2500, 7500); /* libpam varies it by half */
	assert_int_equal(pam_end(b), 0);
}

/* Without AUTHENTICATE only the account is looked at, and nobody is asked anything. */
static void
the_account_alone(void **state)
{
	static const struct {
		const char *account;
		int good;
		enum reason reason;
		uint32_t pam_error;
	} rows[] = {
	    {"account required pam_permit.so\n", 1, REASON_NONE, PAM_SUCCESS},
	    {"account required @ no\n", 0, REASON_PAM_ACCOUNT, PAM_PERM_DENIED},
	    {"account required @ expired\n", 0, REASON_PAM_ACCOUNT, PAM_NEW_AUTHTOK_REQD},
	    {"account required @ user bob\n", 0, REASON_PAM_ACCOUNT, PAM_SUCCESS},
	    {"account required @ ask\n", 0, REASON_PAM_ACCOUNT, PAM_CONV_ERR},
	    {"account required @ flood-texts\n", 1, REASON_NONE, PAM_SUCCESS}, /* for nobody */
	};
	struct pam_bench *b = *state;
	char lines[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s", rows[i].account);
		snprintf(lines, sizeof(lines),
		    "auth required @ no\nauth optional @ log %%/log\n%spassword required @ yes\n", rows[i].account);
		pam_stack(b, lines);
		pam_begin(b, 0, 20000);
		pam_result(b, rows[i].good, rows[i].reason);
		assert_int_equal(b->pam_error, rows[i].pam_error);
		assert_int_equal(pam_end(b), 0);
	}
	/* and whoever was let in had credentials, for a moment */
	assert_string_equal(pam_get(b, "log"), "establish alice 192.0.2.7\ndelete alice 192.0.2.7\n"
	                                       "establish alice 192.0.2.7\ndelete alice 192.0.2.7\n");
}

/* A password that must be changed is, in the same conversation. */
static void
expired_passwords(void **state)
{
	struct pam_bench *b = *state;

	pam_stack(b, "auth required @ ask\naccount required @ expired\npassword required @ ask\n");
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "Word: ");
	pam_answer(b, "sesame");
	pam_prompted(b, "Word: ");
	pam_answer(b, "sesame");
	pam_result(b, 1, REASON_NONE);
	assert_int_equal(pam_end(b), 0);

	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "Word: ");
	pam_answer(b, "sesame");
	pam_prompted(b, "Word: ");
	pam_answer(b, "no");
	pam_result(b, 0, REASON_PAM_ACCOUNT);
	assert_int_equal(pam_end(b), 0);
}

#define SESSION_STACK                                                                                             \
	"auth required @ ask\nauth optional @ log %/log\naccount required pam_permit.so\nsession required @ log " \
	"%/log\n"

/* A PAM session lasts until auth lets go of the link. */
static void
sessions(void **state)
{
	struct pam_bench *b = *state;

	pam_stack(b, SESSION_STACK);
	for (unsigned what = PAM_WHAT_SESSION; what <= (PAM_WHAT_SESSION | PAM_WHAT_AUTHENTICATE); what++) {
		pam_put(b, "log", "");
		pam_begin(b, what, 1000);
		if (what & PAM_WHAT_AUTHENTICATE) {
			pam_prompted(b, "Word: ");
			pam_answer(b, "sesame");
		}
		pam_result(b, 1, REASON_NONE);
		pam_stays(b);
		/* past its deadline, which counts no more */
		pam_no_result(b, 1500);
		assert_null(strstr(pam_get(b, "log"), "close"));
		pam_let_go(b);
		assert_int_equal(pam_end(b), 0);
		assert_string_equal(pam_get(b, "log"),
		    what & PAM_WHAT_AUTHENTICATE
		        ? "auth alice 192.0.2.7\nestablish alice 192.0.2.7\nopen alice 192.0.2.7\n"
		          "close alice 192.0.2.7\ndelete alice 192.0.2.7\n"
		        : "establish alice 192.0.2.7\nopen alice 192.0.2.7\n"
		          "close alice 192.0.2.7\ndelete alice 192.0.2.7\n");
	}
}

/* Nobody waits for ever for a session to close. */
static void
a_session_that_does_not_close(void **state)
{
	struct pam_bench *b = *state;
	int status;

	pam_stack(b, "auth required @ ask\naccount required pam_permit.so\nsession required @ hang-at-close\n");
	pam_begin(b, PAM_WHAT_SESSION, 1000);
	pam_result(b, 1, REASON_NONE);
	pam_stays(b);
	pam_let_go(b);
	status = pam_end(b);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* No session without a yes, and a session that does not open, or makes somebody else of them, is a no. */
static void
sessions_refused(void **state)
{
	static const struct {
		const char *session;
		enum reason reason;
	} rows[] = {
	    {"session required @ no\n", REASON_PAM_ACCOUNT},
	    {"session required @ broken\n", REASON_PAM_TROUBLE},
	    {"session required @ user bob\n", REASON_PAM_ACCOUNT},
	    {"session required pam_deny.so\n", REASON_PAM_ACCOUNT},
	};
	struct pam_bench *b = *state;
	char lines[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("  %s", rows[i].session);
		snprintf(lines, sizeof(lines), "auth required @ ask\naccount required pam_permit.so\n%s",
		    rows[i].session);
		pam_stack(b, lines);
		pam_begin(b, PAM_WHAT_AUTHENTICATE | PAM_WHAT_SESSION, 20000);
		pam_prompted(b, "Word: ");
		pam_answer(b, "sesame");
		pam_result(b, 0, rows[i].reason);
		assert_int_equal(pam_end(b), 0);
	}
	pam_stack(b, SESSION_STACK);
	pam_begin(b, PAM_WHAT_AUTHENTICATE | PAM_WHAT_SESSION, 20000);
	pam_prompted(b, "Word: ");
	pam_answer(b, "no");
	pam_result(b, 0, REASON_WRONG_CODE);
	assert_int_equal(pam_end(b), 0);
	assert_null(strstr(pam_get(b, "log"), "open"));
}

/* Real pam_oath: a code is good once, after enrolment too; a clock that was set back lets none of them in again. */
static void
codes(void **state)
{
	static const struct {
		int steps;
		int good;
		enum reason reason;
	} rows[] = {
	    {-1, 0, REASON_WRONG_CODE}, /* the one that enrolment used */
	    {-2, 0, REASON_WRONG_CODE}, /* and those before it */
	    {0, 1, REASON_NONE},
	    {0, 0, REASON_WRONG_CODE},
	    {-1, 0, REASON_WRONG_CODE},
	    {1, 1, REASON_NONE},
	};
	struct pam_bench *b = *state;
	char used[16], text[512], when[32];
	time_t later = time(NULL) + 600;
	struct tm tm;

	/* none of these may straddle a step of 30 s */
	while (time(NULL) % 30 > 20)
		(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	pam_stack(b, OATH);
	snprintf(used, sizeof(used), "%s", pam_code(-1));
	assert_int_equal(pam_enrol(b, used), REASON_NONE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
		pam_prompted(b, "One-time password (OATH) for `alice': ");
		pam_answer(b, pam_code(rows[i].steps));
		pam_result(b, rows[i].good, rows[i].reason);
		assert_int_equal(pam_end(b), 0);
	}
	/* What liboath wrote reads, and a new secret takes its place. */
	assert_int_equal(pam_enrol(b, ""), REASON_NONE);
	assert_string_equal(pam_get(b, "users"), "HOTP/T30/6\talice\t-\t" PAM_HEX "\n");
	/* As after a clock step of ten minutes back: a code that liboath would take is not shown to it. */
	assert_non_null(localtime_r(&later, &tm));
	assert_true(strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SL", &tm) > 0);
	snprintf(text, sizeof(text), "HOTP/T30/6 alice - " PAM_HEX " 0 000000 %s\n", when);
	pam_put(b, "users", text);
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "One-time password (OATH) for `alice': ");
	pam_answer(b, pam_code(0));
	pam_result(b, 0, REASON_CLOCK_BEHIND);
	assert_int_equal(pam_end(b), 0);
	assert_string_equal(pam_get(b, "users"), text);
}

/* A users file that is not as it should be is no way in, and an enrolment says what is wrong with it. */
static void
users_files(void **state)
{
	struct pam_bench *b = *state;

	pam_stack(b, OATH);
	pam_put(b, "users", "HOTP/T30/6 alice - 3g\n");
	assert_int_equal(pam_enrol(b, ""), REASON_USERS_FILE);
	assert_non_null(strstr(b->text, "/users:1: the secret is not in hexadecimal"));
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "One-time password (OATH) for `alice': ");
	pam_answer(b, "123456");
	pam_result(b, 0, REASON_WRONG_CODE);
	assert_int_equal(pam_end(b), 0);
	assert_string_equal(pam_get(b, "users"), "HOTP/T30/6 alice - 3g\n");
	/* somebody who was killed while writing left a lock: the next one is let in all the same */
	pam_put(b, "users", "HOTP/T30/6 alice - " PAM_HEX "\n");
	pam_put(b, "users.lock", "");
	pam_begin(b, PAM_WHAT_AUTHENTICATE, 20000);
	pam_prompted(b, "One-time password (OATH) for `alice': ");
	pam_answer(b, pam_code(0));
	pam_result(b, 1, REASON_NONE);
	assert_int_equal(pam_end(b), 0);
}

#define MANY 12

/* All are asked, then all answer in the same moment; how many were let in. */
static int
answer_at_once(struct pam_bench all[MANY])
{
	char prompt[64], code[16];
	int good = 0;

	for (size_t i = 0; i < MANY; i++)
		pam_begin(&all[i], PAM_WHAT_AUTHENTICATE, 20000);
	for (size_t i = 0; i < MANY; i++) {
		snprintf(prompt, sizeof(prompt), "One-time password (OATH) for `%s': ", all[i].who);
		pam_prompted(&all[i], prompt);
	}
	snprintf(code, sizeof(code), "%s", pam_code(0));
	for (size_t i = 0; i < MANY; i++)
		pam_answer(&all[i], code);
	for (size_t i = 0; i < MANY; i++) {
		good += pam_hear_result(&all[i]);
		assert_int_equal(pam_end(&all[i]), 0);
	}
	return (good);
}

/* pam_oath by itself would refuse some of them for the lock alone, or forget what one of them used. */
static void
many_at_once(void **state)
{
	struct pam_bench *b = *state, all[MANY];
	char line[128], text[MANY * sizeof(line)];
	size_t len = 0;

	pam_stack(b, OATH);
	for (size_t i = 0; i < MANY; i++) {
		all[i] = *b;
		snprintf(all[i].who, sizeof(all[i].who), "person%zu", i);
		len += (size_t)snprintf(text + len, sizeof(text) - len, "HOTP/T30/6 person%zu - " PAM_HEX "\n", i);
	}
	pam_put(b, "users", text);
	assert_int_equal(answer_at_once(all), MANY);
	for (size_t i = 0; i < MANY; i++) {
		snprintf(line, sizeof(line), "person%zu\t-\t" PAM_HEX "\t0\t", i);
		if (strstr(pam_get(b, "users"), line) == NULL)
			fail_msg("nothing is written down of %s: %s", all[i].who, pam_get(b, "users"));
	}
}

/* And one code lets one in. */
static void
one_code_many_times_at_once(void **state)
{
	struct pam_bench *b = *state, all[MANY];

	pam_stack(b, OATH);
	pam_put(b, "users", "HOTP/T30/6 alice - " PAM_HEX "\n");
	for (size_t i = 0; i < MANY; i++)
		all[i] = *b;
	assert_int_equal(answer_at_once(all), 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, pam_bench_make, pam_bench_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    EACH(modules),
	    EACH(modules_that_end),
	    EACH(floods),
	    EACH(texts),
	    EACH(answers_that_do_not_fit),
	    EACH(delays),
	    EACH(the_account_alone),
	    EACH(expired_passwords),
	    EACH(sessions),
	    EACH(a_session_that_does_not_close),
	    EACH(sessions_refused),
	    EACH(codes),
	    EACH(users_files),
	    EACH(many_at_once),
	    EACH(one_code_many_times_at_once),
	};

	(void)setenv("LSAN_OPTIONS", "print_suppressions=0", 1);
	log_begin("test_pam");
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
