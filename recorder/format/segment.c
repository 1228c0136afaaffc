/* Segments: sealed in memory, put whole, opened in pieces; see segment.h. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <zstd.h>

#include "format/segment.h"
#include "format/sums.h"

#define INPUT_PREFIX "input."

enum {
	ZSTD_LEVEL = 3,     /* recording.md §B.4: smallest for its cost on the recorder */
	WINDOW_LOG_MAX = 23 /* a reader's memory for one frame: 8 MiB */
};

static const char *const suffixes[] = {[SEGMENT_FORM_SEALED] = ".cast.zst.age", [SEGMENT_FORM_RECOVERED] = ".wal"};

static int
name_make(char out[SEGMENT_NAME_MAX], enum segment_track track, uint32_t number, enum segment_form form)
{
	if (number > SEGMENT_NUMBER_MAX)
		return (-1);
	(void)snprintf(
	    out, SEGMENT_NAME_MAX, "%s%06u%s", track == SEGMENT_INPUT ? INPUT_PREFIX : "", number, suffixes[form]);
	return (0);
}

int
segment_name(char out[SEGMENT_NAME_MAX], enum segment_track track, uint32_t number)
{
	return (name_make(out, track, number, SEGMENT_FORM_SEALED));
}

int
segment_recovered_name(char out[SEGMENT_NAME_MAX], enum segment_track track, uint32_t number)
{
	return (name_make(out, track, number, SEGMENT_FORM_RECOVERED));
}

int
segment_name_parse(const char *name, enum segment_track *track, uint32_t *number, enum segment_form *form)
{
	size_t prefix = sizeof(INPUT_PREFIX) - 1, length = strlen(name),
	       suffix = strlen(suffixes[SEGMENT_FORM_RECOVERED]);
	char again[SEGMENT_NAME_MAX];

	*track = strncmp(name, INPUT_PREFIX, prefix) == 0 ? SEGMENT_INPUT : SEGMENT_OUTPUT;
	*form = length > suffix && strcmp(name + length - suffix, suffixes[SEGMENT_FORM_RECOVERED]) == 0
	            ? SEGMENT_FORM_RECOVERED
	            : SEGMENT_FORM_SEALED;
	*number = 0;
	for (const char *c = *track == SEGMENT_INPUT ? name + prefix : name; *c >= '0' && *c <= '9'; c++)
		if ((*number = *number * 10 + (uint32_t)(*c - '0')) > SEGMENT_NUMBER_MAX)
			return (-1);
	return (name_make(again, *track, *number, *form) == 0 && strcmp(again, name) == 0 ? 0 : -1);
}

/* ---- sealing ---- */

static int
compress(const struct blob *plain, struct blob *to)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t bound = ZSTD_compressBound(plain->size), size;
	int result = -1;

	if (ctx == NULL || blob_reserve(to, bound) == -1)
		goto out;
	(void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	(void)ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	size = ZSTD_compress2(ctx, to->at + to->size, bound, plain->at, plain->size);
	if (ZSTD_isError(size))
		goto out;
	to->size += size;
	result = 0;
out:
	ZSTD_freeCCtx(ctx);
	return (result);
}

static int
encrypt(const struct segment_seal *seal, const struct blob *packed, struct blob *to)
{
	unsigned char file_key[AGE_FILE_KEY_SIZE];
	struct age_writer *w = NULL;
	int result = -1;

	if (seal->file_key != NULL)
		memcpy(file_key, seal->file_key, sizeof(file_key));
	else if (seal->header != NULL || age_file_key_make(file_key) == -1)
		return (-1);
	if ((seal->header != NULL ? blob_add(to, seal->header->at, seal->header->size)
	                          : age_header_make(to, file_key, seal->recipients, seal->count)) == -1)
		goto out;
	if ((w = age_writer_new(file_key, age_sink_blob, to)) != NULL &&
	    age_writer_add(w, packed->at, packed->size) == AGE_OK && age_writer_end(w) == AGE_OK)
		result = 0;
out:
	age_writer_free(w);
	OPENSSL_cleanse(file_key, sizeof(file_key));
	return (result);
}

