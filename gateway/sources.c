/* Where connections come from, and how many one source may have: see sources.h. */
#include "sources.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024
#define NAME_SIZE (INET6_ADDRSTRLEN + 4)
#define IPV6_NET_BYTES 8  /* a /64 */
#define MAPPED_BYTES 12   /* of an IPv6 address, before the IPv4 one in it */
#define DROP_FIRST 30     /* in a hundred, at half of MaxStartups */
#define DOUBLINGS_MOST 40 /* no wait doubles further */

struct source {
	struct source *next; /* in its bucket */
	struct sources *all;
	char name[NAME_SIZE]; /* "192.0.2.1", "2001:db8::/64" */
	/* Its connections. */
	size_t strangers, connections;
	struct source *older, *newer; /* while it has none: among the quiet */
	/* Its harm. */
	unsigned points;
	int64_t harmed_ms, until_ms;
	/* What the log was told. */
	unsigned refusals;
	int told;
	int64_t told_ms;
};

struct sources {
	const struct settings *set;
	struct source *buckets[BUCKETS];
	size_t strangers, connections;
	/* Those without a connection. */
	struct source *oldest, *newest;
	size_t quiet;
};

struct sources *
sources_new(const struct settings *set)
{
	struct sources *all = calloc(1, sizeof(*all));

	if (all != NULL)
		all->set = set;
	return (all);
}

void
sources_free(struct sources *all)
{
	if (all == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct source *s = all->buckets[i], *next; s != NULL; s = next) {
			next = s->next;
			free(s);
		}
	free(all);
}

static void
name_make(char name[NAME_SIZE], const char *address)
{
	struct in6_addr six;
	char text[INET6_ADDRSTRLEN];

	snprintf(name, NAME_SIZE, "%s", address);
	if (inet_pton(AF_INET6, address, &six) != 1)
		return;
	if (IN6_IS_ADDR_V4MAPPED(&six)) {
		(void)inet_ntop(AF_INET, six.s6_addr + MAPPED_BYTES, name, NAME_SIZE);
		return;
	}
	memset(six.s6_addr + IPV6_NET_BYTES, 0, sizeof(six) - IPV6_NET_BYTES);
	if (inet_ntop(AF_INET6, &six, text, sizeof(text)) != NULL)
		snprintf(name, NAME_SIZE, "%s/64", text);
}

