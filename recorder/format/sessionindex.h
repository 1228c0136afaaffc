/*
 * index.json of a recording: where and when, never what.  Listed in SHA256SUMS like the segments, so it is written
 * last but one.  The main track's segments come first, then the input track's, each by number.
 */
#ifndef FORMAT_SESSIONINDEX_H
#define FORMAT_SESSIONINDEX_H

#include "format/blob.h"
#include "format/leaf.h"
#include "format/segment.h"

#define SESSIONINDEX_FILE "index.json"
#define SESSIONINDEX_META "meta.json.zst.age" /* who, what, why: sealed with segment_seal() */
enum { SESSIONINDEX_MAX = 32 * 1024 * 1024, SESSIONINDEX_SEGMENTS_MAX = 100000 };

struct sessionindex_segment {
	enum segment_track track;
	uint32_t number;
	struct segment_sealed sealed;
	uint64_t begin_ms, end_ms; /* since the recording began */
	uint32_t events;
	unsigned cols, rows;
	enum { SESSIONINDEX_NO_KEYFRAME, SESSIONINDEX_KEYFRAME } keyframe;
	enum { SESSIONINDEX_SEALED, SESSIONINDEX_RECOVERED } made; /* recovered: the file is NNNNNN.wal */
};

/* Zero is a valid empty value; sessionindex_free() afterwards. */
struct sessionindex {
	char rec[LEAF_REC_TEXT];
	int64_t started_ms, ended_ms; /* wall clock, Unix ms */
	char cause[LEAF_CAUSE_MAX];   /* why it ended */
	struct sessionindex_segment *segments;
	size_t count;
	size_t room;
};

int sessionindex_add(struct sessionindex *index, const struct sessionindex_segment *segment); /* 0/-1 */
int sessionindex_write(const struct sessionindex *index, struct blob *to);                    /* 0/-1 */
int sessionindex_parse(struct sessionindex *index, const void *text, size_t size);            /* 0/-1, strict */
void sessionindex_free(struct sessionindex *index);

#endif
