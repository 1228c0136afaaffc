/*
 * scp's own protocol (that of BSD rcp), read along in both directions: nothing is changed and nothing is held back.
 *
 * The source sends lines C (a file), D and E (a directory begins, ends) and T (times), each of which the sink acknowledges;
 * behind an acknowledged C its bytes and a status, which the sink acknowledges too.  What the source sends ahead of an
 * acknowledgement is kept (SCP_AHEAD_MAX) and read when it has come, for only then can it be told whether it is a file or
 * a line.  What is not this protocol is entered once, and the rest passes unread.
 */
#ifndef SESSION_SCP_H
#define SESSION_SCP_H

#include "ledger.h"

#define SCP_LINE_MAX 2047 /* with its end; OpenSSH's scp reads as many, and takes the rest for the next line */
#define SCP_PATH_MAX 4096
#define SCP_AHEAD_MAX ((size_t)4 * 1024 * 1024)

/* Up: the engineer is the source, the target the sink. */
enum scp_way { SCP_UP, SCP_DOWN };

struct scp;

/* The ledger is lent and must live longer.  NULL: no memory. */
struct scp *scp_new(struct ledger *ledger, enum scp_way way, const char *command);
/* All of piece is appended to `on`.  0; -1: no memory. */
int scp_from_engineer(struct scp *s, struct bytes piece, int64_t now_ms, struct fifo *on);
int scp_from_target(struct scp *s, struct bytes piece, int64_t now_ms, struct fifo *on);
const char *scp_trouble(const struct scp *s);
void scp_end(struct scp *s, int64_t now_ms);
void scp_free(struct scp *s);

#endif
