/* Facts for decide, out of the database; see facts.h. */
#include <string.h>

#include "base/clock.h"
#include "facts.h"

void
facts_load(struct policy *p, struct facts_held *h, const char *login, const char *target, const char *account)
{
	struct facts *f = &h->facts;
	struct rows open, keys;

	*h = (struct facts_held){.facts = {.source = "", .fingerprint = ""}};
	TEXT_COPY(h->person.login, login);
	TEXT_COPY(h->target.name, target);
	f->person = must(p, person_get(p->store, &h->person)) ? &h->person : NULL;
	TEXT_COPY(h->vendor.name, h->person.vendor);
	f->vendor = f->person != NULL && h->vendor.name[0] != '\0' && must(p, vendor_get(p->store, &h->vendor))
	                ? &h->vendor
	                : NULL;
	f->target = must(p, target_get(p->store, &h->target)) ? &h->target : NULL;
	f->host_keys = (size_t)must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(h->target.name)));
	rows_free(&keys);
	if (f->target == NULL || account_resolve(h->target.accounts, account, h->account) == -1)
		TEXT_COPY(h->account, account);
	f->account = h->account;
	f->grant_count = (size_t)must(
	    p, store_list(p->store, QUERY_GRANTS_FOR, &h->grants, ARG_TEXT(login), ARG_TEXT(h->target.name),
	           ARG_TEXT(h->account), ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	f->grants = rows_at(&h->grants, grant, 0);
	f->pending_count =
	    (size_t)must(p, store_list(p->store, QUERY_REQUESTS_FOR, &h->pending, ARG_TEXT(login),
	                        ARG_TEXT(h->target.name), ARG_TEXT(h->account), ARG_INT(STATE_ASKED)));
	f->pending = rows_at(&h->pending, request, 0);
	f->open_requests = (size_t)must(p,
	    store_list(p->store, QUERY_REQUESTS_OF_PERSON_IN_STATE, &open, ARG_TEXT(login), ARG_INT(STATE_ASKED)));
	rows_free(&open);
	f->patience = ASKER_WAITS;
	f->wall_ms = clock_wall_ms();
	f->boot_ms = clock_boot_ms();
	f->high_water_ms = p->high_water_ms;
	f->shelf = p->shelf;
}

void
facts_free(struct facts_held *h)
{
	rows_free(&h->grants);
	rows_free(&h->pending);
}
