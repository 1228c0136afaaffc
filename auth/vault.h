/*
 * The vault: passwords and private keys with which targets let us in, each sealed in a file of its own.
 *
 * A file's name is TARGET+ACCOUNT.  It holds, readable: the format's version, the kind, the key's number and that name;
 * and, sealed by AES-256-GCM under VaultKey with a nonce of its own: the secret, what a rotation left beside it, and
 * when and by whom it was set.  The readable part is the seal's associated data, so that files cannot be swapped, renamed
 * or taken for another kind.  How long a secret is does not show: what is sealed is filled up.
 *
 * A record is replaced as a whole: written beside, synced, renamed, the directory synced.  Whoever is killed or loses
 * power at any moment leaves the old one or the new one.  A record that does not open is named, kept and refused: nothing
 * is written while any record wants another key than the one at hand, for that would only bury the mistake.
 *
 * Nothing is kept in memory but the keys: a record is read when it is needed and wiped by vault_record_free().
 */
#ifndef AUTH_VAULT_H
#define AUTH_VAULT_H
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/wire.h"

#define VAULT_ABOUT_SIZE 132 /* TARGET+ACCOUNT: two names of 64 bytes at most, a plus and a NUL */
#define VAULT_BY_SIZE 65
#define VAULT_ID_SIZE 17 /* a key's number: 16 hexadecimal digits of its SHA-256 */
#define VAULT_SECRET_MAX 16384
#define VAULT_WHY_SIZE 256

enum vault_kind { VAULT_PASSWORD = 1, VAULT_KEY = 2 };
/* When a password is changed after a visit. */
enum vault_rotate { VAULT_NEVER = 0, VAULT_ONCE = 1, VAULT_ALWAYS = 2 };
enum vault_which { VAULT_NOW, VAULT_OLD };

enum vault_fault {
	VAULT_GOOD,
	VAULT_NONE,      /* there is no such record */
	VAULT_NO_KEY,    /* no VaultKey was given */
	VAULT_OTHER_KEY, /* it lies under a key that is not at hand */
	VAULT_DAMAGED,   /* it does not read, or its seal is broken */
	VAULT_TROUBLE,   /* the disk says no; errno */
	VAULT_FAULTS
};

/* What lies in one file.  Zero is an empty one; vault_record_free() wipes it. */
struct vault_record {
	/* readable without a key */
	char about[VAULT_ABOUT_SIZE];
	uint8_t kind;           /* enum vault_kind */
	char id[VAULT_ID_SIZE]; /* of the key that it lies under */

	/* sealed */
	uint8_t rotate; /* enum vault_rotate */
	int64_t set_wall_ms;
	int64_t rotated_wall_ms; /* 0: never */
	int64_t used_wall_ms;    /* 0: never; to the minute */
	uint64_t turn;           /* counts the changes of what follows */
	char by[VAULT_BY_SIZE];
	struct secret current;
	struct secret pending; /* a rotation began, and may have reached the target */
	struct secret former;  /* before the last rotation; kept until the new one was seen to work */
};

struct vault;

/* A vault in `directory` (copied; its parent is there), with no key yet.  NULL: no memory. */
struct vault *vault_new(const char *directory);
void vault_free(struct vault *v);

/* Reads 64 hexadecimal digits from fd (given).  -1, and *why what is wrong and what to do. */
int vault_key_take(struct vault *v, int fd, enum vault_which which, char why[VAULT_WHY_SIZE]);
/* The number of VaultKey; "" while there is none. */
const char *vault_id(const struct vault *v);

/* 1 when `about` is TARGET+ACCOUNT, and so may be a file's name. */
int vault_about_is_good(const char *about);

/* Fills *r (empty) as far as it can: with VAULT_OTHER_KEY, and where possible with VAULT_DAMAGED, its readable part. */
enum vault_fault vault_load(const struct vault *v, const char *about, struct vault_record *r);
/* Writes r under VaultKey, durably.  Refused with the record's own fault when one of that name is there that does not open. */
enum vault_fault vault_store(const struct vault *v, const struct vault_record *r);
enum vault_fault vault_remove(const struct vault *v, const char *about);
void vault_record_free(struct vault_record *r);

/* Names of all records in order, each ended by a NUL (w empty before).  -1 and errno. */
int vault_names(const struct vault *v, struct wire *w);
/* VAULT_GOOD when a new secret may be set: there is a key, and no record wants another; else *about names the first. */
enum vault_fault vault_settable(const struct vault *v, char about[VAULT_ABOUT_SIZE]);

/* Moves one record from the old key to VaultKey: as vault_store() says.  VAULT_NONE: it lies under VaultKey already. */
enum vault_fault vault_rekey(const struct vault *v, const char *about);
/* Removes what a write that was cut short left beside the records. */
void vault_tidy(const struct vault *v);

/* For people: "it lies under another key than VaultKey". */
const char *vault_fault_words(enum vault_fault fault);

#endif
