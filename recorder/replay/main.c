/*
 * lodge-replay: verifies and plays an exported recording, anywhere, without Lodge and without a network.
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
	      "       lodge-replay play --identity FILE [--speed N] [--idle SPAN] [--at HH:MM:SS] DIR\n",
	    stderr);
	return (REPLAY_USAGE);
}

/* 0; -1: not one of ours. */
static int
words_take(struct words *w, int argc, char **argv)
{
	static const struct option options[] = {{"identity", required_argument, NULL, 'i'},
	    {"key", required_argument, NULL, 'k'}, {"speed", required_argument, NULL, 's'},
	    {"idle", required_argument, NULL, 'p'}, {"at", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const char **to = letter == 'i'   ? &w->identity
		                  : letter == 'k' ? &w->key
		                  : letter == 's' ? &w->speed
		                  : letter == 'p' ? &w->idle
		                  : letter == 'a' ? &w->at
		                                  : NULL;

		if (to == NULL)
			return (-1);
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

/* ---- the two acts ---- */

static enum replay_status
act_verify(const struct opened *o, const struct words *w)
{
	const struct replay_verify about = {
	    .dir = o->dir, .ring = o->ring, .expected = w->key != NULL ? &o->key : NULL, .out = stdout};
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

int
main(int argc, char **argv)
{
	struct words w = {.dir = NULL};
	struct opened o = {.dir = -1};
	struct player_about about = {.speed = 1, .ends = SAFETEXT_LF};
	enum replay_status status = REPLAY_INPUT;
	int verify = argc > 1 && strcmp(argv[1], "verify") == 0, play = argc > 1 && strcmp(argv[1], "play") == 0;

	if ((!verify && !play) || words_take(&w, argc - 1, argv + 1) == -1 || (play && w.key != NULL) ||
	    (verify && (w.speed != NULL || w.idle != NULL || w.at != NULL)) ||
	    (play && play_words(&about, &w) == -1))
		return ((int)usage());
	if (words_open(&o, &w) == 0) {
		about.dir = o.dir;
		about.ring = o.ring;
		if (verify)
			status = act_verify(&o, &w);
		else if (o.ring.count > 0)
			status = replay_play(&about, stdout);
		else
			(void)cannot(w.dir, "is sealed: --identity FILE opens it");
	}
	opened_close(&o);
	return ((int)status);
}
