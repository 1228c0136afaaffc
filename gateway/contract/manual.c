/*
 * Makes a manual page out of its template: a line `.\" TABLE name` becomes the table of the contract, in mdoc(7).
 * Built and run at build time only.  usage: contract-manual < page.in > page
 */
#include <stddef.h>
#include <stdint.h>

/* Text for mdoc: no request at a line's beginning, no escape. */
static void
text_put(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else
			putchar(*text);
	}
}

static void
item_put(const char *macro, const char *head, const char *head_more, const char *text)
{
	printf(".It %s ", macro);
	if (*macro == 'C' && head[0] == '-')
		head++; /* Fl writes the dash itself */
	text_put(head);
	if (head_more != NULL && *head_more != '\0') {
		fputs(" Ar ", stdout);
		text_put(head_more);
	}
	fputs("\n", stdout);
	text_put(text);
	fputs("\n", stdout);
}

static void
settings_table(void)
{
	fputs(".Bl -tag -width Ds\n", stdout);
#define TEXT "text"
#define PATH "path"
#define NUMBER "number"
#define SPAN "time"
#define SIZE "size"
#define YES_NO "yes | no"
#define WORDS "word ..."
#define SETTING(member, keyword, kind, least, most, preset, what)     \
	item_put("Cm", keyword, kind, what ".");                      \
	if ((preset) == NULL)                                         \
		fputs("It must be given.\n", stdout);                 \
	else if (strcmp((preset) == NULL ? "" : (preset), "") != 0) { \
		fputs("Preset: ", stdout);                            \
		text_put((preset) == NULL ? "" : (preset));           \
		fputs(".\n", stdout);                                 \
	}
#include "contract/settings.def"
	fputs(".El\n", stdout);
}

static void
roles_put(int roles)
{
	static const char *const names[] = {"engineers", "managers", "auditors", "operators"};
	const char *between = "";

	fputs("For ", stdout);
	for (int i = 0; i < 4; i++)
		if (roles & 1 << i) {
			printf("%s%s", between, names[i]);
			between = ", ";
		}
	fputs(".\n", stdout);
}

static void
option_put(const char *option, const char *value, const char *what)
{
	fputs(".Pp\n", stdout);
	text_put(option);
	if (*value != '\0') {
		putchar(' ');
		text_put(value);
	}
	fputs(":\n", stdout);
	text_put(what);
	fputs(".\n", stdout);
}

static void
commands_table(void)
{
	fputs(".Bl -tag -width Ds\n", stdout);
#define COMMAND(NAME, verb, roles, arguments, what) \
	item_put("Cm", verb, arguments, what ".");  \
	roles_put(roles);
#define OPTION(NAME, option, value, what) option_put(option, value, what);
#include "contract/commands.def"
	fputs(".El\n", stdout);
}

static void
reasons_table(void)
{
	fputs(".Bl -tag -width vendor-suspended\n", stdout);
#define REASON(number, NAME, code, status, what, todo)       \
	if ((number) != 0) {                                 \
		item_put("Cm", code, NULL, what ".");        \
		if ((status) != 0)                           \
			printf("Exit status %d.\n", status); \
		if (strcmp(todo, "") != 0) {                 \
			fputs("What to do: ", stdout);       \
			text_put(todo);                      \
			fputs(".\n", stdout);                \
		}                                            \
	}
#include "contract/reasons.def"
	fputs(".El\n", stdout);
}

static void
events_table(void)
{
	fputs(".Bl -tag -width request.withdrawn\n", stdout);
#define EVENT(number, NAME, name, category, what) item_put("Cm", name, NULL, what ".");
#include "contract/events.def"
	fputs(".El\n", stdout);
}

static void
frames_table(void)
{
	fputs(".Bl -tag -width signal-in\n", stdout);
#define FRAME(number, NAME, name, payload) item_put("Cm", name, NULL, payload ".");
#include "contract/frames.def"
	fputs(".El\n", stdout);
}

static void
processes_table(void)
{
	fputs(".Bl -tag -width lodge-recorder\n", stdout);
#define PROCESS(number, NAME, executable, user, life) \
	item_put("Cm", executable, NULL, *(user) == '\0' ? "runs as its caller." : "runs as user " user ".");
#include "contract/processes.def"
	fputs(".El\n", stdout);
}

static const struct {
	const char *name;
	void (*put)(void);
} tables[] = {
    {"settings", settings_table},
    {"commands", commands_table},
    {"reasons", reasons_table},
    {"events", events_table},
    {"frames", frames_table},
    {"processes", processes_table},
};

int
main(void)
{
	static const char mark[] = ".\\\" TABLE ";
	char line[4096];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		size_t found = sizeof(tables) / sizeof(tables[0]);

		if (strncmp(line, mark, strlen(mark)) != 0) {
			fputs(line, stdout);
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
			if (strcmp(line + strlen(mark), tables[i].name) == 0)
				found = i;
		if (found == sizeof(tables) / sizeof(tables[0])) {
			fprintf(stderr, "contract-manual: there is no table '%s'\n", line + strlen(mark));
			return (1);
		}
		tables[found].put();
	}
	return (ferror(stdin) || fflush(stdout) == EOF);
}
