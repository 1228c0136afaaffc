/*
 * The desk's links and messages, its clockwork, its room, and its orderly end.  One file: what comes in and what it
 * sets going.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "contract/tables.h"
#include "desk_own.h"
#include "format/blob.h"
#include "wal.h"
#include "works.h"

#define TICK_MS 1000

/* --- Sweeping: what is over goes, from the loop and never from inside a callback of a tape or a reel ------- */

static int
streams_sweep(struct connection *c)
{
	int left = 0;

	for (struct stream *s = c->streams; s != NULL; s = s->next) {
		if (s->over && s->tape != NULL && !tape_is_busy(s->tape) && tape_is_told(s->tape)) {
			tape_free(s->tape);
			s->tape = NULL;
		}
		left |= !s->over || s->tape != NULL;
	}
	return (left);
}

static void
connection_free(struct connection *c)
{
	struct stream *s;

	while ((s = c->streams) != NULL) {
		c->streams = s->next;
		if (s->fd != -1)
			(void)close(s->fd);
		free(s->facts);
		tape_free(s->tape);
		free(s);
	}
	peer_close(c->session);
	reel_free(c->reel);
	free(c);
}

static int
desk_is_still(const struct desk *d)
{
	return (works_count(d->works) == 0 && ledger_count(d->ledger) == 0);
}

static void stop_look(struct desk *d);

static void
on_sweep(void *ctx)
{
	struct desk *d = ctx;
	struct connection **at = &d->connections, *c;

	d->sweeping = 0;
	while ((c = *at) != NULL) {
		int left = streams_sweep(c);

		if (left || !c->gone || !c->drained) {
			at = &c->next;
			continue;
		}
		peer_post(d->gateway, RING_SEALED, ring_sealed, .conn = c->conn);
		*at = c->next;
		connection_free(c);
	}
	if (d->stopping)
		stop_look(d);
}

void
desk_sweep(struct desk *d)
{
	if (d->sweeping)
		return;
	d->sweeping = 1;
	loop_defer(d->loop, on_sweep, d);
}

/* --- The log ----------------------------------------------------------------------------------------------- */

static int
position_note(struct desk *d, const struct connection *c)
{
	char note[160];
	int n = snprintf(note, sizeof note,
	    "{\"note\":\"position\",\"conn\":%" PRIu64 ",\"to\":%" PRIu64 ",\"next\":%" PRIu64 "}", c->conn,
	    reel_position(c->reel), reel_next_frame(c->reel));

	return (wal_note(d->wal, note, (size_t)n));
}

int
desk_renote(void *ctx)
{
	struct desk *d = ctx;

	for (struct connection *c = d->connections; c != NULL; c = c->next) {
		if (position_note(d, c) == -1)
			return (-1);
		for (struct stream *s = c->streams; s != NULL; s = s->next)
			if (s->tape != NULL && tape_renote(s->tape) == -1)
				return (-1);
	}
	return (ledger_renote(d->ledger));
}

/* What was not durable may be lost: nobody who lives may go on as if it were not. */
static void
on_log_lost(void *ctx)
{
	struct desk *d = ctx;

	for (struct connection *c = d->connections; c != NULL; c = c->next)
		if (!c->gone && c->streams != NULL)
			connection_trouble(d, c, d->log_error == ENOSPC ? REASON_DISK_FULL : REASON_RECORDER,
			    "the recorder's log cannot be written");
}

static void
on_log_failed(void *ctx, int error)
{
	struct desk *d = ctx;

	log_error("the log cannot be kept: %s; the sessions that live are ended", strerror(error));
	d->log_error = error;
	loop_defer(d->loop, on_log_lost, d);
}

/* --- The book ---------------------------------------------------------------------------------------------- */

static void
leaf_send(void *ctx, uint64_t sequence, const struct ledger_leaf *leaf)
{
	struct desk *d = ctx;

	peer_post(d->book, LEAF, leaf, .sequence = sequence, .checkpoint = leaf->when == LEDGER_CHECKPOINT,
	    .json = bytes_of(leaf->json, leaf->json_size));
}

