#include "bench.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/loop.h"

#define SECRET "3132333435363738393031323334353637383930"
#define TABLE_BYTES (4 * 1024 * 1024)
#define TOKEN_KIND "sk-ssh-ed25519@openssh.com"

struct letter {
	struct letter *next;
	struct message m; /* pointing into at */
	struct wire at;
};

static struct letter *shown; /* what end_expect() lent last */
static struct loop *running;

static void
letter_free(struct letter *l)
{
	if (l == NULL)
		return;
	if (l->m.fd != -1)
		close(l->m.fd);
	wire_free(&l->at);
	free(l);
}

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	struct end *e = ctx;
	struct letter *l = calloc(1, sizeof(*l));
	int fd = m->fd;

	(void)p;
	m->fd = -1;
	assert_int_equal(message_encode(&l->at, m, e->other, e->me), 0);
	assert_int_equal(message_decode(l->at.at, l->at.len, e->other, e->me, fd != -1, &l->m), 0);
	l->m.fd = fd;
	*e->last = l;
	e->last = &l->next;
	loop_stop(running);
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	struct end *e = ctx;

	(void)p;
	if (*why != '\0')
		print_message("a link broke: %s\n", why);
	e->closed = 1;
	loop_stop(running);
}

void
end_open(struct bench *b, struct end *e, int fd, enum process me, enum process other)
{
	end_close(e);
	*e = (struct end){.me = me, .other = other};
	e->last = &e->first;
	e->peer = peer_open(b->loop, fd, me, other, 0, on_message, on_closed, e);
	assert_non_null(e->peer);
}

void
end_close(struct end *e)
{
	struct letter *l;

	peer_close(e->peer);
	while ((l = e->first) != NULL) {
		e->first = l->next;
		letter_free(l);
	}
	*e = (struct end){0};
}

static void
on_late(void *ctx)
{
	struct bench *b = ctx;

	b->is_late = 1;
	loop_stop(b->loop);
}

/* One turn of the loop; 0 when the time is over. */
static int
turn(struct bench *b, int64_t until_ms)
{
	int64_t left_ms = until_ms - clock_boot_ms();

	if (left_ms <= 0)
		return (0);
	b->is_late = 0;
	running = b->loop;
	timer_after(b->late, left_ms);
	loop_run(b->loop);
	timer_stop(b->late);
	return (!b->is_late);
}

/* The first of this type; others stay. */
static struct letter *
letter_take(struct end *e, enum message_type type)
{
	for (struct letter **at = &e->first, *l; (l = *at) != NULL; at = &l->next) {
		if (l->m.type != type)
			continue;
		if ((*at = l->next) == NULL)
			e->last = at;
		return (l);
	}
	return (NULL);
}

const struct message *
end_expect(struct bench *b, struct end *e, enum message_type type)
{
	int64_t until_ms = clock_boot_ms() + BENCH_MS;

	letter_free(shown);
	while ((shown = letter_take(e, type)) == NULL)
		if (!turn(b, until_ms) || e->closed)
			break;
	if (shown == NULL && (shown = letter_take(e, type)) == NULL)
		fail_msg("%s from %s did not come%s", message_name(type), process_name(e->other),
		    e->closed ? ": the link is closed" : "");
	return (&shown->m);
}

void
end_expect_none(struct bench *b, struct end *e, enum message_type type, int ms)
{
	int64_t until_ms = clock_boot_ms() + ms;

	while (turn(b, until_ms))
		;
	for (struct letter *l = e->first; l != NULL; l = l->next)
		if (l->m.type == type)
			fail_msg("%s from %s came, and should not", message_name(type), process_name(e->other));
}

void
end_expect_closed(struct bench *b, struct end *e)
{
	int64_t until_ms = clock_boot_ms() + BENCH_MS;

	while (!e->closed && turn(b, until_ms))
		;
	assert_true(e->closed);
}

pid_t
bench_spawn(const struct bench *b, const char *program, int *fd)
{
	int pair[2];
	pid_t pid;

	(void)b;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	if ((pid = fork()) == 0) {
		int end = fcntl(pair[1], F_DUPFD, 10);

		if (end == -1 || dup2(end, 3) == -1 || close(end) == -1)
			_exit(70);
		execl(program, program, (char *)NULL);
		_exit(71);
	}
	assert_true(pid > 0);
	close(pair[1]);
	*fd = pair[0];
	return (pid);
}

