/* The vault on the bench: see keeping.h. */
#include "keeping.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char said[65536]; /* by auth at its door, the last time */
static int listening = -1;

/* ---- gateway's part ---- */

static void
key_send(struct bench *b, const char *text, enum memory_kind what)
{
	char path[128];
	int fd;

	if (text == NULL)
		return;
	snprintf(path, sizeof(path), "%s/vault.key", b->dir);
	assert_true((fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) != -1);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(unlink(path), 0);
	peer_post_fd(b->gateway.peer, fd, MEMORY, memory, .what = (uint8_t)what);
}

/* What comes of a start after the links: the vault's keys, and the door. */
static void
door_send(struct bench *b, const char *now, const char *old)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	key_send(b, old, MEMORY_VAULT_KEY_OLD);
	key_send(b, now, MEMORY_VAULT_KEY);
	if (listening == -1) {
		snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/secrets", b->dir);
		listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_int_equal(bind(listening, (struct sockaddr *)&sun, sizeof(sun)), 0);
		assert_int_equal(listen(listening, 16), 0);
	}
	peer_post_fd(b->gateway.peer, fcntl(listening, F_DUPFD_CLOEXEC, 10), CONTROL, control, .none = 0);
}

void
bench_vault_begin(struct bench *b)
{
	bench_begin(b, "publickey", "PenaltyLeast 0\nMaxAuthTries 100\n");
	listening = -1;
	door_send(b, KEY_A, NULL);
}

void
bench_vault_end(struct bench *b)
{
	close(listening);
	bench_end(b);
}

void
bench_vault_again(struct bench *b, const char *now, const char *old)
{
	bench_auth_kill(b);
	bench_auth_start(b);
	door_send(b, now, old);
}

/* ---- lodge's part ---- */

void
lodge_open(struct bench *b, struct end *e)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/secrets", b->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	end_open(b, e, fd, PROCESS_LODGE, PROCESS_AUTH);
}

/* Words with blanks between them; input NULL: none. */
void
lodge_say(struct end *e, const char *words, const char *input)
{
	struct wire w = {0};
	char line[512];

	snprintf(line, sizeof(line), "%s", words);
	for (char *at = line; *at != '\0'; at++)
		if (*at == ' ')
			*at = '\0';
	wire_put_raw(&w, line, strlen(words) + 1);
	peer_post(e->peer, VERB, verb, .ask = 1, .argv = 1, .words = wire_bytes(&w));
	if (input != NULL)
		peer_post(e->peer, VERB_IN, verb_in, .ask = 1, .input = bytes_text(input));
	wire_free(&w);
}

/* All that it said, into `said`; the status. */
int
lodge_heard(struct bench *b, struct end *e)
{
	int status = end_expect(b, e, MSG_VERB_END)->verb_end.status;
	size_t len = 0;

	memset(said, 0, sizeof(said));
	while (e->first != NULL) {
		struct bytes out = end_expect(b, e, MSG_VERB_OUT)->verb_out.output;

		assert_true(len + out.len < sizeof(said));
		memcpy(said + len, out.at, out.len);
		len += out.len;
	}
	return (status);
}

/* policy's part: what it is asked, and what it says. */
void
policy_may(struct bench *b, const char *act, const char *about, enum reason reason)
{
	const struct msg_secret_asked *m = &end_expect(b, &b->policy, MSG_SECRET_ASKED)->secret_asked;

	assert_true(bytes_are(m->act, act));
	assert_true(bytes_are(m->about, about));
	assert_int_equal(m->uid, getuid());
	peer_post(b->policy.peer, SECRET_MAY, secret_may, .ask = m->ask, .reason = (uint16_t)reason,
	    .text = bytes_text(reason == REASON_NONE ? "" : "lodge: denied [role] no"), .who = bytes_text("root"),
	    .pam_user = bytes_text(""));
}

void
policy_done(struct bench *b, const char *act, enum reason reason)
{
	const struct msg_secret_done *m = &end_expect(b, &b->policy, MSG_SECRET_DONE)->secret_done;

	if (!bytes_are(m->act, act) || m->reason != reason)
		fail_msg("%.*s: %s: %.*s", (int)m->act.len, m->act.at, reason_code(m->reason), (int)m->text.len,
		    m->text.at);
}

