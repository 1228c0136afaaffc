/* What real passwd programs ask is answered in turn and once, and nothing else is taken for a question. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "passwd.h"

#define OLD PASSWD_OLD
#define NEW PASSWD_NEW
#define AGAIN PASSWD_AGAIN
#define NONE PASSWD_NONE

struct line {
	const char *said;
	enum passwd_question asks; /* and is answered, when it is something in turn */
	int refuses;
};

static const struct talk {
	const char *of;
	struct line lines[8];
} talks[] = {
    {"Debian 12",
        {{"Changing password for srx.\r\nCurrent password: ", OLD, 0}, {"\r\nNew password: ", NEW, 0},
            {"\r\nRetype new password: ", AGAIN, 0}, {"\r\npasswd: password updated successfully\r\n", NONE, 0}}},
    {"Linux-PAM of old", {{"(current) UNIX password: ", OLD, 0}, {"Enter new UNIX password: ", NEW, 0},
                             {"Retype new UNIX password: ", AGAIN, 0}}},
    {"busybox", {{"Changing password for srx\nOld password: ", OLD, 0}, {"\nNew password: ", NEW, 0},
                    {"\nRetype password: ", AGAIN, 0}, {"\npasswd: password for srx changed by srx\n", NONE, 0}}},
    {"OpenBSD", {{"Changing password for srx.\nOld Password:", OLD, 0}, {"New Password:", NEW, 0},
                    {"Retype New Password:", AGAIN, 0}}},
    {"Solaris", {{"passwd: Changing password for srx\nEnter existing login password: ", OLD, 0},
                    {"New Password: ", NEW, 0}, {"Re-enter new Password: ", AGAIN, 0}}},
    {"one that asks plainly", {{"Password: ", OLD, 0}, {"New password: ", NEW, 0}, {"Confirm: ", AGAIN, 0}}},
    {"a weak one", {{"Current password: ", OLD, 0}, {"New password: ", NEW, 0},
                       {"BAD PASSWORD: it is too short\r\nNew password: ", NEW, 1}}},
    {"a repetition that did not fit",
        {{"Current password: ", OLD, 0}, {"New password: ", NEW, 0}, {"Retype new password: ", AGAIN, 0},
            {"Sorry, passwords do not match.\nNew password: ", NEW, 1}}},
    {"the old one twice", {{"Current password: ", OLD, 0}, {"Sorry.\nCurrent password: ", OLD, 1}}},
    {"nothing to repeat", {{"Retype new password: ", AGAIN, 1}}},
    {"root's", {{"New password: ", NEW, 0}, {"Retype new password: ", AGAIN, 0}}},
    {"another program",
        {{"login: ", NONE, 0}, {"\nNew ticket number: ", NONE, 0}, {"\nOld value, current value: ", NONE, 0}}},
    {"no questions", {{"Your new password is old: it expires\n", NONE, 0}, {"password", NONE, 0},
                         {"\r\nTime: ", NONE, 0}, {"New password: \n", NONE, 0}, {"", NONE, 0}}},
};

static void
asks_in_turn(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		struct passwd p = {0};

		for (const struct line *l = talks[i].lines; l->said != NULL; l++) {
			enum passwd_question q;

			assert_int_equal(passwd_hear(&p, bytes_text(l->said)), strlen(l->said));
			if ((q = passwd_asks(&p)) != l->asks || (q != NONE && passwd_refuses(&p, q) != l->refuses))
				fail_msg("%s: %s: %d", talks[i].of, l->said, (int)q);
			if (q != NONE && !l->refuses)
				passwd_answered(&p, q);
		}
	}
}

/* A question may come a byte at a time. */
static void
hears_in_pieces(void **state)
{
	static const char said[] = "Current password: ";
	struct passwd p = {0};
	size_t asked = 0;

	(void)state;
	for (size_t i = 0; said[i] != '\0'; i++) {
		(void)passwd_hear(&p, bytes_of(said + i, 1));
		asked += passwd_asks(&p) == OLD;
	}
	assert_int_equal(asked, 2); /* at the colon, and at the blank behind it */
}

static void
is_bounded(void **state)
{
	static char much[PASSWD_SAID_MAX + 1000];
	struct passwd p = {0};

	(void)state;
	memset(much, 'x', sizeof(much));
	assert_int_equal(passwd_hear(&p, bytes_of(much, sizeof(much))), PASSWD_SAID_MAX);
	assert_int_equal(passwd_hear(&p, bytes_of(much, 1)), 0);
	assert_int_equal(passwd_asks(&p), NONE);
	assert_int_equal(passwd_hear(&p, bytes_of("a\0b", 0)), 0);
}

static void
blots(void **state)
{
	struct passwd p = {0};

	(void)state;
	(void)passwd_hear(&p, bytes_text("hunter2 hunter2hunter2 hunter\r\n"));
	passwd_blot(&p, bytes_text("hunter2"));
	passwd_blot(&p, bytes_of(NULL, 0));
	assert_string_equal(p.said, "******* ************** hunter\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(asks_in_turn),
	    cmocka_unit_test(hears_in_pieces),
	    cmocka_unit_test(is_bounded),
	    cmocka_unit_test(blots),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