static void
links_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

void
bench_auth_start(struct bench *b)
{
	int fd, pair[2], copy = fcntl(b->memory, F_DUPFD_CLOEXEC, 10);

	b->auth = bench_spawn(b, LODGE_AUTH, &fd);
	end_open(b, &b->gateway, fd, PROCESS_GATEWAY, PROCESS_AUTH);
	peer_post(b->gateway.peer, SETTINGS, settings, .text = bytes_text(b->settings));
	(void)end_expect(b, &b->gateway, MSG_READY);
	peer_post_fd(b->gateway.peer, copy, MEMORY, memory, .what = MEMORY_LIVE);
	links_pair(pair);
	end_open(b, &b->policy, pair[0], PROCESS_POLICY, PROCESS_AUTH);
	peer_post_fd(b->gateway.peer, pair[1], LINK, link, .peer = PROCESS_POLICY);
	(void)end_expect(b, &b->policy, MSG_HOST_KEY); /* `snippet` prints it */
}

void
bench_auth_kill(struct bench *b)
{
	int status;

	assert_int_equal(kill(b->auth, SIGKILL), 0);
	assert_int_equal(waitpid(b->auth, &status, 0), b->auth);
	assert_true(WIFSIGNALED(status));
	b->auth = 0;
	end_close(&b->gateway);
	end_close(&b->policy);
}

void
bench_session(struct bench *b, struct end *e, uint64_t conn, const char *source)
{
	int pair[2];

	links_pair(pair);
	end_open(b, e, pair[0], PROCESS_SESSION, PROCESS_AUTH);
	peer_post_fd(b->gateway.peer, pair[1], LINK, link, .peer = PROCESS_SESSION, .conn = conn,
	    .source = bytes_text(source), .port = 50000);
}

