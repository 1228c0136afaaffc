/*
 * What the recorder tells the book: its leaves, each numbered, each told until the book says that it holds it.
 *
 * Promises: leaves reach the book in the order of entering; a leaf that was ever sent is sent again after a restart
 * under the same number (a note in the log stands before the sending), so the book has it exactly once; nothing is
 * numbered before the book said where it stands.
 */
#ifndef RECORDER_LEDGER_H
#define RECORDER_LEDGER_H

#include <stddef.h>
#include <stdint.h>

struct ledger;
struct wal;

enum ledger_kind { LEDGER_START = 1, LEDGER_SEGMENT = 2, LEDGER_END = 3 };

struct ledger_leaf {
	enum ledger_kind kind;
	enum { LEDGER_DURABLE, LEDGER_CHECKPOINT } when; /* what must be before the book answers */
	uint8_t id[16];                                  /* the recording */
	uint8_t track;                                   /* of a segment */
	uint32_t number;
	uint32_t wal_file; /* held until the book holds the leaf; 0: none */
	const char *json;  /* lent */
	size_t json_size;
};

struct ledger_owner {
	void (*on_held)(void *ctx, const struct ledger_leaf *leaf);
	void (*send)(void *ctx, uint64_t sequence, const struct ledger_leaf *leaf);
	void *ctx;
};

struct ledger *ledger_new(const struct ledger_owner *owner);
void ledger_free(struct ledger *l);

/* The log in which intents are noted; before it is given nothing is sent. */
void ledger_log(struct ledger *l, struct wal *wal);

int ledger_enter(struct ledger *l, const struct ledger_leaf *leaf); /* 0; -1: no memory */

/* An intent found in a predecessor's log, in the log's order; and that the book held it. */
int ledger_restore(struct ledger *l, uint64_t sequence, const struct ledger_leaf *leaf);
void ledger_restore_held(struct ledger *l, uint64_t sequence);

void ledger_linked(struct ledger *l, uint64_t last); /* the book is there, and holds up to `last` */
void ledger_unlinked(struct ledger *l);
void ledger_held(struct ledger *l, uint64_t sequence);
int ledger_renote(struct ledger *l); /* all intents into the log's new file; 0 or -1 */

/* 1 when a leaf of this kind about this recording (and, for a segment, track and number) waits to be held. */
int ledger_waits(
    const struct ledger *l, enum ledger_kind kind, const uint8_t id[16], uint8_t track, uint32_t number);
size_t ledger_count(const struct ledger *l);

#endif
