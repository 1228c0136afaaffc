/*
 * The messages of the house, made from messages.def: their structures, their strict decoders and encoders, their
 * names, and who may send which to whom.  What a field means stands in the table.
 */
#ifndef CONTRACT_MESSAGES_H
#define CONTRACT_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/wire.h"

#define CONTRACT_VERSION 1 /* raised when a row changes its meaning; a process also speaks the one before */

#define ENROL_MS (10 * 60 * 1000) /* whoever was shown a secret has to install an authenticator first */

enum process {
	PROCESS_NONE = 0,
#define PROCESS(number, NAME, executable, user, life) PROCESS_##NAME = number,
#include "contract/processes.def"
	PROCESS_ANY = 255
};

enum message_type {
#define MESSAGE(number, NAME, name, carries, fields) MSG_##NAME = number,
#include "contract/messages.def"
	MSG_MAX = 255
};

/* Values of fields whose meaning is a small set. */
enum memory_kind {
	MEMORY_RING = 1,
	MEMORY_RING_FILLED = 2,
	MEMORY_RING_FREED = 3,
	MEMORY_LIVE = 4,
	MEMORY_VAULT_KEY = 5,    /* a file, open for reading */
	MEMORY_VAULT_KEY_OLD = 6 /* the same, during a rotation of the key */
};
enum login_method { LOGIN_PUBLICKEY = 1, LOGIN_KEYBOARD = 2, LOGIN_NONE = 3, LOGIN_OTHER = 4 };
enum login_outcome { LOGIN_FAILURE = 0, LOGIN_PARTIAL = 1, LOGIN_SUCCESS = 2, LOGIN_DISCONNECT = 3 };
enum role { ROLE_NONE = 0, ROLE_ENGINEER = 1, ROLE_MANAGER = 2, ROLE_AUDITOR = 3, ROLE_OPERATOR = 4 };
/* How somebody was recognised.  GRACE: on an earlier code; TOUCH, VERIFIED: a FIDO key that was touched, that asked for a
 * PIN or a finger; FRESH: a code given after the login, on demand; INVITED: by an invitation, just now. */
enum factor {
	FACTOR_KEY = 1,
	FACTOR_PAM = 2,
	FACTOR_GRACE = 4,
	FACTOR_TOUCH = 8,
	FACTOR_VERIFIED = 16,
	FACTOR_FRESH = 32,
	FACTOR_INVITED = 64
};
enum key_option { KEY_OPTION_VERIFY = 1 /* verify-required */ };
enum pam_what { PAM_WHAT_AUTHENTICATE = 1, PAM_WHAT_SESSION = 2 };
/* How a target lets us in.  KEYBOARD: keyboard-interactive, answered with the password. */
enum target_login { TARGET_CERTIFICATE = 1, TARGET_KEY = 2, TARGET_PASSWORD = 3, TARGET_KEYBOARD = 4 };
enum rotation { ROTATION_CHANGED = 1, ROTATION_REFUSED = 2, ROTATION_UNKNOWN = 3 };
/* What a channel wants to be.  SFTP: the subsystem, ruled operation by operation; UPLOAD, DOWNLOAD: a command that is
 * nothing but scp's or rsync's end of a transfer; FORWARD: a TCP connection to host:port; SOCKET: a connection to a unix
 * socket of the target's; REVERSE: the target listens, and connections come back. */
enum ask_kind {
	ASK_SHELL = 1,
	ASK_EXEC = 2,
	ASK_SFTP = 3,
	ASK_UPLOAD = 4,
	ASK_DOWNLOAD = 5,
	ASK_SUBSYSTEM = 6,
	ASK_FORWARD = 7,
	ASK_SOCKET = 8,
	ASK_REVERSE = 9
};
enum verdict { VERDICT_DENY = 0, VERDICT_WAIT = 1, VERDICT_ALLOW = 2 };
enum visit_event {
	VISIT_OPENED = 1,
	VISIT_CLOSED = 2,
	VISIT_FAILED = 3,
	VISIT_CHANNEL_OPENED = 4,
	VISIT_CHANNEL_CLOSED = 5
};
enum shelf_state { SHELF_OK = 0, SHELF_LOW = 1, SHELF_CRITICAL = 2, SHELF_FULL = 3 };
enum sealed_state { SEALED_WHOLE = 0, SEALED_RECOVERED = 1, SEALED_FAILED = 2 };
enum capability {
	CAPABILITY_SHELL = 1,
	CAPABILITY_EXEC = 2,
	CAPABILITY_UPLOAD = 4,
	CAPABILITY_DOWNLOAD = 8,
	CAPABILITY_FORWARD = 16,
	CAPABILITY_AGENT = 32,
	CAPABILITY_X11 = 64,
	CAPABILITY_REVERSE = 128,
	CAPABILITY_SOCKET = 256
};

/* One structure a message, struct msg_<name>.  text and bytes point into the datagram, or into the sender's memory. */
#define MESSAGE_TYPE_u8 uint8_t
#define MESSAGE_TYPE_u16 uint16_t
#define MESSAGE_TYPE_u32 uint32_t
#define MESSAGE_TYPE_u64 uint64_t
#define MESSAGE_TYPE_i64 int64_t
#define MESSAGE_TYPE_text struct bytes
#define MESSAGE_TYPE_bytes struct bytes
#define F(type, field) MESSAGE_TYPE_##type field;
#define E() uint8_t none;
#define MESSAGE(number, NAME, name, carries, fields) \
	struct msg_##name {                          \
		fields                               \
	};
#include "contract/messages.def"
#undef F
#undef E

/* A message: its type, the descriptor that came or goes with it (-1: none), and its fields. */
struct message {
	enum message_type type;
	int fd;
	union {
#define MESSAGE(number, NAME, name, carries, fields) struct msg_##name name;
#include "contract/messages.def"
	};
};

/* Gives 0 and *m pointing into data (lent), or -1: unknown type, not allowed this way, a field too short or too
 * long, NUL in a text, something left over, a descriptor missing or too many (`fds` came).  m->fd is left alone. */
int message_decode(const void *data, size_t len, enum process from, enum process to, int fds, struct message *m);

/* Appends m to w.  -1 when it may not be sent this way, or is longer than a datagram may be. */
int message_encode(struct wire *w, const struct message *m, enum process from, enum process to);

/* 1 when the row says that a descriptor comes with it. */
int message_carries_fd(enum message_type type);

const char *message_name(enum message_type type);
const char *process_name(enum process process);       /* "lodge-auth" */
const char *process_user(enum process process);       /* "lodge-auth", "" for the caller's own */
int process_may_talk(enum process a, enum process b); /* 1 when there is a LINK line, or one of them is gateway */

#endif