static void
file_write(const struct bench *b, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", b->dir, name);
	assert_non_null(f = fopen(path, "w"));
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

char *
bench_run(const struct bench *b, const char *words)
{
	char line[1024], *text = calloc(1, 16384);
	size_t len = 0, got;
	FILE *f;

	snprintf(line, sizeof(line), "cd %s && %s", b->dir, words);
	assert_non_null(f = popen(line, "r"));
	while ((got = fread(text + len, 1, 16383 - len, f)) > 0)
		len += got;
	if (pclose(f) != 0)
		fail_msg("failed: %s", words);
	return (text);
}

/* The public blob of ssh-keygen's NAME.pub, decoded by somebody else. */
static void
public_read(const struct bench *b, const char *name, uint8_t blob[51])
{
	char words[128], *hex;

	snprintf(words, sizeof(words), "cut -d' ' -f2 %s.pub | base64 -d | od -An -v -tx1 | tr -d ' \\n'", name);
	hex = bench_run(b, words);
	assert_int_equal(strlen(hex), 102);
	for (size_t i = 0; i < 51; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		blob[i] = (uint8_t)byte;
	}
	free(hex);
}

static void
clock_make(struct bench *b)
{
	char path[128];
	int fd;

	file_write(b, "clock", "0123456789abcdef");
	snprintf(path, sizeof(path), "%s/clock", b->dir);
	assert_true((fd = open(path, O_RDWR | O_CLOEXEC)) != -1);
	b->clock = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(b->clock != MAP_FAILED);
	close(fd);
	b->clock[0] = b->clock[1] = 0;
	assert_int_equal(setenv("LODGE_TEST_CLOCK", path, 1), 0);
}

void
bench_begin(struct bench *b, const char *methods, const char *more)
{
	char auth_dir[80];

	*b = (struct bench){.dir = "/tmp/lodge-auth-XXXXXX"};
	assert_non_null(mkdtemp(b->dir));
	assert_non_null(b->loop = loop_new());
	assert_non_null(b->late = timer_new(b->loop, on_late, b));
	free(bench_run(
	    b, "ssh-keygen -q -t ed25519 -N '' -C '' -f host && ssh-keygen -q -t ed25519 -N '' -C '' -f ca"));
	public_read(b, "host", b->host_key);
	file_write(b, "users.oath", "HOTP/T30/6 alice - " SECRET "\n");
	snprintf(b->settings, sizeof(b->settings),
	    "auth required pam_oath.so usersfile=%s/users.oath window=3 digits=6\naccount required pam_permit.so\n",
	    b->dir);
	file_write(b, "lodge", b->settings);
	snprintf(b->settings, sizeof(b->settings),
	    "HostKey %s/host\nUserCAKey %s/ca\nPAMDirectory %s\nPAMTimeout 20s\nRecordingRecipients age1none\n"
	    "StateDirectory %s\nAuthenticationMethods %s\n%s",
	    b->dir, b->dir, b->dir, b->dir, methods, more);
	snprintf(auth_dir, sizeof(auth_dir), "%s/auth", b->dir);
	assert_int_equal(mkdir(auth_dir, 0700), 0);
	clock_make(b);
	assert_true((b->memory = memfd_create("live", MFD_CLOEXEC)) != -1);
	assert_int_equal(ftruncate(b->memory, TABLE_BYTES), 0);
	key_make(&b->alice);
	bench_auth_start(b);
}

static void
pam_reap(struct bench *b)
{
	int status;

	if (b->pam == 0)
		return;
	(void)kill(b->pam, SIGKILL);
	assert_int_equal(waitpid(b->pam, &status, 0), b->pam);
	b->pam = 0;
}

void
bench_end(struct bench *b)
{
	int status = -1;
	char words[128];

	letter_free(shown);
	shown = NULL;
	peer_post(b->gateway.peer, STOP, stop, .none = 0);
	assert_int_equal(waitpid(b->auth, &status, 0), b->auth);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	end_close(&b->gateway);
	end_close(&b->policy);
	end_close(&b->pam_link);
	pam_reap(b);
	timer_free(b->late);
	loop_free(b->loop);
	munmap(b->clock, 16);
	close(b->memory);
	EVP_PKEY_free(b->alice.pkey);
	snprintf(words, sizeof(words), "cd / && rm -r %s", b->dir);
	free(bench_run(b, words));
}

void
bench_pam(struct bench *b)
{
	uint64_t ask = end_expect(b, &b->gateway, MSG_PAM_WANTED)->pam_wanted.ask;
	int fd, pair[2];

	pam_reap(b);
	b->pam = bench_spawn(b, LODGE_PAM, &fd);
	end_open(b, &b->pam_link, fd, PROCESS_GATEWAY, PROCESS_PAM);
	links_pair(pair);
	peer_post(b->pam_link.peer, SETTINGS, settings, .text = bytes_text(b->settings));
	peer_post_fd(b->pam_link.peer, pair[0], LINK, link, .peer = PROCESS_AUTH, .conn = ask);
	peer_post_fd(b->gateway.peer, pair[1], LINK, link, .peer = PROCESS_PAM, .conn = ask);
}

void
bench_pam_play(struct bench *b, struct end *e)
{
	uint64_t ask = end_expect(b, &b->gateway, MSG_PAM_WANTED)->pam_wanted.ask;
	int pair[2];

	links_pair(pair);
	end_open(b, e, pair[0], PROCESS_PAM, PROCESS_AUTH);
	peer_post_fd(b->gateway.peer, pair[1], LINK, link, .peer = PROCESS_PAM, .conn = ask);
}

void
bench_policy_relink(struct bench *b)
{
	int pair[2];

	links_pair(pair);
	end_open(b, &b->policy, pair[0], PROCESS_POLICY, PROCESS_AUTH);
	peer_post_fd(b->gateway.peer, pair[1], LINK, link, .peer = PROCESS_POLICY);
}

void
bench_code(char code[16], int steps)
{
	char words[160], *text;
	time_t at = time(NULL) + 30 * steps;
	struct tm tm;
	char when[32];
	struct bench here = {.dir = "/"};

	assert_non_null(gmtime_r(&at, &tm));
	assert_true(strftime(when, sizeof(when), "%F %T UTC", &tm) > 0);
	snprintf(words, sizeof(words), "oathtool --totp --now '%s' " SECRET, when);
	text = bench_run(&here, words);
	snprintf(code, 16, "%.6s", text);
	free(text);
}

void
key_make(struct person_key *k)
{
	uint8_t point[32];
	size_t len = sizeof(point);
	struct wire w = {0};

	k->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_non_null(k->pkey);
	assert_int_equal(EVP_PKEY_get_raw_public_key(k->pkey, point, &len), 1);
	wire_put_bytes(&w, bytes_text("ssh-ed25519"));
	wire_put_bytes(&w, bytes_of(point, sizeof(point)));
	assert_int_equal(w.len, sizeof(k->blob));
	memcpy(k->blob, w.at, w.len);
	wire_free(&w);
}

/* RFC 4252 7. */
static void
text_make(struct wire *text, struct bytes identifier, const char *user, const char *algorithm, struct bytes key,
    const uint8_t *host)
{
	wire_clear(text);
	wire_put_bytes(text, identifier);
	wire_put_u8(text, 50);
	wire_put_bytes(text, bytes_text(user));
	wire_put_bytes(text, bytes_text("ssh-connection"));
	wire_put_bytes(text, bytes_text(host == NULL ? "publickey" : "publickey-hostbound-v00@openssh.com"));
	wire_put_u8(text, 1);
	wire_put_bytes(text, bytes_text(algorithm));
	wire_put_bytes(text, key);
	if (host != NULL)
		wire_put_bytes(text, bytes_of(host, 51));
}

static void
raw_sign(EVP_PKEY *pkey, struct bytes text, uint8_t raw[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = 64;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey), 1);
	assert_int_equal(EVP_DigestSign(ctx, raw, &len, text.at, text.len), 1);
	EVP_MD_CTX_free(ctx);
}