/* --- Room -------------------------------------------------------------------------------------------------- */

static void
shelf_tell(struct desk *d)
{
	peer_post(
	    d->policy, SHELF, shelf, .state = (uint8_t)room_state(d->room), .free_bytes = room_free_bytes(d->room));
}

/* The disk is full: sessions say farewell, which the reserve has room for; who is still there later is ended. */
static void
on_room(void *ctx, enum shelf_room state)
{
	struct desk *d = ctx;

	shelf_tell(d);
	if (state != SHELF_ROOM_FULL) {
		d->full_boot_ms = 0;
		return;
	}
	d->full_boot_ms = clock_boot_ms();
	for (struct connection *c = d->connections; c != NULL; c = c->next)
		if (c->streams != NULL)
			peer_post(c->session, RECORDER_TROUBLE, recorder_trouble, .reason = REASON_DISK_FULL,
			    .text = bytes_text("the disk that recordings are kept on is full"));
}

static void
full_look(struct desk *d, int64_t now)
{
	if (d->full_boot_ms == 0 || now - d->full_boot_ms < DESK_FULL_MS)
		return;
	d->full_boot_ms = 0;
	for (struct connection *c = d->connections; c != NULL; c = c->next)
		if (c->streams != NULL && !c->gone)
			connection_trouble(d, c, REASON_DISK_FULL, "the disk that recordings are kept on is full");
}

/* --- The clockwork ----------------------------------------------------------------------------------------- */

static void
on_tick(void *ctx)
{
	struct desk *d = ctx;
	int64_t now = clock_boot_ms();

	timer_after(d->tick, d->stopping ? TICK_MS / 10 : TICK_MS);
	for (struct connection *c = d->connections; c != NULL; c = c->next)
		for (struct stream *s = c->streams; s != NULL; s = s->next)
			if (s->tape != NULL && !s->over)
				tape_tick(s->tape, now);
	full_look(d, now);
	if (d->stopping)
		stop_look(d);
}

/* --- Links: sessions --------------------------------------------------------------------------------------- */

static struct connection *
connection_of(struct desk *d, const struct peer *p)
{
	struct connection *c = connection_find(d, peer_conn(p));

	return (c != NULL && c->session == p ? c : NULL);
}

static void
on_session_message(struct peer *p, struct message *m, void *ctx)
{
	struct connection *c = connection_of(ctx, p);

	if (c != NULL && m->type == MSG_TARGET_HELD)
		stream_held(ctx, c, m->target_held.stream);
}

static void
on_session_closed(struct peer *p, const char *why, void *ctx)
{
	struct desk *d = ctx;
	struct connection *c = connection_of(d, p);

	peer_close(p);
	if (c == NULL)
		return;
	c->session = NULL;
	if (*why != '\0') {
		log_warning("the link to session %" PRIu64 " broke: %s", c->conn, why);
		connection_trouble(d, c, REASON_SUSPECT, "the session broke the rules");
	}
	if (d->stopping) /* gateway may be dead, and nobody else will say that it is gone */
		connection_gone(c, REASON_SESSION_DIED);
}

static void
session_link(struct desk *d, uint64_t conn, int fd)
{
	struct connection *c = connection_get(d, conn);

	c->known = 1;
	peer_close(c->session);
	c->session = peer_open(
	    d->loop, fd, PROCESS_RECORDER, PROCESS_SESSION, conn, on_session_message, on_session_closed, d);
	if (c->session == NULL)
		log_fatal("no memory");
	for (size_t i = 0; i < RECEIPTS_MAX && i < d->receipt_count; i++)
		if (d->receipts[i].conn == conn)
			receipt_tell(d, &d->receipts[i]);
	if (c->troubled)
		peer_post(c->session, RECORDER_TROUBLE, recorder_trouble, .reason = REASON_RECORDER,
		    .text = bytes_text("the recording cannot be kept"));
	streams_hand(d, c);
}

