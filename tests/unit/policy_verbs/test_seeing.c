/* help, menu, explain, snippet, events, status, and what is true of every verb: roles, JSON, columns. */
#include <stdio.h>
#include <unistd.h>

#include <jansson.h>

#include "bench.h"
#include "words.h"

#define KEY_AND_CODE (FACTOR_KEY | FACTOR_PAM)
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)

/* Every row of commands.def that a role has not is refused to it, whatever words follow. */
static void
roles_are_the_table(void **state)
{
	struct bench *b = bench_of(state);
	static const char *const people[] = {"alice", "maria", "otto"};
	char words[64];
	int refused = 0;

	for (int role = ROLE_ENGINEER; role <= ROLE_OPERATOR; role++) {
		struct seat *s =
		    role == ROLE_OPERATOR ? seat_root(b) : seat_login(b, people[role - 1], KEY_AND_CODE, 1);

		for (int c = 0; c < COMMAND_COUNT; c++) {
			if (command_is_for((enum command)c, role))
				continue;
			snprintf(words, sizeof(words), "%s%s", command_verb((enum command)c),
			    command_arguments((enum command)c)[0] == '\0' ||
			            command_arguments((enum command)c)[0] == '['
			        ? ""
			        : " 1");
			expect(s, words, 77, "[role]");
			refused++;
		}
	}
	assert_int_equal(events_named(b, "verb.refused"), refused);
	assert_true(refused > 25);
}

static void
everything_as_json(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	static const char *const both[] = {"help", "help approve", "menu", "snippet", "show 1"};
	static const char *const hers[] = {"requests", "requests --all", "sessions", "sessions --all", "recordings",
	    "vendor list", "vendor show unify", "person list", "person show alice", "target list",
	    "target show osv1", "status", "explain osv1 --person alice", "approve 1", "revoke 1",
	    "vendor change acme --until never"};
	char words[128];

	expect(alice, "request osv1 --json", 0, "\"request\": 1");
	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]) + sizeof(hers) / sizeof(hers[0]); i++) {
		size_t n = sizeof(both) / sizeof(both[0]);
		json_error_t error;
		json_t *o;

		snprintf(words, sizeof(words), "%s --json", i < n ? both[i] : hers[i - n]);
		if (say(maria, words) != 0)
			fail_msg("%s: %s", words, maria->err);
		if ((o = json_loads(maria->out, 0, &error)) == NULL)
			fail_msg("%s: %s: %s", words, error.text, maria->out);
		json_decref(o);
	}
	expect(alice, "menu --json", 0, "\"type\": ");
}

static void
tables_fit(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	static const char *const verbs[] = {
	    "requests", "sessions", "person list", "target list", "help", "recordings"};

	expect(alice,
	    "request osv1 --why \"a very long reason, with \xc3\xbcmlauts and all that, for which no terminal has "
	    "enough room\"",
	    0, "1");
	(void)visit_was(b, "0123456789abcdef0123456789abcdef", 1000);
	for (unsigned columns = 20; columns <= 120; columns += 33)
		for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
			maria->columns = columns;
			assert_int_equal(say(maria, verbs[i]), 0);
			for (const char *line = maria->out; *line != '\0'; line += strcspn(line, "\n") + 1) {
				size_t letters = 0;

				for (const char *c = line; *c != '\n'; c++)
					letters += ((unsigned char)*c & 0xc0) != 0x80;
				if (letters > columns && strstr(line, "wait") != line + 2 &&
				    strncmp(line, "Options", 7) != 0)
					fail_msg("%s in %u columns: %.*s", verbs[i], columns,
					    (int)strcspn(line, "\n"), line);
			}
		}
}

