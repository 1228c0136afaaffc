/* Secrets for codes: see enrol.h. */
#include "enrol.h"

#include <liboath/oath.h>
#include <openssl/rand.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"

#define STEP_S 30
#define WINDOW 2 /* steps early or late: a minute */
#define CODE_DIGITS 6
#define QUIET 4 /* modules around it: ISO/IEC 18004 wants four */
#define URL_SIZE 512
#define URL_PART_MAX 64 /* of a name: a longer one is cut, for the code must stay narrow */
#define BASE32_SIZE (ENROL_SECRET_BYTES * 8 / 5 + 1)
#define LINE_MS 10000 /* lodge-pam waits five seconds for the file's lock */

/* ---- the secret ---- */

int
enrol_secret_make(uint8_t secret[ENROL_SECRET_BYTES])
{
	return (RAND_priv_bytes(secret, ENROL_SECRET_BYTES) == 1 ? 0 : -1);
}

int
enrol_code_is_right(const uint8_t secret[ENROL_SECRET_BYTES], struct bytes code, int64_t wall_ms)
{
	char text[CODE_DIGITS + 1];
	int good;

	if (code.len != CODE_DIGITS || bytes_copy(text, sizeof(text), code) == -1 ||
	    strspn(text, "0123456789") != CODE_DIGITS || oath_init() != OATH_OK)
		return (0);
	good = oath_totp_validate((const char *)secret, ENROL_SECRET_BYTES, (time_t)(wall_ms / 1000), STEP_S, 0,
	           WINDOW, text) >= 0;
	secret_wipe(text, sizeof(text));
	return (good);
}

/* RFC 4648 6, without padding: twenty bytes need none. */
static void
base32_make(char to[BASE32_SIZE], const uint8_t secret[ENROL_SECRET_BYTES])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t bits = 0, count = 0;

	for (size_t i = 0; i < ENROL_SECRET_BYTES; i++) {
		bits = bits << 8 | secret[i];
		for (count += 8; count >= 5; count -= 5)
			*to++ = letters[bits >> (count - 5) & 31];
	}
	*to = '\0';
	secret_wipe(&bits, sizeof(bits));
}

/* RFC 3986 2.3: what is not unreserved is written as %XX. */
static void
url_part(struct wire *to, const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	char hex[4];

	for (size_t i = 0; i < URL_PART_MAX && name[i] != '\0'; i++) {
		if (strchr(plain, name[i]) != NULL) {
			wire_put_raw(to, name + i, 1);
			continue;
		}
		snprintf(hex, sizeof(hex), "%%%02X", (unsigned)(unsigned char)name[i]);
		wire_put_raw(to, hex, 3);
	}
}

static void
put(struct wire *to, const char *text)
{
	wire_put_raw(to, text, strlen(text));
}

/* github.com/google/google-authenticator, Key-Uri-Format; what it leaves out is as every telephone presumes. */
static void
url_make(struct wire *to, const char *issuer, const char *person, const uint8_t secret[ENROL_SECRET_BYTES])
{
	char base32[BASE32_SIZE];

	base32_make(base32, secret);
	put(to, "otpauth://totp/");
	url_part(to, issuer);
	put(to, ":");
	url_part(to, person);
	put(to, "?secret=");
	put(to, base32);
	put(to, "&issuer=");
	url_part(to, issuer);
	secret_wipe(base32, sizeof(base32));
}

/* ---- the picture ---- */

/* 1 when that module is dark; around the code all is light. */
static int
is_dark(const QRcode *qr, int x, int y)
{
	return (x >= 0 && y >= 0 && x < qr->width && y < qr->width && (qr->data[y * qr->width + x] & 1) != 0);
}

/* Two rows of modules are one of text; no escape sequence, for those do not pass. */
static void
picture_put(struct wire *to, const QRcode *qr)
{
	static const char *const blocks[] = {"\u2588", "\u2580", "\u2584", " "}; /* dark: lower 1, upper 2 */

	for (int y = -QUIET; y < qr->width + QUIET; y += 2) {
		for (int x = -QUIET; x < qr->width + QUIET; x++)
			put(to, blocks[is_dark(qr, x, y + 1) | is_dark(qr, x, y) << 1]);
		put(to, "\n");
	}
}

int
enrol_show(struct wire *to, const char *issuer, const char *person, const uint8_t secret[ENROL_SECRET_BYTES])
{
	struct wire url = {.limit = URL_SIZE};
	QRcode *qr = NULL;
	int ok = -1;

	url_make(&url, issuer, person, secret);
	if (!url.failed)
		qr = QRcode_encodeData((int)url.len, url.at, 0, QR_ECLEVEL_L);
	if (qr == NULL)
		goto no_code;
	picture_put(to, qr);
	put(to, "\n");
	wire_put_raw(to, url.at, url.len);
	put(to, "\n");
	ok = to->failed ? -1 : 0;
	secret_wipe(qr->data, (size_t)qr->width * (size_t)qr->width);
	QRcode_free(qr);
no_code:
	wire_free(&url);
	return (ok);
}

