/*
 * One recording being written: a stream of one connection to one target.
 *
 * A tape has two tracks, main and input, each a row of segments.  Frames become records of the log first
 * (tape_records, then wal_append by the caller, who knows the ring) and are kept in memory as asciicast afterwards
 * (tape_keep).  A segment is cut by age, size or pause, sealed in a thread, put on the shelf, told to the book, and only
 * then let go from the log.
 *
 *	BEGINNING --durable, book holds session.start--> LIVE --tape_end--> ENDING --all sealed--> CLOSING --book holds
 *	session.end--> CLOSED		any of them --a seal fails for good--> FAILED (the log keeps it for the next start)
 *
 * Promises: on_begun comes after the first records are durable and session.start stands under a signed checkpoint;
 * segments of a track reach the book in order, each with the digest of the one before; nothing of a segment leaves the
 * log before the book holds its leaf; on_sealed comes once.
 */
#ifndef RECORDER_TAPE_H
#define RECORDER_TAPE_H

#include <stddef.h>
#include <stdint.h>

#include "format/age.h"
#include "format/framecast.h"
#include "format/journal.h"
#include "ledger.h"

#define TAPE_SEGMENT_MS (300 * 1000)
#define TAPE_SEGMENT_BYTES (256u * 1024u) /* of payload */
#define TAPE_PAUSE_MS (60 * 1000)
#define TAPE_BACKLOG_MAX 8u /* segments waiting to be sealed; more: leave the ring alone */

struct loop;
struct wal;
struct shelf;
struct works;
struct tape;

enum tape_state { TAPE_BEGINNING, TAPE_LIVE, TAPE_ENDING, TAPE_CLOSING, TAPE_CLOSED, TAPE_FAILED };

/* What every tape works with. */
struct tape_house {
	struct wal *wal;
	struct ledger *ledger;
	struct shelf *shelf;
	struct works *works;
	struct {
		struct age_recipient to[AGE_RECIPIENTS_MAX];
		size_t count;
	} recipients[2]; /* by track */
	void (*on_begun)(void *ctx, struct tape *t);
	void (*on_sealed)(void *ctx, struct tape *t); /* CLOSED or FAILED; the owner frees it, later */
	void (*on_full)(void *ctx);                   /* the disk took no more: give it room, end what is live */
	void (*on_relief)(void *ctx, struct tape *t); /* a segment was sealed: there is room for more */
	void *ctx;
};

struct tape_about {
	uint8_t id[16];
	uint64_t conn;
	uint32_t stream;
	const char *facts; /* lent; JSON object from policy, "" when not known (after a restart) */
};

/* Begins a recording: note, first records and their sync, directory, meta.  NULL and errno. */
struct tape *tape_begin(struct tape_house *house, const struct tape_about *about);

/* Records for a run of frames (journal_frame_write() one behind the other) at [from, to) of the ring, appended to `out`. */
struct tape_run {
	enum journal_track track;
	const uint8_t *frames;
	size_t size;
	uint64_t from, to, next_frame;
};
int tape_records(struct tape *t, const struct tape_run *run, struct blob *out); /* 0 or -1 */

/*
 * The note that its END frame stands before `to`, appended to `out`, for the same write as the frames and in front of them:
 * who dies between the frames and tape_end() leaves a successor that takes no END out of the ring any more.  0 or -1.
 */
int tape_ends(struct tape *t, uint16_t reason, uint64_t to, struct blob *out);

/* The records of this run are in log file `file`: keeps the frames.  0 or -1 (no memory). */
int tape_keep(struct tape *t, const struct tape_run *run, uint32_t file);

/* After all runs whose records went to the log together were kept: cuts what is big enough. */
void tape_settle(struct tape *t);

/* Cuts what is open, so that a successor finds it sealed; the recording goes on with that one. */
void tape_leave(struct tape *t);

void tape_tick(struct tape *t, int64_t boot_ms); /* cuts by age and pause */

/* Ends it.  An END frame of the session's own is in the ring already (END_SAID) or is written here. */
enum tape_end { TAPE_END_SAID, TAPE_END_WRITE };
void tape_end(struct tape *t, uint16_t reason, enum tape_end how);

/* The book holds a leaf about this tape (and, for a predecessor's, what the note said of it). */
void tape_held(struct tape *t, const struct ledger_leaf *leaf);

int tape_renote(struct tape *t); /* into a new log file; 0 or -1 */
size_t tape_backlog(const struct tape *t);

enum tape_state tape_state(const struct tape *t);
const uint8_t *tape_id(const struct tape *t);
uint64_t tape_conn(const struct tape *t);
uint32_t tape_stream(const struct tape *t);

/* For the receipt; whole after on_sealed. */
struct tape_receipt {
	uint8_t digest[32];
	uint32_t segments;
	uint64_t bytes_out, bytes_in;
	int recovered, failed;
	uint16_t reason;
	int64_t at_wall_ms;
};
const struct tape_receipt *tape_receipt(const struct tape *t);

/*
 * Policy was told of the sealing: only now may a successor forget the recording, for it would tell nobody.  Until then
 * (policy may be away) the tape is kept, and noted in each new file of the log.
 */
void tape_told(struct tape *t);
int tape_is_told(const struct tape *t); /* or never will be sealed */

int tape_is_busy(const struct tape *t); /* a thread or a sync works for it: not to be freed now */
void tape_free(struct tape *t);

/*
 * What a predecessor left of a recording (recover.c finds it).  The tape goes on with new segments, or is ended.
 * Files of unsealed segments are on the shelf already; their leaves are entered here.
 */
struct tape_segment {
	enum journal_track track;
	uint32_t number;
	int recovered;     /* a .wal */
	int told;          /* the book has it, or its leaf waits in the ledger */
	uint32_t wal_file; /* to hold until its leaf is held; 0: none */
	uint8_t sha256[32];
	uint64_t size, begin_ms, end_ms;
	uint32_t events, cols, rows;
	uint64_t payload;
};
struct tape_found {
	struct tape_about about;
	int64_t started_wall_ms, started_boot_ms;
	uint8_t meta[32];
	int begun;     /* session.start is held, or waits in the ledger */
	int end_waits; /* session.end waits in the ledger */
	int ending;
	uint16_t reason;
	const struct tape_segment *segments; /* lent; in order, main track first */
	size_t count;
};
struct tape *tape_resume(struct tape_house *house, const struct tape_found *found);

#endif
