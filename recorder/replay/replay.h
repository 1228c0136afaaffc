/*
 * lodge-replay's acts on an exported recording, without gateway and without network.  They print for a person, to
 * standard output; what was wrong goes there too, one line each, and makes the status.
 */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include <stdio.h>

#include "format/age.h"
#include "format/files.h"
#include "format/note.h"
#include "format/player.h"

enum replay_status {
	REPLAY_GOOD = 0,
	REPLAY_FAULT = 1,  /* something is not what the book says, or does not open */
	REPLAY_USAGE = 64, /* EX_USAGE */
	REPLAY_INPUT = 66  /* EX_NOINPUT: a file that was named cannot be read */
};

struct replay_verify {
	int dir;                         /* lent */
	struct age_keyring ring;         /* lent; count 0: hashes alone */
	const struct note_key *expected; /* lent; NULL: the key inside is taken */
	FILE *out;                       /* lent */
};
enum replay_status replay_verify(const struct replay_verify *about);

/* Plays in real time until the end. */
enum replay_status replay_play(const struct player_about *about, FILE *out);

/* Lists what was carried. */
enum replay_status replay_files(const struct files_about *about, FILE *out);

#endif
