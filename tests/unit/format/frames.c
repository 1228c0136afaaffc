#include "frames.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/journal.h"
#include "format/sums.h"

void
frames_begin(struct frames *r)
{
	*r = (struct frames){.dir = "/tmp/lodge-frames-XXXXXX"};
	assert_non_null(mkdtemp(r->dir));
	assert_true((r->fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) != -1);
	assert_int_equal(age_identity_make(&r->identity), 0);
	memcpy(r->recipient.point, r->identity.point, sizeof(r->recipient.point));
}

void
frames_end(struct frames *r)
{
	DIR *d = opendir(r->dir);
	const struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		(void)unlinkat(r->fd, entry->d_name, 0);
	(void)closedir(d);
	assert_int_equal(rmdir(r->dir), 0);
	(void)close(r->fd);
	framecast_free(r->cast);
	blob_free(&r->plain);
	blob_free(&r->log);
}

/* ---- frames ---- */

static void
segment_open_one(struct frames *r)
{
	const struct framecast_begin begin = {.track = JOURNAL_MAIN,
	    .segment = r->segment,
	    .boot_ms = FRAMES_BEGAN_BOOT + r->now_ms,
	    .wall_ms = FRAMES_BEGAN_WALL + r->now_ms};

	blob_clear(&r->plain);
	blob_clear(&r->log);
	assert_non_null(r->cast = framecast_new(&r->plain, &r->screen, &begin));
}

void
frame_of(struct frames *r, const struct ring_frame *f)
{
	if (r->cast == NULL)
		segment_open_one(r);
	assert_int_equal(framecast_add(r->cast, f), 0);
	assert_int_equal(blob_reserve(&r->log, JOURNAL_FRAME_HEAD + f->len), 0);
	r->log.size += journal_frame_write(r->log.at + r->log.size, f);
}

void
frame_bytes(struct frames *r, enum frame_type type, const void *bytes, size_t size)
{
	const struct ring_frame f = {.type = (uint16_t)type,
	    .channel = 1,
	    .boot_us = (FRAMES_BEGAN_BOOT + r->now_ms) * 1000,
	    .at = bytes,
	    .len = (uint32_t)size};

	frame_of(r, &f);
}

void
frame_text(struct frames *r, enum frame_type type, const char *text)
{
	frame_bytes(r, type, text, strlen(text));
}

const char *
frames_text(struct frames *r)
{
	assert_int_equal(blob_add(&r->plain, "", 1), 0);
	r->plain.size--;
	return ((const char *)r->plain.at);
}

/* ---- files ---- */

static void
segment_ended(struct frames *r)
{
	framecast_free(r->cast);
	r->cast = NULL;
	r->segment++;
}

void
frames_seal(struct frames *r)
{
	char name[SEGMENT_NAME_MAX];
	const struct segment_seal seal = {
	    .dir = r->fd, .name = name, .plain = &r->plain, .recipients = &r->recipient, .count = 1};
	struct segment_sealed sealed;

	if (r->cast == NULL)
		segment_open_one(r);
	assert_int_equal(framecast_end(r->cast, FRAMES_BEGAN_BOOT + r->now_ms), 0);
	assert_int_equal(segment_name(name, SEGMENT_OUTPUT, r->segment), 0);
	assert_int_equal(segment_seal(&seal, &sealed), 0);
	segment_ended(r);
}

static void
record_add(struct blob *to, struct journal_record *r, enum journal_type type, const void *body, size_t size,
    const uint8_t *key)
{
	r->type = type;
	r->body = body;
	r->body_len = size;
	assert_int_equal(blob_reserve(to, journal_record_bytes(type, size)), 0);
	to->size += journal_write(to->at + to->size, r, key);
	r->sequence++;
}

void
frames_leave(struct frames *r)
{
	unsigned char file_key[AGE_FILE_KEY_SIZE];
	uint8_t key[JOURNAL_KEY_BYTES];
	struct journal_record record = {.track = JOURNAL_MAIN, .segment = r->segment};
	struct blob wal = {.at = NULL}, header = {.at = NULL};
	char name[SEGMENT_NAME_MAX], begin[160];
	struct segment_sealed sealed;
	int size = snprintf(begin, sizeof(begin), "{\"boot_ms\":%lld,\"wall_ms\":%lld,\"cols\":80,\"rows\":24}",
	    (long long)(FRAMES_BEGAN_BOOT + r->now_ms), (long long)(FRAMES_BEGAN_WALL + r->now_ms));

	assert_int_equal(age_file_key_make(file_key), 0);
	assert_int_equal(journal_key(key, file_key), 0);
	assert_int_equal(age_header_make(&header, file_key, &r->recipient, 1), 0);
	assert_int_equal(blob_reserve(&wal, JOURNAL_FILE_BYTES), 0);
	journal_preamble(wal.at, r->segment);
	wal.size = JOURNAL_FILE_BYTES;
	record_add(&wal, &record, JOURNAL_HEADER, header.at, header.size, NULL);
	record_add(&wal, &record, JOURNAL_BEGIN, begin, (size_t)size, key);
	record_add(&wal, &record, JOURNAL_FRAMES, r->log.at, r->log.size, key);
	assert_int_equal(segment_recovered_name(name, SEGMENT_OUTPUT, r->segment), 0);
	assert_int_equal(segment_put(r->fd, name, &wal, &sealed), 0);
	blob_free(&wal);
	blob_free(&header);
	segment_ended(r);
}

void
frames_close(struct frames *r)
{
	struct sums sums = {.lines = NULL};
	struct blob text = {.at = NULL};
	struct segment_sealed sealed;
	unsigned char sha256[SUMS_SHA256];
	const struct dirent *entry;
	DIR *d = opendir(r->dir);
	uint64_t size;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.') {
			assert_int_equal(sha256_of_file(sha256, r->fd, entry->d_name, &size), 0);
			assert_int_equal(sums_add(&sums, entry->d_name, sha256), 0);
		}
	(void)closedir(d);
	assert_int_equal(sums_write(&sums, &text), 0);
	assert_int_equal(segment_put(r->fd, SUMS_FILE, &text, &sealed), 0);
	sums_free(&sums);
	blob_free(&text);
}

struct age_keyring
frames_ring(const struct frames *r)
{
	return ((struct age_keyring){.identities = &r->identity, .count = 1});
}

void
frames_remove(struct frames *r, const char *name)
{
	assert_int_equal(unlinkat(r->fd, name, 0), 0);
}

void
frames_damage(struct frames *r, const char *name)
{
	int fd = openat(r->fd, name, O_RDWR | O_CLOEXEC);
	off_t at = lseek(fd, -20, SEEK_END);
	unsigned char byte;

	assert_true(at > 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}
