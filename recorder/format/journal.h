/*
 * Records of the write-ahead log: what the recorder writes before anything is forwarded, and what a recipient
 * opens when a recorder died before it could seal (files *.wal of the log and of a recovered session).
 *
 * A log file is JOURNAL_FILE_BYTES of preamble, then records, then zeros (the file is preallocated):
 *
 *	preamble  "lodge-log v1\n" and three zero bytes, u32 file number, u32 CRC-32C of the 20 bytes before
 *	record    head of JOURNAL_HEAD_BYTES, then `body` bytes
 *
 *	 0 u32 magic "LdgR"           4 u32 body bytes
 *	 8 u8 type                    9 u8 track        10 u16 zero
 *	12 u32 segment               16 16 bytes stream
 *	32 u64 connection            40 u64 record sequence within (stream, segment, track)
 *	48 u64 ring offset from      56 u64 ring offset to
 *	64 u64 next frame sequence   72 u32 zero        76 u32 CRC-32C of bytes 0..75 and the body
 *
 * All numbers big-endian.  The first record of each (stream, segment, track) is JOURNAL_HEADER, sequence 0: its
 * body is an ordinary age v1 header.  The sealed ones after it, sequence 1, 2, ..., are ChaCha20-Poly1305 with
 *	key   = HKDF-SHA256(file key of that header, no salt, "lodge-log v1")
 *	nonce = four zero bytes, then the record sequence as u64
 *	AAD   = bytes 0..75 of the record's head
 * so whoever can open the age header can open every record, one by one, and nobody else can; a record cannot be
 * moved to another place, stream or connection.  The CRC finds the torn end without any key; it proves nothing.
 */
#ifndef FORMAT_JOURNAL_H
#define FORMAT_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/ring.h"

#define JOURNAL_FILE_BYTES 24u
#define JOURNAL_HEAD_BYTES 80u
#define JOURNAL_TAG_BYTES 16u
#define JOURNAL_KEY_BYTES 32u
#define JOURNAL_FILE_KEY_BYTES 16u  /* age's file key */
#define JOURNAL_BODY_MAX (2u << 20) /* the ring is 1 MiB: no honest record is longer */

enum journal_type {
	JOURNAL_HEADER = 1, /* age header, not sealed by us */
	JOURNAL_BEGIN = 2,  /* sealed: JSON, what the recording is of and how the segment begins */
	JOURNAL_FRAMES =
	    3, /* sealed: the frames that stood in the ring at [from, to), journal_frame_next() reads them */
	JOURNAL_END = 4, /* sealed: the END frame of a stream, written by the recorder itself */
	JOURNAL_NOTE = 5 /* plain JSON of the recorder for its successor (positions, leaves); no content */
};

enum journal_track {
	JOURNAL_MAIN = 0,
	JOURNAL_INPUT = 1 /* keystrokes, to InputRecipients */
};

/* One record.  `body` is lent: on the way in plaintext, out of journal_next() what lies in the file. */
struct journal_record {
	enum journal_type type;
	enum journal_track track;
	uint8_t stream[16];
	uint32_t segment;
	uint64_t connection;
	uint64_t sequence;
	uint64_t from, to;   /* ring offsets; equal where the record holds no ring bytes */
	uint64_t next_frame; /* frame sequence expected after this record */
	const uint8_t *body;
	size_t body_len;
	/* Set by journal_next(). */
	const uint8_t *head; /* lent, JOURNAL_HEAD_BYTES */
	size_t at;           /* offset of the head in what is scanned */
};

/* The log's key of one (stream, segment, track).  0, or -1 when the library fails.  Wipe it after use. */
int journal_key(uint8_t key[JOURNAL_KEY_BYTES], const uint8_t file_key[JOURNAL_FILE_KEY_BYTES]);

/* Bytes that a record with `body_len` bytes of plaintext takes; sealed types take a tag more than plain ones. */
size_t journal_record_bytes(enum journal_type type, size_t body_len);

/* Writes the preamble of file `number` to `out` (JOURNAL_FILE_BYTES). */
void journal_preamble(uint8_t out[JOURNAL_FILE_BYTES], uint32_t number);

/* 0 and *number when `data` begins with a sound preamble, else -1. */
int journal_preamble_read(const uint8_t *data, size_t len, uint32_t *number);

/*
 * Writes one record to `out` (journal_record_bytes() long).  Sealed types take `key`; plain ones take NULL.  Gives the
 * bytes written, 0 on failure (body too long, a sealed type with sequence 0 or without key, library).
 */
size_t journal_write(uint8_t *out, const struct journal_record *r, const uint8_t key[JOURNAL_KEY_BYTES]);

enum journal_end {
	JOURNAL_MORE,     /* not at the end yet */
	JOURNAL_CLEAN,    /* ended with the file, or with its preallocated zeros */
	JOURNAL_TORN,     /* ended in a record that is cut or damaged; `at` says where */
	JOURNAL_NOT_A_LOG /* no sound preamble */
};

/* A walk over one log file in memory (lent).  Never reads past `len`, whatever the bytes are. */
struct journal_scan {
	const uint8_t *data;
	size_t len, at;
	uint32_t number;
	enum journal_end end;
};

void journal_scan_begin(struct journal_scan *s, const uint8_t *data, size_t len);

/* 1 and the next sound record, or 0 at the end of the longest valid prefix: see s->end and s->at. */
int journal_next(struct journal_scan *s, struct journal_record *r);

/*
 * After JOURNAL_TORN: looks for the next sound record behind the damage, so that a bad spot on a disk costs one
 * record of one stream and not the log.  1 when there is one (journal_next() gives it), 0 when there is none.
 */
int journal_resync(struct journal_scan *s);

/*
 * Opens a sealed record from journal_next() into `out` (r->body_len - JOURNAL_TAG_BYTES).  Gives 0, or -1 when the
 * key is not this record's or any byte of head or body was changed; `out` is then wiped.
 */
int journal_open(const struct journal_record *r, const uint8_t key[JOURNAL_KEY_BYTES], uint8_t *out);

/*
 * Frames inside the plaintext of JOURNAL_FRAMES and JOURNAL_END: u16 type, u16 zero, u32 stream, u32 channel, u32 payload
 * bytes, u64 sequence, i64 boot clock in microseconds, payload; one behind the other.
 */
#define JOURNAL_FRAME_HEAD 32u

size_t journal_frame_write(uint8_t *out, const struct ring_frame *f); /* gives JOURNAL_FRAME_HEAD + f->len */

/* Reads the frame at *offset (0 at first; f->at is lent): 1 a frame, 0 the end, -1 malformed. */
int journal_frame_next(const uint8_t *plain, size_t len, size_t *offset, struct ring_frame *f);

/* The CRC-32C (Castagnoli) of `len` bytes, going on from `crc` (0 at first). */
uint32_t journal_crc(uint32_t crc, const void *bytes, size_t len);

#endif
