/* What a target's row says of its login; see targets.h. */
#include <stdio.h>
#include <string.h>

#include "contract/algorithms.h"
#include "keys.h"
#include "policy.h"
#include "targets.h"
#include "times.h"
#include "words.h"

static const char *const logins[] = {[TARGET_CERTIFICATE] = "certificate",
    [TARGET_KEY] = "key",
    [TARGET_PASSWORD] = "password",
    [TARGET_KEYBOARD] = "keyboard-interactive"};
#define LOGINS (int64_t)(sizeof(logins) / sizeof(logins[0]))

enum target_login
target_login(const struct target *t)
{
	return (t->login > 0 && t->login < LOGINS ? (enum target_login)t->login : TARGET_CERTIFICATE);
}

const char *
target_login_word(enum target_login login)
{
	return (logins[login]);
}

int
target_login_read(const char *word, int64_t *login)
{
	for (int64_t i = TARGET_CERTIFICATE; i < LOGINS; i++)
		if (strcmp(logins[i], word) == 0) {
			*login = i;
			return (0);
		}
	return (-1);
}

/* Whoever learns a password may use it elsewhere; a key or a certificate proves itself anew each time. */
static int
login_is_old(const struct target *t)
{
	return (target_login(t) == TARGET_PASSWORD || target_login(t) == TARGET_KEYBOARD);
}

int
target_is_old(const struct target *t)
{
	return (login_is_old(t) || t->legacy[0] != '\0');
}

void
target_old_print(const struct target *t, char text[TARGET_OLD_TEXT])
{
	char until[TIMES_TEXT];

	text[0] = '\0';
	if (!target_is_old(t))
		return;
	moment_print(t->legacy_until, until);
	(void)snprintf(text, TARGET_OLD_TEXT, "%s%s%s%s, until %s: %s",
	    login_is_old(t) ? target_login_word(target_login(t)) : "", login_is_old(t) ? " login" : "",
	    login_is_old(t) && t->legacy[0] != '\0' ? ", " : "", t->legacy, until, t->legacy_why);
}

void
target_shown_print(const struct target *t, char text[TARGET_SHOWN_TEXT])
{
	struct key_read key;
	char when[TIMES_TEXT];

	text[0] = '\0';
	if (t->mismatch_at == 0)
		return;
	if (key_read(&key, t->mismatch_key) == -1) {
		TEXT_COPY(key.fingerprint, "of no kind that we know");
		TEXT_COPY(key.type, "?");
	}
	moment_print(t->mismatch_at, when);
	(void)snprintf(text, TARGET_SHOWN_TEXT,
	    "it showed a host key that is not pinned, %s, in session %lld: %s (%s); if it is the target's own: "
	    "target "
	    "change %s --host-key",
	    when, (long long)t->mismatch_session, key.fingerprint, key.type, t->name);
}

/* All names that --legacy takes. */
static void
old_names_print(char *to, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; algorithm_at(i) != NULL && at < size; i++)
		if (algorithm_at(i)->age == ALGORITHM_LEGACY)
			at += (size_t)snprintf(
			    to + at, size - at, "%s%s", at == 0 ? "" : ", ", algorithm_at(i)->name);
}

static int
legacy_check(struct bytes list, char why[TARGET_WHY])
{
	char name[ROW_NAME], known[TARGET_WHY - ROW_NAME - 64];

	do {
		struct bytes one = algorithm_list_next(&list);
		const struct algorithm *a = algorithm_find(one);

		if (a != NULL && a->age == ALGORITHM_LEGACY)
			continue;
		text_clean(name, sizeof(name), one);
		old_names_print(known, sizeof(known));
		if (a != NULL)
			(void)snprintf(why, TARGET_WHY, "%s is offered to every target: leave it out", name);
		else
			(void)snprintf(why, TARGET_WHY, "\"%s\" is none that there is; one or more of: %s; or none",
			    name, known);
		return (-1);
	} while (list.len > 0);
	return (0);
}

int
target_legacy_read(const char *list, char *to, char why[TARGET_WHY])
{
	struct bytes all = bytes_text(list);
	size_t at = 0;

	to[0] = '\0';
	if (strcmp(list, "none") == 0)
		return (0);
	if (legacy_check(all, why) == -1)
		return (-1);
	for (size_t i = 0; algorithm_at(i) != NULL; i++)
		if (algorithm_list_has(all, bytes_text(algorithm_at(i)->name)))
			at += (size_t)snprintf(
			    to + at, ROW_WORDS - at, "%s%s", at == 0 ? "" : ",", algorithm_at(i)->name);
	return (0);
}
