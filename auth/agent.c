/* An agent for one login at one target: see agent.h. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secret.h"

/* draft-ietf-sshm-ssh-agent, 5 and 6. */
#define AGENT_FAILURE 5
#define AGENTC_REQUEST_IDENTITIES 11
#define AGENT_IDENTITIES_ANSWER 12
#define AGENTC_SIGN_REQUEST 13
#define AGENT_SIGN_RESPONSE 14
#define AGENT_RSA_SHA2_256 2
#define AGENT_RSA_SHA2_512 4

#define USERAUTH_REQUEST 50
#define IDENTIFIER_LEAST 20 /* SHA-1's; SHA-512's is the longest */
#define IDENTIFIER_MOST 64
#define LENGTH_BYTES 4

struct agent {
	struct watch *watch; /* NULL: it is over */
	int fd;
	agent_on_request *on_request;
	void *ctx;
	int requests;
	size_t have;
	uint8_t room[LENGTH_BYTES + AGENT_REQUEST_MAX];
};

/* ---- one request ---- */

/* By which algorithm the flags ask this key to sign; what the flags say of other kinds of keys means nothing. */
static const char *
flags_algorithm(const struct private_key *key, uint32_t flags)
{
	if (strcmp(private_key_kind(key), "ssh-rsa") != 0)
		return (private_key_kind(key));
	if (flags == AGENT_RSA_SHA2_512)
		return ("rsa-sha2-512");
	return (flags == AGENT_RSA_SHA2_256 ? "rsa-sha2-256" : "ssh-rsa");
}

/* NULL when `text` is what may be signed, else what is wrong with it. */
static const char *
text_fault(struct bytes text, const char *account, const char *algorithm, struct bytes public)
{
	struct reader r = reader_of(text);
	struct bytes identifier = reader_get_bytes(&r), user, service, method, named, key;
	uint8_t number = reader_get_u8(&r);
	int has_signature;

	user = reader_get_bytes(&r);
	service = reader_get_bytes(&r);
	method = reader_get_bytes(&r);
	has_signature = blob_get_bool(&r);
	named = reader_get_bytes(&r);
	key = reader_get_bytes(&r);
	if (!reader_end(&r) || identifier.len < IDENTIFIER_LEAST || identifier.len > IDENTIFIER_MOST ||
	    number != USERAUTH_REQUEST)
		return ("what it would have signed is no login");
	if (!bytes_are(user, account))
		return ("it would have signed a login as another account");
	if (!bytes_are(service, "ssh-connection") || !bytes_are(method, "publickey") || !has_signature)
		return ("it would have signed another way of logging in");
	if (!bytes_are(named, algorithm))
		return ("it would have signed by another algorithm than it named");
	return (bytes_equal(key, public) ? NULL : "it would have signed for another key");
}

/* What is wrong with a request to sign, or NULL; *algorithm and *text are what to sign then. */
static const char *
sign_fault(const struct private_key *key, const struct agent_terms *terms, struct reader *r, const char **algorithm,
    struct bytes *text, enum reason *reason)
{
	struct bytes named = reader_get_bytes(r);
	uint32_t flags;
	const char *wrong;

	*text = reader_get_bytes(r);
	flags = reader_get_u32(r);
	*reason = REASON_SUSPECT;
	if (!reader_end(r))
		return ("a request that does not read");
	if (!bytes_equal(named, private_key_public(key)))
		return ("it asked for another key");
	*algorithm = flags_algorithm(key, flags);
	if ((wrong = text_fault(*text, terms->account, *algorithm, private_key_public(key))) != NULL)
		return (wrong);
	*reason = REASON_LIMIT;
	if (!terms->signs)
		return ("it asked for a second signature");
	*reason = REASON_WEAK_KEY;
	if (strcmp(*algorithm, "ssh-rsa") == 0 && !terms->sha1)
		return ("it asked for a signature with SHA-1, which this target's --legacy does not name");
	return (NULL);
}

static void
identities_put(struct wire *reply, const struct private_key *key)
{
	wire_put_u8(reply, AGENT_IDENTITIES_ANSWER);
	wire_put_u32(reply, 1);
	wire_put_bytes(reply, private_key_public(key));
	wire_put_text(reply, bytes_text("lodge"));
}