static void
one_screen(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	static const char *const parts[] = {"Who", "alice, Alice Engineer, of vendor unify",
	    "SHA256:a-key ssh-ed25519, first seen now", "key and code, bound to this host",
	    "192.0.2.17, first seen now", "osv1 as svc (voice node)", "shell,exec,upload,download", "Would begin",
	    "Would end", "(2h)", "CE", " UTC)", "dump", "INC1", "! they were never on osv1 before",
	    "Last visits:", "none before", "Decide: approve 1"};
	unsigned lines = 0;

	maria->zone = "Europe/Berlin";
	maria->columns = 100;
	expect(alice, "request osv1 --why dump --ticket INC1", 0, "request 1");
	expect(maria, "show 1", 0, "asked");
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strstr(maria->out, parts[i]) == NULL)
			fail_msg("\"%s\" is not on the screen:\n%s", parts[i], maria->out);
	for (const char *c = maria->out; *c != '\0'; c++)
		lines += *c == '\n';
	assert_true(lines <= 40);
	for (int i = 0; i < 7; i++) {
		char id[33];

		snprintf(id, sizeof(id), "%032x", i + 1);
		(void)visit_was(b, id, 3600000 * (i + 1));
	}
	expect(maria, "show 1", 0, "REQUEST");
	lines = 0;
	for (const char *c = strstr(maria->out, "Last visits:"); (c = strchr(c, '\n')) != NULL; c++)
		lines++;
	assert_int_equal(lines, 1 + 1 + 5 + 1); /* the heading, titles, five visits, what to type */
	assert_null(strstr(maria->out, "never on osv1"));
}

static void
events_go_by(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *maria = seat_login(b, "maria", KEY_AND_CODE, 1), *root = seat_root(b), *alice;

	expect(root, "events", 0, "person.changed");
	expect(root, "events --last 1", 0, "login maria");
	assert_null(strchr(strchr(root->out, '\n') + 1, '\n'));
	expect(root, "events --last 1 --json", 0, "{\"@timestamp\":");
	expect(root, "events --last 0", 64, "--last 0");
	say_only(maria, "events --follow --last 1");
	assert_false(maria->ended);
	alice = seat_login(b, "alice", KEY_AND_CODE, 1);
	expect(alice, "request osv1 --why watched", 0, "1");
	settle(b);
	assert_false(maria->ended);
	assert_non_null(
	    strstr(maria->out, "request.asked alice of unify from 192.0.2.17 on osv1 as svc request 1"));
	peer_post(maria->peer, VERB_GONE, verb_gone, .ask = maria->ask);
	settle(b);
	expect(maria, "requests", 0, "watched"); /* her connection lives */
	seat_leave(alice);
	expect(root, "status", 0, "lodge-recorder");
	expect(root, "status", 0, "AWAY");
	expect(root, "sessions", 0, "maria");
	assert_null(strstr(root->out, "alice"));
	expect(root, "sessions --all", 0, "alice");
}

static void
what_one_may_do(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);

	expect(alice, "help", 0, "request TARGET");
	assert_null(strstr(alice->out, "approve"));
	expect(alice, "help request", 0, "--why TEXT");
	expect(alice, "help nothing", 64, "no verb");
	expect(alice, "menu", 0, "1   osv1 as svc");
	expect(alice, "menu", 0, "request osv1 --for 2h");
	expect(alice, "explain osv1", 0, "NO   window");
	expect(alice, "explain osv9", 0, "[unknown-target]");
	expect(alice, "explain osv1 --account nobody", 0, "[unknown-account]");
	expect(maria, "explain osv1", 64, "for whom?");
	expect(maria, "explain osv1 --person alice", 0, "no approved window");
	expect(maria, "menu", 0, "approve REQUEST");
}

/* ssh without a command: the menu on a terminal, one line without; who types "menu" gets it anywhere. */
static void
a_menu_wants_a_terminal(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1);

	expect(alice, "", 64, "lodge: no command, and no terminal to show a menu on; try: ssh -t alice@lodge, or ");
	assert_string_equal(alice->out, "");
	expect(alice, "  ", 64, "no command");
	expect(alice, "menu", 0, "osv1 as svc");
	expect(alice, "menu --json", 0, "\"state\": \"ask\"");
	alice->columns = 80;
	expect(alice, "", 0, "osv1 as svc");
	expect(alice, "  ", 0, "osv1 as svc");
}

