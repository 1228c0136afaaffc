/* What auth knows of the connections that live: see live.h. */
#include "live.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYOUT 0x4c4f4447454c0002 /* "LODGEL", then the layout's number */
#define GRACES 1024
#define CODES 256
#define COUNTERS 1024
#define IDENTIFIERS 16384
#define IDENTIFIER_BYTES 16 /* of its digest: nobody finds a second one by chance */

struct slot {
	_Atomic uint64_t conn; /* 0: free */
	_Atomic uint32_t turn; /* which image counts */
	uint32_t unused;
	struct live_state image[2];
};

struct grace {
	_Atomic int64_t until_boot_ms; /* 0: free; written last, and first cleared */
	char person[LIVE_PERSON_SIZE];
	char fingerprint[LIVE_PRINT_SIZE];
	char source[LIVE_SOURCE_SIZE];
};

/* A code that was good; it only chooses the word for a no, so that a torn one does no harm. */
struct code {
	int64_t at_boot_ms; /* 0: free */
	uint8_t digest[LIVE_DIGEST_BYTES];
};

struct counter {
	_Atomic uint32_t counter; /* 0: free; written last, and first cleared */
	uint32_t unused;
	uint64_t conn;
	int64_t at_boot_ms;
	char fingerprint[LIVE_PRINT_SIZE];
};

struct table {
	uint64_t layout;
	uint64_t slots;
	uint8_t code_key[LIVE_DIGEST_BYTES];
	struct grace graces[GRACES];
	struct code codes[CODES];
	struct counter counters[COUNTERS];
	_Atomic uint64_t identifiers_count; /* ever written */
	uint8_t identifiers[IDENTIFIERS][IDENTIFIER_BYTES];
	struct slot slot[];
};

struct live {
	struct table *table;
	size_t bytes;
	size_t free_hint;
};

/* The slots that fit into the memory behind fd, which is made larger when it is too small and lets itself. */
static size_t
size_make(int fd, size_t bytes)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (0);
	if (st.st_size >= 0 && (size_t)st.st_size < bytes && ftruncate(fd, (off_t)bytes) == -1)
		return ((size_t)st.st_size);
	return ((size_t)st.st_size > bytes ? (size_t)st.st_size : bytes);
}

struct live *
live_open(int fd, size_t connections)
{
	size_t bytes = sizeof(struct table) + connections * sizeof(struct slot);
	struct live *l = calloc(1, sizeof(*l));
	void *at = MAP_FAILED;

	if (l == NULL)
		goto out;
	if (fd == -1)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else if ((bytes = size_make(fd, bytes)) >= sizeof(struct table) + sizeof(struct slot))
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		free(l);
		l = NULL;
		goto out;
	}
	l->table = at;
	l->bytes = bytes;
	if (l->table->layout != LAYOUT) {
		memset(at, 0, bytes);
		l->table->layout = LAYOUT;
	}
	l->table->slots = (bytes - sizeof(struct table)) / sizeof(struct slot);
out:
	if (fd != -1)
		close(fd);
	return (l);
}

void
live_close(struct live *l)
{
	if (l == NULL)
		return;
	munmap(l->table, l->bytes);
	free(l);
}

/* The slot of conn, or (conn 0) a free one. */
static struct slot *
slot_find(const struct live *l, uint64_t conn)
{
	struct slot *s = l->table->slot;

	for (size_t i = 0; i < l->table->slots; i++) {
		size_t at = (i + l->free_hint) % l->table->slots;

		if (s[at].conn == conn)
			return (&s[at]);
	}
	return (NULL);
}

int
live_next(const struct live *l, size_t *at, struct live_state *state)
{
	while (*at < l->table->slots) {
		const struct slot *s = &l->table->slot[(*at)++];

		if (s->conn == 0)
			continue;
		*state = s->image[s->turn & 1];
		if (state->conn == s->conn)
			return (1);
	}
	return (0);
}

int
live_keep(struct live *l, const struct live_state *state)
{
	struct slot *s = slot_find(l, state->conn);
	uint32_t turn;

	if (s == NULL && (s = slot_find(l, 0)) == NULL)
		return (-1);
	turn = (s->turn + 1) & 1;
	s->image[turn] = *state;
	s->turn = turn;
	s->conn = state->conn;
	l->free_hint = (size_t)(s - l->table->slot);
	return (0);
}

void
live_forget(struct live *l, uint64_t conn)
{
	struct slot *s = conn == 0 ? NULL : slot_find(l, conn);

	if (s == NULL)
		return;
	s->conn = 0;
	memset(s->image, 0, sizeof(s->image));
}

