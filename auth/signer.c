/* A private Ed25519 key of the house: see signer.h. */
#include "signer.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "private_key.h"

#define FILE_BYTES_MAX 4096
#define KIND "ssh-ed25519"

struct signer {
	struct private_key *key; /* of that kind */
};

static void __attribute__((format(printf, 2, 3))) why_set(char *why, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, SIGNER_WHY_SIZE, format, ap);
	va_end(ap);
}

/* Reads the whole file into `text`; its length, or -1. */
static ssize_t
file_read(const char *path, char text[FILE_BYTES_MAX + 1], char *why)
{
	struct stat st;
	size_t len = 0;
	ssize_t n = -1;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) == -1) {
		why_set(
		    why, "%s: %s; make it with: ssh-keygen -t ed25519 -N '' -f %s", path, strerror(errno), path);
		return (-1);
	}
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
		why_set(why, "%s: not a regular file", path);
		goto out;
	}
	if ((st.st_mode & 077) != 0) {
		why_set(why, "%s: others may read it (mode %03o); chmod 600 %s", path, (unsigned)st.st_mode & 0777,
		    path);
		goto out;
	}
	while (len <= FILE_BYTES_MAX && (n = read(fd, text + len, FILE_BYTES_MAX + 1 - len)) > 0)
		len += (size_t)n;
	if (n != 0) {
		why_set(why, "%s: %s", path, n == -1 ? strerror(errno) : "too long for a key");
		n = -1;
		goto out;
	}
	n = (ssize_t)len;
out:
	close(fd);
	return (n);
}

struct signer *
signer_load(const char *path, char why[SIGNER_WHY_SIZE])
{
	char text[FILE_BYTES_MAX + 1];
	struct signer *s = calloc(1, sizeof(*s));
	const char *wrong = NULL;
	ssize_t len;

	if (s == NULL)
		why_set(why, "%s: out of memory", path);
	if (s == NULL || (len = file_read(path, text, why)) == -1)
		goto bad;
	if ((s->key = private_key_read(bytes_of(text, (size_t)len), &wrong)) != NULL &&
	    private_key_public(s->key).len == SIGNER_PUBLIC_SIZE) {
		OPENSSL_cleanse(text, sizeof(text));
		return (s);
	}
	why_set(why, "%s: %s", path, s->key == NULL ? wrong : "not an Ed25519 key");
bad:
	OPENSSL_cleanse(text, sizeof(text));
	signer_free(s);
	return (NULL);
}

void
signer_free(struct signer *s)
{
	if (s == NULL)
		return;
	private_key_free(s->key);
	free(s);
}

struct bytes
signer_public(const struct signer *s)
{
	return (private_key_public(s->key));
}

int
signer_sign(const struct signer *s, struct bytes text, uint8_t signature[SIGNER_SIGNATURE_SIZE])
{
	struct wire made = {0};
	int ok = private_key_sign(s->key, bytes_text(KIND), text, &made) == 0 && made.len == SIGNER_SIGNATURE_SIZE;

	if (ok)
		memcpy(signature, made.at, SIGNER_SIGNATURE_SIZE);
	wire_free(&made);
	return (ok ? 0 : -1);
}
