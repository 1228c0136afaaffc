/*
 * What auth knows of the connections that live, in memory that outlives it: a memfd that gateway keeps and hands to
 * each new auth.  With it a restarted auth signs the rekeys of sessions older than itself, knows who they are, and
 * remembers whose second factor is still good, which codes and session identifiers were used, and how far the FIDO keys have counted.
 *
 * Each entry has two images and a turn: an image is written whole before the turn names it, so that auth, killed at
 * any moment, leaves the one before.  Nobody but auth reads or writes here.
 */
#ifndef AUTH_LIVE_H
#define AUTH_LIVE_H
#include <stddef.h>
#include <stdint.h>

#define LIVE_LEGS 17 /* key exchanges of one connection: the outer one, and those nested in it (session/nest.h) */
#define LIVE_HASH_MAX 64 /* SHA-512 */
#define LIVE_LOGIN_SIZE 256
#define LIVE_PERSON_SIZE 65
#define LIVE_SOURCE_SIZE 64
#define LIVE_PRINT_SIZE 51
#define LIVE_KIND_SIZE 48
#define LIVE_DIGEST_BYTES 32

struct live_identifier {
	uint8_t len; /* 0: no key exchange yet */
	uint8_t at[LIVE_HASH_MAX];
};

/* One connection.  Plain bytes, zero is empty, conn is never 0 in use. */
struct live_state {
	/* from gateway */
	uint64_t conn;
	char source[LIVE_SOURCE_SIZE];
	uint16_t port;

	/* from the key exchange */
	struct live_identifier legs[LIVE_LEGS];

	/* from the login */
	uint8_t state; /* enum login_state */
	uint8_t role;
	uint8_t host_bound;
	uint8_t invited;    /* the name was an invitation's */
	uint8_t wants_code; /* their role did when their key counted */
	uint8_t unused[3];
	uint32_t factors;            /* bits of enum factor */
	uint32_t tries;              /* failed ones */
	uint32_t fresh_tries;        /* failed ones at a fresh code */
	char login[LIVE_LOGIN_SIZE]; /* as typed; "" before the first request */
	char person
	    [LIVE_PERSON_SIZE]; /* the first part of it; an invitation's: whose it is, once the key was proved */
	char fingerprint[LIVE_PRINT_SIZE];
	char key_type[LIVE_KIND_SIZE];
	int64_t at_wall_ms; /* when they were let in */
};

struct live;

/*
 * Maps the table in fd (given; -1 for memory that dies with us) with room for `connections`.  What an auth of another
 * layout left is cleared.  NULL when it cannot be mapped.
 */
struct live *live_open(int fd, size_t connections);
void live_close(struct live *l);

/* Walks what is kept: *at is 0 at first.  1 and a copy in *state, or 0 after the last. */
int live_next(const struct live *l, size_t *at, struct live_state *state);
/* Writes state under its conn.  -1 when the table is full. */
int live_keep(struct live *l, const struct live_state *state);
void live_forget(struct live *l, uint64_t conn);

/* Until when (boot clock, ms) person's second factor is good with this key from this source; 0: it is not. */
int64_t live_grace(const struct live *l, const char *person, const char *fingerprint, const char *source);
/* Gives it until then; when the table is full the one that ends first yields. */
void live_grace_give(
    struct live *l, const char *person, const char *fingerprint, const char *source, int64_t until_boot_ms);
/* Ends it for this person, whatever key and source. */
void live_grace_end(struct live *l, const char *person);

/* The key of the digests below, lent; all zero until somebody makes it. */
uint8_t *live_code_key(struct live *l);
/* A code that was good, by its digest; the oldest yields. */
void live_code_use(struct live *l, const uint8_t digest[LIVE_DIGEST_BYTES], int64_t now_boot_ms);
/* 1 when it was used since. */
int live_code_was_used(const struct live *l, const uint8_t digest[LIVE_DIGEST_BYTES], int64_t since_boot_ms);

/* The session identifier of a connection that a key let in: it lets nobody in again.  The oldest yields. */
void live_identifier_use(struct live *l, const uint8_t *at, size_t len);
int live_identifier_was_used(const struct live *l, const uint8_t *at, size_t len);

/* The highest that this FIDO key has counted here, and in *conn (may be NULL) for which connection; 0: never seen. */
uint32_t live_counter(const struct live *l, const char *fingerprint, uint64_t *conn);
/* Remembers it; when the table is full the key that was seen longest ago yields. */
void live_counter_set(
    struct live *l, const char *fingerprint, uint32_t counter, uint64_t conn, int64_t now_boot_ms);

#endif
