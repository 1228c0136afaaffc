#include "host_keys.h"

#include <jansson.h>
#include <openssl/evp.h>

#include "base/log.h"
#include "contract/algorithms.h"

static struct reader
pinned_reader(const struct host_keys *k)
{
	return (reader_of(wire_bytes(&k->pinned)));
}

static struct bytes
key_kind(struct bytes key)
{
	struct reader r = reader_of(key);

	return (reader_get_text(&r));
}

int
host_keys_take(struct host_keys *k, struct bytes list)
{
	struct reader r = reader_of(list);

	if (list.len == 0)
		return (-1);
	while (r.left > 0 && !r.failed)
		if (key_kind(reader_get_bytes(&r)).len == 0)
			return (-1);
	if (r.failed)
		return (-1);
	wire_put_raw(&k->pinned, list.at, list.len);
	return (k->pinned.failed ? -1 : 0);
}

void
host_keys_free(struct host_keys *k)
{
	wire_free(&k->pinned);
	wire_free(&k->first);
	wire_free(&k->shown);
}

static int
is_pinned(const struct host_keys *k, struct bytes key)
{
	struct reader r = pinned_reader(k);

	while (r.left > 0)
		if (bytes_equal(reader_get_bytes(&r), key))
			return (1);
	return (0);
}

int
host_keys_see(struct host_keys *k, struct bytes key)
{
	int good = k->first.len == 0 ? is_pinned(k, key) : bytes_equal(wire_bytes(&k->first), key);
	struct wire *to = good ? &k->first : &k->shown;

	if (to->len == 0)
		wire_put_raw(to, key.at, key.len);
	return (good && !to->failed);
}

int
host_keys_differ(const struct host_keys *k)
{
	return (k->shown.len > 0);
}

/* ---- their algorithms ---- */

/* RSA keys have one kind and several ways to sign. */
static int
signs_with(struct bytes kind, const char *algorithm)
{
	if (bytes_are(kind, "ssh-rsa"))
		return (strcmp(algorithm, "rsa-sha2-512") == 0 || strcmp(algorithm, "rsa-sha2-256") == 0 ||
		        strcmp(algorithm, "ssh-rsa") == 0);
	return (bytes_are(kind, algorithm));
}

static int
is_wanted(const struct host_keys *k, const char *algorithm)
{
	struct reader r = pinned_reader(k);

	while (r.left > 0)
		if (signs_with(key_kind(reader_get_bytes(&r)), algorithm))
			return (1);
	return (0);
}

int
host_keys_algorithms(const struct host_keys *k, struct bytes legacy, char *to, size_t size)
{
	const struct algorithm *a;
	size_t len = 0;
	int n;

	for (size_t i = 0; (a = algorithm_at(i)) != NULL; i++) {
		if (a->kind != ALGORITHM_HOSTKEY || !is_wanted(k, a->name) ||
		    (a->age == ALGORITHM_LEGACY && !algorithm_list_has(legacy, bytes_text(a->name))))
			continue;
		n = snprintf(to + len, size - len, "%s%s", len == 0 ? "" : ",", a->name);
		if (n < 0 || (size_t)n >= size - len)
			return (-1);
		len += (size_t)n;
	}
	return (len == 0 ? -1 : 0);
}

/* ---- what people read of them ---- */

/* Gives a string. */
static char *
base64_of(struct bytes b)
{
	char *text = malloc(b.len / 3 * 4 + 5);

	if (text == NULL)
		log_fatal("out of memory");
	(void)EVP_EncodeBlock((unsigned char *)text, b.at, (int)b.len);
	return (text);
}

void
host_key_fingerprint(struct bytes key, char to[HOST_KEY_FINGERPRINT])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	char *text;

	to[0] = '\0';
	if (EVP_Digest(key.at, key.len, digest, &len, EVP_sha256(), NULL) != 1)
		return;
	text = base64_of(bytes_of(digest, len));
	text[strcspn(text, "=")] = '\0';
	snprintf(to, HOST_KEY_FINGERPRINT, "SHA256:%s", text);
	free(text);
}

void
host_keys_first(const struct host_keys *k, char to[HOST_KEY_FINGERPRINT])
{
	to[0] = '\0';
	if (k->first.len > 0)
		host_key_fingerprint(wire_bytes(&k->first), to);
}

char *
host_keys_shown(const struct host_keys *k)
{
	struct bytes key = wire_bytes(&k->shown), kind = key_kind(key);
	char safe[64], *base64 = base64_of(key), *line;

	(void)log_escape(safe, sizeof(safe), kind.at, kind.len); /* the target's own word */
	if ((line = malloc(strlen(safe) + strlen(base64) + 2)) == NULL)
		log_fatal("out of memory");
	(void)snprintf(line, strlen(safe) + strlen(base64) + 2, "%s %s", safe, base64);
	free(base64);
	return (line);
}

void
host_keys_line(const struct host_keys *k, const char *target, char *to, size_t size)
{
	char one[HOST_KEY_FINGERPRINT];
	struct reader r = pinned_reader(k);
	const char *between = "";
	size_t len;

	host_key_fingerprint(wire_bytes(&k->shown), one);
	snprintf(to, size, "%s showed the host key %s; %s ", target, one,
	    k->first.len > 0 ? "it began with another, and pinned are" : "pinned are");
	while (r.left > 0) {
		host_key_fingerprint(reader_get_bytes(&r), one);
		len = strlen(to);
		snprintf(to + len, size - len, "%s%s", between, one);
		between = ", ";
	}
	len = strlen(to);
	snprintf(to + len, size - len, "; do not go on, and tell your service manager");
}

char *
host_keys_fact(const struct host_keys *k)
{
	char one[HOST_KEY_FINGERPRINT], *shown = host_keys_shown(k), *text = NULL;
	json_t *pinned = json_array(), *fact;
	struct reader r = pinned_reader(k);

	while (r.left > 0) {
		host_key_fingerprint(reader_get_bytes(&r), one);
		(void)json_array_append_new(pinned, json_string(one));
	}
	fact = json_pack("{s:{s:s, s:o, s:s}}", "host_key", "shown", shown, "pinned", pinned, "at",
	    k->first.len > 0 ? "rekey" : "login");
	if (fact == NULL || (text = json_dumps(fact, JSON_COMPACT)) == NULL)
		log_fatal("out of memory");
	json_decref(fact);
	free(shown);
	return (text);
}
