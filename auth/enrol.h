/*
 * Secrets for codes (TOTP, RFC 6238: SHA-1, six digits, thirty seconds): made here, shown once, and written into
 * pam_oath's users file by a lodge-pam, for only root may write there.
 *
 * A secret lies with whoever made it, who wipes it.  What shows it is given to one reader and wiped too.
 */
#ifndef AUTH_ENROL_H
#define AUTH_ENROL_H
#include "house.h"

#define ENROL_SECRET_BYTES 20 /* RFC 4226 4, R6: 160 bits */
#define ENROL_WHY_SIZE 256

/* 0; -1 when there is no randomness, and then there must be no secret. */
int enrol_secret_make(uint8_t secret[ENROL_SECRET_BYTES]);

/*
 * Appends the QR code (UTF-8 half blocks with a quiet zone, fewer than 80 columns; what is light is drawn, as
 * qrencode -t UTF8 does, for most terminals are dark) and, after an empty line, the otpauth URL, each line ended, to `to`.
 * issuer, person: what the telephone shows.  -1: no memory.
 */
int enrol_show(struct wire *to, const char *issuer, const char *person, const uint8_t secret[ENROL_SECRET_BYTES]);

/* 1 when `code` is the secret's, up to a minute early or late. */
int enrol_code_is_right(const uint8_t secret[ENROL_SECRET_BYTES], struct bytes code, int64_t wall_ms);

/*
 * Writes user's line into OATHUsersFile, in place of the one that is there.  used_code: one that is good no more, or
 * empty.  done is called once, from the loop, unless it is cancelled before: NONE, or why not, for people in `why`.
 * The secret is lent until this returns; a copy is wiped when it was sent.  NULL: no memory.
 */
struct enrol;
typedef void enrol_done(void *ctx, enum reason reason, const char *why);
struct enrol *enrol_begin(struct house *h, const char *user, const uint8_t secret[ENROL_SECRET_BYTES],
    struct bytes used_code, enrol_done *done, void *ctx);
/* done is not called any more; the file may have been written all the same.  NULL is fine. */
void enrol_cancel(struct enrol *e);

/* For house.c: gateway's answers to PAM_WANTED.  1 when it was one of ours; enrol_link then has taken fd. */
int enrol_link(struct house *h, uint64_t ask, int fd);
int enrol_gone(struct house *h, uint64_t ask);
/* For house_end(): forgets all that run. */
void enrol_end_all(struct house *h);

#endif