/* --- Links: the house -------------------------------------------------------------------------------------- */

static void
on_policy_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	if (m->type == MSG_STREAM_ALLOWED)
		stream_allowed(ctx, &m->stream_allowed);
	else if (m->type == MSG_STREAM_DROPPED)
		stream_dropped(ctx, &m->stream_dropped);
}

static void
on_dialer_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	if (m->type != MSG_DESCRIPTOR)
		return;
	stream_descriptor(ctx, &m->descriptor, m->fd);
	m->fd = -1;
}

static void
on_book_message(struct peer *p, struct message *m, void *ctx)
{
	struct desk *d = ctx;

	(void)p;
	if (m->type == MSG_LEAF_LAST)
		ledger_linked(d->ledger, m->leaf_last.sequence);
	else if (m->type == MSG_LEAF_HELD)
		ledger_held(d->ledger, m->leaf_held.sequence);
}

static void
on_daemon_closed(struct peer *p, const char *why, void *ctx)
{
	struct desk *d = ctx;
	struct peer **links[] = {&d->policy, &d->dialer, &d->book};

	if (*why != '\0')
		log_error("the link to %s broke: %s", process_name(peer_process(p)), why);
	if (p == d->book)
		ledger_unlinked(d->ledger);
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		if (*links[i] == p)
			*links[i] = NULL;
	peer_close(p);
}

static void
daemon_link(struct desk *d, struct peer **link, enum process other, int fd, peer_on_message *on_message)
{
	peer_close(*link);
	*link = peer_open(d->loop, fd, PROCESS_RECORDER, other, 0, on_message, on_daemon_closed, d);
	if (*link == NULL)
		log_fatal("no memory");
}

/* Policy is new: it hears again what it may have missed. */
static void
policy_tell(struct desk *d)
{
	shelf_tell(d);
	for (struct connection *c = d->connections; c != NULL; c = c->next)
		for (struct stream *s = c->streams; s != NULL; s = s->next)
			if (s->held && !s->over)
				stream_begun_tell(d, c, s);
	for (size_t i = 0; i < RECEIPTS_MAX && i < d->receipt_count; i++)
		receipt_tell(d, &d->receipts[i]);
	for (struct connection *c = d->connections; c != NULL; c = c->next)
		for (struct stream *s = c->streams; s != NULL; s = s->next)
			if (s->tape != NULL)
				tape_told(s->tape);
	desk_sweep(d);
}

static void
on_link(struct desk *d, const struct msg_link *m, int fd)
{
	switch (m->peer) {
	case PROCESS_SESSION:
		session_link(d, m->conn, fd);
		break;
	case PROCESS_POLICY:
		daemon_link(d, &d->policy, PROCESS_POLICY, fd, on_policy_message);
		policy_tell(d);
		break;
	case PROCESS_DIALER:
		daemon_link(d, &d->dialer, PROCESS_DIALER, fd, on_dialer_message);
		break;
	case PROCESS_BOOK:
		ledger_unlinked(d->ledger);
		daemon_link(d, &d->book, PROCESS_BOOK, fd, on_book_message);
		break;
	default:
		(void)close(fd);
	}
}

static void
on_session_gone(struct desk *d, const struct msg_session_gone *m)
{
	struct connection *c = connection_get(d, m->conn);
	int status = (int)m->status;

	c->known = 1;
	connection_gone(c, WIFEXITED(status) && WEXITSTATUS(status) == 0 ? REASON_LEFT : REASON_SESSION_DIED);
	desk_sweep(d);
}

