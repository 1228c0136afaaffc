/* Policy's links; see links.h. */
#include <string.h>
#include <unistd.h>

#include "asks.h"
#include "base/log.h"
#include "control.h"
#include "fresh.h"
#include "graces.h"
#include "invites.h"
#include "keys.h"
#include "links.h"
#include "outbox.h"
#include "people.h"
#include "promises.h"
#include "readings.h"
#include "target_scan.h"
#include "secrets.h"
#include "verbs.h"
#include "visits.h"
#include "walk.h"
#include "words.h"

/* ---- sessions ---- */

/*
 * A session that nobody is in asks and tells nothing of visits: it could else fill the database with questions.  Nonzero
 * when it does; then it is cut off.
 */
static int
session_is_early(struct connection *c, enum message_type type)
{
	if (c->visitor.number != 0 || (type != MSG_ASK && type != MSG_VERB && type != MSG_VISIT &&
	                                  type != MSG_LEASE_HELD && type != MSG_REFUSED))
		return (0);
	if (!c->cut) {
		suspect_note(c, "asked, or told of a visit, before its login");
		connection_cut(c, REASON_SUSPECT, "");
	}
	return (1);
}

void
on_session_message(struct peer *peer, struct message *m, void *ctx)
{
	struct connection *c = ctx;

	(void)peer;
	if (session_is_early(c, m->type))
		return;
	switch (m->type) {
	case MSG_ASK:
		on_ask(c, &m->ask);
		break;
	case MSG_ASK_ENDED:
		on_ask_ended(c, &m->ask_ended);
		break;
	case MSG_LEASE_HELD:
		if (m->lease_held.conn == c->conn)
			on_lease_held(c->policy, PROCESS_SESSION, &m->lease_held);
		else
			suspect_note(c, "held the lease of another connection");
		break;
	case MSG_VISIT:
		on_visit(c, &m->visit);
		break;
	case MSG_REFUSED:
		on_refused(c, &m->refused);
		break;
	case MSG_VERB:
		verbs_from_session(c, &m->verb);
		break;
	case MSG_VERB_GONE:
		verbs_gone(c, m->verb_gone.ask);
		break;
	case MSG_INTENT:
		on_intent(c, &m->intent);
		break;
	default:
		break;
	}
}

void
on_session_closed(struct peer *peer, const char *why, void *ctx)
{
	struct connection *c = ctx;

	if (*why != '\0') {
		log_warning("the link to session %llu broke: %s", (unsigned long long)c->conn, why);
		suspect_note(c, "sent policy what the contract does not have");
		connection_cut(c, REASON_PROTOCOL, "");
	}
	peer_close(peer);
	if (c->session == peer)
		c->session = NULL;
}

/* ---- daemons ---- */

static void
on_auth_message(struct peer *peer, struct message *m, void *ctx)
{
	struct policy *p = ctx;

	(void)peer;
	switch (m->type) {
	case MSG_PERSON_WANTED:
		on_person_wanted(p, &m->person_wanted);
		break;
	case MSG_IDENTITY:
		on_identity(p, &m->identity);
		break;
	case MSG_LOGIN_EVENT:
		on_login_event(p, &m->login_event);
		break;
	case MSG_KEY_USED:
		on_key_used(p, &m->key_used);
		break;
	case MSG_INVITE_WANTED:
		on_invite_wanted(p, &m->invite_wanted);
		break;
	case MSG_INVITE_USED:
		on_invite_used(p, &m->invite_used);
		break;
	case MSG_SECRET_ASKED:
		on_secret_asked(p, &m->secret_asked);
		break;
	case MSG_SECRET_DONE:
		on_secret_done(p, &m->secret_done);
		break;
	case MSG_CREDENTIAL:
		on_credential(p, &m->credential);
		break;
	case MSG_SUSPECT:
		on_suspect(p, &m->suspect);
		break;
	case MSG_FRESH_CODE:
		on_fresh_code(p, &m->fresh_code);
		break;
	case MSG_CERTIFY_HELD:
		on_certify_held(p, &m->certify_held);
		break;
	case MSG_HOST_KEY:
		if (key_print(m->host_key.blob, p->host_key, sizeof(p->host_key)) == -1)
			log_error("lodge-auth's host key is of no kind that we know");
		break;
	default:
		break;
	}
}

