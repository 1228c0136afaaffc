#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/tables.h"

#define ROUND_FRAMES 6
#define OUT_MOST 4000u
#define BARE 9 /* a channel without a terminal */

static uint32_t
next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8);
}

static void
frame_add(struct script *s, uint16_t type, const void *at, size_t len)
{
	struct ring_frame *f = &s->frames[s->count++];

	*f = (struct ring_frame){.type = type, .stream = s->frames[0].stream, .len = (uint32_t)len};
	if (blob_add(&s->bytes, at, len) == -1)
		abort();
}

/* Lines of a terminal; now and then a byte that begins no character, and characters cut by the frame's end. */
static void
output_add(struct script *s, uint32_t *seed)
{
	static const char *const words[] = {"ready ", "\033[1mnode\033[0m ",
	    "Gr\xc3\xb6\xc3\x9f"
	    "e ",
	    "\r\n", "\xff", "\xe2\x82\xac", "0123456789 ", "\xf0\x9f\x93\x9e"};
	char out[OUT_MOST + 16];
	size_t len = 0, want = 300 + next(seed) % (OUT_MOST - 300);

	while (len < want) {
		const char *word = words[next(seed) % 8];

		memcpy(out + len, word, strlen(word));
		len += strlen(word);
	}
	frame_add(s, FRAME_OUT, out, want);
}

/* A piece of a file: every byte value, on the channel without a terminal. */
static void
noise_add(struct script *s, uint32_t *seed)
{
	uint8_t noise[700];

	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)next(seed);
	frame_add(s, FRAME_OUT, noise, sizeof noise);
	s->frames[s->count - 1].channel = BARE;
}

void
script_make(struct script *s, uint32_t stream, unsigned rounds)
{
	static const uint8_t pty[] = "\0\120\0\030xterm", status[] = {0, 0, 0, 7}, left[] = {0, REASON_CLIENT_GONE};
	uint32_t seed = 7;
	size_t at = 0;

	*s = (struct script){.frames = calloc((size_t)rounds * ROUND_FRAMES + 8, sizeof s->frames[0])};
	if (s->frames == NULL)
		abort();
	s->frames[0].stream = stream;
	frame_add(s, FRAME_PTY, pty, sizeof pty - 1);
	s->frames[0].stream = stream;
	frame_add(s, FRAME_EXEC, "show all", 8);
	frame_add(s, FRAME_EXEC, "tar c", 5);
	s->frames[s->count - 1].channel = BARE;
	for (unsigned i = 0; i < rounds; i++) {
		char text[64];
		int n = snprintf(text, sizeof text, "{\"n\":%u}", i);

		frame_add(s, FRAME_FACT, text, (size_t)n);
		n = snprintf(text, sizeof text, "key %u\r", i);
		frame_add(s, FRAME_IN, text, (size_t)n);
		output_add(s, &seed);
		n = snprintf(text, sizeof text, "err %u\n", i);
		if (i % 3 == 0)
			frame_add(s, FRAME_ERR, text, (size_t)n);
		if (i % 4 == 0)
			noise_add(s, &seed);
	}
	frame_add(s, FRAME_EXIT, status, sizeof status);
	frame_add(s, FRAME_CLOSE, "", 0);
	frame_add(s, FRAME_END, left, sizeof left);
	for (size_t i = 0; i < s->count; i++) {
		s->frames[i].stream = stream;
		s->frames[i].at = s->bytes.at + at;
		at += s->frames[i].len;
	}
}

void
script_free(struct script *s)
{
	blob_free(&s->bytes);
	free(s->frames);
	*s = (struct script){0};
}
