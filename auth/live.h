/*
 * What auth knows of the connections that live, in memory that outlives it: a memfd that gateway keeps and hands to
 * each new auth.  With it a restarted auth signs the rekeys of sessions older than itself, knows who they are, and
 * remembers whose second factor is still good.
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
	uint8_t unused;
	uint32_t factors;              /* bits of enum factor */
	uint32_t tries;                /* failed ones */
	char login[LIVE_LOGIN_SIZE];   /* as typed; "" before the first request */
	char person[LIVE_PERSON_SIZE]; /* the first part of it */
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

#endif
