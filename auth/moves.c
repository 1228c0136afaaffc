/*
 * The states of a login: which may follow which, and what each promises (drawing and words: visitor.h).
 *
 * Default is no: a step that is not in the table ends this process.
 */
#include "base/log.h"
#include "login.h"

static const char *const state_names[LOGIN_STATES] = {
    "fresh", "open", "keyed", "talking", "enrolling", "checking", "vouching", "in", "over"};

static const struct {
	enum login_state from;
	enum login_state to;
} moves[] = {
    {LOGIN_FRESH, LOGIN_OPEN},
    {LOGIN_OPEN, LOGIN_KEYED},
    {LOGIN_OPEN, LOGIN_CHECKING},
    {LOGIN_OPEN, LOGIN_ENROLLING},
    {LOGIN_KEYED, LOGIN_TALKING},
    {LOGIN_TALKING, LOGIN_KEYED},
    {LOGIN_TALKING, LOGIN_VOUCHING},
    {LOGIN_TALKING, LOGIN_ENROLLING},
    {LOGIN_ENROLLING, LOGIN_CHECKING},
    {LOGIN_ENROLLING, LOGIN_VOUCHING},
    {LOGIN_ENROLLING, LOGIN_KEYED}, /* the users file cannot be written */
    {LOGIN_CHECKING, LOGIN_VOUCHING},
    {LOGIN_CHECKING, LOGIN_KEYED}, /* no grace after all */
    {LOGIN_VOUCHING, LOGIN_IN},
    {LOGIN_VOUCHING, LOGIN_KEYED}, /* a graced code is not enough */
    {LOGIN_ENROLLING, LOGIN_OPEN}, /* the session's link went: the key is proved again */
    {LOGIN_CHECKING, LOGIN_OPEN},
    {LOGIN_FRESH, LOGIN_OVER},
    {LOGIN_OPEN, LOGIN_OVER},
    {LOGIN_KEYED, LOGIN_OVER},
    {LOGIN_TALKING, LOGIN_OVER},
    {LOGIN_ENROLLING, LOGIN_OVER},
    {LOGIN_CHECKING, LOGIN_OVER},
    {LOGIN_VOUCHING, LOGIN_OVER},
};

void
login_move(struct visitor *v, enum login_state to)
{
	enum login_state from = v->kept.state;

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (moves[i].from == from && moves[i].to == to) {
			log_debug("connection %llu: %s -> %s", (unsigned long long)v->kept.conn, state_names[from],
			    state_names[to]);
			v->kept.state = (uint8_t)to;
			visitor_keep(v);
			return;
		}
	log_fatal("connection %llu: no step from %s to %s", (unsigned long long)v->kept.conn, state_names[from],
	    state_names[to]);
}

/* What must be there in each state, and what may be. */
static const struct {
	uint8_t name, key, factors; /* 1: must be */
	uint8_t talk;               /* a conversation: 0 none, 1 always, 2 perhaps */
} promises[LOGIN_STATES] = {
    [LOGIN_FRESH] = {0, 0, 0, 0},
    [LOGIN_OPEN] = {1, 0, 0, 0},
    [LOGIN_KEYED] = {1, 1, 0, 0},
    [LOGIN_TALKING] = {1, 1, 0, 1},
    [LOGIN_ENROLLING] = {1, 1, 1, 0},
    [LOGIN_CHECKING] = {1, 1, 1, 1},
    [LOGIN_VOUCHING] = {1, 1, 1, 0},
    [LOGIN_IN] = {1, 1, 1, 2},
    [LOGIN_OVER] = {0, 0, 0, 0},
};

void
login_check(const struct visitor *v)
{
	const struct live_state *k = &v->kept;
	int ok = k->state < LOGIN_STATES;

	ok = ok && (promises[k->state].talk == 2 || promises[k->state].talk == (v->talk.is_on != 0));
	if (ok && promises[k->state].name)
		ok = k->login[0] != '\0';
	if (ok && promises[k->state].key)
		ok = (k->factors & FACTOR_KEY) != 0 && k->fingerprint[0] != '\0' && k->person[0] != '\0';
	if (ok && promises[k->state].factors)
		ok = !k->wants_code || (k->factors & (FACTOR_PAM | FACTOR_GRACE)) != 0;
	if (ok && v->talk.is_on && k->state == LOGIN_IN)
		ok = v->talk.what == TALK_FRESH && v->fresh.count > 0;
	if (!ok)
		log_fatal("connection %llu: state %u does not hold what it promises", (unsigned long long)k->conn,
		    k->state);
}
