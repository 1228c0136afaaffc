/*
 * The vault at a start: its keys come from gateway, records of the old key are moved to the new one, one a turn of the loop,
 * and what does not open is said.  Killed at any point, the next start goes on where this one was.
 */
#ifndef AUTH_REKEY_H
#define AUTH_REKEY_H
#include "vault.h"

struct house;
struct rekey;

/* A key's file from gateway (fd given); what is wrong with it goes to the log. */
void rekey_key(struct house *h, int fd, enum vault_which which);
/* All keys came, or none: looks through the vault. */
void rekey_begin(struct house *h);
void rekey_end(struct house *h);

#endif
