/* vendor: organisations whose engineers come; see keep.h. */
#include <stdio.h>
#include <string.h>

#include "asks.h"
#include "base/clock.h"
#include "keep.h"
#include "keys.h"
#include "networks.h"
#include "times.h"
#include "walk.h"

static int
vendor_load(struct keeping *k)
{
	TEXT_COPY(k->vendor.name, k->name);
	return (must(k->v->policy, vendor_get(k->v->policy->store, &k->vendor)));
}

static int
vendor_read(struct keeping *k)
{
	struct vendor *w = &k->vendor;

	if (keep_date(k->v, "--from", &w->valid_from) == -1 || keep_date(k->v, "--until", &w->valid_until) == -1 ||
	    keep_networks(k->v, w->networks, sizeof(w->networks)) == -1)
		return (-1);
	if (w->valid_until == 0 || w->valid_until > w->valid_from)
		return (0);
	verb_usage(k->v, "the contract would end before it begins");
	return (-1);
}

static int
vendor_write(struct keeping *k)
{
	struct store *s = k->v->policy->store;

	return (must(k->v->policy, k->act == ACT_ADD ? vendor_add(s, &k->vendor) : vendor_set(s, &k->vendor)));
}

static int
vendor_take_away(struct keeping *k)
{
	struct policy *p = k->v->policy;
	struct rows people;
	int n = must(p, store_list(p->store, QUERY_PERSONS_OF_VENDOR, &people, ARG_TEXT(k->vendor.name)));

	if (n > 0)
		verb_refuse(k->v, REASON_STATE,
		    "vendor %s has %d people still, %s first of them; remove them, or: vendor suspend %s",
		    k->vendor.name, n, rows_at(&people, person, 0)->login, k->vendor.name);
	rows_free(&people);
	return (n > 0 ? -1 : must(p, vendor_remove(p->store, &k->vendor)));
}

static void
vendor_suspend(struct keeping *k, int64_t on)
{
	k->vendor.suspended = on;
}

static void
vendor_cut(struct keeping *k)
{
	if (k->act != ACT_SUSPEND)
		return;
	for (struct connection *c = k->v->policy->connections; c != NULL; c = c->next)
		if (strcmp(c->visitor.vendor, k->vendor.name) == 0)
			connection_cut(c, REASON_VENDOR_SUSPENDED, "");
}

static void
vendor_row(struct sheet *s, const struct vendor *w, int is_show)
{
	sheet_row(s);
	sheet_text(s, "vendor", is_show ? "Vendor" : "VENDOR", w->name);
	sheet_text(
	    s, "state", is_show ? "State" : "STATE", keep_state(w->suspended, w->valid_from, w->valid_until));
	sheet_moment(s, "from", is_show ? "From" : "", w->valid_from);
	(is_show ? sheet_moment : sheet_when)(s, "until", is_show ? "Until" : "UNTIL", w->valid_until);
	sheet_text(s, "networks", is_show ? "Networks" : "NETWORKS", w->networks);
}

static void
vendor_list(struct verb *v, struct sheet *s)
{
	struct rows found;

	must(v->policy, store_list_all(v->policy->store, QUERY_VENDORS, &found));
	for (size_t i = 0; i < found.count; i++)
		if (verb_may_see(v, rows_at(&found, vendor, i)->name))
			vendor_row(s, rows_at(&found, vendor, i), 0);
	rows_free(&found);
}

static void
vendor_show(struct keeping *k)
{
	struct sheet *s = sheet_new();
	struct rows people;
	char names[ROW_WORDS] = "";

	vendor_row(s, &k->vendor, 1);
	must(k->v->policy,
	    store_list(k->v->policy->store, QUERY_PERSONS_OF_VENDOR, &people, ARG_TEXT(k->vendor.name)));
	for (size_t i = 0, n = 0; i < people.count && n < sizeof(names); i++)
		n += (size_t)snprintf(
		    names + n, sizeof(names) - n, "%s%s", i == 0 ? "" : " ", rows_at(&people, person, i)->login);
	sheet_text(s, "people", "People", names);
	sheet_lines(s, k->v->form, &k->v->out);
	rows_free(&people);
	sheet_free(s);
}

static const char *
vendor_vendor(const struct keeping *k)
{
	return (k->vendor.name);
}

const struct kind kind_vendor = {"vendor", EVENT_VENDOR_CHANGED, vendor_load, vendor_read, NULL, vendor_write,
    vendor_take_away, vendor_suspend, vendor_cut, vendor_vendor, vendor_list, vendor_show, NULL};
