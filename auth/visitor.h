/*
 * One connection, as auth sees it: its link to the session, what is kept for a restart, and the login at hand.
 *
 *                     name               key proved
 *     FRESH ─────────────────▶ OPEN ─────────────────▶ KEYED ◀────────── wrong ───────┐
 *                               │ key proved, and no      │ keyboard-interactive      │
 *                               │ code wanted or          └──────────▶ TALKING ───────┘
 *                               │ grace                                   │ right
 *                               └─────────────────────▶ VOUCHING ◀────────┘
 *     any but IN ───▶ OVER                                │ policy holds it
 *                                                         └──────────▶ IN
 *
 * FRESH     nobody has said a name; nothing was looked up.
 * OPEN      the name is fixed and policy was asked who that is; no proof has counted yet.
 * KEYED     a key of this person was proved over our own session identifier; the code is missing.
 * TALKING   PAM, or what looks the same to somebody whom PAM does not know, asks for the code.
 * VOUCHING  all factors are there; policy was told, and has not acknowledged.
 * IN        policy acknowledged; the session was told.  Certificates may be made.
 * OVER      refused for good; every further request is answered with a disconnect.
 */
#ifndef AUTH_VISITOR_H
#define AUTH_VISITOR_H
#include "contract/messages.h"
#include "house.h"
#include "key.h"

#define VISITOR_PERMITS 16 /* streams of one connection that may have certificates */
#define VISITOR_WAITS 8    /* wishes for a certificate that came before policy's word */

enum login_state {
	LOGIN_FRESH,
	LOGIN_OPEN,
	LOGIN_KEYED,
	LOGIN_TALKING,
	LOGIN_VOUCHING,
	LOGIN_IN,
	LOGIN_OVER,
	LOGIN_STATES
};

/* Who policy says that is. */
struct person {
	int here; /* policy answered */
	int known;
	uint8_t role;
	enum reason reason; /* why not to let them in */
	char pam_user[LIVE_LOGIN_SIZE];
	uint8_t *keys; /* {bytes blob} each */
	size_t keys_len;
};

/* What the session asked and has no answer to.  SSH has one at a time. */
enum request_kind { REQUEST_NONE, REQUEST_OFFER, REQUEST_STEP };
struct request {
	enum request_kind kind;
	uint32_t ask;
	enum login_method method;
	int64_t at_boot_ms;
	int late; /* the answer is made and waits for its time */
	uint8_t outcome;
	enum reason reason;
	uint8_t acceptable;
	char algorithm[LIVE_KIND_SIZE];
	uint8_t key[KEY_BLOB_MAX];
	size_t key_len;
};

/* The last good proof; a LOGIN_STEP uses it up. */
struct remembered {
	int is_there;
	int failed; /* the last proof was bad, and is counted already */
	char login[LIVE_LOGIN_SIZE];
	uint8_t key[KEY_BLOB_MAX];
	size_t key_len;
	char key_type[LIVE_KIND_SIZE];
	char fingerprint[LIVE_PRINT_SIZE];
	int host_bound;
	int is_token;
};

/* One PAM conversation, or the look of one. */
struct talk {
	int is_on;
	uint64_t ask; /* our number for this lodge-pam */
	struct peer *link;
	int prompting; /* the session owes an answer */
	int prompted;  /* at least one prompt was shown */
	int made_up;   /* nobody is behind it: the answer is wrong already */
	enum reason made_up_reason;
	int64_t answered_boot_ms;
	struct wire told; /* information shown with the next prompt */
	int has_digest;   /* of the last answer */
	uint8_t digest[32];
};

/* policy's word that a stream may have certificates. */
struct permit {
	uint32_t stream;
	uint32_t capabilities;
	uint64_t grant;
	int64_t ends_wall_ms;
	uint32_t minted;
	char account[LIVE_PERSON_SIZE];
};

struct wish {
	uint32_t ask; /* 0: free */
	uint32_t stream;
	int64_t until_boot_ms;
	uint8_t key[SIGNER_PUBLIC_SIZE];
};

struct visitor {
	struct visitor *next; /* in its bucket */
	struct house *house;
	struct live_state kept; /* kept.state is the state */
	struct peer *link;      /* NULL while it is away */

	/* the login at hand */
	struct person person;
	struct request request;
	struct remembered proof;
	struct talk talk;
	struct timer *reply;    /* when a late answer is due */
	struct timer *deadline; /* of policy's answer, or of the conversation */
	uint32_t offers;
	char refused[LIVE_PRINT_SIZE]; /* the last key that was offered and is not theirs */
	enum reason over;              /* why it is */
	uint32_t after_over;           /* what came after the end */

	/* the visit */
	struct permit permits[VISITOR_PERMITS];
	struct wish wishes[VISITOR_WAITS];
	struct timer *wishing;
};

/* NULL: no memory. */
struct visitor *visitor_new(struct house *h, uint64_t conn);
void visitor_free(struct visitor *v);
/* The session's end (given); the one before is closed.  Sends the host key and says again what waits. */
void visitor_link(struct visitor *v, int fd, const char *source, uint16_t port);
void visitor_keep(struct visitor *v);
/* The session broke the protocol: it loses its link. */
void visitor_cut(struct visitor *v, const char *why);

/* login.c and vouch.c: what moves the login. */
void login_on_offer(struct visitor *v, const struct msg_key_offer *m);
void login_on_proof(struct visitor *v, const struct msg_proof *m);
void login_on_step(struct visitor *v, const struct msg_login_step *m);
void login_on_unreadable(struct visitor *v, const struct msg_login_unreadable *m);
void login_on_person(struct visitor *v, const struct msg_person *m);
void login_on_held(struct visitor *v, enum reason reason);
void login_on_talked(struct visitor *v, enum reason reason); /* the conversation's verdict; NONE is yes */
void login_on_deadline(struct visitor *v);
void login_on_reply_due(struct visitor *v);
/* The session's link is gone: a conversation does not outlive it, a key's proof does. */
void login_on_unlinked(struct visitor *v);
/* The connection ended. */
void login_on_gone(struct visitor *v);
/* policy is back: asks, and says who this is, again. */
void login_restate(struct visitor *v);

/* talk.c: the conversation. */
void talk_begin(struct visitor *v);
void talk_link(struct visitor *v, int fd); /* lodge-pam's end, given */
void talk_on_answers(struct visitor *v, const struct msg_answers *m);
/* Nobody listens any more: lodge-pam is let go. */
void talk_end(struct visitor *v);

/* certify.c: certificates for a stream. */
void certify_permit(struct visitor *v, const struct msg_certify *m);
void certify_on_wanted(struct visitor *v, const struct msg_cert_wanted *m);
void certify_on_late(struct visitor *v);

#endif
