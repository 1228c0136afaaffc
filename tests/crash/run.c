#include "run.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 250 /* of the script: about 550 KiB */

int
is_said(struct house *h)
{
	return (h->trouble != 0 || (h->put == h->script.count && house_delivered(h) == h->put));
}

int
is_sealed(struct house *h)
{
	return (h->sealed > 0);
}

int
is_let_go(struct house *h)
{
	return (h->ring_sealed);
}

/* Or it died of it: a new one is there, and was not told to stop. */
int
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
void
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
int
run_close(struct house *h, const char *name)
{
	int passed = h->faults == 0;

	if (!passed || getenv("LODGE_CRASH_TRACE") != NULL) {
		(void)printf("%s %s: died %u times, %u dials, %zu leaves\n", passed ? "passed" : "FAILED", name,
		    h->died, h->dials, h->leaf_read);
		log_show(h);
		(void)fflush(stdout);
	}
	house_end(h);
	return (passed);
}

int
run_kill(struct run_counts *counts, const struct deaths *deaths, const char *name)
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
	died = (int)h.died;
	counts->kills += h.died;
	if (run_close(&h, name))
		counts->passed += (unsigned)died;
	else
		counts->failed++;
	return (died);
}
