/* What tape.c (frames, cutting, life) and tape_seal.c (threads, shelf, leaves) share; for no other file. */
#ifndef RECORDER_TAPE_OWN_H
#define RECORDER_TAPE_OWN_H

#include "base/secret.h"
#include "format/sessionindex.h"
#include "shelf.h"
#include "tape.h"

/* A segment on its way from memory to the shelf. */
struct seal_job {
	struct seal_job *next;
	struct tape *tape;
	enum journal_track track;
	uint32_t number, events, wal_file;
	unsigned cols, rows, tries;
	uint64_t begin_ms, end_ms, payload;
	struct blob plain, header;
	struct secret file_key;
	enum { JOB_WAITING, JOB_AT_WORK, JOB_DONE } state;
	int error, recovered;
	struct segment_sealed sealed;
};

struct tape_track {
	uint32_t next; /* number of the next segment */
	uint8_t prev[32];
	struct seal_job *jobs; /* in the order of their numbers */

	/* The open segment. */
	int open;
	uint32_t number, wal_file;
	struct blob plain, header;
	struct framecast *cast;
	struct secret file_key, key;
	uint64_t sequence, payload;
	int64_t begin_boot_ms, last_boot_ms;
};

struct tape {
	/* For life. */
	struct tape_house *house; /* lent */
	uint8_t id[16];
	char rec[LEAF_REC_TEXT];
	char path[SHELF_PATH_MAX];
	uint64_t conn;
	uint32_t stream;
	char *facts;
	int64_t started_wall_ms, started_boot_ms;
	uint8_t meta[32];

	/* How far it is. */
	enum tape_state state;
	int dir;                  /* -1 until it is made */
	int logged;               /* first records durable */
	int told;                 /* session.start entered in the ledger */
	int begun;                /* session.start held */
	int ending;               /* tape_end was called */
	int heard;                /* policy was told that it is sealed */
	int busy;                 /* a thread or a sync works for it */
	int error;                /* why it failed */
	int work_error, work_dir; /* a thread's, until its done runs */
	uint16_t reason;
	struct blob meta_plain; /* until it is on the shelf */

	/* What it holds. */
	struct tape_track tracks[2];
	struct framecast_screen screen;
	struct sessionindex index;
	struct tape_receipt receipt;
};

/* tape_seal.c */
void tape_prepare(struct tape *t);                     /* directory and meta in a thread */
void tape_job_add(struct tape *t, struct seal_job *j); /* given */
void tape_jobs_go(struct tape *t);                     /* starts what waits, tells what is done, closes */
void tape_fail(struct tape *t, int error);             /* for good */

/* tape.c */
void tape_cut(struct tape *t, enum journal_track track);
int tape_note(struct tape *t, const char *what); /* "stream", "ending", "closed" */

#endif
