/* The vault at a start: see rekey.h. */
#include "rekey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "house.h"

struct rekey {
	struct house *house;
	struct wire names;
	size_t at; /* the next one */
	size_t seen[VAULT_FAULTS];
	size_t moved;
};

void
rekey_key(struct house *h, int fd, enum vault_which which)
{
	char why[VAULT_WHY_SIZE];

	if (vault_key_take(h->vault, fd, which, why) == -1)
		log_error("%s: %s", which == VAULT_NOW ? "VaultKey" : "VaultKeyOld", why);
}

void
rekey_end(struct house *h)
{
	if (h->rekey == NULL)
		return;
	(void)loop_forget(h->loop, h->rekey);
	wire_free(&h->rekey->names);
	free(h->rekey);
	h->rekey = NULL;
}

static void
all_said(struct house *h)
{
	const struct rekey *k = h->rekey;

	if (k->moved > 0)
		log_info("%zu secrets were moved to vault key %s", k->moved, vault_id(h->vault));
	if (k->seen[VAULT_NO_KEY] > 0)
		log_error(
		    "%zu secrets lie in the vault and there is no key to it: targets that want them cannot be "
		    "entered; give the key back (VaultKey)",
		    k->seen[VAULT_NO_KEY]);
	if (k->seen[VAULT_OTHER_KEY] > 0)
		log_error(
		    "%zu secrets want another key than VaultKey, which is %s: nothing is written until the right "
		    "key is back (VaultKey, VaultKeyOld), or the vault is moved away",
		    k->seen[VAULT_OTHER_KEY], vault_id(h->vault));
	/* What does not read may lie under it, and so may its backup. */
	if (h->set->vault_key_old[0] != '\0' && vault_id(h->vault)[0] != '\0' && k->seen[VAULT_OTHER_KEY] == 0 &&
	    k->seen[VAULT_TROUBLE] == 0 && k->seen[VAULT_DAMAGED] == 0)
		log_info("nothing lies under VaultKeyOld any more: it can be taken out of lodge.conf");
}

static enum vault_fault
one_move(struct rekey *k, const char *about)
{
	struct vault_record r;
	enum vault_fault fault = vault_rekey(k->house->vault, about);

	if (fault == VAULT_GOOD)
		k->moved++;
	if (fault == VAULT_NONE)
		fault = VAULT_GOOD; /* it lies under VaultKey already */
	if (fault == VAULT_OTHER_KEY) {
		(void)vault_load(k->house->vault, about, &r);
		log_error("the secret for %s lies under vault key %s, which is not here", about, r.id);
		vault_record_free(&r);
	} else if (fault == VAULT_DAMAGED || fault == VAULT_TROUBLE)
		log_error("the secret for %s: %s; it is kept and not used: restore auth/vault/%s in StateDirectory "
		          "from a backup, or: lodge secret remove %s",
		    about, vault_fault_words(fault), about, about);
	return (fault);
}

static void
on_next(void *ctx)
{
	struct rekey *k = ctx;
	const char *about = (const char *)k->names.at + k->at;

	if (k->at >= k->names.len) {
		all_said(k->house);
		rekey_end(k->house);
		return;
	}
	k->at += strlen(about) + 1;
	k->seen[one_move(k, about)]++;
	loop_defer(k->house->loop, on_next, k);
}

void
rekey_begin(struct house *h)
{
	rekey_end(h);
	vault_tidy(h->vault);
	if ((h->rekey = calloc(1, sizeof(*h->rekey))) == NULL)
		return;
	h->rekey->house = h;
	if (vault_names(h->vault, &h->rekey->names) == -1) {
		log_error("the vault cannot be read: %s", strerror(errno));
		h->rekey->seen[VAULT_TROUBLE]++;
	}
	loop_defer(h->loop, on_next, h->rekey);
}
