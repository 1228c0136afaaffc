/* The files with the vault's keys, which only root may open: gateway opens them for auth, and does not read them. */
#ifndef GATEWAY_VAULT_KEY_H
#define GATEWAY_VAULT_KEY_H

#include "contract/peer.h"

/* Sends auth the file of VaultKeyOld and that of VaultKey, as far as they are there; the log says why not. */
void vault_keys_post(struct peer *auth);

#endif