void
desk_on_gateway(struct peer *gateway, struct message *m, void *ctx)
{
	struct desk *d = *(struct desk **)ctx;
	struct connection *c;

	(void)gateway;
	if (d == NULL)
		return;
	switch (m->type) {
	case MSG_LINK:
		on_link(d, &m->link, m->fd);
		m->fd = -1;
		break;
	case MSG_MEMORY:
		c = connection_get(d, m->memory.conn);
		c->known = 1;
		reel_memory(c->reel, (enum memory_kind)m->memory.what, m->fd);
		m->fd = -1;
		break;
	case MSG_SESSION_GONE:
		on_session_gone(d, &m->session_gone);
		break;
	case MSG_LINKS_TOLD:
		d->told = 1;
		for (c = d->connections; c != NULL; c = c->next)
			if (!c->known) /* it ended while no recorder was there to be told */
				connection_gone(c, REASON_SESSION_DIED);
		break;
	default:
		break;
	}
}

/* --- Life -------------------------------------------------------------------------------------------------- */

/* Words of age recipients.  0; -1: the word is in `why`. */
static int
recipients_read(struct tape_house *house, enum journal_track track, const char *words, char *why, size_t why_size)
{
	char text[AGE_RECIPIENTS_MAX * (AGE_RECIPIENT_TEXT + 1)], *word, *rest = text;
	size_t n = 0;

	if (strlen(words) >= sizeof text) {
		(void)snprintf(why, why_size, "more than %d recipients", AGE_RECIPIENTS_MAX);
		return (-1);
	}
	memcpy(text, words, strlen(words) + 1);
	while ((word = strsep(&rest, " ")) != NULL) {
		if (*word == '\0')
			continue;
		if (n == AGE_RECIPIENTS_MAX || age_recipient_parse(&house->recipients[track].to[n], word) == -1) {
			(void)snprintf(
			    why, why_size, "'%.80s' is not an age recipient; age-keygen prints one", word);
			return (-1);
		}
		n++;
	}
	house->recipients[track].count = n;
	return (0);
}

static int
recipients_open(struct desk *d, const struct desk_about *about, char *why, size_t why_size)
{
	char what[160];

	if (recipients_read(&d->house, JOURNAL_MAIN, about->recipients, what, sizeof what) == -1 ||
	    recipients_read(&d->house, JOURNAL_INPUT, about->input_recipients, what, sizeof what) == -1) {
		(void)snprintf(why, why_size, "RecordingRecipients, InputRecipients: %s", what);
		return (-1);
	}
	if (d->house.recipients[JOURNAL_MAIN].count == 0) {
		(void)snprintf(why, why_size, "RecordingRecipients: at least one is needed");
		return (-1);
	}
	if (d->house.recipients[JOURNAL_INPUT].count == 0)
		d->house.recipients[JOURNAL_INPUT] = d->house.recipients[JOURNAL_MAIN];
	return (0);
}

/* The log goes on in a file of our own; the predecessor's stay until nobody needs them. */
static int
log_open(struct desk *d, const struct recovered *r)
{
	const struct wal_owner owner = {.on_file = desk_renote, .on_failed = on_log_failed, .ctx = d};

	if ((d->wal = wal_open(d->loop, shelf_fd(d->shelf), r->next_file, DESK_LOG_FILE_BYTES, &owner)) == NULL)
		return (-1);
	for (size_t i = 0; i < r->file_count; i++)
		if (wal_adopt(d->wal, r->files[i]) == -1)
			return (-1);
	d->house.wal = d->reels.wal = d->wal;
	if (streams_recover(d, r) == -1)
		return (-1);
	ledger_log(d->ledger, d->wal);
	if (desk_renote(d) == -1)
		return (-1);
	wal_noted(d->wal);
	return (0);
}