void
proof_make(const struct person_key *k, struct bytes identifier, const char *user, const uint8_t *host,
    struct wire *text, struct wire *signature)
{
	uint8_t raw[64];

	text_make(text, identifier, user, "ssh-ed25519", bytes_of(k->blob, sizeof(k->blob)), host);
	raw_sign(k->pkey, wire_bytes(text), raw);
	wire_clear(signature);
	wire_put_bytes(signature, bytes_text("ssh-ed25519"));
	wire_put_bytes(signature, bytes_of(raw, sizeof(raw)));
}

void
token_make(struct token_key *k)
{
	uint8_t point[32];
	size_t len = sizeof(point);
	struct wire w = {0};

	k->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_non_null(k->pkey);
	assert_int_equal(EVP_PKEY_get_raw_public_key(k->pkey, point, &len), 1);
	wire_put_bytes(&w, bytes_text(TOKEN_KIND));
	wire_put_bytes(&w, bytes_of(point, sizeof(point)));
	wire_put_bytes(&w, bytes_text("ssh:"));
	assert_true(w.len <= sizeof(k->blob));
	memcpy(k->blob, w.at, w.len);
	k->blob_len = w.len;
	wire_free(&w);
}

/* PROTOCOL.u2f. */
void
token_proof_make(const struct token_key *k, struct bytes identifier, const char *user, uint8_t flags,
    uint32_t counter, struct wire *text, struct wire *signature)
{
	uint8_t raw[64], digest[32];
	struct wire w = {0};

	text_make(text, identifier, user, TOKEN_KIND, bytes_of(k->blob, k->blob_len), NULL);
	assert_int_equal(EVP_Digest("ssh:", 4, digest, NULL, EVP_sha256(), NULL), 1);
	wire_put_raw(&w, digest, sizeof(digest));
	wire_put_u8(&w, flags);
	wire_put_u32(&w, counter);
	assert_int_equal(EVP_Digest(text->at, text->len, digest, NULL, EVP_sha256(), NULL), 1);
	wire_put_raw(&w, digest, sizeof(digest));
	raw_sign(k->pkey, wire_bytes(&w), raw);
	wire_free(&w);
	wire_clear(signature);
	wire_put_bytes(signature, bytes_text(TOKEN_KIND));
	wire_put_bytes(signature, bytes_of(raw, sizeof(raw)));
	wire_put_u8(signature, flags);
	wire_put_u32(signature, counter);
}

int
signature_is(const uint8_t host_key[51], struct bytes signature, struct bytes text)
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, host_key + 19, 32);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct reader r = reader_of(signature);
	struct bytes kind = reader_get_bytes(&r), raw = reader_get_bytes(&r);
	int good = reader_end(&r) && bytes_are(kind, "ssh-ed25519") &&
	           EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	           EVP_DigestVerify(ctx, raw.at, raw.len, text.at, text.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return (good);
}
