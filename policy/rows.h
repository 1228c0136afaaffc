/*
 * What policy remembers, one list: each table's columns stand here once, and its structure, its SQL and its reading and
 * writing are made from them.  A text column has the size of its array, NUL included; nothing longer is ever stored.
 * Times are milliseconds: wall (UTC since 1970) unless named boot; 0 means never.  Rows are facts: no pointer inside.
 * A new column stands at its table's end, raises STORE_VERSION, and gets a line in store_sqlite.c's list of additions; a new
 * table gets one without a column.
 */
#ifndef POLICY_ROWS_H
#define POLICY_ROWS_H
#include <stdint.h>

#define ROW_NAME 65        /* a name of a person, vendor, target, account */
#define ROW_WORDS 513      /* what people write: a reason, a title */
#define ROW_FINGERPRINT 80 /* SHA256:... */
#define ROW_KEY 4097       /* a public key's blob in base64 */
#define ROW_KEY_LINE 4162  /* the same behind its type */

/* The columns are the point here. */
/* clang-format off */
/* ID: the row's own number, given by the store.  The first KEYS columns are the row's key. */
#define VENDOR_COLUMNS(ID, TEXT, INT) \
	TEXT(name, ROW_NAME) INT(valid_from) INT(valid_until) TEXT(networks, ROW_WORDS) INT(suspended)
#define PERSON_COLUMNS(ID, TEXT, INT) \
	TEXT(login, ROW_NAME) TEXT(name, ROW_WORDS) TEXT(vendor, ROW_NAME) INT(role) INT(uid) \
	TEXT(networks, ROW_WORDS) INT(valid_from) INT(valid_until) INT(suspended) TEXT(pam_user, ROW_NAME)
/* options: bits of enum key_option; counter: a FIDO key's, the highest seen; invited 1: it came by an invitation. */
#define PERSON_KEY_COLUMNS(ID, TEXT, INT) \
	TEXT(login, ROW_NAME) TEXT(fingerprint, ROW_FINGERPRINT) TEXT(type, ROW_NAME) TEXT(blob, ROW_KEY) \
	TEXT(comment, ROW_WORDS) INT(added) INT(valid_from) INT(valid_until) TEXT(networks, ROW_WORDS) INT(options) \
	INT(counter) INT(last_used) TEXT(last_source, ROW_NAME) INT(invited)
/* Its code is known by the code's SHA-256 alone.  void_at: another one took its place; fingerprint: of the key it enrolled. */
#define INVITE_COLUMNS(ID, TEXT, INT) \
	TEXT(digest, ROW_NAME) TEXT(login, ROW_NAME) TEXT(made_by, ROW_NAME) INT(made_at) INT(expires_at) INT(void_at) \
	INT(used_at) TEXT(fingerprint, ROW_FINGERPRINT)
/* login: enum target_login, 0 a certificate; legacy: a name-list.  mismatch_key: what it showed in place of a pinned key, "" when
 * nothing; until the operator pins or removes one. */
#define TARGET_COLUMNS(ID, TEXT, INT) \
	TEXT(name, ROW_NAME) TEXT(host, 256) INT(port) TEXT(accounts, ROW_WORDS) TEXT(about, ROW_WORDS) \
	TEXT(at_end, 16) INT(suspended) INT(login) INT(fresh_code) TEXT(legacy, ROW_WORDS) INT(legacy_until) \
	TEXT(legacy_why, ROW_WORDS) INT(mismatch_at) TEXT(mismatch_key, ROW_KEY_LINE) INT(mismatch_session)
#define TARGET_KEY_COLUMNS(ID, TEXT, INT) \
	TEXT(target, ROW_NAME) TEXT(fingerprint, ROW_FINGERPRINT) TEXT(type, ROW_NAME) TEXT(blob, ROW_KEY) INT(added)
/* A request goes as far as "approved"; from there its grant's state tells (states.h).  forwards: a list as forwards.h has it. */
#define REQUEST_COLUMNS(ID, TEXT, INT) \
	ID(id) TEXT(person, ROW_NAME) TEXT(vendor, ROW_NAME) TEXT(target, ROW_NAME) TEXT(account, ROW_NAME) \
	INT(capabilities) TEXT(why, ROW_WORDS) TEXT(ticket, ROW_NAME) INT(asked_for) INT(from_wall) \
	TEXT(fingerprint, ROW_FINGERPRINT) TEXT(source, ROW_NAME) INT(conn) INT(state) INT(asked_at) INT(lapse_at) \
	INT(lapse_boot) INT(decided_at) TEXT(decided_by, ROW_NAME) TEXT(decided_why, ROW_WORDS) TEXT(forwards, ROW_WORDS)
#define DECISION_COLUMNS(ID, TEXT, INT) \
	ID(id) INT(request) TEXT(who, ROW_NAME) INT(at) TEXT(what, ROW_NAME) TEXT(why, ROW_WORDS) INT(begins_at) INT(ends_at)
#define GRANT_COLUMNS(ID, TEXT, INT) \
	ID(id) INT(request) TEXT(person, ROW_NAME) TEXT(fingerprint, ROW_FINGERPRINT) TEXT(networks, ROW_WORDS) \
	TEXT(target, ROW_NAME) TEXT(account, ROW_NAME) INT(capabilities) INT(begins_at) INT(connect_by) INT(ends_at) \
	INT(ends_boot) INT(hard_end_boot) TEXT(boot_id, 40) INT(state) TEXT(approver, ROW_NAME) INT(approved_at) \
	INT(entered_at) INT(ended_at) TEXT(end_by, ROW_NAME) TEXT(end_why, ROW_WORDS) TEXT(forwards, ROW_WORDS)
