#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>

#define LEN(list) (sizeof(list) / sizeof(list)[0])

/* Each kind of note in the log, by words in it. */
static const char *const notes[] = {"\"note\":\"stream\"", "\"kind\":1", "\"kind\":2", "\"note\":\"held\"",
    "\"note\":\"position\"", "\"note\":\"ends\"", "\"note\":\"ending\"", "\"kind\":3", "\"note\":\"closed\""};

/* The recorder dies at this note; at the last ones (book and policy know, who else?) its successor does so too. */
static void
note_run(struct run_counts *counts, size_t which)
{
	struct deaths d = {.of = {{.note = notes[which / 3 % LEN(notes)], .how = which % 3}}};
	char name[64];

	if (which / 3 >= LEN(notes)) {
		d.of[0].note = "\"kind\":3";
		d.of[0].how = HOW_AFTER;
		d.of[1].note = "\"note\":\"closed\"";
		d.of[1].how = which % 3;
	}
	(void)snprintf(name, sizeof name, "%s, %zu", d.of[0].note, which % 3);
	if (run_kill(counts, &d, name) == 0) {
		(void)printf("FAILED %s: nobody died\n", name);
		counts->failed++;
	}
}

static void
case_close(struct run_counts *counts, struct house *h, const char *name)
{
	unsigned died = h->died > 0 ? h->died : 1; /* an orderly end counts for one */

	counts->kills += died;
	if (run_close(h, name))
		counts->passed += died;
	else
		counts->failed++;
}

static int
is_halted(struct house *h)
{
	return (h->halt_at > 0 && house_delivered(h) == h->halt_at);
}

static int
is_asleep(struct house *h)
{
	return (h->book_asleep);
}

/* The book is stopped when the first leaf comes; the recorder dies; nothing is handed over before the book wakes. */
static void
book_asleep_first(struct run_counts *counts)
{
	struct house h;

	house_begin(&h, 100);
	h.sleep_at = 1;
	house_start(&h);
	if (!house_until(&h, is_asleep, HOUSE_MS))
		house_fault(&h, "no leaf came");
	house_kill(&h);
	house_pass(&h, 300);
	if (h.held)
		house_fault(&h, "the target was handed over while the book sleeps");
	house_wake_book(&h);
	(void)house_until(&h, is_said, HOUSE_MS);
	run_end(&h, JUDGE_ALL);
	case_close(counts, &h, "the book sleeps from the beginning");
}

/* The book is stopped while segments are sealed: the session goes on; nothing is lost over two kills. */
static void
book_asleep_later(struct run_counts *counts)
{
	struct house h;

	house_begin(&h, 250);
	h.halt_at = 20;
	house_start(&h);
	(void)house_until(&h, is_halted, HOUSE_MS);
	h.book_asleep = 1;
	h.halt_at = 0;
	house_say(&h);
	if (!house_until(&h, is_said, HOUSE_MS))
		house_fault(&h, "the session stops because the book does");
	house_kill(&h);
	house_pass(&h, 300);
	house_kill(&h);
	house_pass(&h, 300);
	if (h.sealed > 0)
		house_fault(&h, "SEALED came while the book sleeps");
	house_wake_book(&h);
	run_end(&h, JUDGE_ALL);
	case_close(counts, &h, "the book sleeps while segments are sealed");
}

/* The session dies with the recorder: the ring is read to its end by the next one. */
static void
session_dies(struct run_counts *counts)
{
	struct house h;

	house_begin(&h, 250);
	h.halt_at = 400;
	house_start(&h);
	(void)house_until(&h, is_halted, HOUSE_MS);
	h.no_session = 1;
	h.halt_at = 430;
	house_say(&h);
	house_kill(&h);
	run_end(&h, JUDGE_PUT);
	case_close(counts, &h, "the session dies with the recorder");
}

/* STOP while the session lives; its next recorder goes on, and nothing says that anything was lost. */
static void
handed_over(struct run_counts *counts)
{
	struct house h;

	house_begin(&h, 250);
	h.halt_at = 300;
	house_start(&h);
	(void)house_until(&h, is_halted, HOUSE_MS);
	house_stop(&h);
	house_pass(&h, 200);
	h.halt_at = 330; /* it goes on while the old one ends */
	house_say(&h);
	if (!house_until(&h, is_ended, HOUSE_MS))
		house_fault(&h, "it does not stop while a session lives");
	h.halt_at = 0;
	house_start(&h);
	(void)house_until(&h, is_said, HOUSE_MS);
	run_end(&h, JUDGE_ALL);
	if (h.state != SEALED_WHOLE)
		house_fault(&h, "an orderly hand-over is told as a recovery");
	case_close(counts, &h, "handed over to the next recorder");
}

static int
is_troubled(struct house *h)
{
	return (h->trouble != 0);
}

/*
 * A disk of 40 MiB in a mount namespace of our own, filled from outside but for the reserve: the session is told, nothing
 * is freed that is not recorded, all is sealed in the reserve.
 */
static void
disk_full(struct run_counts *counts)
{
	struct house h;
	char shelf[128];

	(void)unsetenv("LODGE_CRASH_LOG_BYTES");
	if (unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1) {
		(void)printf("skipped: a disk that is full (it takes root)\n");
		return;
	}
	house_begin(&h, 250);
	(void)snprintf(shelf, sizeof shelf, "%s/shelf", h.dir);
	if (mount("lodge-crash", shelf, "tmpfs", 0, "size=40m,mode=0700") == -1 || house_shelf_again(&h) == -1) {
		house_fault(&h, "no tmpfs");
		goto out;
	}
	(void)setenv("LODGE_CRASH_LOG_BYTES", "327680", 1);
	h.halt_at = 60;
	house_start(&h);
	(void)house_until(&h, is_halted, HOUSE_MS);
	house_fill(&h);
	h.halt_at = 0;
	house_say(&h);
	if (!house_until(&h, is_troubled, HOUSE_MS))
		house_fault(&h, "RECORDER_TROUBLE did not come");
	else if (h.trouble != REASON_DISK_FULL)
		house_fault(&h, "RECORDER_TROUBLE says %s", reason_code(h.trouble));
	house_pass(&h, 500);
	run_end(&h, JUDGE_PREFIX);
	if (h.state != SEALED_WHOLE)
		house_fault(&h, "what lived is not sealed in the reserve");
out:
	(void)umount2(shelf, MNT_DETACH); /* before its directory is removed */
	case_close(counts, &h, "a disk that is full");
}

void
cases_run(struct run_counts *counts)
{
	static void (*const cases[])(struct run_counts * counts) = {
	    disk_full, handed_over, book_asleep_first, book_asleep_later, session_dies};
	size_t n;

	while ((n = counts->next++) < LEN(cases) + 3 * (LEN(notes) + 1))
		if (n < LEN(cases))
			cases[n](counts);
		else
			note_run(counts, n - LEN(cases));
}