int
segment_seal_blob(const struct segment_seal *seal, struct blob *to, struct segment_sealed *out)
{
	struct blob packed = {.at = NULL};
	size_t before = to->size;
	int result = -1;

	if (compress(seal->plain, &packed) == 0 && encrypt(seal, &packed, to) == 0 &&
	    sha256_of(out->sha256, to->at + before, to->size - before) == 0) {
		out->size = to->size - before;
		result = 0;
	} else {
		to->size = before;
		errno = ENOMEM;
	}
	blob_free(&packed);
	return (result);
}

static int
write_all(int fd, const unsigned char *from, size_t size)
{
	while (size > 0) {
		ssize_t put = write(fd, from, size);

		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1)
			return (-1);
		from += put;
		size -= (size_t)put;
	}
	return (0);
}

/* Writes and syncs a new file under a temporary name. */
static int
put_tmp(int dir, const char *tmp, const struct blob *content)
{
	int fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640), failed;

	if (fd == -1)
		return (-1);
	failed = write_all(fd, content->at, content->size) == -1 || fsync(fd) == -1;
	if (close(fd) == -1 || failed) {
		int saved = errno;

		(void)unlinkat(dir, tmp, 0);
		errno = saved;
		return (-1);
	}
	return (0);
}

int
segment_put(int dir, const char *name, const struct blob *content, struct segment_sealed *out)
{
	char tmp[SUMS_NAME_MAX + 8];
	struct stat st;
	int self;

	if (!sums_name_ok(name)) {
		errno = EINVAL;
		return (-1);
	}
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) { /* one recorder holds the shelf's lock */
		errno = EEXIST;
		return (-1);
	}
	(void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	if (sha256_of(out->sha256, content->at, content->size) == -1 || put_tmp(dir, tmp, content) == -1)
		return (-1);
	out->size = content->size;
	if (renameat(dir, tmp, dir, name) == -1) {
		(void)unlinkat(dir, tmp, 0);
		return (-1);
	}
	if ((self = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return (-1);
	if (fsync(self) == -1) {
		(void)close(self);
		return (-1);
	}
	return (close(self));
}

int
segment_seal(const struct segment_seal *seal, struct segment_sealed *out)
{
	struct blob content = {.at = NULL};
	int result = segment_seal_blob(seal, &content, out);

	if (result == 0)
		result = segment_put(seal->dir, seal->name, &content, out);
	blob_free(&content);
	return (result);
}

/* ---- opening ---- */

void
segment_report_text(const struct segment_report *report, char *out, size_t room)
{
	switch (report->fault) {
	case SEGMENT_OK:
		(void)snprintf(out, room, "ok");
		break;
	case SEGMENT_AGE:
		if (report->age == AGE_CHUNK_FORGED || report->age == AGE_TRAILING || report->age == AGE_TRUNCATED)
			(void)snprintf(out, room, "64 KiB chunk %llu: %s", (unsigned long long)report->chunk,
			    age_error_text(report->age));
		else
			(void)snprintf(out, room, "%s", age_error_text(report->age));
		break;
	case SEGMENT_ZSTD:
		(void)snprintf(out, room, "not one whole zstd frame");
		break;
	case SEGMENT_TOO_LONG:
		(void)snprintf(out, room, "longer than a segment can be");
		break;
	case SEGMENT_SINK:
		(void)snprintf(out, room, "stopped by the reader");
		break;
	case SEGMENT_FILE:
		(void)snprintf(out, room, "%s", strerror(errno));
		break;
	case SEGMENT_RECORD:
		(void)snprintf(out, room, "log record %llu does not open", (unsigned long long)report->chunk);
		break;
	case SEGMENT_FAILED:
		(void)snprintf(out, room, "no memory");
		break;
	}
}

struct segment_reader {
	struct age_reader *age;
	ZSTD_DCtx *zstd;
	age_sink sink;
	void *to;
	enum segment_fault fault;
	enum age_error why;
	int whole; /* the frame has ended */
	uint64_t plain;
	unsigned char *out;
	size_t out_size;
};

/* What age has opened goes through zstd to the caller's sink. */
static int
on_packed(void *self, const unsigned char *bytes, size_t size)
{
	struct segment_reader *r = self;
	ZSTD_inBuffer in = {.src = bytes, .size = size};

	do {
		ZSTD_outBuffer out = {.dst = r->out, .size = r->out_size};
		size_t left;

		if (r->whole && in.pos < in.size)
			return (r->fault = SEGMENT_ZSTD, -1);
		left = ZSTD_decompressStream(r->zstd, &out, &in);
		if (ZSTD_isError(left))
			return (r->fault = SEGMENT_ZSTD, -1);
		r->whole = left == 0;
		if ((r->plain += out.pos) > SEGMENT_PLAIN_MAX)
			return (r->fault = SEGMENT_TOO_LONG, -1);
		if (out.pos > 0 && r->sink(r->to, r->out, out.pos) != 0)
			return (r->fault = SEGMENT_SINK, -1);
		if (out.pos < out.size && in.pos == in.size)
			break;
	} while (!r->whole || in.pos < in.size);
	return (0);
}

struct segment_reader *
segment_reader_new(struct age_keyring ring, age_sink sink, void *to)
{
	struct segment_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	r->sink = sink;
	r->to = to;
	r->out_size = ZSTD_DStreamOutSize();
	r->age = age_reader_new(ring, on_packed, r);
	r->zstd = ZSTD_createDCtx();
	r->out = malloc(r->out_size);
	if (r->age == NULL || r->zstd == NULL || r->out == NULL ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(r->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
		segment_reader_free(r);
		return (NULL);
	}
	return (r);
}

/* A fault found behind age's sink was already named there. */
static enum segment_fault
age_result(struct segment_reader *r, enum age_error why)
{
	r->why = why;
	if (r->fault == SEGMENT_OK && why != AGE_OK)
		r->fault = why == AGE_FAILED ? SEGMENT_FAILED : SEGMENT_AGE;
	return (r->fault);
}

enum segment_fault
segment_reader_add(struct segment_reader *r, const unsigned char *bytes, size_t size)
{
	return (r->fault != SEGMENT_OK ? r->fault : age_result(r, age_reader_add(r->age, bytes, size)));
}

enum segment_fault
segment_reader_end(struct segment_reader *r)
{
	if (r->fault == SEGMENT_OK && age_result(r, age_reader_end(r->age)) == SEGMENT_OK && !r->whole)
		r->fault = SEGMENT_ZSTD;
	return (r->fault);
}

struct segment_report
segment_reader_report(const struct segment_reader *r)
{
	return ((struct segment_report){.fault = r->fault, .age = r->why, .chunk = age_reader_chunk(r->age)});
}

void
segment_reader_free(struct segment_reader *r)
{
	if (r == NULL)
		return;
	age_reader_free(r->age);
	ZSTD_freeDCtx(r->zstd);
	if (r->out != NULL)
		OPENSSL_cleanse(r->out, r->out_size);
	free(r->out);
	free(r);
}

enum segment_fault
segment_open(int dir, const char *name, struct age_keyring ring, struct blob *plain, struct segment_report *report)
{
	struct segment_reader *r = segment_reader_new(ring, age_sink_blob, plain);
	struct blob sealed = {.at = NULL};

	*report = (struct segment_report){.fault = SEGMENT_FAILED};
	if (r == NULL)
		return (report->fault);
	if (blob_read_at(&sealed, dir, name, SEGMENT_SEALED_MAX) == -1)
		report->fault = errno == EFBIG ? SEGMENT_TOO_LONG : SEGMENT_FILE;
	else {
		if (segment_reader_add(r, sealed.at, sealed.size) == SEGMENT_OK)
			(void)segment_reader_end(r);
		*report = segment_reader_report(r);
	}
	blob_free(&sealed);
	segment_reader_free(r);
	return (report->fault);
}
