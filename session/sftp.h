/*
 * SFTP, version 3, between an engineer's client and a target, ruled request by request.
 *
 * What passes, passes byte for byte, but for one number: a client that offers a later version in INIT is carried as offering
 * 3, so that both ends speak what is read here.  A request other than WRITE goes on only when it was read whole; of WRITE
 * the head is read and the payload streams.  What may not pass is swallowed whole and answered here with a STATUS, and the
 * session lives.  Answers stream behind their heads, and each must answer something that was asked and be of the kind that
 * may answer it.
 *
 * Memory is bounded whatever the peers send: SFTP_ASK_MAX of the engineer's stream, the head of one answer, the
 * tables of what is open and asked (sftp_table.h), SFTP_KEPT_MAX bytes of our own answers, and what digests keep (image.h).
 */
#ifndef SESSION_SFTP_H
#define SESSION_SFTP_H

#include "ledger.h"

#define SFTP_PACKET_MAX (256 * 1024 + 1024) /* length field of a packet, either way */
#define SFTP_ASK_MAX (20 * 1024)            /* length field of a request other than WRITE */
#define SFTP_KEPT_MAX (256 * 1024)

struct sftp;

/* The ledger is lent and must live longer.  NULL: no memory. */
struct sftp *sftp_new(struct ledger *ledger, unsigned capabilities);
/* As transfer_from_engineer, transfer_from_target. */
int sftp_from_engineer(struct sftp *s, struct bytes piece, int64_t now_ms, struct fifo *on, struct fifo *back);
int sftp_from_target(struct sftp *s, struct bytes piece, int64_t now_ms, struct fifo *on);
const char *sftp_trouble(const struct sftp *s); /* "" while all is well */
void sftp_end(struct sftp *s, int64_t now_ms);
void sftp_free(struct sftp *s);

#endif
