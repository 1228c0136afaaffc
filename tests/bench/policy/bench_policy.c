/*
 * What lodge-policy's verbs and decisions cost when the database is full: CPU time of the real process, of the release build,
 * in a house of ours (tests/policy_crash/house.h).  Printed, never asserted.
 *
 *	bench_policy LODGE-POLICY [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fill.h"
#include "house.h"

#define ROUNDS 200
#define ROUNDS_MOST 2000
#define LIMIT_MS 10.0 /* what each may cost: the issue says so */

static const struct sizes size = {.vendors = 20,
    .people = 500,
    .targets = 300,
    .requests = 100000,
    .visitors = 20000,
    .streams = 50000,
    .events = 1000000,
    .open = 100,
    .scheduled = 200,
    .waiting = 40};

static int rounds = ROUNDS;
static int over; /* how many medians are above the limit */

/* ---- measuring ---- */

/* CPU time that the process has had, in ns. */
static int64_t
cpu_ns(pid_t pid)
{
	char path[64];
	long long ns = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	if ((f = fopen(path, "r")) == NULL || fscanf(f, "%lld", &ns) != 1)
		abort();
	(void)fclose(f);
	return (ns);
}

/* When it has nothing more to do: what follows from an answer counts, too. */
static int64_t
cpu_quiet_ns(pid_t pid)
{
	static const struct timespec pause = {.tv_nsec = 2000000};
	int64_t ns = cpu_ns(pid), before;

	do {
		before = ns;
		(void)nanosleep(&pause, NULL);
		ns = cpu_ns(pid);
	} while (ns != before);
	return (ns);
}

struct measure {
	const char *name;
	double ms[ROUNDS_MOST];
	int count;
	size_t bytes; /* of the last answer */
};

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y ? -1 : x > y);
}

static void
measure_add(struct measure *m, int64_t ns)
{
	if (m->count < ROUNDS_MOST)
		m->ms[m->count++] = (double)ns / 1e6;
}

static void
measure_say(struct measure *m)
{
	double median, p99;

	if (m->count == 0)
		return;
	qsort(m->ms, (size_t)m->count, sizeof(m->ms[0]), by_size);
	median = m->ms[m->count / 2];
	p99 = m->ms[m->count * 99 / 100];
	over += median > LIMIT_MS;
	(void)printf("%-28s %6d %9.2f %9.2f %9.2f %9.2f %9zu%s\n", m->name, m->count, median, p99, m->ms[0],
	    m->ms[m->count - 1], m->bytes, median > LIMIT_MS ? "  MORE THAN 10 ms" : "");
	(void)fflush(stdout);
}

/* ---- doing ---- */

static int
is_in(struct house *h, const void *what)
{
	(void)h;
	return (((const struct seat *)what)->held);
}

static int
has_spoken(struct house *h, const void *what)
{
	(void)h;
	return (((const struct seat *)what)->verb.over);
}

static int
is_told(struct house *h, const void *what)
{
	(void)h;
	return (((const struct seat *)what)->ask.told);
}

static struct seat *
come(struct house *h, int64_t number, enum role role)
{
	char login[32];
	struct seat *s;

	(void)snprintf(login, sizeof(login), "p%lld", (long long)number);
	s = seat_take(h, login, role);
	if (!house_until(h, is_in, s, HOUSE_MS))
		exit(70);
	return (s);
}

/* A verb to its end; measured unless m is NULL. */
static void
say(struct seat *s, const char *words, struct measure *m)
{
	struct house *h = s->house;
	int64_t from = cpu_quiet_ns(h->policy);

	seat_say(s, words);
	if (!house_until(h, has_spoken, s, HOUSE_MS) || s->verb.status != 0) {
		(void)fprintf(stderr, "%s: status %d: %s\n", words, s->verb.status, s->verb.said);
		exit(70);
	}
	if (m == NULL)
		return;
	measure_add(m, cpu_quiet_ns(h->policy) - from);
	m->bytes = s->verb.len;
}

static void
bench_verb(struct seat *s, const char *name, const char *words)
{
	struct measure m = {.name = name};

	for (int i = 0; i < 3; i++)
		say(s, words, NULL);
	for (int i = 0; i < rounds; i++)
		say(s, words, &m);
	measure_say(&m);
}

/* The number of the request that this verb or question made. */
static long long
number_said(const struct seat *s)
{
	const char *at = strstr(s->verb.said, "request ");

	return (at == NULL ? 0 : strtoll(at + strlen("request "), NULL, 10));
}

static void
say_number(struct seat *s, const char *format, long long number, struct measure *m)
{
	char words[96];
	const char *mark = strchr(format, '#');

	(void)snprintf(words, sizeof(words), "%.*s%lld%s", (int)(mark - format), format, number, mark + 1);
	say(s, words, m);
}

