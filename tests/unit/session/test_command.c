/* A command line counts as a transfer only when it can be nothing else. */
#include "bench.h"
#include "command.h"

#define OTHER COMMAND_OTHER
#define SCP_UP COMMAND_SCP_UP
#define SCP_DOWN COMMAND_SCP_DOWN
#define RSYNC_UP COMMAND_RSYNC_UP
#define RSYNC_DOWN COMMAND_RSYNC_DOWN

static const struct row {
	enum command_kind kind;
	const char *line;
} rows[] = {
    /* As clients send it. */
    {SCP_UP, "scp -t /tmp/x"},
    {SCP_DOWN, "scp -f /tmp/x"},
    {SCP_UP, "scp -v -r -p -d -t ."},
    {SCP_UP, "scp -vrpdt -- -odd"},
    {SCP_UP, "scp -q -t -- -odd"},
    {SCP_DOWN, "scp -r -f *.log"},
    {SCP_DOWN, "scp -f '/tmp/it'\\''s here' \"and there\""},
    {SCP_DOWN, "scp -f ~/x ~bob/y"},
    {SCP_UP, "/usr/bin/scp -t /tmp/x"},
    {SCP_UP, "  scp\t-t   /tmp/a\\ b  "},
    {SCP_UP, "scp -t ''"},
    {OTHER, "scp -t 'a;b|c&d$(e)`f`<g>'"},   /* cmd.exe knows no such quotes */
    {OTHER, "scp -t 'a\\'';touch pwned;#'"}, /* fish does, and \\' in them */
    {OTHER, "scp -f 'a x' x!#:s/'a/b/'"},    /* csh has its history in them */
    {OTHER, "scp -t %LC_X%"},                /* cmd.exe's variables */
    {OTHER, "scp -t 'a%b'"},
    {OTHER, "scp -t a\\;b"},
    {OTHER, "scp -t \"a;b'c\""},
    {SCP_UP, "scp -t /tmp/#x=y^"},
    {SCP_UP, "scp -t /tmp/M\xfcller"},
    {SCP_UP, "scp -t -"},
    {RSYNC_UP, "rsync --server -vlogDtpre.iLsfxCIvu . /tmp/x"},
    {RSYNC_UP, "rsync --server -e.LsfxCIvu . x"},
    {RSYNC_UP,
        "rsync --server -vvlHogDtpAXrze.iLsfxCIvu --delete --numeric-ids --partial-dir .rsync-partial . /x/"},
    {RSYNC_UP, "rsync --server -logDtpre.iLsfxCIvu --log-format=%i --link-dest /old -B1024 . '/new dir/'"},
    {RSYNC_UP, "rsync --server -ltre.iLsfxCIvu --timeout=30 --bwlimit=100 --compress-choice=zstd . x"},
    {RSYNC_UP, "rsync --server -re31.14iLs --backup-dir -odd . x"},
    {RSYNC_UP, "rsync --server . x"},
    {RSYNC_DOWN, "rsync --server --sender -vlogDtpre.iLsfxCIvu . /var/log"},
    {RSYNC_DOWN, "rsync --server --sender -de.LsfxC . /var/log/ other"},
    {RSYNC_DOWN, "rsync --server --sender -logDtpre.iLsfxCIvu --files-from=- --from0 . /"},
    {RSYNC_DOWN, "rsync --server --sender -logDtpre.iLsfxCIvu --files-from /etc/list . /"},
    {RSYNC_DOWN, "/usr/local/bin/rsync --server --sender -e.L . dir/*"},

    /* A shell in a transfer. */
    {OTHER, "scp -t /tmp/x; bash"},
    {OTHER, "scp -t /tmp/x;bash"},
    {OTHER, "scp -t /tmp/x & bash"},
    {OTHER, "scp -t /tmp/x&&bash"},
    {OTHER, "scp -t /tmp/x || bash"},
    {OTHER, "scp -t /tmp/x | sh"},
    {OTHER, "scp -t /tmp/x\nbash"},
    {OTHER, "scp -t '/tmp/x\nbash'"},
    {OTHER, "scp -t /tmp/x\rbash"},
    {OTHER, "scp -t $(bash)"},
    {OTHER, "scp -t `bash`"},
    {OTHER, "scp -t \"$(bash)\""},
    {OTHER, "scp -t \"`bash`\""},
    {OTHER, "scp -t \"a\\\"b\""},
    {OTHER, "scp -t $HOME"},
    {OTHER, "scp -t <(bash)"},
    {OTHER, "scp -t > /etc/passwd"},
    {OTHER, "scp -t /tmp/x 2>/tmp/y"},
    {OTHER, "scp -t {/tmp/x,-f}"},
    {OTHER, "scp -t =bash"},
    {OTHER, "scp -t /tmp/x #"},
    {OTHER, "scp -t 'unended"},
    {OTHER, "scp -t \"unended"},
    {OTHER, "scp -t x\\"},
    {OTHER, "(scp -t /tmp/x)"},
    {OTHER, "! scp -t /tmp/x"},
    {OTHER, "{ scp -t /tmp/x"},
    {OTHER, "exec scp -t /tmp/x"},
    {OTHER, "PATH=/tmp scp -t /tmp/x"},
    {OTHER, "sudo scp -t /tmp/x"},
    {OTHER, "/tmp/scp -t /tmp/x"},
    {OTHER, "./scp -t /tmp/x"},
    {OTHER, "~/scp -t /tmp/x"},
    {OTHER, "/usr/bin/../../tmp/scp -t x"},
    {OTHER, "sc? -t /tmp/x"},
    {OTHER, "scpx -t /tmp/x"},
    {OTHER, "bash"},
    {OTHER, "bash -c 'scp -t /tmp/x'"},
    {OTHER, ""},
    {OTHER, "   "},

    /* Not scp's far end, or more than it. */
    {OTHER, "scp"},
    {OTHER, "scp -t"},
    {OTHER, "scp /tmp/x"},
    {OTHER, "scp a host:b"},
    {OTHER, "scp -t -f /tmp/x"},
    {OTHER, "scp -tf /tmp/x"},
    {OTHER, "scp -t /tmp/x -f"},
    {OTHER, "scp -t /tmp/x /tmp/y"},
    {OTHER, "scp -t *"},
    {OTHER, "scp -t -* x"},
    {OTHER, "scp -S /tmp/evil -t /tmp/x"},
    {OTHER, "scp -S/tmp/evil -t /tmp/x"},
    {OTHER, "scp -oProxyCommand=bash -t /tmp/x"},
    {OTHER, "scp -t -3 /tmp/x"},
    {OTHER, "scp --help -t x"},
    {OTHER, "scp -f /tmp/x -S/tmp/evil"},

    /* Not rsync's far end, or more than it. */
    {OTHER, "rsync"},
    {OTHER, "rsync -a x y"},
    {OTHER, "rsync --server"},
    {OTHER, "rsync --server -e.L ."},
    {OTHER, "rsync --server -e.L x y"},
    {OTHER, "rsync --server --daemon ."},
    {OTHER, "rsync --daemon --server . x"},
    {OTHER, "rsync --server --daemon -e.L . x"},
    {OTHER, "rsync --server --config=/tmp/c -e.L . x"},
    {OTHER, "rsync --server -vlogDtpre.iLs --rsh=bash . x"},
    {OTHER, "rsync --server -vlogDtpr -e bash . x"},
    {OTHER, "rsync --server -vlogDtpre 'bash -c x' . x"},
    {OTHER, "rsync --server -vlogDtpre'/bin/sh' . x"},
    {OTHER, "rsync --server -e.L --rsync-path=/tmp/evil . x"},
    {OTHER, "rsync --server -e.L --log-file=/etc/passwd . x"},
    {OTHER, "rsync --server --sender -e.L --log-file=/etc/passwd . x"},
    {OTHER, "rsync --server --sender -e.L --log-file /etc/passwd . x"},
    {OTHER, "rsync --server --sender -e.L --remove-source-files . x"},
    {OTHER, "rsync --server --sender -e.L --remove-sent-files . x"},
    {OTHER, "rsync --server --sender -e.L --delete . x"},
    {OTHER, "rsync --server --sender -e.L --backup-dir /x . x"},
    {OTHER, "rsync --server -e.L --write-batch=x . x"},
    {OTHER, "rsync --server -e.L --only-write-batch=X . x"},
    {OTHER, "rsync --server -e.L --read-batch=x . x"},
    {OTHER, "rsync --server -e.L --write-devices . x"},
    {OTHER, "rsync --server --sender -e.L --copy-devices . x"},
    {OTHER, "rsync --server -e.L --files-from=/etc/shadow . x"},
    {OTHER, "rsync --server -e.L --files-from /etc/shadow . x"},
    {OTHER, "rsync --server -e.L --early-input=x . x"},
    {OTHER, "rsync --server -se.Ls . x"},
    {OTHER, "rsync --server -s"},
    {OTHER, "rsync --server --secluded-args -e.L . x"},
    {OTHER, "rsync --server -e.L . x y"},
    {OTHER, "rsync --server -e.L . x --sender"},
    {OTHER, "rsync --server -e.L . -- x --sender"},
    {OTHER, "rsync --server -e.L --sender . x"},
    {OTHER, "rsync --server -e.L . *"},
    {OTHER, "rsync --server --sender -e.L . *"},
    {OTHER, "rsync --server -e.L --temp-dir * . x"},
    {OTHER, "rsync --server -e.L --temp-dir"},
    {OTHER, "rsync --server -e.L --timeout . x"},
    {OTHER, "rsync --server -e.L --delete=x . x"},
    {OTHER, "rsync --server -M--log-file=x -e.L . x"},
    {OTHER, "rsync --server -f/tmp/filter -e.L . x"},
    {OTHER, "rsync --server -Bx -e.L . x"},
    {OTHER, "rsync --server -e.L . x; bash"},
    {OTHER, "rsync --server -e.L . $(bash)"},
};

