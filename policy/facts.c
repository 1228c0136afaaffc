/* Facts for decide, out of the database; see facts.h. */
#include <string.h>

#include "base/clock.h"
#include "facts.h"

static void
person_load(struct policy *p, struct facts_held *h, const char *login)
{
	struct facts *f = &h->facts;
	struct rows open;

	TEXT_COPY(h->person.login, login);
	f->person = must(p, person_get(p->store, &h->person)) ? &h->person : NULL;
	TEXT_COPY(h->vendor.name, h->person.vendor);
	f->vendor = f->person != NULL && h->vendor.name[0] != '\0' && must(p, vendor_get(p->store, &h->vendor))
	                ? &h->vendor
	                : NULL;
	f->open_requests = (size_t)must(p,
	    store_list(p->store, QUERY_REQUESTS_OF_PERSON_IN_STATE, &open, ARG_TEXT(login), ARG_INT(STATE_ASKED)));
	rows_free(&open);
	f->patience = ASKER_WAITS;
	f->wall_ms = clock_wall_ms();
	f->boot_ms = clock_boot_ms();
	f->high_water_ms = p->high_water_ms;
	f->shelf = p->shelf;
}

/* h->target is there, or is named and not there. */
static void
place_load(struct policy *p, struct facts_held *h, const char *account)
{
	struct facts *f = &h->facts;
	struct rows keys;

	f->host_keys = (size_t)must(p, store_list(p->store, QUERY_KEYS_OF_TARGET, &keys, ARG_TEXT(h->target.name)));
	rows_free(&keys);
	if (f->target == NULL || account_resolve(h->target.accounts, account, h->account) == -1)
		TEXT_COPY(h->account, account);
	f->account = h->account;
}

/* What they were given, and wait for, at this place. */
static void
given_load(struct policy *p, struct facts_held *h)
{
	struct facts *f = &h->facts;
	const char *login = h->person.login;

	f->grant_count = (size_t)must(
	    p, store_list(p->store, QUERY_GRANTS_FOR, &h->grants, ARG_TEXT(login), ARG_TEXT(h->target.name),
	           ARG_TEXT(h->account), ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	f->grants = rows_at(&h->grants, grant, 0);
	f->pending_count =
	    (size_t)must(p, store_list(p->store, QUERY_REQUESTS_FOR, &h->pending, ARG_TEXT(login),
	                        ARG_TEXT(h->target.name), ARG_TEXT(h->account), ARG_INT(STATE_ASKED)));
	f->pending = rows_at(&h->pending, request, 0);
}

void
facts_load(struct policy *p, struct facts_held *h, const char *login, const char *target, const char *account)
{
	*h = (struct facts_held){.facts = {.source = "", .fingerprint = ""}};
	person_load(p, h, login);
	TEXT_COPY(h->target.name, target);
	h->facts.target = must(p, target_get(p->store, &h->target)) ? &h->target : NULL;
	place_load(p, h, account);
	given_load(p, h);
}

/* ---- many places ---- */

void
facts_of(struct policy *p, struct facts_held *h, const char *login)
{
	*h = (struct facts_held){.facts = {.source = "", .fingerprint = ""}};
	person_load(p, h, login);
	must(p, store_list(p->store, QUERY_GRANTS_OF_PERSON_LIVE, &h->live, ARG_TEXT(login),
	            ARG_INT(STATE_SCHEDULED), ARG_INT(STATE_OPEN)));
	must(p, store_list(
	            p->store, QUERY_REQUESTS_OF_PERSON_IN_STATE, &h->asked, ARG_TEXT(login), ARG_INT(STATE_ASKED)));
}

/* Is there anything of theirs at this place? */
static int
place_is_theirs(const struct facts_held *h)
{
	int is = 0;

	for (size_t i = 0; i < h->live.count; i++)
		is |= strcmp(rows_at(&h->live, grant, i)->target, h->target.name) == 0 &&
		      strcmp(rows_at(&h->live, grant, i)->account, h->account) == 0;
	for (size_t i = 0; i < h->asked.count; i++)
		is |= strcmp(rows_at(&h->asked, request, i)->target, h->target.name) == 0 &&
		      strcmp(rows_at(&h->asked, request, i)->account, h->account) == 0;
	return (is);
}

void
facts_at(struct policy *p, struct facts_held *h, const struct target *t, const char *account)
{
	struct facts *f = &h->facts;

	rows_free(&h->grants);
	rows_free(&h->pending);
	f->grants = NULL;
	f->pending = NULL;
	f->grant_count = f->pending_count = 0;
	h->target = *t;
	f->target = &h->target;
	place_load(p, h, account);
	if (place_is_theirs(h))
		given_load(p, h);
}

void
facts_free(struct facts_held *h)
{
	rows_free(&h->grants);
	rows_free(&h->pending);
	rows_free(&h->live);
	rows_free(&h->asked);
}