static int
desk_begin(struct desk *d, char *why, size_t why_size)
{
	const struct ledger_owner owner = {.on_held = desk_on_leaf_held, .send = leaf_send, .ctx = d};
	struct recovered r;
	int result = -1;

	if ((d->ledger = ledger_new(&owner)) == NULL || (d->works = works_new(d->loop)) == NULL ||
	    (d->room = room_new(d->loop, d->shelf, on_room, d)) == NULL ||
	    (d->tick = timer_new(d->loop, on_tick, d)) == NULL) {
		(void)snprintf(why, why_size, "no memory");
		return (-1);
	}
	d->house.ledger = d->ledger;
	d->house.shelf = d->shelf;
	d->house.works = d->works;
	streams_house(d);
	if (recover(d->shelf, d->ledger, &r, why, why_size) == 0) {
		if (r.tape_count > 0)
			log_info("the log has %zu recordings that were not finished", r.tape_count);
		result = log_open(d, &r);
		if (result == -1)
			(void)snprintf(why, why_size, "the log cannot go on: %s", strerror(errno));
	}
	recovered_free(&r);
	return (result);
}

struct desk *
desk_open(const struct desk_about *about, char *why, size_t why_size)
{
	struct desk *d = calloc(1, sizeof *d);

	if (d == NULL) {
		(void)snprintf(why, why_size, "no memory");
		return (NULL);
	}
	d->loop = about->loop;
	d->gateway = about->gateway;
	d->shelf = about->shelf;
	if (recipients_open(d, about, why, why_size) == -1 || desk_begin(d, why, why_size) == -1) {
		desk_close(d);
		return (NULL);
	}
	timer_after(d->tick, TICK_MS);
	return (d);
}

void
desk_close(struct desk *d)
{
	struct connection *c;

	if (d == NULL)
		return;
	while ((c = d->connections) != NULL) {
		d->connections = c->next;
		connection_free(c);
	}
	peer_close(d->policy);
	peer_close(d->dialer);
	peer_close(d->book);
	wal_close(d->wal);
	ledger_free(d->ledger);
	works_free(d->works);
	room_free(d->room);
	timer_free(d->tick);
	free(d);
}

/* --- The end ----------------------------------------------------------------------------------------------- */

/* Sessions that live go on with our successor: their rings wait, and what is open is sealed for it to find. */
static void
hand_over(struct desk *d)
{
	d->stopping = STOP_HANDING_OVER;
	for (struct connection *c = d->connections; c != NULL; c = c->next) {
		reel_halt(c->reel);
		for (struct stream *s = c->streams; s != NULL; s = s->next)
			if (s->tape != NULL && !s->over)
				tape_leave(s->tape);
	}
}

/*
 * 1 when all that can be done is done though the book is away: it went with a gateway that was killed, or ends beside us,
 * and nobody links a process that ends to the next one.  The log keeps what the book has not got.
 */
static int
nobody_comes(const struct desk *d)
{
	for (const struct connection *c = d->connections; c != NULL; c = c->next)
		if (!c->gone || !c->drained)
			return (0);
	return (d->book == NULL && works_count(d->works) == 0);
}

static void
stop_look(struct desk *d)
{
	int64_t passed_ms = clock_boot_ms() - d->stop_boot_ms;

	if (d->stopping == STOP_DRAINING && passed_ms >= DESK_FAREWELL_MS)
		hand_over(d);
	if (desk_is_still(d) && (d->connections == NULL || d->stopping == STOP_HANDING_OVER)) {
		loop_stop(d->loop);
		return;
	}
	if ((passed_ms < DESK_STOP_MS && !nobody_comes(d)) || works_count(d->works) > 0)
		return;
	log_warning("%zu entries of the book wait still: the log keeps them", ledger_count(d->ledger));
	loop_stop(d->loop);
}

void
desk_stop(struct desk *d)
{
	if (d->stopping)
		return;
	d->stopping = STOP_DRAINING;
	d->stop_boot_ms = clock_boot_ms();
	timer_after(d->tick, 0);
	for (struct connection *c = d->connections; c != NULL; c = c->next)
		if (c->session == NULL && !c->gone)
			connection_gone(c, REASON_SESSION_DIED);
	desk_sweep(d);
}