/* A verb that policy allows; its status. */
int
lodge_verb(struct bench *b, const char *words, const char *input)
{
	/* What it is called in the book; of 77 there are two. */
	static const struct {
		int status;
		const char *code;
		enum reason reason;
	} reasons[] = {{0, "", REASON_NONE}, {64, "", REASON_BAD_WORDS}, {69, "", REASON_VAULT},
	    {77, "[state]", REASON_STATE}, {77, "[not-found]", REASON_NOT_FOUND}};
	struct end e = {0};
	char act[32];
	size_t i = 0;
	int status;

	assert_int_equal(sscanf(words, "%*s %31s", act), 1);
	lodge_open(b, &e);
	lodge_say(&e, words, input);
	policy_may(b, act, strstr(words, ABOUT) != NULL ? ABOUT : "", REASON_NONE);
	status = lodge_heard(b, &e);
	while (reasons[i].status != status || strstr(said, reasons[i].code) == NULL)
		assert_true(++i < sizeof(reasons) / sizeof(reasons[0]));
	policy_done(b, act, reasons[i].reason);
	end_close(&e);
	return (status);
}

void
said_has(const char *what)
{
	if (strstr(said, what) == NULL)
		fail_msg("\"%s\" does not stand in:\n%s", what, said);
}

void
said_has_not(const char *what)
{
	if (strstr(said, what) != NULL)
		fail_msg("\"%s\" stands in:\n%s", what, said);
}

/* ---- a session's part ---- */

void
visit_in(struct visit *v, struct bench *b, uint64_t conn)
{
	visit_begin(v, b, conn, SOURCE, (uint8_t)conn);
	assert_true(visit_prove(v, &b->alice, bytes_of(v->id, sizeof(v->id)), v->login, NULL));
	visit_step(v, LOGIN_PUBLICKEY);
	policy_person(v, "alice", REASON_NONE);
	bench_pam(b);
	policy_identity(v, FACTOR_KEY, 0, 0);
	policy_held(v, REASON_NONE);
	visit_result(v, LOGIN_SUCCESS, REASON_NONE);
}

/* The connection ended, and auth knows: the link that gateway makes after that is answered. */
void
visit_leave(struct visit *v)
{
	struct end e = {0};

	visit_end(v);
	bench_session(v->b, &e, v->conn + 1000, SOURCE);
	(void)end_expect(v->b, &e, MSG_HOST_KEY);
	end_close(&e);
	peer_post(v->b->gateway.peer, SESSION_GONE, session_gone, .conn = v->conn + 1000);
}

void
policy_permit(struct visit *v, uint32_t stream, enum target_login how)
{
	/* This bench's clock: our own is the first one's for ever. */
	int64_t ends_wall_ms = (int64_t)time(NULL) * 1000 + v->b->clock[1] + HOUR_MS;

	peer_post(v->b->policy.peer, CERTIFY, certify, .conn = v->conn, .stream = stream, .grant = GRANT,
	    .target = bytes_text("osv1"), .account = bytes_text("srx"), .ends_wall_ms = ends_wall_ms,
	    .capabilities = CAPABILITY_SHELL, .how = (uint8_t)how);
	assert_int_equal(end_expect(v->b, &v->b->policy, MSG_CERTIFY_HELD)->certify_held.stream, stream);
}

/* The next event about a credential of this visit. */
void
policy_told(struct visit *v, enum target_login how, enum reason reason)
{
	const struct msg_credential *m = &end_expect(v->b, &v->b->policy, MSG_CREDENTIAL)->credential;

	if (m->conn != v->conn || m->how != how || m->reason != reason)
		fail_msg("connection %llu, how %u, %s: %.*s", (unsigned long long)m->conn, m->how,
		    reason_code(m->reason), (int)m->detail.len, m->detail.at);
}

void
password_want(struct visit *v, uint32_t stream, uint8_t attempt)
{
	peer_post(
	    v->s.peer, PASSWORD_WANTED, password_wanted, .ask = ++v->ask, .stream = stream, .attempt = attempt);
}

void
password_is(struct visit *v, uint8_t attempt, const char *password)
{
	const struct msg_password *m;

	password_want(v, STREAM, attempt);
	m = &end_expect(v->b, &v->s, MSG_PASSWORD)->password;
	assert_int_equal(m->ask, v->ask);
	assert_int_equal(m->stream, STREAM);
	if (!bytes_are(m->password, password))
		fail_msg("\"%.*s\" where \"%s\" was expected", (int)m->password.len, m->password.at, password);
	policy_told(v, TARGET_PASSWORD, REASON_NONE);
}

void
visit_refused(struct visit *v, enum reason reason)
{
	const struct msg_credential_refused *m =
	    &end_expect(v->b, &v->s, MSG_CREDENTIAL_REFUSED)->credential_refused;

	assert_int_equal(m->ask, v->ask);
	if (m->reason != reason)
		fail_msg("%s", reason_code(m->reason));
}