static void
lines_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		seed_save("command", bytes_text(rows[i].line));
		if (command_kind(rows[i].line) != rows[i].kind)
			fail_msg(
			    "%s: %d, not %d", rows[i].line, (int)command_kind(rows[i].line), (int)rows[i].kind);
	}
	assert_int_equal(command_kind(NULL), COMMAND_OTHER);
}

/* Whatever is put behind a good line, it is a transfer no more, unless all of it is part of the name. */
static void
any_byte_behind(void **state)
{
	char line[64];

	(void)state;
	for (int c = 1; c < 256; c++) {
		int is_name = c > ' ' && c != 0x7f && strchr(";&|<>()$`{}'\"\\!%", c) == NULL;
		int is_blank = c == ' ' || c == '\t';

		snprintf(line, sizeof(line), "scp -t /tmp/x%c", c);
		assert_int_equal(command_kind(line), is_name || is_blank ? COMMAND_SCP_UP : COMMAND_OTHER);
		snprintf(line, sizeof(line), "scp -t /tmp/x%cbash", c);
		assert_int_equal(command_kind(line), is_name || c == '\\' ? COMMAND_SCP_UP : COMMAND_OTHER);
	}
}

static void
words_are_unquoted(void **state)
{
	struct command c;

	(void)state;
	assert_int_equal(command_read(&c, "scp -d -f 'a b' c\\ d\"e\"'f'* ''"), COMMAND_SCP_DOWN);
	assert_int_equal(c.operands, 3);
	assert_int_equal(c.words, 6);
	assert_int_equal(c.directory, 1);
	assert_string_equal(c.word[3].text, "a b");
	assert_string_equal(c.word[4].text, "c def*");
	assert_int_equal(c.word[4].globs, 1);
	assert_int_equal(c.word[4].leads, 0);
	assert_string_equal(c.word[5].text, "");
	assert_int_equal(command_read(&c, "scp -f \\*x '*y' *z"), COMMAND_SCP_DOWN);
	assert_int_equal(c.word[2].globs, 0);
	assert_int_equal(c.word[3].globs, 0);
	assert_int_equal(c.word[4].leads, 1);
}

