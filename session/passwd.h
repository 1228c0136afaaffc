/*
 * What a passwd program says, read for the question it ends in: pure, so that a table can be held against it.  Only the last
 * line counts, only when it ends as a question does, and each password is given once.
 */
#ifndef SESSION_PASSWD_H
#define SESSION_PASSWD_H

#include <stdint.h>

#include "base/wire.h"

#define PASSWD_SAID_MAX 4096

enum passwd_question { PASSWD_NONE, PASSWD_OLD, PASSWD_NEW, PASSWD_AGAIN };

/* Zero is one to whom nothing was said yet. */
struct passwd {
	char said[PASSWD_SAID_MAX + 1]; /* since the last answer */
	size_t len;
	uint8_t given[PASSWD_AGAIN + 1];
};

/* Takes in bytes of its output; gives how many fitted. */
size_t passwd_hear(struct passwd *p, struct bytes said);
/* The question that it waits at. */
enum passwd_question passwd_asks(const struct passwd *p);
/* 1 when that question is out of turn: asked again, or for a repetition of nothing.  What was given was refused then. */
int passwd_refuses(const struct passwd *p, enum passwd_question q);
/* It is answered. */
void passwd_answered(struct passwd *p, enum passwd_question q);

/* Blots a password out of what was said, before anybody may read it. */
void passwd_blot(struct passwd *p, struct bytes password);

#endif