int64_t
live_grace(const struct live *l, const char *person, const char *fingerprint, const char *source)
{
	for (size_t i = 0; i < GRACES; i++) {
		const struct grace *g = &l->table->graces[i];

		if (g->until_boot_ms != 0 && strncmp(g->person, person, sizeof(g->person)) == 0 &&
		    strncmp(g->fingerprint, fingerprint, sizeof(g->fingerprint)) == 0 &&
		    strncmp(g->source, source, sizeof(g->source)) == 0)
			return (g->until_boot_ms);
	}
	return (0);
}

static void
text_keep(char *to, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	memset(to, 0, size);
	memcpy(to, text, len);
}

void
live_grace_give(
    struct live *l, const char *person, const char *fingerprint, const char *source, int64_t until_boot_ms)
{
	struct grace *chosen = &l->table->graces[0];

	for (size_t i = 0; i < GRACES; i++) {
		struct grace *g = &l->table->graces[i];

		if (g->until_boot_ms != 0 && strcmp(g->person, person) == 0 &&
		    strcmp(g->fingerprint, fingerprint) == 0 && strcmp(g->source, source) == 0) {
			chosen = g;
			break;
		}
		if (g->until_boot_ms < chosen->until_boot_ms)
			chosen = g;
	}
	chosen->until_boot_ms = 0;
	text_keep(chosen->person, sizeof(chosen->person), person);
	text_keep(chosen->fingerprint, sizeof(chosen->fingerprint), fingerprint);
	text_keep(chosen->source, sizeof(chosen->source), source);
	chosen->until_boot_ms = until_boot_ms;
}

void
live_grace_end(struct live *l, const char *person)
{
	for (size_t i = 0; i < GRACES; i++)
		if (l->table->graces[i].until_boot_ms != 0 && strcmp(l->table->graces[i].person, person) == 0)
			l->table->graces[i].until_boot_ms = 0;
}

uint8_t *
live_code_key(struct live *l)
{
	return (l->table->code_key);
}

void
live_code_use(struct live *l, const uint8_t digest[LIVE_DIGEST_BYTES], int64_t now_boot_ms)
{
	struct code *chosen = &l->table->codes[0];

	for (size_t i = 1; i < CODES; i++)
		if (l->table->codes[i].at_boot_ms < chosen->at_boot_ms)
			chosen = &l->table->codes[i];
	memcpy(chosen->digest, digest, LIVE_DIGEST_BYTES);
	chosen->at_boot_ms = now_boot_ms;
}

int
live_code_was_used(const struct live *l, const uint8_t digest[LIVE_DIGEST_BYTES], int64_t since_boot_ms)
{
	for (size_t i = 0; i < CODES; i++) {
		const struct code *c = &l->table->codes[i];

		if (c->at_boot_ms != 0 && c->at_boot_ms >= since_boot_ms &&
		    CRYPTO_memcmp(c->digest, digest, LIVE_DIGEST_BYTES) == 0)
			return (1);
	}
	return (0);
}

void
live_identifier_use(struct live *l, const uint8_t *at, size_t len)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256(at, len, digest);
	memcpy(l->table->identifiers[l->table->identifiers_count % IDENTIFIERS], digest, IDENTIFIER_BYTES);
	l->table->identifiers_count++;
}

int
live_identifier_was_used(const struct live *l, const uint8_t *at, size_t len)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint64_t count = l->table->identifiers_count;

	SHA256(at, len, digest);
	for (uint64_t i = 0; i < count && i < IDENTIFIERS; i++)
		if (memcmp(l->table->identifiers[i], digest, IDENTIFIER_BYTES) == 0)
			return (1);
	return (0);
}

static struct counter *
counter_find(const struct live *l, const char *fingerprint)
{
	for (size_t i = 0; i < COUNTERS; i++) {
		struct counter *c = &l->table->counters[i];

		if (c->counter != 0 && strncmp(c->fingerprint, fingerprint, sizeof(c->fingerprint)) == 0)
			return (c);
	}
	return (NULL);
}

uint32_t
live_counter(const struct live *l, const char *fingerprint, uint64_t *conn)
{
	const struct counter *c = counter_find(l, fingerprint);

	if (conn != NULL)
		*conn = c == NULL ? 0 : c->conn;
	return (c == NULL ? 0 : c->counter);
}

void
live_counter_set(struct live *l, const char *fingerprint, uint32_t counter, uint64_t conn, int64_t now_boot_ms)
{
	struct counter *chosen = counter_find(l, fingerprint), *c = l->table->counters;

	if (chosen == NULL) {
		chosen = c;
		for (size_t i = 1; i < COUNTERS && chosen->counter != 0; i++)
			if (c[i].counter == 0 || c[i].at_boot_ms < chosen->at_boot_ms)
				chosen = &c[i];
	}
	chosen->counter = 0;
	text_keep(chosen->fingerprint, sizeof(chosen->fingerprint), fingerprint);
	chosen->conn = conn;
	chosen->at_boot_ms = now_boot_ms;
	chosen->counter = counter;
}
