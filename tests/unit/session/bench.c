#include "bench.h"

#include <openssl/evp.h>

#define SEED_MAX 4096

static void
on_fact(void *ctx, struct bytes json)
{
	struct bench *b = ctx;

	assert_true(json.len <= TRANSFER_FACT_MAX);
	assert_null(memchr(json.at, '\n', json.len));
	wire_put_raw(&b->facts, json.at, json.len);
	wire_put_u8(&b->facts, '\n');
}

void
bench_open(struct bench *b, enum transfer_kind kind, unsigned capabilities, const char *command)
{
	const struct transfer_of of = {
	    .kind = kind, .capabilities = capabilities, .command = command, .fact = on_fact, .ctx = b};

	*b = (struct bench){.now_ms = 1000, .is_sftp = kind == TRANSFER_SFTP};
	b->transfer = transfer_new(&of);
	assert_non_null(b->transfer);
	wire_put_u8(&b->trace, (uint8_t)(capabilities | (kind == TRANSFER_SCP_DOWN)));
}

int
bench_feed(struct bench *b, enum from from, const void *at, size_t len)
{
	struct bytes piece = bytes_of(at, len);
	int good;

	if (len < SEED_MAX && b->trace.len < SEED_MAX) {
		wire_put_u16(&b->trace, (uint16_t)(len | (from == FROM_TARGET ? 0x8000U : 0)));
		wire_put_raw(&b->trace, at, len);
	}
	if (from == FROM_ENGINEER)
		good = transfer_from_engineer(b->transfer, piece, b->now_ms, &b->to_target, &b->to_engineer);
	else
		good = transfer_from_target(b->transfer, piece, b->now_ms, &b->to_engineer);
	assert_int_equal(good == 0, transfer_trouble(b->transfer)[0] == '\0');
	if (good != 0)
		b->failed = 1;
	return (good);
}

const char *
bench_facts(struct bench *b)
{
	wire_put_u8(&b->facts, '\0');
	assert_false(b->facts.failed);
	b->facts.len--;
	return ((const char *)b->facts.at);
}

const char *
bench_end(struct bench *b)
{
	transfer_end(b->transfer, b->now_ms);
	transfer_end(b->transfer, b->now_ms + 1);
	return (bench_facts(b));
}

void
seed_save(const char *fuzzer, struct bytes b)
{
	static unsigned count;
	const char *to = getenv("LODGE_SEEDS");
	char path[512];
	FILE *f;

	if (to == NULL || b.len > SEED_MAX)
		return;
	snprintf(path, sizeof(path), "%s/%s/%u", to, fuzzer, count++);
	assert_non_null(f = fopen(path, "w"));
	fwrite(b.at, 1, b.len, f);
	fclose(f);
}

void
bench_close(struct bench *b)
{
	if (!b->is_cut)
		seed_save(b->is_sftp ? "sftp" : "scp", wire_bytes(&b->trace));
	wire_free(&b->trace);
	transfer_free(b->transfer);
	fifo_free(&b->to_target);
	fifo_free(&b->to_engineer);
	wire_free(&b->facts);
}

static void
packet_put_list(struct wire *w, int type, const char *fields, va_list list)
{
	struct wire body = {0};

	wire_put_u8(&body, (uint8_t)type);
	for (; *fields != '\0'; fields++) {
		struct bytes raw;

		switch (*fields) {
		case 'b':
			wire_put_u8(&body, (uint8_t)va_arg(list, int));
			break;
		case 'u':
			wire_put_u32(&body, va_arg(list, uint32_t));
			break;
		case 'q':
			wire_put_u64(&body, va_arg(list, uint64_t));
			break;
		case 's':
			wire_put_bytes(&body, bytes_text(va_arg(list, const char *)));
			break;
		case 'r':
			raw = va_arg(list, struct bytes);
			wire_put_raw(&body, raw.at, raw.len);
			break;
		default:
			fail_msg("field %c", *fields);
		}
	}
	wire_put_bytes(w, wire_bytes(&body));
	assert_false(w->failed || body.failed);
	wire_free(&body);
}

