/* The vault: see vault.h. */
#include "vault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vault_file.h"

#define NAME_PART_MAX 64
#define NEW_PREFIX ".new." /* a record that is being written; no TARGET begins with a dot */

struct vault {
	char *directory;
	struct vault_key keys[2]; /* enum vault_which */
};

static const char *const fault_words[VAULT_FAULTS] = {
    [VAULT_GOOD] = "it opens",
    [VAULT_NONE] = "there is no such secret",
    [VAULT_NO_KEY] = "there is no vault key: see VaultKey in lodge.conf(5)",
    [VAULT_OTHER_KEY] = "it lies under another key than VaultKey",
    [VAULT_DAMAGED] = "its file is damaged",
    [VAULT_TROUBLE] = "its file cannot be read or written",
};

const char *
vault_fault_words(enum vault_fault fault)
{
	return (fault_words[fault]);
}

struct vault *
vault_new(const char *directory)
{
	struct vault *v = calloc(1, sizeof(*v));

	if (v == NULL || (v->directory = bytes_dup(bytes_text(directory))) == NULL) {
		free(v);
		return (NULL);
	}
	return (v);
}

void
vault_free(struct vault *v)
{
	if (v == NULL)
		return;
	for (size_t i = 0; i < 2; i++)
		OPENSSL_secure_clear_free(v->keys[i].at, VAULT_KEY_BYTES);
	free(v->directory);
	free(v);
}

/* ---- keys ---- */

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	return (c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1);
}

/* 64 digits, and blanks after them. */
static int
hex_read(const uint8_t *text, size_t len, uint8_t key[VAULT_KEY_BYTES])
{
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (len != 2 * VAULT_KEY_BYTES)
		return (-1);
	for (size_t i = 0; i < VAULT_KEY_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high == -1 || low == -1)
			return (-1);
		key[i] = (uint8_t)(high << 4 | low);
	}
	return (0);
}

/* A key is known by some digits of its digest; the label keeps them from being any other use's digest of it. */
static void
id_make(const uint8_t key[VAULT_KEY_BYTES], char id[VAULT_ID_SIZE])
{
	uint8_t text[16 + VAULT_KEY_BYTES] = "lodge vault key", digest[SHA256_DIGEST_LENGTH];

	memcpy(text + 16, key, VAULT_KEY_BYTES);
	SHA256(text, sizeof(text), digest);
	secret_wipe(text, sizeof(text));
	for (size_t i = 0; i < (VAULT_ID_SIZE - 1) / 2; i++)
		snprintf(id + 2 * i, 3, "%02x", digest[i]);
}

int
vault_key_take(struct vault *v, int fd, enum vault_which which, char why[VAULT_WHY_SIZE])
{
	uint8_t text[2 * VAULT_KEY_BYTES + 8];
	struct vault_key *k = &v->keys[which];
	ssize_t got = pread(fd, text, sizeof(text), 0);
	int ok = 0;

	close(fd);
	if (got == -1)
		snprintf(why, VAULT_WHY_SIZE, "it cannot be read: %s", strerror(errno));
	else if ((k->at == NULL && (k->at = OPENSSL_secure_malloc(VAULT_KEY_BYTES)) == NULL))
		snprintf(why, VAULT_WHY_SIZE, "out of locked memory");
	else if (hex_read(text, (size_t)got, k->at) == -1)
		snprintf(why, VAULT_WHY_SIZE,
		    "it does not hold 64 hexadecimal digits: openssl rand -hex 32 makes a key");
	else
		ok = 1;
	secret_wipe(text, sizeof(text));
	if (ok) {
		id_make(k->at, k->id);
		return (0);
	}
	OPENSSL_secure_clear_free(k->at, VAULT_KEY_BYTES);
	*k = (struct vault_key){0};
	return (-1);
}

const char *
vault_id(const struct vault *v)
{
	return (v->keys[VAULT_NOW].id);
}

static const struct vault_key *
key_find(const struct vault *v, const char *id)
{
	for (size_t i = 0; i < 2; i++)
		if (v->keys[i].at != NULL && strcmp(v->keys[i].id, id) == 0)
			return (&v->keys[i]);
	return (NULL);
}

