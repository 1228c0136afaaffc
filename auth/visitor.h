/*
 * One connection, as auth sees it: its link to the session, what is kept for a restart, and the login at hand.
 *
 *     FRESH ──── a name ────▶ OPEN ──── key, and a code is wanted ────▶ KEYED ◀──── no ────┐
 *                              │                                         ▲  │ keyboard-       │
 *                              │ key; no code is wanted, or grace        │  │ interactive     │
 *                              ▼                                         │  └─────────▶ TALKING
 *                           CHECKING ──── the account wants more ────────┤                 │ │
 *                            ▲    │                                      │           right │ │ right, and
 *                            │    └── account good ──▶ VOUCHING ◀────────│─────────────────┘ │ was invited
 *                            │                          │    └─ an earlier code               ▼
 *                            │                          │       is not enough ─┘ ┌───── ENROLLING ◀── OPEN, when no
 *                            └──── the key is theirs ───│────────────────────────┘                    code is wanted
 *                                                       └── policy holds it ──▶ IN
 *     any but IN ───▶ OVER
 *
 * FRESH     nobody has said a name; nothing was looked up.
 * OPEN      the name is fixed and policy was asked who that is; no proof has counted yet.
 * KEYED     a key of this person was proved over our own session identifier; the code is missing.
 * TALKING   PAM, or what looks the same to somebody whom PAM does not know, asks for the code; of somebody who was
 *           invited we ask ourselves for the code of the secret that they were just shown.
 * ENROLLING an invited one has proved key and code: the users file is written, and policy makes the key theirs.
 * CHECKING  all factors are there, without a conversation: PAM examines the account, and asks nothing.
 * VOUCHING  all factors are there; policy was told, and has not acknowledged.
 * IN        policy acknowledged; the session was told.  Credentials may be given, and fresh codes asked for.
 * OVER      refused for good; every further request is answered with a disconnect.
 *
 * CHECKING and ENROLLING do not outlive a restart: the key is proved again (OPEN).
 */
#ifndef AUTH_VISITOR_H
#define AUTH_VISITOR_H
#include "base/loginname.h"
#include "contract/messages.h"
#include "enrol.h"
#include "house.h"
#include "key.h"
#include "permit.h"

#define VISITOR_FRESH 8 /* fresh codes wanted at once */
#define SUSPICIONS_MOST \
	16 /* of one session; policy has cut it by then, and what is kept for policy has its room for others */
enum login_state {
	LOGIN_FRESH,
	LOGIN_OPEN,
	LOGIN_KEYED,
	LOGIN_TALKING,
	LOGIN_ENROLLING,
	LOGIN_CHECKING,
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
	enum reason reason;           /* why not to let them in; of an invitation: why it is not good */
	char login[LIVE_PERSON_SIZE]; /* of an invitation: whose it is */
	char pam_user[LIVE_LOGIN_SIZE];
	uint8_t *keys; /* as in PERSON of contract/messages.def */
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
	struct key_token token;
};

/* What a conversation is held for. */
enum talk_for {
	TALK_LOGIN,   /* the whole of it */
	TALK_ACCOUNT, /* the account alone; asks nothing */
	TALK_INVITED, /* ours, about a secret that was just made; no lodge-pam */
	TALK_FRESH    /* somebody who is in: a code anew */
};

/* One conversation, or the look of one. */
struct talk {
	int is_on;
	enum talk_for what;
	uint64_t turn;        /* TALK_ACCOUNT, while others have theirs: its place in the queue; else 0 */
	uint64_t ask;         /* our number for this lodge-pam */
	uint32_t session_ask; /* whose prompts these are */
	struct peer *link;
	int prompting; /* the session owes an answer */
	int prompted;  /* at least one prompt was shown */
	int is_code;   /* the last one was for a code that is good once */
	int made_up;   /* nobody is behind it: the answer is wrong already */
	enum reason made_up_reason;
	int is_judged; /* the last words are shown, and `verdict` waits for their answer */
	enum reason verdict;
	int64_t answered_boot_ms;
	struct wire told; /* information shown with the next prompt */
	int has_digest;   /* of the last answer */
	uint8_t digest[32];
};

/* An invitation at hand. */
struct invitation {
	int is_made; /* there is a secret */
	int is_shown;
	int is_asked_again; /* ENROLLING: policy shall say that it is good still */
	uint8_t secret[ENROL_SECRET_BYTES];
	char used_code[16];        /* the one that was right */
	struct enrol *enrol;       /* while the users file is written */
	int wants_account;         /* PAM has not examined it: CHECKING follows */
	uint8_t key[KEY_BLOB_MAX]; /* that proved itself */
	size_t key_len;
	uint32_t counter;
};

