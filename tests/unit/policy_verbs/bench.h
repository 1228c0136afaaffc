/*
 * A whole lodge-policy in this process, on a database of its own, with the other ends of its links in our hands: a book that
 * holds what it gets (or stalls), a reader, people at sessions of their own, root on the control socket; and, where a test
 * walks, gateway, auth, recorder and dialer.
 */
#ifndef POLICY_VERBS_BENCH_H
#define POLICY_VERBS_BENCH_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy.h"
#include "rows.h"
#include "states.h"
#include "vouching.h"

#define SEATS 12
#define SAID (256 * 1024)

/* One person at one connection; conn 0: root at the control socket. */
struct seat {
	struct bench *bench;
	struct peer *peer;
	uint64_t conn;
	uint32_t ask;
	/* the last verb */
	char out[SAID], err[SAID];
	int closed, ended, status, stream; /* stream: the descriptor that came, or -1 */
	uint32_t columns;
	const char *zone;
	/* what else came */
	unsigned intents, intent_reason;
	uint32_t intent_ask;
	unsigned verdicts, verdict, leases, ends;
	uint16_t reason;
	uint32_t verdict_ask, verdict_stream, capabilities;
	uint64_t grant;
	size_t host_key_len;
	unsigned login;
	char algorithms[513];
	char target[65];
	int64_t lease_ends;
	uint64_t end_grant;
	uint16_t end_reason;
	char text[1024];
};

struct bench {
	char dir[64];
	struct loop *loop;
	struct policy policy;
	struct timer *guard;
	int late;
	struct seat seats[SEATS];
	size_t seat_count;
	/* the book */
	struct peer *book;
	int stalled;
	uint64_t leaves, owed;
	/* the reader */
	struct peer *reader;
	unsigned readings;
	uint64_t reading;
	int reading_fd;
	uint64_t held_at_reading; /* leaves that the book held when READ came */
	char read_verb[16], read_id[64], read_options[8192];
	/* gateway, auth and recorder agree to all at once; the dialer only notes what it is told */
	struct peer *gateway, *auth, *recorder, *dialer;
	unsigned certified, certified_how, allowed, dropped, dials;
	char facts[8192], dial_host[256];
	uint16_t dial_port;
	uint32_t dial_stream;
	struct vouched heard; /* by auth */
};

int bench_begin(void **state);
int bench_end(void **state);
/* Sits somebody down who logged in; the person must be known. */
struct seat *seat_login(struct bench *b, const char *login, uint32_t factors, int host_bound);
struct seat *seat_stranger(struct bench *b); /* a connection that nobody vouched for yet */
struct seat *seat_root(struct bench *b);
struct seat *seat_box(struct bench *b, unsigned uid); /* the control socket, as this Unix user */
void seat_leave(struct seat *s);

/* Says the words as one line and waits for the end; gives the status.  seat's out and err hold the answer. */
int say(struct seat *s, const char *words);
int say_again(struct seat *s, const char *words); /* the same ask as the last one */
void say_only(struct seat *s, const char *words); /* and does not wait */
/* Turns both clocks, for this bench alone. */
void clocks_turn(struct bench *b, int64_t boot_ms, int64_t wall_ms);
/* Says whose connection it is, as auth does; heard.identity_reason is the answer. */
void identity_say(struct bench *b, struct seat *s, const char *login, uint32_t factors, int host_bound);
/* Runs everybody until nothing happens any more. */
void settle(struct bench *b);
void book_stall(struct bench *b);
void book_go_on(struct bench *b);
void reader_link(struct bench *b);
/* Gateway, auth, recorder and dialer come, or come anew. */
void house_link(struct bench *b);
/* What the dialer says of the last dial, and what the recorder says when it has handed the descriptor on. */
void dial_answer(struct bench *b, struct seat *s, uint32_t stream, uint16_t reason);
void stream_begins(struct bench *b, struct seat *s, uint32_t stream);
/* Policy forgets all but its database, as if it were started again, and this session is linked to it anew. */
void policy_renew(struct seat *s);
/* Asks for a channel, as enum ask_kind, and lets all happen that can. */
void ask(struct seat *s, uint32_t number, unsigned kind, const char *target, const char *command);

/* Status and a part of the answer: of out when status is 0, else of err. */
#define expect(seat, words, want, part) expect_at((seat), (words), (want), (part), __FILE__, __LINE__)
void expect_at(struct seat *s, const char *words, int want, const char *part, const char *file, int line);
/* No byte of a control character but line ends. */
void expect_clean(const char *text);
/* The last event of that name holds `part` in its JSON. */
void expect_event(struct bench *b, const char *name, const char *part);
size_t events_named(struct bench *b, const char *name);
/* A key line of authorized_keys, different for each n. */
const char *key_line(int n);
/* A visit that was: a stream of alice on osv1, sealed.  Gives its identifier. */
const char *visit_was(struct bench *b, const char *id, int64_t ago_ms);

extern const struct CMUnitTest middle[];
extern const size_t middle_count;
extern const struct CMUnitTest keying[], inviting[], freshness[], secrets[];
extern const size_t keying_count, inviting_count, freshness_count, secrets_count;
extern const struct CMUnitTest targeting[], scanning[], plans[];
extern const size_t targeting_count, scanning_count, plans_count;
extern const struct CMUnitTest rules[], storing[], deciding[], forwarding[], keeping[], reading[], seeing[];
extern const size_t rules_count, storing_count, deciding_count, forwarding_count, keeping_count, reading_count,
    seeing_count;

/* The usual people: alice (engineer of unify), bob (engineer of acme), maria and mona (managers), umar (manager of unify), otto (auditor). */
void people_come(struct bench *b);
#define bench_of(state) ((struct bench *)*(state))
#endif
