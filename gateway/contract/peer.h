/*
 * The other end of a link: messages of the contract over one SOCK_SEQPACKET socket, one datagram a message.
 *
 * A peer never blocks: what the socket does not take waits in memory, at most PEER_QUEUE_MAX bytes (more: the link
 * is broken).  HELLO is sent and expected by itself.  A broken link (end of file, a message that does not decode, a
 * queue too long) calls on_closed once, from the loop and never from inside a call of yours; after it only
 * peer_close is allowed.  Handlers may call peer_close on their own peer.
 */
#ifndef CONTRACT_PEER_H
#define CONTRACT_PEER_H

#include <stdint.h>

#include "contract/messages.h"

#define PEER_DATAGRAM_MAX (128 * 1024)    /* bytes of one message */
#define PEER_QUEUE_MAX (16 * 1024 * 1024) /* bytes waiting to be sent */

struct peer;
struct loop;

/* m and what it points to are lent until the handler returns.  m->fd is given: take it and set it to -1, or it is
 * closed afterwards. */
typedef void peer_on_message(struct peer *p, struct message *m, void *ctx);
/* why: "" for an orderly end of file, else one line about what was wrong. */
typedef void peer_on_closed(struct peer *p, const char *why, void *ctx);

/* fd is given.  conn: the connection it serves, 0 for none.  NULL: no memory (fd is closed). */
struct peer *peer_open(struct loop *loop, int fd, enum process me, enum process other, uint64_t conn,
    peer_on_message *on_message, peer_on_closed *on_closed, void *ctx);
void peer_close(struct peer *p); /* NULL is fine; sends what it can without waiting */

uint64_t peer_conn(const struct peer *p);
enum process peer_process(const struct peer *p);
/* uid of the process at the other end as the kernel says (SO_PEERCRED); (uint32_t)-1 when unknown. */
uint32_t peer_uid(const struct peer *p);

/* Sends m; m->fd (given, closed in any case) goes with it when the row carries one.  A message that the table forbids
 * on this way aborts: that is a bug of ours.  NULL p: the message is dropped (the link is away just now). */
void peer_send(struct peer *p, struct message *m);
#define peer_post(p, NAME, name, ...) \
	peer_send((p), &(struct message){.type = MSG_##NAME, .fd = -1, .name = {__VA_ARGS__}})
#define peer_post_fd(p, descriptor, NAME, name, ...) \
	peer_send((p), &(struct message){.type = MSG_##NAME, .fd = (descriptor), .name = {__VA_ARGS__}})

/* Blocks, without the loop, until a message of `type` comes or timeout_ms passed; hands it to `take`; others wait for
 * the loop in their order.  0; -1 on time-out or a broken link.  For a session inside libssh, and for start-up. */
int peer_wait(struct peer *p, enum message_type type, int timeout_ms, peer_on_message *take, void *ctx);

size_t peer_queued(const struct peer *p); /* bytes that wait to be sent */

#endif