/* ---- the users file ---- */

struct enrol {
	struct enrol *next;
	struct house *house;
	uint64_t ask;
	struct peer *link; /* NULL until gateway made it */
	struct timer *deadline;
	char user[LIVE_LOGIN_SIZE];
	char used_code[16];
	uint8_t secret[ENROL_SECRET_BYTES];
	enrol_done *done;
	void *ctx;
};

static struct enrol *
enrol_find(struct house *h, uint64_t ask)
{
	struct enrol *e = h->enrols;

	while (e != NULL && e->ask != ask)
		e = e->next;
	return (e);
}

void
enrol_cancel(struct enrol *e)
{
	struct enrol **at;

	if (e == NULL)
		return;
	for (at = &e->house->enrols; *at != NULL && *at != e; at = &(*at)->next)
		;
	if (*at == e)
		*at = e->next;
	peer_close(e->link);
	timer_free(e->deadline);
	secret_wipe(e, sizeof(*e));
	free(e);
}

static void
enrol_over(struct enrol *e, enum reason reason, const char *why)
{
	enrol_done *done = e->done;
	void *ctx = e->ctx;

	if (reason != REASON_NONE)
		log_error("the users file of codes: %s", why);
	enrol_cancel(e);
	done(ctx, reason, why);
}

static void
on_late(void *ctx)
{
	enrol_over(ctx, REASON_PAM_TROUBLE, "lodge-pam did not answer in time; try again");
}

static void
on_pam(struct peer *p, struct message *m, void *ctx)
{
	struct enrol *e = ctx;
	char why[ENROL_WHY_SIZE];

	if (p != e->link)
		return;
	if (m->type != MSG_PAM_ENROLLED) {
		enrol_over(e, REASON_PAM_TROUBLE, "lodge-pam gave another answer than was asked for");
		return;
	}
	if (bytes_copy(why, sizeof(why), m->pam_enrolled.why) == -1)
		snprintf(why, sizeof(why), "see the log of lodge-pam");
	enrol_over(e, (enum reason)m->pam_enrolled.reason, why);
}

static void
on_pam_closed(struct peer *p, const char *why, void *ctx)
{
	struct enrol *e = ctx;

	if (*why != '\0')
		log_error("lodge-pam: %s", why);
	if (p == e->link)
		enrol_over(e, REASON_PAM_TROUBLE, "lodge-pam ended without an answer; try again");
}

struct enrol *
enrol_begin(struct house *h, const char *user, const uint8_t secret[ENROL_SECRET_BYTES], struct bytes used_code,
    enrol_done *done, void *ctx)
{
	struct enrol *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return (NULL);
	*e = (struct enrol){.house = h, .ask = house_ask(h), .done = done, .ctx = ctx, .next = h->enrols};
	h->enrols = e;
	memcpy(e->secret, secret, sizeof(e->secret));
	if ((e->deadline = timer_new(h->loop, on_late, e)) == NULL || strlen(user) >= sizeof(e->user) ||
	    bytes_copy(e->used_code, sizeof(e->used_code), used_code) == -1) {
		enrol_cancel(e);
		return (NULL);
	}
	snprintf(e->user, sizeof(e->user), "%s", user);
	timer_after(e->deadline, LINE_MS);
	peer_post(h->gateway, PAM_WANTED, pam_wanted, .ask = e->ask);
	return (e);
}

int
enrol_link(struct house *h, uint64_t ask, int fd)
{
	struct enrol *e = enrol_find(h, ask);

	if (e == NULL || e->link != NULL)
		return (0);
	e->link = peer_open(h->loop, fd, PROCESS_AUTH, PROCESS_PAM, 0, on_pam, on_pam_closed, e);
	peer_post(e->link, PAM_ENROL, pam_enrol, .path = bytes_text(h->set->oath_users_file),
	    .user = bytes_text(e->user), .secret = bytes_of(e->secret, sizeof(e->secret)),
	    .used_code = bytes_text(e->used_code), .at_wall_ms = clock_wall_ms());
	secret_wipe(e->secret, sizeof(e->secret));
	secret_wipe(e->used_code, sizeof(e->used_code));
	return (1);
}

int
enrol_gone(struct house *h, uint64_t ask)
{
	struct enrol *e = enrol_find(h, ask);

	if (e == NULL)
		return (0);
	/* With a link its end says so, after what may still be read from it. */
	if (e->link == NULL)
		enrol_over(e, REASON_PAM_TROUBLE, "lodge-pam could not be started; try again");
	return (1);
}

void
enrol_end_all(struct house *h)
{
	while (h->enrols != NULL)
		enrol_cancel(h->enrols);
}
