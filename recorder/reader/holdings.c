#include "holdings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

#include "contract/settings.h"
#include "format/bundle.h"
#include "format/segment.h"
#include "format/tile.h"

#define KEY_FILE_MAX 65536

static int say(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* -1, always: for a return. */
static int
say(char *why, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return (-1);
}

static int
key_open(struct holdings *h, const char *path, char *why, size_t why_size)
{
	struct secret text;
	unsigned line;
	int count;

	if (secret_new(&h->identities, AGE_RECIPIENTS_MAX * sizeof(struct age_identity)) == -1)
		return (say(why, why_size, "no memory"));
	if (secret_read_file(&text, path, KEY_FILE_MAX) == -1)
		return (say(why, why_size, "ReadingKey %s: %s; make one, owned by lodge-reader: age-keygen -o %s",
		    path, strerror(errno), path));
	count = age_identities_read((struct age_identity *)(void *)h->identities.at, AGE_RECIPIENTS_MAX,
	    (const char *)text.at, text.len, &line);
	secret_free(&text);
	if (count < 1)
		return (say(why, why_size, "ReadingKey %s: line %u is no age identity", path, line));
	h->identities.len = (size_t)count * sizeof(struct age_identity);
	return (0);
}

static int
recipients_open(struct recipients *r, const char *keyword, const char *words, char *why, size_t why_size)
{
	while (*words != '\0') {
		char word[AGE_RECIPIENT_TEXT];
		size_t len = strcspn(words, " ");

		if (len >= sizeof(word) || r->count == AGE_RECIPIENTS_MAX)
			return (say(why, why_size, "%s: a word too long, or too many", keyword));
		memcpy(word, words, len);
		word[len] = '\0';
		if (age_recipient_parse(&r->to[r->count], word) == -1)
			return (say(why, why_size, "%s: '%s' is no age recipient", keyword, word));
		r->count++;
		words += len + strspn(words + len, " ");
	}
	return (0);
}

static int
directory_open(const char *path, int *fd, char *why, size_t why_size)
{
	if ((*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return (say(why, why_size, "%s: %s; gateway makes it, group lodge-reader", path, strerror(errno)));
	return (0);
}

int
holdings_open(struct holdings *h, const struct settings *set, char *why, size_t why_size)
{
	const char *typed = set->input_recipients;
	char path[4096];

	*h = (struct holdings){.shelf = -1, .book = -1};
	(void)snprintf(h->origin, sizeof(h->origin), "%s", set->log_origin);
	(void)snprintf(path, sizeof(path), "%s/book", set->state_directory);
	if (typed == NULL || *typed == '\0')
		typed = set->recording_recipients;
	if (key_open(h, set->reading_key, why, why_size) == -1 ||
	    recipients_open(&h->sealed[SEGMENT_OUTPUT], "RecordingRecipients", set->recording_recipients, why,
	        why_size) == -1 ||
	    recipients_open(&h->sealed[SEGMENT_INPUT], "InputRecipients", typed, why, why_size) == -1 ||
	    directory_open(set->recording_directory, &h->shelf, why, why_size) == -1 ||
	    directory_open(path, &h->book, why, why_size) == -1)
		return (-1);
	return (0);
}

void
holdings_close(struct holdings *h)
{
	secret_free(&h->identities);
	if (h->shelf != -1)
		(void)close(h->shelf);
	if (h->book != -1)
		(void)close(h->book);
	*h = (struct holdings){.shelf = -1, .book = -1};
}

struct age_keyring
holdings_ring(const struct holdings *h)
{
	return ((struct age_keyring){
	    .identities = (const struct age_identity *)(const void *)h->identities.at,
	    .count = h->identities.len / sizeof(struct age_identity),
	});
}

/* The key is taken once; a file that later says another was tampered with, or the operator must start us again. */
static int
key_check(struct holdings *h, char *why, size_t why_size)
{
	struct note_key key;

	if (bundle_key_read(&key, h->book, HOLDINGS_LOG_KEY) == -1)
		return (say(why, why_size, HOLDINGS_LOG_KEY ": is missing or no log's key"));
	if (strcmp(key.name, h->origin) != 0)
		return (say(why, why_size, HOLDINGS_LOG_KEY ": is the key of another log than LogOrigin"));
	if (h->key.name[0] == '\0')
		h->key = key;
	if (key.id != h->key.id || memcmp(key.point, h->key.point, NOTE_KEY_SIZE) != 0)
		return (say(why, why_size, HOLDINGS_LOG_KEY ": is not the key that it was"));
	return (0);
}

/* The tree of `now` has the one of h->furthest as its beginning. */
static int
continues(const struct holdings *h, const struct checkpoint *now)
{
	struct tile_shelf shelf = {.dir = h->book, .size = now->size};
	struct merkle_proof proof;
	int result;

	result = merkle_prove_consistency(&proof, h->furthest.size, now->size, tile_shelf_fetch, &shelf);
	tile_shelf_end(&shelf);
	if (result == -1)
		return (-1);
	return (merkle_verify_consistency(&proof, h->furthest.size, now->size, &h->furthest.root, &now->root));
}

int
holdings_checkpoint(struct holdings *h, struct checkpoint *now, struct blob *note, char *why, size_t why_size)
{
	const char *text = NULL;
	size_t before = note->size;
	struct blob read = {.at = NULL};

	if (key_check(h, why, why_size) == -1)
		return (-1);
	if (blob_read_at(&read, h->book, HOLDINGS_CHECKPOINT, NOTE_MAX) == -1) {
		(void)say(why, why_size, HOLDINGS_CHECKPOINT ": %s", strerror(errno));
		goto bad;
	}
	if (checkpoint_open(now, &read, &h->key, &text) == -1) {
		(void)say(why, why_size, HOLDINGS_CHECKPOINT ": %s", text != NULL ? text : "is malformed");
		goto bad;
	}
	if (now->size < h->furthest.size) {
		(void)say(why, why_size,
		    HOLDINGS_CHECKPOINT ": was rolled back: it covers %llu leaves, and one of %llu was seen",
		    (unsigned long long)now->size, (unsigned long long)h->furthest.size);
		goto bad;
	}
	if (h->furthest.size > 0 && continues(h, now) == -1) {
		(void)say(why, why_size,
		    HOLDINGS_CHECKPOINT ": cannot be shown to continue the one of %llu leaves that was seen",
		    (unsigned long long)h->furthest.size);
		goto bad;
	}
	if (blob_add(note, read.at, read.size) == -1) {
		(void)say(why, why_size, "no memory");
		goto bad;
	}
	h->furthest = *now;
	blob_free(&read);
	return (0);
bad:
	note->size = before;
	blob_free(&read);
	return (-1);
}
