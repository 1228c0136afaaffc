/*
 * lodge-policy killed at every write: a script of asks, requests, approvals, denials, revocations, extensions and logins runs
 * against it in a house of ours (house.h); each policy that dies is started again on the same database, and dies again.  No
 * decision that was told to anybody is lost, none is invented, each is made once, and the book and the database say the same.
 *
 *	crash_policy [--kills N] [--all] [--seed N] [--first N] [--how before|torn|after] [--policy FILE]
 *
 * Without options 200 kills: of each run the first policy dies at a call of its own, so that they are spread over all of the
 * script; those after it die soon, at numbers that the seed gives.  --all: the first one dies at each number in turn.
 * --first N: one run, whose first policy dies at call N (the line of a failure says it).  --policy: another executable, such
 * as one that was broken on purpose.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "judge.h"
#include "script.h"

#define WORKERS 4
#define SOON 150       /* a policy after the first dies within so many calls */
#define KILLS_A_RUN 10 /* then the rest of the run is left alone */
#define KILLS_ALL 3    /* the same with --all, which has many more runs */
#define FAILED_MOST 6
#define CALLS_MOST 8 /* kinds of calls */

static struct {
	int all, how;
	long kills, first;
	unsigned seed;
	const char *policy;
} options = {.how = -1, .kills = 200, .seed = 1, .policy = LODGE_POLICY};

static const char *const hows[] = {"before", "torn", "after"};
static const char *const calls[CALLS_MOST] = {"pwrite", "write", "ftruncate", "unlink", "fallocate", "sendmsg"};

/* What all workers count together, in shared memory. */
static struct counts {
	_Atomic long kills, runs, failed, next, faults;
	_Atomic long at_call[CALLS_MOST], at_how[3], at_step[64];
} * counts;

static char *golden; /* what the script leaves when nobody dies */
static long total;   /* calls that it takes then */

struct run {
	struct house house;
	struct told told;
	size_t now; /* step */
	long first;
	unsigned seed;
	int how;
	unsigned kills;
	char count_path[128];
};

static unsigned
next(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8);
}

/* ---- one run ---- */

static void
on_start(struct house *h)
{
	struct run *r = h->ctx;
	long at = 0;
	char number[32];

	if (h->started == 1)
		at = r->first;
	else if (r->first != 0 && r->kills < (options.all ? KILLS_ALL : KILLS_A_RUN))
		at = 1 + (long)(next(&r->seed) % SOON);
	r->how = options.how != -1 ? options.how : (int)((r->first + (long)h->started) % 3);
	(void)snprintf(number, sizeof(number), "%ld", at);
	(void)setenv("LODGE_CRASH_AT", number, 1);
	(void)setenv("LODGE_CRASH_HOW", hows[r->how], 1);
	(void)setenv("LODGE_CRASH_COUNT", r->count_path, 1);
	(void)unlink(r->count_path);
}

/* How many calls it made, and which was the last. */
static long
calls_made(const struct run *r, char name[32])
{
	FILE *f = fopen(r->count_path, "r");
	long n = 0;

	name[0] = '\0';
	if (f == NULL)
		return (0);
	if (fscanf(f, "%ld %31s", &n, name) != 2)
		n = 0;
	(void)fclose(f);
	return (n);
}

static void
on_death(struct house *h)
{
	struct run *r = h->ctx;
	char name[32];

	r->kills++;
	counts->kills++;
	counts->at_how[r->how]++;
	counts->at_step[r->now]++;
	(void)calls_made(r, name);
	for (size_t i = 0; i < CALLS_MOST && calls[i] != NULL; i++)
		counts->at_call[i] += strcmp(calls[i], name) == 0;
	judge_death(h, &r->told, r->now);
}

static void
on_told(struct house *h, struct seat *s, const struct message *m)
{
	if (s != NULL)
		told_note(&((struct run *)h->ctx)->told, m);
}

static int
is_over(struct house *h, const void *what)
{
	return (h->ready && step_is_over(h, *(const size_t *)what));
}

static int
is_held(struct house *h, const void *what)
{
	(void)what;
	return (h->ready);
}

static void
script_play(struct run *r)
{
	struct house *h = &r->house;

	house_start(h);
	for (r->now = 0; r->now < script_count && h->faults == 0; r->now++) {
		(void)house_until(h, is_held, NULL, HOUSE_MS);
		step_begin(h, r->now);
		if (!house_until(h, is_over, &r->now, HOUSE_MS))
			house_fault(h, "step %zu, %s, is never answered", r->now, script[r->now].words);
	}
	r->now = script_count - 1;
	if (h->faults == 0)
		house_stop(h);
}

