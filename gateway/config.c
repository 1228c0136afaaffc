#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/secret.h"

#define CONFIG_MAX (1024 * 1024) /* bytes */

struct check {
	const char *path;
	struct secret text;
	int errors;
};

static void
on_error(void *ctx, const char *line)
{
	(void)ctx;
	fprintf(stderr, "%s\n", line);
}

static void check_error(struct check *c, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
check_error(struct check *c, const char *keyword, const char *format, ...)
{
	int line = settings_line((const char *)c->text.at, c->text.len, keyword);
	va_list args;

	if (line > 0)
		fprintf(stderr, "%s:%d: %s: ", c->path, line, keyword);
	else
		fprintf(stderr, "%s: %s: ", c->path, keyword);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	c->errors++;
}

/* Calls fn with each word of a WORDS setting. */
static void
words_each(struct check *c, const char *keyword, const char *words,
    void (*fn)(struct check *c, const char *keyword, const char *word))
{
	char word[256];

	if (words == NULL)
		return;
	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		if (len >= sizeof(word)) {
			check_error(c, keyword, "a word is longer than %zu bytes", sizeof(word) - 1);
		} else if (len > 0) {
			memcpy(word, words, len);
			word[len] = '\0';
			fn(c, keyword, word);
		}
		words += len + strspn(words + len, " ");
	}
}

static void
check_recipient(struct check *c, const char *keyword, const char *word)
{
	static const char letters[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"; /* bech32's */

	if (strncmp(word, "age1", 4) != 0 || strlen(word) != 62 || strspn(word + 4, letters) != 58)
		check_error(c, keyword, "'%s' is not an age recipient: age-keygen prints one (age1...)", word);
}

static void
check_address(struct check *c, const char *keyword, const char *word)
{
	uint8_t room[16];

	if (inet_pton(AF_INET, word, room) != 1 && inet_pton(AF_INET6, word, room) != 1)
		check_error(c, keyword, "'%s' is not a numeric address", word);
}

static void
check_file(struct check *c, const char *keyword, const char *path)
{
	struct stat st;

	if (path == NULL)
		return;
	if (stat(path, &st) == -1)
		check_error(c, keyword, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		check_error(c, keyword, "%s is not a file", path);
	else if ((st.st_mode & 077) != 0)
		check_error(c, keyword, "%s may be read by others: chmod 0400 it", path);
}

static void
check_settings(struct check *c, const struct settings *set)
{
	const char *methods = set->authentication_methods;

	if (methods != NULL && strcmp(methods, "publickey") != 0 &&
	    strcmp(methods, "publickey,keyboard-interactive") != 0)
		check_error(c, "AuthenticationMethods",
		    "'%s' is neither publickey nor publickey,keyboard-interactive", methods);
	words_each(c, "RecordingRecipients", set->recording_recipients, check_recipient);
	words_each(c, "InputRecipients", set->input_recipients, check_recipient);
	words_each(c, "ListenAddress", set->listen_address, check_address);
	check_file(c, "HostKey", set->host_key);
	check_file(c, "UserCAKey", set->user_ca_key);
	check_file(c, "LogKey", set->log_key);
	check_file(c, "ReadingKey", set->reading_key);
	if (set->disk_critical > set->disk_low)
		check_error(c, "DiskCritical", "it is more than DiskLow");
	if (set->penalty_least > set->penalty_most)
		check_error(c, "PenaltyLeast", "it is more than PenaltyMost");
}

int
config_load(const char *path, struct settings *set)
{
	struct check c = {.path = path};

	if (secret_read_file(&c.text, path, CONFIG_MAX) == -1) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return (1);
	}
	c.errors = settings_from_text(set, path, (const char *)c.text.at, c.text.len, on_error, NULL);
	check_settings(&c, set);
	secret_free(&c.text);
	return (c.errors);
}
