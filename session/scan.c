#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract/algorithms.h"
#include "contract/daemon.h"
#include "door.h"
#include "scan_hello.h"
#include "scan_key.h"
#include "text.h"

#define OUR_VERSION "SSH-2.0-Lodge_scan\r\n"
#define KINDS 5
#define DIAL_SLACK_MS 2000
#define HELLO_STREAM 1 /* the first connection; that of the i-th kind of key is i + 2 */

/* The kinds of host key, and by which algorithms of a key exchange a target shows its key of that kind. */
static const struct kind {
	const char *name, *algorithms;
} kinds[KINDS] = {
    {"ssh-ed25519", "ssh-ed25519"},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
    {"ssh-rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa"},
};

/* One scan a process. */
static struct {
	/* for the whole life */
	struct loop *loop;
	struct settings set;
	struct peer *gateway, *policy, *dialer;
	struct timer *each, *all;
	/* the connection under way */
	uint32_t stream; /* 0: none */
	int fd;
	struct watch *watch;
	struct scan_key key;
	int turn_due;
	/* what was found */
	uint8_t heard[HELLO_ROOM];
	size_t heard_len;
	struct hello hello;
	int is_offered[KINDS];
	json_t *keys, *methods;
	int over;
} scan = {.fd = -1};

/* ---- the answer ---- */

static json_t *
list_json(const char *list)
{
	struct bytes left = bytes_text(list), name;
	json_t *all = json_array();

	while ((name = algorithm_list_next(&left)).len > 0)
		if (json_array_append_new(all, json_stringn((const char *)name.at, name.len)) == -1)
			log_fatal("out of memory");
	return (all);
}

static char *
answer_make(void)
{
	const struct hello *h = &scan.hello;
	json_t *o = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:O}", "version", h->version,
	    "kex", list_json(h->lists[HELLO_KEX]), "host_key_algorithms", list_json(h->lists[HELLO_HOSTKEY]),
	    "ciphers_to", list_json(h->lists[HELLO_CIPHER_TO]), "ciphers_from",
	    list_json(h->lists[HELLO_CIPHER_FROM]), "macs_to", list_json(h->lists[HELLO_MAC_TO]), "macs_from",
	    list_json(h->lists[HELLO_MAC_FROM]), "compression_to", list_json(h->lists[HELLO_COMPRESSION_TO]),
	    "compression_from", list_json(h->lists[HELLO_COMPRESSION_FROM]), "keys", scan.keys, "methods",
	    scan.methods);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);

	json_decref(o);
	if (text == NULL)
		log_fatal("out of memory");
	return (text);
}

/* Tells policy all that was found, and ends; reason NONE: nothing was left out. */
static void
scan_over(enum reason reason, const char *text)
{
	char *json;

	if (scan.over++)
		return;
	json = answer_make();
	peer_post(scan.policy, SCAN_DONE, scan_done, .reason = (uint16_t)reason, .text = bytes_text(text),
	    .json = bytes_text(json));
	free(json);
	loop_stop(scan.loop);
}

/* ---- one connection after the other ---- */

static void
connection_want(uint32_t stream)
{
	scan.stream = stream;
	timer_after(scan.each, scan.set.dial_timeout + DIAL_SLACK_MS); /* the dialer gives up before */
	peer_post(scan.policy, SCAN_MORE, scan_more, .stream = stream);
}

/* The first kind of key behind number `from` that the target offers; KINDS: none. */
static size_t
kind_next(size_t from)
{
	while (from < KINDS && !scan.is_offered[from])
		from++;
	return (from);
}

static void
key_note(size_t kind)
{
	json_t *o = json_object();
	const struct scan_key *k = &scan.key;
	const char *what = k->line[0] != '\0' ? k->line : k->why;

	if (json_object_set_new(o, "kind", json_string(kinds[kind].name)) == -1 ||
	    json_object_set_new(o, k->line[0] != '\0' ? "key" : "why", json_string(what)) == -1 ||
	    json_array_append_new(scan.keys, o) == -1)
		log_fatal("out of memory");
	if (k->methods[0] == '\0')
		return;
	json_decref(scan.methods);
	scan.methods = list_json(k->methods);
}

