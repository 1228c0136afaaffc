/* The names that blob.h had for an hour, for files that do not need base/wire.h's struct bytes. */
#ifndef FORMAT_BYTES_H
#define FORMAT_BYTES_H

#include "format/blob.h"

#define bytes			blob
#define bytes_add		blob_add
#define bytes_add_text		blob_add_text
#define bytes_add_format	blob_add_format
#define bytes_add_hex		blob_add_hex
#define bytes_add_base64	blob_add_base64
#define bytes_add_base64_bare	blob_add_base64_bare
#define bytes_add_json		blob_add_json
#define bytes_reserve		blob_reserve
#define bytes_drop		blob_drop
#define bytes_clear		blob_clear
#define bytes_free		blob_free
#define bytes_read		blob_read
#define bytes_read_at		blob_read_at
#define age_sink_bytes		age_sink_blob
#define segment_seal_bytes	segment_seal_blob

#endif
