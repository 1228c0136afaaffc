/*
 * The states of a login: which may follow which, and what each promises (drawing and words: visitor.h).
 *
 * Default is no: a step that is not in the table ends this process.
 */
#include "base/log.h"
#include "login.h"

static const char *const state_names[LOGIN_STATES] = {
    "fresh", "open", "keyed", "talking", "vouching", "in", "over"};

static const struct {
	enum login_state from;
	enum login_state to;
} moves[] = {
    {LOGIN_FRESH, LOGIN_OPEN},
    {LOGIN_OPEN, LOGIN_KEYED},
    {LOGIN_OPEN, LOGIN_VOUCHING},
    {LOGIN_KEYED, LOGIN_TALKING},
    {LOGIN_TALKING, LOGIN_KEYED},
    {LOGIN_TALKING, LOGIN_VOUCHING},
    {LOGIN_VOUCHING, LOGIN_IN},
    {LOGIN_FRESH, LOGIN_OVER},
    {LOGIN_OPEN, LOGIN_OVER},
    {LOGIN_KEYED, LOGIN_OVER},
    {LOGIN_TALKING, LOGIN_OVER},
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

void
login_check(const struct visitor *v)
{
	const struct live_state *k = &v->kept;
	int ok = k->state < LOGIN_STATES && (k->state == LOGIN_TALKING) == v->talk.is_on;

	if (k->state != LOGIN_FRESH && k->state != LOGIN_OVER)
		ok = ok && k->login[0] != '\0';
	if (k->state == LOGIN_KEYED || k->state == LOGIN_TALKING || k->state == LOGIN_VOUCHING ||
	    k->state == LOGIN_IN)
		ok = ok && (k->factors & FACTOR_KEY) != 0 && k->fingerprint[0] != '\0' && k->person[0] != '\0';
	if (k->state == LOGIN_VOUCHING || k->state == LOGIN_IN)
		ok = ok && (!v->house->wants_code || (k->factors & (FACTOR_PAM | FACTOR_GRACE)) != 0);
	if (!ok)
		log_fatal("connection %llu: state %u does not hold what it promises", (unsigned long long)k->conn,
		    k->state);
}