/* FNV-1a. */
static struct source **
bucket_of(struct sources *all, const char *name)
{
	uint32_t hash = 2166136261U;

	for (const char *c = name; *c != '\0'; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return (&all->buckets[hash % BUCKETS]);
}

static void
quiet_add(struct source *s)
{
	struct sources *all = s->all;

	s->older = all->newest;
	s->newer = NULL;
	*(all->newest == NULL ? &all->oldest : &all->newest->newer) = s;
	all->newest = s;
	all->quiet++;
}

static void
quiet_take(struct source *s)
{
	struct sources *all = s->all;

	*(s->older == NULL ? &all->oldest : &s->older->newer) = s->newer;
	*(s->newer == NULL ? &all->newest : &s->newer->older) = s->older;
	all->quiet--;
}

/* While too many are remembered: forgets the one that has been quiet longest. */
static void
quiet_limit(struct sources *all)
{
	struct source *s = all->oldest, **at;

	if (all->quiet <= SOURCES_QUIET_MAX)
		return;
	quiet_take(s);
	for (at = bucket_of(all, s->name); *at != s; at = &(*at)->next)
		;
	*at = s->next;
	free(s);
}

struct source *
source_of(struct sources *all, const char *address)
{
	char name[NAME_SIZE];
	struct source **bucket, *s;

	name_make(name, address);
	bucket = bucket_of(all, name);
	for (s = *bucket; s != NULL && strcmp(s->name, name) != 0; s = s->next)
		;
	if (s != NULL) {
		if (s->connections == 0) {
			quiet_take(s);
			quiet_add(s);
		}
		return (s);
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	s->all = all;
	memcpy(s->name, name, sizeof(s->name));
	s->next = *bucket;
	*bucket = s;
	quiet_add(s);
	quiet_limit(all);
	return (s);
}

/* Whether one stranger more is refused, among so many. */
static int
is_dropped(const struct sources *all, unsigned chance)
{
	size_t full = (size_t)all->set->max_startups, half = (full + 1) / 2;

	if (all->strangers >= full)
		return (1);
	if (all->strangers < half)
		return (0);
	return (chance < DROP_FIRST + (100 - DROP_FIRST) * (all->strangers - half) / (full - half));
}

enum source_answer
source_take(struct source *from, int64_t now_boot_ms, unsigned chance)
{
	struct sources *all = from->all;
	enum source_answer answer = SOURCE_TAKEN;

	if (source_waits_ms(from, now_boot_ms) > 0)
		answer = SOURCE_WAITS;
	else if (from->connections >= (size_t)all->set->per_source_max_connections)
		answer = SOURCE_CONNECTIONS;
	else if (from->strangers >= (size_t)all->set->per_source_max_startups)
		answer = SOURCE_STARTUPS;
	else if (all->connections >= (size_t)all->set->max_connections)
		answer = SOURCES_CONNECTIONS;
	else if (is_dropped(all, chance))
		answer = SOURCES_STARTUPS;
	if (answer != SOURCE_TAKEN) {
		from->refusals++;
		return (answer);
	}
	if (from->connections == 0)
		quiet_take(from);
	from->strangers++;
	from->connections++;
	all->strangers++;
	all->connections++;
	return (SOURCE_TAKEN);
}

void
source_logged_in(struct source *from)
{
	from->strangers--;
	from->all->strangers--;
}

void
source_let_go(struct source *from, int logged_in)
{
	if (!logged_in)
		source_logged_in(from);
	from->connections--;
	from->all->connections--;
	if (from->connections > 0)
		return;
	quiet_add(from);
	quiet_limit(from->all);
}

void
source_harm(struct source *from, enum harm harm, int64_t now_boot_ms)
{
	int64_t least_ms = from->all->set->penalty_least, most_ms = from->all->set->penalty_most,
	        wait_ms = least_ms;

	int64_t forgiven = (now_boot_ms - from->harmed_ms) / SOURCE_FORGIVE_MS;

	if (now_boot_ms - from->harmed_ms > SOURCE_QUIET_MS && now_boot_ms >= from->until_ms)
		from->points = 0;
	from->points -= forgiven < from->points ? (unsigned)forgiven : from->points;
	from->harmed_ms = now_boot_ms;
	if (from->points < SOURCE_FREE + DOUBLINGS_MOST)
		from->points += harm;
	if (from->points <= SOURCE_FREE || least_ms == 0)
		return;
	for (unsigned i = SOURCE_FREE + 1; i < from->points && wait_ms < most_ms; i++)
		wait_ms *= 2;
	if (wait_ms > most_ms)
		wait_ms = most_ms;
	if (from->until_ms < now_boot_ms + wait_ms)
		from->until_ms = now_boot_ms + wait_ms;
}

int64_t
source_waits_ms(const struct source *from, int64_t now_boot_ms)
{
	return (from->until_ms > now_boot_ms ? from->until_ms - now_boot_ms : 0);
}

unsigned
source_tell(struct source *from, int64_t now_boot_ms)
{
	unsigned refusals = from->refusals;

	if (from->told && now_boot_ms - from->told_ms < SOURCE_TELL_MS)
		return (0);
	from->told = 1;
	from->told_ms = now_boot_ms;
	from->refusals = 0;
	return (refusals);
}

size_t
sources_strangers(const struct sources *all)
{
	return (all->strangers);
}

size_t
sources_connections(const struct sources *all)
{
	return (all->connections);
}
