/*
 * Whether a key that proved itself lets this person in: theirs, now, from there, shown as their role wants it, and by a
 * token whose counter went on.  Nobody who has not proved a key of that person learns anything from the answer.
 */
#include <string.h>

#include "base/clock.h"
#include "login.h"

/*
 * WebAuthn 6.1.1: a counter that does not grow says that there are two of this key.  Tokens that do not count say 0 for
 * ever.  The same proof again, from the same connection, is one that an auth before us had no time to answer.
 */
static enum reason
counter_judge(struct visitor *v, const struct remembered *proof, uint32_t told)
{
	uint64_t conn;
	uint32_t highest = live_counter(v->house->live, proof->fingerprint, &conn);
	uint32_t counter = proof->token.counter;
	int again = conn == v->kept.conn && counter == highest && counter >= told;

	if (told > highest)
		highest = told;
	if (!again && highest != 0 && counter <= highest)
		return (REASON_KEY_COUNTER);
	if (counter != 0)
		live_counter_set(v->house->live, proof->fingerprint, counter, v->kept.conn, clock_boot_ms());
	return (REASON_NONE);
}

enum reason
admit_key(struct visitor *v, const struct remembered *proof)
{
	const struct role_rules *rules = &v->house->roles.rules[v->person.role];
	struct persons_key theirs = {0};
	enum reason reason = REASON_NONE;

	if (!v->person.known)
		return (invite_is(v) && v->person.reason != REASON_NONE ? v->person.reason : REASON_UNKNOWN_PERSON);
	/* An invitation brings its key along. */
	if (!invite_is(v) && !vouch_person_key(&v->person, bytes_of(proof->key, proof->key_len), &theirs))
		return (REASON_UNKNOWN_KEY);
	if (proof->token.is_token)
		reason = counter_judge(v, proof, theirs.counter);
	if (theirs.reason != REASON_NONE)
		return (theirs.reason);
	if (reason != REASON_NONE)
		return (reason);
	if (proof->token.is_token && !proof->token.verified &&
	    (rules->wants_verified || (theirs.options & KEY_OPTION_VERIFY) != 0))
		return (REASON_NO_VERIFICATION);
	if (rules->wants_host_bound && !proof->host_bound)
		return (REASON_NOT_HOST_BOUND);
	return (REASON_NONE);
}

void
admit_key_used(struct visitor *v, uint32_t counter)
{
	tell_policy(v->house, KEY_USED, key_used, .login = bytes_text(v->kept.person),
	    .fingerprint = bytes_text(v->kept.fingerprint), .counter = counter,
	    .source = bytes_text(v->kept.source), .at_wall_ms = clock_wall_ms());
}

enum reason
admit_offer(struct visitor *v)
{
	const struct request *r = &v->request;
	struct bytes blob = bytes_of(r->key, r->key_len);
	struct persons_key theirs = {0};
	enum key_fault fault;
	struct key *k = key_parse(blob, &fault);
	/* The same work for everybody, known or not. */
	int usable = k != NULL && key_may_use(k, bytes_text(r->algorithm));
	int is_theirs = vouch_person_key(&v->person, blob, &theirs) || (invite_is(v) && v->person.known);

	key_free(k);
	if (!v->person.known)
		return (invite_is(v) && v->person.reason != REASON_NONE ? v->person.reason : REASON_UNKNOWN_PERSON);
	if (!is_theirs)
		return (REASON_UNKNOWN_KEY);
	return (usable ? theirs.reason : REASON_WEAK_KEY);
}
