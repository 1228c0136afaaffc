/*
 * pam_oath's users file: who proves themselves with which secret, and the code that each of them used last.
 *
 * What is written here is read by liboath 2.6 (its usersfile.c; pam_oath(8)), and is rewritten by it at each login.  So
 * the form of a line and its limits are liboath's, not ours.  A file that it would not read whole is left as it is: an
 * enrolment that fails says which line is wrong, and loses nobody's secret.
 */
#ifndef PAM_USERS_FILE_H
#define PAM_USERS_FILE_H
#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"
#include "contract/tables.h"

#define USERS_SECRET_LEAST 10 /* bytes; RFC 4226 4, R6 wants 16, some tokens have 10 */
#define USERS_SECRET_MOST 32  /* liboath's buffer: a longer one would shut its owner out */
#define USERS_FILE_MOST (16 * 1024 * 1024)
#define USERS_LOCK_WAIT_MS 5000

struct users_entry {
	struct bytes user;
	struct bytes secret;    /* as it is, not in hexadecimal */
	struct bytes used_code; /* good no more; empty: none was used yet */
	int64_t at_s;           /* when it was used, since 1970 */
};

/*
 * Writes or replaces the user's line; every other line stays byte for byte.  The file is made when there is none, its
 * directory is not.  Anything but NONE: nothing was changed, and `why` (one line, size bytes) names the file, the line
 * where there is one, and the remedy.
 */
enum reason users_file_enrol(const char *path, const struct users_entry *e, char *why, size_t size);

/*
 * When the user's last code was used, in seconds since 1970; 0: never, or nobody knows.  A clock that stands before
 * that moment was set back, and codes that were used are good again as far as liboath sees.  A file that does not read
 * is told to the operator, for pam_oath itself says nothing.
 */
int64_t users_file_last_use(const char *path, const char *user);

#endif
