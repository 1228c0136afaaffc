/* One line of pam_oath's users file, read as liboath 2.6 reads it. */
#ifndef PAM_USERS_LINE_H
#define PAM_USERS_LINE_H
#include <stdint.h>

#include "base/wire.h"

enum users_line_kind {
	USERS_LINE_REMARK,  /* empty, or behind a #: liboath skips it */
	USERS_LINE_ENTRY,   /* somebody's */
	USERS_LINE_DAMAGED, /* liboath would stumble over it, or skip somebody who was meant */
};

struct users_line {
	enum users_line_kind kind;
	struct bytes user;  /* ENTRY; lent from the line */
	int64_t last_use_s; /* ENTRY; 0: never */
	const char *damage; /* DAMAGED: what is wrong, and nothing of the line itself */
};

/* line: without its end, or with it. */
struct users_line users_line_read(struct bytes line);
/* 1 for a name that liboath finds again: no blank, no control byte, not empty. */
int users_name_is_good(struct bytes user);

#endif
