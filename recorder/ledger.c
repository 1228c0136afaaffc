#include "ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/blob.h"
#include "base/log.h"
#include "wal.h"

struct entry {
	struct entry *next;
	uint64_t sequence; /* 0: not numbered yet */
	struct ledger_leaf leaf;
	char json[];
};

struct ledger {
	struct ledger_owner owner;
	struct wal *wal; /* lent; NULL at first */
	struct entry *first, **last;
	size_t count;
	uint64_t next; /* sequence of the next new leaf */
	enum { AWAY, LINKED } book;
};

struct ledger *
ledger_new(const struct ledger_owner *owner)
{
	struct ledger *l = calloc(1, sizeof *l);

	if (l == NULL)
		return (NULL);
	l->owner = *owner;
	l->last = &l->first;
	l->next = 1;
	return (l);
}

void
ledger_free(struct ledger *l)
{
	struct entry *e;

	if (l == NULL)
		return;
	while ((e = l->first) != NULL) {
		l->first = e->next;
		free(e);
	}
	free(l);
}

static struct entry *
entry_add(struct ledger *l, uint64_t sequence, const struct ledger_leaf *leaf)
{
	struct entry *e = malloc(sizeof *e + leaf->json_size + 1);

	if (e == NULL)
		return (NULL);
	e->next = NULL;
	e->sequence = sequence;
	e->leaf = *leaf;
	memcpy(e->json, leaf->json, leaf->json_size);
	e->json[leaf->json_size] = '\0';
	e->leaf.json = e->json;
	*l->last = e;
	l->last = &e->next;
	l->count++;
	return (e);
}

/* {"note":"leaf",...}: what a successor needs to send it again under the same number. */
static int
intent_note(struct ledger *l, const struct entry *e)
{
	struct blob b = {0};
	int result = -1;

	if (blob_add_format(&b,
	        "{\"note\":\"leaf\",\"sequence\":%" PRIu64 ",\"kind\":%d,\"checkpoint\":%d,\"rec\":\"", e->sequence,
	        (int)e->leaf.kind, (int)e->leaf.when) == 0 &&
	    blob_add_hex(&b, e->leaf.id, 16) == 0 &&
	    blob_add_format(&b, "\",\"track\":%u,\"n\":%" PRIu32 ",\"json\":", e->leaf.track, e->leaf.number) ==
	        0 &&
	    blob_add_json(&b, e->json, e->leaf.json_size) == 0 && blob_add_text(&b, "}") == 0)
		result = wal_note(l->wal, (const char *)b.at, b.size);
	blob_free(&b);
	return (result);
}

static void
entry_send(struct ledger *l, struct entry *e)
{
	if (e->sequence == 0) {
		e->sequence = l->next;
		if (intent_note(l, e) ==
		    -1) { /* the log's owner ends things; this leaf waits for a log that writes */
			log_error("a leaf could not be noted: %s", strerror(errno));
			e->sequence = 0;
			return;
		}
		l->next++;
	}
	l->owner.send(l->owner.ctx, e->sequence, &e->leaf);
}

/* Sends from the first entry that has no number yet; order is kept, so one that cannot be noted stops the rest. */
static void
fresh_send(struct ledger *l)
{
	if (l->book != LINKED || l->wal == NULL)
		return;
	for (struct entry *e = l->first; e != NULL; e = e->next)
		if (e->sequence == 0) {
			entry_send(l, e);
			if (e->sequence == 0)
				return;
		}
}

void
ledger_log(struct ledger *l, struct wal *wal)
{
	l->wal = wal;
	fresh_send(l);
}

int
ledger_enter(struct ledger *l, const struct ledger_leaf *leaf)
{
	if (entry_add(l, 0, leaf) == NULL)
		return (-1);
	fresh_send(l);
	return (0);
}

static struct entry *
entry_find(struct ledger *l, uint64_t sequence)
{
	for (struct entry *e = l->first; e != NULL; e = e->next)
		if (e->sequence == sequence)
			return (e);
	return (NULL);
}

/* Takes an entry out; `tell` its owner or not. */
static void
entry_end(struct ledger *l, struct entry *gone, int tell)
{
	struct entry **at = &l->first;

	while (*at != gone)
		at = &(*at)->next;
	if ((*at = gone->next) == NULL)
		l->last = at;
	l->count--;
	if (tell)
		l->owner.on_held(l->owner.ctx, &gone->leaf);
	free(gone);
}

int
ledger_restore(struct ledger *l, uint64_t sequence, const struct ledger_leaf *leaf)
{
	if (sequence >= l->next)
		l->next = sequence + 1;
	if (entry_find(l, sequence) != NULL)
		return (0);
	return (entry_add(l, sequence, leaf) == NULL ? -1 : 0);
}

void
ledger_restore_held(struct ledger *l, uint64_t sequence)
{
	struct entry *e = entry_find(l, sequence);

	if (sequence >= l->next)
		l->next = sequence + 1;
	if (e != NULL)
		entry_end(l, e, 0);
}

static void
held(struct ledger *l, struct entry *e)
{
	char note[64];
	int n = snprintf(note, sizeof note, "{\"note\":\"held\",\"sequence\":%" PRIu64 "}", e->sequence);

	if (l->wal != NULL && wal_note(l->wal, note, (size_t)n) == -1)
		log_warning(
		    "the log does not take a note: %s", strerror(errno)); /* it is asked again after a restart */
	entry_end(l, e, 1);
}

void
ledger_linked(struct ledger *l, uint64_t last)
{
	struct entry *e, *next;

	l->book = LINKED;
	if (last >= l->next)
		l->next = last + 1;
	for (e = l->first; e != NULL && e->sequence != 0 && e->sequence <= last; e = next) {
		next = e->next;
		held(l, e);
	}
	for (e = l->first; e != NULL && e->sequence != 0; e = e->next)
		l->owner.send(l->owner.ctx, e->sequence, &e->leaf);
	fresh_send(l);
}

void
ledger_unlinked(struct ledger *l)
{
	l->book = AWAY;
}

void
ledger_held(struct ledger *l, uint64_t sequence)
{
	struct entry *e = sequence == 0 ? NULL : entry_find(l, sequence);

	if (e != NULL)
		held(l, e);
}

int
ledger_renote(struct ledger *l)
{
	for (struct entry *e = l->first; e != NULL; e = e->next)
		if (e->sequence != 0 && intent_note(l, e) == -1)
			return (-1);
	return (0);
}

int
ledger_waits(const struct ledger *l, enum ledger_kind kind, const uint8_t id[16], uint8_t track, uint32_t number)
{
	for (const struct entry *e = l->first; e != NULL; e = e->next)
		if (e->leaf.kind == kind && memcmp(e->leaf.id, id, 16) == 0 &&
		    (kind != LEDGER_SEGMENT || (e->leaf.track == track && e->leaf.number == number)))
			return (1);
	return (0);
}

size_t
ledger_count(const struct ledger *l)
{
	return (l->count);
}