void
packet_put(struct wire *w, int type, const char *fields, ...)
{
	va_list list;

	va_start(list, fields);
	packet_put_list(w, type, fields, list);
	va_end(list);
}

int
packet_feed(struct bench *b, enum from from, int type, const char *fields, ...)
{
	struct wire w = {0};
	va_list list;
	int good;

	va_start(list, fields);
	packet_put_list(&w, type, fields, list);
	va_end(list);
	good = bench_feed(b, from, w.at, w.len);
	wire_free(&w);
	return (good);
}

/* One way of cutting: step `which` at `cut`; cut SIZE_MAX: every step byte by byte; which = count: nothing is cut. */
static void
run_one_way(struct bench *b, const struct step *steps, size_t count, size_t which, size_t cut)
{
	for (size_t i = 0; i < count; i++) {
		struct bytes s = steps[i].bytes;
		size_t first = i == which ? cut : s.len;

		b->now_ms = 1000 * (int64_t)(i + 1);
		if (cut == SIZE_MAX) {
			for (size_t at = 0; at < s.len; at++)
				bench_feed(b, steps[i].from, s.at + at, 1);
			continue;
		}
		bench_feed(b, steps[i].from, s.at, first);
		if (first < s.len)
			bench_feed(b, steps[i].from, s.at + first, s.len - first);
	}
	(void)bench_end(b);
}

void
bytes_must_equal(struct bytes a, struct bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.at, b.at, a.len);
}

struct outcome {
	struct bench whole;
	enum transfer_kind kind;
	unsigned capabilities;
	const char *command;
};

static void
same_outcome(struct outcome *o, const struct step *steps, size_t count, size_t which, size_t cut)
{
	struct bench b;

	bench_open(&b, o->kind, o->capabilities, o->command);
	b.is_cut = 1;
	run_one_way(&b, steps, count, which, cut);
	assert_string_equal(bench_facts(&b), bench_facts(&o->whole));
	bytes_must_equal(fifo_bytes(&b.to_target), fifo_bytes(&o->whole.to_target));
	bytes_must_equal(fifo_bytes(&b.to_engineer), fifo_bytes(&o->whole.to_engineer));
	assert_memory_equal(
	    transfer_counts(b.transfer), transfer_counts(o->whole.transfer), sizeof(struct transfer_counts));
	assert_string_equal(transfer_trouble(b.transfer), transfer_trouble(o->whole.transfer));
	bench_close(&b);
}

char *
bench_run_every_way(const struct step *steps, size_t count, enum transfer_kind kind, unsigned capabilities,
    const char *command, struct wire *to_target, struct wire *to_engineer)
{
	struct outcome o = {.kind = kind, .capabilities = capabilities, .command = command};
	struct bytes b;
	char *facts;

	bench_open(&o.whole, kind, capabilities, command);
	run_one_way(&o.whole, steps, count, count, 0);
	for (size_t i = 0; i < count; i++)
		for (size_t cut = 1; cut < steps[i].bytes.len; cut += 1 + steps[i].bytes.len / 512)
			same_outcome(&o, steps, count, i, cut);
	same_outcome(&o, steps, count, count, SIZE_MAX);
	facts = strdup(bench_facts(&o.whole));
	b = fifo_bytes(&o.whole.to_target);
	if (to_target != NULL)
		wire_put_raw(to_target, b.at, b.len);
	b = fifo_bytes(&o.whole.to_engineer);
	if (to_engineer != NULL)
		wire_put_raw(to_engineer, b.at, b.len);
	bench_close(&o.whole);
	return (facts);
}

void
sha256_of(const void *at, size_t len, char hex[static 65])
{
	unsigned char digest[32];

	assert_int_equal(EVP_Digest(at, len, digest, NULL, EVP_sha256(), NULL), 1);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}
