#include "pam_bench.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/loop.h"

static void
on_message(struct peer *p, struct message *m, void *ctx)
{
	(void)p;
	(void)m;
	(void)ctx;
}

static void
on_closed(struct peer *p, const char *why, void *ctx)
{
	(void)p;
	(void)why;
	(void)ctx;
}

const char *
pam_path(const struct pam_bench *b, const char *name)
{
	static char path[4][256];
	static size_t next;
	char *to = path[next++ % 4];

	snprintf(to, sizeof(path[0]), "%s/%s", b->dir, name);
	return (to);
}

void
pam_put(const struct pam_bench *b, const char *name, const char *text)
{
	FILE *f = fopen(pam_path(b, name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

const char *
pam_get(const struct pam_bench *b, const char *name)
{
	static char text[PAM_TEXT_SIZE];
	FILE *f = fopen(pam_path(b, name), "r");

	text[0] = '\0';
	if (f != NULL) {
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
	}
	return (text);
}

void
pam_stack(const struct pam_bench *b, const char *lines)
{
	char text[2048];
	size_t len = 0;

	for (const char *c = lines; *c != '\0' && len < sizeof(text) - 256; c++) {
		if (*c == '@')
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", PAM_BAD);
		else if (*c == '%')
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", b->dir);
		else
			text[len++] = *c;
	}
	text[len] = '\0';
	pam_put(b, "lodge", text);
}

int
pam_bench_make(void **state)
{
	struct pam_bench *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return (-1);
	snprintf(b->dir, sizeof(b->dir), "/tmp/lodge-pam-XXXXXX");
	snprintf(b->who, sizeof(b->who), "alice");
	*state = b;
	return (mkdtemp(b->dir) != NULL && (b->loop = loop_new()) != NULL ? 0 : -1);
}

static void
links_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

/* As gateway does it: a fresh process, a group of its own, settings and its link to auth. */
static void
pam_start(struct pam_bench *b)
{
	char settings[256];
	int link[2], pair[2];

	snprintf(settings, sizeof(settings), "RecordingRecipients age1none\nOATHUsersFile %s/users\n", b->dir);
	links_pair(link);
	links_pair(pair);
	if ((b->pid = fork()) == 0) {
		if (setsid() == -1 || dup2(link[1], 3) == -1)
			_exit(70);
		execl(LODGE_PAM, "lodge-pam", (char *)NULL);
		_exit(71);
	}
	close(link[1]);
	b->gateway = peer_open(b->loop, link[0], PROCESS_GATEWAY, PROCESS_PAM, 0, on_message, on_closed, b);
	b->auth = peer_open(b->loop, pair[0], PROCESS_AUTH, PROCESS_PAM, 0, on_message, on_closed, b);
	peer_post(b->gateway, SETTINGS, settings, .text = bytes_text(settings));
	peer_post_fd(b->gateway, pair[1], LINK, link, .peer = PROCESS_AUTH, .conn = 1);
}

void
pam_begin(struct pam_bench *b, unsigned what, uint32_t deadline_ms)
{
	pam_start(b);
	peer_post(b->auth, PAM_BEGIN, pam_begin, .what = (uint8_t)what, .service = bytes_text("lodge"),
	    .directory = bytes_text(b->dir), .user = bytes_text(b->who), .source = bytes_text("192.0.2.7"),
	    .deadline_ms = deadline_ms);
}

void
pam_let_go(struct pam_bench *b)
{
	peer_close(b->auth);
	b->auth = NULL;
}

int
pam_end(struct pam_bench *b)
{
	int status = -1;

	for (int i = 0; i < PAM_WAIT_MS / 10 && waitpid(b->pid, &status, WNOHANG) == 0; i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	if (status == -1) {
		(void)kill(-b->pid, SIGKILL);
		(void)waitpid(b->pid, &status, 0);
		fail_msg("lodge-pam goes on and on");
	}
	(void)kill(-b->pid, SIGKILL);
	peer_close(b->auth);
	peer_close(b->gateway);
	b->auth = b->gateway = NULL;
	b->pid = 0;
	return (status);
}

int
pam_bench_remove(void **state)
{
	struct pam_bench *b = *state;
	char words[128];
	FILE *f;

	if (b->pid > 0) {
		(void)kill(-b->pid, SIGKILL);
		(void)kill(b->pid, SIGKILL);
		(void)waitpid(b->pid, NULL, 0);
	}
	peer_close(b->auth);
	peer_close(b->gateway);
	loop_free(b->loop);
	snprintf(words, sizeof(words), "rm -r %s", b->dir);
	f = popen(words, "r");
	free(b);
	return (f != NULL && pclose(f) == 0 ? 0 : -1);
}

static void
on_prompts(struct peer *p, struct message *m, void *ctx)
{
	struct pam_bench *b = ctx;
	struct reader r = reader_of(m->pam_prompts.prompts);
	size_t len = 0;

	(void)p;
	b->count = m->pam_prompts.count;
	b->text[0] = '\0';
	for (uint16_t i = 0; i < b->count; i++) {
		uint8_t style = reader_get_u8(&r);
		struct bytes text = reader_get_text(&r);

		if (i < sizeof(b->style))
			b->style[i] = style;
		if (len + text.len + 2 < sizeof(b->text))
			len += (size_t)snprintf(
			    b->text + len, sizeof(b->text) - len, "%.*s\n", (int)text.len, (const char *)text.at);
	}
	assert_true(reader_end(&r));
}

void
pam_prompted(struct pam_bench *b, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(peer_wait(b->auth, MSG_PAM_PROMPTS, PAM_WAIT_MS, on_prompts, b), 0);
	if (strlen(b->text) < len + 1 || memcmp(b->text + strlen(b->text) - 1 - len, text, len) != 0)
		fail_msg("prompted \"%s\" and not \"%s\"", b->text, text);
}

void
pam_answer(struct pam_bench *b, const char *text)
{
	struct wire w = {0};

	wire_put_text(&w, bytes_text(text));
	peer_post(b->auth, PAM_ANSWERS, pam_answers, .count = 1, .answers = wire_bytes(&w));
	wire_free(&w);
}

void
pam_answer_nothing(struct pam_bench *b)
{
	peer_post(b->auth, PAM_ANSWERS, pam_answers, .count = 0, .answers = bytes_of(NULL, 0));
}

static void
on_result(struct peer *p, struct message *m, void *ctx)
{
	struct pam_bench *b = ctx;

	(void)p;
	b->good = m->pam_result.good;
	b->reason = m->pam_result.reason;
	b->pam_error = m->pam_result.pam_error;
	b->delay_ms = m->pam_result.delay_ms;
	assert_int_equal(bytes_copy(b->user, sizeof(b->user), m->pam_result.user), 0);
}

void
pam_result(struct pam_bench *b, int good, enum reason reason)
{
	(void)pam_hear_result(b);
	if (b->good != good || b->reason != reason)
		fail_msg("good %d, %s (PAM error %u)", b->good, reason_code(b->reason), b->pam_error);
}

void
pam_no_result(struct pam_bench *b, int wait_ms)
{
	assert_int_equal(peer_wait(b->auth, MSG_PAM_RESULT, wait_ms, on_result, b), -1);
}

int
pam_hear_result(struct pam_bench *b)
{
	assert_int_equal(peer_wait(b->auth, MSG_PAM_RESULT, PAM_WAIT_MS, on_result, b), 0);
	return (b->good);
}

void
pam_stays(struct pam_bench *b)
{
	assert_int_equal(peer_wait(b->gateway, MSG_PAM_STAYS, PAM_WAIT_MS, on_message, b), 0);
}

static void
on_enrolled(struct peer *p, struct message *m, void *ctx)
{
	struct pam_bench *b = ctx;

	(void)p;
	b->reason = m->pam_enrolled.reason;
	assert_int_equal(bytes_copy(b->text, sizeof(b->text), m->pam_enrolled.why), 0);
}

enum reason
pam_enrol(struct pam_bench *b, const char *code)
{
	pam_start(b);
	peer_post(b->auth, PAM_ENROL, pam_enrol, .path = bytes_text(pam_path(b, "users")),
	    .user = bytes_text("alice"), .secret = bytes_text(PAM_SECRET), .used_code = bytes_text(code),
	    .at_wall_ms = (int64_t)time(NULL) * 1000);
	assert_int_equal(peer_wait(b->auth, MSG_PAM_ENROLLED, PAM_WAIT_MS + 6000, on_enrolled, b), 0);
	assert_int_equal(pam_end(b), 0);
	return (b->reason);
}

const char *
pam_code(int steps)
{
	static char text[16];
	char words[128], when[32];
	time_t at = time(NULL) + 30 * steps;
	struct tm tm;
	FILE *f;

	assert_non_null(gmtime_r(&at, &tm));
	assert_true(strftime(when, sizeof(when), "%F %T UTC", &tm) > 0);
	snprintf(words, sizeof(words), "oathtool --totp --now '%s' " PAM_HEX, when);
	assert_non_null(f = popen(words, "r"));
	assert_non_null(fgets(text, sizeof(text), f));
	assert_int_equal(pclose(f), 0);
	text[strcspn(text, "\n")] = '\0';
	return (text);
}
