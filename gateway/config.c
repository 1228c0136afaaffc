#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "contract/roles.h"

#define CONFIG_MAX (1024 * 1024) /* bytes */
#define VAULT_KEY_DIGITS 64
#define VAULT_KEY_FILE_MAX 128

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

static int
digits_are_good(const struct secret *s)
{
	size_t len = s->len;

	while (len > 0 && (s->at[len - 1] == '\n' || s->at[len - 1] == '\r' || s->at[len - 1] == ' '))
		len--;
	return (
	    len == VAULT_KEY_DIGITS && strspn((const char *)s->at, "0123456789abcdefABCDEF") == VAULT_KEY_DIGITS);
}

static void
check_vault_key(struct check *c, const char *keyword, const char *path)
{
	struct secret text;
	int before = c->errors;

	check_file(c, keyword, path);
	if (c->errors > before)
		return;
	if (secret_read_file(&text, path, VAULT_KEY_FILE_MAX) == -1) {
		if (errno != EACCES || geteuid() == 0) /* it is root's, and so is the house */
			check_error(c, keyword, "%s: %s", path, strerror(errno));
		return;
	}
	if (!digits_are_good(&text))
		check_error(c, keyword,
		    "%s holds no key: 64 hexadecimal digits, as openssl rand -hex 32 prints them", path);
	secret_free(&text);
}

/* VaultKey may be missing: then no target of this site needs a secret.  VaultKeyOld is named for a reason. */
static void
check_vault(struct check *c, const struct settings *set)
{
	struct stat st;

	if (set->vault_key != NULL && set->vault_key[0] != '\0' &&
	    (stat(set->vault_key, &st) == 0 || errno != ENOENT))
		check_vault_key(c, "VaultKey", set->vault_key);
	if (set->vault_key_old != NULL && set->vault_key_old[0] != '\0')
		check_vault_key(c, "VaultKeyOld", set->vault_key_old);
}

static void
on_roles_error(void *ctx, const char *keyword, const char *why)
{
	check_error(ctx, keyword, "%s", why);
}

static void
check_settings(struct check *c, const struct settings *set)
{
	struct roles roles;

	(void)roles_read(&roles, set, on_roles_error, c);
	words_each(c, "RecordingRecipients", set->recording_recipients, check_recipient);
	words_each(c, "InputRecipients", set->input_recipients, check_recipient);
	words_each(c, "ListenAddress", set->listen_address, check_address);
	check_file(c, "HostKey", set->host_key);
	check_file(c, "UserCAKey", set->user_ca_key);
	check_file(c, "LogKey", set->log_key);
	check_file(c, "ReadingKey", set->reading_key);
	check_vault(c, set);
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
