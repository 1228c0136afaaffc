#include "renewal.h"

#include <arpa/inet.h>

#include <jansson.h>
#include <libssh/callbacks.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "credential.h"
#include "lease.h"
#include "passwd.h"
#include "ssh_more.h"
#include "visit.h"

#define ANSWER_MS 5000 /* auth says within this time whether there is something to change */
#define LEFT_MS 3000   /* of the visit: with less it is not begun */
#define COLUMNS 80
#define ROWS 24
#define TERM "vt100"
#define COMMAND "passwd"

enum renewal_step { RENEWAL_ASKED, RENEWAL_OPEN, RENEWAL_PTY, RENEWAL_EXEC, RENEWAL_TALK, RENEWAL_OVER };

struct renewal {
	struct visit *visit; /* lent */
	enum renewal_step step;
	uint32_t ask;
	int64_t by_ms; /* boot clock */
	int has_begun; /* auth gave what is to be typed */
	struct secret old, new;

	/* passwd's channel */
	uint32_t number; /* in the record */
	ssh_channel there;
	struct ssh_channel_callbacks_struct calls;
	int is_closed, has_status;
	uint32_t status;
	struct passwd passwd;
	int refused;     /* it asked for something else than what it had got */
	char words[160]; /* its last ones, fit to be read */
};

/* ---- the record ---- */

static void
frame(const struct renewal *r, enum frame_type type, const void *at, size_t len)
{
	record_put(r->visit->session->record, type, r->visit->stream, r->number, bytes_of(at, len));
}

/* members is given. */
static void
fact(const struct renewal *r, json_t *members)
{
	json_t *o = json_pack("{s:o}", "rotation", members);
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);

	if (text == NULL)
		log_fatal("out of memory");
	frame(r, FRAME_FACT, text, strlen(text));
	json_decref(o);
	free(text);
}

static void
begun_record(const struct renewal *r)
{
	struct wire w = {.at = NULL};

	fact(r, json_pack("{s:s}", "state", "begun"));
	wire_put_u16(&w, COLUMNS);
	wire_put_u16(&w, ROWS);
	wire_put_raw(&w, TERM, strlen(TERM));
	frame(r, FRAME_PTY, w.at, w.len);
	frame(r, FRAME_EXEC, COMMAND, strlen(COMMAND));
	wire_free(&w);
}

/* The last line that says something. */
static void
words_keep(struct renewal *r)
{
	const struct passwd *p = &r->passwd;
	size_t to = p->len, from;

	while (to > 0 && (uint8_t)p->said[to - 1] <= ' ')
		to--;
	for (from = to; from > 0 && p->said[from - 1] != '\n'; from--)
		;
	if (to > from)
		text_safe(r->words, sizeof(r->words), bytes_of(p->said + from, to - from));
}

/* What was said goes into the record, and the program is heard anew; q: what is answered now. */
static void
said_record(struct renewal *r, enum passwd_question q)
{
	struct passwd *p = &r->passwd;

	passwd_blot(p, bytes_of(r->old.at, r->old.len));
	passwd_blot(p, bytes_of(r->new.at, r->new.len));
	words_keep(r);
	if (p->len > 0)
		frame(r, FRAME_OUT, p->said, p->len);
	passwd_answered(p, q);
}

/* ---- its beginning ---- */

static const struct lease *
lease_of(const struct visit *v)
{
	return (lease_find(v->session, v->grant));
}