/* A shell splits every line that is taken into the same words. */
static void
a_shell_reads_them_so(void **state)
{
	static struct command c;
	size_t shown = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[1024], got[1024];
		int expands = 0;
		size_t len;
		FILE *shell;

		if (command_read(&c, rows[i].line) == COMMAND_OTHER)
			continue;
		for (size_t n = 0; n < c.words; n++)
			expands |= c.word[n].globs > 0 || c.word[n].text[0] == '~';
		if (expands)
			continue;
		snprintf(line, sizeof(line), "printf '%%s\\n' %s", rows[i].line);
		assert_non_null(shell = popen(line, "r"));
		len = fread(got, 1, sizeof(got) - 1, shell);
		got[len] = '\0';
		assert_int_equal(pclose(shell), 0);
		for (size_t n = 0, at = 0; n < c.words; n++) {
			size_t word = strlen(c.word[n].text);

			assert_int_equal(strncmp(got + at, c.word[n].text, word), 0);
			at += word + 1;
			assert_int_equal(got[at - 1], '\n');
			assert_true(n + 1 < c.words || at == len);
		}
		shown++;
	}
	assert_true(shown > 20);
}

static void
lengths_are_bounded(void **state)
{
	char line[2 * COMMAND_BYTES_MAX];
	size_t at;

	(void)state;
	at = (size_t)snprintf(line, sizeof(line), "scp -t ");
	memset(line + at, 'x', COMMAND_BYTES_MAX - at);
	line[COMMAND_BYTES_MAX] = '\0';
	assert_int_equal(command_kind(line), COMMAND_SCP_UP);
	line[COMMAND_BYTES_MAX] = 'x';
	line[COMMAND_BYTES_MAX + 1] = '\0';
	assert_int_equal(command_kind(line), COMMAND_OTHER);
	at = (size_t)snprintf(line, sizeof(line), "scp -f");
	for (size_t words = 2; words < COMMAND_WORDS_MAX; words++)
		at += (size_t)snprintf(line + at, sizeof(line) - at, " x");
	assert_int_equal(command_kind(line), COMMAND_SCP_DOWN);
	snprintf(line + at, sizeof(line) - at, " x");
	assert_int_equal(command_kind(line), COMMAND_OTHER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_are_told_apart),
	    cmocka_unit_test(any_byte_behind),
	    cmocka_unit_test(words_are_unquoted),
	    cmocka_unit_test(a_shell_reads_them_so),
	    cmocka_unit_test(lengths_are_bounded),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
