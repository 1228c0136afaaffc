/*
 * A transfer on the bench: steps of bytes from either side, and what came out.  A step's time is 1000 ms times its number,
 * so that facts are exact.
 */
#ifndef TESTS_SESSION_BENCH_H
#define TESTS_SESSION_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/wire.h"
#include "contract/messages.h"
#include "transfer.h"

enum { UP = CAPABILITY_UPLOAD, DOWN = CAPABILITY_DOWNLOAD, BOTH = CAPABILITY_UPLOAD | CAPABILITY_DOWNLOAD };
enum from { FROM_ENGINEER, FROM_TARGET };

struct step {
	enum from from;
	struct bytes bytes;
};

struct bench {
	struct transfer *transfer;
	struct fifo to_target, to_engineer;
	struct wire facts; /* each with its line end */
	int64_t now_ms;
	int failed; /* a call gave -1 */
	int is_sftp;
	int is_cut;        /* the same is there uncut: no seed */
	struct wire trace; /* what was fed, as a fuzzer takes it (tests/fuzz/rig.h) */
};

void bench_open(struct bench *b, enum transfer_kind kind, unsigned capabilities, const char *command);
/* Gives one piece; 0, or -1 as the transfer gave it. */
int bench_feed(struct bench *b, enum from from, const void *at, size_t len);
/* Saves bytes as a seed for a fuzzer, in the directory named by LODGE_SEEDS; without it does nothing. */
void seed_save(const char *fuzzer, struct bytes b);
/* transfer_end; what the facts are then, NUL-ended (lent). */
const char *bench_end(struct bench *b);
const char *bench_facts(struct bench *b);
void bench_close(struct bench *b);

/*
 * Appends one SFTP packet to w.  `fields`: b uint8 (int), u uint32 (unsigned), q uint64 (uint64_t), s string (const char *),
 * r raw bytes (struct bytes, no length in front).
 */
void packet_put(struct wire *w, int type, const char *fields, ...);
/* The same, straight into the bench. */
int packet_feed(struct bench *b, enum from from, int type, const char *fields, ...);

/*
 * Runs the steps whole, then with each step cut in two at each place (`cuts_max` of them at most, spread), then byte by byte.
 * What comes out must be the same each time; gives the facts (free them) and, when asked, what went to each side.
 */
char *bench_run_every_way(const struct step *steps, size_t count, enum transfer_kind kind, unsigned capabilities,
    const char *command, struct wire *to_target, struct wire *to_engineer);

/* SHA-256 in hexadecimal. */
void sha256_of(const void *at, size_t len, char hex[static 65]);
void bytes_must_equal(struct bytes a, struct bytes b);

#endif