static enum agent_outcome
request_answer(const struct private_key *key, const struct agent_terms *terms, struct bytes request,
    struct wire *reply, enum reason *reason, const char **why)
{
	struct reader r = reader_of(request);
	uint8_t type = reader_get_u8(&r);
	const char *algorithm = NULL;
	struct bytes text = {0};
	struct wire signature = {0};

	*reason = REASON_SUSPECT;
	*why = "a request that this agent does not know";
	if (type == AGENTC_REQUEST_IDENTITIES && reader_end(&r)) {
		identities_put(reply, key);
		return (AGENT_LISTED);
	}
	if (type != AGENTC_SIGN_REQUEST)
		return (AGENT_REFUSED);
	if ((*why = sign_fault(key, terms, &r, &algorithm, &text, reason)) != NULL)
		return (AGENT_REFUSED);
	*reason = REASON_VAULT;
	*why = "OpenSSL could not sign";
	if (private_key_sign(key, bytes_text(algorithm), text, &signature) == -1)
		return (AGENT_REFUSED);
	wire_put_u8(reply, AGENT_SIGN_RESPONSE);
	wire_put_bytes(reply, wire_bytes(&signature));
	wire_free(&signature);
	return (AGENT_SIGNED);
}

enum agent_outcome
agent_answer(const struct private_key *key, const struct agent_terms *terms, struct bytes request,
    struct wire *reply, enum reason *reason, const char **why)
{
	size_t mark = blob_put_begin(reply);
	enum agent_outcome outcome = request_answer(key, terms, request, reply, reason, why);

	if (outcome == AGENT_REFUSED)
		wire_put_u8(reply, AGENT_FAILURE);
	blob_put_end(reply, mark);
	return (outcome);
}

/* ---- its socket ---- */

static void
agent_over(struct agent *a)
{
	watch_end(a->watch);
	a->watch = NULL;
	if (a->fd != -1)
		close(a->fd);
	a->fd = -1;
	secret_wipe(a->room, sizeof(a->room));
	a->have = 0;
}

/* Answers what is whole in the room.  0 while there may be more, -1 when it is over. */
static int
agent_step(struct agent *a)
{
	struct reader r = reader_of(bytes_of(a->room, a->have));
	uint32_t len = reader_get_u32(&r);
	struct wire reply = {0};
	enum agent_outcome outcome;
	ssize_t sent;

	if (r.failed)
		return (0);
	if (len == 0 || len > AGENT_REQUEST_MAX)
		return (-1);
	if (r.left < len)
		return (0);
	outcome = a->on_request(a->ctx, bytes_of(r.at, len), &reply);
	sent = reply.failed || reply.len == 0 ? -1 : send(a->fd, reply.at, reply.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent != (ssize_t)reply.len || ++a->requests >= AGENT_REQUESTS)
		outcome = AGENT_SIGNED; /* the last answer, too */
	wire_free(&reply);
	a->have -= LENGTH_BYTES + len;
	memmove(a->room, a->room + LENGTH_BYTES + len, a->have);
	/* Nobody sends a second request before the answer to the first. */
	return (outcome == AGENT_SIGNED || a->have > 0 ? -1 : 0);
}

static void
on_readable(int fd, int events, void *ctx)
{
	struct agent *a = ctx;
	ssize_t got = recv(fd, a->room + a->have, sizeof(a->room) - a->have, MSG_DONTWAIT);

	(void)events;
	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		a->have += (size_t)got;
	if (got <= 0 || agent_step(a) == -1)
		agent_over(a);
}

struct agent *
agent_open(struct loop *loop, agent_on_request *on_request, void *ctx, int *theirs)
{
	struct agent *a = calloc(1, sizeof(*a));
	int pair[2];

	if (a == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1) {
		free(a);
		return (NULL);
	}
	a->fd = pair[0];
	a->on_request = on_request;
	a->ctx = ctx;
	if ((a->watch = watch_begin(loop, a->fd, WATCH_READ, on_readable, a)) == NULL) {
		close(pair[0]);
		close(pair[1]);
		free(a);
		return (NULL);
	}
	*theirs = pair[1];
	return (a);
}

void
agent_close(struct agent *a)
{
	if (a == NULL)
		return;
	agent_over(a);
	free(a);
}
