/*
 * The recorder killed at every write: whatever it was doing, what the session had delivered is in the recording, in order
 * and once, the book and the shelf agree, and nothing is left over.
 *
 *	crash_recorder [--all] [--from N] [--to N] [--how before|torn|after] [--again]
 *	crash_recorder --cases
 *
 * --again: the second and the third recorder die too, while they recover.  --cases: only cases.h, no numbers.
 * Without --all early calls are tried each, later ones in strides, so that it takes a minute and a half at most.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "house.h"
#include "cases.h"
#include "run.h"

#define FAR 1000000L
#define WORKERS 4
#define STEP_EACH 70   /* up to this call every one is tried */
#define FAILED_MOST 12 /* then it is not worth anybody's time */
#define STRIDE 4       /* and then each of so many, each worker another */

static struct options {
	int all, how, again, cases;
	long from, to;
} options = {.how = -1, .from = 1, .to = FAR};

static struct run_counts *counts; /* shared */

/* --- All of them ------------------------------------------------------------------------------------------- */

static const char *const hows[] = {"before", "torn", "after"};

static long
next_number(void)
{
	long n = (long)counts->next++;

	if (!options.all && n >= STEP_EACH)
		n = STEP_EACH + (n - STEP_EACH) * STRIDE;
	return (options.from + n);
}

/* How many calls a run makes depends on how they fall together, a little: the end is where nobody died for a while. */
static int
is_over(long n)
{
	long last = counts->last > STEP_EACH ? counts->last : STEP_EACH;

	return (n > options.to || (options.to == FAR && n > last + 20) || counts->failed >= FAILED_MOST);
}

/* Dies at call n; of three recorders in a row the second and third die early, in the middle of recovering. */
static void
number_run(long n)
{
	char name[64];

	for (int i = 0; i < 3; i++) {
		struct deaths d = {.of = {{.at = n, .how = i}}};

		if (options.how != -1 ? i != options.how : !options.all && i != n % 3)
			continue;
		(void)snprintf(name, sizeof name, "--from %ld --to %ld --how %s%s", n, n, hows[i],
		    options.again ? " --again" : "");
		if (options.again) {
			d.of[1].at = 1 + n * 7 % 60;
			d.of[1].how = (i + 1) % 3;
			d.of[2].at = 1 + n * 5 % 30;
			d.of[2].how = (i + 2) % 3;
		}
		if (run_kill(counts, &d, name) > 0 && n > counts->last)
			counts->last = n;
	}
}

static void
worker(void)
{
	long n;

	while (!is_over(n = next_number()))
		number_run(n);
}

static void
cases_worker(void)
{
	cases_run(counts);
}

static void
workers_run(void (*work)(void))
{
	pid_t pids[WORKERS];
	int status;

	counts->next = 0;
	for (int i = 0; i < WORKERS; i++)
		if ((pids[i] = fork()) == 0) {
			work();
			exit(0);
		}
	for (int i = 0; i < WORKERS; i++)
		if (waitpid(pids[i], &status, 0) == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			(void)printf("FAILED: a worker ended with %x\n", (unsigned)status);
			counts->kills++;
		}
}

static void
options_read(int argc, char **argv)
{
	static const struct option names[] = {{"all", no_argument, NULL, 'a'},
	    {"from", required_argument, NULL, 'f'}, {"to", required_argument, NULL, 't'},
	    {"how", required_argument, NULL, 'h'}, {"again", no_argument, NULL, 'g'},
	    {"cases", no_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'a')
			options.all = 1;
		else if (c == 'g')
			options.again = 1;
		else if (c == 'c')
			options.cases = 1;
		else if (c == 'f')
			options.from = strtol(optarg, NULL, 10);
		else if (c == 't')
			options.to = strtol(optarg, NULL, 10);
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
	counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		return (70);
	(void)setenv("LODGE_CRASH_LOG_BYTES", "327680", 1);
	if (!options.cases)
		workers_run(worker);
	if (!options.cases && options.to == FAR &&
	    !options.again) { /* the same again, and the recorders after it die too */
		options.again = 1;
		counts->last = 0;
		workers_run(worker);
	}
	if (options.cases || options.to == FAR)
		workers_run(cases_worker);
	(void)printf("%u kills: %u passed\n", counts->kills, counts->passed);
	return (counts->kills == counts->passed && counts->failed == 0 && counts->kills > 0 ? 0 : 1);
}
