/* A database as it is after years, written through policy's own store. */
#ifndef BENCH_FILL_H
#define BENCH_FILL_H
#include <stdint.h>

struct sizes {
	int64_t vendors, people, targets, requests, visitors, streams, events;
	int64_t open, scheduled, waiting; /* of the requests */
};

/* People are p0, p1, ... : the first `managers` and `auditors` of them have those roles, and no vendor. */
#define FILL_MANAGERS 15
#define FILL_AUDITORS 5

void fill(const char *database, const struct sizes *size);
#endif
