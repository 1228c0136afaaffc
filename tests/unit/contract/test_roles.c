/* The words of lodge.conf(5) that say what each role must show: what they mean, and what is refused by which line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "contract/roles.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CODES "publickey,keyboard-interactive"

static char said[512];

static void
on_error(void *ctx, const char *keyword, const char *why)
{
	(void)ctx;
	snprintf(said, sizeof(said), "%s: %s", keyword, why);
}

static char *
lent(const char *text)
{
	static char room[4][256];
	static size_t next;

	next = (next + 1) % COUNT(room);
	snprintf(room[next], sizeof(room[next]), "%s", text);
	return (room[next]);
}

/* A letter a role (engineer manager auditor operator): what is wanted of it. */
static void
wanted(char to[5], const struct roles *r, size_t offset)
{
	for (int i = ROLE_ENGINEER; i < ROLES; i++)
		to[i - 1] = *((const uint8_t *)&r->rules[i] + offset) != 0 ? 'y' : '-';
	to[4] = '\0';
}

static void
what_words_mean(void **state)
{
	static const struct {
		const char *methods, *options, *bound;
		const char *code, *verified, *host_bound;
	} rows[] = {
	    {CODES, "touch-required", "", "yyyy", "----", "----"},
	    {"publickey", "verify-required", "manager auditor", "----", "yyyy", "-yy-"},
	    {CODES " auditor=publickey", "touch-required manager=verify-required", "operator", "yy-y", "-y--",
	        "---y"},
	    {"auditor=publickey " CODES, "manager=touch-required verify-required", "", "yy-y", "y-yy", "----"},
	    {"auditor=publickey", "operator=verify-required", "", "yy-y", "---y", "----"},
	    {"publickey engineer=" CODES, "", "engineer", "y---", "----", "y---"},
	    {"", "", "", "yyyy", "----", "----"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings set = {.authentication_methods = lent(rows[i].methods),
		    .pubkey_auth_options = lent(rows[i].options),
		    .host_bound_roles = lent(rows[i].bound)};
		struct roles r;
		char got[5];

		assert_int_equal(roles_read(&r, &set, on_error, NULL), 0);
		wanted(got, &r, offsetof(struct role_rules, wants_code));
		assert_string_equal(got, rows[i].code);
		wanted(got, &r, offsetof(struct role_rules, wants_verified));
		assert_string_equal(got, rows[i].verified);
		wanted(got, &r, offsetof(struct role_rules, wants_host_bound));
		assert_string_equal(got, rows[i].host_bound);
		assert_string_equal(r.rules[ROLE_MANAGER].pam_service, "lodge");
	}
}

static void
services(void **state)
{
	struct settings set = {.pam_service = lent("manager=lodge-staff house")};
	struct roles r;

	(void)state;
	assert_int_equal(roles_read(&r, &set, on_error, NULL), 0);
	assert_string_equal(r.rules[ROLE_ENGINEER].pam_service, "house");
	assert_string_equal(r.rules[ROLE_MANAGER].pam_service, "lodge-staff");
	assert_string_equal(r.rules[ROLE_NONE].pam_service, "house");
}

static void
what_is_refused(void **state)
{
	static const struct {
		const char *methods, *options, *service, *bound;
		const char *line;
	} rows[] = {
	    {"password", "", "lodge", "",
	        "AuthenticationMethods: 'password' is neither publickey nor " CODES
	        ": a key comes first, for a grant is bound to it"},
	    {"keyboard-interactive", "", "lodge", "",
	        "AuthenticationMethods: 'keyboard-interactive' is neither publickey nor " CODES
	        ": a key comes first, for a grant is bound to it"},
	    {"keyboard-interactive,publickey", "", "lodge", "",
	        "AuthenticationMethods: 'keyboard-interactive,publickey' is neither publickey nor " CODES
	        ": a key comes first, for a grant is bound to it"},
	    {"boss=publickey", "", "lodge", "",
	        "AuthenticationMethods: 'boss=publickey' names no role: engineer, manager, auditor or operator"},
	    {"publickey publickey", "", "lodge", "",
	        "AuthenticationMethods: 'publickey' comes second: say it once for everybody, and once for each "
	        "role that differs"},
	    {"auditor=publickey auditor=" CODES, "", "lodge", "",
	        "AuthenticationMethods: 'auditor=" CODES
	        "' comes second: say it once for everybody, and once for each role that differs"},
	    {"publickey", "no-touch-required", "lodge", "",
	        "PubkeyAuthOptions: 'no-touch-required' is neither touch-required nor verify-required"},
	    {"publickey", "", "../shadow", "",
	        "PAMService: '../shadow' cannot be a PAM service: the name of a file in /etc/pam.d or "
	        "PAMDirectory, such as lodge"},
	    {"publickey", "", "manager=", "",
	        "PAMService: 'manager=' cannot be a PAM service: the name of a file in /etc/pam.d or PAMDirectory, "
	        "such as lodge"},
	    {"publickey", "", "lodge", "managers",
	        "HostBoundRoles: 'managers' names no role: engineer, manager, auditor or operator"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings set = {.authentication_methods = lent(rows[i].methods),
		    .pubkey_auth_options = lent(rows[i].options),
		    .pam_service = lent(rows[i].service),
		    .host_bound_roles = lent(rows[i].bound)};
		struct roles r;

		assert_int_equal(roles_read(&r, &set, on_error, NULL), 1);
		assert_string_equal(said, rows[i].line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_words_mean),
	    cmocka_unit_test(services),
	    cmocka_unit_test(what_is_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
