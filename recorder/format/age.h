/*
 * age v1 files (C2SP age.md) with X25519 recipients, on OpenSSL's EVP: what is written here opens with the
 * stock `age` command, and what `age` wrote to our recipients opens here.
 *
 * A file is a header (the 16-byte file key, wrapped to each recipient, under a MAC) and a payload (a 16-byte
 * nonce, then ChaCha20-Poly1305 chunks of 64 KiB).  The parser is strict: one spelling of every header, at
 * most AGE_RECIPIENTS_MAX stanzas and AGE_HEADER_MAX bytes.  Encryption to a public key authenticates
 * nobody: who wrote a file is the book's business.
 */
#ifndef FORMAT_AGE_H
#define FORMAT_AGE_H

#include "format/blob.h"

enum {
	AGE_FILE_KEY_SIZE = 16,
	AGE_KEY_SIZE = 32,
	AGE_NONCE_SIZE = 16, /* the payload's, in front of the first chunk */
	AGE_TAG_SIZE = 16,
	AGE_CHUNK_SIZE = 65536, /* plain bytes in every chunk but the last */
	AGE_RECIPIENTS_MAX = 16,
	AGE_HEADER_MAX = 8192,   /* bytes of header that we read or write */
	AGE_RECIPIENT_TEXT = 63, /* "age1..." with its NUL */
	AGE_IDENTITY_TEXT = 75   /* "AGE-SECRET-KEY-1..." with its NUL */
};

enum age_error {
	AGE_OK = 0,
	AGE_MALFORMED,     /* not an age file as the standard spells it, or past our bounds */
	AGE_TRUNCATED,     /* ends before its last chunk */
	AGE_NOT_FOR_US,    /* no stanza opens with the identities given */
	AGE_HEADER_FORGED, /* the header's MAC is wrong */
	AGE_CHUNK_FORGED,  /* a chunk's tag is wrong: age_reader_chunk() says which */
	AGE_TRAILING,      /* bytes behind the last chunk */
	AGE_SINK,          /* the sink returned non-zero */
	AGE_FAILED         /* memory or the crypto library */
};

/* "chunk authentication failed" and so on; never NULL. */
const char *age_error_text(enum age_error why);

struct age_recipient {
	unsigned char point[AGE_KEY_SIZE];
};

/* A secret: wipe with age_identity_wipe(). */
struct age_identity {
	unsigned char scalar[AGE_KEY_SIZE];
	unsigned char point[AGE_KEY_SIZE];
};

/* Keys.  Parsers take NUL-terminated text without white space; 0, or -1 when it is not such a key. */
int age_recipient_parse(struct age_recipient *recipient, const char *text);
int age_recipient_text(const struct age_recipient *recipient, char out[AGE_RECIPIENT_TEXT]);
int age_identity_parse(struct age_identity *identity, const char *text);
int age_identity_text(const struct age_identity *identity, char out[AGE_IDENTITY_TEXT]);
int age_identity_make(struct age_identity *identity); /* a fresh one */
void age_identity_wipe(struct age_identity *identity);

/*
 * A key file: one key a line, blank lines and lines beginning with '#' ignored, as `age-keygen` writes it and
 * `age -R` and `age -i` read it.  Fills at most `max`.  Returns how many (at least 1), or -1 and *line (counted
 * from 1; 0 when there was none at all) for the first bad or surplus line.
 */
int age_recipients_read(struct age_recipient *out, size_t max, const char *text, size_t size, unsigned *line);
int age_identities_read(struct age_identity *out, size_t max, const char *text, size_t size, unsigned *line);

/* A fresh random file key; 0 or -1. */
int age_file_key_make(unsigned char file_key[AGE_FILE_KEY_SIZE]);

/* Appends a whole header (to the newline behind its MAC) that wraps `file_key` to `count` recipients (1..16). */
int age_header_make(struct blob *to, const unsigned char file_key[AGE_FILE_KEY_SIZE],
    const struct age_recipient *recipients, size_t count);

/*
 * Finds where the header at `from` ends, without any key.  AGE_OK and *header_size; AGE_TRUNCATED when more
 * bytes are needed; AGE_MALFORMED.  *stanzas may be NULL.
 */
enum age_error age_header_measure(const unsigned char *from, size_t size, size_t *header_size, size_t *stanzas);

/* Opens a header with any of `count` identities: AGE_OK, the file key (wipe it) and the header's size. */
struct age_keyring {
	const struct age_identity *identities; /* lent */
	size_t count;
};
enum age_error age_header_open(const unsigned char *from, size_t size, struct age_keyring ring,
    unsigned char file_key[AGE_FILE_KEY_SIZE], size_t *header_size);

/*
 * A key for another purpose than the payload's: HKDF-SHA256(file key, no salt, info).  AGE_INFO_LOG is the
 * write-ahead log's.  Never pass "header" or "payload": those are age's own.  0 or -1.
 */
#define AGE_INFO_LOG "lodge-log v1"
int age_key_derive(
    unsigned char out[AGE_KEY_SIZE], const unsigned char file_key[AGE_FILE_KEY_SIZE], const char *info);

/* Where finished bytes go; non-zero stops the work. */
typedef int (*age_sink)(void *to, const unsigned char *bytes, size_t size);

/* A sink that appends to the struct blob `to`. */
int age_sink_blob(void *to, const unsigned char *bytes, size_t size);

/*
 * Writing a payload.  The header is written first by the caller (age_header_make with the same file key); the
 * writer emits nonce and chunks.  A file without age_writer_end() is truncated and says so when read.
 */
struct age_writer;
struct age_writer *age_writer_new(const unsigned char file_key[AGE_FILE_KEY_SIZE], age_sink sink, void *to);
enum age_error age_writer_add(struct age_writer *w, const void *plain, size_t size);
enum age_error age_writer_end(struct age_writer *w);
void age_writer_free(struct age_writer *w);

/*
 * Reading a whole file (header and payload), pushed in pieces of any size.  Plain bytes reach the sink only
 * after their chunk's tag was checked.  After any error but AGE_OK the reader only repeats it.
 */
struct age_reader;
struct age_reader *age_reader_new(struct age_keyring ring, age_sink sink, void *to);
enum age_error age_reader_add(struct age_reader *r, const unsigned char *bytes, size_t size);
enum age_error age_reader_end(struct age_reader *r);
uint64_t age_reader_chunk(const struct age_reader *r); /* the chunk at work or at fault, from 0 */
void age_reader_free(struct age_reader *r);

#endif
