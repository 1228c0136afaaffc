/* The rules alone, without a house: which kind of channel wants what of a grant, and what is a place to forward to. */
#include <stdio.h>

#include "bench.h"
#include "decide.h"
#include "forwards.h"

/* ---- deciding ---- */

#define NOW INT64_C(1764000000000)
#define ALL (CAPABILITIES_CARRIED | CAPABILITY_FORWARD)

/* What decide says of a channel of this kind, under a window that was approved for these. */
static struct verdict_made
decided(unsigned kind, unsigned capabilities, const char *forwards, const char *forward)
{
	static struct grant g; /* the verdict points at it */
	struct person alice = {.login = "alice", .role = ROLE_ENGINEER};
	struct target osv1 = {.name = "osv1", .accounts = "svc"};
	struct facts f = {.wall_ms = NOW,
	    .source = "",
	    .fingerprint = "",
	    .person = &alice,
	    .target = &osv1,
	    .host_keys = 1,
	    .account = "svc",
	    .patience = ASKER_WAITS,
	    .grants = &g,
	    .grant_count = 1};

	g = (struct grant){.id = 1,
	    .request = 17,
	    .capabilities = capabilities,
	    .begins_at = NOW - 1000,
	    .ends_at = NOW + 1000,
	    .ends_boot = 1000,
	    .entered_at = NOW - 500,
	    .state = STATE_OPEN,
	    .approver = "maria"};
	TEXT_COPY(g.forwards, forwards);
	assert_int_equal(need_of(kind, &f.need), 0);
	f.need.forward = forward;
	return (decide(&f));
}

