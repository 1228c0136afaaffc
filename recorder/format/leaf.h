/*
 * What the book says of recordings: its leaves are canonical JSON objects (keys in the order given here, no white
 * space, no personal data), one entry each.  Recorder and book make them, reader and lodge-replay check them.
 *
 *   {"leaf":"session.start","rec":"<32 hex>","at":<Unix ms>,"meta":"<64 hex>"}
 *       meta: SHA-256 of the plain meta.json, whose random "salt" keeps it from being guessed
 *   {"leaf":"segment","rec":"...","track":"output"|"input","n":0,"name":"000000.cast.zst.age","sha256":"...",
 *    "size":1234,"prev":"<64 hex, of the track's segment before; 64 zeros for the first>","recovered":true|false}
 *       recovered: name is "000000.wal", what a killed recorder had in its log (format/journal.h)
 *   {"leaf":"session.end","rec":"...","at":...,"segments":3,"inputs":1,"sums":"<64 hex>","cause":"closed"}
 *       sums: SHA-256 of the file SHA256SUMS
 *   {"leaf":"<any other>", ...}            events, readings, exports: the book's own
 */
#ifndef FORMAT_LEAF_H
#define FORMAT_LEAF_H

#include "format/blob.h"
#include "format/segment.h"

enum { LEAF_REC_TEXT = 33, LEAF_CAUSE_MAX = 64 };

enum leaf_kind { LEAF_OTHER, LEAF_START, LEAF_SEGMENT, LEAF_END };

struct leaf {
	enum leaf_kind kind;
	char rec[LEAF_REC_TEXT];            /* 32 lower-case hex digits; "" in LEAF_OTHER */
	int64_t at_ms;                      /* start, end */
	unsigned char meta[SEGMENT_SHA256]; /* start */

	enum segment_track track; /* segment */
	uint32_t number;
	char name[SEGMENT_NAME_MAX];
	struct segment_sealed sealed;
	unsigned char prev[SEGMENT_SHA256];
	enum { LEAF_SEALED, LEAF_RECOVERED } made;

	uint32_t segments, inputs; /* end */
	unsigned char sums[SEGMENT_SHA256];
	char cause[LEAF_CAUSE_MAX]; /* a reason from reasons.def: [a-z0-9-] */
};

int leaf_write(struct blob *to, const struct leaf *leaf); /* not LEAF_OTHER; 0 or -1 */

/* 0; -1 when it is no JSON object with "leaf", or calls itself one of ours and is not spelt as leaf_write() would. */
int leaf_parse(struct leaf *leaf, const void *entry, size_t size);

#endif
