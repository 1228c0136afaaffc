/*
 * What libssh's public interface hides and Lodge needs: the one door to its private structures.
 *
 * Everything here is called on the thread and from the loop that owns the session.  Hooks are called from inside
 * libssh: they must not free, close or disconnect anything, only note what is to be done.
 */
#ifndef SESSION_SSH_MORE_H
#define SESSION_SSH_MORE_H

#include <stddef.h>
#include <stdint.h>

#include <libssh/libssh.h>
#include <libssh/server.h>

#include "base/wire.h"

/* What is kept beside one ssh_session; made by ssh_more_begin, freed by ssh_more_end before ssh_free. */
struct ssh_more_hooks {
	/* Server leg: signs an exchange hash.  Fills *signature (malloc'd, an SSH signature blob); -1: the exchange fails. */
	int (*sign)(void *ctx, struct bytes hash, uint8_t **signature, size_t *len);
	/* Server leg: verifies a key's proof; all as they came on the wire.  1 good, 0 not.  sk_flags as libssh read them. */
	int (*proof)(void *ctx, struct bytes key, struct bytes signature, struct bytes signed_data);
	/* Server leg: an authentication try that libssh would drop in silence; a failure was answered already. user is as sent ("" unknown). */
	void (*unreadable_try)(void *ctx, struct bytes user);
	/* Either leg: a channel request that libssh does not know (break, eow@openssh.com, ...); channel is NULL when it is
	 * not ours.  1: answered with success (when a reply is wanted), 0: with failure. */
	int (*unknown_request)(void *ctx, ssh_channel channel, struct bytes name, struct bytes payload);
	/* Target leg: a host key came, at the first exchange or a later one.  1 go on, 0 the exchange fails. */
	int (*host_key)(void *ctx, struct bytes key);
};

/* Hooks for a session (either leg); hooks and ctx are lent until ssh_more_end.  0, or -1: no memory.  Process-wide table, no threads. */
int ssh_more_begin(ssh_session session, const struct ssh_more_hooks *hooks, void *ctx);
/* Server leg, once ssh_handle_key_exchange() gave SSH_OK: hooks the packets of tries (50) and requests (98).  On the target leg, once connected: 98 only. */
int ssh_more_listen(ssh_session session, int is_server);
void ssh_more_end(ssh_session session);

/* Gives the bind a host key of which only the public half is here.  blob: SSH public key blob, ssh-ed25519. */
int ssh_more_public_host_key(ssh_bind sshbind, struct bytes blob);

/* The encoded terminal modes of a pty-req (RFC 4254 8), and its pixel sizes; lent until the message is freed. */
struct bytes ssh_more_pty_modes(ssh_message m, uint32_t *pixel_width, uint32_t *pixel_height);
/* Asks the target for a terminal with these modes.  As ssh_channel_request_pty_size: SSH_OK, SSH_AGAIN, SSH_ERROR. */
int ssh_more_request_pty(ssh_channel channel, const char *term, uint32_t columns, uint32_t rows, uint32_t pixel_width,
    uint32_t pixel_height, struct bytes modes);

/* Refuses a channel with our own code (RFC 4254 5.1) and text, which the client shows. 0 or -1. */
int ssh_more_refuse_channel(ssh_message m, uint32_t code, const char *text);

/* Bytes that libssh holds for the peer and has not written; and a window's bytes left towards the peer. */
size_t ssh_more_unsent(ssh_session session);

/* Counts of packets that came in, so that a peer that lives but says nothing to us can be told from a dead one. */
uint64_t ssh_more_packets_in(ssh_session session);

/* The kex and cipher in use, for the record ("mlkem768x25519-sha256", "aes256-gcm@openssh.com"); lent. */
const char *ssh_more_kex(ssh_session session);
const char *ssh_more_cipher(ssh_session session);

#endif