static void
each_kind_wants_its_own(void **state)
{
	static const struct {
		unsigned kind, capabilities;
		const char *forwards, *forward;
		enum reason reason;
		const char *text;
	} all[] = {
	    {ASK_SHELL, CAPABILITY_SHELL, "", NULL, REASON_NONE, ""},
	    {ASK_SHELL, ALL & ~CAPABILITY_SHELL, "", NULL, REASON_CAPABILITY,
	        "request 17 was approved without: shell"},
	    {ASK_EXEC, CAPABILITY_EXEC, "", NULL, REASON_NONE, ""},
	    {ASK_EXEC, ALL & ~CAPABILITY_EXEC, "", NULL, REASON_CAPABILITY,
	        "request 17 was approved without: exec"},
	    {ASK_SUBSYSTEM, CAPABILITY_EXEC, "", NULL, REASON_NONE, ""},
	    {ASK_SUBSYSTEM, ALL & ~CAPABILITY_EXEC, "", NULL, REASON_CAPABILITY, "without: exec"},
	    {ASK_UPLOAD, CAPABILITY_UPLOAD, "", NULL, REASON_NONE, ""},
	    {ASK_UPLOAD, ALL & ~CAPABILITY_UPLOAD, "", NULL, REASON_CAPABILITY,
	        "request 17 was approved without: upload"},
	    {ASK_DOWNLOAD, CAPABILITY_DOWNLOAD, "", NULL, REASON_NONE, ""},
	    {ASK_DOWNLOAD, ALL & ~CAPABILITY_DOWNLOAD, "", NULL, REASON_CAPABILITY, "without: download"},
	    {ASK_SFTP, CAPABILITY_UPLOAD, "", NULL, REASON_NONE, ""},
	    {ASK_SFTP, CAPABILITY_DOWNLOAD, "", NULL, REASON_NONE, ""},
	    {ASK_SFTP, CAPABILITY_SHELL | CAPABILITY_EXEC, "", NULL, REASON_CAPABILITY,
	        "request 17 was approved without: upload,download"},
	    {ASK_FORWARD, CAPABILITY_FORWARD, "cmp:8443,cmp:443", "cmp:443", REASON_NONE, ""},
	    {ASK_FORWARD, ALL, "cmp:8443", "cmp:443", REASON_FORWARD,
	        "request 17 names no forward to cmp:443; it names: cmp:8443"},
	    {ASK_FORWARD, ALL, "cmp:443", "cmp:44", REASON_FORWARD, "it names: cmp:443"},
	    {ASK_FORWARD, CAPABILITIES_CARRIED, "cmp:443", "cmp:443", REASON_FORWARD,
	        "names no forward to cmp:443"},
	    {ASK_FORWARD, CAPABILITIES_CARRIED, "", "cmp:443", REASON_FORWARD, "it names none"},
	    {ASK_SOCKET, CAPABILITY_SOCKET, "", NULL, REASON_NONE, ""},
	    {ASK_SOCKET, CAPABILITIES_CARRIED, "", NULL, REASON_CAPABILITY, "without: socket"},
	    {ASK_REVERSE, CAPABILITY_REVERSE, "", NULL, REASON_NONE, ""},
	    {ASK_REVERSE, CAPABILITIES_CARRIED, "", NULL, REASON_CAPABILITY, "without: reverse"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct verdict_made v = decided(all[i].kind, all[i].capabilities, all[i].forwards, all[i].forward);

		if (v.reason != all[i].reason || strstr(v.text, all[i].text) == NULL ||
		    v.outcome != (all[i].reason == REASON_NONE ? OUTCOME_ENTER : OUTCOME_REFUSE))
			fail_msg("row %zu: outcome %d [%s] %s", i, (int)v.outcome, reason_code(v.reason), v.text);
	}
}

static void
no_other_kind(void **state)
{
	struct need n;

	(void)state;
	assert_int_equal(need_of(0, &n), -1);
	assert_int_equal(need_of(ASK_REVERSE + 1, &n), -1);
	assert_int_equal(need_of(255, &n), -1);
}

/* Who waits would wait for a shell, and never for a forward. */
static void
a_forward_is_never_waited_for(void **state)
{
	struct person alice = {.login = "alice", .role = ROLE_ENGINEER};
	struct target osv1 = {.name = "osv1", .accounts = "svc"};
	struct grant later = {.request = 17,
	    .capabilities = ALL,
	    .forwards = "cmp:443",
	    .state = STATE_SCHEDULED,
	    .begins_at = NOW + 1000,
	    .ends_at = NOW + 2000,
	    .ends_boot = 2000};
	struct facts f = {.wall_ms = NOW,
	    .source = "",
	    .fingerprint = "",
	    .person = &alice,
	    .target = &osv1,
	    .host_keys = 1,
	    .account = "svc",
	    .need = {.all = CAPABILITY_SHELL},
	    .patience = ASKER_WAITS};

	(void)state;
	assert_int_equal(decide(&f).outcome, OUTCOME_ASK);
	f.need = (struct need){.forward = "cmp:443"};
	assert_int_equal(decide(&f).outcome, OUTCOME_REFUSE);
	assert_int_equal(decide(&f).reason, REASON_NO_GRANT);
	f.grants = &later;
	f.grant_count = 1;
	assert_int_equal(decide(&f).outcome, OUTCOME_REFUSE);
	assert_int_equal(decide(&f).reason, REASON_NOT_YET);
	f.need = (struct need){.all = CAPABILITY_SHELL};
	assert_int_equal(decide(&f).outcome, OUTCOME_WAIT);
}

/* A target without a host key, or one whose old ways were allowed until now, is not entered; what is forwarded is not its ssh. */
static void
a_target_and_its_login(void **state)
{
	static const struct {
		size_t host_keys;
		int64_t login, legacy_until;
		const char *legacy, *forward;
		enum reason reason;
		const char *text;
	} all[] = {
	    {1, 0, 0, "", NULL, REASON_NONE, ""}, {2, TARGET_KEY, 0, "", NULL, REASON_NONE, ""},
	    {0, 0, 0, "", NULL, REASON_HOST_KEY, "no host key of osv1 is pinned: target scan osv1"},
	    {0, 0, 0, "", "cmp:443", REASON_NONE, ""}, {1, TARGET_PASSWORD, NOW + 1, "", NULL, REASON_NONE, ""},
	    {1, TARGET_PASSWORD, NOW, "", NULL, REASON_LEGACY_ENDED, "was allowed until 2025-11-24 16:00:00 UTC"},
	    {1, TARGET_KEYBOARD, NOW - 1, "", NULL, REASON_LEGACY_ENDED, "target change osv1 --legacy-until"},
	    {1, TARGET_KEYBOARD, NOW - 1, "", "cmp:443", REASON_NONE, ""},
	    {1, TARGET_CERTIFICATE, NOW + 1, "ssh-rsa", NULL, REASON_NONE, ""},
	    {1, TARGET_CERTIFICATE, NOW, "ssh-rsa", NULL, REASON_LEGACY_ENDED, ""},
	    {1, TARGET_CERTIFICATE, NOW - 1, "", NULL, REASON_NONE, ""}, /* nothing old: the day does not count */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct person alice = {.login = "alice", .role = ROLE_ENGINEER};
		struct target osv1 = {
		    .name = "osv1", .accounts = "svc", .login = all[i].login, .legacy_until = all[i].legacy_until};
		struct grant g = {.capabilities = ALL,
		    .forwards = "cmp:443",
		    .state = STATE_OPEN,
		    .entered_at = NOW,
		    .ends_at = NOW + 1000,
		    .ends_boot = 1000};
		struct facts f = {.wall_ms = NOW,
		    .source = "",
		    .fingerprint = "",
		    .person = &alice,
		    .target = &osv1,
		    .host_keys = all[i].host_keys,
		    .account = "svc",
		    .need = {.forward = all[i].forward},
		    .grants = &g,
		    .grant_count = 1};
		struct verdict_made v;

		TEXT_COPY(osv1.legacy, all[i].legacy);
		v = decide(&f);
		if (v.reason != all[i].reason || (v.reason != REASON_NONE && strstr(v.text, all[i].text) == NULL))
			fail_msg("row %zu: [%s] %s", i, reason_code(v.reason), v.text);
	}
}

/* ---- places ---- */

#define LABEL "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0" /* 63 letters */

static void
places(void **state)
{
	static const struct {
		const char *text, *is; /* NULL: it is none */
	} all[] = {
	    {"cmp:443", "cmp:443"},
	    {"CMP.Example.ORG:8443", "cmp.example.org:8443"},
	    {"db_1.x-y:65535", "db_1.x-y:65535"},
	    {"7up:1", "7up:1"},
	    {"10.0.0.7:8443", "10.0.0.7:8443"},
	    {"[2001:DB8:0:0::1]:443", "[2001:db8::1]:443"},
	    {"[::1]:80", "[::1]:80"},
	    {"[::ffff:10.0.0.7]:443", "10.0.0.7:443"},
	    {LABEL "." LABEL ":1", LABEL "." LABEL ":1"},
	    /* no host, no port, or something else */
	    {"", NULL},
	    {":", NULL},
	    {"cmp", NULL},
	    {"cmp:", NULL},
	    {":443", NULL},
	    {"[]:443", NULL},
	    {"[:443", NULL},
	    {"]:443", NULL},
	    {"[cmp]:443", NULL},
	    {"[10.0.0.7]:443", NULL},
	    {"::1:443", NULL},
	    {"2001:db8::1", NULL},
	    {"[::1]", NULL},
	    {"[::1]443", NULL},
	    {"[::1%lo]:443", NULL},
	    {"[fe80::1", NULL},
	    {"cmp:443:443", NULL},
	    {"http://cmp:443", NULL},
	    {"alice@cmp:443", NULL},
	    {"*:443", NULL},
	    {"cmp:*", NULL},
	    /* ports */
	    {"cmp:0", NULL},
	    {"cmp:65536", NULL},
	    {"cmp:99999", NULL},
	    {"cmp:100443", NULL},
	    {"cmp:4294967739", NULL},
	    {"cmp:0443", NULL},
	    {"cmp:+443", NULL},
	    {"cmp:-1", NULL},
	    {"cmp: 443", NULL},
	    {"cmp:443 ", NULL},
	    {"cmp:0x1bb", NULL},
	    {"cmp:https", NULL},
	    {"cmp:22", NULL},
	    {"[::1]:22", NULL},
	    /* names */
	    {" cmp:443", NULL},
	    {"c mp:443", NULL},
	    {"cmp.:443", NULL},
	    {".cmp:443", NULL},
	    {"c..mp:443", NULL},
	    {"-cmp:443", NULL},
	    {"cmp-:443", NULL},
	    {"cm\xc3\xbc:443", NULL},
	    {"cmp\n:443", NULL},
	    {"cmp%00:443", NULL},
	    {"x" LABEL ":1", NULL},
	    {LABEL "." LABEL "." LABEL "." LABEL ":1", NULL},
	    {LABEL "." LABEL "." LABEL "." LABEL "." LABEL ":1", NULL},
	    /* addresses in disguise */
	    {"127.1:443", NULL},
	    {"2130706433:443", NULL},
	    {"0x7f000001:443", NULL},
	    {"0X7F.1:443", NULL},
	    {"10.0.0.0x7:443", NULL},
	    {"010.0.0.7:443", NULL},
	    {"10.0.0.256:443", NULL},
	    {"10.0.0.7.8:443", NULL},
	    {"0x:443", NULL},
	    {"0.0.0.0:443", NULL},
	    {"[::]:443", NULL},
	    {"[0::0]:443", NULL},
	    {"[::ffff:0.0.0.0]:443", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct forward f;
		char text[FORWARD_TEXT] = "", why[FORWARD_WHY] = "";
		int good = forward_read(&f, all[i].text, why) == 0;

		if (good)
			forward_print(&f, text);
		if (good != (all[i].is != NULL) || (good && strcmp(text, all[i].is) != 0) ||
		    (!good && why[0] == '\0'))
			fail_msg("%s: %s %s", all[i].text, text, why);
	}
}

static void
lists_of_places(void **state)
{
	static const struct {
		const char *text, *is;
	} all[] = {
	    {"cmp:443", "cmp:443"},
	    {"CMP:443,10.0.0.7:8443,[2001:db8::1]:443", "cmp:443,10.0.0.7:8443,[2001:db8::1]:443"},
	    {"cmp:443,cmp:444", "cmp:443,cmp:444"},
	    {"", NULL},
	    {",", NULL},
	    {"cmp:443,", NULL},
	    {",cmp:443", NULL},
	    {"cmp:443,,cmp:444", NULL},
	    {"cmp:443 cmp:444", NULL},
	    {"cmp:443, cmp:444", NULL},
	    {"cmp:443,CMP:443", NULL},
	    {"10.0.0.7:1,[::ffff:10.0.0.7]:1", NULL},
	    {"cmp:443,cmp:22", NULL},
	};
	char list[64], many[1024] = "", why[FORWARD_WHY], big[512];
	struct forward f;
	const char *rest;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int good = forwards_read(list, sizeof(list), all[i].text, why) == 0;

		if (good != (all[i].is != NULL) || (good && strcmp(list, all[i].is) != 0))
			fail_msg("\"%s\": %s", all[i].text, good ? list : why);
	}
	/* as many as fit, and one more */
	for (int i = 0; i < 63; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "%scmp:%d", i == 0 ? "" : ",", 100 + i);
	assert_int_equal(strlen(many), 63 * 8 - 1);
	assert_int_equal(forwards_read(big, sizeof(big), many, why), 0);
	assert_string_equal(big, many);
	assert_int_equal(forwards_read(big, strlen(many), many, why), -1);
	assert_string_equal(why, "too many at once");
	/* whole words alone are found */
	assert_int_equal(forwards_hold("cmp:443,cmp:8443", "cmp:8443"), 1);
	assert_int_equal(forwards_hold("cmp:443,cmp:8443", "cmp:44"), 0);
	assert_int_equal(forwards_hold("cmp:443,cmp:8443", "mp:443"), 0);
	assert_int_equal(forwards_hold("cmp:443,cmp:8443", "cmp:443,cmp:8443"), 0);
	assert_int_equal(forwards_hold("", "cmp:443"), 0);
	assert_int_equal(forwards_hold("", ""), 0);
	/* one after the other */
	rest = forwards_next("cmp:443,[::1]:80", &f);
	assert_string_equal(f.host, "cmp");
	assert_non_null(rest = forwards_next(rest, &f));
	assert_string_equal(f.host, "::1");
	assert_int_equal(f.port, 80);
	assert_null(forwards_next(rest, &f));
}

static void
places_of_the_gateway_itself(void **state)
{
	static const struct {
		const char *text;
		int is_local;
	} all[] = {{"localhost:80", 1}, {"web.localhost:80", 1}, {"127.0.0.1:80", 1}, {"127.9.9.9:80", 1},
	    {"[::1]:80", 1}, {"[::ffff:127.0.0.1]:80", 1}, {"cmp:80", 0}, {"127.0.0.1.example.org:80", 0},
	    {"notlocalhost:80", 0}, {"12.7.0.0:80", 0}, {"[::2]:80", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct forward f;
		char why[FORWARD_WHY];

		assert_int_equal(forward_read(&f, all[i].text, why), 0);
		if (forward_is_local(&f) != all[i].is_local)
			fail_msg("%s", all[i].text);
	}
}

const struct CMUnitTest rules[] = {cmocka_unit_test(each_kind_wants_its_own), cmocka_unit_test(no_other_kind),
    cmocka_unit_test(a_forward_is_never_waited_for), cmocka_unit_test(a_target_and_its_login),
    cmocka_unit_test(places), cmocka_unit_test(lists_of_places), cmocka_unit_test(places_of_the_gateway_itself)};
const size_t rules_count = sizeof(rules) / sizeof(rules[0]);