/* ---- names ---- */

int
vault_about_is_good(const char *about)
{
	static const char target[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	static const char account[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@$\\-";
	size_t first = strspn(about, target), second;

	if (first == 0 || first > NAME_PART_MAX || about[first] != '+' || about[0] == '.' || about[0] == '-')
		return (0);
	about += first + 1;
	second = strspn(about, account);
	return (second > 0 && second <= NAME_PART_MAX && about[second] == '\0' && about[0] != '-');
}

static int
directory_open(const struct vault *v)
{
	if (mkdir(v->directory, 0700) == -1 && errno != EEXIST)
		return (-1);
	return (open(v->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

static int
names_compare(const struct dirent **a, const struct dirent **b)
{
	return (strcmp((*a)->d_name, (*b)->d_name));
}

static int
name_is_record(const struct dirent *d)
{
	return (vault_about_is_good(d->d_name));
}

int
vault_names(const struct vault *v, struct wire *w)
{
	struct dirent **found = NULL;
	int dir = directory_open(v), count;

	if (dir == -1)
		return (-1);
	count = scandirat(dir, ".", &found, name_is_record, names_compare);
	close(dir);
	for (int i = 0; i < count; i++) {
		wire_put_raw(w, found[i]->d_name, strlen(found[i]->d_name) + 1);
		free(found[i]);
	}
	free(found);
	return (count == -1 || w->failed ? -1 : 0);
}

static int
name_is_new(const struct dirent *d)
{
	return (strncmp(d->d_name, NEW_PREFIX, strlen(NEW_PREFIX)) == 0);
}

void
vault_tidy(const struct vault *v)
{
	struct dirent **found = NULL;
	int dir = directory_open(v), count;

	if (dir == -1)
		return;
	count = scandirat(dir, ".", &found, name_is_new, names_compare);
	for (int i = 0; i < count; i++) {
		(void)unlinkat(dir, found[i]->d_name, 0);
		free(found[i]);
	}
	free(found);
	close(dir);
}

/* ---- the disk ---- */

static enum vault_fault
file_read(const struct vault *v, const char *about, struct wire *file)
{
	uint8_t room[4096];
	struct stat st;
	ssize_t got = -1;
	int dir = directory_open(v), fd = -1, wrong;

	if (dir != -1)
		fd = openat(dir, about, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	wrong = errno;
	if (dir != -1)
		close(dir);
	if (fd == -1) {
		errno = wrong;
		return (dir != -1 && wrong == ENOENT ? VAULT_NONE : VAULT_TROUBLE);
	}
	file->limit = VAULT_FILE_MAX;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while ((got = read(fd, room, sizeof(room))) > 0 && !file->failed)
			wire_put_raw(file, room, (size_t)got);
	else
		errno = EINVAL;
	wrong = errno;
	close(fd);
	errno = wrong;
	if (got == -1)
		return (VAULT_TROUBLE);
	return (file->failed ? VAULT_DAMAGED : VAULT_GOOD);
}

static int
whole_write(int fd, struct bytes b)
{
	while (b.len > 0) {
		ssize_t n = write(fd, b.at, b.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (-1);
		b.at += n;
		b.len -= (size_t)n;
	}
	return (0);
}

/* Beside, synced, renamed, the directory synced: what was there stays until all of the new is on the disk. */
static int
file_replace(int dir, const char *about, struct bytes b)
{
	char beside[sizeof(NEW_PREFIX) + VAULT_ABOUT_SIZE];
	int fd, wrong;

	snprintf(beside, sizeof(beside), NEW_PREFIX "%s", about);
	if (unlinkat(dir, beside, 0) == -1 && errno != ENOENT)
		return (-1);
	if ((fd = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) == -1)
		return (-1);
	if (whole_write(fd, b) == -1 || fsync(fd) == -1)
		goto bad;
	if (close(fd) == -1 || renameat(dir, beside, dir, about) == -1) {
		fd = -1;
		goto bad;
	}
	return (fsync(dir));
bad:
	wrong = errno;
	if (fd != -1)
		close(fd);
	(void)unlinkat(dir, beside, 0);
	errno = wrong;
	return (-1);
}

static enum vault_fault
file_write(const struct vault *v, const struct vault_record *r)
{
	struct wire file = {0};
	int dir = -1, ok;

	ok = vault_file_seal(&v->keys[VAULT_NOW], r, &file) == 0 && (dir = directory_open(v)) != -1 &&
	     file_replace(dir, r->about, wire_bytes(&file)) == 0;
	if (dir != -1)
		close(dir);
	wire_free(&file);
	return (ok ? VAULT_GOOD : VAULT_TROUBLE);
}

/* ---- records ---- */

static enum vault_fault
record_get(const struct vault *v, struct bytes file, struct vault_record *r)
{
	const struct vault_key *key;

	if (vault_file_head(file, r) == -1)
		return (VAULT_DAMAGED);
	if (v->keys[VAULT_NOW].at == NULL)
		return (VAULT_NO_KEY);
	if ((key = key_find(v, r->id)) == NULL)
		return (VAULT_OTHER_KEY);
	return (vault_file_open(key, file, r));
}

enum vault_fault
vault_load(const struct vault *v, const char *about, struct vault_record *r)
{
	struct wire file = {0};
	enum vault_fault fault;

	*r = (struct vault_record){0};
	if (!vault_about_is_good(about))
		return (VAULT_NONE);
	snprintf(r->about, sizeof(r->about), "%s", about);
	if ((fault = file_read(v, about, &file)) == VAULT_GOOD)
		fault = record_get(v, wire_bytes(&file), r);
	wire_free(&file);
	return (fault);
}

enum vault_fault
vault_store(const struct vault *v, const struct vault_record *r)
{
	struct vault_record there;
	enum vault_fault fault;

	if (v->keys[VAULT_NOW].at == NULL)
		return (VAULT_NO_KEY);
	if (!vault_about_is_good(r->about) || r->current.len == 0)
		return (VAULT_DAMAGED);
	fault = vault_load(v, r->about, &there);
	vault_record_free(&there);
	if (fault != VAULT_GOOD && fault != VAULT_NONE)
		return (fault);
	return (file_write(v, r));
}

enum vault_fault
vault_remove(const struct vault *v, const char *about)
{
	int dir, ok;

	if (!vault_about_is_good(about))
		return (VAULT_NONE);
	if ((dir = directory_open(v)) == -1)
		return (VAULT_TROUBLE);
	ok = unlinkat(dir, about, 0) == 0;
	if (!ok && errno == ENOENT) {
		close(dir);
		return (VAULT_NONE);
	}
	ok = ok && fsync(dir) == 0;
	close(dir);
	return (ok ? VAULT_GOOD : VAULT_TROUBLE);
}

void
vault_record_free(struct vault_record *r)
{
	secret_free(&r->current);
	secret_free(&r->pending);
	secret_free(&r->former);
	secret_wipe(r, sizeof(*r));
}

enum vault_fault
vault_settable(const struct vault *v, char about[VAULT_ABOUT_SIZE])
{
	struct wire names = {0};
	struct vault_record r;
	enum vault_fault fault = VAULT_GOOD;

	about[0] = '\0';
	if (v->keys[VAULT_NOW].at == NULL)
		return (VAULT_NO_KEY);
	if (vault_names(v, &names) == -1)
		fault = VAULT_TROUBLE;
	for (size_t at = 0; fault == VAULT_GOOD && at < names.len; at += strlen((char *)names.at + at) + 1) {
		if (vault_load(v, (char *)names.at + at, &r) == VAULT_OTHER_KEY) {
			snprintf(about, VAULT_ABOUT_SIZE, "%s", (char *)names.at + at);
			fault = VAULT_OTHER_KEY;
		}
		vault_record_free(&r);
	}
	wire_free(&names);
	return (fault);
}

enum vault_fault
vault_rekey(const struct vault *v, const char *about)
{
	struct vault_record r;
	enum vault_fault fault = vault_load(v, about, &r);

	if (fault == VAULT_GOOD && strcmp(r.id, v->keys[VAULT_NOW].id) == 0)
		fault = VAULT_NONE;
	else if (fault == VAULT_GOOD)
		fault = file_write(v, &r);
	vault_record_free(&r);
	return (fault);
}