/* Requests and their answers, each on a target of its own. */
static void
bench_decisions(struct seat *engineer, struct seat *manager)
{
	static struct measure asked = {.name = "request TARGET"}, approved = {.name = "approve N"},
	                      denied = {.name = "deny N"}, extended = {.name = "extend N"},
	                      revoked = {.name = "revoke N"}, waits = {.name = "an ask that waits"},
	                      answered = {.name = "approve N, who waits enters"},
	                      left = {.name = "revoke N, who is in leaves"};
	struct measure *all[] = {&asked, &approved, &denied, &extended, &revoked, &waits, &answered, &left};
	char words[96], target[32];
	int64_t from;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		all[i]->count = 0;
	for (int i = 0; i < rounds; i++) {
		(void)snprintf(target, sizeof(target), "target%d", i % 200);
		(void)snprintf(words, sizeof(words), "request %s --for 1h --account root --why bench", target);
		say(engineer, words, &asked);
		say_number(manager, "deny # --why bench", number_said(engineer), &denied);
		say(engineer, words, NULL);
		say_number(manager, "approve #", number_said(engineer), &approved);
		say_number(manager, "extend # --for 10m", number_said(engineer), &extended);
		say_number(manager, "revoke #", number_said(engineer), &revoked);
		from = cpu_quiet_ns(engineer->house->policy);
		(void)snprintf(target, sizeof(target), "target%d", 200 + i % 100);
		seat_ask(engineer, ASK_SHELL, target, "");
		if (!house_until(engineer->house, is_told, engineer, HOUSE_MS) ||
		    engineer->ask.verdict != VERDICT_WAIT) {
			(void)fprintf(stderr, "the ask for %s does not wait\n", target);
			exit(70);
		}
		measure_add(&waits, cpu_quiet_ns(engineer->house->policy) - from);
		say_number(manager, "approve #", (long long)engineer->ask.request, &answered);
		say_number(manager, "revoke #", (long long)engineer->ask.request, &left);
		seat_closed(engineer);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		measure_say(all[i]);
}

/* What is looked at every half second while anything is alive. */
static void
bench_idle(struct house *h)
{
	struct measure m = {.name = "half a second of nothing"};
	static const struct timespec half = {.tv_nsec = 500000000};

	for (int i = 0; i < 20; i++) {
		int64_t from = cpu_ns(h->policy);

		(void)nanosleep(&half, NULL);
		measure_add(&m, cpu_ns(h->policy) - from);
	}
	measure_say(&m);
}

static void
machine_say(void)
{
	struct utsname u;
	char line[256], model[256] = "?";
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL)
			(void)snprintf(model, sizeof(model), "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"),
			    strchr(line, ':') + 2);
	if (f != NULL)
		(void)fclose(f);
	(void)uname(&u);
	(void)printf(
	    "%s, %ld cores, Linux %s; %d rounds each\n", model, sysconf(_SC_NPROCESSORS_ONLN), u.release, rounds);
}

/* More than a house's seats that wait: every decision walks past them. */
static void
crowd_come(struct house *h)
{
	char target[32];

	for (int64_t i = 0; i < 40; i++) {
		struct seat *s = come(h, 100 + i, ROLE_ENGINEER);

		(void)snprintf(target, sizeof(target), "target%lld", (long long)i);
		seat_ask(s, ASK_SFTP, target, "");
		(void)house_until(h, is_told, s, HOUSE_MS);
	}
}

static void
bench_all(struct house *h)
{
	struct seat *manager = come(h, 0, ROLE_MANAGER), *auditor = come(h, FILL_MANAGERS, ROLE_AUDITOR),
	            *engineer = come(h, 40, ROLE_ENGINEER);

	(void)printf("%-28s %6s %9s %9s %9s %9s %9s\n", "CPU ms of lodge-policy", "rounds", "median", "p99",
	    "least", "most", "bytes");
	bench_verb(manager, "requests", "requests");
	bench_verb(manager, "requests --json", "requests --json");
	bench_verb(manager, "requests --all", "requests --all");
	bench_verb(manager, "requests --all --before", "requests --all --before 50000");
	bench_verb(manager, "sessions", "sessions");
	bench_verb(manager, "sessions --all", "sessions --all");
	bench_verb(auditor, "recordings", "recordings");
	bench_verb(auditor, "recordings --person", "recordings --person p40");
	bench_verb(auditor, "recordings --since 1d", "recordings --since 1d");
	bench_verb(manager, "show N", "show 99690");
	bench_verb(manager, "show N, of long ago", "show 77");
	bench_verb(manager, "explain TARGET --person", "explain target7 --person p40");
	bench_verb(engineer, "explain TARGET", "explain target7");
	bench_verb(engineer, "menu of an engineer", "menu");
	bench_verb(engineer, "snippet", "snippet");
	bench_verb(manager, "menu of a manager", "menu");
	bench_verb(manager, "events --last 20", "events --last 20");
	bench_verb(manager, "events", "events");
	bench_verb(manager, "status", "status");
	bench_decisions(engineer, manager);
	bench_idle(h);
}

int
main(int argc, char **argv)
{
	static struct house house;
	struct house *h = &house;
	int64_t from;

	if (argc > 2)
		rounds = (int)strtol(argv[2], NULL, 10);
	if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST) {
		(void)fprintf(stderr, "usage: bench_policy LODGE-POLICY [ROUNDS]\n");
		return (64);
	}
	machine_say();
	house_begin(h, argv[1]);
	h->held = size.events;
	from = clock_boot_ms();
	fill(house_database(h), &size);
	(void)printf(
	    "%lld requests, %lld events, %lld visitors, %lld streams, %lld people, %lld targets, %lld windows "
	    "open, %lld to come, %lld requests waiting (filled in %.0f s)\n",
	    (long long)size.requests, (long long)size.events, (long long)size.visitors, (long long)size.streams,
	    (long long)size.people, (long long)size.targets, (long long)size.open, (long long)size.scheduled,
	    (long long)size.waiting, (double)(clock_boot_ms() - from) / 1000);
	house_start(h);
	(void)printf("its start: %.1f ms\n", (double)cpu_quiet_ns(h->policy) / 1e6);
	bench_all(h);
	(void)printf("the same with 40 connections that wait:\n");
	crowd_come(h);
	bench_decisions(&h->seats[2], &h->seats[0]);
	house_stop(h);
	(void)printf("%d of them cost more than %.0f ms in the median\n", over, LIMIT_MS);
	house_end(h);
	return (h->faults == 0 ? 0 : 1);
}