static void
connection_over(void)
{
	size_t next = kind_next(scan.stream == HELLO_STREAM ? 0 : scan.stream - 1);

	timer_stop(scan.each);
	if (scan.stream != HELLO_STREAM)
		key_note(scan.stream - 2);
	scan_key_end(&scan.key);
	scan.key = (struct scan_key){.state = SCAN_KEY_EXCHANGE};
	if (next < KINDS)
		connection_want((uint32_t)next + 2);
	else
		scan_over(REASON_NONE, "");
}

/* ---- the hello ---- */

static void
hello_close(void)
{
	watch_end(scan.watch);
	scan.watch = NULL;
	if (scan.fd != -1)
		close(scan.fd);
	scan.fd = -1;
}

static void
hello_failed(const char *why)
{
	hello_close();
	scan_over(REASON_UNREACHABLE, why);
}

/* Its key exchange and ciphers need not be ours: then no key can be had, and policy sees why. */
static void
hello_done(void)
{
	struct bytes offered = bytes_text(scan.hello.lists[HELLO_HOSTKEY]);

	hello_close();
	for (size_t i = 0; i < KINDS; i++) {
		struct bytes left = bytes_text(kinds[i].algorithms);

		while (left.len > 0)
			scan.is_offered[i] |= algorithm_list_has(offered, algorithm_list_next(&left));
	}
	connection_over();
}

static void
on_hello(int fd, int events, void *ctx)
{
	ssize_t n = read(fd, scan.heard + scan.heard_len, sizeof(scan.heard) - scan.heard_len);
	char why[HELLO_WHY];

	(void)events;
	(void)ctx;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		scan.heard_len += (size_t)n;
	switch (hello_read(&scan.hello, bytes_of(scan.heard, scan.heard_len), why)) {
	case HELLO_DONE:
		hello_done();
		return;
	case HELLO_BAD:
		hello_failed(why);
		return;
	case HELLO_MORE:
		break;
	}
	if (n > 0 && scan.heard_len < sizeof(scan.heard))
		return;
	hello_so_far(bytes_of(scan.heard, scan.heard_len), why);
	(void)snprintf(why + strlen(why), sizeof(why) - strlen(why), "%s",
	    n > 0 ? ", and too much of it" : ", and closed the connection");
	hello_failed(why);
}

/* fd is given. */
static void
hello_begin(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	scan.fd = fd;
	if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    write(fd, OUR_VERSION, sizeof(OUR_VERSION) - 1) != sizeof(OUR_VERSION) - 1 ||
	    (scan.watch = watch_begin(scan.loop, fd, WATCH_READ, on_hello, NULL)) == NULL)
		hello_failed("it closed the connection at once");
}

/* ---- the keys ---- */

static void key_wake(void *ctx);

static void
on_turn(void *ctx)
{
	int moved;

	(void)ctx;
	scan.turn_due = 0;
	if (scan.over || scan.key.leg.ssh == NULL)
		return;
	moved = scan_key_turn(&scan.key);
	if (scan.key.state == SCAN_KEY_OVER)
		connection_over();
	else if (moved)
		key_wake(NULL);
}

static void
key_wake(void *ctx)
{
	(void)ctx;
	if (!scan.turn_due++)
		loop_defer(scan.loop, on_turn, &scan);
}

/* The login methods are asked until they are told, once: the next connection may fail.  fd is given. */
static void
key_begin(size_t kind, int fd)
{
	enum scan_key_asks asks = json_array_size(scan.methods) == 0 ? SCAN_KEY_AND_METHODS : SCAN_KEY_ALONE;

	if (scan_key_begin(&scan.key, scan.loop, fd, kinds[kind].algorithms, asks, key_wake, NULL) == -1)
		connection_over();
	else
		key_wake(NULL);
}

/* ---- what siblings say ---- */

static void
on_descriptor(uint32_t stream, int fd)
{
	if (scan.over || stream != scan.stream || scan.fd != -1 || scan.key.leg.ssh != NULL) {
		close(fd);
		return;
	}
	timer_after(scan.each, scan.set.dial_timeout);
	if (stream == HELLO_STREAM)
		hello_begin(fd);
	else
		key_begin(stream - 2, fd);
}

