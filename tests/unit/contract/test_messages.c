/*
 * Every message of the contract, made from its table: it comes back as it went, and its decoder refuses every
 * truncation, every extension by one byte, a way the table does not name, and a descriptor missing or too many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "contract/messages.h"

/* A value for each type of field that no other field of the same length has. */
#define SAMPLE_u8 0x5a
#define SAMPLE_u16 0x1234
#define SAMPLE_u32 0x89abcdefU
#define SAMPLE_u64 0x0123456789abcdefULL
#define SAMPLE_i64 (-0x0123456789abcdefLL)
#define SAMPLE_text bytes_text("text")
#define SAMPLE_bytes bytes_of("by\0tes", 6)

#define SAME_u8(a, b) ((a) == (b))
#define SAME_u16(a, b) ((a) == (b))
#define SAME_u32(a, b) ((a) == (b))
#define SAME_u64(a, b) ((a) == (b))
#define SAME_i64(a, b) ((a) == (b))
#define SAME_text(a, b) bytes_equal(a, b)
#define SAME_bytes(a, b) bytes_equal(a, b)

#define E() F(u8, none)
#define F(type, field) m->field = SAMPLE_##type;
#define MESSAGE(number, NAME, name, carries, fields)  \
	static void fill_##name(struct msg_##name *m) \
	{                                             \
		fields                                \
	}
#include "contract/messages.def"
#undef F
#define F(type, field) &&SAME_##type(a->field, b->field)
#define MESSAGE(number, NAME, name, carries, fields)                                   \
	static int same_##name(const struct msg_##name *a, const struct msg_##name *b) \
	{                                                                              \
		return (1 fields);                                                     \
	}
#include "contract/messages.def"
#undef F
#undef E

static void
fill(struct message *m, enum message_type type)
{
	*m = (struct message){.type = type, .fd = -1};
	switch (type) {
#define MESSAGE(number, NAME, name, carries, fields) \
	case MSG_##NAME:                             \
		fill_##name(&m->name);               \
		break;
#include "contract/messages.def"
	case MSG_MAX:
		fail();
	}
}

static int
same(const struct message *a, const struct message *b)
{
	switch (a->type) {
#define MESSAGE(number, NAME, name, carries, fields) \
	case MSG_##NAME:                             \
		return (b->type == MSG_##NAME && same_##name(&a->name, &b->name));
#include "contract/messages.def"
	case MSG_MAX:
		break;
	}
	return (0);
}

static const struct {
	enum message_type type;
	enum process from, to;
} ways[] = {
#define MAY(NAME, from, to) {MSG_##NAME, PROCESS_##from, PROCESS_##to},
#include "contract/messages.def"
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static const enum message_type types[] = {
#define MESSAGE(number, NAME, name, carries, fields) MSG_##NAME,
#include "contract/messages.def"
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static enum process
somebody(enum process p)
{
	return (p == PROCESS_ANY ? PROCESS_AUTH : p);
}

static void
comes_back_and_nothing_else_does(void **state)
{
	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		enum process from = somebody(ways[i].from), to = somebody(ways[i].to);
		int fds = message_carries_fd(ways[i].type);
		struct message sent, got = {.fd = -1};
		struct wire w = {0};
		uint8_t *exact;

		fill(&sent, ways[i].type);
		assert_int_equal(message_encode(&w, &sent, from, to), 0);
		assert_int_equal(message_decode(w.at, w.len, from, to, fds, &got), 0);
		assert_true(same(&sent, &got));
		assert_int_equal(message_decode(w.at, w.len, from, to, !fds, &got), -1);
		for (size_t len = 0; len < w.len; len++) {
			exact = malloc(len == 0 ? 1 : len); /* so that ASan sees one byte read too many */
			assert_non_null(exact);
			memcpy(exact, w.at, len);
			assert_int_equal(message_decode(exact, len, from, to, fds, &got), -1);
			free(exact);
		}
		wire_put_u8(&w, 0);
		assert_int_equal(message_decode(w.at, w.len, from, to, fds, &got), -1);
		wire_free(&w);
	}
}

static int
is_a_way(enum message_type type, enum process from, enum process to)
{
	for (size_t i = 0; i < WAYS; i++)
		if (ways[i].type == type && (ways[i].from == from || ways[i].from == PROCESS_ANY) &&
		    (ways[i].to == to || ways[i].to == PROCESS_ANY))
			return (1);
	return (type == MSG_HELLO);
}

static void
goes_no_way_that_the_table_does_not_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < TYPES; i++)
		for (enum process from = PROCESS_GATEWAY; from <= PROCESS_LODGE; from++)
			for (enum process to = PROCESS_GATEWAY; to <= PROCESS_LODGE; to++) {
				struct message sent;
				struct wire w = {0};

				fill(&sent, types[i]);
				assert_int_equal(
				    message_encode(&w, &sent, from, to), is_a_way(types[i], from, to) ? 0 : -1);
				wire_free(&w);
			}
}

static void
has_a_link_for_every_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		enum process from = ways[i].from, to = ways[i].to;

		if (from != PROCESS_ANY && to != PROCESS_ANY)
			assert_true(process_may_talk(from, to));
	}
}

/* Session bytes never go to policy: what a session may send there is this list, and a new row must be thought about. */
static void
tells_policy_no_session_bytes(void **state)
{
	static const enum message_type allowed[] = {
	    MSG_ASK, MSG_ASK_ENDED, MSG_LEASE_HELD, MSG_VISIT, MSG_REFUSED, MSG_VERB, MSG_VERB_GONE, MSG_INTENT};
	size_t found = 0;

	(void)state;
	for (size_t i = 0; i < WAYS; i++) {
		if (ways[i].from != PROCESS_SESSION || ways[i].to != PROCESS_POLICY)
			continue;
		found++;
		for (size_t k = 0;; k++) {
			assert_true(k < sizeof(allowed) / sizeof(allowed[0]));
			if (allowed[k] == ways[i].type)
				break;
		}
	}
	assert_int_equal(found, sizeof(allowed) / sizeof(allowed[0]));
}

static void
refuses_a_nul_in_a_text(void **state)
{
	struct message m = {.type = MSG_FAILED, .fd = -1, .failed = {.why = bytes_of("a\0b", 3)}};
	struct wire w = {0};

	(void)state;
	assert_int_equal(message_encode(&w, &m, PROCESS_AUTH, PROCESS_GATEWAY), -1);
	wire_free(&w);
	wire_put_u16(&w, MSG_FAILED);
	wire_put_bytes(&w, bytes_of("a\0b", 3));
	assert_int_equal(message_decode(w.at, w.len, PROCESS_AUTH, PROCESS_GATEWAY, 0, &m), -1);
	wire_free(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(comes_back_and_nothing_else_does),
	    cmocka_unit_test(goes_no_way_that_the_table_does_not_name),
	    cmocka_unit_test(has_a_link_for_every_way),
	    cmocka_unit_test(tells_policy_no_session_bytes),
	    cmocka_unit_test(refuses_a_nul_in_a_text),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
