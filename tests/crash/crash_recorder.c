/*
 * The recorder killed at every write: whatever it was doing, what the session had delivered is in the recording, in order
 * and once, the book and the shelf agree, and nothing is left over.
 *
 *	crash_recorder [--all] [--from N] [--to N] [--how before|torn|after]
 *
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
#include "judge.h"

#define ROUNDS 250 /* of the script: about 550 KiB */
#define WORKERS 4
#define STEP_EACH 70 /* up to this call every one is tried */
#define STRIDE 4     /* and then each of so many, each worker another */

static struct options {
	int all, how;
	long from, to;
} options = {.how = -1, .from = 1, .to = 100000};

/* What all workers count together. */
static struct counts {
	_Atomic unsigned kills, passed, next;
	_Atomic long ends; /* the least N at which a run ended without dying */
} * counts;

/* --- One run ----------------------------------------------------------------------------------------------- */

static int
is_said(struct house *h)
{
	return (h->trouble != 0 || (h->put == h->script.count && house_delivered(h) == h->put));
}

static int
is_sealed(struct house *h)
{
	return (h->sealed > 0);
}

static int
is_let_go(struct house *h)
{
	return (h->ring_sealed);
}

/* Or it died of it: a new one is there, and was not told to stop. */
static int
is_ended(struct house *h)
{
	return (h->ended || !h->stopping);
}

static int
is_trimmed(struct house *h)
{
	return (house_wal_files(h) == 1);
}

/* The session has said all: it waits for its receipt, leaves, and all is put away. */
static void
run_end(struct house *h, enum judge_how how)
{
	if (!house_until(h, is_sealed, HOUSE_MS))
		house_fault(h, "SEALED did not come while the session waits");
	if (!h->gone)
		house_leave(h, 0);
	if (!house_until(h, is_let_go, HOUSE_MS))
		house_fault(h, "RING_SEALED did not come");
	for (int i = 0; i < 40 && !is_trimmed(h); i++)
		house_pass(h, 25);
	if (!is_trimmed(h))
		house_fault(h, "%zu files of the log are left", house_wal_files(h));
	for (int i = 0; i < 4 && !h->ended; i++) {
		house_stop(h);
		if (!house_until(h, is_ended, HOUSE_MS))
			break;
	}
	if (!h->ended)
		house_fault(h, "it does not stop");
	judge(h, how);
}

static void
log_show(const struct house *h)
{
	char path[128], line[512];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/recorder.log", h->dir);
	if ((f = fopen(path, "r")) == NULL)
		return;
	while (fgets(line, sizeof line, f) != NULL)
		(void)printf("    %s", line);
	(void)fclose(f);
}

/* Says how it went.  1: passed. */
static int
run_close(struct house *h, const char *name)
{
	int passed = h->faults == 0;

	if (!passed) {
		(void)printf(
		    "FAILED %s: died %u times, %u dials, %zu leaves\n", name, h->died, h->dials, h->leaf_read);
		log_show(h);
		(void)fflush(stdout);
	}
	house_end(h);
	return (passed);
}

/* One kill, or two.  1: it died; 0: the run ended without. */
static int
kill_run(const struct deaths *deaths, const char *name)
{
	struct house h;
	int died;

	house_begin(&h, ROUNDS);
	h.deaths = *deaths;
	h.strict = (int)(deaths->of[0].at % 2);
	house_start(&h);
	if (!house_until(&h, is_said, HOUSE_MS))
		house_fault(&h, "the session cannot say what it has to: %zu of %zu frames, %llu delivered", h.put,
		    h.script.count, (unsigned long long)house_delivered(&h));
	run_end(&h, JUDGE_ALL);
	died = h.died > 0;
	counts->kills += h.died;
	if (run_close(&h, name))
		counts->passed += (unsigned)died;
	return (died);
}

/* --- All of them ------------------------------------------------------------------------------------------- */

static long
next_number(void)
{
	long n = (long)counts->next++;

	if (!options.all && n >= STEP_EACH)
		n = STEP_EACH + (n - STEP_EACH) * STRIDE;
	return (options.from + n);
}

static void
worker(void)
{
	static const char *const how[] = {"before", "torn", "after"};
	char name[64];
	long n;

	while ((n = next_number()) <= options.to && n < counts->ends) {
		int died = 0;

		for (int i = 0; i < 3; i++) {
			struct deaths d = {.of = {{.at = n, .how = i}}};

			if (options.how != -1 ? i != options.how : !options.all && i != n % 3)
				continue;
			(void)snprintf(name, sizeof name, "--from %ld --to %ld --how %s", n, n, how[i]);
			died |= kill_run(&d, name);
		}
		if (!died && n < counts->ends)
			counts->ends = n;
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
			counts->kills++;
		}
}

static void
options_read(int argc, char **argv)
{
	static const struct option names[] = {{"all", no_argument, NULL, 'a'},
	    {"from", required_argument, NULL, 'f'}, {"to", required_argument, NULL, 't'},
	    {"how", required_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'a')
			options.all = 1;
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
	counts->ends = 100000;
	(void)setenv("LODGE_CRASH_LOG_BYTES", "327680", 1);
	workers_run();
	(void)printf("%ld calls\n", counts->ends);
	(void)printf("%u kills: %u passed\n", counts->kills, counts->passed);
	return (counts->kills == counts->passed && counts->kills > 0 ? 0 : 1);
}
