/*
 * What SSH writes on the wire beyond base/wire.h, whose numbers and strings are already those of RFC 4251 §5:
 * booleans, big numbers, and strings that hold further strings.  A reader that met something else stays failed.
 */
#ifndef AUTH_BLOB_H
#define AUTH_BLOB_H
#include "base/wire.h"

/* 0 or 1; any other byte fails the reader (a sender must not store another). */
int blob_get_bool(struct reader *r);
/* A positive mpint's magnitude, without its sign byte.  Zero, a negative number or a needless byte fails the reader. */
struct bytes blob_get_mpint(struct reader *r);

void blob_put_text(struct wire *w, const char *text);
/* Begins a string whose length is not known yet; gives the mark that blob_put_end() takes. */
size_t blob_put_begin(struct wire *w);
void blob_put_end(struct wire *w, size_t mark);

#endif
