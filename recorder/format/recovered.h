/*
 * Opening any segment of a recording, whichever way it reached the shelf: sealed (NNNNNN.cast.zst.age), or recovered
 * from the log of a recorder that was killed (NNNNNN.wal), which is made into the same asciicast here, in memory.
 */
#ifndef FORMAT_RECOVERED_H
#define FORMAT_RECOVERED_H

#include "format/segment.h"

/* Opens dir/name, by its name's form, into `plain` (appended): an asciicast v3 file. */
enum segment_fault recovered_or_sealed_open(
    int dir, const char *name, struct age_keyring ring, struct blob *plain, struct segment_report *report);

/* The same for the content of a .wal alone. */
enum segment_fault recovered_open(
    const struct blob *content, struct age_keyring ring, struct blob *plain, struct segment_report *report);

#endif
