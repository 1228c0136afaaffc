/* Whoever fails too often waits: see penalty.h. */
#include "penalty.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHOM_SIZE 72
#define IPV6_HOST_BYTES 8

struct entry {
	char whom[WHOM_SIZE]; /* kind, then text; "" is free */
	uint32_t failures;
	int64_t last_ms;
	int64_t until_ms;
};

struct penalties {
	int64_t least_ms;
	int64_t most_ms;
	struct entry entries[PENALTY_ENTRIES];
};

struct penalties *
penalties_new(int64_t least_ms, int64_t most_ms)
{
	struct penalties *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return (NULL);
	p->least_ms = least_ms;
	p->most_ms = most_ms < least_ms ? least_ms : most_ms;
	return (p);
}

void
penalties_free(struct penalties *p)
{
	free(p);
}

static void
whom_make(char to[WHOM_SIZE], enum penalty_kind kind, const char *whom)
{
	struct in6_addr six;
	char net[INET6_ADDRSTRLEN];

	memset(to, 0, WHOM_SIZE);
	if (kind == PENALTY_SOURCE && inet_pton(AF_INET6, whom, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six)) {
		memset(six.s6_addr + sizeof(six) - IPV6_HOST_BYTES, 0, IPV6_HOST_BYTES);
		if (inet_ntop(AF_INET6, &six, net, sizeof(net)) != NULL)
			whom = net;
	}
	snprintf(to, WHOM_SIZE, "%d %s", kind, whom);
}

static const struct entry *
entry_find(const struct penalties *p, const char *key)
{
	for (size_t i = 0; i < PENALTY_ENTRIES; i++)
		if (strcmp(p->entries[i].whom, key) == 0)
			return (&p->entries[i]);
	return (NULL);
}

/* The entry of `key`; else a free one or the quietest, made new. */
static struct entry *
entry_take(struct penalties *p, const char *key)
{
	struct entry *chosen = &p->entries[0];

	for (size_t i = 0; i < PENALTY_ENTRIES; i++) {
		struct entry *e = &p->entries[i];

		if (strcmp(e->whom, key) == 0)
			return (e);
		if (chosen->whom[0] != '\0' && (e->whom[0] == '\0' || e->last_ms < chosen->last_ms))
			chosen = e;
	}
	memset(chosen, 0, sizeof(*chosen));
	memcpy(chosen->whom, key, WHOM_SIZE);
	return (chosen);
}

void
penalty_add(struct penalties *p, enum penalty_kind kind, const char *whom, int64_t now_boot_ms)
{
	char key[WHOM_SIZE];
	struct entry *e;
	int64_t wait_ms = p->least_ms, forgiven;

	if (p->least_ms == 0)
		return;
	whom_make(key, kind, whom);
	e = entry_take(p, key);
	forgiven = (now_boot_ms - e->last_ms) / PENALTY_FORGIVE_MS;
	if (now_boot_ms - e->last_ms > PENALTY_QUIET_MS && now_boot_ms >= e->until_ms)
		e->failures = 0;
	e->failures -= forgiven < e->failures ? (uint32_t)forgiven : e->failures;
	e->last_ms = now_boot_ms;
	if (++e->failures <= PENALTY_FREE)
		return;
	for (uint32_t i = PENALTY_FREE + 1; i < e->failures && wait_ms < p->most_ms; i++)
		wait_ms *= 2;
	e->until_ms = now_boot_ms + (wait_ms > p->most_ms ? p->most_ms : wait_ms);
}

int64_t
penalty_left(const struct penalties *p, enum penalty_kind kind, const char *whom, int64_t now_boot_ms)
{
	char key[WHOM_SIZE];
	const struct entry *e;

	whom_make(key, kind, whom);
	e = entry_find(p, key);
	return (e == NULL || e->until_ms <= now_boot_ms ? 0 : e->until_ms - now_boot_ms);
}

void
penalty_clear(struct penalties *p, enum penalty_kind kind, const char *whom)
{
	char key[WHOM_SIZE];
	const struct entry *e;

	whom_make(key, kind, whom);
	if ((e = entry_find(p, key)) != NULL)
		memset(&p->entries[e - p->entries], 0, sizeof(*e));
}
