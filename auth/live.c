/* What auth knows of the connections that live: see live.h. */
#include "live.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYOUT 0x4c4f4447454c0001 /* "LODGEL", then the layout's number */
#define GRACES 1024

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

struct table {
	uint64_t layout;
	uint64_t slots;
	struct grace graces[GRACES];
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
