/*
 * A target as far as its row says how it is entered: by what login, with which old algorithms and until when, and what host
 * key it showed in place of a pinned one.  Pure: rows in, words out.
 */
#ifndef POLICY_TARGETS_H
#define POLICY_TARGETS_H
#include "contract/messages.h"
#include "rows.h"

#define TARGET_OLD_TEXT (2 * ROW_WORDS + 160)
#define TARGET_OLD_MOST_MS \
	(731 * INT64_C(86400000)) /* so far ahead may --legacy-until lie: two years, one of them long */

enum target_login target_login(const struct target *t);
const char *target_login_word(enum target_login login); /* "certificate", ... as --login takes them */
/* -1: no such word. */
int target_login_read(const char *word, int64_t *login);
/* Nonzero: it is entered by a password, or with algorithms that are not offered to others. */
int target_is_old(const struct target *t);
/* "password login, ssh-rsa, until 2027-01-31 12:00:00 CET: to be replaced in March"; "" when nothing is old. */
void target_old_print(const struct target *t, char text[TARGET_OLD_TEXT]);

#define TARGET_SHOWN_TEXT (ROW_FINGERPRINT + 3 * ROW_NAME + 256)
/* "it showed a host key that is not pinned, WHEN in session 5: SHA256:... (ssh-ed25519); ..."; "" when it did not. */
void target_shown_print(const struct target *t, char text[TARGET_SHOWN_TEXT]);

/*
 * Reads --legacy's list into `to` (ROW_WORDS bytes) in the order of algorithms.def, each once; "none" is "".  -1 and why, one
 * line: a name that nobody knows, or that every target is offered anyhow.
 */
#define TARGET_WHY 512
int target_legacy_read(const char *list, char *to, char why[TARGET_WHY]);
#endif
