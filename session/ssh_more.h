/*
 * What libssh's public interface hides and Lodge needs: the one door to its private structures.
 *
 * Everything here is called on the thread and from the loop that owns the session.  Hooks are called from inside
 * libssh: they must not free, close or disconnect anything, only note what is to be done.  sign and proof may wait.
 */
#ifndef SESSION_SSH_MORE_H
#define SESSION_SSH_MORE_H

#include <stddef.h>
#include <stdint.h>

#include <libssh/libssh.h>
#include <libssh/server.h>

#include "base/wire.h"

/* What unknown_request answers. */
#define SSH_MORE_REFUSED 0
#define SSH_MORE_DONE 1
#define SSH_MORE_LATER \
	2 /* it comes as a message of type SSH_CHANNEL_REQUEST_UNKNOWN, in its turn, to be answered then */

/* Every hook may be NULL; all bytes are lent for the call.  The leg is libssh's role: server or target (client). */
struct ssh_more_hooks {
	/* Server leg: signs an exchange hash.  Fills *signature (malloc'd, an SSH signature blob); -1: the exchange fails.
	 * Without it no exchange of a session that holds only a public host key succeeds. */
	int (*sign)(void *ctx, struct bytes hash, uint8_t **signature, size_t *len);
	/* Server leg: verifies a key's proof, in libssh's stead; key and signature as they came on the wire (with a FIDO
	 * key's flags and counter), signed_data as RFC 4252 7 and PROTOCOL 3.1 (host-bound) build it.  1 good, 0 not. */
	int (*proof)(void *ctx, struct bytes key, struct bytes signature, struct bytes signed_data);
	/* Server leg: a try that libssh would drop in silence (malformed, a key it does not know, a wrong signature: so
	 * also after proof said 0); a failure was answered already.  user is as sent ("" unknown). */
	void (*unreadable_try)(void *ctx, struct bytes user);
	/* Either leg: a channel request that libssh does not know (break, eow@openssh.com, auth-agent-req@openssh.com, ...;
	 * on the target leg all but exit-status, exit-signal and keepalives); channel is NULL when it is not ours.  Answers
	 * SSH_MORE_*.  It runs when the packet is read: requests that libssh knows come later, as messages, so an answer
	 * given here can overtake theirs; LATER keeps the order. */
	int (*unknown_request)(void *ctx, ssh_channel channel, struct bytes name, struct bytes payload);
	/* Target leg: a host key proved itself, at the first exchange or a later one.  1 go on, 0 the exchange fails. */
	int (*host_key)(void *ctx, struct bytes key);
};

/* Hooks for a session (either leg), before its first exchange; hooks and ctx are lent until ssh_more_end.  0, or -1:
 * no memory.  The message queue must be used: no server callbacks, no message callback.  Takes libssh's raw counter. */
int ssh_more_begin(ssh_session session, const struct ssh_more_hooks *hooks, void *ctx);
/* Once the exchange is done (server), or connected (target): 0 when the hooks stand before libssh's own; else -1. */
int ssh_more_listen(ssh_session session, int is_server);
/* Before ssh_free.  A session that never began is fine. */
void ssh_more_end(ssh_session session);

/* Gives the bind a host key of which only the public half is here.  blob: SSH public key blob, ssh-ed25519.  0 or -1. */
int ssh_more_public_host_key(ssh_bind sshbind, struct bytes blob);

/* The key of a publickey message: signature algorithm as named by the client (lent until the message is freed), and
 * the key's blob (malloc'd, yours; a certificate whole).  0 or -1. */
int ssh_more_offered_key(ssh_message m, struct bytes *algorithm, uint8_t **key, size_t *len);

/* The encoded terminal modes of a pty-req (RFC 4254 8), lent until the message is freed; and the pixel sizes of a
 * pty-req or window-change.  Anything else: empty and 0. */
struct bytes ssh_more_pty_modes(ssh_message m, uint32_t *pixel_width, uint32_t *pixel_height);
/* Asks the target for a terminal with these modes.  As ssh_channel_request_pty_size: SSH_OK, SSH_AGAIN, SSH_ERROR. */
int ssh_more_request_pty(ssh_channel channel, const char *term, uint32_t columns, uint32_t rows,
    uint32_t pixel_width, uint32_t pixel_height, struct bytes modes);
/* Tells the target of a new size; nothing is answered, and an unanswered request does not stand in its way. 0 or -1. */
int ssh_more_resize(
    ssh_channel channel, uint32_t columns, uint32_t rows, uint32_t pixel_width, uint32_t pixel_height);

/* Sends the target a request without a payload that it need not answer. 0 or -1. */
int ssh_more_request(ssh_channel channel, const char *name);

/* The type that a channel of libssh's type UNKNOWN was asked for with ("direct-streamlocal@openssh.com"); "" for
 * others; lent until the message is freed.  Of "direct-streamlocal@openssh.com" the path is the message's destination. */
const char *ssh_more_channel_type(ssh_message m);
/* Why a channel is not opened (RFC 4254 5.1). */
enum ssh_more_open { OPEN_PROHIBITED = 1, OPEN_FAILED = 2, OPEN_SHORTAGE = 4 };
/* Refuses a channel with our own code (RFC 4254 5.1) and text, which the client shows. 0 or -1. */
int ssh_more_refuse_channel(ssh_message m, uint32_t code, const char *text);

/* Takes up to size bytes that came and were not read yet: no poll, no callback, and also when the connection is gone
 * (libssh's own reads refuse then).  0: nothing is there. */
size_t ssh_more_read(ssh_channel channel, int is_stderr, void *to, size_t size);
/* Bytes that came and were not read yet. */
size_t ssh_more_unread(ssh_channel channel, int is_stderr);

/* Bytes that libssh holds for the peer and has not written, those that wait for a rekey's end included. */
size_t ssh_more_unsent(ssh_session session);
/* 1 while a rekey is under way: libssh would take nothing to write, or hold it back. */
int ssh_more_in_rekey(ssh_session session);

/* Messages that came and were not taken yet. */
size_t ssh_more_messages(ssh_session session);
/* Counts of packets that came in, so that a peer that lives but says nothing to us can be told from a dead one. */
uint64_t ssh_more_packets_in(ssh_session session);
/* Asks the peer for a sign of life (keepalive@openssh.com); each call sends one.  Whatever it answers is a packet in.
 * Not together with libssh's own global requests.  0 or -1. */
int ssh_more_keepalive(ssh_session session);

/* The session identifier (RFC 4253 7.2): the first exchange's hash; empty before it. Lent until ssh_free. */
struct bytes ssh_more_identifier(ssh_session session);

/* Target leg, once the login's service is granted: an RSA signature that the target says it takes (RFC 8308 3.1): 512, 256, or 0: it says nothing. */
int ssh_more_rsa_sha2(ssh_session session);
/* Target leg: sends a whole publickey request, the signature in it (RFC 4252 7); ssh_userauth_none(session, NULL) then gives
 * its answer, over and over while that is SSH_AUTH_AGAIN.  0 or -1. */
int ssh_more_publickey_send(ssh_session session, struct bytes request);
/* What is packed to be sent from now on is burnt when it was sent; before each secret that is given to libssh. */
void ssh_more_burn(ssh_session session);

/* What is in use, for the record ("mlkem768x25519-sha256", "aes256-gcm@openssh.com"); lent; "" before. */
const char *ssh_more_kex(ssh_session session);
const char *ssh_more_cipher(ssh_session session);
const char *ssh_more_mac(ssh_session session);

#endif
