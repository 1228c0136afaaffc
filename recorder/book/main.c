/* lodge-book: the visitors' book.  Enters leaves, keeps them, signs.  See lodge-book.8 and DESIGN.md. */
#include "contract/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/secret.h"
#include "counter.h"
#include "disk.h"
#include "format/blob.h"
#include "format/note.h"
#include "store.h"

#define KEY_FILE_MAX 4096
#define PUBLIC_KEY "log.pub" /* in the book's directory: what lodge-reader checks checkpoints with */

static struct counter *counter;

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	if (m->type == MSG_LINK) {
		counter_link(counter, (enum process)m->link.peer, m->fd);
		m->fd = -1;
	}
}

/* The log's key; the file is read once and wiped. */
static void
key_read(struct peer *gateway, const struct settings *set, struct note_signer *signer)
{
	struct secret pem;
	int result;

	if (secret_read_file(&pem, set->log_key, KEY_FILE_MAX) == -1)
		daemon_failed(gateway,
		    "LogKey %s: %s; make one, owned by lodge-book: openssl genpkey -algorithm ed25519 -out %s",
		    set->log_key, strerror(errno), set->log_key);
	result = note_signer_pem(signer, set->log_origin, (const char *)pem.at, pem.len);
	secret_free(&pem);
	if (result == -1)
		daemon_failed(gateway,
		    "LogKey %s, LogOrigin \"%s\": not an ed25519 key in PEM, or not a name for a log", set->log_key,
		    set->log_origin);
}

/* The public half of the log's key, one line, beside the tiles. */
static int
key_publish(int dir, const struct note_signer *signer)
{
	char text[NOTE_KEY_TEXT];
	struct blob line = {0};
	int result = -1;

	if (note_key_text(&signer->key, text) == 0 && blob_add_format(&line, "%s\n", text) == 0)
		result = disk_put(dir, PUBLIC_KEY, line.at, line.size);
	blob_free(&line);
	return (result);
}

static struct store *
book_open(struct peer *gateway, const struct settings *set, const struct note_signer *signer)
{
	struct store *store;
	char path[4096], why[256];
	int dir;

	(void)snprintf(path, sizeof path, "%s/book", set->state_directory);
	if ((dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		daemon_failed(gateway, "%s: %s; gateway makes it, owned by lodge-book", path, strerror(errno));
	if ((store = store_open(dir, signer, why, sizeof why)) == NULL)
		daemon_failed(gateway, "the book in %s is not opened: %s", path, why);
	if (key_publish(dir, signer) == -1)
		daemon_failed(gateway, "%s/%s: %s", path, PUBLIC_KEY, strerror(errno));
	(void)close(dir);
	return (store);
}

int
main(void)
{
	struct settings set = {0};
	struct note_signer signer;
	struct loop *loop = loop_new();
	struct peer *gateway;
	struct store *store;

	if (loop == NULL)
		log_fatal("no memory");
	gateway = daemon_begin(loop, PROCESS_BOOK, &set, on_gateway, NULL, NULL);
	(void)umask(027);
	key_read(gateway, &set, &signer);
	store = book_open(gateway, &set, &signer);
	if ((counter = counter_new(loop, store)) == NULL)
		daemon_failed(gateway, "no memory");
	confine(CONFINE_DAEMON);
	daemon_ready(gateway);
	loop_run(loop);

	counter_free(counter);
	store_close(store);
	note_signer_wipe(&signer);
	peer_close(gateway);
	settings_free(&set);
	loop_free(loop);
	return (0);
}