struct renewal *
renewal_new(struct visit *v)
{
	const struct lease *l = lease_of(v);
	struct renewal *r;

	if (!credential_is_password(v->how) || v->leg.over || v->session->auth == NULL || l == NULL ||
	    lease_left_ms(l) < LEFT_MS || (r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	r->visit = v;
	r->by_ms = clock_boot_ms() + ANSWER_MS;
	r->ask = session_ask(v->session);
	renewal_ask_again(r);
	return (r);
}

void
renewal_ask_again(const struct renewal *r)
{
	if (r->step == RENEWAL_ASKED)
		peer_post(r->visit->session->auth, ROTATION_WANTED, rotation_wanted, .ask = r->ask,
		    .stream = r->visit->stream);
}

int
renewal_has_begun(const struct renewal *r)
{
	return (r->has_begun);
}

static void
on_close(ssh_session ssh, ssh_channel there, void *ctx)
{
	(void)ssh;
	(void)there;
	((struct renewal *)ctx)->is_closed = 1;
}

static void
on_exit_status(ssh_session ssh, ssh_channel there, int status, void *ctx)
{
	struct renewal *r = ctx;

	(void)ssh;
	(void)there;
	r->has_status = 1;
	r->status = (uint32_t)status;
}

static int
channel_make(struct renewal *r)
{
	if ((r->there = ssh_channel_new(r->visit->leg.ssh)) == NULL)
		return (-1);
	r->calls.userdata = r;
	r->calls.channel_close_function = on_close;
	r->calls.channel_exit_status_function = on_exit_status;
	ssh_callbacks_init(&r->calls);
	return (ssh_add_channel_callbacks(r->there, &r->calls) == SSH_OK ? 0 : -1);
}

static void
begin(struct renewal *r, const struct msg_rotation *m)
{
	struct session *s = r->visit->session;

	r->has_begun = 1;
	r->step = RENEWAL_OPEN;
	r->by_ms = clock_boot_ms() + RENEWAL_MS;
	r->number = ++s->last_channel;
	fact(r, json_pack("{s:s}", "state", "wanted"));
	if (m->old.len == 0 || m->new.len == 0 || secret_copy(&r->old, m->old.at, m->old.len) == -1 ||
	    secret_copy(&r->new, m->new.at, m->new.len) == -1 || channel_make(r) == -1)
		r->step = RENEWAL_OVER;
}

void
renewal_on_auth(struct session *s, const struct message *m)
{
	uint32_t stream = m->type == MSG_ROTATION ? m->rotation.stream : m->credential_refused.stream;
	uint32_t ask = m->type == MSG_ROTATION ? m->rotation.ask : m->credential_refused.ask;
	const struct visit *v = visit_of(s, stream);
	struct renewal *r = v == NULL ? NULL : v->renewal;

	if (r == NULL || r->step != RENEWAL_ASKED || ask != r->ask)
		return;
	if (m->type == MSG_ROTATION)
		begin(r, &m->rotation);
	else
		r->step = RENEWAL_OVER; /* there is nothing to change */
	session_wake(s);
}

/* ---- the talk ---- */

static int
step_ask(struct renewal *r)
{
	static const uint8_t no_echo[] = {53, 0, 0, 0, 0, 0}; /* ECHO 0, TTY_OP_END (RFC 4254 8) */

	switch (r->step) {
	case RENEWAL_OPEN:
		return (ssh_channel_open_session(r->there));
	case RENEWAL_PTY:
		return (
		    ssh_more_request_pty(r->there, TERM, COLUMNS, ROWS, 0, 0, bytes_of(no_echo, sizeof(no_echo))));
	default:
		return (ssh_channel_request_exec(r->there, COMMAND));
	}
}

/* 1 when all that passwd said was heard. */
static int
said_take(struct renewal *r)
{
	uint8_t piece[512];
	size_t got;

	while (record_is_clear(r->visit->session->record)) {
		if (r->passwd.len + sizeof(piece) > PASSWD_SAID_MAX)
			said_record(r, PASSWD_NONE);
		if ((got = ssh_more_read(r->there, 0, piece, sizeof(piece))) == 0 &&
		    (got = ssh_more_read(r->there, 1, piece, sizeof(piece))) == 0)
			return (1);
		(void)passwd_hear(&r->passwd, bytes_of(piece, got));
	}
	return (0);
}

/* Types one password; 0 while it cannot be. */
static int
type(struct renewal *r, enum passwd_question q)
{
	static const char *const names[] = {
	    [PASSWD_OLD] = "current", [PASSWD_NEW] = "new", [PASSWD_AGAIN] = "new again"};
	const struct secret *password = q == PASSWD_OLD ? &r->old : &r->new;
	const struct leg *leg = &r->visit->leg;
	struct secret line;

	if (ssh_more_in_rekey(leg->ssh) || leg_room(leg) == 0 || ssh_channel_window_size(r->there) <= password->len)
		return (0);
	said_record(r, q);
	fact(r, json_pack("{s:s, s:I}", "typed", names[q], "bytes", (json_int_t)password->len));
	if (secret_new(&line, password->len + 1) == -1)
		log_fatal("out of memory");
	memcpy(line.at, password->at, password->len);
	line.at[password->len] = '\n';
	ssh_more_burn(leg->ssh);
	if (ssh_channel_write(r->there, line.at, (uint32_t)line.len) != (int)line.len)
		r->step = RENEWAL_OVER;
	secret_free(&line);
	return (1);
}

static int
talk_turn(struct renewal *r)
{
	enum passwd_question q;

	if (!said_take(r))
		return (0);
	if (r->is_closed) {
		r->step = RENEWAL_OVER;
		return (1);
	}
	if ((q = passwd_asks(&r->passwd)) == PASSWD_NONE)
		return (0);
	if (!passwd_refuses(&r->passwd, q))
		return (type(r, q));
	r->refused = 1;
	r->step = RENEWAL_OVER;
	return (1);
}

/* 1 when it moved. */
static int
step_turn(struct renewal *r)
{
	int rc;

	if (r->step == RENEWAL_ASKED || !record_is_clear(r->visit->session->record))
		return (0);
	if (r->step == RENEWAL_TALK)
		return (talk_turn(r));
	if ((rc = step_ask(r)) == SSH_AGAIN && !r->is_closed)
		return (0);
	if (rc == SSH_OK && r->step == RENEWAL_OPEN)
		begun_record(r);
	r->step = rc == SSH_OK ? r->step + 1 : RENEWAL_OVER;
	return (1);
}

int
renewal_turn(struct renewal *r)
{
	if (clock_boot_ms() >= r->by_ms || r->visit->leg.over)
		return (1);
	while (r->step != RENEWAL_OVER && step_turn(r))
		;
	return (r->step == RENEWAL_OVER);
}

/* ---- its end ---- */

static enum rotation
outcome(const struct renewal *r)
{
	if (r->refused || (r->has_status && r->status != 0) || !r->passwd.given[PASSWD_NEW])
		return (ROTATION_REFUSED);
	return (r->has_status ? ROTATION_CHANGED : ROTATION_UNKNOWN);
}

static void
end_tell(struct renewal *r)
{
	static const char *const names[] = {
	    [ROTATION_CHANGED] = "changed", [ROTATION_REFUSED] = "refused", [ROTATION_UNKNOWN] = "unknown"};
	const struct visit *v = r->visit;
	enum rotation is = outcome(r);
	uint32_t status = htonl(r->status);

	said_record(r, PASSWD_NONE);
	if (r->has_status)
		frame(r, FRAME_EXIT, &status, sizeof(status));
	frame(r, FRAME_CLOSE, NULL, 0);
	fact(r, json_pack("{s:s, s:s}", "state", names[is], "said", r->words));
	log_info("connection %llu: %s: the password of %s: %s: %s", (unsigned long long)v->session->conn, v->target,
	    v->account, names[is], r->words);
	peer_post(v->session->auth, ROTATION_DONE, rotation_done, .stream = v->stream, .outcome = (uint8_t)is);
}

void
renewal_free(struct renewal *r)
{
	if (r == NULL)
		return;
	if (renewal_has_begun(r))
		end_tell(r);
	if (r->there != NULL) {
		if (!r->visit->leg.over && ssh_channel_close(r->there) == SSH_AGAIN)
			(void)ssh_channel_close(r->there);
		ssh_channel_free(r->there);
	}
	secret_wipe(&r->passwd, sizeof(r->passwd));
	secret_free(&r->old);
	secret_free(&r->new);
	free(r);
}