/* Fresh codes that policy wants of somebody who is in. */
struct fresh {
	uint32_t asks[VISITOR_FRESH]; /* the first is at hand, the others wait */
	size_t count;
	uint32_t good;       /* the last that was answered well; 0: none */
	enum reason verdict; /* of the first, told when `due` comes */
	int is_judged;
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
	struct invitation invitation;
	struct peer *staying;   /* the lodge-pam whose PAM session lasts as long as the visit; NULL: none */
	struct timer *reply;    /* when a late answer is due */
	struct timer *deadline; /* of policy's answer, or of the conversation */
	uint32_t offers;
	char refused[LIVE_PRINT_SIZE]; /* the last key that was offered and may not be used */
	enum reason refused_for;
	enum reason over;    /* why it is */
	uint32_t after_over; /* what came after the end */
	uint32_t suspicions; /* what its session did that no honest one does */

	/* the visit */
	struct fresh fresh;
	struct timer *fresh_due; /* when the verdict on a fresh code is told */
	struct permits permits;
	struct timer *wishing;
};

/* NULL: no memory. */
struct visitor *visitor_new(struct house *h, uint64_t conn);
void visitor_free(struct visitor *v);
/* The session's end (given); the one before is closed.  Sends the host key and says again what waits. */
void visitor_link(struct visitor *v, int fd, const char *source, uint16_t port);
void visitor_keep(struct visitor *v);
/* The session did what no honest one does: policy hears of it, and it loses its link. */
void visitor_cut(struct visitor *v, const char *why);
/* Tells policy what a session did that no honest one does; `why` is one line for the book. */
void visitor_suspect(struct visitor *v, const char *why);
/* The session's link is closed, whoever is to blame. */
void visitor_unlink(struct visitor *v);

/* login.c and vouch.c: what moves the login. */
void login_on_offer(struct visitor *v, const struct msg_key_offer *m);
void login_on_proof(struct visitor *v, const struct msg_proof *m);
void login_on_step(struct visitor *v, const struct msg_login_step *m);
void login_on_unreadable(struct visitor *v, const struct msg_login_unreadable *m);
void login_on_person(struct visitor *v, const struct msg_person *m);
void login_on_held(struct visitor *v, enum reason reason);
void login_on_talked(struct visitor *v, enum reason reason);   /* a conversation's verdict; NONE is yes */
void login_on_examined(struct visitor *v, enum reason reason); /* the account's, of TALK_ACCOUNT */
void login_on_deadline(struct visitor *v);
void login_on_reply_due(struct visitor *v);
/* The session's link is gone: a conversation does not outlive it, a key's proof does. */
void login_on_unlinked(struct visitor *v);
/* kept is an entry of the auth before us: what it was in the middle of begins again. */
void login_adopt(struct visitor *v);
/* The connection ended. */
void login_on_gone(struct visitor *v);
/* policy is back: asks, and says who this is, again. */
void login_restate(struct visitor *v);

/* talk.c: the conversation; its verdict goes to the one who wanted it, by `what`. */
void talk_begin(struct visitor *v, enum talk_for what, uint32_t session_ask);
void talk_link(struct visitor *v, int fd); /* lodge-pam's end, given */
void talk_on_answers(struct visitor *v, const struct msg_answers *m);
/* It is over: what was decided, or REASON_PAM_TROUBLE at its deadline. */
void talk_verdict(struct visitor *v, enum reason reason);
/* For TALK_INVITED: words that are shown with the next prompt; a prompt, and talk waits for what is typed. */
void talk_tell(struct visitor *v, struct bytes text);
void talk_ask(struct visitor *v, struct bytes prompt);
/* The last answer was a code, and is one that was used from now on. */
void talk_code_use(struct visitor *v);
/* The next account's turn: another's examination is over. */
void talk_turns(struct house *h);
/* The PAM session of this login ends. */
void talk_stay_end(struct visitor *v);
/* Nobody listens any more: lodge-pam is let go. */
void talk_end(struct visitor *v);

/* invite.c: `invite+CODE`, enrolled on the way in. */
#define INVITE_NAME "invite"
int invite_name(const struct loginname *name); /* 1 when a login by that name is one */
int invite_looks(const char *login);           /* 1 when one may have been meant that is no name */
int invite_is(const struct visitor *v);
void invite_person_ask(struct visitor *v);
void invite_on_person(struct visitor *v, const struct msg_invite *m);
/* A key proved itself: it is remembered. */
void invite_take_key(struct visitor *v, struct bytes key, uint32_t counter);
/* keyboard-interactive: shows the secret and asks for its code, or lets PAM ask. */
void invite_begin(struct visitor *v);
void invite_on_answer(struct visitor *v, struct bytes code);
/* Key and code are proved (or no code is wanted): ENROLLING. */
void invite_use(struct visitor *v);
void invite_on_held(struct visitor *v, enum reason reason);
/* policy is back: what it has not answered is said again. */
void invite_restate(struct visitor *v);
/* Nothing of it goes on; the secret is wiped. */
void invite_end(struct visitor *v);

/* fresh.c: codes given after the login. */
void fresh_on_wanted(struct visitor *v, uint32_t ask);
void fresh_on_talked(struct visitor *v, enum reason reason);
void fresh_on_due(struct visitor *v);
void fresh_on_link(struct visitor *v);   /* the session is there: what was wanted before begins */
void fresh_on_person(struct visitor *v); /* policy said whom PAM knows them as */
void fresh_end(struct visitor *v);

#endif
