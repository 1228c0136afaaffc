#include "base/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_PAGE 4096
#define RING_SIZE (RING_PAGE + RING_ROOM)

/* What both ends see.  Each position has one writer. */
struct ring_page {
	_Atomic uint64_t put;   /* session's */
	_Atomic uint64_t freed; /* recorder's */
};

/* A frame's header in the ring, in the machine's order: both ends are on this machine. */
struct ring_header {
	uint32_t len;
	uint16_t type;
	uint16_t zero;
	uint32_t stream;
	uint32_t channel;
	uint64_t sequence;
	int64_t boot_us;
};
_Static_assert(sizeof(struct ring_header) == RING_HEADER, "the header has no holes");

struct ring {
	struct ring_page *page;
	uint8_t *room;
	uint64_t position; /* writer: put; reader: taken */
	uint64_t sequence; /* of the frames put */
	uint64_t freed;    /* reader: what it told the writer */
};

static uint64_t
ring_align(uint64_t len)
{
	return ((len + 7) & ~(uint64_t)7);
}

int
ring_create(void)
{
	int fd = memfd_create("lodge-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING), was;

	if (fd == -1)
		return (-1);
	if (ftruncate(fd, RING_SIZE) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1) {
		was = errno;
		close(fd);
		errno = was;
		return (-1);
	}
	return (fd);
}

struct ring *
ring_open(int fd)
{
	struct stat st;
	struct ring *r;
	void *at;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals == -1 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return (NULL);
	if (fstat(fd, &st) == -1 || st.st_size != RING_SIZE || (r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	at = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		free(r);
		return (NULL);
	}
	r->page = at;
	r->room = (uint8_t *)at + RING_PAGE;
	return (r);
}

void
ring_close(struct ring *r)
{
	if (r == NULL)
		return;
	munmap(r->page, RING_SIZE);
	free(r);
}

static void
ring_copy_in(struct ring *r, uint64_t position, const void *from, size_t len)
{
	size_t at = (size_t)(position % RING_ROOM), first = RING_ROOM - at < len ? RING_ROOM - at : len;

	if (len == 0)
		return;
	memcpy(r->room + at, from, first);
	memcpy(r->room, (const uint8_t *)from + first, len - first);
}

static void
ring_copy_out(const struct ring *r, uint64_t position, void *to, size_t len)
{
	size_t at = (size_t)(position % RING_ROOM), first = RING_ROOM - at < len ? RING_ROOM - at : len;

	if (len == 0)
		return;
	memcpy(to, r->room + at, first);
	memcpy((uint8_t *)to + first, r->room, len - first);
}

uint64_t
ring_freed_position(const struct ring *r)
{
	uint64_t freed = atomic_load_explicit(&r->page->freed, memory_order_acquire);

	/* A recorder that claims what was never put is not believed: the room stays taken. */
	if (freed > r->position || r->position - freed > RING_ROOM)
		return (r->position >= RING_ROOM ? r->position - RING_ROOM : 0);
	return (freed);
}

static uint64_t
ring_left(const struct ring *r)
{
	return (RING_ROOM - (r->position - ring_freed_position(r)));
}

size_t
ring_space(const struct ring *r)
{
	uint64_t left = ring_left(r);

	if (left <= RING_HEADER)
		return (0);
	left = (left - RING_HEADER) & ~(uint64_t)7;
	return (left > RING_FRAME_MAX ? RING_FRAME_MAX : (size_t)left);
}

int
ring_put(struct ring *r, const struct ring_frame *f)
{
	struct ring_header h = {
	    .len = f->len,
	    .type = f->type,
	    .stream = f->stream,
	    .channel = f->channel,
	    .sequence = r->sequence + 1,
	    .boot_us = f->boot_us,
	};

	if (f->len > RING_FRAME_MAX || ring_left(r) < RING_HEADER + ring_align(f->len))
		return (0);
	ring_copy_in(r, r->position, &h, sizeof(h));
	ring_copy_in(r, r->position + RING_HEADER, f->at, f->len);
	r->position += RING_HEADER + ring_align(f->len);
	r->sequence++;
	atomic_store_explicit(&r->page->put, r->position, memory_order_release);
	return (1);
}

uint64_t
ring_put_position(const struct ring *r)
{
	return (atomic_load_explicit(&r->page->put, memory_order_acquire));
}

uint64_t
ring_last_sequence(const struct ring *r)
{
	return (r->sequence);
}

int
ring_seek(struct ring *r, uint64_t position)
{
	uint64_t put = ring_put_position(r);

	if (position > put || put - position > RING_ROOM || position % 8 != 0)
		return (-1);
	r->position = position;
	return (0);
}

int
ring_take(struct ring *r, struct ring_frame *f, uint8_t *into)
{
	uint64_t put = ring_put_position(r), whole;
	struct ring_header h;

	if (put == r->position)
		return (0);
	if (put < r->position || put - r->position > RING_ROOM || put - r->position < RING_HEADER)
		return (-1);
	ring_copy_out(r, r->position, &h, sizeof(h));
	if (h.len > RING_FRAME_MAX || h.zero != 0)
		return (-1);
	whole = RING_HEADER + ring_align(h.len);
	if (whole > put - r->position)
		return (-1);
	ring_copy_out(r, r->position + RING_HEADER, into, h.len);
	r->position += whole;
	*f = (struct ring_frame){
	    .type = h.type,
	    .stream = h.stream,
	    .channel = h.channel,
	    .sequence = h.sequence,
	    .boot_us = h.boot_us,
	    .at = into,
	    .len = h.len,
	};
	return (1);
}

uint64_t
ring_taken_position(const struct ring *r)
{
	return (r->position);
}

void
ring_free(struct ring *r, uint64_t position)
{
	if (position < r->freed)
		return;
	r->freed = position;
	atomic_store_explicit(&r->page->freed, position, memory_order_release);
}