static void
on_failed(const struct msg_scan_failed *m)
{
	char why[SCAN_KEY_TEXT];

	if (scan.over || m->stream != scan.stream || scan.fd != -1 || scan.key.leg.ssh != NULL)
		return;
	text_safe(why, sizeof(why), m->text);
	if (m->stream == HELLO_STREAM) {
		scan_over((enum reason)m->reason, why);
		return;
	}
	memcpy(scan.key.why, why, sizeof(scan.key.why));
	connection_over();
}

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)ctx;
	if (m->type == MSG_SCAN_FAILED)
		on_failed(&m->scan_failed);
	if (m->type != MSG_DESCRIPTOR)
		return;
	on_descriptor(m->descriptor.stream, m->fd);
	m->fd = -1;
}

/* Without policy nobody wants to know; without the dialer what was found is told when the time is over. */
static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	(void)ctx;
	if (*why != '\0')
		log_error("the link to %s broke: %s", process_name(peer_process(p)), why);
	if (p == scan.policy)
		loop_stop(scan.loop);
	*(p == scan.policy ? &scan.policy : &scan.dialer) = NULL;
	peer_close(p);
}

static void
on_gateway(struct peer *p, struct message *m, void *ctx)
{
	struct peer **at = m->type != MSG_LINK              ? NULL
	                   : m->link.peer == PROCESS_POLICY ? &scan.policy
	                   : m->link.peer == PROCESS_DIALER ? &scan.dialer
	                                                    : NULL;
	int fd = m->fd;

	(void)p;
	(void)ctx;
	if (at == NULL || *at != NULL)
		return;
	m->fd = -1;
	*at = peer_open(scan.loop, fd, PROCESS_SCAN, m->link.peer, m->link.conn, on_message, on_closed, NULL);
	if (*at == NULL)
		log_fatal("out of memory");
	if (scan.policy != NULL && scan.dialer != NULL)
		connection_want(HELLO_STREAM);
}

/* ---- time ---- */

static void
on_each(void *ctx)
{
	char why[HELLO_WHY];

	(void)ctx;
	if (scan.stream == HELLO_STREAM) {
		hello_so_far(bytes_of(scan.heard, scan.heard_len), why);
		(void)snprintf(why + strlen(why), sizeof(why) - strlen(why), ", and no more in time");
		hello_failed(why);
		return;
	}
	(void)snprintf(scan.key.why, sizeof(scan.key.why), "no answer in time");
	connection_over();
}

static void
on_all(void *ctx)
{
	char why[HELLO_WHY];

	(void)ctx;
	if (scan.stream == HELLO_STREAM)
		hello_so_far(bytes_of(scan.heard, scan.heard_len), why);
	else
		(void)snprintf(why, sizeof(why), "it is slow");
	(void)snprintf(
	    why + strlen(why), sizeof(why) - strlen(why), "; not all was asked in %d s", SCAN_ALL_MS / 1000);
	scan_over(REASON_UNREACHABLE, why);
}

void
scan_run(void)
{
	if ((scan.loop = loop_new()) == NULL || (scan.each = timer_new(scan.loop, on_each, NULL)) == NULL ||
	    (scan.all = timer_new(scan.loop, on_all, NULL)) == NULL || (scan.keys = json_array()) == NULL ||
	    (scan.methods = json_array()) == NULL)
		log_fatal("no event loop");
	scan.gateway = daemon_begin(scan.loop, PROCESS_SCAN, &scan.set, on_gateway, NULL, NULL);
	door_warm();
	confine(CONFINE_PARENT);
	confine(CONFINE_SESSION);
	timer_after(scan.all, SCAN_ALL_MS);
	daemon_ready(scan.gateway);
	loop_run(scan.loop);

	hello_close();
	scan_key_end(&scan.key);
	peer_close(scan.policy);
	peer_close(scan.dialer);
	peer_close(scan.gateway);
	timer_free(scan.each);
	timer_free(scan.all);
	json_decref(scan.keys);
	json_decref(scan.methods);
	settings_free(&scan.set);
	loop_free(scan.loop);
}
