/*
 * What the reader holds for life: the shelf's and the book's directories, the key that opens recordings, to whom what
 * it seals again is sealed, and the book's public key with the furthest checkpoint that it has seen.
 */
#ifndef READER_HOLDINGS_H
#define READER_HOLDINGS_H

#include "base/secret.h"
#include "format/age.h"
#include "format/note.h"

struct settings;

struct recipients {
	struct age_recipient to[AGE_RECIPIENTS_MAX];
	size_t count;
};

struct holdings {
	/* For life. */
	int shelf, book;             /* directories */
	struct secret identities;    /* struct age_identity[] */
	struct recipients sealed[2]; /* by enum segment_track */
	char origin[NOTE_NAME_MAX];  /* LogOrigin */

	/* Grows: a book that falls behind this one was rolled back. */
	struct note_key key; /* name "": log.pub was not read yet */
	struct checkpoint furthest;
};

#define HOLDINGS_LOG_KEY "log.pub" /* in the book's directory, as lodge-book writes it */
#define HOLDINGS_CHECKPOINT "checkpoint"

/* Opens all of it.  0; -1 and one line with the remedy in why.  holdings_close() in either case. */
int holdings_open(struct holdings *h, const struct settings *set, char *why, size_t why_size);
void holdings_close(struct holdings *h);

struct age_keyring holdings_ring(const struct holdings *h);

/*
 * Reads the book's checkpoint as it is now, and appends it to note: signed by the book's key, and the continuation of
 * every one that was seen before.  0; -1 and *why "file: what is wrong".
 */
int holdings_checkpoint(struct holdings *h, struct checkpoint *now, struct blob *note, char *why, size_t why_size);

#endif
