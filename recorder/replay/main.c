/*
 * lodge-replay: verifies and plays an exported recording, and lists what it carried, anywhere, without Lodge and
 * without a network.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/settings_file.h"
#include "format/bundle.h"
#include "replay.h"

#define KEY_FILE_MAX 65536

struct words {
	const char *identity, *key, *speed, *idle, *at, *dir;
	enum files_form form;
};

/* What the words name, opened. */
struct opened {
	int dir;
	struct secret identities; /* struct age_identity[] */
	struct age_keyring ring;
	struct note_key key;
};

static enum replay_status
usage(void)
{
	fputs("usage: lodge-replay verify [--identity FILE] [--key FILE] DIR\n"
	      "       lodge-replay play --identity FILE [--speed N] [--idle SPAN] [--at HH:MM:SS] DIR\n"
	      "       lodge-replay files --identity FILE [--json] DIR\n",
	    stderr);
	return (REPLAY_USAGE);
}

/* allowed: the options of this act, by their letters.  0; -1: not one of them, or not one directory. */
static int
words_take(struct words *w, const char *allowed, int argc, char **argv)
{
	static const struct option options[] = {{"identity", required_argument, NULL, 'i'},
	    {"key", required_argument, NULL, 'k'}, {"speed", required_argument, NULL, 's'},
	    {"idle", required_argument, NULL, 'p'}, {"at", required_argument, NULL, 'a'},
	    {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const char **to = letter == 'i'   ? &w->identity
		                  : letter == 'k' ? &w->key
		                  : letter == 's' ? &w->speed
		                  : letter == 'p' ? &w->idle
		                                  : &w->at;

		if (letter == '?' || strchr(allowed, letter) == NULL)
			return (-1);
		if (letter == 'j')
			w->form = FILES_JSON;
		else
			*to = optarg;
	}
	if (optind != argc - 1)
		return (-1);
	w->dir = argv[optind];
	return (0);
}

/* ---- opening ---- */

static int
cannot(const char *path, const char *why)
{
	fprintf(stderr, "lodge-replay: %s: %s\n", path, why);
	return (-1);
}

static int
identity_open(struct opened *o, const char *path)
{
	struct age_identity *identities;
	struct secret text;
	unsigned line;
	int count;

	if (secret_new(&o->identities, AGE_RECIPIENTS_MAX * sizeof(*identities)) == -1)
		return (cannot(path, "out of memory"));
	identities = (struct age_identity *)(void *)o->identities.at;
	if (secret_read_file(&text, path, KEY_FILE_MAX) == -1)
		return (cannot(path, strerror(errno)));
	count = age_identities_read(identities, AGE_RECIPIENTS_MAX, (const char *)text.at, text.len, &line);
	secret_free(&text);
	if (count < 1)
		return (cannot(path, "is no age identity file"));
	o->ring = (struct age_keyring){.identities = identities, .count = (size_t)count};
	return (0);
}

/* 0, or -1 and what cannot be read was said. */
static int
words_open(struct opened *o, const struct words *w)
{
	if ((o->dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return (cannot(w->dir, strerror(errno)));
	if (w->identity != NULL && identity_open(o, w->identity) == -1)
		return (-1);
	if (w->key != NULL && bundle_key_read(&o->key, AT_FDCWD, w->key) == -1)
		return (cannot(w->key, "is missing, or no log's key in one line (proof/log.pub has the form)"));
	return (0);
}

static void
opened_close(struct opened *o)
{
	secret_free(&o->identities);
	if (o->dir != -1)
		(void)close(o->dir);
}

/* ---- the acts ---- */

static enum replay_status
act_verify(const struct words *w, struct opened *o)
{
	const struct replay_verify about = {
	    .ring = o->ring, .dir = o->dir, .expected = w->key != NULL ? &o->key : NULL, .out = stdout};
	enum replay_status status = replay_verify(&about);

	return (fflush(stdout) == EOF ? REPLAY_FAULT : status);
}

/* 0; -1: a number, span or time that is none. */
static int
play_words(struct player_about *about, const struct words *w)
{
	int64_t ms = 0;
	char *end;

	if (w->speed != NULL) {
		about->speed = strtod(w->speed, &end);
		if (w->speed[strspn(w->speed, "0123456789.")] != '\0' || *end != '\0' || end == w->speed ||
		    about->speed > PLAYER_SPEED_MAX)
			return (-1);
	}
	if (w->idle != NULL && (ms = span_parse(w->idle)) < 0)
		return (-1);
	about->idle_ms = (uint64_t)ms;
	ms = 0;
	if (w->at != NULL && (ms = player_time_parse(w->at)) < 0)
		return (-1);
	about->at_ms = (uint64_t)ms;
	return (0);
}

static enum replay_status
act_play(const struct words *w, struct opened *o)
{
	struct player_about about = {.speed = 1, .dir = o->dir, .ring = o->ring, .ends = SAFETEXT_LF};

	return (play_words(&about, w) == -1 ? usage() : replay_play(&about, stdout));
}

static enum replay_status
act_files(const struct words *w, struct opened *o)
{
	const struct files_about about = {.dir = o->dir, .ring = o->ring, .form = w->form, .line_end = "\n"};

	return (replay_files(&about, stdout));
}

static const struct act {
	const char *name, *options; /* by their letters in words_take() */
	enum { SEALED_TOO, OPENED } needs;
	enum replay_status (*run)(const struct words *w, struct opened *o);
} acts[] = {
    {"verify", "ik", SEALED_TOO, act_verify},
    {"play", "ispa", OPENED, act_play},
    {"files", "ij", OPENED, act_files},
};

int
main(int argc, char **argv)
{
	const struct act *act = NULL;
	struct words w = {.dir = NULL};
	struct opened o = {.dir = -1};
	enum replay_status status = REPLAY_INPUT;

	for (size_t i = 0; argc > 1 && i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(argv[1], acts[i].name) == 0)
			act = &acts[i];
	if (act == NULL || words_take(&w, act->options, argc - 1, argv + 1) == -1)
		return ((int)usage());
	if (words_open(&o, &w) == -1)
		; /* it was said */
	else if (act->needs == OPENED && o.ring.count == 0)
		(void)cannot(w.dir, "is sealed: --identity FILE opens it");
	else
		status = act->run(&w, &o);
	opened_close(&o);
	return ((int)status);
}