static void
on_recorder_message(struct peer *peer, struct message *m, void *ctx)
{
	struct policy *p = ctx;

	(void)peer;
	switch (m->type) {
	case MSG_STREAM_READY:
		on_stream_ready(p, &m->stream_ready);
		break;
	case MSG_STREAM_BEGUN:
		on_stream_begun(p, &m->stream_begun);
		break;
	case MSG_SEALED:
		on_sealed(p, &m->sealed);
		break;
	case MSG_SHELF:
		shelf_take(p, &m->shelf);
		break;
	default:
		break;
	}
}

static void
on_dialer_message(struct peer *peer, struct message *m, void *ctx)
{
	(void)peer;
	if (m->type == MSG_DIALED && !scans_dialed(ctx, &m->dialed))
		on_dialed(ctx, &m->dialed);
}

static void
on_book_message(struct peer *peer, struct message *m, void *ctx)
{
	(void)peer;
	if (m->type == MSG_LEAF_LAST)
		on_leaf_last(ctx, &m->leaf_last);
	else if (m->type == MSG_LEAF_HELD)
		on_leaf_held(ctx, &m->leaf_held);
}

static void
on_reader_message(struct peer *peer, struct message *m, void *ctx)
{
	(void)peer;
	if (m->type == MSG_READ_DONE)
		on_read_done(ctx, &m->read_done);
}

static void
on_daemon_closed(struct peer *peer, const char *why, void *ctx)
{
	struct policy *p = ctx;
	struct peer **links[] = {&p->auth, &p->recorder, &p->dialer, &p->reader};

	if (*why != '\0')
		log_error("the link to %s broke: %s", process_name(peer_process(peer)), why);
	if (peer == p->book) {
		outbox_link(p, NULL); /* closes it */
		return;
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (*links[i] == peer)
			*links[i] = NULL;
	peer_close(peer);
}

static struct peer *
link_open(struct policy *p, enum process other, int fd, peer_on_message *on_message)
{
	struct peer *peer = peer_open(p->loop, fd, PROCESS_POLICY, other, 0, on_message, on_daemon_closed, p);

	if (peer == NULL)
		log_fatal("out of memory for a link");
	return (peer);
}

static void
link_replace(struct policy *p, struct peer **link, enum process other, int fd, peer_on_message *on_message)
{
	peer_close(*link);
	*link = link_open(p, other, fd, on_message);
}

/* ---- gateway ---- */

static void
on_link(struct policy *p, const struct msg_link *m, int fd)
{
	char source[ROW_NAME];

	switch (m->peer) {
	case PROCESS_SESSION:
		text_clean(source, sizeof(source), m->source);
		visits_link(p, m->conn, source, m->port, fd);
		break;
	case PROCESS_AUTH:
		link_replace(p, &p->auth, PROCESS_AUTH, fd, on_auth_message);
		walks_auth_anew(p);
		fresh_auth_anew(p);
		promises_forget(p);
		graces_auth_anew(p);
		break;
	case PROCESS_RECORDER:
		link_replace(p, &p->recorder, PROCESS_RECORDER, fd, on_recorder_message);
		walks_recorder_anew(p);
		break;
	case PROCESS_DIALER:
		link_replace(p, &p->dialer, PROCESS_DIALER, fd, on_dialer_message);
		walks_dialer_anew(p);
		break;
	case PROCESS_READER:
		link_replace(p, &p->reader, PROCESS_READER, fd, on_reader_message);
		readings_reader_anew(p);
		break;
	case PROCESS_SCAN:
		scans_link(p, m->conn, fd);
		break;
	case PROCESS_BOOK:
		outbox_link(p, link_open(p, PROCESS_BOOK, fd, on_book_message));
		break;
	default:
		close(fd);
		break;
	}
}

void
on_gateway_message(struct peer *peer, struct message *m, void *ctx)
{
	struct policy *p = ctx;

	(void)peer;
	switch (m->type) {
	case MSG_LINK:
		on_link(p, &m->link, m->fd);
		m->fd = -1;
		break;
	case MSG_LINKS_TOLD:
		visits_sweep(p);
		break;
	case MSG_SESSION_GONE:
		on_session_gone(p, &m->session_gone);
		break;
	case MSG_LEASE_HELD:
		on_lease_held(p, PROCESS_GATEWAY, &m->lease_held);
		break;
	case MSG_SCAN_GONE:
		on_scan_gone(p, &m->scan_gone);
		break;
	case MSG_CONTROL:
		control_begin(p, m->fd);
		m->fd = -1;
		break;
	default:
		break;
	}
}

void
links_end(struct policy *p)
{
	struct peer **links[] = {&p->auth, &p->recorder, &p->dialer, &p->reader, &p->book};

	promises_forget(p);
	graces_free(p);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		peer_close(*links[i]);
		*links[i] = NULL;
	}
}