static void
log_show(const struct house *h)
{
	char path[128], line[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/policy.log", h->dir);
	if ((f = fopen(path, "r")) == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		(void)printf("    %s", line);
	(void)fclose(f);
}

static struct run *
run_new(long first)
{
	struct run *r = calloc(1, sizeof(*r));

	if (r == NULL)
		abort();
	house_begin(&r->house, options.policy);
	r->first = first;
	r->seed = options.seed * 7919u + (unsigned)first;
	r->house.keeps = 1;
	r->house.ctx = r;
	r->house.on_start = on_start;
	r->house.on_death = on_death;
	r->house.on_told = on_told;
	(void)snprintf(r->count_path, sizeof(r->count_path), "%s/count", r->house.dir);
	script_people(house_database(&r->house));
	return (r);
}

static void
run_free(struct run *r)
{
	(void)unlink(r->count_path);
	house_end(&r->house);
	free(r);
}

/* Lines of one that the other does not have. */
static void
lines_less(const char *sign, const char *these, const char *those)
{
	char line[512];
	size_t n;

	for (; *these != '\0'; these += n + (these[n] == '\n')) {
		n = strcspn(these, "\n");
		(void)snprintf(line, sizeof(line), "%.*s\n", (int)n, these);
		if (strstr(those, line) == NULL)
			(void)printf("    %s %s", sign, line);
	}
}

/* What was decided is what is decided when nobody dies. */
static void
run_judge(struct run *r)
{
	char *dump = judge_dump(&r->house);

	if (strcmp(dump, golden) != 0) {
		house_fault(&r->house, "it ends otherwise than without kills:");
		lines_less("+", dump, golden);
		lines_less("-", golden, dump);
	}
	free(dump);
}

static void
run_do(long first)
{
	struct run *r = run_new(first);

	script_play(r);
	if (r->house.faults == 0)
		run_judge(r);
	counts->runs++;
	if (r->house.faults > 0) {
		(void)printf("FAILED --seed %u --first %ld: %u deaths\n", options.seed, first, r->kills);
		log_show(&r->house);
		counts->failed++;
	}
	(void)fflush(stdout);
	run_free(r);
}

/* Nobody dies: what comes of it, and how many calls it takes. */
static int
golden_make(void)
{
	struct run *r = run_new(0);
	char name[32];
	int faults;

	script_play(r);
	total = calls_made(r, name);
	golden = judge_dump(&r->house);
	faults = (int)r->house.faults;
	if (faults > 0)
		log_show(&r->house);
	run_free(r);
	return (faults);
}

/* ---- all of them ---- */

/* Which call the first policy of run n dies at: strewn evenly over the script, however many runs there will be. */
static long
first_of(long n)
{
	if (options.all)
		return (1 + n);
	return (1 + (n * (total * 618 / 1000) + total / 7) % total);
}

static void
worker(void)
{
	long n;

	for (;;) {
		n = counts->next++;
		if (counts->failed >= FAILED_MOST || (options.all ? n >= total : counts->kills >= options.kills))
			break;
		run_do(first_of(n));
	}
}

static void
workers_run(void)
{
	pid_t pids[WORKERS];
	int status;

	for (int i = 0; i < WORKERS; i++)
		if ((pids[i] = fork()) == 0) {
			worker();
			exit(0);
		}
	for (int i = 0; i < WORKERS; i++)
		if (waitpid(pids[i], &status, 0) == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			(void)printf("FAILED: a worker ended with %x\n", (unsigned)status);
			counts->failed++;
		}
}

static void
distribution_say(void)
{
	size_t steps = 0;

	(void)printf("the script takes %ld calls; killed", total);
	for (size_t i = 0; i < CALLS_MOST && calls[i] != NULL; i++)
		(void)printf(" %ld at %s,", counts->at_call[i], calls[i]);
	for (size_t i = 0; i < 3; i++)
		(void)printf(" %ld %s%s", counts->at_how[i], hows[i], i < 2 ? "," : "\n");
	(void)printf("by step of the script:");
	for (size_t i = 0; i < script_count; i++) {
		(void)printf(" %ld", counts->at_step[i]);
		steps += counts->at_step[i] > 0;
	}
	(void)printf("\n%ld kills in %ld runs, in %zu of %zu steps: %ld runs failed\n", counts->kills, counts->runs,
	    steps, script_count, counts->failed);
}

static void
options_read(int argc, char **argv)
{
	static const struct option names[] = {{"all", no_argument, NULL, 'a'},
	    {"kills", required_argument, NULL, 'k'}, {"seed", required_argument, NULL, 's'},
	    {"first", required_argument, NULL, 'f'}, {"how", required_argument, NULL, 'h'},
	    {"policy", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'a')
			options.all = 1;
		else if (c == 'k')
			options.kills = strtol(optarg, NULL, 10);
		else if (c == 's')
			options.seed = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'f')
			options.first = strtol(optarg, NULL, 10);
		else if (c == 'p')
			options.policy = optarg;
		else if (c == 'h')
			options.how = strcmp(optarg, "before") == 0 ? 0 : strcmp(optarg, "torn") == 0 ? 1 : 2;
		else
			exit(64);
	}
}

int
main(int argc, char **argv)
{
	options_read(argc, argv);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return (70);
	if (golden_make() != 0) {
		(void)printf("FAILED: nobody dies, and yet\n");
		return (1);
	}
	if (getenv("LODGE_CRASH_TRACE") != NULL)
		(void)printf("%s", golden);
	if (options.first != 0)
		run_do(options.first);
	else
		workers_run();
	distribution_say();
	free(golden);
	return (counts->failed == 0 && counts->kills > 0 ? 0 : 1);
}