/* How often `part` stands in the text. */
static int
count_of(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		n++;
	return (n);
}

#define SHARED                                                                                                   \
	"    HostKeyAlias lodge\n    ControlMaster auto\n    ControlPath ~/.ssh/cm-%C\n    ControlPersist 10m\n" \
	"    ServerAliveInterval 15\n"

static void
what_one_pastes(void **state)
{
	struct bench *b = bench_of(state);
	struct seat *alice = seat_login(b, "alice", KEY_AND_CODE, 1),
	            *maria = seat_login(b, "maria", KEY_AND_CODE, 1);
	struct seat *root = seat_root(b);
	unsigned char blob[51] = "\0\0\0\013ssh-ed25519\0\0\0\040";
	char name[256] = "", want[1024];

	gethostname(name, sizeof(name) - 1);
	b->policy.set.port = 2022;
	expect(alice, "snippet", 0, "known_hosts is not to be had just now");
	house_link(b);
	peer_post(b->auth, HOST_KEY, host_key, .blob = bytes_of(blob, sizeof(blob)));
	settle(b);
	snprintf(
	    want, sizeof(want), "\nHost lodge\n    HostName %s\n    Port 2022\n    User alice\n%s", name, SHARED);
	expect(alice, "snippet", 0, want);
	snprintf(want, sizeof(want), "\nHost osv1\n    HostName %s\n    Port 2022\n    User alice+osv1\n%s", name,
	    SHARED);
	expect(alice, "snippet", 0, want);
	expect(
	    alice, "snippet", 0, "\nHost osv1-jump\n    HostName osv1\n    User svc\n    ProxyJump lodge\n" SHARED);
	expect(alice, "snippet", 0,
	    "\n# lodge ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	expect(alice, "snippet", 0, "ansible_user");
	expect(alice, "snippet", 0, "plink -P 2022 alice+osv1@");
	expect(alice, "snippet", 0, "WinSCP: File protocol SFTP");
	/* every line is an option, or a comment */
	for (const char *line = alice->out; *line != '\0'; line += strcspn(line, "\n") + 1)
		assert_true(*line == '\n' || *line == '#' || strncmp(line, "Host ", 5) == 0 ||
		            strncmp(line, "    ", 4) == 0);
	expect(alice, "snippet --json", 0, "\"proxy_jump\": \"lodge\"");
	assert_int_equal(count_of(alice->out, "\"form\": "), 3);
	assert_int_equal(count_of(alice->out, "\"known_hosts_key\": \"ssh-ed25519 AAAAC3"), 3);
	/* Where they come as another account, that one is named. */
	expect(alice, "request osv1 --account root", 0, "request 1");
	expect(maria, "approve 1", 0, "approved");
	expect(alice, "snippet", 0, "    User alice+osv1+root\n");
	expect(alice, "snippet", 0, "    HostName osv1\n    User root\n    ProxyJump lodge\n");
	expect(root, "target change osv1 --account svc", 0, "changed");
	expect(alice, "snippet", 0, "    User alice+osv1\n");
	expect(root, "target suspend osv1", 0, "suspended");
	expect(alice, "snippet", 0, "Host lodge\n");
	assert_null(strstr(alice->out, "osv1"));
	/* Those of the house visit nothing. */
	expect(root, "target resume osv1", 0, "resumed");
	expect(maria, "snippet", 0, "    User maria\n");
	assert_null(strstr(maria->out, "osv1"));
	expect(root, "snippet", 0, "Host lodge\n");
	assert_null(strstr(root->out, "User"));
}

const struct CMUnitTest seeing[] = {TEST(roles_are_the_table), TEST(everything_as_json), TEST(tables_fit),
    TEST(one_screen), TEST(events_go_by), TEST(what_one_may_do), TEST(a_menu_wants_a_terminal),
    TEST(what_one_pastes)};
const size_t seeing_count = sizeof(seeing) / sizeof(seeing[0]);
