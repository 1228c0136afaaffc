/*
 * Who may write pam_oath's users file now: liboath's own lock, and a login's turn.
 *
 * liboath makes FILE.lock, which must not be there yet, locks it by fcntl(2), writes FILE.new, renames it and removes
 * the lock.  It does not wait: a lock that is there is a no to whoever logs in, also one that was left behind by a
 * process that was killed.  And it reads the file before it locks it: of two people in the same moment one may be
 * refused, or what the other used be forgotten.  So each of our conversations has its turn before its modules look at
 * an answer, and takes away a lock that nobody holds.
 */
#ifndef PAM_USERS_LOCK_H
#define PAM_USERS_LOCK_H
#include <sys/types.h>

#define USERS_PATH_SIZE 4096
#define USERS_STALE_MS 2000 /* a lock that nobody has held for so long was left behind */
#define USERS_LATE_MS 2000  /* that a login waits for its turn, and no longer: who hangs harms nobody else */

struct users_lock {
	int dir; /* lent */
	int fd;
	char name[256]; /* FILE.lock */
};

/* Opens path's directory and gives the name within it.  -1 and errno. */
int users_directory(const char *path, const char **name);

/* Takes liboath's lock on dir/name, waiting wait_ms at most, and removes a FILE.new that was left behind.  -1 and errno;
 * EAGAIN: somebody else's all that time, *holder says whose (0: nobody's that can be named). */
int users_lock_take(struct users_lock *l, int dir, const char *name, int wait_ms, pid_t *holder);
void users_lock_end(struct users_lock *l);

struct users_turn {
	int fd; /* -1: not ours */
};

/* path "": there is no such file, and nothing to wait for. */
void users_turn_take(struct users_turn *t, const char *path);
void users_turn_end(struct users_turn *t);

#endif