/* One connection of somebody who logged in; `number` is its name among people.  suspicion: what its process said or wanted
 * that is not its own, "" when nothing.  cut_at: a manager ended it then, in these words. */
#define VISITOR_COLUMNS(ID, TEXT, INT) \
	ID(number) INT(conn) TEXT(person, ROW_NAME) TEXT(vendor, ROW_NAME) INT(role) TEXT(fingerprint, ROW_FINGERPRINT) \
	TEXT(key_type, ROW_NAME) INT(factors) INT(host_bound) TEXT(source, ROW_NAME) INT(port) INT(began_at) INT(ended_at) \
	INT(reason) INT(suspect_at) TEXT(suspicion, ROW_WORDS) INT(cut_at) TEXT(cut_why, ROW_WORDS)
/* One recording, or one about to be: `number` is its name among people, id (32 hex digits) on the shelf.  forward_port 0: of the target. */
#define STREAM_COLUMNS(ID, TEXT, INT) \
	ID(number) INT(conn) INT(stream) TEXT(id, 40) INT(visitor) INT(grant) INT(request) TEXT(person, ROW_NAME) \
	TEXT(vendor, ROW_NAME) TEXT(target, ROW_NAME) TEXT(account, ROW_NAME) TEXT(what, ROW_WORDS) INT(state) \
	INT(asked_at) INT(began_at) INT(entered_at) INT(ended_at) INT(sealed_at) INT(segments) INT(bytes_out) \
	INT(bytes_in) TEXT(digest, 80) INT(sealed_state) INT(reason) TEXT(forward_host, 256) INT(forward_port)
#define ASKING_COLUMNS(ID, TEXT, INT) \
	INT(conn) INT(ask) INT(kind) TEXT(target, ROW_NAME) TEXT(account, ROW_NAME) TEXT(command, ROW_WORDS) INT(pty) \
	INT(wait_ok) INT(state) INT(request) INT(grant) INT(stream) INT(reason) TEXT(text, ROW_WORDS) INT(event) \
	INT(lapse_boot) INT(lapse_at)
/* What a verb that changed something answered, kept by the transaction that changed it. */
#define VERB_COLUMNS(ID, TEXT, INT) INT(conn) INT(ask) INT(status) INT(event) TEXT(out, 4096) TEXT(err, 1024)
#define EVENT_COLUMNS(ID, TEXT, INT) ID(sequence) INT(at) TEXT(name, ROW_NAME) TEXT(json, 8192) INT(held)
#define META_COLUMNS(ID, TEXT, INT) TEXT(name, ROW_NAME) INT(number) TEXT(text, ROW_NAME)

/* T(NAME, name, number of key columns, columns) */
#define ROW_TABLES(T) \
	T(VENDOR, vendor, 1, VENDOR_COLUMNS) \
	T(PERSON, person, 1, PERSON_COLUMNS) \
	T(PERSON_KEY, person_key, 2, PERSON_KEY_COLUMNS) \
	T(INVITE, invite, 1, INVITE_COLUMNS) \
	T(TARGET, target, 1, TARGET_COLUMNS) \
	T(TARGET_KEY, target_key, 2, TARGET_KEY_COLUMNS) \
	T(REQUEST, request, 1, REQUEST_COLUMNS) \
	T(DECISION, decision, 1, DECISION_COLUMNS) \
	T(GRANT, grant, 1, GRANT_COLUMNS) \
	T(VISITOR, visitor, 1, VISITOR_COLUMNS) \
	T(STREAM, stream, 1, STREAM_COLUMNS) \
	T(ASKING, asking, 2, ASKING_COLUMNS) \
	T(VERB, verb_done, 2, VERB_COLUMNS) \
	T(EVENT, event, 1, EVENT_COLUMNS) \
	T(META, meta, 1, META_COLUMNS)
/* clang-format on */

#define ROW_ID_FIELD(field) int64_t field;
#define ROW_TEXT_FIELD(field, size) char field[size];
#define ROW_INT_FIELD(field) int64_t field;
#define ROW_STRUCT(NAME, name, keys, COLUMNS)                        \
	struct name {                                                \
		COLUMNS(ROW_ID_FIELD, ROW_TEXT_FIELD, ROW_INT_FIELD) \
	};
ROW_TABLES(ROW_STRUCT)

enum row_table {
#define ROW_ENUM(NAME, name, keys, COLUMNS) ROWS_##NAME,
	ROW_TABLES(ROW_ENUM)
#undef ROW_ENUM
	    ROW_TABLE_COUNT
};

/* asking.state: what has become of a session's question. */
enum asking_state { ASKING_NEW, ASKING_WAITING, ASKING_ENTERING, ASKING_ALLOWED, ASKING_DENIED, ASKING_LEFT };
/* stream.state: allowed by a decision; its target leg begun; over. */
enum stream_state {
	STREAM_STATE_ALLOWED,
	STREAM_STATE_BEGUN,
	STREAM_STATE_ENDED,
	STREAM_STATE_SEALED,
	STREAM_STATE_DROPPED
};
#endif
