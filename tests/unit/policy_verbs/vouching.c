/* Auth's end; see vouching.h. */
#include "bench.h"
#include "keys.h"

static void
text_take(char *to, size_t size, struct bytes from)
{
	assert_int_equal(bytes_copy(to, size, from), 0);
}

static void
keys_note(struct vouched *h, struct bytes keys)
{
	struct reader r = reader_of(keys);

	for (h->key_count = 0; r.left > 0 && !r.failed; h->key_count++) {
		assert_true(h->key_count < VOUCHED_KEYS);
		assert_true(reader_get_bytes(&r).len > 0);
		h->key[h->key_count].reason = reader_get_u16(&r);
		h->key[h->key_count].options = reader_get_u8(&r);
		h->key[h->key_count].counter = reader_get_u32(&r);
	}
	assert_true(reader_end(&r));
}

void
vouched_note(struct bench *b, struct peer *auth, const struct message *m)
{
	struct vouched *h = &b->heard;

	switch (m->type) {
	case MSG_PERSON:
		h->persons++;
		h->known = m->person.known;
		h->role = m->person.role;
		h->reason = m->person.reason;
		text_take(h->pam_user, sizeof(h->pam_user), m->person.pam_user);
		keys_note(h, m->person.keys);
		break;
	case MSG_IDENTITY_HELD:
		h->identities++;
		h->identity_reason = m->identity_held.reason;
		break;
	case MSG_INVITE:
		h->invites++;
		h->invite_reason = m->invite.reason;
		h->invite_role = m->invite.role;
		text_take(h->invite_login, sizeof(h->invite_login), m->invite.login);
		text_take(h->invite_pam_user, sizeof(h->invite_pam_user), m->invite.pam_user);
		break;
	case MSG_INVITE_HELD:
		h->helds++;
		h->held_reason = m->invite_held.reason;
		break;
	case MSG_FRESH_CODE_WANTED:
		h->codes++;
		h->code_conn = m->fresh_code_wanted.conn;
		h->code_ask = m->fresh_code_wanted.ask;
		if (h->code_answer != -1)
			peer_post(auth, FRESH_CODE, fresh_code, .conn = h->code_conn, .ask = h->code_ask,
			    .reason = (uint16_t)h->code_answer);
		break;
	case MSG_GRACE_CAP:
		h->graces++;
		text_take(h->grace_login, sizeof(h->grace_login), m->grace_cap.login);
		break;
	case MSG_SECRET_MAY:
		h->mays++;
		h->may_reason = m->secret_may.reason;
		text_take(h->may_text, sizeof(h->may_text), m->secret_may.text);
		text_take(h->may_who, sizeof(h->may_who), m->secret_may.who);
		text_take(h->may_pam_user, sizeof(h->may_pam_user), m->secret_may.pam_user);
		break;
	default:
		break;
	}
}

void
person_wanted(struct bench *b, const char *login, const char *source)
{
	peer_post(b->auth, PERSON_WANTED, person_wanted, .ask = 1, .login = bytes_text(login),
	    .source = bytes_text(source));
	settle(b);
}

void
key_used(struct bench *b, const char *login, const char *fingerprint, uint32_t counter, const char *source)
{
	peer_post(b->auth, KEY_USED, key_used, .login = bytes_text(login), .fingerprint = bytes_text(fingerprint),
	    .counter = counter, .source = bytes_text(source), .at_wall_ms = 1764000000000);
	settle(b);
}

void
invite_wanted(struct bench *b, const char *code, const char *source)
{
	peer_post(b->auth, INVITE_WANTED, invite_wanted, .ask = 2, .code = bytes_text(code),
	    .source = bytes_text(source));
	settle(b);
}

void
invite_used(struct bench *b, const char *code, const char *key_line, const char *source)
{
	unsigned char blob[KEY_BLOB_MAX];
	struct key_read key;
	size_t len;

	assert_int_equal(key_read(&key, key_line), 0);
	assert_true((len = key_blob(key.blob, blob, sizeof(blob))) > 0);
	peer_post(b->auth, INVITE_USED, invite_used, .ask = 3, .code = bytes_text(code), .key = bytes_of(blob, len),
	    .source = bytes_text(source));
	settle(b);
}

void
code_answered(struct bench *b, uint64_t conn, uint32_t ask, enum reason reason)
{
	peer_post(b->auth, FRESH_CODE, fresh_code, .conn = conn, .ask = ask, .reason = (uint16_t)reason);
	settle(b);
}

void
secret_asked(struct bench *b, uint32_t uid, const char *act, const char *about)
{
	peer_post(b->auth, SECRET_ASKED, secret_asked, .ask = 4, .uid = uid, .act = bytes_text(act),
	    .about = bytes_text(about));
	settle(b);
}

void
secret_done(struct bench *b, const char *act, const char *about, enum reason reason, const char *text)
{
	peer_post(b->auth, SECRET_DONE, secret_done, .act = bytes_text(act), .about = bytes_text(about),
	    .who = bytes_text("root"), .reason = (uint16_t)reason, .text = bytes_text(text));
	settle(b);
}
